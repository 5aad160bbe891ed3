//! Models with every type of primary key, the same on both sides, and copies that keep the publisher's id beside a key of their own.

use diesel::prelude::*;
use promiscuous_diesel::{Publish, Subscribe};

/// The tables that are the same on every database.
#[allow(missing_docs)]
pub mod schema {
    diesel::table! {
        words (id) {
            id -> Text,
            note -> Text,
        }
    }

    diesel::table! {
        pairs (left_id, right_id) {
            left_id -> Integer,
            right_id -> Text,
            note -> Text,
        }
    }

    diesel::table! {
        word_copies (id) {
            id -> Integer,
            word_id -> Text,
            note -> Text,
        }
    }

    diesel::table! {
        pair_copies (id) {
            id -> Integer,
            pair_id -> Text,
            note -> Text,
        }
    }
}

use schema::{pair_copies, pairs, word_copies, words};

/// A text.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
#[diesel(table_name = words)]
#[publish(attributes(note))]
#[subscribe(attributes(note))]
#[allow(missing_docs)]
pub struct Word {
    pub id: String,
    pub note: String,
}

/// Two columns.
#[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
#[diesel(table_name = pairs, primary_key(left_id, right_id))]
#[publish(attributes(note))]
#[subscribe(attributes(note))]
#[allow(missing_docs)]
pub struct Pair {
    pub left_id: i32,
    pub right_id: String,
    pub note: String,
}

/// Has a key of its own, and the publisher's beside it.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = word_copies)]
#[subscribe(as = "Word", attributes(note), foreign_key = "word_id")]
#[allow(missing_docs)]
pub struct WordCopy {
    pub id: i32,
    pub word_id: String,
    pub note: String,
}

/// The same for a composite key, kept as it is written.
#[derive(Clone, Debug, Queryable, Selectable, Subscribe)]
#[diesel(table_name = pair_copies)]
#[subscribe(as = "Pair", attributes(note), foreign_key = "pair_id")]
#[allow(missing_docs)]
pub struct PairCopy {
    pub id: i32,
    pub pair_id: String,
    pub note: String,
}

/// The keys that each database keeps in a type of its own.
macro_rules! keyed {
    ($(#[doc = $doc:literal] $module:ident: $backend:ty, $guid:ty as $guid_type:ty, $moment:ty as $moment_type:ty;)*) => {$(
        #[doc = $doc]
        #[allow(missing_docs)]
        pub mod $module {
            use super::*;

            diesel::table! {
                things (id) {
                    id -> $guid_type,
                    note -> Text,
                }
            }

            diesel::table! {
                days (id, at) {
                    id -> Date,
                    at -> $moment_type,
                    note -> Text,
                }
            }

            /// A UUID.
            #[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
            #[diesel(table_name = things, check_for_backend($backend))]
            #[publish(attributes(note))]
            #[subscribe(attributes(note))]
            pub struct Thing {
                pub id: $guid,
                pub note: String,
            }

            /// A date and a moment.
            #[derive(Clone, Debug, Queryable, Selectable, Identifiable, Insertable, AsChangeset, Publish, Subscribe)]
            #[diesel(table_name = days, primary_key(id, at), check_for_backend($backend))]
            #[publish(attributes(note))]
            #[subscribe(attributes(note))]
            pub struct Day {
                pub id: chrono::NaiveDate,
                pub at: $moment,
                pub note: String,
            }
        }
    )*};
}

type UtcMoment = chrono::DateTime<chrono::Utc>;

keyed! {
    /// On PostgreSQL.
    postgres: diesel::pg::Pg, uuid::Uuid as diesel::sql_types::Uuid, UtcMoment as diesel::sql_types::Timestamptz;
    /// On MariaDB.
    mariadb: diesel::mysql::Mysql, super::super::kept::Guid as diesel::sql_types::Binary,
        super::super::kept::Moment as diesel::mysql::sql_types::Datetime;
    /// On SQLite.
    sqlite: diesel::sqlite::Sqlite, super::super::kept::Guid as diesel::sql_types::Binary,
        UtcMoment as diesel::sql_types::TimestamptzSqlite;
}
