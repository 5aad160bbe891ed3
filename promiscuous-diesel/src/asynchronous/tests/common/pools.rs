//! Pools, in both nestings.

use std::sync::Arc;

use diesel_async::pooled_connection::bb8::{Pool, PooledConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection, RunQueryDsl};
use futures_util::FutureExt;

use super::*;
use crate::Context;
use crate::connection_tests::fixtures::*;

#[tokio::test]
async fn a_pool_of_wrapped_connections_publishes_and_forgets_contexts() {
    let Some(Kitchen { bakery, .. }) = kitchen().await else { return };
    let capture = Arc::clone(bakery.db.capture());
    let mut config = ManagerConfig::<Db>::default();
    config.custom_setup = Box::new(move |url| {
        let (capture, url) = (Arc::clone(&capture), url.to_owned());
        async move { Ok(AsyncPromiscuous::with_capture(Inner::establish(&url).await?, capture)) }.boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(&bakery.url, config);
    let pool = Pool::builder().max_size(1).build(manager).await.unwrap();
    {
        let mut db = pool.get().await.unwrap();
        db.set_context(Some(Context::new("one request")));
        diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut db).await.unwrap();
        let both = db.transaction::<_, diesel::result::Error, _>(async |db| {
            diesel::insert_into(cake::table).values(known(2, "two")).execute(db).await
        });
        assert_eq!(both.await, Ok(1));
    }
    {
        let mut db = pool.get().await.unwrap();
        diesel::insert_into(cake::table).values(known(3, "three")).execute(&mut db).await.unwrap();
        let cancelled = diesel::insert_into(cake::table).values(known(4, "lost")).execute(&mut db);
        assert!(cancelled_after(1, cancelled).await.is_none());
    }
    let mut db = pool.get().await.unwrap();
    diesel::insert_into(cake::table).values(known(5, "five")).execute(&mut db).await.unwrap();
    let contexts: Vec<_> = bakery.messages().into_iter().map(|message| message.context).collect();
    let first = Some("one request".to_owned());
    assert_eq!(contexts, [first.clone(), first, None, None]);
    assert_eq!(cakes(&bakery), ["one", "two", "three", "five"]);
}

#[tokio::test]
async fn a_connection_of_a_plain_pool_can_be_wrapped_and_is_discarded_when_it_was_cancelled() {
    let Some(Kitchen { bakery, .. }) = kitchen().await else { return };
    let manager = AsyncDieselConnectionManager::<Inner>::new(&bakery.url);
    let pool = Pool::builder().max_size(1).build(manager).await.unwrap();
    let wrap = async |context: &str| {
        let plain: PooledConnection<'static, Inner> = pool.get_owned().await.unwrap();
        AsyncPromiscuous::with_capture(plain, Arc::clone(bakery.db.capture()))
            .with_context(Context::new(context))
    };
    let mut db = wrap("first").await;
    diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut db).await.unwrap();
    drop(db);
    for polls in 1..80 {
        // Each fourth, a read, which opens no transaction that the pool could see.
        let (id, times) = (100 + polls, usize::try_from(polls / 2).unwrap());
        let mut db = wrap("cancelled").await;
        if polls % 4 == 0 {
            let _ = cancelled_after(times / 2, cake::table.load::<Cake>(&mut db)).await;
        } else {
            let lost = diesel::insert_into(cake::table).values(known(id, "lost")).execute(&mut db);
            let _ = cancelled_after(times, lost).await;
        }
        drop(db);
        // Nothing that the other left open swallows this.
        let mut db = wrap("next").await;
        let next = diesel::insert_into(cake::table).values(known(200 + polls, "next")).execute(&mut db).await;
        assert_eq!(next, Ok(1));
    }
    assert_eq!(cakes(&bakery).iter().filter(|cake| *cake == "next").count(), 79);
}
