//! What an app says when it cannot start, and what it warns about.

use promiscuous_diesel::core::error::chain;

use super::*;

#[test]
fn missing_tables_and_a_missing_database_are_told() {
    let shop = TestApp::shop(&network());
    shop.plain().batch_execute("DROP TABLE promiscuous_meta").unwrap();
    let error = shop.app.start(&shop.url).unwrap_err();
    assert!(error.to_string().contains("promiscuous migrate"), "{error}");

    let error = shop.app.start("/no/such/folder/shop.sqlite").unwrap_err();
    assert!(chain(&error).contains("cannot be connected to"), "{}", chain(&error));
    let error = shop.app.start(":memory:").unwrap_err();
    assert!(error.to_string().contains("name a file"), "{error}");
    let twice = shop.app.clone().models(Models::new().publish::<shop::User>().publish::<shop::User>());
    assert!(twice.start(&shop.url).is_err());
}

#[test]
fn an_app_that_publishes_nothing_needs_no_server() {
    let mailer = TestApp::new("mailer", &network(), Models::new());
    mailer.plain().batch_execute("DROP TABLE promiscuous_outbox").unwrap();
    let running = mailer.start();
    assert!(running.publisher().is_none());
    let mut db = running.wrap(mailer.plain());
    diesel::insert_into(shop::users::table).values(shop::user(1, "Joe")).execute(&mut db).unwrap();
    running.shut_down(Duration::from_secs(1));
}

#[test]
fn writers_that_no_connection_sees_are_told() {
    let shop = TestApp::shop(&network());
    shop.plain()
        .batch_execute(
            "CREATE TRIGGER renames AFTER INSERT ON users BEGIN UPDATE users SET name = 'x' WHERE id = 1; END",
        )
        .unwrap();
    let found = shop.start().unseen_writers().unwrap();
    assert!(found.len() == 1 && found[0].contains("renames"), "{found:?}");
}
