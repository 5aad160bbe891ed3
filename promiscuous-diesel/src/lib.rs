//! Promiscuous for Diesel: models that one service publishes arrive in another one's own tables, in causal order.
//!
//! A publishing service derives [`Publish`](macro@Publish) on a model, starts an [`App`] once and takes its connections from there; a
//! subscribing service derives [`Subscribe`](macro@Subscribe) and runs [`cli`], or a subscriber of its own. Everything else is ordinary
//! Diesel code, blocking as ever: what publishes in the background has a thread of its own. What is promised, and how it works, is in the
//! project's README.
//!
//! Two services in one process, on the embedded broker and store:
#![cfg_attr(feature = "sqlite", doc = "```")]
#![cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
//! use diesel::prelude::*;
//! use diesel::sqlite::Sqlite;
//! use promiscuous_diesel::{App, Config, Context, Models, Publish, Subscribe};
//!
//! diesel::table! {
//!     users (id) {
//!         id -> BigInt,
//!         name -> Text,
//!     }
//! }
//!
//! // One model for both sides, to keep this short. As a rule each service has its own.
//! #[derive(Queryable, Selectable, Insertable, Publish, Subscribe)]
//! #[diesel(table_name = users)]
//! #[publish(attributes(name))]
//! #[subscribe(from = "shop/user", attributes(name))]
//! struct User {
//!     id: i64,
//!     name: String,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let database = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
//! #     let url = folder.path().join(name).display().to_string();
//! #     let mut plain = SqliteConnection::establish(&url)?;
//! #     let table = "CREATE TABLE users (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)";
//! #     diesel::sql_query(table).execute(&mut plain)?;
//! #     Ok((url, plain))
//! # };
//! # let ((shop_url, mut shop_db), (mailer_url, mut mailer_db)) = (database("shop")?, database("mailer")?);
//! let shop = App::new(Config::embedded("shop", "example")?)
//!     .models(Models::<Sqlite>::new().publish::<User>());
//! shop.migrate(&mut shop_db)?;
//! let shop = shop.start(&shop_url)?;
//!
//! let mailer = App::new(Config::embedded("mailer", "example")?)
//!     .models(Models::<Sqlite>::new().subscribe::<User>());
//! mailer.migrate(&mut mailer_db)?;
//! let subscriber = mailer.start(&mailer_url)?.subscriber()?;
//! let mut status = subscriber.status();
//! let runtime = tokio::runtime::Runtime::new()?;
//! runtime.spawn(subscriber.run(std::future::pending()));
//! runtime.block_on(status.wait_for(|status| status.consuming))?;
//!
//! let pool = shop.pool(4)?;
//! Context::new("users/create").sync_scope(|| {
//!     let joe = User { id: 1, name: "Joe".into() };
//!     diesel::insert_into(users::table).values(joe).execute(&mut pool.get()?)?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//!
//! runtime.block_on(status.wait_for(|status| status.applied == 1))?;
//! let joe: String = users::table.find(1).select(users::name).first(&mut mailer_db)?;
//! assert_eq!(joe, "Joe");
//! # Ok(())
//! # }
//! ```
//!
//! # Connections
//!
//! They all publish alike:
//!
//! * [`Running::pool`], or an r2d2 pool of one's own settings with [`Running::manager`];
//! * [`Running::wrap`] around any connection, also one from a plain pool, for each request: `running.wrap(pool.get()?)`;
//! * whatever makes its connections by `establish`, with [`Promiscuous`] as their type: `ConnectionManager<Promiscuous<PgConnection>>`,
//!   deadpool-diesel's `Manager<Promiscuous<SqliteConnection>>`, or plain code. They belong to the app of [`Running::make_default`]; without
//!   one, the first of them starts the app that the environment describes (`PROMISCUOUS_APP`, `AMQP_URL`, `REDIS_URL`,
//!   `promiscuous.toml`), with all models of the program.
//!
//! In async code use them as one uses Diesel there: in [`Context::spawn_blocking`], which carries the context along, or through
//! deadpool-diesel's `interact` with [`Context::sync_scope`] inside.
//!
//! # Layout
//!
//! What an app uses:
//!
//! * `app`, `running`: [`App`], where an app puts it all together, and [`Running`], what it is once started;
//! * `connection`: [`Promiscuous`], what stands in for Diesel's own connections; `asynchronous`: the same for `diesel-async`;
//! * `pool`, `default`: where connections come from;
//! * `cli`: the `promiscuous` command;
//! * [`models`]: which models an app publishes and subscribes to;
//! * [`model`], [`subscription`]: the traits behind the two derives, and what the rest of the crate sees of a model;
//! * [`backend`]: what is known of PostgreSQL, MySQL and MariaDB, and SQLite.
//!
//! From a write to a message:
//!
//! * [`statement`]: understands a statement's text before it runs, and plans it or refuses it;
//! * `connection`: runs it according to the plan and collects its rows;
//! * `commit`: bump, outbox, COMMIT, in the protocol's order;
//! * [`row`], [`publication`]: a row as an operation of an endpoint.
//!
//! Rows that are published again, as they are:
//!
//! * `again`: by the app's own code;
//! * `rows`: reads them in the order of their primary keys; [`key`]: an id as values to find them by.
//!
//! From a message to a row:
//!
//! * [`applier`]: find, set, and insert, update or delete, with the model's callbacks around it;
//! * [`attribute`]: between Rust values and JSON;
//! * `database`, `sql`, [`database_error`]: the app's database as core sees it.
//!
//! Rows that messages have left, as they are:
//!
//! * `subscribed_rows`: reads them by the publisher's ids, and compares them with operations.
//!
//! # Features
//!
//! `postgres`, `mysql` and `sqlite` enable Diesel's connections of these names. `rabbitmq`, `redis`, `cli` and `tower` ([`ContextLayer`]) are
//! on by default. `tls` adds `amqps://` and `rediss://`. `chrono`, `time`, `uuid`, `numeric` and `json` are for values of such types.
//! `failpoints` is for fault tests only.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

extern crate self as promiscuous_diesel;

mod again;
mod app;
pub mod applier;
#[cfg(feature = "async")]
mod asynchronous;
pub mod attribute;
pub mod backend;
mod capture;
#[cfg(feature = "cli")]
mod cli;
mod commit;
mod connection;
#[cfg(all(test, feature = "postgres", feature = "mysql", feature = "sqlite"))]
mod connection_tests;
mod cursor;
mod database;
pub mod database_error;
mod default;
#[cfg(all(
    test,
    feature = "postgres",
    feature = "mysql",
    feature = "sqlite",
    feature = "chrono",
    feature = "time",
    feature = "numeric",
    feature = "json",
    feature = "uuid"
))]
mod derive_tests;
pub mod error;
#[cfg(any(feature = "mysql", feature = "async"))]
mod kept;
pub mod key;
pub mod model;
pub mod models;
mod pool;
pub mod publication;
mod query;
mod reads;
mod recording;
pub mod row;
mod rows;
mod running;
mod sql;
pub mod statement;
mod subscribed_rows;
pub mod subscription;
#[cfg(test)]
mod test_databases;
mod write;

#[doc(hidden)]
pub mod __private;

pub use again::{PromiscuousSync, SyncRun};
pub use app::App;
#[cfg(all(feature = "async", feature = "postgres"))]
pub use asynchronous::AsyncTransactionBuilder;
#[cfg(feature = "async")]
pub use asynchronous::{
    AsyncBackend, AsyncPromiscuous, AsyncPromiscuousSync, AsyncPromiscuousTransactionManager, AsyncWrapped,
    Callback,
};
#[cfg(all(feature = "async", feature = "sqlite"))]
pub use asynchronous::{AsyncSqlite, Threads};
pub use attribute::{Attribute, IdPart};
#[cfg(feature = "cli")]
pub use cli::{cli, cli_with};
#[cfg(feature = "postgres")]
pub use connection::TransactionBuilder;
pub use connection::{Promiscuous, PromiscuousTransactionManager, Wrapped};
pub use default::default_app;
pub use model::Publish;
pub use models::Models;
pub use pool::{ConnectError, Manager};
pub use promiscuous_core as core;
pub use promiscuous_core::capture::{Bulk, CaptureSettings, WithoutContext};
pub use promiscuous_core::config::Config;
pub use promiscuous_core::consistency::Consistency;
pub use promiscuous_core::context::Context;
pub use promiscuous_core::error::Error;
#[cfg(feature = "tower")]
pub use promiscuous_core::tower::ContextLayer;
pub use promiscuous_macros::{
    DieselAttribute as Attribute, DieselIdPart as IdPart, DieselPublish as Publish,
    DieselSubscribe as Subscribe,
};
pub use running::Running;
pub use subscription::{CallbackResult, Callbacks, Subscribe};
