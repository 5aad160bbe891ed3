//! Apps with Diesel.
//!
//! Diesel's code is written for one database: most of it is the same text for all three, in `app`, `steps`, `reading` and `writing`,
//! each of which is a module of `postgres`, `mariadb` and `sqlite`; what is different is in these three themselves.

pub mod mariadb;
pub mod postgres;
pub mod sqlite;

use crate::entities_diesel::publishing::Counter;

/// A table of ways: their names, what each does, and what a message tells of it.
macro_rules! ways {
    ($run:ident, $db:ident; $($name:literal: $does:expr => $told:expr;)*) => {
        /// Each way, and what it tells.
        pub const WAYS: &[crate::conformance::stack::Way] =
            &[$(crate::conformance::stack::Way { name: $name, told: &$told }),*];

        /// Does what is called so, if there is such a way here.
        pub fn $run($db: &mut Db, name: &str) -> Option<diesel::QueryResult<()>> {
            let mut run = || -> diesel::QueryResult<bool> {
                match name {
                    $($name => {
                        let _ = $does;
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            };
            match run() {
                Ok(true) => Some(Ok(())),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            }
        }
    };
}

pub(crate) use ways;

fn counter(id: i64, n: i64) -> Counter {
    Counter { id, n }
}
