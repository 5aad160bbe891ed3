//! What there is to know of a dead letter without its values.

use serde::Serialize;
use uuid::Uuid;

use crate::broker::TakenLetter;
use crate::cli::words::{age, cut, printable};
use crate::message::Message;
use crate::operation::Operation;

/// How much of an error a line of the list shows.
const ERROR_CHARS: usize = 120;

/// A dead letter as it is listed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    /// What the other commands know it by: the message's id, or, where it has none, a name made of its bytes.
    pub(super) id: String,
    /// Who published it; none when it is no message.
    pub(super) app: Option<String>,
    /// What it is about.
    pub(super) endpoints: Vec<String>,
    /// What it does: `update shop/user/5`.
    pub(super) operations: Vec<String>,
    /// When it was written, in milliseconds since 1970, by the publisher's clock.
    pub(super) written_at: Option<u64>,
    /// When it died, in milliseconds since 1970.
    pub(super) died_at: Option<u64>,
    /// How often it was tried; 0 when it is no message.
    pub(super) attempts: u32,
    /// What the last attempt ended with.
    pub(super) error: String,
    /// The size of the body.
    pub(super) bytes: usize,
}

impl Summary {
    pub(super) fn of(taken: &TakenLetter) -> Self {
        let letter = &taken.letter;
        let message = Message::decode(&letter.body).ok();
        let id = letter.id.or(message.as_ref().map(|message| message.id));
        let endpoints = message.iter().flat_map(Message::endpoints).map(|endpoint| endpoint.to_string());
        let operations = message.iter().flat_map(|message| &message.operations).map(Operation::to_string);
        Self {
            id: id.as_ref().map_or_else(|| name_of(&letter.body), Uuid::to_string),
            endpoints: endpoints.collect(),
            operations: operations.collect(),
            app: message.as_ref().map(|message| message.app.clone()),
            written_at: message.as_ref().map(|message| message.timestamp),
            died_at: taken.died_at,
            attempts: letter.attempts,
            error: letter.error.clone(),
            bytes: letter.body.len(),
        }
    }

    /// What it is about, in few words.
    pub(super) fn what(&self) -> String {
        match (self.operations.as_slice(), self.endpoints.as_slice()) {
            ([first], _) => first.clone(),
            ([first, others @ ..], _) => format!("{first} and {} more", others.len()),
            ([], []) => "no message".to_owned(),
            ([], endpoints) => format!("a dummy of {}", endpoints.join(", ")),
        }
    }

    /// A line of the list.
    pub(super) fn line(&self, now: u64) -> String {
        let died = self.died_at.map_or_else(|| "?".to_owned(), |at| age(at, now));
        let error = match self.error.as_str() {
            "" => "no reason was given".to_owned(),
            error => cut(&printable(error), ERROR_CHARS),
        };
        let (id, what) = (printable(&self.id), printable(&self.what()));
        format!("{id}  died {died} ago, tried {} times: {what}: {error}", self.attempts)
    }
}

/// A name for a body that has none: the same as long as its bytes are.
fn name_of(body: &[u8]) -> String {
    // FNV-1a: short, the same for ever, and no secret is guarded by it.
    let hash = body.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    format!("body-{hash:016x}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::broker::DeadLetter;
    use bytes::Bytes;

    /// A letter about an update of `shop/user/5`, which died at 2,000 ms.
    pub(in super::super) fn letter() -> TakenLetter {
        let body = r#"{"id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10", "app": "shop", "timestamp": 1000, "generation": 1,
            "operations": [{"operation": "update", "endpoint": "shop/user", "types": ["User"], "id": "5",
                            "attributes": {"name": "Joe"}}],
            "dependencies": {"write": [{"key": "shop/user/5", "version": 7, "previous": 6, "readers": {}}], "read": []}}"#;
        let letter = DeadLetter {
            body: Bytes::from_static(body.as_bytes()),
            id: None,
            error: "it does not fit: expected\na number".into(),
            attempts: 25,
        };
        TakenLetter { letter, died_at: Some(2_000), tag: 1 }
    }

    #[test]
    fn a_summary_tells_what_the_letter_is_about_but_no_value() {
        let summary = Summary::of(&letter());
        let line = summary.line(62_000);
        assert_eq!(
            line,
            "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10  died 60 s ago, tried 25 times: update shop/user/5: it does not fit: expected\\na number"
        );
        let json = serde_json::to_string(&summary).unwrap();
        assert!(json.contains(r#""endpoints":["shop/user"]"#) && !json.contains("Joe"), "{json}");
    }

    #[test]
    fn what_is_no_message_has_a_name_too_and_always_the_same() {
        let mut garbage = letter();
        garbage.letter.body = Bytes::from_static(b"\xFF{no message");
        garbage.letter.error.clear();
        let names = [Summary::of(&garbage), Summary::of(&garbage)].map(|summary| summary.id);
        assert_eq!(names[0], "body-01323afadc2ced3b");
        // The name that others give to these bytes.
        assert_eq!(name_of(b"a"), "body-af63dc4c8601ec8c");
        assert_eq!(names[0], names[1]);
        let line = Summary { died_at: None, ..Summary::of(&garbage) }.line(0);
        assert!(line.contains("died ? ago") && line.ends_with("no message: no reason was given"), "{line}");
    }
}
