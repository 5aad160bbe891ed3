//! The ledger: a service written with Diesel, that wants the shop's users and billing's accounts and invoices.
//!
//! Billing opens an account because of a user that the shop had sent it. The ledger takes both, from two other services, and still
//! never has an account before its holder.
#![allow(missing_docs)] // A model's fields speak for themselves.

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use diesel::prelude::*;
use promiscuous_diesel::{CallbackResult, Callbacks, Promiscuous, Subscribe};

diesel::table! {
    holders (id) {
        id -> BigInt,
        name -> Text,
    }
}

diesel::table! {
    accounts (holder_id) {
        holder_id -> BigInt,
        balance -> BigInt,
        rating -> Text,
    }
}

diesel::table! {
    entries (invoice_id) {
        invoice_id -> BigInt,
        customer_id -> BigInt,
        cents -> BigInt,
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Subscribe)]
#[diesel(table_name = holders)]
#[subscribe(from = "shop/user", as = "User", attributes(name))]
pub struct Holder {
    pub id: i64,
    pub name: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Subscribe)]
#[diesel(table_name = accounts, primary_key(holder_id))]
#[subscribe(
    from = "billing/account",
    attributes(balance),
    virtual_attributes(in_debt),
    callbacks,
    backend(Pg)
)]
pub struct Account {
    pub holder_id: i64,
    pub balance: i64,
    pub rating: String,
}

impl AccountChanges {
    /// Takes billing's virtual attribute.
    fn set_in_debt(&mut self, in_debt: bool) {
        self.rating = Some(if in_debt { "in debt" } else { "clear" }.into());
    }
}

impl Callbacks<Pg> for Account {
    fn after_save(
        _before: Option<&Self>,
        account: &Self,
        db: &mut Promiscuous<PgConnection>,
    ) -> CallbackResult {
        // Always there, although it comes from another service than the account.
        let holder: Option<Holder> = holders::table.find(account.holder_id).first(db).optional()?;
        let name = holder.map_or_else(|| "NOBODY".to_owned(), |holder| holder.name);
        println!("the account of {name} stands at {} and is {}", account.balance, account.rating);
        Ok(())
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Subscribe)]
#[diesel(table_name = entries, primary_key(invoice_id))]
#[subscribe(from = "billing/invoice", as = "Invoice", attributes(customer_id, cents))]
pub struct Entry {
    pub invoice_id: i64,
    pub customer_id: i64,
    pub cents: i64,
}

/// Creates the ledger's own tables where they are missing. A real service would use Diesel's migrations.
///
/// # Errors
/// The database's.
pub fn create_tables(db: &mut PgConnection) -> QueryResult<()> {
    db.batch_execute(
        "CREATE TABLE IF NOT EXISTS holders (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS accounts (
             holder_id BIGINT PRIMARY KEY, balance BIGINT NOT NULL, rating TEXT NOT NULL);
         CREATE TABLE IF NOT EXISTS entries (
             invoice_id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, cents BIGINT NOT NULL);",
    )
}
