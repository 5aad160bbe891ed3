//! A small tool beside the worker: `ledger setup` creates the ledger's own tables, `ledger show` prints what they hold.

use std::error::Error;

use diesel::prelude::*;
use ledger::{Account, Entry, accounts, entries};

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL")?;
    let db = &mut PgConnection::establish(&url)?;
    match std::env::args().nth(1).as_deref() {
        Some("setup") => ledger::create_tables(db)?,
        Some("show") => {
            for account in accounts::table.order(accounts::holder_id).load::<Account>(db)? {
                println!("account of holder {}: {}, {}", account.holder_id, account.balance, account.rating);
            }
            for entry in entries::table.order(entries::invoice_id).load::<Entry>(db)? {
                println!("invoice {} to customer {}: {}", entry.invoice_id, entry.customer_id, entry.cents);
            }
        }
        _ => return Err("usage: ledger setup | ledger show".into()),
    }
    Ok(())
}
