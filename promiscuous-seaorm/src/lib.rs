//! Promiscuous for SeaORM: models that one service publishes arrive in another one's own tables, in causal order.
//!
//! A publishing service derives [`Publish`](macro@Publish) on an entity and wraps its connection once, in
//! [`Promiscuous::wrap`]; a subscribing service derives [`Subscribe`](macro@Subscribe) and runs [`cli`], or a subscriber of its own.
//! Everything else is ordinary SeaORM code. What is promised, and how it works, is in the project's README.
//!
//! Two services in one process, on the embedded broker and store:
//! ```
//! mod user {
//!     use promiscuous_seaorm::{Publish, Subscribe};
//!     use sea_orm::entity::prelude::*;
//!
//!     // One entity for both sides, to keep this short. As a rule each service has its own.
//!     #[sea_orm::model]
//!     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
//!     #[sea_orm(table_name = "users")]
//!     #[publish(attributes(name))]
//!     #[subscribe(from = "shop/user", attributes(name))]
//!     pub struct Model {
//!         #[sea_orm(primary_key, auto_increment = false)]
//!         pub id: i64,
//!         pub name: String,
//!     }
//!     impl ActiveModelBehavior for ActiveModel {}
//! }
//!
//! use promiscuous_seaorm::{Config, Context, Models, Promiscuous};
//! use sea_orm::{ActiveModelTrait, ConnectionTrait, Database, EntityTrait, Schema, Set};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let database = async |name: &str| -> Result<_, Box<dyn std::error::Error>> {
//! #     let url = format!("sqlite:file:{name}?mode=memory&cache=shared");
//! #     let mut options = sea_orm::ConnectOptions::new(url);
//! #     options.max_connections(1).min_connections(1);
//! #     let db = Database::connect(options).await?;
//! #     let schema = Schema::new(db.get_database_backend());
//! #     db.execute(&schema.create_table_from_entity(user::Entity)).await?;
//! #     Ok(db)
//! # };
//! # let (shop_db, mailer_db) = (database("shop").await?, database("mailer").await?);
//! let shop = Promiscuous::new(Config::embedded("shop", "example")?)?
//!     .models(Models::new().publish::<user::Entity>());
//! shop.migrate(&shop_db).await?;
//! let shop_db = shop.wrap(shop_db).await?;
//!
//! let mailer = Promiscuous::new(Config::embedded("mailer", "example")?)?
//!     .models(Models::new().subscribe::<user::Entity>());
//! mailer.migrate(&mailer_db).await?;
//! let mailer_db = mailer.wrap(mailer_db).await?;
//! let subscriber = mailer.subscriber(&mailer_db)?;
//! let mut status = subscriber.status();
//! tokio::spawn(subscriber.run(std::future::pending()));
//! status.wait_for(|status| status.consuming).await?;
//!
//! let joe = user::ActiveModel { id: Set(1), name: Set("Joe".into()) };
//! Context::new("users/create").scope(joe.insert(&shop_db)).await?;
//!
//! status.wait_for(|status| status.applied == 1).await?;
//! let joe = user::Entity::find_by_id(1).one(&mailer_db).await?.expect("Joe has arrived");
//! assert_eq!(joe.name, "Joe");
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! What an app uses:
//!
//! * `promiscuous`: [`Promiscuous`], where an app puts it all together;
//! * `cli`: the `promiscuous` command;
//! * [`models`]: which entities an app publishes and subscribes to;
//! * [`model`], [`subscription`]: the traits behind the two derives, and what the rest of the crate sees of an entity;
//! * `connection`, `transaction`, `transaction_connection`, `stream`: what stands in for SeaORM's own types.
//!
//! From a write to a message:
//!
//! * `statement`: understands a statement before it runs, and plans it or refuses it;
//! * `capture`: admits statements according to the plan;
//! * `write`, `insert`, `row`: run a write and collect its rows;
//! * `reads`: remembers what was read;
//! * `recording`: what a transaction has written so far, savepoints included;
//! * `commit`: bump, outbox, COMMIT, in the protocol's order;
//! * [`publication`]: a row as an operation of an endpoint.
//!
//! To publish rows again, and to compare them: `again` is for an app's own code, `rows` and `subscribed_rows` read them, `keyset` finds the next ones.
//!
//! From a message to a row:
//!
//! * [`applier`]: find, set, and `insert`, `update` or `delete`, so that hooks run;
//! * [`codec`]: between column values and JSON;
//! * `database`, [`database_error`]: the app's database as core sees it.
//!
//! # Features
//!
//! `rabbitmq`, `redis`, `cli` and `tower` ([`ContextLayer`]) are on by default. `tls` adds `amqps://` and `rediss://`. `failpoints` is for
//! fault tests only.
#![deny(missing_docs)]
#![deny(unsafe_code)]

extern crate self as promiscuous_seaorm;

mod again;
pub mod applier;
mod capture;
#[cfg(test)]
mod capture_tests;
#[cfg(feature = "cli")]
mod cli;
pub mod codec;
mod commit;
mod connection;
mod database;
pub mod database_error;
#[cfg(test)]
mod fixtures;
mod insert;
mod keyset;
pub mod model;
pub mod models;
mod promiscuous;
pub mod publication;
mod reads;
mod recording;
mod row;
mod rows;
mod statement;
mod steady;
mod stream;
mod subscribed_rows;
pub mod subscription;
mod transaction;
mod transaction_connection;
mod write;

#[doc(hidden)]
pub mod __private;

pub use again::{PromiscuousSync, promiscuous_sync_all, promiscuous_sync_run, promiscuous_sync_where};
#[cfg(feature = "cli")]
pub use cli::{cli, cli_with};
pub use connection::PromiscuousConnection;
pub use model::Publish;
pub use models::Models;
pub use promiscuous::Promiscuous;
pub use promiscuous_core as core;
pub use promiscuous_core::capture::{Bulk, CaptureSettings, WithoutContext};
pub use promiscuous_core::config::Config;
pub use promiscuous_core::consistency::Consistency;
pub use promiscuous_core::context::Context;
pub use promiscuous_core::error::Error;
#[cfg(feature = "tower")]
pub use promiscuous_core::tower::ContextLayer;
pub use promiscuous_macros::{Publish, Subscribe};
pub use stream::PromiscuousStream;
pub use subscription::Subscribe;
pub use transaction::PromiscuousTransaction;
