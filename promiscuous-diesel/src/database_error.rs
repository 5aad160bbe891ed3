//! What a database's error means, for PostgreSQL, MariaDB and MySQL, and SQLite.

use diesel::result::{DatabaseErrorKind as Kind, Error};
use promiscuous_core::database::{DatabaseError, DatabaseErrorKind};

/// Wraps Diesel's error with what it means to whoever must decide on a retry.
///
/// Diesel keeps no SQLSTATE and no error number. What it has no kind for is known by the server's English message; on a server that
/// speaks another language (`lc_messages`), contention of these kinds is taken for an error of the message at hand, which is tried
/// again as well, later and alone.
pub fn database_error(error: Error) -> DatabaseError {
    DatabaseError::new(kind_of(&error), error)
}

/// What an error means.
pub(crate) fn kind_of(error: &Error) -> DatabaseErrorKind {
    match error {
        Error::DatabaseError(kind, information) => match kind {
            Kind::UniqueViolation => DatabaseErrorKind::UniqueViolation,
            Kind::SerializationFailure => DatabaseErrorKind::Contention,
            Kind::UnableToSendCommand | Kind::ClosedConnection => DatabaseErrorKind::Connection,
            Kind::ForeignKeyViolation
            | Kind::ReadOnlyTransaction
            | Kind::RestrictViolation
            | Kind::NotNullViolation
            | Kind::CheckViolation
            | Kind::ExclusionViolation => DatabaseErrorKind::Other,
            _ => kind_of_message(information.message()),
        },
        // Nobody knows the state of its transaction any more, as after a lost connection. The next one is a new one.
        Error::BrokenTransactionManager => DatabaseErrorKind::Connection,
        Error::RollbackErrorOnCommit { commit_error, .. } => kind_of(commit_error),
        _ => DatabaseErrorKind::Other,
    }
}

/// Where Diesel has no kind for it. Only the beginning counts: what follows may quote anything.
fn kind_of_message(message: &str) -> DatabaseErrorKind {
    const CONTENTION: &[&str] = &[
        // PostgreSQL.
        "deadlock detected",
        "canceling statement due to lock timeout",
        "could not obtain lock on",
        "could not serialize access",
        // MariaDB and MySQL: 1213 (where no prepared statement reports it), 1205, 1020 and NOWAIT.
        "Deadlock found when trying to get lock",
        "Lock wait timeout exceeded",
        "Record has changed since last read",
        "Statement aborted because lock(s) could not be acquired immediately",
        // SQLite's BUSY and LOCKED.
        "database is locked",
        "database table is locked",
        "database schema is locked",
    ];
    const CONNECTION: &[&str] = &[
        // PostgreSQL.
        "terminating connection",
        "server closed the connection",
        "no connection to the server",
        "the database system is ",
        "sorry, too many clients",
        "remaining connection slots",
        "could not receive data from server",
        "could not send data to server",
        "SSL connection has been closed",
        // MariaDB and MySQL, and their client libraries: 2006, 2013, 2055, 1927, 1053.
        "Server has gone away",
        "MySQL server has gone away",
        "Lost connection to",
        "Connection was killed",
        "Server shutdown in progress",
    ];
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| message.starts_with(beginning));
    if begins(CONTENTION) {
        DatabaseErrorKind::Contention
    } else if begins(CONNECTION) {
        DatabaseErrorKind::Connection
    } else {
        DatabaseErrorKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatabaseErrorKind::{Connection, Contention, Other, UniqueViolation};

    fn said(kind: Kind, message: &str) -> Error {
        Error::DatabaseError(kind, Box::new(message.to_owned()))
    }

    #[test]
    fn messages_of_servers_are_understood() {
        for (message, kind) in [
            ("deadlock detected", Contention),
            ("canceling statement due to lock timeout", Contention),
            ("could not obtain lock on row in relation \"a\"", Contention),
            ("terminating connection due to administrator command", Connection),
            ("Lock wait timeout exceeded; try restarting transaction", Contention),
            ("Record has changed since last read in table 'a'", Contention),
            ("Connection was killed", Connection),
            ("Server has gone away", Connection),
            ("database is locked", Contention),
            ("database table is locked: users", Contention),
            ("no such table: database is locked", Other),
            ("a trigger said: deadlock detected", Other),
            ("Field 'a' doesn't have a default value", Other),
        ] {
            assert_eq!(kind_of(&said(Kind::Unknown, message)), kind, "{message}");
        }
    }

    #[test]
    fn diesel_s_own_kinds_are_understood() {
        let commit_error = Box::new(said(Kind::SerializationFailure, "x"));
        let both = Error::RollbackErrorOnCommit { rollback_error: Box::new(Error::NotFound), commit_error };
        for (error, kind) in [
            (said(Kind::UniqueViolation, "x"), UniqueViolation),
            (said(Kind::SerializationFailure, "x"), Contention),
            (said(Kind::ClosedConnection, "deadlock detected"), Connection),
            (said(Kind::UnableToSendCommand, "x"), Connection),
            (said(Kind::ForeignKeyViolation, "deadlock detected"), Other),
            (Error::BrokenTransactionManager, Connection),
            (both, Contention),
            (Error::NotFound, Other),
        ] {
            assert_eq!(kind_of(&error), kind, "{error:?}");
        }
    }
}
