use promiscuous_core::error::Error;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Schema, Statement};
use serde_json::{Value as Json, json};

use super::*;
use crate::models::Models;

/// A published entity with hooks for every special case: renamed columns, a native enum, virtual attributes.
mod post {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "Enum", enum_name = "state")]
    pub enum State {
        #[sea_orm(string_value = "draft")]
        Draft,
        #[sea_orm(string_value = "live")]
        Live,
    }

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "posts")]
    #[publish(
        to = "crowdtap/article",
        as = "BlogPost",
        types("Photo", "Post"),
        virtual_attributes(summary, words)
    )]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        #[publish]
        #[sea_orm(column_name = "headline")]
        pub title: String,
        #[publish]
        #[sea_orm(enum_name = "Kind")]
        pub r#type: Option<String>,
        #[publish]
        pub state: State,
        pub secret: String,
    }

    impl Model {
        fn summary(&self) -> &str {
            &self.title[..2]
        }
        fn words(&self) -> Vec<String> {
            self.title.split(' ').map(str::to_owned).collect()
        }
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod line_item {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "line_items", schema_name = "shop")]
    #[publish(attributes(price, order))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub order: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub sku: String,
        pub price: Decimal,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Published twice from one table.
mod post_again {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "posts")]
    #[publish(attributes(headline))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i32,
        pub headline: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// With a key that identifies nothing.
mod reading {
    use crate::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "readings")]
    #[publish(attributes(at))]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub at: Json,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

async fn database() -> DatabaseConnection {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(post::Entity);
    db.execute(&table).await.unwrap();
    db.execute_unprepared(
        "INSERT INTO posts (id, headline, kind, state, secret) VALUES (7, 'Hi you', NULL, 'live', 'x')",
    )
    .await
    .unwrap();
    db
}

fn published_post() -> Json {
    json!({"title": "Hi you", "type": null, "state": "live", "summary": "Hi", "words": ["Hi", "you"]})
}

#[test]
fn the_declaration_becomes_the_model() {
    let model = describe::<post::Entity>("sniper").unwrap();
    assert_eq!((model.name.as_str(), model.endpoint.as_str()), ("BlogPost", "crowdtap/article"));
    assert_eq!(model.types, ["Photo", "Post"]);
    assert_eq!((model.table.as_str(), model.schema.as_deref()), ("posts", None));
    assert_eq!(model.attribute_columns, ["headline", "kind", "state"]);
    assert_eq!(model.primary_key, ["id"]);
    assert!(model.has_virtual_attributes);

    let model = describe::<line_item::Entity>("shop").unwrap();
    assert_eq!((model.name.as_str(), model.endpoint.as_str()), ("LineItem", "shop/line_item"));
    assert_eq!(model.types, ["LineItem"]);
    assert_eq!(model.schema.as_deref(), Some("shop"));
    assert_eq!(model.primary_key, ["order", "sku"]);
    assert!(!model.has_virtual_attributes);
}

#[tokio::test]
async fn a_row_is_read_with_exactly_what_is_published() {
    let db = database().await;
    let model = describe::<post::Entity>("crowdtap").unwrap();
    let row = db.query_one(&(model.select_rows)()).await.unwrap().unwrap();
    let (id, attributes) = (model.read_row)(&row).unwrap();
    assert_eq!((id.as_str(), Json::Object(attributes)), ("7", published_post()));

    let row = db.query_one(&(model.select_keys)()).await.unwrap().unwrap();
    assert_eq!((model.id_of_row)(&row, &["id".into()]).unwrap().as_deref(), Some("7"));
    assert!((model.id_of_row)(&row, &[]).is_err());

    let mut update = Query::update();
    update.table(post::Entity).value(post::Column::Secret, "y");
    update.returning((model.returning)(db.get_database_backend()));
    let row = db.query_one(&update).await.unwrap().unwrap();
    assert_eq!(Json::Object((model.read_row)(&row).unwrap().1), published_post());
}

#[tokio::test]
async fn a_row_of_an_outer_join_without_a_match_has_no_id() {
    let db = database().await;
    let model = describe::<post::Entity>("crowdtap").unwrap();
    let sql = "SELECT p.id FROM (SELECT 1 AS one) LEFT JOIN posts p ON p.id = 99";
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!((model.id_of_row)(&row, &["id".into()]).unwrap(), None);
}

#[test]
fn key_values_become_the_same_id_however_they_are_spelled() {
    let post = describe::<post::Entity>("crowdtap").unwrap();
    assert_eq!((post.id_of_values)(&[7_i64.into()]).as_deref(), Some("7"));
    assert_eq!((post.id_of_values)(&["7".into()]).as_deref(), Some("7"));
    assert_eq!((post.id_of_values)(&[Value::Int(None)]), None);
    assert_eq!((post.id_of_values)(&[1.into(), 2.into()]), None);
    assert_eq!((post.id_of_values)(&["seven".into()]), None);

    let item = describe::<line_item::Entity>("crowdtap").unwrap();
    let uuid = uuid::Uuid::from_u128(0xab);
    let expected = "00000000-0000-0000-0000-0000000000ab,a%2Fb";
    assert_eq!((item.id_of_values)(&[uuid.into(), "a/b".into()]).as_deref(), Some(expected));
    let spelled = uuid.to_string().to_uppercase();
    assert_eq!((item.id_of_values)(&[spelled.into(), "a/b".into()]).as_deref(), Some(expected));
}

#[test]
fn two_apps_in_one_program_name_their_models() {
    let models = Models::new().publish::<post::Entity>().publish::<line_item::Entity>();
    let published = models.published("shop").unwrap();
    assert_eq!(published.iter().count(), 2);
    assert_eq!(published.by_table(Some("shop"), "line_items").unwrap().endpoint.as_str(), "shop/line_item");
    assert!(Models::new().published("shop").unwrap().is_empty());
}

#[test]
fn contradictions_are_errors_at_start() {
    let refused = |models: Models, app: &str| match models.published(app) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    };
    let twice = Models::new().publish::<post::Entity>().publish::<post::Entity>();
    assert!(matches!(refused(twice, "crowdtap"), Error::EndpointTwice(_)));
    let one_table = Models::new().publish::<post::Entity>().publish::<post_again::Entity>();
    assert!(refused(one_table, "crowdtap").to_string().contains("from the table `posts`"));
    assert!(matches!(refused(Models::new().publish::<line_item::Entity>(), "a b"), Error::Name(_)));
    let no_id = refused(Models::new().publish::<reading::Entity>(), "lab").to_string();
    assert!(no_id.contains("cannot be part of an id"), "{no_id}");
}
