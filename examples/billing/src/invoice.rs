//! What customers are asked to pay.
#![allow(missing_docs)] // A model's fields speak for themselves.

use diesel::QueryResult;
use diesel::prelude::*;
use promiscuous_diesel::Publish;

use crate::Db;
use crate::account::accounts;

diesel::table! {
    invoices (id) {
        id -> BigInt,
        customer_id -> BigInt,
        cents -> BigInt,
        text -> Text,
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Publish)]
#[diesel(table_name = invoices)]
#[publish(attributes(customer_id, cents))]
pub struct Invoice {
    pub id: i64,
    pub customer_id: i64,
    pub cents: i64,
    // Not listed above, so it never leaves this service.
    pub text: String,
}

/// Writes an invoice and charges the account, in one transaction: a subscriber applies both, or none.
///
/// # Errors
/// The database's, and replication's.
pub fn charge(db: &mut Db, customer_id: i64, cents: i64, text: &str) -> QueryResult<Invoice> {
    db.transaction(|db| {
        let invoice = diesel::insert_into(invoices::table)
            .values((
                invoices::customer_id.eq(customer_id),
                invoices::cents.eq(cents),
                invoices::text.eq(text),
            ))
            .returning(Invoice::as_returning())
            .get_result(db)?;
        let charged = diesel::update(accounts::table.find(customer_id))
            .set(accounts::balance.eq(accounts::balance - cents))
            .execute(db)?;
        if charged == 0 { Err(diesel::result::Error::NotFound) } else { Ok(invoice) }
    })
}
