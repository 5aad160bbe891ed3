//! What each customer owes.
#![allow(missing_docs)] // A model's fields speak for themselves.

use diesel::prelude::*;
use promiscuous_diesel::Publish;

diesel::table! {
    accounts (customer_id) {
        customer_id -> BigInt,
        balance -> BigInt,
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset, Identifiable, Publish)]
#[diesel(table_name = accounts, primary_key(customer_id))]
#[publish(attributes(balance), virtual_attributes(in_debt))]
pub struct Account {
    pub customer_id: i64,
    /// In cents.
    pub balance: i64,
}

impl Account {
    /// A virtual attribute: computed, not stored.
    fn in_debt(&self) -> bool {
        self.balance < 0
    }
}
