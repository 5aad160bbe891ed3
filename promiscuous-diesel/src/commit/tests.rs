//! A commit path that keeps what it is given, and fails on request.

use std::sync::{Arc, Mutex, PoisonError};

use promiscuous_core::context::Context;
use promiscuous_core::database::{Dialect, Sql, SqlValue};
use promiscuous_core::error::Error;
use promiscuous_core::operation::Operation;

use super::Bumped;

/// What was published, and what shall fail.
pub(crate) struct Recorded {
    /// One entry for each committed message.
    pub messages: Mutex<Vec<Message>>,
    /// How many messages were bumped and then not committed.
    pub settled: Mutex<usize>,
    /// What shall fail next.
    pub fail: Mutex<Option<Fault>>,
    /// Told when the version store does not answer.
    #[cfg(feature = "async")]
    pub hangs: tokio::sync::Notify,
    /// How the outbox is written.
    pub dialect: Dialect,
}

/// A committed message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub operations: Vec<Operation>,
    /// The context's name.
    pub context: Option<String>,
    /// The read dependencies.
    pub reads: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    LockAndBump,
    /// The version store does not answer.
    #[cfg(feature = "async")]
    Hang,
    OutboxInsert,
    /// The outbox row violates a constraint that is checked at COMMIT.
    Commit,
}

pub(crate) struct Open {
    recorded: Arc<Recorded>,
    message: Option<(Message, Option<Context>)>,
    fault: Option<Fault>,
}

impl Recorded {
    pub(crate) fn new(dialect: Dialect) -> Arc<Self> {
        Arc::new(Self {
            messages: Mutex::default(),
            settled: Mutex::default(),
            fail: Mutex::default(),
            #[cfg(feature = "async")]
            hangs: tokio::sync::Notify::new(),
            dialect,
        })
    }

    pub(super) fn lock_and_bump(
        self: &Arc<Self>,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Bumped>, Error> {
        let fault = self.fail.lock().unwrap_or_else(PoisonError::into_inner).take();
        if fault == Some(Fault::LockAndBump) {
            return Err(Error::Publisher("the test says so".into()));
        }
        let keys: Vec<_> = operations.iter().filter_map(|o| o.key().ok()).collect();
        let reads = context.map(|context| context.causes().read_keys(&keys)).unwrap_or_default();
        let message = Message {
            operations,
            context: context.map(|context| context.name().to_owned()),
            reads: reads.iter().map(ToString::to_string).collect(),
        };
        let message = Some((message, context.cloned()));
        Ok(Some(Bumped::Recorded(Open { recorded: Arc::clone(self), message, fault })))
    }

    /// The same with a wait before and after.
    #[cfg(feature = "async")]
    pub(super) async fn lock_and_bump_async(
        self: &Arc<Self>,
        operations: Vec<Operation>,
        context: Option<&Context>,
    ) -> Result<Option<Bumped>, Error> {
        tokio::task::yield_now().await;
        if *self.fail.lock().unwrap_or_else(PoisonError::into_inner) == Some(Fault::Hang) {
            self.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        let bumped = self.lock_and_bump(operations, context);
        tokio::task::yield_now().await;
        bumped
    }
}

impl Open {
    pub(super) fn outbox_insert(&self) -> Sql {
        let table = match self.fault {
            Some(Fault::OutboxInsert) => "no_such_table",
            Some(Fault::Commit) => "refused_at_commit",
            _ => "promiscuous_outbox",
        };
        let mut sql = Sql::new(
            self.recorded.dialect,
            &format!("INSERT INTO {table} (op, state, created_at, message) VALUES "),
        );
        let op = uuid::Uuid::now_v7().to_string();
        let values: [SqlValue; 4] = [op.into(), 0_i64.into(), 0_i64.into(), "{}".into()];
        sql.bind_list(values);
        sql
    }

    pub(super) fn committed(mut self) {
        let Some((message, context)) = self.message.take() else { return };
        if let Some(context) = context {
            let keys: Vec<_> = message.operations.iter().filter_map(|o| o.key().ok()).collect();
            context.wrote(&context.causes(), &keys);
        }
        self.recorded.messages.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.message.is_some() {
            *self.recorded.settled.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
    }
}
