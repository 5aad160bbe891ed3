//! On SQLite, whose connections block on threads of their own.

use std::sync::Arc;

use diesel::result::Error;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncConnection, RunQueryDsl, SaveChangesDsl, TransactionManager};
use promiscuous_core::capture::CaptureSettings;

use super::cancelled_after;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::sqlite::{Inner, open};
use crate::connection_tests::{Bakery, said, taken};
use crate::{AsyncSqlite, Context};

struct Kitchen {
    db: AsyncSqlite,
    bakery: Bakery<Inner>,
}

fn kitchen() -> Kitchen {
    let bakery = open(CaptureSettings::default()).unwrap();
    Kitchen { db: connect(&bakery), bakery }
}

fn connect(bakery: &Bakery<Inner>) -> AsyncSqlite {
    let mut inner = <Inner as diesel::Connection>::establish(&bakery.url).unwrap();
    diesel::connection::SimpleConnection::batch_execute(&mut inner, "PRAGMA busy_timeout = 20000").unwrap();
    AsyncSqlite::new(crate::Promiscuous::with_capture(inner, Arc::clone(bakery.db.capture())))
}

fn cakes(bakery: &mut Bakery<Inner>) -> Vec<String> {
    diesel::RunQueryDsl::load(cake::table.order(cake::id).select(cake::name), bakery.db.inner()).unwrap()
}

async fn ordinary_work(mut db: AsyncSqlite, bakery: &mut Bakery<Inner>) {
    let db = &mut db;
    let context = Context::new("request");
    context
        .scope(async {
            let one: Cake =
                diesel::insert_into(cake::table).values(known(1, "one")).get_result(db).await.unwrap();
            let saved: Cake = Cake { name: "uno".into(), ..one }.save_changes(db).await.unwrap();
            assert_eq!(saved.name, "uno");
            let id: i32 = diesel::insert_into(cake::table)
                .values(coded("two", "c"))
                .on_conflict(cake::code)
                .do_update()
                .set(cake::name.eq("dos"))
                .returning(cake::id)
                .get_result(db)
                .await
                .unwrap();
            assert_eq!(id, 2);
            let done = db.transaction::<_, Error, _>(async |db: &mut AsyncSqlite| {
                diesel::update(cake::table.find(1)).set(cake::name.eq("eins")).execute(db).await?;
                let inner = db.transaction::<(), Error, _>(async |db: &mut AsyncSqlite| {
                    diesel::delete(cake::table.find(1)).execute(db).await?;
                    Err(Error::RollbackTransaction)
                });
                assert!(inner.await.is_err());
                diesel::delete(cake::table.find(2)).execute(db).await
            });
            assert_eq!(done.await, Ok(1));
            let all: Vec<Cake> = cake::table.load(db).await.unwrap();
            assert_eq!(all.len(), 1);
        })
        .await;
    assert_eq!(taken(&context), ["cake/1"], "what runs on a thread is in the task's context");
    let messages = bakery.messages();
    assert!(messages.iter().all(|message| message.context.as_deref() == Some("request")), "{messages:?}");
    let lines: Vec<_> =
        messages.iter().flat_map(|m| &m.operations).map(crate::connection_tests::describe).collect();
    assert_eq!(
        lines,
        [
            "create cake/1 one",
            "update cake/1 uno",
            "update cake/2 two",
            "update cake/1 eins",
            "destroy cake/2"
        ]
    );
    let refused = diesel::update(cake::table.find(1)).set(cake::id.eq(5)).execute(db).await;
    assert!(said(refused).contains("refused before it ran"));
}

#[tokio::test]
async fn ordinary_work_is_published_on_one_thread() {
    let Kitchen { db, mut bakery } = kitchen();
    ordinary_work(db, &mut bakery).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_work_is_published_on_several_threads() {
    let Kitchen { db, mut bakery } = kitchen();
    ordinary_work(db, &mut bakery).await;
}

async fn cancel_everywhere(Kitchen { mut db, mut bakery }: Kitchen) {
    let mut finished = false;
    for polls in 1..500_i32 {
        let work = async {
            let single = known(polls * 1000, "single");
            diesel::insert_into(cake::table).values(single).execute(&mut db).await?;
            db.transaction::<_, Error, _>(async |db: &mut AsyncSqlite| {
                diesel::insert_into(cake::table).values(known(polls * 1000 + 1, "first")).execute(db).await?;
                diesel::delete(cake::table.find(polls * 1000)).execute(db).await
            })
            .await
        };
        if let Some(result) = cancelled_after(usize::try_from(polls).unwrap(), work).await {
            assert_eq!(result, Ok(1));
            finished = true;
            break;
        }
        // diesel-async leaves a cancelled transaction open; pools discard the connection.
        type Manager = <AsyncSqlite as AsyncConnection>::TransactionManager;
        if Manager::is_broken_transaction_manager(&mut db) {
            db = connect(&bakery);
        }
    }
    assert!(finished);
    let cakes = cakes(&mut bakery);
    let transactions = cakes.iter().filter(|name| *name == "first").count();
    let singles = cakes.iter().filter(|name| *name == "single").count();
    assert_eq!(cakes.len(), transactions + singles);
    // A statement that was sent is not cancelled: each commit was told of.
    assert_eq!(bakery.published().len(), singles + 2 * transactions, "{cakes:?}");
    assert_eq!(bakery.settled(), 0);
}

#[tokio::test]
async fn whatever_is_cancelled_the_messages_tell_what_was_committed_on_one_thread() {
    cancel_everywhere(kitchen()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_cancelled_the_messages_tell_what_was_committed_on_several_threads() {
    cancel_everywhere(kitchen()).await;
}
