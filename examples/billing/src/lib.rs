//! Billing: a service written with Diesel, that wants the shop's users as its customers, and publishes accounts and invoices.
//!
//! * [`customer`]: what comes from the shop, with the callback that opens an account for each new customer;
//! * [`account`], [`invoice`]: what it publishes;
//! * `main.rs` is a small tool, `bin/promiscuous.rs` the worker and its other commands.

pub mod account;
pub mod customer;
pub mod invoice;

use diesel::connection::SimpleConnection;
use diesel::{PgConnection, QueryResult};

/// What stands in for `PgConnection` everywhere in this service.
pub type Db = promiscuous_diesel::Promiscuous<PgConnection>;

/// Creates the service's own tables where they are missing. A real service would use Diesel's migrations.
///
/// # Errors
/// The database's.
pub fn create_tables(db: &mut PgConnection) -> QueryResult<()> {
    db.batch_execute(
        "CREATE TABLE IF NOT EXISTS customers (id BIGINT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS accounts (customer_id BIGINT PRIMARY KEY, balance BIGINT NOT NULL);
         CREATE TABLE IF NOT EXISTS invoices (
             id BIGSERIAL PRIMARY KEY, customer_id BIGINT NOT NULL, cents BIGINT NOT NULL, text TEXT NOT NULL);",
    )
}
