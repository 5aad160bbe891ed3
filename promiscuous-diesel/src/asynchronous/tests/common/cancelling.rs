//! Futures that are dropped: nothing is lost, and nothing is published that was not committed.

use diesel::result::Error;
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncConnection, RunQueryDsl, TransactionManager};
use tokio::sync::oneshot;

use super::*;
use crate::AsyncBackend;
use crate::commit::tests::Fault;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;

const SURVIVES: bool =
    <<Inner as diesel_async::AsyncConnectionCore>::Backend as AsyncBackend>::SURVIVES_CANCELLATION;

type Manager = <Db as AsyncConnection>::TransactionManager;

async fn add(db: &mut Db, new: NewCake) -> Result<usize, Error> {
    diesel::insert_into(cake::table).values(new).execute(db).await
}

/// Drops the same work after each number of polls. What was sent to a server before it was cancelled may take effect any time later, so
/// the books are balanced at the end: every committed transaction has its outbox row, and no other has.
#[tokio::test]
async fn whatever_is_cancelled_the_messages_tell_what_was_committed() {
    let Some(Kitchen { mut db, mut bakery }) = kitchen().await else { return };
    let (mut finished, mut reused) = (false, 0);
    for polls in 1..500 {
        let work = async {
            let single = format!("single {polls}");
            add(&mut db, named(&single)).await?;
            db.transaction::<_, Error, _>(async |db: &mut Db| {
                let (polls, single) = (i32::try_from(polls).unwrap() * 1000, format!("single {polls}"));
                add(db, known(polls, "first")).await?;
                db.transaction::<_, Error, _>(async |db: &mut Db| {
                    diesel::update(cake::table.find(polls)).set(cake::name.eq("renamed")).execute(db).await
                })
                .await?;
                diesel::delete(cake::table.filter(cake::name.eq(single))).execute(db).await
            })
            .await
        };
        match cancelled_after(polls, work).await {
            Some(result) => {
                assert_eq!(result, Ok(1));
                finished = true;
                break;
            }
            None => {
                // The next write finds the connection as it should be, or refuses to use it.
                match add(&mut db, known(i32::try_from(polls).unwrap() * 1000 + 1, "next")).await {
                    Ok(_) => reused += 1,
                    Err(error) => {
                        assert!(error.to_string().contains("cannot be used any more"), "{error}");
                        assert!(Manager::is_broken_transaction_manager(&mut db));
                        db = connect(&bakery).await;
                        alone(&mut bakery, 1).await;
                    }
                }
                assert!(!Manager::is_broken_transaction_manager(&mut db), "nothing is left open");
            }
        }
    }
    assert!(finished, "the work takes more polls than were tried");
    drop(db);
    alone(&mut bakery, 0).await;
    let cakes = cakes(&bakery);
    let count = |name: &str| cakes.iter().filter(|cake| cake.starts_with(name)).count();
    let (transactions, singles, nexts) = (count("renamed"), count("single"), count("next"));
    assert_eq!(cakes.len(), transactions + singles + nexts, "{cakes:?}");
    assert_eq!(nexts, reused);
    if SURVIVES {
        assert!(reused > 0);
    }
    // A transaction that committed has deleted the row of the single write before it.
    let committed = singles + 2 * transactions + nexts;
    assert_eq!(outbox(&bakery), committed, "{cakes:?}");
    // A COMMIT that was under way when its future was dropped is left to the recovery.
    let messages = bakery.published().len();
    assert!(messages <= committed && committed <= messages + bakery.settled());
}

#[tokio::test]
async fn a_write_cancelled_in_a_transaction_spoils_it() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let result = db.transaction::<_, Error, _>(async |db: &mut Db| {
        add(db, known(1, "before")).await?;
        assert_eq!(cancelled_after(1, add(db, known(2, "lost"))).await, None);
        Ok(())
    });
    let said = said(result.await);
    assert!(said.contains("cancelled"), "{said}");
    drop(db);
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), [""; 0]);
}

#[tokio::test]
async fn a_cancelled_transaction_is_rolled_back_before_the_connection_is_used_again() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let (writes, written) = oneshot::channel();
    let never = db.transaction::<(), Error, _>(async move |db: &mut Db| {
        add(db, known(1, "lost")).await?;
        writes.send(()).unwrap();
        std::future::pending().await
    });
    cancelled_when(written, never).await;
    assert!(Manager::is_broken_transaction_manager(&mut db), "a pool would discard it");
    add(&mut db, known(2, "alone")).await.unwrap();
    assert!(!Manager::is_broken_transaction_manager(&mut db));
    assert_eq!(bakery.published(), ["create cake/2 alone"]);
    assert_eq!(cakes(&bakery), ["alone"]);
}

/// Drops a future that is never done as soon as the other is.
async fn cancelled_when<W: Future, R>(when: W, future: impl Future<Output = R>) {
    tokio::select! {
        _ = future => unreachable!("it waits for ever"),
        _ = when => {}
    }
}

#[tokio::test]
async fn a_cancelled_savepoint_does_not_take_the_transaction_with_it() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    let result = db.transaction::<_, Error, _>(async |db: &mut Db| {
        add(db, known(1, "kept")).await?;
        let (writes, written) = oneshot::channel();
        let never = db.transaction::<(), Error, _>(async move |db: &mut Db| {
            add(db, known(2, "lost")).await?;
            writes.send(()).unwrap();
            std::future::pending().await
        });
        cancelled_when(written, never).await;
        add(db, known(3, "too")).await
    });
    assert_eq!(result.await, Ok(1));
    assert_eq!(bakery.published(), ["create cake/1 kept; create cake/3 too"]);
    assert_eq!(cakes(&bakery), ["kept", "too"]);
}

#[tokio::test]
async fn a_hanging_version_store_can_be_cancelled() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    bakery.fail(Fault::Hang);
    cancelled_when(bakery.recorded.hangs.notified(), add(&mut db, known(1, "lost"))).await;
    *bakery.recorded.fail.lock().unwrap() = None;
    // No statement was under way: the connection is as good as before on every database.
    add(&mut db, known(2, "next")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 next"]);
    assert_eq!(cakes(&bakery), ["next"]);
}

#[tokio::test]
async fn a_commit_that_was_cancelled_cannot_be_repeated_without_what_was_written() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    Manager::begin_transaction(&mut db).await.unwrap();
    add(&mut db, known(1, "lost")).await.unwrap();
    bakery.fail(Fault::Hang);
    cancelled_when(bakery.recorded.hangs.notified(), Manager::commit_transaction(&mut db)).await;
    *bakery.recorded.fail.lock().unwrap() = None;
    let again = said(Manager::commit_transaction(&mut db).await);
    assert!(again.contains("its COMMIT was cancelled"), "{again}");
    assert!(bakery.published().is_empty());
    assert_eq!(cakes(&bakery), [""; 0]);
}

#[tokio::test]
async fn a_future_that_was_never_polled_has_done_nothing() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    drop(add(&mut db, known(1, "never")));
    drop(cake::table.load::<Cake>(&mut db));
    drop(diesel::insert_into(pan::table).values(pan::name.eq("never")).execute(&mut db));
    add(&mut db, known(2, "one")).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 one"]);
}

#[tokio::test]
async fn a_cancelled_read_is_forgotten_or_the_connection_is() {
    let Some(Kitchen { mut db, bakery }) = kitchen().await else { return };
    assert!(cancelled_after(1, cake::table.load::<Cake>(&mut db)).await.is_none());
    let next = add(&mut db, known(2, "one")).await;
    assert_eq!(next.is_ok(), SURVIVES, "{next:?}");
    assert_eq!(Manager::is_broken_transaction_manager(&mut db), !SURVIVES);
    assert_eq!(bakery.published().len(), usize::from(SURVIVES));
}
