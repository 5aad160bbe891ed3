//! Questions to publishers, and their answers, through a queue of their own: `<app>.verify.promiscuous`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::error::VerifyError;
use super::talk::{Answer, Published, Question};
use crate::bootstrap::{REQUESTS, Step, covers, publication, requests_to};
use crate::broker::{Broker, BrokerError, Consumer, Queue, QueueKind};
use crate::error::Error;
use crate::key::Endpoint;
use crate::message::Message;

/// After so long without an answer a question is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// How long other publishers of a source with `*` may take to answer, when one has.
const OTHERS: Duration = Duration::from_secs(1);

/// The pause before a broker that was lost is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// The queue of an app's answers. No app is called `<app>.verify`, because no name has a point.
pub(crate) fn answers_to(app: &str) -> Queue {
    Queue { app: format!("{app}.verify"), bindings: Vec::new(), kind: QueueKind::Classic }
}

/// Asks, one question at a time.
pub(super) struct Link {
    /// This app.
    app: String,
    /// Names the comparison: answers to earlier ones may still be there.
    run: Uuid,
    /// The last question's.
    number: u64,
    /// For how long a publisher is asked that does not answer.
    patience: Duration,
    broker: Arc<dyn Broker>,
    /// None while the connection is lost.
    consumer: Option<Box<dyn Consumer>>,
}

impl Link {
    /// Declares the queue of answers.
    ///
    /// # Errors
    /// [`VerifyError::Running`] when somebody else consumes from it, and what the broker says.
    pub(super) async fn open(
        app: &str,
        broker: Arc<dyn Broker>,
        patience: Duration,
    ) -> Result<Self, VerifyError> {
        let queue = answers_to(app);
        broker.declare(&queue).await?;
        if broker.depth(&queue).await?.is_some_and(|depth| depth.consumers > 0) {
            return Err(VerifyError::Running { app: app.to_owned() });
        }
        let consumer = broker.consume(&queue, 16).await?;
        let (app, run) = (app.to_owned(), Uuid::now_v7());
        Ok(Self { app, run, number: 0, patience, broker, consumer: Some(consumer) })
    }

    /// Which models of these sources are published, by which app.
    pub(super) async fn models(
        &mut self,
        sources: &[String],
    ) -> Result<Vec<(String, Published)>, VerifyError> {
        let (begun, mut found) = (Instant::now(), BTreeMap::new());
        self.number += 1;
        loop {
            self.say(None, Question::Models { sources: sources.to_vec() }).await?;
            let asked = Instant::now();
            let mut until = asked + AGAIN.min(self.patience);
            while let Some((app, answer)) = self.hear(until).await? {
                let Answer::Models { models } = answer else { continue };
                for model in models {
                    found.insert((model.endpoint.clone(), model.name.clone()), (app.clone(), model));
                }
                if uncovered(sources, found.keys().map(|(endpoint, _)| endpoint)).is_empty() {
                    let is_open = sources.iter().any(|source| source.starts_with("*/"));
                    until = if is_open { asked + OTHERS } else { asked };
                }
            }
            let uncovered = uncovered(sources, found.keys().map(|(endpoint, _)| endpoint));
            if uncovered.is_empty() {
                return Ok(found.into_values().collect());
            }
            if begun.elapsed() > self.patience {
                return Err(VerifyError::NoPublisher { sources: uncovered, waited: begun.elapsed() });
            }
        }
    }

    /// Asks one publisher until it has answered.
    pub(super) async fn ask(&mut self, to: &str, question: Question) -> Result<Answer, VerifyError> {
        let begun = Instant::now();
        self.number += 1;
        loop {
            self.say(Some(to), question.clone()).await?;
            while let Some((app, answer)) = self.hear(Instant::now() + AGAIN.min(self.patience)).await? {
                match answer {
                    Answer::Failed { reason } => return Err(VerifyError::Failed { app, reason }),
                    answer if app == to => return Ok(answer),
                    _ => {}
                }
            }
            if begun.elapsed() > self.patience {
                return Err(VerifyError::Silent { app: to.to_owned(), waited: begun.elapsed() });
            }
        }
    }

    /// Publishes a question; a broker that is away is waited for, and so is a publisher that has no queue yet. Asked again it has the same
    /// number, so that an answer that takes longer is an answer, too.
    async fn say(&mut self, to: Option<&str>, question: Question) -> Result<(), VerifyError> {
        let step = Step::Verify { run: self.run, number: self.number, question };
        self.send(to, step, 0).await
    }

    /// Sends a step to a publisher's queue of requests, or to all of them.
    pub(super) async fn send(
        &mut self,
        to: Option<&str>,
        step: Step,
        generation: u64,
    ) -> Result<(), VerifyError> {
        let begun = Instant::now();
        let to = to.map(|app| requests_to(app).app);
        loop {
            let endpoint = Endpoint::parse(&format!("{}/{REQUESTS}", self.app)).map_err(Error::from)?;
            let message = step.clone().message(&self.app, generation);
            let publication = publication(message, endpoint, to.as_deref()).map_err(|error| {
                Error::Configuration(format!("a question cannot be written as JSON: {error}"))
            })?;
            match self.broker.publish(vec![publication]).await.into_iter().collect::<Result<(), _>>() {
                Ok(()) => return Ok(()),
                Err(error @ BrokerError::Refused { .. }) if to.is_none() => return Err(error.into()),
                Err(error) if begun.elapsed() > self.patience => return Err(error.into()),
                Err(error) => tracing::debug!(%error, "a question cannot be sent; trying again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The next answer to the last question, with who gives it; none when none has come until then.
    async fn hear(&mut self, until: Instant) -> Result<Option<(String, Answer)>, VerifyError> {
        loop {
            let Some(consumer) = &mut self.consumer else {
                match self.broker.consume(&answers_to(&self.app), 16).await {
                    Ok(consumer) => self.consumer = Some(consumer),
                    Err(error @ BrokerError::Refused { .. }) => return Err(error.into()),
                    Err(_) if Instant::now() >= until => return Ok(None),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
                continue;
            };
            let Ok(delivered) = tokio::time::timeout_at(until.into(), consumer.next()).await else {
                return Ok(None);
            };
            let Ok(delivery) = delivered else {
                self.consumer = None;
                continue;
            };
            delivery.acknowledger.ack(&[delivery.tag]).await;
            // What is none of ours was meant for somebody who did not wait for it.
            if let Ok(Message { app, bootstrap: Some(Step::Verified { run, number, answer }), .. }) =
                Message::decode(&delivery.body)
                && (run, number) == (self.run, self.number)
            {
                return Ok(Some((app, answer)));
            }
        }
    }
}

/// The sources that none of these endpoints belongs to.
fn uncovered<'e>(sources: &[String], endpoints: impl Iterator<Item = &'e Endpoint> + Clone) -> Vec<String> {
    let is_covered = |source: &&String| endpoints.clone().any(|endpoint| covers(source, endpoint));
    sources.iter().filter(|source| !is_covered(source)).cloned().collect()
}
