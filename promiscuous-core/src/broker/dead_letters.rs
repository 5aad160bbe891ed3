//! Dead letters: what could not be applied, put aside with why, and taken out again by whoever sees to it.

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::BrokerError;

/// A message that could not be applied, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// As it came.
    pub body: Bytes,
    /// The AMQP `message_id`, where the body has one.
    pub id: Option<Uuid>,
    /// What the last attempt ended with, for people.
    pub error: String,
    /// How often it was tried; 0 when its body is no message.
    pub attempts: u32,
}

/// A dead letter in somebody's hands. Until it is settled it stays where it was, and nobody else sees it.
#[derive(Debug, Clone)]
pub struct TakenLetter {
    /// What it says. The error is empty when whoever put it there gave none.
    pub letter: DeadLetter,
    /// When it was put there, in milliseconds since 1970, as exactly as the broker keeps it; none when nobody said so.
    pub died_at: Option<u64>,
    /// Names it to the [`DeadLetters`] that it was taken from.
    pub tag: u64,
}

/// The dead letters of one queue, taken out one after the other, the oldest first.
///
/// **What was taken and not settled is not lost**, however this ends. After [`put_back`](DeadLetters::put_back) it is where it was,
/// before those that died since. When this is dropped, the connection is lost or the process is killed, the broker puts it
/// back by itself, perhaps in another order.
#[async_trait]
pub trait DeadLetters: Send {
    /// How many there were when they were opened. Those that somebody else has in hands are not counted.
    fn count(&self) -> u64;

    /// The next one; none after as many as were [counted](DeadLetters::count), so that a letter which dies once more while one reads
    /// does not come round for ever, and none when somebody else has taken the rest.
    ///
    /// # Errors
    /// [`BrokerError::Connection`] when the connection was lost: then open them anew.
    async fn next(&mut self) -> Result<Option<TakenLetter>, BrokerError>;

    /// Puts letters into the queue that they died in, of this app and no other, as messages that were never tried; once the broker has
    /// confirmed that, they are no dead letters any more. Answers for each, in order.
    ///
    /// A death in between leaves a letter in both places, where it does no harm: what was applied is skipped.
    async fn retry(&mut self, letters: &[TakenLetter]) -> Vec<Result<(), BrokerError>>;

    /// Deletes letters for good, by their tags.
    ///
    /// # Errors
    /// [`BrokerError::Connection`] when the connection was lost. Then it is unknown which are deleted.
    async fn delete(&mut self, tags: &[u64]) -> Result<(), BrokerError>;

    /// Puts back what was taken and not settled, in its order, and waits until it is there or somebody else has taken it.
    ///
    /// # Errors
    /// [`BrokerError::Connection`] when the connection was lost before it said so.
    async fn put_back(self: Box<Self>) -> Result<(), BrokerError>;
}
