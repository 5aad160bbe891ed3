use chrono::{DateTime, Utc};
use promiscuous_core::database::DatabaseErrorKind;
use promiscuous_core::key::Endpoint;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, PaginatorTrait, Schema, Set};
use serde_json::{Value as Json, json};

use super::*;
use crate::models::Models;
use crate::subscription::{Subscribe, SubscribedModel};

/// An entity with hooks, setters and a column of each interesting kind.
pub(super) mod user {
    use crate::Subscribe;
    use sea_orm::Set;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Text")]
    pub enum Mood {
        #[sea_orm(string_value = "h")]
        Happy,
        #[sea_orm(string_value = "s")]
        Sad,
    }

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, FromJsonQueryResult)]
    pub struct Address {
        pub city: String,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "users")]
    #[subscribe(
        from = "crowdtap/user",
        attributes(name, mood, address, settings, balance, born_at, nickname),
        virtual_attributes(initials)
    )]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        #[sea_orm(column_name = "full_name", unique)]
        pub name: String,
        pub mood: Mood,
        pub address: Address,
        pub settings: Json,
        pub balance: Decimal,
        pub born_at: DateTimeUtc,
        pub nickname: Option<String>,
        pub badge: String,
        pub saves: i32,
    }

    impl ActiveModel {
        fn set_initials(&mut self, initials: String) -> Result<(), &'static str> {
            match initials.as_str() {
                "" => Err("nobody has no initials"),
                "panic" => panic!("not these"),
                _ => {
                    self.badge = Set(format!("[{initials}]"));
                    Ok(())
                }
            }
        }
    }

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        fn new() -> Self {
            Self { badge: Set(String::new()), saves: Set(0), ..ActiveModelTrait::default() }
        }

        async fn before_save<C: ConnectionTrait>(mut self, _: &C, _: bool) -> Result<Self, DbErr> {
            match self.name.as_ref().as_str() {
                "refused" => return Err(DbErr::Custom("not this name".into())),
                "panic" => panic!("a hook went wrong"),
                _ => {}
            }
            self.saves = Set(self.saves.as_ref() + 1);
            Ok(self)
        }

        async fn after_save<C: ConnectionTrait>(saved: Model, _: &C, _: bool) -> Result<Model, DbErr> {
            match saved.name.as_str() {
                "refused afterwards" => Err(DbErr::Custom("not this name, after all".into())),
                _ => Ok(saved),
            }
        }

        async fn before_delete<C: ConnectionTrait>(self, _: &C) -> Result<Self, DbErr> {
            if self.name.as_ref() == "forever" {
                return Err(DbErr::Custom("stays".into()));
            }
            Ok(self)
        }
    }
}

/// An entity that keeps the publisher's id beside its own.
mod follower {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "followers")]
    #[subscribe(from = "twitter/account", foreign_key = "twitter_id")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[sea_orm(unique)]
        pub twitter_id: String,
        #[subscribe]
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// An entity with a key of two columns.
pub(super) mod membership {
    use crate::Subscribe;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Subscribe)]
    #[sea_orm(table_name = "memberships")]
    #[subscribe(attributes(role))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub team: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub user_id: Uuid,
        pub role: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) async fn database() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(user::Entity)).await.unwrap();
    db.execute(&schema.create_table_from_entity(follower::Entity)).await.unwrap();
    db.execute(&schema.create_table_from_entity(membership::Entity)).await.unwrap();
    db
}

pub(super) fn operation(kind: OperationKind, endpoint: &str, id: &str, attributes: Json) -> Operation {
    Operation {
        operation: kind,
        endpoint: Endpoint::parse(endpoint).unwrap(),
        types: vec!["Any".into()],
        id: id.into(),
        attributes: attributes.as_object().cloned(),
    }
}

pub(super) fn joe() -> Json {
    json!({
        "name": "Joe", "mood": "h", "address": {"city": "Oslo"}, "settings": null, "balance": "12.50",
        "born_at": "1990-01-02T03:04:05.000006Z", "nickname": null, "initials": "J"
    })
}

pub(super) fn joe_with(attribute: &str, value: Json) -> Json {
    let mut attributes = joe();
    attributes[attribute] = value;
    attributes
}

async fn apply_to_user(
    db: &DatabaseConnection,
    kind: OperationKind,
    attributes: Json,
) -> Result<(), ApplyError> {
    let plan = Plan::new(user::Entity::declaration()).unwrap();
    apply(&plan, db, &operation(kind, "crowdtap/user", "5", attributes), ApplyOptions::default()).await
}

async fn user_5(db: &DatabaseConnection) -> Option<user::Model> {
    user::Entity::find_by_id(5).one(db).await.unwrap()
}

#[tokio::test]
async fn create_inserts_through_the_model_and_its_hooks() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Create, joe()).await.unwrap();
    let expected = user::Model {
        id: 5,
        name: "Joe".into(),
        mood: user::Mood::Happy,
        address: user::Address { city: "Oslo".into() },
        settings: Json::Null,
        balance: rust_decimal::Decimal::new(1250, 2),
        born_at: "1990-01-02T03:04:05.000006Z".parse::<DateTime<Utc>>().unwrap(),
        nickname: None,
        badge: "[J]".into(),
        saves: 1,
    };
    assert_eq!(user_5(&db).await, Some(expected));
}

#[tokio::test]
async fn create_of_an_existing_row_updates_it_and_update_of_a_missing_one_creates_it() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Update, joe()).await.unwrap();
    apply_to_user(&db, OperationKind::Create, joe_with("nickname", json!("J\u{1F600}"))).await.unwrap();
    let row = user_5(&db).await.unwrap();
    assert_eq!((row.nickname.as_deref(), row.saves), (Some("J\u{1F600}"), 2));
    apply_to_user(&db, OperationKind::Sync, joe()).await.unwrap();
    let row = user_5(&db).await.unwrap();
    assert_eq!((row.nickname.as_deref(), row.saves), (None, 3));
}

#[tokio::test]
async fn an_operation_that_changes_nothing_runs_no_hooks() {
    let db = database().await;
    let attributes = json!({"name": "Tweeter"});
    let plan = Plan::new(follower::Entity::declaration()).unwrap();
    for _ in 0..2 {
        let sync = operation(OperationKind::Sync, "twitter/account", "a1", attributes.clone());
        apply(&plan, &db, &sync, ApplyOptions::default()).await.unwrap();
    }
    let plan = Plan::new(user::Entity::declaration()).unwrap();
    let relaxed = ApplyOptions::default().relaxed_schema(true);
    apply_to_user(&db, OperationKind::Create, joe()).await.unwrap();
    let mut unchanged = joe();
    unchanged.as_object_mut().unwrap().remove("initials");
    let update = operation(OperationKind::Update, "crowdtap/user", "5", unchanged);
    apply(&plan, &db, &update, relaxed).await.unwrap();
    assert_eq!(user_5(&db).await.unwrap().saves, 1);
}

#[tokio::test]
async fn destroy_deletes_through_the_hooks_and_a_missing_row_is_fine() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Destroy, Json::Null).await.unwrap();
    apply_to_user(&db, OperationKind::Create, joe_with("name", json!("forever"))).await.unwrap();
    let error = apply_to_user(&db, OperationKind::Destroy, Json::Null).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Callback { reason, .. } if reason == "stays"), "{error}");
    apply_to_user(&db, OperationKind::Update, joe()).await.unwrap();
    apply_to_user(&db, OperationKind::Destroy, Json::Null).await.unwrap();
    assert_eq!(user_5(&db).await, None);
}

#[tokio::test]
async fn a_foreign_key_finds_the_row_and_the_local_id_is_the_database_s() {
    let db = database().await;
    let plan = Plan::new(follower::Entity::declaration()).unwrap();
    for (kind, id, attributes) in [
        (OperationKind::Create, "a%2F1", json!({"name": "One"})),
        (OperationKind::Create, "x,y", json!({"name": "Composite"})),
        (OperationKind::Update, "a%2F1", json!({"name": "Uno"})),
        (OperationKind::Destroy, "x,y", Json::Null),
    ] {
        let operation = operation(kind, "twitter/account", id, attributes);
        apply(&plan, &db, &operation, ApplyOptions::default()).await.unwrap();
    }
    let rows = follower::Entity::find().all(&db).await.unwrap();
    assert_eq!(rows, [follower::Model { id: 1, twitter_id: "a/1".into(), name: "Uno".into() }]);
}

#[tokio::test]
async fn keys_of_several_columns_are_found_by_all_of_them() {
    let db = database().await;
    let plan = Plan::new(membership::Entity::declaration()).unwrap();
    let nil = uuid::Uuid::nil();
    for (team, role) in [("red%2C", "captain"), ("blue", "goalkeeper"), ("blue", "striker")] {
        let id = format!("{team},{nil}");
        let create = operation(OperationKind::Create, "club/membership", &id, json!({"role": role}));
        apply(&plan, &db, &create, ApplyOptions::default()).await.unwrap();
    }
    assert_eq!(membership::Entity::find().count(&db).await.unwrap(), 2);
    let red = membership::Entity::find_by_id(("red,".to_owned(), nil)).one(&db).await.unwrap();
    assert_eq!(red.unwrap().role.as_deref(), Some("captain"));
    for id in ["blue", "blue,7", "blue,7,8", "%GG,1"] {
        let create = operation(OperationKind::Create, "club/membership", id, json!({"role": null}));
        let error = apply(&plan, &db, &create, ApplyOptions::default()).await.unwrap_err();
        assert!(matches!(error, ApplyError::WrongId { .. }), "{id}: {error}");
    }
}

#[tokio::test]
async fn a_missing_attribute_is_an_error_unless_the_schema_is_relaxed() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Create, joe()).await.unwrap();
    let error = apply_to_user(&db, OperationKind::Update, json!({"name": "Jim"})).await.unwrap_err();
    assert!(
        matches!(&error, ApplyError::MissingAttribute { attribute, .. } if attribute == "mood"),
        "{error}"
    );
    let plan = Plan::new(user::Entity::declaration()).unwrap();
    let update = operation(OperationKind::Update, "crowdtap/user", "5", json!({"name": "Jim"}));
    apply(&plan, &db, &update, ApplyOptions::default().relaxed_schema(true)).await.unwrap();
    let row = user_5(&db).await.unwrap();
    assert_eq!((row.name.as_str(), row.badge.as_str()), ("Jim", "[J]"));
}

#[tokio::test]
async fn values_that_do_not_fit_name_the_attribute_and_not_the_value() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Create, joe()).await.unwrap();
    for (attribute, value) in [
        ("name", json!(null)),
        ("name", json!(7)),
        ("mood", json!("secret")),
        ("address", json!({"town": "secret"})),
        ("balance", json!("secret")),
        ("balance", json!(1.5)),
        ("born_at", json!("secret")),
        ("born_at", json!("1990-01-02T03:04:05")),
        ("nickname", json!(["secret"])),
        ("initials", json!({"secret": 1})),
    ] {
        let error = apply_to_user(&db, OperationKind::Update, joe_with(attribute, value)).await.unwrap_err();
        assert!(matches!(&error, ApplyError::WrongType { attribute: a, .. } if a == attribute), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn what_the_model_s_own_code_refuses_is_a_callback_error() {
    let db = database().await;
    for (attribute, value, reason) in [
        ("name", "refused", "not this name"),
        ("name", "panic", "it panicked: a hook went wrong"),
        ("initials", "", "`set_initials`: nobody has no initials"),
        ("initials", "panic", "it panicked: not these"),
    ] {
        let error =
            apply_to_user(&db, OperationKind::Create, joe_with(attribute, json!(value))).await.unwrap_err();
        assert!(matches!(&error, ApplyError::Callback { reason: r, .. } if r == reason), "{error}");
    }
    assert_eq!(user_5(&db).await, None);
}

#[tokio::test]
async fn what_the_database_refuses_is_a_database_error_of_its_kind() {
    let db = database().await;
    apply_to_user(&db, OperationKind::Create, joe()).await.unwrap();
    let plan = Plan::new(user::Entity::declaration()).unwrap();
    let same_name = operation(OperationKind::Create, "crowdtap/user", "6", joe());
    let error = apply(&plan, &db, &same_name, ApplyOptions::default()).await.unwrap_err();
    let ApplyError::Database { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind, DatabaseErrorKind::UniqueViolation);
}

#[tokio::test]
async fn a_model_applies_in_the_caller_s_transaction() {
    let db = database().await;
    let models =
        Models::new().subscribe::<user::Entity>().subscribe::<follower::Entity>().subscribed().unwrap();
    let create = operation(OperationKind::Create, "crowdtap/user", "5", joe());
    let elsewhere = operation(OperationKind::Create, "crowdtap/post", "5", joe());

    let wrapped = crate::PromiscuousConnection::new(
        db.clone(),
        crate::model::PublishedModels::default(),
        None,
        crate::CaptureSettings::default(),
    );
    let transaction = wrapped.begin().await.unwrap();
    models.apply(&transaction, &create, ApplyOptions::default()).await.unwrap();
    models.apply(&transaction, &elsewhere, ApplyOptions::default()).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(user_5(&db).await, None);

    let transaction = wrapped.begin().await.unwrap();
    models.apply(&transaction, &create, ApplyOptions::default()).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(user_5(&db).await.is_some());
}

#[tokio::test]
async fn a_declaration_written_by_hand_is_as_good_as_a_derived_one() {
    let db = database().await;
    let declaration = || SubscribeDeclaration::<follower::Entity> {
        name: "Account".into(),
        named: true,
        from: None,
        attributes: vec![],
        virtual_attributes: vec![VirtualAttribute::new(
            "handle",
            |row: &mut follower::ActiveModel, handle: String| row.name = Set(format!("@{handle}")),
        )],
        foreign_key: Some(follower::Column::TwitterId),
        consistency: None,
    };
    let model = SubscribedModel::declared(declaration()).unwrap();
    assert_eq!(model.subscription.from.binding(), "*.account");
    assert!(model.subscription.named);

    let plan = Plan::new(declaration()).unwrap();
    let create = operation(OperationKind::Create, "twitter/account", "1", json!({"handle": "joe"}));
    apply(&plan, &db, &create, ApplyOptions::default()).await.unwrap();
    assert_eq!(follower::Entity::find().one(&db).await.unwrap().unwrap().name, "@joe");
}
