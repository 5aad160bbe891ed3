//! Where the databases differ for whoever connects to one and reads the results of core's own statements.

use diesel::backend::Backend;
use diesel::deserialize;
use promiscuous_core::database::{SqlType, SqlValue};

/// The part of a backend that is nobody else's business.
pub trait DatabaseBackend: Backend {
    /// What this crate's own connections begin with; an app's connections are its own affair.
    const SET_UP: &'static [&'static str] = &[];

    /// What a connection begins with that this crate makes for an app, whose code does not know that others write in the background.
    const PATIENCE: Option<&'static str> = None;

    /// A database URL as Diesel takes it.
    ///
    /// # Errors
    /// A sentence, when the database is not one that several connections can share.
    fn connection_url(url: &str) -> Result<String, String> {
        Ok(url.to_owned())
    }

    /// Tells by its second column, which is empty then, that a connection is not encrypted: asked where its URL wants TLS and the
    /// database's library may have passed over that.
    const ENCRYPTION: Option<&'static str> = None;

    /// Whether a URL asks for TLS.
    fn wants_encryption(_: &str) -> bool {
        false
    }

    /// Reads a value that is not NULL.
    ///
    /// # Errors
    /// When the column is of another type.
    fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue>;

    /// Whether a column is ordered otherwise than its values are compared, so that rows cannot be gone through by it.
    fn is_ordered_otherwise(_: &Self::RawValue<'_>) -> bool {
        false
    }
}

#[cfg(any(feature = "mysql", feature = "sqlite"))]
macro_rules! read {
    () => {
        fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue> {
            use diesel::deserialize::FromSql;
            use diesel::sql_types::{BigInt, Text};
            Ok(match column {
                // Any width of integer.
                SqlType::Int => SqlValue::Int(<i64 as FromSql<BigInt, Self>>::from_sql(value)?),
                SqlType::Text => SqlValue::Text(<String as FromSql<Text, Self>>::from_sql(value)?),
            })
        }
    };
}

#[cfg(feature = "postgres")]
impl DatabaseBackend for diesel::pg::Pg {
    fn read(value: Self::RawValue<'_>, column: SqlType) -> deserialize::Result<SqlValue> {
        use diesel::deserialize::FromSql;
        use diesel::sql_types::{BigInt, Integer, SmallInt, Text};
        Ok(match column {
            SqlType::Int => SqlValue::Int(match value.as_bytes().len() {
                2 => <i16 as FromSql<SmallInt, Self>>::from_sql(value)?.into(),
                4 => <i32 as FromSql<Integer, Self>>::from_sql(value)?.into(),
                _ => <i64 as FromSql<BigInt, Self>>::from_sql(value)?,
            }),
            SqlType::Text => SqlValue::Text(<String as FromSql<Text, Self>>::from_sql(value)?),
        })
    }
}

#[cfg(feature = "mysql")]
impl DatabaseBackend for diesel::mysql::Mysql {
    fn connection_url(url: &str) -> Result<String, String> {
        // As other tools call it.
        Ok(match url.strip_prefix("mariadb://") {
            Some(rest) => format!("mysql://{rest}"),
            None => url.to_owned(),
        })
    }

    // MariaDB's library does not know `ssl_mode`, and goes on in plain text when the server offers nothing else.
    const ENCRYPTION: Option<&'static str> = Some("SHOW SESSION STATUS LIKE 'Ssl_cipher'");

    fn wants_encryption(url: &str) -> bool {
        let Some((_, query)) = url.split_once('?') else { return false };
        query.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, value)| match name {
            "ssl_mode" => !["disabled", "preferred"].contains(&value.to_lowercase().as_str()),
            "ssl_ca" | "ssl_cert" | "ssl_key" => true,
            _ => false,
        })
    }

    // In the order of their declaration, and compared as text.
    fn is_ordered_otherwise(value: &diesel::mysql::MysqlValue<'_>) -> bool {
        use diesel::mysql::MysqlType;
        matches!(value.value_type(), MysqlType::Enum | MysqlType::Set)
    }

    read!();
}

/// Wait for another writer instead of failing, in milliseconds.
#[cfg(feature = "sqlite")]
const PATIENCE: &str = "PRAGMA busy_timeout = 5000";

#[cfg(feature = "sqlite")]
impl DatabaseBackend for diesel::sqlite::Sqlite {
    // Let others read while one writes, too.
    const SET_UP: &'static [&'static str] = &[PATIENCE, "PRAGMA journal_mode = WAL"];

    const PATIENCE: Option<&'static str> = Some(PATIENCE);

    fn connection_url(url: &str) -> Result<String, String> {
        let url = match url.strip_prefix("sqlite:") {
            // Diesel knows `sqlite://` only.
            Some(rest) if !rest.starts_with("//") => format!("file:{rest}"),
            _ => url.to_owned(),
        };
        let file = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("file:")).unwrap_or(&url);
        let in_memory = file.is_empty() || file.starts_with(":memory:") || file.contains("mode=memory");
        if in_memory && !file.contains("cache=shared") {
            return Err("each connection to this SQLite URL has a database of its own, in memory, and publishing needs more than one \
                        connection: name a file, or `file:name?mode=memory&cache=shared`"
                .into());
        }
        Ok(url)
    }

    read!();
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use diesel::sqlite::Sqlite;

    use super::*;

    #[test]
    fn sqlite_urls_of_other_tools_are_understood() {
        for (given, wanted) in [
            ("shop.sqlite", "shop.sqlite"),
            ("sqlite://shop.sqlite", "sqlite://shop.sqlite"),
            ("sqlite:shop.sqlite?mode=rwc", "file:shop.sqlite?mode=rwc"),
            ("file:shop?mode=memory&cache=shared", "file:shop?mode=memory&cache=shared"),
        ] {
            assert_eq!(Sqlite::connection_url(given).as_deref(), Ok(wanted));
        }
        for alone in ["", ":memory:", "sqlite::memory:", "sqlite://:memory:", "file:shop?mode=memory"] {
            let refused = Sqlite::connection_url(alone).unwrap_err();
            assert!(refused.contains("name a file"), "{refused}");
        }
    }

    #[cfg(feature = "mysql")]
    #[test]
    fn mariadb_is_mysql_to_diesel() {
        let url = diesel::mysql::Mysql::connection_url("mariadb://host/shop");
        assert_eq!(url.as_deref(), Ok("mysql://host/shop"));
    }
}
