//! Between lock-and-bump and the known outcome of COMMIT.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::Inner;
use super::outbox;
use crate::broker::Publication;
use crate::context::{Causes, Context};
use crate::database::Sql;
use crate::dependency::Version;
use crate::key::Key;
use crate::message::Message;
use crate::version_store::Finish;

/// A message whose versions are bumped and whose transaction is not yet known to be committed.
///
/// Dropping it, or [`Pending::failed`], has the op settled by section 6 of the protocol at once: its versions are
/// consumed by the real message if the transaction did commit after all, else by a dummy.
#[must_use = "say whether the transaction committed"]
pub struct Pending {
    /// Settles the op unless the outcome was told.
    pub(super) unsettled: Unsettled,
    /// What is published once committed.
    pub(super) committed: Committed,
    /// The encoded message as the outbox keeps it.
    pub(super) text: String,
    /// Whose causes were used, and which: told to the context on success.
    pub(super) context: Option<(Context, Causes)>,
    /// The written keys with their new versions.
    pub(super) written: Vec<(Key, Version)>,
}

/// A committed message on its way to the broker.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    /// Removes the intent and the locks.
    pub(crate) finish: Finish,
    /// Goes to the broker.
    pub(crate) publication: Publication,
    /// Whether it is a dummy, whose row stays as a fence.
    pub(crate) tombstone: bool,
}

impl Committed {
    /// A message from its encoded form.
    pub(crate) fn new(message: &Message, body: Bytes, tombstone: bool) -> Self {
        let locked = message.written_objects();
        Self {
            finish: Finish { op: message.id, keys: locked.map(|w| w.key.clone()).collect() },
            publication: Publication {
                id: message.id,
                app: message.app.clone(),
                timestamp: message.timestamp,
                endpoints: message.endpoints(),
                only_to: None,
                body,
                traceparent: None,
            },
            tombstone,
        }
    }
}

impl Pending {
    /// Step 3: run this in the transaction, then COMMIT.
    pub fn outbox_insert(&self) -> Sql {
        let dialect = self.unsettled.inner.outbox.dialect();
        outbox::insert(dialect, self.committed.finish.op, outbox::PENDING, &self.text)
    }

    /// COMMIT has succeeded: *finish*, publishing and the deletion of the outbox row go on in the background.
    /// Never blocks: when too much is under way already, the outbox sweeper takes the message.
    ///
    /// Answers with the written keys and their versions, the makings of a consistency token.
    pub fn committed(mut self) -> Vec<(Key, Version)> {
        fail::fail_point!("after_commit");
        self.unsettled.told = true;
        if let Some((context, used)) = &self.context {
            context.wrote(used, &self.committed.finish.keys);
        }
        let inner = Arc::clone(&self.unsettled.inner);
        inner.hand_over(self.committed.clone());
        std::mem::take(&mut self.written)
    }

    /// The outbox INSERT or COMMIT failed, or its answer was lost.
    pub fn failed(self) {
        drop(self);
    }
}

/// An op that may be bumped: dropping it untold asks the recoverer for an early look.
///
/// It exists before lock-and-bump is even sent, so that a future dropped at any await leaves nobody waiting
/// for the intent's deadline.
pub(super) struct Unsettled {
    pub(super) inner: Arc<Inner>,
    pub(super) op: Uuid,
    /// Whether the outcome is known and taken care of.
    pub(super) told: bool,
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.told {
            self.inner.look_early(self.op);
        }
    }
}
