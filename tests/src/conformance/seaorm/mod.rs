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
use promiscuous_core::sync::{SyncError, SyncSettings};
use promiscuous_seaorm::{
    Consistency, Models, Promiscuous, PromiscuousConnection, PromiscuousSync, Subscribe,
    promiscuous_sync_all, promiscuous_sync_where,
};

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
        let (consistency, model) = consistency_of(model);
        let wish = Wish { endpoint: format!("{from}/{}", endpoint_of(model)), consistency };
        match model {
            "user" => wish.of::<subscribing::user::Entity>(known),
            "message" => wish.of::<subscribing::message::Entity>(known),
            "comment" => wish.of::<subscribing::comment::Entity>(known),
            "counter" => wish.of::<subscribing::counter::Entity>(known),
            "friendship" => wish.of::<subscribing::friendship::Entity>(known),
            "photo" => wish.of::<subscribing::photo::Entity>(known),
            "answered user" => wish.of::<answering::user::Entity>(known),
            "word" => wish.of::<keyed::word::Entity>(known),
            "thing" => wish.of::<keyed::thing::Entity>(known),
            "pair" => wish.of::<keyed::pair::Entity>(known),
            "day" => wish.of::<keyed::day::Entity>(known),
            "word copy" => wish.of::<keyed::word_copy::Entity>(known),
            "pair copy" => wish.of::<keyed::pair_copy::Entity>(known),
            "plain" => wish.of::<plain::Entity>(known),
            "moment" => wish.of::<moment::Entity>(known),
            other => panic!("No test subscribes to {other:?} yet: add it here."),
        }
    })
}

/// What is said of a subscription at run time.
struct Wish {
    endpoint: String,
    consistency: Option<Consistency>,
}

impl Wish {
    fn of<E: Subscribe>(self, known: Models) -> Models {
        known.subscribe_with::<E>(move |declaration| {
            declaration.from = Some(self.endpoint.clone());
            declaration.consistency = self.consistency;
        })
    }
}

/// `counter` with the consistency that the first word of `weak counter` names, if it does.
pub(super) fn consistency_of(model: &str) -> (Option<Consistency>, &str) {
    let named = model.split_once(' ').and_then(|(word, rest)| Some((word.parse().ok()?, rest)));
    named.map_or((None, model), |(consistency, rest)| (Some(consistency), rest))
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

    async fn sync_counter(&self, id: i64) -> Result<bool, SyncError> {
        publishing::counter::Model { id, n: -1 }.promiscuous_sync(&self.db).await
    }

    async fn sync_counters(&self, condition: Option<&str>) -> Result<u64, SyncError> {
        match condition {
            None => promiscuous_sync_all::<publishing::counter::Entity>(&self.db).await,
            Some(condition) => {
                let settings = SyncSettings::default();
                promiscuous_sync_where::<publishing::counter::Entity>(&self.db, condition, settings).await
            }
        }
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
