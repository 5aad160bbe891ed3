//! What a blocked message waits for, where that can be, and what to do about it.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::dependency::Version;
use crate::key::Key;
use crate::message::Message;

/// What a blocked message waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Cause {
    /// The object.
    pub(super) waits_for: Key,
    /// The version of it: that is written first, or, when `readers` are waited for, was read.
    #[serde(flatten)]
    pub(super) version: Version,
    /// Whether messages are waited for that have read this version, rather than the one that writes it.
    pub(super) readers: bool,
}

impl Cause {
    /// What a parked message waits for; the message itself knows which version others have read.
    pub(super) fn of(waits_for: Key, version: Version, message: Option<&Message>) -> Self {
        if version.version > 0 {
            return Self { waits_for, version, readers: false };
        }
        let read = message.and_then(|message| {
            let mut written = message.dependencies.iter().flat_map(|dependencies| &dependencies.write);
            let previous = written.find(|write| write.key == waits_for)?.previous?;
            Some(Version::new(message.generation, previous))
        });
        Self { waits_for, version: read.unwrap_or(version), readers: true }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waits_for, version: Version { generation, version }, readers } = self;
        let readers = if *readers { "the readers of " } else { "" };
        write!(f, "{readers}{waits_for} at {generation}:{version}")
    }
}

/// Where a cause is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub(super) enum Place {
    /// Applied here by now.
    Applied,
    /// In the hands of a writer: an intent in the publisher's Redis.
    InFlight,
    /// In the outbox of this app, which is the publisher.
    Outbox,
    /// Parked here as well.
    Parked {
        /// The message that brings it.
        cause_id: Uuid,
    },
    /// Failed here, and waits for its next attempt.
    Failing {
        /// The message that brings it.
        cause_id: Uuid,
    },
    /// Left here to a program of this app that takes its endpoint.
    Left {
        /// The message that brings it.
        cause_id: Uuid,
    },
    /// Among the dead letters of this app.
    Dead {
        /// The message that brings it.
        cause_id: Uuid,
    },
    /// Of a generation of versions that is over.
    Over,
    /// In none of these places, which were all looked at.
    Nowhere {
        /// Messages in this app's queue: it may be one of them.
        queued: u64,
    },
    /// It is in none of the places that could be looked at.
    Unknown,
}

impl Place {
    /// Where it is and what to do, as the end of a sentence.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Applied => "that has come, and the message goes on by itself within 30 s where `promiscuous subscribe` runs".into(),
            Self::InFlight => "its writer is at work or has died; the publisher settles that within a minute where it runs, and `promiscuous recover --once` there where it does not".into(),
            Self::Outbox => "it is in this app's outbox; where it stays there, run `promiscuous recover --once`".into(),
            Self::Parked { cause_id } => format!("it is parked as well, by the message {cause_id}: see what that waits for"),
            Self::Failing { cause_id } => format!(
                "it is brought by the message {cause_id}, which failed and is tried again: the log of `promiscuous subscribe` says why"
            ),
            Self::Left { cause_id } => format!(
                "it is brought by the message {cause_id}, which waits for another program of this app: see what this list says of it"
            ),
            Self::Dead { cause_id } => format!(
                "it is a dead letter: `promiscuous dead show {cause_id}` says why; mend that, then `promiscuous dead retry --id {cause_id}`"
            ),
            Self::Over => "it was perhaps lost with the publisher's Redis, and the message goes on without it after 30 s".into(),
            Self::Nowhere { queued: 0 } => "it is nowhere to be seen: not published yet (`promiscuous status` of the publisher says so), in a worker's memory, or lost; if it is lost for good, `promiscuous subscribe --recovery 10` goes on without it".into(),
            Self::Nowhere { queued } => format!("it is perhaps one of the {queued} messages in this app's queue: see that `promiscuous subscribe` runs and works them off"),
            Self::Unknown => "unknown where that is: not here, and the publisher's Redis cannot be looked at from here; `promiscuous status` of the publisher says what it has not published".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = r#"{"id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10", "app": "shop", "timestamp": 1, "generation": 2,
        "operations": [{"operation": "destroy", "endpoint": "shop/user", "types": ["User"], "id": "5"}],
        "dependencies": {"write": [{"key": "shop/user/5", "version": 9, "previous": 7, "readers": {"shop/post": 1}}],
                         "read": []}}"#;

    fn cause(generation: u64, version: u64, message: Option<&Message>) -> Cause {
        Cause::of(Key::parse("shop/user/5").unwrap(), Version::new(generation, version), message)
    }

    #[test]
    fn a_version_is_waited_for_as_it_was_parked() {
        let cause = cause(2, 7, None);
        assert_eq!((cause.version, cause.readers), (Version::new(2, 7), false));
        assert_eq!(cause.to_string(), "shop/user/5 at 2:7");
    }

    #[test]
    fn of_readers_the_message_knows_which_version_they_have_read() {
        let message = Message::decode(MESSAGE.as_bytes()).unwrap();
        let of_readers = cause(0, 0, Some(&message));
        assert_eq!((of_readers.version, of_readers.readers), (Version::new(2, 7), true));
        assert_eq!(of_readers.to_string(), "the readers of shop/user/5 at 2:7");
        // A row that cannot be read is shown all the same.
        assert!(cause(0, 0, None).readers);
    }

    #[test]
    fn a_place_is_told_to_programs_by_its_name() {
        let told = |place: &Place| serde_json::to_string(place).unwrap();
        assert_eq!(told(&Place::InFlight), r#"{"cause":"in_flight"}"#);
        assert_eq!(told(&Place::Nowhere { queued: 3 }), r#"{"cause":"nowhere","queued":3}"#);
        let dead = told(&Place::Dead { cause_id: Uuid::nil() });
        assert_eq!(dead, r#"{"cause":"dead","cause_id":"00000000-0000-0000-0000-000000000000"}"#);
    }
}
