//! `#[derive(MultiConnection)]` over our connections.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection, SqliteConnection};

use super::Bakery;
use super::fixtures::{Cake, cake};
use crate::Promiscuous;

type PgDb = Promiscuous<PgConnection>;
type MysqlDb = Promiscuous<MysqlConnection>;
type SqliteDb = Promiscuous<SqliteConnection>;

#[derive(diesel::MultiConnection)]
enum AnyDb {
    Postgres(PgDb),
    Mysql(MysqlDb),
    Sqlite(SqliteDb),
}

fn work(db: &mut AnyDb) -> QueryResult<Vec<Cake>> {
    diesel::insert_into(cake::table).values((cake::id.eq(1), cake::name.eq("one"))).execute(db)?;
    db.transaction(|db| {
        diesel::update(cake::table.filter(cake::name.eq("one"))).set(cake::name.eq("uno")).execute(db)?;
        diesel::delete(cake::table.find(2)).execute(db)
    })?;
    cake::table.load(db)
}

fn publishes<C>(bakery: Option<Bakery<C>>, variant: fn(Promiscuous<C>) -> AnyDb)
where
    C: crate::connection::Wrapped,
    i32: diesel::deserialize::FromSql<diesel::sql_types::Integer, C::Backend>,
    String: diesel::deserialize::FromSql<diesel::sql_types::Text, C::Backend>,
{
    let Some(bakery) = bakery else { return };
    let context = crate::Context::new("test");
    let inner = C::establish(&bakery.url).unwrap();
    let db = Promiscuous::with_capture(inner, Arc::clone(bakery.db.capture())).with_context(context.clone());
    let cakes = work(&mut variant(db)).unwrap();
    assert_eq!(cakes.len(), 1);
    assert_eq!(bakery.published(), ["create cake/1 one", "update cake/1 uno"]);
    assert_eq!(super::taken(&context), [""; 0]);
    let db = Promiscuous::with_capture(C::establish(&bakery.url).unwrap(), Arc::clone(bakery.db.capture()));
    let other = crate::Context::new("other");
    let _: Vec<Cake> = cake::table.load(&mut variant(db.with_context(other.clone()))).unwrap();
    assert_eq!(super::taken(&other), ["cake/1"]);
}

#[test]
fn one_of_several_databases_publishes_like_the_only_one() {
    publishes(super::sqlite::open(Default::default()), AnyDb::Sqlite);
    publishes(super::postgres::open(Default::default()), AnyDb::Postgres);
    publishes(super::mariadb::open(Default::default()), AnyDb::Mysql);
}
