//! The rows that match a condition.

use promiscuous_core::broker::Queue;
use promiscuous_core::error::chain;
use promiscuous_core::sync::{SyncError, SyncSettings};
use sea_orm::{ConnectionTrait, Statement};

use super::entities::item;
use super::shop::{Shop, everywhere, lines, version};
use crate::again::{promiscuous_sync_all, promiscuous_sync_run, promiscuous_sync_where};

/// What has arrived of rows that were published again, in the order of their ids.
async fn arrived(shop: &mut Shop, rows: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < rows {
        all.extend(lines(&shop.next().await));
    }
    all.sort();
    all
}

/// How many runs there are to go on with.
async fn unfinished(shop: &Shop) -> usize {
    let ask = Statement::from_string(shop.db.get_database_backend(), "SELECT name FROM promiscuous_sync");
    shop.unseen.query_all_raw(ask).await.unwrap().len()
}

#[tokio::test]
async fn the_rows_that_a_condition_chooses_are_sent_with_the_versions_that_they_have() {
    everywhere(async |shop| {
        // given
        let (_, tea) = shop.insert(1, "Tea").await;
        shop.run("INSERT INTO items (id, name) VALUES (2, 'Rum'), (3, 'Gin')").await;
        // when, then
        let settings = SyncSettings::default();
        let sent = promiscuous_sync_where::<item::Entity>(&shop.db, "id < 2 OR name = 'it''s ?'", settings);
        assert_eq!(sent.await.unwrap(), 1);
        let again = shop.next().await;
        assert_eq!((lines(&again), version(&again)), (vec!["sync 1 Tea".to_owned()], version(&tea)));
        // when, then
        assert_eq!(promiscuous_sync_all::<item::Entity>(&shop.db).await.unwrap(), 3);
        assert_eq!(arrived(shop, 3).await, ["sync 1 Tea", "sync 2 Rum", "sync 3 Gin"]);
        // when, then
        let none = promiscuous_sync_where::<item::Entity>(&shop.db, "id > 3", SyncSettings::default());
        assert_eq!(none.await.unwrap(), 0);
        assert_eq!(unfinished(shop).await, 0);
        shop.is_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn a_run_tells_how_far_it_is() {
    everywhere(async |shop| {
        shop.run("INSERT INTO items (id, name) VALUES (1, 'Tea'), (2, 'Rum'), (3, 'Gin')").await;
        let mut settings = SyncSettings::default();
        settings.chunk = 2;
        let mut run = promiscuous_sync_run::<item::Entity>(&shop.db, Some("id > 0"), settings).await.unwrap();
        // Nothing is sent yet, and a command could go on with it.
        assert_eq!((run.totals(), unfinished(shop).await), (&[3][..], 1));
        assert_eq!(run.selections()[0].to_string(), "Item where id > 0");
        let mut told = Vec::new();
        run.run(&mut |progress| told.push((progress.sent, progress.done))).await.unwrap();
        assert_eq!(told, [(2, false), (3, false), (3, true)]);
        assert_eq!(arrived(shop, 3).await.len(), 3);
        assert_eq!(unfinished(shop).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_condition_that_is_none_is_refused_before_anything_is_sent() {
    everywhere(async |shop| {
        shop.insert(1, "Tea").await;
        for (condition, said) in [
            ("id > 0; DROP TABLE items", "is not one SQL condition"),
            ("id = 1 -- only this", "is not one SQL condition"),
            ("", "is not one SQL condition"),
            ("nmae = 'Tea'", "nmae"),
        ] {
            let settings = SyncSettings::default();
            let refused = promiscuous_sync_where::<item::Entity>(&shop.db, condition, settings).await;
            let refused = chain(&refused.unwrap_err());
            assert!(refused.contains(said), "{refused}");
        }
        assert_eq!(unfinished(shop).await, 0);
        shop.is_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn one_app_alone_can_be_sent_rows_and_one_that_does_not_subscribe_is_told() {
    everywhere(async |shop| {
        shop.insert(1, "Tea").await;
        let to = |app: &str| {
            let mut settings = SyncSettings::default();
            settings.only_to = Some(app.to_owned());
            settings
        };
        let refused = promiscuous_sync_where::<item::Entity>(&shop.db, "id > 0", to("maler")).await;
        assert!(matches!(refused, Err(SyncError::NoQueue { .. })), "{refused:?}");
        let other = Queue { bindings: vec!["shop.item".into()], ..Queue::of("search") };
        let broker = shop.promiscuous.links().broker.clone();
        broker.declare(&other).await.unwrap();
        let sent = promiscuous_sync_where::<item::Entity>(&shop.db, "id > 0", to("search")).await;
        assert_eq!(sent.unwrap(), 1);
        assert_eq!(broker.depth(&other).await.unwrap().unwrap().ready, 1);
        shop.is_quiet().await;
    })
    .await;
}
