//! The derives as their users meet them: in an entity, and in what the compiler says about a wrong one.

use promiscuous_seaorm::subscription::SubscribedModel;
use promiscuous_seaorm::{Consistency, Models, Publish, Subscribe};

/// Subscribed here, and published again with an attribute of its own: a decorator.
mod user {
    use promiscuous_seaorm::{Publish, Subscribe};
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish, Subscribe)]
    #[sea_orm(table_name = "users")]
    #[subscribe(from = "crowdtap/user", attributes(email), virtual_attributes(name), consistency = "weak")]
    #[publish(attributes(score), virtual_attributes(name))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub email: String,
        pub score: i32,
        #[sea_orm(has_many)]
        pub comments: HasMany<super::comment::Entity>,
    }

    impl Model {
        fn name(&self) -> String {
            self.email.clone()
        }
    }

    impl ActiveModel {
        fn set_name(&mut self, name: String) {
            self.email = sea_orm::Set(name);
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Neither published nor subscribed.
mod comment {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "comments")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub user_id: i64,
        #[sea_orm(belongs_to, from = "user_id", to = "id")]
        pub user: BelongsTo<super::user::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Without `#[sea_orm::model]`, and with a field that is no column.
mod post {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "posts")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        #[publish]
        pub body: String,
        pub user_id: i64,
        #[sea_orm(ignore)]
        pub score: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {
        #[sea_orm(
            belongs_to = "super::user::Entity",
            from = "Column::UserId",
            to = "super::user::Column::Id"
        )]
        User,
    }

    impl Related<super::user::Entity> for Entity {
        fn to() -> RelationDef {
            Relation::User.def()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

#[test]
fn every_derived_entity_of_the_program_is_known_once() {
    let models = Models::of_this_program();
    let published = models.published("sniper").unwrap();
    let mut endpoints: Vec<&str> = published.iter().map(|model| model.endpoint.as_str()).collect();
    endpoints.sort_unstable();
    assert_eq!(endpoints, ["sniper/post", "sniper/user"]);

    let subscribed = models.subscribed().unwrap();
    let tables: Vec<&str> = subscribed.iter().map(|model| model.table.as_str()).collect();
    assert_eq!(tables, ["users"]);
    assert!(subscribed.subscriptions().wants("crowdtap/user"));
}

#[test]
fn one_model_may_be_subscribed_and_published() {
    let published = <user::Entity as Publish>::declaration();
    assert_eq!((published.name.as_str(), published.attributes.as_slice()), ("User", ["score"].as_slice()));
    let subscribed = <user::Entity as Subscribe>::declaration();
    assert_eq!(subscribed.attributes.len(), 1);
    let model = SubscribedModel::of::<user::Entity>().unwrap();
    assert_eq!(model.subscription.from.binding(), "crowdtap.user");
    assert!(!model.subscription.named);
}

#[test]
fn wanting_the_same_twice_is_an_error_at_start() {
    let twice = Models::new().subscribe::<user::Entity>().subscribe::<user::Entity>();
    let error = twice.subscribed().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("subscribe to `User` of crowdtap/user"), "{error}");
}

#[test]
fn two_consistencies_of_one_endpoint_are_an_error_at_start() {
    assert_eq!(<user::Entity as Subscribe>::declaration().consistency, Some(Consistency::Weak));
    let two = Models::new().subscribe::<user::Entity>().subscribe_with::<user::Entity>(|admin| {
        (admin.name, admin.named, admin.consistency) = ("Admin".into(), true, None);
    });
    let two = two.subscribed().unwrap().subscriptions().clone();
    assert!(two.clone().with_default(Consistency::Weak).is_ok());
    let error = two.with_default(Consistency::Causal).unwrap_err().to_string();
    assert!(error.contains("ask for two consistencies, `weak` and `causal`"), "{error}");
}

#[test]
fn wrong_uses_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
