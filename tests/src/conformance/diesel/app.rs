//! An app on this database.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::connection::{Connection, SimpleConnection};
use diesel::r2d2::{CustomizeConnection, Pool, PooledConnection};
use promiscuous_core::config::Config;
use promiscuous_core::context::Context;
use promiscuous_core::error::Error;
use promiscuous_core::health::Health;
use promiscuous_core::subscriber::Subscriber;
use promiscuous_core::sync::{SyncError, SyncSettings};
use promiscuous_diesel::backend::PromiscuousBackend;
use promiscuous_diesel::subscription::SubscribeOn;
use promiscuous_diesel::{
    App as DieselApp, Callbacks, ConnectError, Consistency, Manager, Models, PromiscuousSync, Running,
};

use super::{Backend, Db, SET_UP, everything, keyed, steps};
use crate::conformance::seaorm::{consistency_of, endpoint_of};
use crate::conformance::stack::{App, Blueprint};
use crate::conformance::step::{Failure, Step};
use crate::entities_diesel::{answering, keyed as shared, publishing, subscribing};

/// The models that these names stand for.
fn models(publishes: &[String], subscribes: &[(String, String)]) -> Models<Backend> {
    let published = publishes.iter().fold(Models::new(), |known, model| match model.as_str() {
        "user" => known.publish::<publishing::User>(),
        "message" => known.publish::<publishing::Message>(),
        "comment" => known.publish::<publishing::Comment>(),
        "counter" => known.publish::<publishing::Counter>(),
        "friendship" => known.publish::<publishing::Friendship>(),
        "photo" => known.publish::<publishing::Photo>(),
        "claimed" => known.publish::<publishing::Claimed>(),
        "word" => known.publish::<shared::Word>(),
        "pair" => known.publish::<shared::Pair>(),
        "thing" => known.publish::<keyed::Thing>(),
        "day" => known.publish::<keyed::Day>(),
        "plain" => known.publish::<everything::Plain>(),
        "moment" => known.publish::<everything::Moment>(),
        other => panic!("No test publishes {other:?} yet: add it here."),
    });
    subscribes.iter().fold(published, |known, (model, from)| {
        let (consistency, model) = consistency_of(model);
        let wish = Wish { endpoint: format!("{from}/{}", endpoint_of(model)), consistency };
        match model {
            "user" => wish.of::<subscribing::User>(known),
            "message" => wish.of::<subscribing::Message>(known),
            "comment" => wish.of::<subscribing::Comment>(known),
            "counter" => wish.of::<subscribing::Counter>(known),
            "friendship" => wish.of::<subscribing::Friendship>(known),
            "photo" => wish.of::<subscribing::Photo>(known),
            "answered user" => wish.of::<answering::User>(known),
            "word" => wish.of::<shared::Word>(known),
            "pair" => wish.of::<shared::Pair>(known),
            "thing" => wish.of::<keyed::Thing>(known),
            "day" => wish.of::<keyed::Day>(known),
            "word copy" => wish.of::<shared::WordCopy>(known),
            "pair copy" => wish.of::<shared::PairCopy>(known),
            "plain" => wish.of::<everything::Plain>(known),
            "moment" => wish.of::<everything::Moment>(known),
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
    fn of<M: SubscribeOn<Backend> + Callbacks<Backend>>(self, known: Models<Backend>) -> Models<Backend> {
        known.subscribe_with::<M>(move |declaration| {
            declaration.from = Some(self.endpoint.clone());
            declaration.consistency = self.consistency;
        })
    }
}

/// Starts an app.
pub async fn start(blueprint: &Blueprint) -> Result<Arc<dyn App>, Error> {
    let blueprint = blueprint.clone();
    blocking(move || {
        let app = DieselApp::new(blueprint.config);
        let app = app.models(models(&blueprint.publishes, &blueprint.subscribes));
        let running = app.publisher_settings(blueprint.adjust).start(&blueprint.url)?;
        let pool = Pool::builder().max_size(blueprint.connections).min_idle(Some(0));
        let pool = pool.connection_customizer(Box::new(SetUp)).build(running.manager());
        let pool = pool.expect("A pool that opens nothing yet can be built.");
        Ok(Arc::new(Started { running, pool }) as Arc<dyn App>)
    })
    .await
}

/// Creates the promiscuous tables.
pub async fn migrate(config: &Config, url: &str) {
    let (config, url) = (config.clone(), url.to_owned());
    blocking(move || {
        let mut connection =
            <Backend as PromiscuousBackend>::Connection::establish(&url).expect("The database is there.");
        let migrated = DieselApp::<Backend>::new(config).migrate(&mut connection);
        migrated.expect("The promiscuous tables can be created.");
    })
    .await;
}

/// Runs the command of an app.
pub fn command(publishes: &[String], subscribes: &[(String, String)]) -> ExitCode {
    promiscuous_diesel::cli_with(models(publishes, subscribes))
}

/// Runs what blocks where it may, in the context that the test is in.
async fn blocking<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(function).await;
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What the app's own connections need.
#[derive(Debug)]
struct SetUp;

impl CustomizeConnection<Db, ConnectError> for SetUp {
    fn on_acquire(&self, connection: &mut Db) -> Result<(), ConnectError> {
        SET_UP.iter().try_for_each(|sql| connection.batch_execute(sql)).map_err(ConnectError::Unusable)
    }
}

fn connection(pool: &Pool<Manager<Backend>>) -> PooledConnection<Manager<Backend>> {
    pool.get().expect("The pool has a connection.")
}

struct Started {
    running: Running<Backend>,
    pool: Pool<Manager<Backend>>,
}

#[async_trait]
impl App for Started {
    async fn run(&self, context: Option<&Context>, steps: Vec<Step>) -> Result<(), Failure> {
        let pool = self.pool.clone();
        let run = move || steps::run(&pool, &steps);
        let done = match context {
            Some(context) => context.spawn_blocking(run).await,
            None => tokio::task::spawn_blocking(run).await,
        };
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn sync_counter(&self, id: i64) -> Result<bool, SyncError> {
        let pool = self.pool.clone();
        let counter = publishing::Counter { id, n: -1 };
        blocking(move || counter.promiscuous_sync(&mut *connection(&pool))).await
    }

    async fn sync_counters(&self, condition: Option<&str>) -> Result<u64, SyncError> {
        let (pool, condition) = (self.pool.clone(), condition.map(str::to_owned));
        blocking(move || {
            let db = &mut *connection(&pool);
            match condition {
                None => publishing::Counter::promiscuous_sync_all(db),
                Some(condition) => {
                    publishing::Counter::promiscuous_sync_where(db, &condition, SyncSettings::default())
                }
            }
        })
        .await
    }

    fn subscriber(&self) -> Subscriber {
        self.running.subscriber().expect("The declarations of a test make sense.")
    }

    fn health(&self) -> Health {
        self.running.health()
    }

    async fn shut_down(&self) {
        let running = self.running.clone();
        blocking(move || running.shut_down(Duration::from_secs(10))).await;
    }
}
