//! Futures that are dropped while a server has not answered yet: the connection is as good as before, at every answer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryTrait, Statement, StreamTrait};

use super::endings::work;
use super::relay::Relay;
use super::servers::{database, pool};
use super::{Bakery, cake as named};
use crate::commit::CommitPath;
use crate::connection::PromiscuousConnection;
use crate::database_error::has_rolled_back;
use crate::fixtures::{cake, models};
use promiscuous_core::capture::CaptureSettings;

/// Interrupts the work at each answer of each server. A new connection each time has every statement to prepare again.
async fn interrupt(work: impl AsyncFn(&PromiscuousConnection) -> Result<(), DbErr>) {
    for variable in ["TEST_POSTGRES_URL", "TEST_MARIADB_URL"] {
        let Some(url) = database(variable).await else { continue };
        let bakery = Bakery::equipped(pool(&url, 1).await, CaptureSettings::default()).await;
        let (relay, through) = Relay::to(&url).await;
        let mut finished = false;
        for answers in 0..200 {
            let path = CommitPath::Recorded(Arc::clone(&bakery.recorded));
            let db = PromiscuousConnection::with_path(
                pool(&through, 1).await,
                models(),
                path,
                CaptureSettings::default(),
            );
            relay.close_after(answers);
            finished = finishes(work(&db), &relay).await;
            let place = format!("{variable}, interrupted at answer {answers}");
            as_good_as_before(&db, bakery.plain(), &place).await;
            bakery.quiet().await;
            if finished {
                break;
            }
        }
        assert!(finished, "the work takes more answers than were tried");
        bakery.balance(1).await;
    }
}

/// Drops the work when an answer is withheld, which then comes.
async fn finishes(work: impl Future<Output = Result<(), DbErr>>, relay: &Relay) -> bool {
    let finished = tokio::select! {
        biased;
        result = work => match result {
            // What the last one left behind may still hold locks.
            Err(error) if has_rolled_back(&error) => false,
            result => {
                result.unwrap();
                true
            }
        },
        () = relay.closed() => false,
    };
    relay.open();
    finished
}

/// Answers belong to their questions, and what is written outside of a transaction is there for everybody.
async fn as_good_as_before(db: &PromiscuousConnection, other: &DatabaseConnection, place: &str) {
    let backend = db.get_database_backend();
    for number in [41, 42, 43] {
        let ask = Statement::from_string(backend, format!("SELECT CAST({number} AS DECIMAL) AS n"));
        let row = db.query_one_raw(ask).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let answer = row.and_then(|row| row.try_get::<Decimal>("", "n").ok());
        assert_eq!(answer, Some(number.into()), "{place}");
    }
    db.execute_unprepared("INSERT INTO pan (name) VALUES ('seen')").await.unwrap();
    let ask = Statement::from_string(backend, "SELECT name FROM pan");
    assert_eq!(other.query_all_raw(ask).await.unwrap().len(), 1, "{place}: not committed");
    other.execute_unprepared("DELETE FROM pan").await.unwrap();
}

#[tokio::test]
async fn a_transaction_can_be_interrupted() {
    let count = AtomicUsize::new(0);
    interrupt(async |db| work(db, count.fetch_add(1, Ordering::Relaxed)).await).await;
}

/// Back to back in a pool of some connections: what the last one left behind is still being cleared away.
#[tokio::test]
async fn servers_commit_what_is_published_whatever_is_cancelled() {
    const CONNECTIONS: u32 = 5;
    for variable in ["TEST_POSTGRES_URL", "TEST_MARIADB_URL"] {
        let Some(url) = database(variable).await else { continue };
        let (relay, through) = Relay::to(&url).await;
        let bakery = Bakery::equipped(pool(&through, CONNECTIONS).await, CaptureSettings::default()).await;
        let mut finished = false;
        for answers in 0..500 {
            relay.close_after(answers);
            finished = finishes(work(&bakery.db, answers), &relay).await;
            if finished {
                break;
            }
        }
        assert!(finished, "the work takes more answers than were tried");
        bakery.balance(CONNECTIONS as usize).await;
    }
}

#[tokio::test]
async fn a_transaction_that_rolls_back_can_be_interrupted() {
    interrupt(async |db| {
        let transaction = db.begin().await?;
        cake::Entity::find().all(&transaction).await?;
        named("lost").insert(&transaction).await?;
        let savepoint = transaction.begin().await?;
        named("lost too").insert(&savepoint).await?;
        savepoint.rollback().await?;
        transaction.rollback().await
    })
    .await;
}

#[tokio::test]
async fn reads_and_pings_can_be_interrupted() {
    // With TLS compiled in, connecting holds a handshake.
    Box::pin(interrupt(async |db| {
        cake::Entity::find().filter(cake::Column::Name.eq("x")).all(db).await?;
        db.ping().await?;
        db.execute_unprepared("UPDATE pan SET name = 'y'").await?;
        let mut rows =
            StreamTrait::stream(db, &cake::Entity::find().filter(cake::Column::Id.gt(3)).into_query())
                .await?;
        while let Some(row) = rows.next().await {
            row?;
        }
        Ok(())
    }))
    .await;
}
