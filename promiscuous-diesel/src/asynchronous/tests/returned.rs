//! What only PostgreSQL can: writes that return rows, and transactions with characteristics.

use diesel::upsert::excluded;
use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, TextExpressionMethods};
use diesel_async::RunQueryDsl;

use super::common::{Db, Kitchen, cakes, kitchen};
use crate::commit::tests::Fault;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;

#[tokio::test]
async fn the_app_gets_the_columns_it_asked_for_and_no_more() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let db = &mut db;
    let one: Cake = diesel::insert_into(cake::table).values(coded("one", "c")).get_result(db).await.unwrap();
    assert_eq!((one.id, one.code.as_deref()), (1, Some("c")));
    let insert = diesel::insert_into(cake::table).values(named("two")).returning(cake::id);
    assert_eq!(insert.get_result::<i32>(db).await, Ok(2));
    let all: Vec<(Option<String>, String)> = diesel::update(cake::table)
        .set(cake::name.eq(cake::name.concat("!")))
        .returning((cake::code, cake::name))
        .get_results(db)
        .await
        .unwrap();
    assert!(all.contains(&(Some("c".into()), "one!".into())) && all.len() == 2, "{all:?}");
    let gone: Cake =
        diesel::delete(cake::table.find(1)).returning(Cake::as_returning()).get_result(db).await.unwrap();
    assert_eq!(gone.name, "one!");
    #[derive(diesel::QueryableByName)]
    #[diesel(table_name = cake)]
    struct Named {
        name: String,
    }
    let raw = diesel::sql_query("UPDATE cake SET name = 'raw' RETURNING name").get_result::<Named>(db).await;
    assert_eq!(raw.unwrap().name, "raw");
    assert_eq!(
        bakery.published(),
        [
            "create cake/1 one",
            "create cake/2 two",
            "update cake/1 one!; update cake/2 two!",
            "destroy cake/1",
            "update cake/2 raw"
        ]
    );
}

#[tokio::test]
async fn upserts_publish_what_they_inserted_or_updated() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let db = &mut db;
    for name in ["one", "uno"] {
        let upsert = diesel::insert_into(cake::table)
            .values(coded(name, "c"))
            .on_conflict(cake::code)
            .do_update()
            .set(cake::name.eq(excluded(cake::name)));
        assert_eq!(upsert.execute(db).await, Ok(1));
    }
    let nothing = diesel::insert_into(cake::table).values(coded("other", "c")).on_conflict_do_nothing();
    assert_eq!(nothing.execute(db).await, Ok(0));
    assert_eq!(bakery.published(), ["update cake/1 one", "update cake/1 uno"]);
}

#[tokio::test]
async fn a_commit_that_the_database_refuses_publishes_nothing() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    bakery.fail(Fault::Commit);
    let refused = diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut db).await;
    assert!(said(refused).contains("refused_at_commit"));
    assert_eq!(bakery.settled(), 1);
    assert_eq!(cakes(&bakery), [""; 0]);
    diesel::insert_into(cake::table).values(known(2, "two")).execute(&mut db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 two"]);
}

#[tokio::test]
async fn a_transaction_can_have_an_isolation_level() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let level = db
        .build_transaction()
        .serializable()
        .run::<_, diesel::result::Error, _>(async |db: &mut Db| {
            diesel::insert_into(cake::table).values(known(1, "one")).execute(db).await?;
            let shown = diesel::sql_query("SELECT current_setting('transaction_isolation') AS name");
            #[derive(diesel::QueryableByName)]
            struct Shown {
                #[diesel(sql_type = diesel::sql_types::Text)]
                name: String,
            }
            shown.get_result::<Shown>(db).await.map(|shown| shown.name)
        })
        .await;
    assert_eq!(level.as_deref(), Ok("serializable"));
    let refused = db
        .build_transaction()
        .read_only()
        .run::<_, diesel::result::Error, _>(async |db: &mut Db| {
            diesel::insert_into(cake::table).values(known(2, "two")).execute(db).await
        })
        .await;
    assert!(said(refused).contains("read-only"));
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}
