//! What the two sides of a bootstrap tell each other. Wire form: `bootstrap` in a message without operations.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::broker::Publication;
use crate::clock;
use crate::key::Endpoint;
use crate::message::Message;
use crate::verify::{Answer, Question};

/// The model's part of the endpoint that requests go to: `<app>/promiscuous-bootstrap`, the app being the one that asks.
pub(crate) const REQUESTS: &str = "promiscuous-bootstrap";

/// One step of a bootstrap. `run` names the bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// A subscriber asks for all rows of these sources. Asking again for the same run changes nothing.
    Asked {
        /// The bootstrap.
        run: Uuid,
        /// As its subscriptions name them: `shop/user`, or `*/user`.
        sources: Vec<String>,
    },
    /// A subscriber tells which objects it has, of the message's generation: it wants to know which of them are gone. It says so once the
    /// publisher has begun to send rows, because then the publisher's queue is there.
    Known {
        /// The bootstrap.
        run: Uuid,
        /// Whose objects.
        endpoint: Endpoint,
        /// Each object's id and the newest version that was applied of it.
        objects: Vec<(String, u64)>,
        /// Whether these are the last ones.
        last: bool,
    },
    /// A publisher has said of every object that a subscriber has named whether it is gone.
    GoneIsTold {
        /// The bootstrap.
        run: Uuid,
        /// Whose objects.
        endpoint: Endpoint,
    },
    /// A publisher has sent some rows.
    UnderWay {
        /// The bootstrap.
        run: Uuid,
        /// Whose rows.
        endpoint: Endpoint,
        /// How many there were in the beginning.
        rows: u64,
        /// How many of them are in front of this message.
        sent: u64,
    },
    /// A publisher has sent all rows: the end marker.
    Done {
        /// The bootstrap.
        run: Uuid,
        /// Whose rows.
        endpoint: Endpoint,
        /// How many are in front of this message.
        sent: u64,
    },
    /// A publisher cannot send the rows.
    Failed {
        /// The bootstrap.
        run: Uuid,
        /// Whose rows.
        endpoint: Endpoint,
        /// Why, as a sentence for the subscriber's operators.
        reason: String,
    },
    /// A subscriber that compares its rows wants to know something.
    Verify {
        /// The comparison.
        run: Uuid,
        /// Names the question in it: the answer has the same.
        number: u64,
        /// What it wants to know.
        question: Question,
    },
    /// A publisher's answer.
    Verified {
        /// The comparison.
        run: Uuid,
        /// The question's.
        number: u64,
        /// What it says.
        answer: Answer,
    },
    /// A step that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Step {
    /// Whose rows a publisher tells of with it.
    pub(crate) fn rows_of(&self) -> Option<&Endpoint> {
        match self {
            Self::UnderWay { endpoint, .. }
            | Self::Done { endpoint, .. }
            | Self::Failed { endpoint, .. }
            | Self::GoneIsTold { endpoint, .. } => Some(endpoint),
            Self::Asked { .. }
            | Self::Known { .. }
            | Self::Verify { .. }
            | Self::Verified { .. }
            | Self::Unknown => None,
        }
    }

    /// The message that says it.
    pub(crate) fn message(self, app: &str, generation: u64) -> Message {
        Message {
            id: Uuid::now_v7(),
            app: app.to_owned(),
            host: None,
            context: Some("promiscuous/bootstrap".into()),
            current_user_id: None,
            timestamp: clock::millis(),
            generation,
            operations: Vec::new(),
            dependencies: None,
            bootstrap: Some(self),
        }
    }
}

/// A message on its way to one app, or (a request) to whoever serves bootstraps.
///
/// # Errors
/// What serde says, which it does of no step.
pub(crate) fn publication(
    message: Message,
    endpoint: Endpoint,
    only_to: Option<&str>,
) -> Result<Publication, serde_json::Error> {
    let body = message.encode()?.into();
    Ok(Publication {
        id: message.id,
        app: message.app,
        timestamp: message.timestamp,
        endpoints: vec![endpoint],
        only_to: only_to.map(str::to_owned),
        body,
        traceparent: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_the_wire_and_those_of_tomorrow_are_no_poison() {
        let run = Uuid::now_v7();
        let endpoint = Endpoint::parse("shop/user").unwrap();
        for step in [
            Step::Asked { run, sources: vec!["*/user".into()] },
            Step::Known { run, endpoint: endpoint.clone(), objects: vec![("5".into(), 7)], last: true },
            Step::GoneIsTold { run, endpoint: endpoint.clone() },
            Step::UnderWay { run, endpoint: endpoint.clone(), rows: 10, sent: 5 },
            Step::Done { run, endpoint: endpoint.clone(), sent: 10 },
            Step::Failed { run, endpoint, reason: "too large".into() },
        ] {
            let text = step.clone().message("mailer", 3).encode().unwrap();
            let read = Message::decode(text.as_bytes()).unwrap();
            assert_eq!((read.bootstrap, read.generation), (Some(step), 3));
        }
        let text = Step::Unknown.message("mailer", 1).encode().unwrap();
        let later = text.replace(r#""step":"unknown""#, r#""step":"of tomorrow","with":{"x":1}"#);
        assert_ne!(later, text);
        assert_eq!(Message::decode(later.as_bytes()).unwrap().bootstrap, Some(Step::Unknown));
    }
}
