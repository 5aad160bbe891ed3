//! How the apps of tests are configured: their settings, models and tables.

use std::time::Duration;

use promiscuous_core::config::{Config, SecretUrl, Settings};
use promiscuous_core::publisher::PublisherSettings;
use promiscuous_seaorm::Models;
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Schema};

use crate::entities::{publishing, subscribing};

/// An app on these servers. Its clock is the publisher's: tests run on one machine.
pub fn config(app: &str, amqp_url: &str, redis_url: &str) -> Config {
    let mut settings = Settings::default();
    settings.app = Some(app.to_owned());
    settings.amqp_url = Some(SecretUrl::new(amqp_url));
    settings.redis_url = Some(SecretUrl::new(redis_url));
    settings.clock_skew = Some(0.0);
    settings.resolve().expect("The configuration of a test makes sense.")
}

/// Every model that [`publishing`] holds.
pub fn published() -> Models {
    Models::new()
        .publish::<publishing::user::Entity>()
        .publish::<publishing::message::Entity>()
        .publish::<publishing::comment::Entity>()
        .publish::<publishing::counter::Entity>()
        .publish::<publishing::friendship::Entity>()
        .publish::<publishing::photo::Entity>()
}

/// These models of [`subscribing`], from this app.
pub fn subscribed(models: &[&str], from: &str) -> Models {
    models.iter().fold(Models::new(), |known, model| {
        let endpoint = format!("{from}/{model}");
        match *model {
            "user" => known.subscribe_from::<subscribing::user::Entity>(endpoint),
            "message" => known.subscribe_from::<subscribing::message::Entity>(endpoint),
            "comment" => known.subscribe_from::<subscribing::comment::Entity>(endpoint),
            "counter" => known.subscribe_from::<subscribing::counter::Entity>(endpoint),
            "friendship" => known.subscribe_from::<subscribing::friendship::Entity>(endpoint),
            "photo" => known.subscribe_from::<subscribing::photo::Entity>(endpoint),
            other => panic!("No test subscribes to {other:?} yet: add it to apps::subscribed."),
        }
    })
}

/// What takes seconds in production takes tenths of a second in tests, where `DEADLINE_SECONDS` says nothing else.
pub fn in_a_hurry(settings: &mut PublisherSettings) {
    let seconds = std::env::var("DEADLINE_SECONDS").ok();
    let seconds = seconds.map_or(1, |text| text.parse().expect("DEADLINE_SECONDS is a number."));
    settings.deadline = Duration::from_secs(seconds);
    settings.sweep_after = Duration::from_millis(500);
    settings.look_every = Duration::from_millis(100);
}

/// The tables of every model that is published.
pub async fn create_published_tables(db: &DatabaseConnection) {
    create(db, publishing::user::Entity).await;
    create(db, publishing::message::Entity).await;
    create(db, publishing::comment::Entity).await;
    create(db, publishing::counter::Entity).await;
    create(db, publishing::friendship::Entity).await;
    create(db, publishing::photo::Entity).await;
    create(db, publishing::note::Entity).await;
}

/// The tables of every model that is subscribed, and of the log of what was applied.
pub async fn create_subscribed_tables(db: &DatabaseConnection) {
    create(db, subscribing::user::Entity).await;
    create(db, subscribing::message::Entity).await;
    create(db, subscribing::comment::Entity).await;
    create(db, subscribing::counter::Entity).await;
    create(db, subscribing::friendship::Entity).await;
    create(db, subscribing::photo::Entity).await;
    create(db, subscribing::applied::Entity).await;
}

async fn create(db: &DatabaseConnection, entity: impl EntityTrait) {
    let backend = db.get_database_backend();
    let table = Schema::new(backend).create_table_from_entity(entity);
    let created = db.execute(&table).await;
    created.unwrap_or_else(|error| panic!("{} could not be created: {error}.", entity.table_name()));
}
