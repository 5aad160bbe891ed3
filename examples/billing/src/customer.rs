//! The shop's users, as far as billing is interested.
#![allow(missing_docs)] // A model's fields speak for themselves.

use diesel::pg::Pg;
use diesel::prelude::*;
use promiscuous_diesel::{CallbackResult, Callbacks, Subscribe};

use crate::Db;
use crate::account::{Account, accounts};

diesel::table! {
    customers (id) {
        id -> BigInt,
        name -> Text,
        email -> Text,
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Subscribe)]
#[diesel(table_name = customers)]
#[subscribe(from = "shop/user", as = "User", attributes(name, email), callbacks, backend(Pg))]
pub struct Customer {
    pub id: i64,
    pub name: String,
    pub email: String,
}

/// They run when a change arrives, in the transaction that applies it. What they write is published like anything else, and
/// is known to follow from the change: whoever wants both never has an account without its customer.
impl Callbacks<Pg> for Customer {
    fn after_create(customer: &Self, db: &mut Db) -> CallbackResult {
        println!("a new customer: {} <{}>", customer.name, customer.email);
        let account = Account { customer_id: customer.id, balance: 0 };
        diesel::insert_into(accounts::table).values(account).on_conflict_do_nothing().execute(db)?;
        Ok(())
    }
}

diesel::allow_tables_to_appear_in_same_query!(accounts, customers);
