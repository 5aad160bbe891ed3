//! One row.

use diesel::Connection as _;
use promiscuous_core::config::Config;
use promiscuous_core::error::chain;
use promiscuous_core::sync::SyncError;

use super::shop::{Draft, Item, Shop, Tested, elsewhere, lines, version};
use crate::model::PublishOn;
use crate::test_databases::{TestDatabase, on_each};
use crate::{App, Models, PromiscuousSync};

on_each! {
    a_row_is_sent_as_it_is_now_with_the_version_that_it_has = as_it_is;
    of_a_row_that_is_gone_nothing_is_sent = gone;
    what_is_not_published_is_told_with_what_to_do = unpublished;
    a_connection_in_a_transaction_is_refused_until_its_end = in_a_transaction;
}

async fn as_it_is<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    // given an item that somebody has changed past the app
    let mut shop = Shop::<DB>::open(test).await;
    let (tea, created) = shop.insert(5, "Tea").await;
    shop.run("UPDATE items SET name = 'Mate' WHERE id = 5; INSERT INTO items VALUES (7, 'Rum')");
    for _ in 0..2 {
        // when
        assert!(tea.promiscuous_sync(&mut shop.connect()).unwrap());
        // then
        let again = shop.next().await;
        assert_eq!(lines(&again), ["sync 5 Mate"]);
        assert_eq!(version(&again), version(&created));
    }
    // and nothing was bumped: the next write follows the first one.
    DB::rename(&mut shop.connect(), 5, "Chai");
    let changed = shop.next().await;
    assert_eq!(lines(&changed), ["update 5 Chai"]);
    let written = &changed.dependencies.as_ref().unwrap().write[0];
    assert_eq!(written.previous, Some(version(&created).1));
    // and what nobody was told of has a version that nobody wrote with.
    let rum = Item { id: 7, name: "as the program remembers it".into() };
    assert!(rum.promiscuous_sync(&mut shop.connect()).unwrap());
    let again = shop.next().await;
    assert_eq!((lines(&again), version(&again).2), (vec!["sync 7 Rum".to_owned()], false));
    shop.is_quiet().await;
}

async fn gone<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    let mut shop = Shop::<DB>::open(test).await;
    let (tea, _) = shop.insert(5, "Tea").await;
    shop.run("DELETE FROM items");
    assert!(!tea.promiscuous_sync(&mut shop.connect()).unwrap());
    shop.is_quiet().await;
}

async fn unpublished<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
    Draft: PublishOn<DB>,
    elsewhere::Item: PublishOn<DB>,
{
    let told = |error: SyncError| {
        assert!(matches!(error, SyncError::Unpublished { .. }), "{error:?}");
        chain(&error)
    };
    let mut shop = Shop::<DB>::open(test).await;
    let said = told(Draft { id: Some(1) }.promiscuous_sync(&mut shop.connect()).unwrap_err());
    assert!(said.contains("`Draft` is not published") && said.contains("`Models::publish`"), "{said}");
    told(Draft::promiscuous_sync_all(&mut shop.connect()).unwrap_err());
    // Not the shop's, although its endpoint would be.
    told(elsewhere::Item { id: Some(1) }.promiscuous_sync(&mut shop.connect()).unwrap_err());
    // An app that publishes nothing.
    let config = Config::embedded("reader", &uuid::Uuid::now_v7().to_string()).unwrap();
    let reader = App::<DB>::new(config).models(Models::new()).start(&shop.url()).unwrap();
    let (tea, _) = shop.insert(5, "Tea").await;
    let said = told(tea.promiscuous_sync(&mut reader.pool(1).unwrap().get().unwrap()).unwrap_err());
    assert!(said.contains("`Item` is not published") && said.contains("`Running::wrap`"), "{said}");
    shop.is_quiet().await;
}

async fn in_a_transaction<DB: Tested>(test: TestDatabase)
where
    Item: PublishOn<DB>,
{
    let mut shop = Shop::<DB>::open(test).await;
    let (tea, _) = shop.insert(5, "Tea").await;
    let refused = shop.connect().transaction(|db| {
        let refused = [tea.promiscuous_sync(db).map(u64::from), Item::promiscuous_sync_all(db)];
        Ok::<_, diesel::result::Error>(refused)
    });
    let refused = refused.unwrap();
    assert!(refused.iter().all(|refused| matches!(refused, Err(SyncError::InTransaction))), "{refused:?}");
    assert!(tea.promiscuous_sync(&mut shop.connect()).unwrap());
    assert_eq!(lines(&shop.next().await), ["sync 5 Tea"]);
    shop.is_quiet().await;
}

#[test]
fn a_row_whose_key_is_null_is_told_to_be_none() {
    let unsaved = super::super::id_of::<diesel::sqlite::Sqlite, _>(&Draft { id: None }).unwrap_err();
    assert!(matches!(&unsaved, SyncError::Unsendable(said) if said.contains("`id`")), "{unsaved}");
}
