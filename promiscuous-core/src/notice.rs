//! What somebody should hear of: for the app's own error tracker.
//!
//! ```
//! use promiscuous_core::notice::{Notice, on_error};
//!
//! on_error(|notice: &Notice| eprintln!("to the error tracker: {notice}"))?;
//! # Ok::<(), promiscuous_core::notice::AlreadySet>(())
//! ```
//!
//! It is set once for the process, as a panic hook is: in `main`, before anything else. Everything it is told is in the log as well.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use uuid::Uuid;

/// What happened. It never holds a row's values or a password, but where the app's own callbacks put them into their errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// A message could not be applied, and is tried again.
    #[error("the message {id} failed for the {attempt}th time and is tried again: {error}")]
    Failed {
        /// The message.
        id: Uuid,
        /// From 1.
        attempt: u32,
        /// Why.
        error: String,
    },
    /// A message failed for the last time.
    #[error("the message {id} failed {attempts} times and is among the dead letters: {error}")]
    Dead {
        /// The message.
        id: Uuid,
        /// How often it was tried.
        attempts: u32,
        /// Why, the last time.
        error: String,
    },
    /// A body was no message.
    #[error("a body of {bytes} bytes is no message and is among the dead letters: {error}")]
    Poison {
        /// How long it was.
        bytes: usize,
        /// Why it could not be read.
        error: String,
    },
    /// A message has waited for its cause for over 30 s.
    #[error("the message {id} has waited for {waits_for} for {} s", waited.as_secs())]
    Blocked {
        /// The message.
        id: Uuid,
        /// The key.
        waits_for: String,
        /// For how long.
        waited: Duration,
    },
    /// A message was applied without its cause.
    #[error("the message {id} was applied without its cause, {waits_for}, after {} s", waited.as_secs())]
    Recovered {
        /// The message.
        id: Uuid,
        /// The key.
        waits_for: String,
        /// How long it had waited.
        waited: Duration,
    },
    /// The app has bound a source that no model of this program takes: its messages wait for a program that does. Expected while versions of the app run side by side.
    #[error("the messages of {endpoint} wait for a program of this app that takes them")]
    Left {
        /// As subscriptions name it.
        endpoint: String,
    },
    /// Messages for this subscriber were lost: its queue is gone, or its database. All rows are asked for again.
    #[error("messages were lost, and all rows are asked for again: {reason}")]
    Joining {
        /// What was found.
        reason: String,
    },
    /// What was committed cannot be published now. It waits in the outbox.
    #[error("the outbox cannot be published now: {reason}")]
    Unpublished {
        /// Why.
        reason: String,
    },
    /// Published writes are refused from now on.
    #[error("published writes are refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
}

/// A notifier is set already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an error notifier is set already, and there is one for the process")]
pub struct AlreadySet;

type Notifier = Box<dyn Fn(&Notice) + Send + Sync>;

static NOTIFIER: OnceLock<Notifier> = OnceLock::new();

/// Has every notice told to `notifier`, from whatever task it happens in: it should hand it on and return. Its panics are caught.
///
/// # Errors
/// [`AlreadySet`] when it was called before.
pub fn on_error(notifier: impl Fn(&Notice) + Send + Sync + 'static) -> Result<(), AlreadySet> {
    NOTIFIER.set(Box::new(notifier)).map_err(|_| AlreadySet)
}

/// Something happened.
pub(crate) fn tell(notice: &Notice) {
    if let Some(notifier) = NOTIFIER.get()
        && catch_unwind(AssertUnwindSafe(|| notifier(notice))).is_err()
    {
        tracing::error!("the error notifier panicked");
    }
}
