//! What works the same on both databases.

mod cancelling;
mod endings;
mod pools;
mod reads;
mod transactions;
mod writes;

use std::sync::Arc;

use diesel::QueryDsl;
use diesel_async::AsyncConnection;
use promiscuous_core::capture::CaptureSettings;

use super::{Blocking, ID, Inner, KILL, OTHERS, open};
use crate::AsyncPromiscuous;
use crate::asynchronous::tests::cancelled_after;
use crate::connection_tests::Bakery;
use crate::connection_tests::fixtures::{NewCake, cake};

pub(super) type Db = AsyncPromiscuous<Inner>;

/// A database, what is published from it, and a connection.
pub(super) struct Kitchen {
    pub db: Db,
    pub bakery: Bakery<Blocking>,
}

pub(super) async fn kitchen() -> Option<Kitchen> {
    kitchen_with(CaptureSettings::default()).await
}

pub(super) async fn kitchen_with(settings: CaptureSettings) -> Option<Kitchen> {
    let bakery = open(settings)?;
    let db = connect(&bakery).await;
    Some(Kitchen { db, bakery })
}

/// A connection of the same app.
pub(super) async fn connect(bakery: &Bakery<Blocking>) -> Db {
    let inner = Inner::establish(&bakery.url).await.unwrap();
    AsyncPromiscuous::with_capture(inner, Arc::clone(bakery.db.capture()))
}

/// Cakes 1 to n, unpublished.
pub(super) fn bake(bakery: &mut Bakery<Blocking>, names: &[&str]) {
    for name in names {
        let new = NewCake { name: (*name).into(), ..NewCake::default() };
        let insert = diesel::insert_into(cake::table).values(new);
        diesel::RunQueryDsl::execute(insert, bakery.db.inner()).unwrap();
    }
}

/// The names of all cakes, as others see them.
pub(super) fn cakes(bakery: &Bakery<Blocking>) -> Vec<String> {
    let mut other = <Blocking as diesel::Connection>::establish(&bakery.url).unwrap();
    diesel::RunQueryDsl::load(cake::table.order(cake::id).select(cake::name), &mut other).unwrap()
}

/// How many messages are in the outbox.
pub(super) fn outbox(bakery: &Bakery<Blocking>) -> usize {
    diesel::table! { promiscuous_outbox (op) { op -> Text, } }
    let mut other = <Blocking as diesel::Connection>::establish(&bakery.url).unwrap();
    let count: i64 = diesel::RunQueryDsl::get_result(promiscuous_outbox::table.count(), &mut other).unwrap();
    usize::try_from(count).unwrap()
}

/// Closes all connections but the one that asks.
pub(super) fn kill_others(bakery: &mut Bakery<Blocking>) {
    #[derive(diesel::QueryableByName)]
    struct Id {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        id: i64,
    }
    let others = diesel::sql_query(OTHERS.replace("count(*)", ID));
    let others: Vec<Id> = diesel::RunQueryDsl::load(others, bakery.db.inner()).unwrap();
    assert!(!others.is_empty());
    for Id { id } in others {
        let kill = diesel::sql_query(KILL.replace("{id}", &id.to_string()));
        diesel::RunQueryDsl::execute(kill, bakery.db.inner()).unwrap();
    }
}

/// Waits until the server has noticed that all connections but so many are gone.
pub(super) async fn alone(bakery: &mut Bakery<Blocking>, with: i64) {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    for _ in 0..2000 {
        let asked = diesel::sql_query(OTHERS.replace("count(*)", "count(*) AS count"));
        let others: Count = diesel::RunQueryDsl::get_result(asked, bakery.db.inner()).unwrap();
        if others.count <= with {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("connections that were dropped are still there");
}
