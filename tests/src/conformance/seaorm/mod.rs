//! Apps with SeaORM.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use promiscuous_core::config::Config;
use promiscuous_core::context::Context;
use promiscuous_core::error::Error;
use promiscuous_core::health::Health;
use promiscuous_core::subscriber::Subscriber;
use promiscuous_seaorm::{Models, Promiscuous, PromiscuousConnection};

use super::stack::{App, Blueprint};
use super::step::{Failure, Step};
use crate::databases::connect;
use crate::entities::everything::{moment, plain};
use crate::entities::{answering, keyed, publishing, subscribing};

pub mod reading;
mod steps;
pub mod writing;

/// The entities that these names stand for.
pub fn models(publishes: &[String], subscribes: &[(String, String)]) -> Models {
    let published = publishes.iter().fold(Models::new(), |known, model| match model.as_str() {
        "user" => known.publish::<publishing::user::Entity>(),
        "message" => known.publish::<publishing::message::Entity>(),
        "comment" => known.publish::<publishing::comment::Entity>(),
        "counter" => known.publish::<publishing::counter::Entity>(),
        "friendship" => known.publish::<publishing::friendship::Entity>(),
        "photo" => known.publish::<publishing::photo::Entity>(),
        "claimed" => known.publish::<publishing::claimed::Entity>(),
        "word" => known.publish::<keyed::word::Entity>(),
        "thing" => known.publish::<keyed::thing::Entity>(),
        "pair" => known.publish::<keyed::pair::Entity>(),
        "day" => known.publish::<keyed::day::Entity>(),
        "plain" => known.publish::<plain::Entity>(),
        "moment" => known.publish::<moment::Entity>(),
        other => panic!("No test publishes {other:?} yet: add it here."),
    });
    subscribes.iter().fold(published, |known, (model, from)| {
        let endpoint = format!("{from}/{}", endpoint_of(model));
        match model.as_str() {
            "user" => known.subscribe_from::<subscribing::user::Entity>(endpoint),
            "message" => known.subscribe_from::<subscribing::message::Entity>(endpoint),
            "comment" => known.subscribe_from::<subscribing::comment::Entity>(endpoint),
            "counter" => known.subscribe_from::<subscribing::counter::Entity>(endpoint),
            "friendship" => known.subscribe_from::<subscribing::friendship::Entity>(endpoint),
            "photo" => known.subscribe_from::<subscribing::photo::Entity>(endpoint),
            "answered user" => known.subscribe_from::<answering::user::Entity>(endpoint),
            "word" => known.subscribe_from::<keyed::word::Entity>(endpoint),
            "thing" => known.subscribe_from::<keyed::thing::Entity>(endpoint),
            "pair" => known.subscribe_from::<keyed::pair::Entity>(endpoint),
            "day" => known.subscribe_from::<keyed::day::Entity>(endpoint),
            "word copy" => known.subscribe_from::<keyed::word_copy::Entity>(endpoint),
            "pair copy" => known.subscribe_from::<keyed::pair_copy::Entity>(endpoint),
            "plain" => known.subscribe_from::<plain::Entity>(endpoint),
            "moment" => known.subscribe_from::<moment::Entity>(endpoint),
            other => panic!("No test subscribes to {other:?} yet: add it here."),
        }
    })
}

/// `user` for the subscribed model `answered user`, `word` for `word copy`.
pub(super) fn endpoint_of(model: &str) -> &str {
    model.trim_start_matches("answered ").trim_end_matches(" copy")
}

/// Creates the promiscuous tables.
pub(super) async fn migrate(config: &Config, url: &str) {
    let db = connect(url, 1).await;
    let promiscuous = Promiscuous::new(config.clone()).expect("The configuration of a test makes sense.");
    promiscuous.migrate(&db).await.expect("The promiscuous tables can be created.");
    db.close().await.expect("A connection that has just worked closes.");
}

/// Starts an app.
pub(super) async fn start(blueprint: &Blueprint) -> Result<Arc<dyn App>, Error> {
    let models = models(&blueprint.publishes, &blueprint.subscribes);
    let promiscuous = Promiscuous::new(blueprint.config.clone())?.models(models);
    let promiscuous = promiscuous.publisher_settings(blueprint.adjust);
    let db = promiscuous.wrap(connect(&blueprint.url, blueprint.connections).await).await?;
    Ok(Arc::new(SeaApp { promiscuous, db }))
}

/// Runs the command of an app.
pub(super) fn command(publishes: &[String], subscribes: &[(String, String)]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("The operating system gives threads.");
    runtime.block_on(promiscuous_seaorm::cli_with(models(publishes, subscribes)))
}

struct SeaApp {
    promiscuous: Promiscuous,
    db: PromiscuousConnection,
}

#[async_trait]
impl App for SeaApp {
    async fn run(&self, context: Option<&Context>, steps: Vec<Step>) -> Result<(), Failure> {
        let running = steps::run(&self.db, &steps);
        let done = match context {
            Some(context) => context.scope(running).await,
            None => running.await,
        };
        done.map_err(|error| Failure(error.to_string()))
    }

    fn subscriber(&self) -> Subscriber {
        self.promiscuous.subscriber(&self.db).expect("The declarations of a test make sense.")
    }

    fn health(&self) -> Health {
        self.db.health()
    }

    async fn shut_down(&self) {
        self.db.shut_down(Duration::from_secs(10)).await;
    }
}
