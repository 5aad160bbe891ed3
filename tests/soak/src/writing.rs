//! What the writers of a soak do: a day in the life of an app, over and over.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use tokio::time::{Instant, sleep_until, timeout};

use super::journal::Write;
use promiscuous_tests::conformance::step::{
    create_counter, destroy_counter, increment, save_user, transaction,
};
use promiscuous_tests::conformance::{App, End, Failure, Key, Model, Row, Step};
use promiscuous_tests::entities::subscribing::{AT_LEAST, CHECKED};

/// Nothing takes that long but what hangs.
const PATIENCE: Duration = Duration::from_secs(40);

/// A writer that is behind by more writes no faster for it.
const MAKES_UP_FOR: Duration = Duration::from_millis(500);

/// What the tasks of one process share.
pub struct Writing {
    /// Counters that every process knows: 1 to this one.
    counters: i64,
    next_id: AtomicI64,
    next_write: AtomicU64,
    /// Users that were saved, for the messages of others.
    users: Mutex<Vec<i64>>,
    /// Of 256 writes, how many are given up in the middle by whoever asked for them.
    hang_ups: u8,
    ended: AtomicBool,
}

impl Writing {
    /// Rows get numbers from `first_id` on; of 256 writes, `hang_ups` are given up in the middle.
    pub fn new(counters: i64, first_id: i64, hang_ups: u8) -> Self {
        let (next_id, next_write) = (AtomicI64::new(first_id), AtomicU64::new(1));
        Self {
            counters,
            next_id,
            next_write,
            users: Mutex::default(),
            hang_ups,
            ended: AtomicBool::new(false),
        }
    }

    /// What was begun is the last.
    pub fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    fn id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::SeqCst)
    }
}

/// One task. A row whose last write failed is left alone from then on: nobody knows what is in it.
pub struct Writer {
    app: Arc<dyn App>,
    shared: Arc<Writing>,
    random: Rng,
    /// Users and their revisions.
    users: Vec<(i64, i64)>,
    messages: Vec<i64>,
    friendships: Vec<i64>,
    counters: Vec<i64>,
}

impl Writer {
    /// Chooses by this seed.
    pub fn new(app: Arc<dyn App>, shared: Arc<Writing>, seed: u64) -> Self {
        let (users, messages, friendships, counters) = Default::default();
        Self { app, shared, random: Rng::with_seed(seed), users, messages, friendships, counters }
    }

    /// Writes, one after the other and once in this time on the average, until it is told to end.
    pub async fn run(mut self, every: Duration) {
        let mut due = Instant::now();
        while !self.shared.ended.load(Ordering::SeqCst) {
            let write = self.choose();
            let number = self.shared.next_write.fetch_add(1, Ordering::SeqCst);
            println!("> {number} {} {write}", now());
            // Now and then the one who asked for it hangs up.
            let hangs_up = self.random.u8(..) < self.shared.hang_ups;
            let patience = if hangs_up { Duration::from_micros(self.random.u64(..6_000)) } else { PATIENCE };
            let steps = self.steps(write);
            let outcome = timeout(patience, self.app.request("soak", steps)).await;
            match outcome.unwrap_or_else(|_| Err(Failure("cancelled".to_owned()))) {
                Ok(()) => {
                    println!("+ {number} {}", now());
                    self.succeeded(write);
                }
                Err(failure) => {
                    // A transaction that is rolled back on purpose says so.
                    let reason = failure.0.replace('\n', " ");
                    println!("- {number} {} {reason}", now());
                }
            }
            // What a slow write has cost is made up for, but not what an outage has.
            let next = due + every.mul_f64(0.5 + self.random.f64());
            due = next.max(Instant::now() - MAKES_UP_FOR);
            sleep_until(due).await;
        }
    }

    /// Takes what the write is about out of its lists: it comes back when the write succeeds.
    fn choose(&mut self) -> Write {
        let shared = self.random.i64(1..=self.shared.counters);
        match self.random.u8(..100) {
            0..30 => Write::Increment { counter: shared },
            30..38 => Write::IncrementAfterReading { counter: shared },
            38..45 => {
                let second = shared % self.shared.counters + 1;
                Write::IncrementBoth { counters: [shared.min(second), shared.max(second)] }
            }
            45..48 => Write::RollBack { counter: shared },
            48..63 if self.users.len() > 4 => {
                let (id, revision) = self.users.swap_remove(self.random.usize(..self.users.len()));
                Write::User { id, revision: revision + 1 }
            }
            48..63 => Write::User { id: self.shared.id(), revision: 0 },
            63..78 if !self.users.is_empty() => {
                let (user, _) = self.users[self.random.usize(..self.users.len())];
                Write::Message { id: self.shared.id(), user }
            }
            78..83 => match self.anybody() {
                Some(user) => Write::Message { id: self.shared.id(), user },
                None => Write::Increment { counter: shared },
            },
            83..90 if !self.messages.is_empty() => Write::Comment {
                message: self.messages.swap_remove(self.random.usize(..self.messages.len())),
            },
            90..95 if self.friendships.len() > 2 => Write::EndAndPost {
                id: self.friendships.swap_remove(self.random.usize(..self.friendships.len())),
            },
            90..97 => Write::Befriend { id: self.shared.id() },
            _ if self.counters.len() > 2 => Write::Destroy {
                counter: self.counters.swap_remove(self.random.usize(..self.counters.len())),
            },
            _ => Write::Create { counter: self.shared.id() },
        }
    }

    fn anybody(&mut self) -> Option<i64> {
        let users = self.shared.users.lock().unwrap_or_else(PoisonError::into_inner);
        (!users.is_empty()).then(|| users[self.random.usize(..users.len())])
    }

    fn steps(&self, write: Write) -> Vec<Step> {
        match write {
            Write::User { id, revision } => vec![save_user(id, "joe", revision)],
            Write::Message { id, user } => {
                // Others change their users meanwhile.
                let own = self.users.iter().any(|(id, _)| *id == user);
                let text = if own { CHECKED } else { AT_LEAST };
                vec![Step::MessageOf { id, user, text: text.to_owned() }]
            }
            Write::Comment { message } => vec![Step::CommentOn { message, text: CHECKED.to_owned() }],
            Write::Increment { counter } => vec![increment(counter)],
            Write::IncrementAfterReading { counter } => vec![Step::IncrementAfterReading(counter)],
            Write::IncrementBoth { counters } => vec![transaction(counters.map(increment))],
            Write::RollBack { counter } => vec![Step::Transaction(vec![increment(counter)], End::RollBack)],
            Write::Create { counter } => vec![create_counter(counter)],
            Write::Destroy { counter } => vec![destroy_counter(counter)],
            Write::Befriend { id } => {
                vec![Step::Insert(Row::Friendship { id, friend: "ann".to_owned() })]
            }
            Write::EndAndPost { id } => vec![
                Step::Destroy(Key::Number(Model::Friendship, id)),
                Step::Insert(Row::Photo { id, friendship_id: id }),
            ],
        }
    }

    fn succeeded(&mut self, write: Write) {
        match write {
            Write::User { id, revision } => {
                self.users.push((id, revision));
                if revision == 0 {
                    self.shared.users.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                }
            }
            Write::Message { id, .. } => self.messages.push(id),
            Write::Befriend { id } => self.friendships.push(id),
            Write::Create { counter } => self.counters.push(counter),
            _ => {}
        }
        for kept in [&mut self.messages, &mut self.friendships, &mut self.counters] {
            kept.truncate(1_000);
        }
    }
}

/// Microseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
