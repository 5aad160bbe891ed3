//! The models that tests replicate, as Diesel's: the same tables as in [`entities`](crate::entities).
//!
//! What the databases agree on is one struct for all of them. What they do not is in a module for each database.

pub mod answering;
pub mod everything;
pub mod kept;
pub mod keyed;
pub mod publishing;
pub mod subscribing;

/// Writes something once for each database.
macro_rules! on_each {
    ($name:ident) => {
        $name!(diesel::pg::Pg);
        $name!(diesel::mysql::Mysql);
        $name!(diesel::sqlite::Sqlite);
    };
}

pub(crate) use on_each;
