//! The publisher's answers: which objects are gone, and then all rows, into the queue of whoever asked.
//!
//! One process of an app answers at a time, as long as it holds a lease. What it is asked is kept in `promiscuous_sync` before the
//! request is acknowledged; who takes over goes on where the other one was.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::gone::{self, Look};
use super::parts::covers;
use super::{REQUESTS, Step, publication, requests_to};
use crate::broker::{Broker, Consumer, Delivery, Publication};
use crate::database::Database;
use crate::error::chain;
use crate::key::Endpoint;
use crate::message::Message;
use crate::publisher::Publisher;
use crate::sync::{Cursor, Kind, PublishedRows, Run, SyncError, SyncModel, SyncSettings, steadily};
use crate::verify::{Answering, Question, answers_to};

/// For how long a process answers alone.
const LEASE: Duration = Duration::from_secs(15);

/// How often the lease is renewed, and other processes' requests are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Requests in hand.
const PREFETCH: u16 = 16;

/// Subscribers that are served at the same time; others wait their turn. Each takes as much memory as a `promiscuous publish`.
const RUNS: usize = 2;

/// How long it is remembered that a request was answered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// How bootstraps are served.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServeSettings {
    /// How rows are read and sent; who gets them is whoever asked.
    pub rows: SyncSettings,
}

/// Serves the bootstraps of other apps until `stop` resolves: [`promiscuous publish --serve`](crate::sync).
///
/// Dropping the future stops at once; what was begun goes on when an app serves again.
///
/// # Errors
/// When the broker refuses the queue of requests, or the promiscuous tables are missing.
pub async fn serve(
    publisher: Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    broker: Arc<dyn Broker>,
    settings: ServeSettings,
    stop: impl Future<Output = ()>,
) -> Result<(), SyncError> {
    tokio::pin!(stop);
    let mut server =
        Server { publisher, rows, database, settings, running: JoinSet::new(), active: HashSet::new() };
    let queue = requests_to(server.publisher.app());
    let forget = || async {
        let forgotten = Cursor::forget_ended(server.database.as_ref(), Kind::Serve, REMEMBERED).await;
        forgotten.map_err(SyncError::Cursor)
    };
    steadily(forget).await?;
    let mut consumer: Option<Box<dyn Consumer>> = None;
    let mut round = tokio::time::interval(LOOK_EVERY);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let consumes = consumer.is_some();
        let requested = OptionFuture::from(consumer.as_mut().map(|consumer| consumer.next()));
        tokio::select! {
            () = &mut stop => return Ok(()),
            _ = round.tick() => match server.publisher.lease("bootstraps", LEASE).await {
                Ok(true) => {
                    if consumer.is_none() {
                        consumer = match open(broker.as_ref(), &queue).await {
                            Err(error) if !error.is_transient() => return Err(error),
                            other => other.ok(),
                        };
                    }
                    server.start_runs().await;
                }
                // Another process answers, or Redis is away: then nobody does.
                Ok(false) | Err(_) => {
                    consumer = None;
                    server.running.abort_all();
                }
            },
            Some(ended) = server.running.join_next(), if !server.running.is_empty() => {
                match ended {
                    Ok(run) => drop(server.active.remove(&run)),
                    // Aborted: all of them were.
                    Err(_) => server.active.clear(),
                }
                server.start_runs().await;
            }
            Some(request) = requested, if consumes => match request {
                Ok(delivery) => server.answer(delivery).await?,
                Err(_) => consumer = None,
            },
        }
    }
}

async fn open(broker: &dyn Broker, queue: &crate::broker::Queue) -> Result<Box<dyn Consumer>, SyncError> {
    broker.declare(queue).await?;
    Ok(broker.consume(queue, PREFETCH).await?)
}

struct Server {
    publisher: Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    settings: ServeSettings,
    /// Each ends with its own name.
    running: JoinSet<Uuid>,
    /// The runs in `running`.
    active: HashSet<Uuid>,
}

impl Server {
    /// Answers a request, or keeps it to be answered; then it is acknowledged.
    async fn answer(&mut self, delivery: Delivery) -> Result<(), SyncError> {
        let Delivery { body, tag, acknowledger, .. } = delivery;
        match Message::decode(&body) {
            Ok(Message { app, bootstrap: Some(Step::Asked { run, sources }), .. }) => {
                self.asked(&app, run, &sources).await?;
            }
            Ok(Message {
                app,
                generation,
                bootstrap: Some(Step::Known { run, endpoint, objects, last }),
                ..
            }) => {
                let known = self.known(&app, generation, &endpoint, &objects).await?;
                // Were it told that this was all, the subscriber would keep what is gone, and nobody would know.
                let told = match known {
                    false => Some(cannot_send(self.publisher.app(), run, &endpoint)),
                    true => last.then(|| Step::GoneIsTold { run, endpoint: endpoint.clone() }),
                };
                if let Some(told) = told {
                    self.send(told.message(self.publisher.app(), 0), &endpoint, &app).await?;
                }
            }
            Ok(Message { app, bootstrap: Some(Step::Verify { run, number, question }), .. }) => {
                self.compare(&app, run, number, question).await?;
            }
            Ok(_) => tracing::debug!("what is no request for a bootstrap is passed over"),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "a request for a bootstrap cannot be read, and is passed over");
            }
        }
        acknowledger.ack(&[tag]).await;
        self.start_runs().await;
        Ok(())
    }

    /// Keeps what is wanted of what this app publishes.
    async fn asked(&self, app: &str, run: Uuid, sources: &[String]) -> Result<(), SyncError> {
        let is_wanted = |model: &&SyncModel| sources.iter().any(|source| covers(source, &model.endpoint));
        let endpoints = self.rows.models().iter().filter(is_wanted).map(|model| model.endpoint.to_string());
        let endpoints: Vec<String> = endpoints.collect();
        if endpoints.is_empty() {
            return Ok(());
        }
        let names = endpoints.join(", ");
        let cursor = Cursor::new(Kind::Serve, run, endpoints, Some(app.to_owned()));
        let keep = || async { cursor.create_once(self.database.as_ref()).await.map_err(SyncError::Cursor) };
        if steadily(keep).await? {
            tracing::info!(%run, app, endpoints = names, "an app asks for all rows");
        }
        Ok(())
    }

    /// Tells which of these objects are gone; false when that cannot be found out.
    async fn known(
        &self,
        app: &str,
        generation: u64,
        endpoint: &Endpoint,
        objects: &[(String, u64)],
    ) -> Result<bool, SyncError> {
        let position = self.rows.models().iter().position(|model| model.endpoint == *endpoint);
        let Some(position) = position else { return Ok(false) };
        let model = &self.rows.models()[position];
        let look = Look { publisher: &self.publisher, rows: self.rows.as_ref(), position };
        let gone = match look.gone(generation, objects).await {
            Err(error) if !matches!(error, SyncError::Broker(_)) => {
                tracing::error!(error = %chain(&error), "whether objects of another app are gone cannot be told");
                return Ok(false);
            }
            other => other?,
        };
        for message in gone::messages(self.publisher.app(), model, gone) {
            self.send(message, endpoint, app).await?;
        }
        Ok(true)
    }

    /// Answers what an app wants to know that compares its rows.
    async fn compare(&self, app: &str, run: Uuid, number: u64, question: Question) -> Result<(), SyncError> {
        let answering = Answering { publisher: &self.publisher, rows: self.rows.as_ref() };
        let Some(answer) = answering.answer(app, question).await else { return Ok(()) };
        let Ok(endpoint) = Endpoint::parse(&format!("{app}/{REQUESTS}")) else { return Ok(()) };
        let answer = Step::Verified { run, number, answer }.message(self.publisher.app(), 0);
        self.send(answer, &endpoint, &answers_to(app).app).await
    }

    /// An app without a queue gets nothing: it asks again when it has one.
    async fn send(&self, message: Message, endpoint: &Endpoint, app: &str) -> Result<(), SyncError> {
        let sending = steadily(|| async {
            let publication: Publication = publication(message.clone(), endpoint.clone(), Some(app))
                .map_err(|error| SyncError::Unsendable(error.to_string()))?;
            Ok(self.publisher.send(vec![publication]).await?)
        });
        match sending.await {
            Err(SyncError::Broker(error)) => {
                tracing::warn!(%error, app, "an app that asks for its rows cannot be answered");
                Ok(())
            }
            other => other,
        }
    }

    async fn start_runs(&mut self) {
        if self.running.len() >= RUNS {
            return;
        }
        let unfinished = match Cursor::unfinished(self.database.as_ref(), Kind::Serve).await {
            Ok(unfinished) => unfinished,
            Err(error) => return tracing::debug!(%error, "which bootstraps are unfinished cannot be read"),
        };
        // The oldest first.
        for cursor in unfinished.into_iter().rev() {
            if self.running.len() < RUNS && self.active.insert(cursor.run) {
                let run = cursor.run;
                let answering = answer_all(
                    self.publisher.clone(),
                    Arc::clone(&self.rows),
                    Arc::clone(&self.database),
                    cursor,
                    self.settings.rows.clone(),
                );
                self.running.spawn(async move {
                    answering.await;
                    run
                });
            }
        }
    }
}

/// The text of the error stays in this app's log: what a database says may quote what is in a row.
fn cannot_send(app: &str, run: Uuid, endpoint: &Endpoint) -> Step {
    let reason = format!("{app} cannot send them: see its log");
    Step::Failed { run, endpoint: endpoint.clone(), reason }
}

/// Sends everything that one subscriber has asked for.
async fn answer_all(
    publisher: Publisher,
    rows: Arc<dyn PublishedRows>,
    database: Arc<dyn Database>,
    mut cursor: Cursor,
    settings: SyncSettings,
) {
    let (run, app) = (cursor.run, cursor.position.only_to.clone().unwrap_or_default());
    let running = Run::of(publisher.clone(), rows, Arc::clone(&database), cursor.clone(), settings).await;
    let failed = match running {
        Ok(mut running) => {
            let result = running.run(&mut |_| {}).await;
            cursor = running.cursor().clone();
            result.err()
        }
        Err(error) => Some(error),
    };
    let Some(error) = failed else {
        return tracing::info!(%run, app, "an app has been sent all rows");
    };
    tracing::error!(%run, app, error = %chain(&error), "an app cannot be sent its rows");
    let position = &cursor.position;
    let endpoint = position.selections.get(position.at).and_then(|text| Endpoint::parse(text).ok());
    if let Some(endpoint) = endpoint {
        let step = cannot_send(publisher.app(), run, &endpoint);
        if let Ok(publication) = publication(step.message(publisher.app(), 0), endpoint, Some(&app)) {
            let _ = publisher.send(vec![publication]).await;
        }
    }
    if let Err(error) = cursor.end(database.as_ref()).await {
        tracing::debug!(%error, "it is tried again");
    }
}
