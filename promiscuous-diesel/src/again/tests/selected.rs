//! The rows that match a condition.

use promiscuous_core::broker::Queue;
use promiscuous_core::error::chain;
use promiscuous_core::sync::{SyncError, SyncSettings};

use super::shop::{Item, Shop, Tested, lines, version};
use crate::PromiscuousSync;
use crate::model::PublishOn;
use crate::test_databases::{TestDatabase, on_each};

on_each! {
    the_rows_that_a_condition_chooses_are_sent_with_the_versions_that_they_have = chosen;
    a_run_tells_how_far_it_is = told;
    a_condition_that_is_none_is_refused_before_anything_is_sent = refused;
    one_app_alone_can_be_sent_rows_and_one_that_does_not_subscribe_is_told = one_app;
}

async fn chosen<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    // given
    let mut shop = Shop::<DB>::open(test).await;
    let (_, tea) = shop.insert(1, "Tea").await;
    shop.run("INSERT INTO items (id, name) VALUES (2, 'Rum'), (3, 'Gin')");
    let db = &mut shop.connect();
    // when, then
    let settings = SyncSettings::default;
    assert_eq!(Item::promiscuous_sync_where(db, "id < 2 OR name = 'it''s ?'", settings()).unwrap(), 1);
    let again = shop.next().await;
    assert_eq!((lines(&again), version(&again)), (vec!["sync 1 Tea".to_owned()], version(&tea)));
    // when, then
    assert_eq!(Item::promiscuous_sync_all(db).unwrap(), 3);
    assert_eq!(shop.arrived(3).await, ["sync 1 Tea", "sync 2 Rum", "sync 3 Gin"]);
    // when, then
    assert_eq!(Item::promiscuous_sync_where(db, "id > 3", settings()).unwrap(), 0);
    assert_eq!(shop.unfinished(), 0);
    shop.is_quiet().await;
}

async fn told<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    let mut shop = Shop::<DB>::open(test).await;
    shop.run("INSERT INTO items (id, name) VALUES (1, 'Tea'), (2, 'Rum'), (3, 'Gin')");
    let mut settings = SyncSettings::default();
    settings.chunk = 2;
    let run = Item::promiscuous_sync_run(&mut shop.connect(), Some("id > 0"), settings).unwrap();
    // Nothing is sent yet, and a command could go on with it.
    assert_eq!((run.total(), shop.unfinished()), (3, 1));
    let mut told = Vec::new();
    assert_eq!(run.run(|progress| told.push((progress.sent, progress.done))).unwrap(), 3);
    assert_eq!(told, [(2, false), (3, false), (3, true)]);
    assert_eq!(shop.arrived(3).await.len(), 3);
    assert_eq!(shop.unfinished(), 0);
    shop.is_quiet().await;
}

async fn refused<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    let mut shop = Shop::<DB>::open(test).await;
    shop.insert(1, "Tea").await;
    let refused = |condition: &str| {
        Item::promiscuous_sync_where(&mut shop.connect(), condition, SyncSettings::default()).unwrap_err()
    };
    for condition in ["id > 0; DROP TABLE items", "id = 1 -- only this", ""] {
        let error = refused(condition);
        assert!(matches!(error, SyncError::Selection(_)), "{error:?}");
        assert!(chain(&error).contains("is not one SQL condition"), "{error}");
    }
    let error = refused("nmae = 'Tea'");
    assert!(matches!(error, SyncError::Rows { .. }), "{error:?}");
    assert!(chain(&error).contains("nmae"), "{error}");
    assert_eq!(shop.unfinished(), 0);
    shop.is_quiet().await;
}

async fn one_app<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    let mut shop = Shop::<DB>::open(test).await;
    shop.insert(1, "Tea").await;
    let db = &mut shop.connect();
    let to = |app: &str| {
        let mut settings = SyncSettings::default();
        settings.only_to = Some(app.to_owned());
        settings
    };
    let refused = Item::promiscuous_sync_where(db, "id > 0", to("maler"));
    assert!(matches!(refused, Err(SyncError::NoQueue { .. })), "{refused:?}");
    let other = Queue { bindings: vec!["shop.item".into()], ..Queue::of("search") };
    shop.broker.declare(&other).await.unwrap();
    assert_eq!(Item::promiscuous_sync_where(db, "id > 0", to("search")).unwrap(), 1);
    assert_eq!(shop.broker.depth(&other).await.unwrap().unwrap().ready, 1);
    shop.is_quiet().await;
}
