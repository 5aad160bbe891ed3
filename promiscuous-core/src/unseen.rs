//! Writers that no adapter can see, as far as the database's schema tells (section 9 of the protocol).
//!
//! What a trigger writes, and the rows that a foreign key deletes or changes on its own, never pass through an ORM. They are
//! told at start, so that nobody finds out from a subscriber.

use crate::database::{Database, DatabaseError, Dialect, Sql, SqlType, SqlValue};

/// One sentence for each trigger on these tables, for each foreign key that writes their rows, and for each column that the
/// database changes by itself.
///
/// # Errors
/// When the database's catalog cannot be read.
pub async fn unseen_writers(
    database: &dyn Database,
    tables: &[String],
) -> Result<Vec<String>, DatabaseError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (table, trigger) in pairs(database, triggers(database.dialect(), tables)).await? {
        found.push(format!(
            "the published table `{table}` has the trigger `{trigger}`: what it writes to other rows is not published"
        ));
    }
    for (table, key) in pairs(database, cascades(database.dialect(), tables)).await? {
        found.push(format!(
            "rows of the published table `{table}` are changed or deleted by the database through the foreign key `{key}` (CASCADE, SET \
             NULL or SET DEFAULT): that is not published; delete and change them in the program instead"
        ));
    }
    if database.dialect() == Dialect::Mysql {
        for (table, column) in pairs(database, own_changes(tables)).await? {
            found.push(format!(
                "the database itself changes `{column}` of the published table `{table}` with every update: an update that sets no \
                 published column is not published; set the column in the program instead"
            ));
        }
    }
    Ok(found)
}

fn triggers(dialect: Dialect, tables: &[String]) -> Sql {
    let mut sql = Sql::new(
        dialect,
        match dialect {
            Dialect::Postgres => {
                "SELECT c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
                 WHERE NOT t.tgisinternal AND pg_table_is_visible(c.oid) AND c.relname::text IN "
            }
            Dialect::Mysql => {
                "SELECT CAST(event_object_table AS CHAR), CAST(trigger_name AS CHAR) FROM information_schema.triggers \
                 WHERE event_object_schema = DATABASE() AND event_object_table IN "
            }
            Dialect::Sqlite => {
                "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN "
            }
        },
    );
    sql.bind_list(tables.iter().map(String::as_str)).push(" ORDER BY 1, 2");
    sql
}

fn cascades(dialect: Dialect, tables: &[String]) -> Sql {
    let mut sql = Sql::new(
        dialect,
        match dialect {
            Dialect::Postgres => {
                "SELECT c.relname::text, k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
                 WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) \
                 AND pg_table_is_visible(c.oid) AND c.relname::text IN "
            }
            Dialect::Mysql => {
                "SELECT CAST(table_name AS CHAR), CAST(constraint_name AS CHAR) \
                 FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE() \
                 AND (delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
                 OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')) AND table_name IN "
            }
            Dialect::Sqlite => {
                "SELECT m.name, f.\"from\" FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table' \
                 AND (f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
                 OR f.on_update IN ('CASCADE', 'SET NULL', 'SET DEFAULT')) AND m.name IN "
            }
        },
    );
    sql.bind_list(tables.iter().map(String::as_str)).push(" ORDER BY 1, 2");
    sql
}

/// `ON UPDATE CURRENT_TIMESTAMP`, which only MariaDB and MySQL have.
fn own_changes(tables: &[String]) -> Sql {
    let mut sql = Sql::new(
        Dialect::Mysql,
        "SELECT CAST(table_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND extra LIKE '%on update%' AND table_name IN ",
    );
    sql.bind_list(tables.iter().map(String::as_str)).push(" ORDER BY 1, 2");
    sql
}

async fn pairs(database: &dyn Database, sql: Sql) -> Result<Vec<(String, String)>, DatabaseError> {
    let rows = database.query(sql, &[SqlType::Text, SqlType::Text]).await?;
    let pair = |row: Vec<SqlValue>| match <[SqlValue; 2]>::try_from(row) {
        Ok([SqlValue::Text(table), SqlValue::Text(name)]) => Some((table, name)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}
