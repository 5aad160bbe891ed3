//! Dead letters, taken out one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::ShortString;
use tokio::time::timeout;

use super::burying::{properties, put, read};
use super::topology::look;
use super::{ANSWER_TIMEOUT, RabbitMq, short};
use crate::broker::{BrokerError, DeadLetters, Queue, QueueKind, TakenLetter};

/// Deliveries that are put back at once. RabbitMQ passes 32 on to a quorum queue before it waits for the disk, and keeps
/// those that come meanwhile in another order.
const CHUNK: usize = 16;

/// When a pause would be as long as this, nobody waits any more for letters that were put back: somebody else has taken them.
/// Those before it are 4 s together: a busy quorum queue takes its time.
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// How many letters there are in a queue, but for those in somebody's hands; none when it is not there.
async fn count(broker: &RabbitMq, channel: &Channel, dead: &ShortString) -> Result<Option<u64>, BrokerError> {
    let looked = timeout(ANSWER_TIMEOUT, look(broker, channel, dead)).await;
    let looked = looked.map_err(|_| broker.link().lost(&"it does not answer in time"))?;
    Ok(looked?.map(|queue| queue.message_count().into()))
}

/// Waits until there are that many letters, and says whether there are. A quorum queue is told to put back, and has done so a moment
/// later; nothing says when.
async fn until_back(
    broker: &RabbitMq,
    channel: &Channel,
    dead: &ShortString,
    expected: u64,
) -> Result<bool, BrokerError> {
    let mut pause = Duration::from_millis(1);
    while count(broker, channel, dead).await?.is_some_and(|count| count < expected) {
        if pause >= LAST_PAUSE {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(true)
}

/// Takes dead letters of a queue in hands, on a channel of their own: when that closes, they are where they were.
pub(super) async fn open(broker: &RabbitMq, queue: &Queue) -> Result<Box<dyn DeadLetters>, BrokerError> {
    let dead = short(broker.at(), queue.dead_letters())?;
    let opening = async {
        let channel = broker.link().channel().await?;
        let Some(count) = count(broker, &channel, &dead).await? else {
            let reason = format!("there is no queue {}", queue.dead_letters());
            return Err(BrokerError::Refused { at: broker.at().to_owned(), reason });
        };
        let (broker, to, taken) = (broker.clone(), queue.clone(), BTreeSet::new());
        Ok(Box::new(RabbitDeadLetters {
            broker,
            channel,
            dead,
            to,
            count,
            left: count,
            taken,
            is_quorum: queue.kind == QueueKind::Quorum,
            last_was_returned: false,
        }))
    };
    match timeout(ANSWER_TIMEOUT, opening).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(broker.link().lost(&"it does not answer in time")),
    }
}

struct RabbitDeadLetters {
    broker: RabbitMq,
    /// Holds what was taken. Letters come one by one, because a consumer would be given more than was asked for, and would
    /// not be told when there are no more.
    channel: Channel,
    /// The queue of the dead letters.
    dead: ShortString,
    /// The queue that they died in.
    to: Queue,
    count: u64,
    /// How many of them were not taken yet.
    left: u64,
    /// Tags that are not settled, some bytes for each letter; the letters themselves are not kept.
    taken: BTreeSet<u64>,
    /// A quorum queue keeps what is put back in a line before all others, at whose end the next one goes. A classic
    /// queue knows the place of each.
    is_quorum: bool,
    /// Whether the letter that was taken last had been put back before: then there may be more in that line.
    last_was_returned: bool,
}

impl RabbitDeadLetters {
    async fn get(&mut self) -> Result<Option<BasicGetMessage>, BrokerError> {
        let getting = self.channel.basic_get(self.dead.clone(), BasicGetOptions { no_ack: false });
        let got = timeout(ANSWER_TIMEOUT, getting).await;
        let got = got.map_err(|_| self.broker.link().lost(&"it does not answer in time"))?;
        let got = got.map_err(|error| self.lost(&error))?;
        if let Some(message) = &got {
            self.last_was_returned = message.redelivered;
            self.taken.insert(message.delivery_tag);
        }
        Ok(got)
    }

    /// Takes the rest of the line of what was put back before: else what is put back now would come after it.
    async fn take_the_rest_of_the_line(&mut self) -> Result<(), BrokerError> {
        while self.is_quorum && self.last_was_returned && !self.taken.is_empty() {
            if self.get().await?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn lost(&self, error: &lapin::Error) -> BrokerError {
        // Even a refusal (a consumer timeout, say) is over once they are opened anew.
        self.broker.link().lost(error)
    }
}

#[async_trait]
impl DeadLetters for RabbitDeadLetters {
    fn count(&self) -> u64 {
        self.count
    }

    async fn next(&mut self) -> Result<Option<TakenLetter>, BrokerError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        let Some(message) = self.get().await? else { return Ok(None) };
        self.left = left;
        Ok(Some(read(message)))
    }

    async fn retry(&mut self, letters: &[TakenLetter]) -> Vec<Result<(), BrokerError>> {
        let one = |taken: &TakenLetter| {
            let (broker, to, letter) = (&self.broker, &self.to, taken.letter.clone());
            async move { put(broker, to, &to.name(), &letter.body, properties(broker.at(), letter.id)?).await }
        };
        let mut results = join_all(letters.iter().map(one)).await;
        fail::fail_point!("before_letters_are_acked");
        for (taken, result) in letters.iter().zip(&mut results) {
            if result.is_ok() {
                *result = self.delete(&[taken.tag]).await;
            }
        }
        results
    }

    async fn delete(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        for tag in tags {
            // Settling one twice would make the broker close the channel.
            if self.taken.remove(tag) {
                let settled = self.channel.basic_ack(*tag, BasicAckOptions { multiple: false }).await;
                settled.map_err(|error| self.lost(&error))?;
            }
        }
        Ok(())
    }

    async fn put_back(mut self: Box<Self>) -> Result<(), BrokerError> {
        self.take_the_rest_of_the_line().await?;
        let tags: Vec<u64> = self.taken.iter().copied().collect();
        let options = BasicNackOptions { multiple: false, requeue: true };
        let looking = timeout(ANSWER_TIMEOUT, self.broker.link().channel()).await;
        let looking = looking.map_err(|_| self.broker.link().lost(&"it does not answer in time"))??;
        // Those that nobody has taken are there meanwhile, too.
        let mut expected = count(&self.broker, &looking, &self.dead).await?.unwrap_or_default();
        let mut all_back = true;
        for chunk in tags.chunks(CHUNK) {
            for sent in join_all(chunk.iter().map(|tag| self.channel.basic_nack(*tag, options))).await {
                sent.map_err(|error| self.lost(&error))?;
            }
            expected += chunk.len() as u64;
            // Once somebody else takes them at the same time there is no order to be kept, and nothing to wait for.
            all_back = all_back && until_back(&self.broker, &looking, &self.dead, expected).await?;
        }
        // The broker has received whatever was sent before when the answer to this comes.
        let closed = timeout(ANSWER_TIMEOUT, self.channel.close(200, ShortString::default())).await;
        let closed = closed.map_err(|_| self.broker.link().lost(&"it does not answer in time"))?;
        closed.map_err(|error| self.lost(&error))?;
        // Whether this one closes well no longer matters.
        let _ = timeout(ANSWER_TIMEOUT, looking.close(200, ShortString::default())).await;
        Ok(())
    }
}

impl Drop for RabbitDeadLetters {
    fn drop(&mut self) {
        // The channel would live as long as the connection.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.channel.status().connected()
        {
            let channel = self.channel.clone();
            runtime.spawn(async move {
                // An error only says that it is closed.
                let _ = channel.close(200, ShortString::default()).await;
            });
        }
    }
}
