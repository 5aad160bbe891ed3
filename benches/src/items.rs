//! A table of ten columns, of which a subscriber gets a copy.

use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::Outcome;
use crate::databases::{Kind, pool};

/// The table, the same on both sides.
const TABLE: &str = "items (id BIGINT PRIMARY KEY, shop_id BIGINT NOT NULL, sku TEXT NOT NULL, name TEXT NOT NULL, \
    description TEXT, price NUMERIC(12, 2) NOT NULL, stock INTEGER NOT NULL, weight DOUBLE PRECISION NOT NULL, \
    is_active BOOLEAN NOT NULL, updated_at TIMESTAMPTZ NOT NULL)";

/// The address of a database on PostgreSQL that has the table.
pub async fn with_items(name: &str) -> Outcome<String> {
    let url = Kind::Postgres.create(name).await?;
    let db = pool(&url, 1).await?;
    db.execute_unprepared(&format!("CREATE TABLE IF NOT EXISTS {TABLE}")).await?;
    db.close().await?;
    Ok(url)
}

/// Puts this many rows into it that nobody has heard of.
pub async fn fill(db: &DatabaseConnection, rows: usize) -> Outcome<()> {
    db.execute_unprepared(&format!(
        "INSERT INTO items SELECT n, n % 100, 'SKU-' || n, 'Item number ' || n, \
         CASE WHEN n % 3 = 0 THEN NULL ELSE repeat('lorem ipsum ', 5) END, n % 10000 / 100.0, n % 500, n / 7.0, \
         n % 2 = 0, now() - n * interval '1 second' FROM generate_series(1, {rows}) n"
    ))
    .await?;
    Ok(())
}
