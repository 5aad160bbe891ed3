//! Failures and cancellations: nothing is half published, and nothing panics.

use std::future::Future;
use std::task::Poll;

use sea_orm::ConnectionTrait;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;

use super::{Bakery, cake as named, known, said};
use crate::commit::tests::Fault;
use crate::connection::PromiscuousConnection;
use crate::fixtures::cake;
use promiscuous_core::capture::CaptureSettings;

#[tokio::test]
async fn a_version_store_that_is_away_rolls_the_write_back() {
    let bakery = Bakery::open().await;
    bakery.fail(Fault::LockAndBump);
    let error = said(named("one").insert(&bakery.db).await);
    assert!(error.contains("could not be published: the test says so"), "{error}");
    let transaction = bakery.db.begin().await.unwrap();
    named("two").insert(&transaction).await.unwrap();
    bakery.fail(Fault::LockAndBump);
    assert!(transaction.commit().await.is_err());
    assert_eq!(bakery.cakes().await, [""; 0]);
    assert_eq!(bakery.settled(), 0);
    named("three").insert(&bakery.db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 three"]);
}

#[tokio::test]
async fn a_failed_outbox_insert_rolls_back_and_settles_the_versions() {
    let bakery = Bakery::open().await;
    bakery.fail(Fault::OutboxInsert);
    assert!(said(named("one").insert(&bakery.db).await).contains("no_such_table"));
    assert_eq!(bakery.settled(), 1);
    assert_eq!(bakery.cakes().await, [""; 0]);
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn too_many_returned_rows_spoil_the_transaction_they_are_in() {
    let mut settings = CaptureSettings::default();
    settings.bulk_limit = 1;
    let bakery = Bakery::with(settings).await;
    bakery.bake(&["a", "b"]).await;
    let transaction = bakery.db.begin().await.unwrap();
    let all = cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x"));
    assert!(said(all.exec_with_returning(&transaction).await).contains("more than 1 rows"));
    assert!(said(named("c").insert(&transaction).await).contains("roll it back"));
    assert!(said(transaction.commit().await).contains("roll it back"));
    assert_eq!(bakery.cakes().await, ["a", "b"]);
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn a_write_cancelled_in_a_transaction_spoils_it() {
    for _ in 0..100 {
        let bakery = Bakery::open().await;
        let transaction = bakery.db.begin().await.unwrap();
        if poll_some(named("lost").insert(&transaction), 1, Dropped::AtOnce).await.is_some() {
            // The database's thread was faster.
            continue;
        }
        assert!(said(transaction.commit().await).contains("cancelled"));
        assert_eq!(bakery.cakes().await, [""; 0]);
        assert!(bakery.published().is_empty());
        return;
    }
    panic!("the database is always faster");
}

#[tokio::test]
async fn whatever_is_cancelled_the_messages_tell_what_was_committed() {
    // A connection that is cancelled may be closed, and with it a database in memory.
    let file = std::env::temp_dir().join(format!("{}.sqlite", uuid::Uuid::now_v7()));
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let bakery = Bakery::at(&url, CaptureSettings::default()).await;
    let mut finished = false;
    for polls in 0..1000 {
        // While the database is at it, or when its answer has come.
        let dropped = if polls % 2 == 0 { Dropped::AtOnce } else { Dropped::WhenWoken };
        if let Some(result) = poll_some(work(&bakery.db, polls), polls / 2, dropped).await {
            result.unwrap();
            finished = true;
            break;
        }
    }
    assert!(finished, "the work takes more polls than were tried");
    bakery.balance(1).await;
    let _ = std::fs::remove_file(file);
}

/// A single write, and a transaction with a savepoint. [`Bakery::balance`] tells what must be there of it afterwards.
pub(super) async fn work(db: &PromiscuousConnection, number: usize) -> Result<(), DbErr> {
    let single = format!("single {number}");
    named(&single).insert(db).await?;
    let transaction = db.begin().await?;
    let first = named("first").insert(&transaction).await?;
    let savepoint = transaction.begin().await?;
    known(first.id, "renamed").update_without_returning(&savepoint).await?;
    savepoint.commit().await?;
    cake::Entity::delete_many().filter(cake::Column::Name.eq(single)).exec(&transaction).await?;
    transaction.commit().await
}

#[tokio::test]
async fn a_hanging_version_store_can_be_cancelled() {
    let bakery = Bakery::open().await;
    bakery.fail(Fault::Hang);
    let slow = tokio::time::timeout(std::time::Duration::from_millis(50), named("one").insert(&bakery.db));
    assert!(slow.await.is_err());
    assert_eq!(bakery.cakes().await, [""; 0]);
}

#[tokio::test]
async fn a_savepoint_dropped_while_the_connection_is_in_use_does_not_panic() {
    let bakery = Bakery::open().await;
    let transaction = bakery.db.begin().await.unwrap();
    let savepoint = transaction.begin().await.unwrap();
    named("lost").insert(&savepoint).await.unwrap();
    let stream = cake::Entity::find().stream(&transaction).await.unwrap();
    // In SeaORM itself this panics: "Dropping a locked Transaction".
    drop(savepoint);
    drop(stream);
    assert!(said(transaction.commit().await).contains("roll it back"));
    assert_eq!(bakery.cakes().await, [""; 0]);
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn a_cancelled_savepoint_does_not_let_the_rest_slip_out_of_the_transaction() {
    for _ in 0..100 {
        let bakery = Bakery::open().await;
        let transaction = bakery.db.begin().await.unwrap();
        named("lost").insert(&transaction).await.unwrap();
        if poll_some(transaction.begin(), 1, Dropped::AtOnce).await.is_some() {
            // The database's thread was faster.
            continue;
        }
        // SeaORM may have rolled the outer transaction back by now: this write would commit by itself.
        let write = transaction.execute_unprepared("INSERT INTO pan (name) VALUES ('x')").await;
        assert!(said(write).contains("roll it back"));
        assert!(said(transaction.commit().await).contains("roll it back"));
        assert_eq!(bakery.cakes().await, [""; 0]);
        assert!(bakery.published().is_empty());
        return;
    }
    panic!("the database is always faster");
}

/// When a future is dropped after its last poll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dropped {
    /// The database is at work.
    AtOnce,
    /// The database has answered, but nobody has read that.
    WhenWoken,
}

/// Polls a future that many times, each time that it asks for it, then drops it.
async fn poll_some<F: Future>(future: F, polls: usize, dropped: Dropped) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(task) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && dropped == Dropped::AtOnce => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
