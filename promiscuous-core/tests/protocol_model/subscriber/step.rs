//! What the subscriber's steps are called.

use super::state::State;
use crate::message::{Message, Version};
use crate::scenario::KEY_NAMES;

/// A step, for the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Load(usize),
    Rebuild(usize, Version),
    Start(Message),
    GiveUp(Message),
    ApplyVersions(Message),
    Apply(Message),
    Advance(Message),
    Ack(Message),
    Dies(Message),
    LoadIsLost,
    ComesAgain(Message),
    Flush,
}

impl Step {
    pub fn is_fault(self) -> bool {
        matches!(self, Self::Dies(_) | Self::LoadIsLost | Self::ComesAgain(_) | Self::Flush)
    }

    /// A sentence about this step, which led from one state to another.
    pub fn describe(self, before: &State, after: &State) -> String {
        match self {
            Self::Load(key) => {
                format!(
                    "{} is not in the subscriber's Redis: its version is read from the database.",
                    KEY_NAMES[key]
                )
            }
            Self::Rebuild(key, version) => {
                format!("What was read of {} ({version}) is put into the subscriber's Redis.", KEY_NAMES[key])
            }
            Self::Start(message) => format!("A worker takes {message}: it is ready."),
            Self::GiveUp(message) => {
                format!("A worker takes {message}: what it waits for is of a generation that is over.")
            }
            Self::ApplyVersions(message) => {
                format!("The worker commits the versions of {message} without its rows.")
            }
            Self::Apply(message) => {
                let skips = |state: &State| {
                    state.workers.iter().flatten().any(|task| task.message == message && task.skipped)
                };
                let skips = if skips(after) && !skips(before) {
                    " (nothing in it is newer than what is there)"
                } else {
                    ""
                };
                format!("The worker commits {message}{skips}.")
            }
            Self::Advance(message) => format!("The worker advances the subscriber's Redis by {message}."),
            Self::Ack(message) => format!("The worker acknowledges {message}."),
            Self::Dies(message) => format!("The worker with {message} dies."),
            Self::LoadIsLost => "A process that loads a key dies.".into(),
            Self::ComesAgain(message) => format!("In the queue, {message} is there again."),
            Self::Flush => "The subscriber's Redis is flushed.".into(),
        }
    }
}
