use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use promiscuous_core::database::{Sql, SqlType};
use promiscuous_core::error::chain;

use super::*;
use crate::database::DatabaseBackend as _;
use crate::test_databases::TestDatabase;

fn refused<DB: PromiscuousBackend>(url: &str) -> String {
    let error = open(Manager::<DB>::plain(SecretUrl::new(url)).unwrap(), 1).map(|_| ()).unwrap_err();
    assert_eq!(error.kind, DatabaseErrorKind::Connection);
    chain(&error)
}

#[test]
fn why_a_database_cannot_be_connected_to_is_told_without_its_password() {
    for url in [
        "postgres://user:s3cret@127.0.0.1:1/shop",
        "postgres://user:s3cret@no-such-host.invalid/shop",
        "host=127.0.0.1 port=1 user=user password=s3cret",
    ] {
        let said = refused::<Pg>(url);
        assert!(said.contains("cannot be connected to") && !said.contains("s3cret"), "{said}");
    }
    // libpq's own words for these have the password in them.
    for url in ["postgres://user:s3cret%zz@host/shop", "host=127.0.0.1 password=two s3cret words"] {
        let said = refused::<Pg>(url);
        assert!(said.contains("postgres://user:password@host") && !said.contains("s3cret"), "{said}");
    }
    for (url, wanted) in [
        ("mysql://user:s3cret@127.0.0.1:1/shop", "cannot be connected to"),
        ("postgres://user:s3cret@127.0.0.1/shop", "mysql://user:password@host"),
    ] {
        let said = refused::<Mysql>(url);
        assert!(said.contains(wanted) && !said.contains("s3cret"), "{said}");
    }
    let manager = Manager::<Pg>::plain(SecretUrl::new("postgres://user:s3cret@host/shop")).unwrap();
    assert!(!format!("{manager:?}").contains("s3cret"));
}

#[test]
fn a_pool_makes_connections_as_they_are_needed_and_replaces_broken_ones() {
    let test = TestDatabase::sqlite();
    let pool = open(Manager::<Sqlite>::plain(SecretUrl::new(&test.url)).unwrap(), 1).unwrap();
    // A connection that comes back with an open transaction is not given out again.
    let mut connection = pool.get().unwrap();
    connection.begin_with("BEGIN").unwrap();
    let waiting = std::thread::spawn({
        let pool = pool.clone();
        move || pool.get().unwrap().begin_with("BEGIN").unwrap()
    });
    drop(connection);
    waiting.join().unwrap();
}

#[test]
fn connections_to_sqlite_wait_for_other_writers_and_an_apps_are_its_own_affair_else() {
    let test = TestDatabase::sqlite();
    let ask = |manager: Manager<Sqlite>, what: &str, column| {
        let pool = open(manager, 1).unwrap();
        let sql = Sql::new(Dialect::Sqlite, what);
        crate::sql::query(pool.get().unwrap().inner(), sql, &[column]).unwrap().remove(0).remove(0)
    };
    let own = || Manager::<Sqlite>::plain(SecretUrl::new(&test.url)).unwrap();
    let apps = || Manager { set_up: false, ..own() };
    assert_eq!(ask(apps(), "PRAGMA journal_mode", SqlType::Text), "delete".into());
    assert_eq!(ask(apps(), "PRAGMA busy_timeout", SqlType::Int), 5_000_i64.into());
    assert_eq!(ask(own(), "PRAGMA busy_timeout", SqlType::Int), 5_000_i64.into());
    assert_eq!(ask(own(), "PRAGMA journal_mode", SqlType::Text), "wal".into());
}

#[test]
fn a_mysql_url_that_asks_for_tls_is_recognised() {
    for (url, wanted) in [
        ("mysql://u:p@h/d", false),
        ("mysql://u:p@h/d?ssl_mode=disabled", false),
        ("mysql://u:p@h/d?ssl_mode=PREFERRED", false),
        ("mysql://u:p@h/d?unix_socket=/s&ssl_mode=required", true),
        ("mysql://u:p@h/d?ssl_ca=/etc/ca.pem", true),
    ] {
        assert_eq!(Mysql::wants_encryption(url), wanted, "{url}");
    }
}
