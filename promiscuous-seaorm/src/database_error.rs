//! What a database's error means, for PostgreSQL, MariaDB and MySQL, and SQLite.

use promiscuous_core::database::{DatabaseError, DatabaseErrorKind};
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::error::{DatabaseError as DriverError, ErrorKind};
use sea_orm::{DbErr, RuntimeErr};

/// Wraps SeaORM's error with what it means to whoever must decide on a retry.
///
/// The driver is not asked for by type, so that none has to be compiled in: SQLSTATE codes tell PostgreSQL and MySQL apart
/// from SQLite's result codes, and MySQL's own numbers begin its messages.
pub fn database_error(error: DbErr) -> DatabaseError {
    let kind = match &error {
        DbErr::ConnectionAcquire(_) => DatabaseErrorKind::Connection,
        DbErr::Conn(RuntimeErr::SqlxError(cause)) => match kind_of(cause) {
            DatabaseErrorKind::Other => DatabaseErrorKind::Connection,
            kind => kind,
        },
        DbErr::Conn(_) => DatabaseErrorKind::Connection,
        DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
            kind_of(cause)
        }
        _ => DatabaseErrorKind::Other,
    };
    DatabaseError::new(kind, error)
}

/// Whether the server has rolled the whole transaction back already, and not only the statement.
pub(crate) fn has_rolled_back(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    let SqlxError::Database(error) = &**cause else { return false };
    match error.code().as_deref() {
        // A deadlock, or a serialization failure.
        Some("40001") => true,
        // "Record has changed since last read" (MariaDB).
        Some("HY000") => mysql_number(&error.to_string()) == Some(1020),
        _ => false,
    }
}

fn kind_of(error: &SqlxError) -> DatabaseErrorKind {
    match error {
        SqlxError::Database(error) => kind_of_driver(&**error),
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed
        | SqlxError::BeginFailed => DatabaseErrorKind::Connection,
        _ => DatabaseErrorKind::Other,
    }
}

fn kind_of_driver(error: &dyn DriverError) -> DatabaseErrorKind {
    if matches!(error.kind(), ErrorKind::UniqueViolation) {
        return DatabaseErrorKind::UniqueViolation;
    }
    let code = error.code().unwrap_or_default();
    kind_of_code(&code, &error.to_string())
}

fn kind_of_code(code: &str, message: &str) -> DatabaseErrorKind {
    if code.len() != 5 {
        // SQLite's extended codes keep the primary one in their lowest byte: 5 is BUSY, 6 is LOCKED.
        return match code.parse::<u32>().map(|code| code & 0xff) {
            Ok(5 | 6) => DatabaseErrorKind::Contention,
            _ => DatabaseErrorKind::Other,
        };
    }
    match code {
        // serialization_failure (MySQL's deadlock 1213 too), deadlock_detected, lock_not_available.
        "40001" | "40P01" | "55P03" => DatabaseErrorKind::Contention,
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_session_timeout, too_many_connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" => DatabaseErrorKind::Connection,
        _ if code.starts_with("08") => DatabaseErrorKind::Connection,
        // MySQL's states for everything without one: its number decides.
        "HY000" | "70100" => match mysql_number(message) {
            // Lock wait timeout, NOWAIT, "record has changed since last read" (MariaDB), and a deadlock.
            Some(1205 | 3572 | 1020 | 1213) => DatabaseErrorKind::Contention,
            // Killed, and server shutdown.
            Some(1927 | 1053) => DatabaseErrorKind::Connection,
            _ => DatabaseErrorKind::Other,
        },
        _ => DatabaseErrorKind::Other,
    }
}

/// The number that sqlx writes first: `1205 (HY000): Lock wait timeout exceeded`.
fn mysql_number(message: &str) -> Option<u16> {
    message.split([' ', ':']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatabaseErrorKind::{Connection, Contention, Other, UniqueViolation};
    use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};

    #[test]
    fn codes_of_servers_are_understood() {
        for (code, message, kind) in [
            ("40001", "could not serialize access due to concurrent update", Contention),
            ("40P01", "deadlock detected", Contention),
            ("55P03", "canceling statement due to lock timeout", Contention),
            ("57P01", "terminating connection due to administrator command", Connection),
            ("08006", "connection failure", Connection),
            ("40001", "1213 (40001): Deadlock found when trying to get lock", Contention),
            ("HY000", "1205 (HY000): Lock wait timeout exceeded", Contention),
            ("HY000", "1020 (HY000): Record has changed since last read in table 'a'", Contention),
            ("70100", "1927 (70100): Connection was killed", Connection),
            ("HY000", "1364 (HY000): Field 'a' doesn't have a default value", Other),
            ("P0001", "1205 is what a trigger said", Other),
            ("23503", "violates foreign key constraint", Other),
            ("5", "(code: 5) database is locked", Contention),
            ("517", "(code: 517) database is locked", Contention),
            ("6", "(code: 6) database table is locked", Contention),
            ("1299", "(code: 1299) NOT NULL constraint failed", Other),
        ] {
            assert_eq!(kind_of_code(code, message), kind, "{code} {message}");
        }
    }

    async fn open(url: &str) -> DatabaseConnection {
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    #[tokio::test]
    async fn sqlite_s_real_errors_are_understood() {
        let path = std::env::temp_dir().join(format!("promiscuous-{}.sqlite", uuid::Uuid::now_v7()));
        let url = format!("sqlite://{}?mode=rwc", path.display());
        let (one, two) = (open(&url).await, open(&url).await);
        one.execute_unprepared("CREATE TABLE a (id INTEGER PRIMARY KEY NOT NULL)").await.unwrap();
        one.execute_unprepared("INSERT INTO a VALUES (1)").await.unwrap();

        let twice = one.execute_unprepared("INSERT INTO a VALUES (1)").await.unwrap_err();
        assert_eq!(database_error(twice).kind, UniqueViolation);
        let wrong = one.execute_unprepared("INSERT INTO b VALUES (1)").await.unwrap_err();
        assert_eq!(database_error(wrong).kind, Other);

        two.execute_unprepared("PRAGMA busy_timeout = 0").await.unwrap();
        one.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
        let busy = two.execute_unprepared("BEGIN IMMEDIATE").await.unwrap_err();
        assert_eq!(database_error(busy).kind, Contention);
        one.execute_unprepared("ROLLBACK").await.unwrap();

        let closed = Database::connect("sqlite:///no/such/directory/db.sqlite").await.unwrap_err();
        assert_eq!(database_error(closed).kind, Connection);
        let _ = std::fs::remove_file(path);
    }
}
