//! Bringing a new or damaged subscriber up to date while everybody goes on writing (section 8 of the protocol).
//!
//! In the order of the steps:
//!
//! 1. The subscriber notes that it is `joining`: its endpoints are weak from now on, and nothing waits for what was lost.
//! 2. It binds its queue, so that whatever is published from now on arrives.
//! 3. It asks for all rows (`asking`). A publisher that serves (`serving`) sends them into the subscriber's queue, and ends with a marker for
//!    each endpoint.
//! 4. Once a publisher has begun, the subscriber tells it which objects are here; the publisher answers which of them are gone, and that this
//!    was all.
//! 5. With both answers the endpoint is live, in the transaction that applies the second one.
//!
//! Every step is kept in a database before the one that it follows from is forgotten, and may be done twice: whoever dies goes on
//! where it was.
//!
//! * `gone`: which of the subscriber's objects are there no more, and as of which version
//! * [`Step`]: what both sides tell each other

mod asking;
mod gone;
pub(crate) mod joining;
mod parts;
mod serving;
mod step;

use crate::broker::{Queue, QueueKind};

pub(crate) use asking::ask;
pub use joining::{Follower, Progress};
pub(crate) use parts::covers;
pub use parts::{Part, PartState};
pub use serving::{ServeSettings, serve};
pub use step::Step;
pub(crate) use step::{REQUESTS, publication};

/// The queue of an app that serves bootstraps: `<app>.serve.promiscuous`. No app is called `<app>.serve`, because no name has a point.
pub(crate) fn requests_to(app: &str) -> Queue {
    Queue {
        app: format!("{app}.serve"),
        bindings: vec![format!("*.{}", step::REQUESTS)],
        kind: QueueKind::Quorum,
    }
}
