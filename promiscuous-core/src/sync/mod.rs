//! Publishing rows again, as they are now (section 8 of the protocol): what `promiscuous publish` does.
//!
//! A table is read in the order of its primary key, a chunk after the other. No write is stopped, and nothing is bumped: an object is
//! sent with the version that it has. So a subscriber that knows the same version takes it (which mends what was changed behind
//! everybody's back), and one that knows a newer version does not.
//!
//! * [`PublishedRows`], [`Condition`]: reading the rows, by the adapter
//! * `chunk`: the three steps for some ids: versions, rows, and again those that were being written
//! * `messages`: rows with their versions become messages (pure)
//! * [`Selection`]: which rows (pure)
//! * [`OneModel`]: what the app's own code publishes again
//! * [`Run`]: selections one after the other, with a cursor in the database to go on from; `marker`: whoever has asked for them is told how far it is

mod chunk;
mod condition;
mod cursor;
mod error;
mod marker;
mod messages;
mod one_model;
mod rows;
mod run;
mod selection;
mod some;

pub(crate) use chunk::settled;
pub use condition::{Condition, ConditionError};
pub use cursor::{Cursor, Kind, Position};
pub use error::SyncError;
pub use one_model::OneModel;
pub use rows::{NOTHING_TO_FLUSH, PublishedRows, Stretch, SyncModel, SyncRow};
pub(crate) use run::steadily;
pub use run::{Progress, Run, SyncSettings};
pub use selection::{Selection, SelectionError};
pub use some::publish_ids;
