//! The pub/sub connection that tells this process which keys advanced, here and elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::{Client, RedisResult};
use tokio::sync::{broadcast, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::StoreError;
use super::link::TIMEOUT;
use crate::key::Key;
use crate::version_store::Announcement;

/// How many announcements a receiver may lag behind before it is told that it missed some.
const BACKLOG: usize = 1_024;

/// How often a silent connection is asked whether it is alive: a vanished server says no goodbye.
const PING_EVERY: Duration = Duration::from_secs(10);

/// The first pause before reconnecting; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause before reconnecting.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// One subscription for all receivers of a store.
pub(super) struct Announcements {
    client: Client,
    /// Host and port, for errors.
    at: String,
    channel: String,
    sender: broadcast::Sender<Announcement>,
    /// True from the first confirmed SUBSCRIBE on; a later loss is told as [`Announcement::Lost`].
    subscribed: watch::Sender<bool>,
    /// The listening task, started by the first receiver. A std lock, never held while waiting.
    task: Mutex<Option<AbortHandle>>,
}

impl Announcements {
    pub(super) fn new(client: Client, at: String, channel: String) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self { client, at, channel, sender, subscribed: watch::Sender::new(false), task: Mutex::new(None) }
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// A receiver, once the server has confirmed the subscription.
    pub(super) async fn receive(&self) -> Result<broadcast::Receiver<Announcement>, StoreError> {
        self.start();
        let receiver = self.sender.subscribe();
        let mut subscribed = self.subscribed.subscribe();
        match timeout(TIMEOUT, subscribed.wait_for(|&subscribed| subscribed)).await {
            Ok(Ok(_)) => Ok(receiver),
            _ => Err(StoreError::Unavailable {
                at: self.at.clone(),
                reason: format!("the subscription to {} was not confirmed in time", self.channel),
            }),
        }
    }

    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        // A task that has ended belonged to a runtime that is gone: start again on this one.
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            let listener = Listener {
                client: self.client.clone(),
                channel: self.channel.clone(),
                sender: self.sender.clone(),
                subscribed: self.subscribed.clone(),
            };
            let at: Arc<str> = self.at.as_str().into();
            *task = Some(tokio::spawn(listener.run(at)).abort_handle());
        }
    }
}

impl Drop for Announcements {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

struct Listener {
    client: Client,
    channel: String,
    sender: broadcast::Sender<Announcement>,
    subscribed: watch::Sender<bool>,
}

impl Listener {
    async fn run(self, at: Arc<str>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = Instant::now();
            let reason = match self.listen().await {
                Ok(()) => "the server closed the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            if before.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(%at, reason, "lost the subscription to announcements; subscribing again");
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Subscribes and passes on until the connection is lost.
    async fn listen(&self) -> RedisResult<()> {
        let pubsub = in_time(self.client.get_async_pubsub()).await?;
        let (mut sink, mut stream) = pubsub.split();
        in_time(sink.subscribe(&self.channel)).await?;
        if self.subscribed.send_replace(true) {
            // An error only says that nobody listens.
            let _ = self.sender.send(Announcement::Lost);
        }
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(message) => self.pass_on(&String::from_utf8_lossy(message.get_payload_bytes())),
                    None => return Ok(()),
                },
                _ = ping.tick() => { in_time(sink.ping::<redis::Value>()).await?; }
            }
        }
    }

    fn pass_on(&self, payload: &str) {
        let keys: Result<Vec<Key>, _> = payload.lines().map(Key::parse).collect();
        // Something that is no list of keys says nothing about which changed.
        let announcement = keys.map_or(Announcement::Lost, Announcement::Advanced);
        let _ = self.sender.send(announcement);
    }
}

/// The subscribing client has no timeouts of its own.
async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(TIMEOUT, answer).await.unwrap_or_else(|late| Err(std::io::Error::from(late).into()))
}
