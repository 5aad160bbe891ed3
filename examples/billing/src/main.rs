//! A small tool: `billing setup` creates the tables, `billing charge CUSTOMER CENTS TEXT` writes an invoice, `billing show` prints what
//! the service's database holds. Configured by `PROMISCUOUS_APP`, `DATABASE_URL`, `AMQP_URL` and `REDIS_URL`.

use std::error::Error;
use std::time::Duration;

use billing::account::{Account, accounts};
use billing::customer::{Customer, customers};
use billing::invoice::charge;
use diesel::pg::Pg;
use diesel::prelude::*;
use promiscuous_diesel::{App, Context};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter("warn,lapin=off").with_writer(std::io::stderr).init();
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["setup"] => billing::create_tables(&mut PgConnection::establish(&url)?)?,
        ["charge", customer, cents, text] => {
            let app = App::<Pg>::from_environment()?.start(&url)?;
            let mut db = app.pool(1)?.get()?;
            let (customer, cents) = (customer.parse()?, cents.parse()?);
            // What is read inside of a context causes what is written inside of it.
            let invoice =
                Context::new("billing/charge").sync_scope(|| charge(&mut db, customer, cents, text))?;
            println!("invoice {} over {} cents", invoice.id, invoice.cents);
            // What was committed is published now, rather than by the next process.
            app.shut_down(Duration::from_secs(10));
        }
        ["show"] => {
            let db = &mut PgConnection::establish(&url)?;
            let found: Vec<(Customer, Account)> = customers::table
                .inner_join(accounts::table.on(accounts::customer_id.eq(customers::id)))
                .order(customers::id)
                .select((Customer::as_select(), Account::as_select()))
                .load(db)?;
            for (customer, account) in found {
                println!("customer {}: {}, balance {}", customer.id, customer.name, account.balance);
            }
        }
        _ => return Err("usage: billing setup | billing charge CUSTOMER CENTS TEXT | billing show".into()),
    }
    Ok(())
}
