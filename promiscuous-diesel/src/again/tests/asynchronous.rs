//! Over connections of `diesel-async`.

use diesel_async::{AsyncMysqlConnection, AsyncPgConnection};
use promiscuous_core::sync::{SyncError, SyncSettings};

use super::shop::{Draft, Item, Shop, Tested, lines};
use crate::model::PublishOn;
use crate::test_databases::TestDatabase;
use crate::{AsyncBackend, AsyncPromiscuousSync, AsyncWrapped};

async fn rows_are_sent_again_without_blocking<DB, C>(test: TestDatabase)
where
    DB: Tested + AsyncBackend,
    C: AsyncWrapped<Backend = DB>,
    Item: PublishOn<DB>,
    Draft: PublishOn<DB>,
{
    // given
    let mut shop = Shop::<DB>::open(test).await;
    let (tea, _) = shop.insert(1, "Tea").await;
    shop.run("UPDATE items SET name = 'Mate'; INSERT INTO items (id, name) VALUES (2, 'Rum'), (3, 'Gin')");
    let db = &mut shop.running.wrap_async(C::establish(&shop.url()).await.unwrap());
    // when, then
    assert!(tea.promiscuous_sync(db).await.unwrap());
    assert_eq!(lines(&shop.next().await), ["sync 1 Mate"]);
    let settings = SyncSettings::default;
    assert_eq!(Item::promiscuous_sync_where(db, "id > 2", settings()).await.unwrap(), 1);
    assert_eq!(lines(&shop.next().await), ["sync 3 Gin"]);
    assert_eq!(Item::promiscuous_sync_all(db).await.unwrap(), 3);
    assert_eq!(shop.arrived(3).await.len(), 3);
    let run = Item::promiscuous_sync_run(db, Some("id < 3"), settings()).await.unwrap();
    let (total, mut told) = (run.total(), 0);
    assert_eq!(run.run_async(|progress| told = progress.sent).await.unwrap(), 2);
    assert_eq!((total, told), (2, 2));
    assert_eq!(shop.arrived(2).await, ["sync 1 Mate", "sync 2 Rum"]);
    // and what cannot be sent is told
    let gone = Item { id: 9, name: "Ale".into() };
    assert!(!gone.promiscuous_sync(db).await.unwrap());
    let unpublished = Draft { id: Some(1) }.promiscuous_sync(db).await;
    assert!(matches!(unpublished, Err(SyncError::Unpublished { .. })), "{unpublished:?}");
    let refused = Item::promiscuous_sync_where(db, "id > 2; --", settings()).await;
    assert!(matches!(refused, Err(SyncError::Selection(_))), "{refused:?}");
    let refused = db.transaction(async |db| Ok::<_, diesel::result::Error>(tea.promiscuous_sync(db).await));
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(SyncError::InTransaction)), "{refused:?}");
    assert_eq!(shop.unfinished(), 0);
    shop.is_quiet().await;
}

#[tokio::test]
async fn on_postgres() {
    if let Some(test) = TestDatabase::served::<diesel::PgConnection>("TEST_POSTGRES_URL") {
        rows_are_sent_again_without_blocking::<diesel::pg::Pg, AsyncPgConnection>(test).await;
    }
}

#[tokio::test]
async fn on_mariadb() {
    if let Some(test) = TestDatabase::served::<diesel::MysqlConnection>("TEST_MARIADB_URL") {
        rows_are_sent_again_without_blocking::<diesel::mysql::Mysql, AsyncMysqlConnection>(test).await;
    }
}
