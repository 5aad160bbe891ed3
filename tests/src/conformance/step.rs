//! What an app can be told to do.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::entities::everything::{moment, plain};

/// The models of the tests. [`Row`] says what they look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Whoever writes messages.
    User,
    /// Written by a user in a certain state.
    Message,
    /// About a message.
    Comment,
    /// Counts up, so that a lost or doubled change shows.
    Counter,
    /// Ends before a photo is posted.
    Friendship,
    /// Not for the friend of that friendship.
    Photo,
    /// Nobody else's business: not published.
    Note,
    /// A text as key.
    Word,
    /// A UUID as key.
    Thing,
    /// A key of two columns.
    Pair,
    /// A key of a date and a moment.
    Day,
    /// All types of columns but dates and times.
    Plain,
    /// Dates and times.
    Moment,
}

impl Model {
    /// Its table.
    pub fn table(self) -> &'static str {
        match self {
            Model::User => "users",
            Model::Message => "messages",
            Model::Comment => "comments",
            Model::Counter => "counters",
            Model::Friendship => "friendships",
            Model::Photo => "photos",
            Model::Note => "notes",
            Model::Word => "words",
            Model::Thing => "things",
            Model::Pair => "pairs",
            Model::Day => "days",
            Model::Plain => "plains",
            Model::Moment => "moments",
        }
    }

    /// The last part of its endpoint.
    pub fn endpoint(self) -> &'static str {
        self.table().trim_end_matches('s')
    }
}

/// A row, every column of it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Row {
    User {
        id: i64,
        name: String,
        revision: i64,
        /// Not published.
        secret: String,
    },
    Message {
        id: i64,
        user_id: i64,
        user_revision: i64,
        text: String,
    },
    Comment {
        id: i64,
        message_id: i64,
        text: String,
    },
    Counter {
        id: i64,
        n: i64,
    },
    Friendship {
        id: i64,
        friend: String,
    },
    Photo {
        id: i64,
        friendship_id: i64,
    },
    Note {
        id: i64,
        text: String,
        /// The note it is about, which must exist when the transaction ends (not on MariaDB, where a constraint cannot wait).
        about: Option<i64>,
    },
    Word {
        id: String,
        note: String,
    },
    Thing {
        id: Uuid,
        note: String,
    },
    Pair {
        left_id: i32,
        right_id: String,
        note: String,
    },
    Day {
        id: NaiveDate,
        at: DateTime<Utc>,
        note: String,
    },
    Plain(Box<plain::Model>),
    Moment(Box<moment::Model>),
}

/// Which row.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Key {
    /// The models with a plain number.
    Number(Model, i64),
    Word(String),
    Thing(Uuid),
    Pair(i32, String),
    Day(NaiveDate, DateTime<Utc>),
}

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Inserts a row.
    Insert(Row),
    /// Inserts rows of one model in one statement.
    InsertMany(Vec<Row>),
    /// Writes all columns of a row that exists.
    Update(Row),
    /// Deletes by key.
    Destroy(Key),
    /// Deletes all rows of a model in one statement.
    DestroyAll(Model),
    /// Adds to some counters in one statement, in the database.
    Add {
        /// Which counters.
        counters: Vec<i64>,
        /// How much.
        n: i64,
    },
    /// Deletes the counters below this id in one statement.
    DestroyCountersBelow(i64),
    /// Changes the column of a user that is not published.
    ChangeSecret(i64, String),
    /// Gives all things this note, in one statement.
    NoteAllThings(String),
    /// Gives the days at this moment this note, in one statement.
    NoteDaysAt(DateTime<Utc>, String),
    /// Sets what may be NULL of a row of plain or moment columns to NULL.
    Clear(Model, i64),
    /// Reads one row by its key, which may not exist.
    Find(Model, i64),
    /// Reads a user, and inserts a message of his in the state that was read.
    MessageOf {
        /// The message's id.
        id: i64,
        /// The user.
        user: i64,
        /// The message's text.
        text: String,
    },
    /// Reads a message, and inserts a comment about it with the same id.
    CommentOn {
        /// The message.
        message: i64,
        /// The comment's text.
        text: String,
    },
    /// In a transaction: locks a counter by reading it, and writes the next number.
    IncrementAfterReading(i64),
    /// One of the adapter's own ways of reading or writing, by its name.
    Way(&'static str),
    /// A transaction; inside of another one, a savepoint.
    Transaction(Vec<Step>, End),
    /// Waits in the middle of it all until the test lets it go on.
    Pause(Pause),
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is kept.
    Commit,
    /// The app thinks better of it.
    RollBack,
    /// The app forgets it, or panics in it: nobody ends it.
    Abandon,
}

/// Why a step failed, in the words its user would read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place where an app waits for the test, and the test for the app.
#[derive(Clone, Debug)]
pub struct Pause(Arc<(Semaphore, Semaphore)>);

impl Default for Pause {
    fn default() -> Self {
        Self(Arc::new((Semaphore::new(0), Semaphore::new(0))))
    }
}

impl Pause {
    /// What the app does: says that it is there, and waits.
    pub async fn here(&self) {
        self.0.0.add_permits(1);
        self.0.1.acquire().await.expect("It is never closed.").forget();
    }

    /// The test waits until the app is there.
    pub async fn reached(&self) {
        self.0.0.acquire().await.expect("It is never closed.").forget();
    }

    /// The test lets the app go on.
    pub fn go_on(&self) {
        self.0.1.add_permits(1);
    }
}

/// A counter at 0 is inserted.
pub fn create_counter(id: i64) -> Step {
    Step::Insert(Row::Counter { id, n: 0 })
}

/// A counter goes on by one, in the database.
pub fn increment(id: i64) -> Step {
    Step::Add { counters: vec![id], n: 1 }
}

/// A counter is deleted.
pub fn destroy_counter(id: i64) -> Step {
    Step::Destroy(Key::Number(Model::Counter, id))
}

/// A user is inserted at revision 0, and updated at every other.
pub fn save_user(id: i64, name: &str, revision: i64) -> Step {
    let user = Row::User { id, name: name.to_owned(), revision, secret: "secret".to_owned() };
    if revision == 0 { Step::Insert(user) } else { Step::Update(user) }
}

/// A transaction that is kept.
pub fn transaction(steps: impl IntoIterator<Item = Step>) -> Step {
    Step::Transaction(steps.into_iter().collect(), End::Commit)
}
