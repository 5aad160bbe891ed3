//! What writes published tables behind the connection's back is told, where the schema shows it.

use promiscuous_seaorm::{Config, Models, Promiscuous};
use promiscuous_tests::unique_app;
use sea_orm::ConnectionTrait;

use crate::replica::Kind;

mod parent {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "parents")]
    #[publish(attributes(name))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub name: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

mod child {
    use promiscuous_seaorm::Publish;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Publish)]
    #[sea_orm(table_name = "children")]
    #[publish(attributes(parent_id))]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub parent_id: i64,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

async fn triggers_and_cascades_on_published_tables_are_told(kind: Kind) {
    // Given a published table with a trigger, and one whose rows go with another's; and tables of the same kind that
    // are not published,
    let database = kind.create().await;
    let db = database.connect(1).await;
    let trigger = |table: &str| match kind {
        Kind::Postgres => format!(
            "CREATE FUNCTION on_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER watch_{table} AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION on_{table}()"
        ),
        Kind::MariaDb => {
            format!("CREATE TRIGGER watch_{table} AFTER INSERT ON {table} FOR EACH ROW SET @seen = 1")
        }
        Kind::Sqlite => {
            format!("CREATE TRIGGER watch_{table} AFTER INSERT ON {table} BEGIN SELECT 1; END")
        }
    };
    let child = |table: &str, rule: &str| {
        format!(
            "CREATE TABLE {table} (id BIGINT PRIMARY KEY, parent_id BIGINT NOT NULL, \
             CONSTRAINT of_{table} FOREIGN KEY (parent_id) REFERENCES parents (id) {rule})"
        )
    };
    for statement in [
        "CREATE TABLE parents (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL)".to_owned(),
        "CREATE TABLE others (id BIGINT PRIMARY KEY)".to_owned(),
        child("children", "ON DELETE CASCADE"),
        child("strangers", "ON DELETE CASCADE"),
        trigger("parents"),
        trigger("others"),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
    let models = Models::new().publish::<parent::Entity>().publish::<child::Entity>();
    let config = Config::embedded(&unique_app("unseen"), "unseen").unwrap();
    let promiscuous = Promiscuous::new(config).unwrap().models(models);
    // When the schema is looked at,
    let mut told = promiscuous.unseen_writers(&db).await.unwrap();
    told.sort();
    // Then it tells of these two, and of nothing else.
    let [cascade, trigger] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        cascade.starts_with("rows of the published table `children` are changed or deleted"),
        "{cascade}"
    );
    assert!(
        trigger.starts_with("the published table `parents` has the trigger `watch_parents`"),
        "{trigger}"
    );
}

#[tokio::test]
async fn on_postgres_triggers_and_cascades_are_told() {
    triggers_and_cascades_on_published_tables_are_told(Kind::Postgres).await;
}

#[tokio::test]
async fn on_mariadb_triggers_and_cascades_are_told() {
    triggers_and_cascades_on_published_tables_are_told(Kind::MariaDb).await;
}

#[tokio::test]
async fn on_sqlite_triggers_and_cascades_are_told() {
    triggers_and_cascades_on_published_tables_are_told(Kind::Sqlite).await;
}

#[tokio::test]
async fn on_mariadb_columns_that_change_by_themselves_are_told() {
    // Given a published table with a column that every update changes,
    let db = Kind::MariaDb.create().await.connect(1).await;
    let table = "CREATE TABLE parents (id BIGINT PRIMARY KEY, name VARCHAR(40) NOT NULL, \
                 seen TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6))";
    db.execute_unprepared(table).await.unwrap();
    let config = Config::embedded(&unique_app("unseen"), "unseen").unwrap();
    let promiscuous = Promiscuous::new(config).unwrap().models(Models::new().publish::<parent::Entity>());
    // When the schema is looked at, then it tells.
    let told = promiscuous.unseen_writers(&db).await.unwrap();
    let [column] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        column.starts_with("the database itself changes `seen` of the published table `parents`"),
        "{column}"
    );
}
