//! One row.

use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::error::chain;
use sea_orm::{ActiveModelTrait, IntoActiveModel, Set};

use super::entities::{draft, item};
use super::shop::{everywhere, lines, version};
use crate::again::{PromiscuousSync, promiscuous_sync_all};
use crate::connection::PromiscuousConnection;
use crate::model::PublishedModels;

#[tokio::test]
async fn a_row_is_sent_as_it_is_now_with_the_version_that_it_has() {
    everywhere(async |shop| {
        // given an item that somebody has changed past the app
        let (tea, created) = shop.insert(5, "Tea").await;
        shop.run("UPDATE items SET name = 'Mate' WHERE id = 5").await;
        for _ in 0..2 {
            // when
            assert!(tea.promiscuous_sync(&shop.db).await.unwrap());
            // then
            let again = shop.next().await;
            assert_eq!(lines(&again), ["sync 5 Mate"]);
            assert_eq!(version(&again), version(&created));
        }
        // and nothing was bumped: the next write follows the first one.
        let mut tea = tea.into_active_model();
        tea.name = Set("Chai".into());
        tea.update(&shop.db).await.unwrap();
        let changed = shop.next().await;
        assert_eq!(lines(&changed), ["update 5 Chai"]);
        let written = &changed.dependencies.as_ref().unwrap().write[0];
        assert_eq!(written.previous, Some(version(&created).1));
    })
    .await;
}

#[tokio::test]
async fn a_row_that_nobody_was_told_of_is_sent_with_a_version_that_nobody_wrote_with() {
    everywhere(async |shop| {
        shop.run("INSERT INTO items (id, name) VALUES (7, 'Rum')").await;
        let rum = item::Model { id: 7, name: "as the program remembers it".into() };
        assert!(rum.promiscuous_sync(&shop.db).await.unwrap());
        let again = shop.next().await;
        assert_eq!(lines(&again), ["sync 7 Rum"]);
        assert!(!version(&again).2);
    })
    .await;
}

#[tokio::test]
async fn of_a_row_that_is_gone_nothing_is_sent() {
    everywhere(async |shop| {
        let (tea, _) = shop.insert(5, "Tea").await;
        shop.run("DELETE FROM items").await;
        assert!(!tea.promiscuous_sync(&shop.db).await.unwrap());
        shop.is_quiet().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_published_is_told_with_what_to_do() {
    everywhere(async |shop| {
        let said = chain(&draft::Model { id: 1 }.promiscuous_sync(&shop.db).await.unwrap_err());
        assert!(said.contains("`Draft` is not published") && said.contains("`Models::publish`"), "{said}");
        let (db, settings) = (shop.unseen.clone(), CaptureSettings::default());
        let plain = PromiscuousConnection::new(db, PublishedModels::default(), None, settings);
        let (tea, _) = shop.insert(5, "Tea").await;
        let said = chain(&tea.promiscuous_sync(&plain).await.unwrap_err());
        assert!(said.contains("`Item` is not published") && said.contains("`Promiscuous::wrap`"), "{said}");
        let said = chain(&promiscuous_sync_all::<draft::Entity>(&shop.db).await.unwrap_err());
        assert!(said.contains("`Draft` is not published"), "{said}");
        shop.is_quiet().await;
    })
    .await;
}
