//! Rows of a library, on SQLite, and on PostgreSQL and MariaDB where `TEST_POSTGRES_URL` and `TEST_MARIADB_URL` name a server.

mod conditions;
mod entities;
mod library;
mod paging;
mod reading;
mod writers;

use sea_orm::DbBackend;
use sea_orm::sea_query::{Expr, Query};

use super::shared_lock;
use crate::keyset::{Bound, bounded};

#[test]
fn a_shared_lock_is_spelled_as_the_server_wants_it() {
    for version in ["10.6.23-MariaDB", "5.5.5-10.11.19-MariaDB-0+deb12u1", "11.8.3-MariaDB-ubu2404-log"] {
        assert_eq!(shared_lock(version), " LOCK IN SHARE MODE SKIP LOCKED", "{version}");
    }
    for version in ["", "8.0.43", "8.4.6-commercial", "9.4.0-0ubuntu0.24.04.1"] {
        assert_eq!(shared_lock(version), " FOR SHARE SKIP LOCKED", "{version}");
    }
}

#[test]
fn what_is_after_a_key_is_said_as_each_database_s_index_understands_it() {
    let columns = ["a", "b"].map(Expr::col);
    let said = |backend: DbBackend| {
        let after = bounded(backend, &columns, Bound::After, &[Expr::val(1), Expr::val(2)]).unwrap();
        let select = Query::select().column("a").from("t").and_where(after).to_owned();
        backend.build(&select).to_string()
    };
    let expected = "SELECT `a` FROM `t` WHERE `a` >= 1 AND (`a` > 1 OR (`a` = 1 AND `b` > 2))";
    assert_eq!(said(DbBackend::MySql), expected);
    for backend in [DbBackend::Postgres, DbBackend::Sqlite] {
        assert_eq!(said(backend), r#"SELECT "a" FROM "t" WHERE ("a", "b") > (1, 2)"#);
    }
}
