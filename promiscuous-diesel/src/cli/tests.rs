use diesel::sqlite::Sqlite;
use promiscuous_core::config::Settings;
use promiscuous_core::database::{DatabaseErrorKind, Sql};
use promiscuous_core::schema::create_tables;

use super::*;
use crate::test_databases::TestDatabase;

fn app() -> DieselApp<Sqlite> {
    DieselApp { models: Models::new() }
}

fn config(url: &str) -> Config {
    let memory = SecretUrl::new("memory://command");
    let mut settings = Settings::default();
    settings.app = Some("command".into());
    settings.database_url = Some(SecretUrl::new(url));
    settings.amqp_url = Some(memory.clone());
    settings.redis_url = Some(memory);
    settings.resolve().unwrap()
}

#[test]
fn urls_and_paths_are_understood_and_other_databases_refused() {
    for url in ["shop.sqlite", "/var/lib/shop.sqlite", "sqlite://shop.sqlite", "sqlite:shop.sqlite"] {
        assert_eq!(app().dialect(&SecretUrl::new(url)).unwrap(), Dialect::Sqlite, "{url}");
    }
    let error = app().dialect(&SecretUrl::new("postgres://user:s3cret@host/shop")).unwrap_err();
    assert!(error.to_string().contains("`postgres`") && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_database_is_connected_to_and_one_that_is_away_is_told_as_such() {
    let test = TestDatabase::sqlite();
    let url = format!("sqlite:{}", test.url);
    let plain = app().connect_plain(&SecretUrl::new(&url)).await.unwrap();
    for statement in create_tables(plain.dialect()) {
        plain.execute(Sql::new(plain.dialect(), &statement)).await.unwrap();
    }
    let config = config(&url);
    let connected = app().connect(&config, &Links::new(&config).unwrap()).await.unwrap();
    assert!(connected.publisher.is_none(), "it publishes nothing");
    assert!(connected.subscribed.attributes(0).is_empty(), "it subscribes to nothing");
    let transaction = connected.database.begin().await.unwrap();
    transaction.commit().await.unwrap();

    let away = SecretUrl::new("sqlite:///no/such/folder/shop.sqlite");
    let Err(Error::Database(error)) = app().connect_plain(&away).await.map(|_| ()) else { panic!() };
    assert_eq!(error.kind, DatabaseErrorKind::Connection, "so that it is tried again");
}
