//! The protocol of Promiscuous: model-level, causally consistent replication between services.
//!
//! This crate knows no ORM. An app uses it through an adapter, such as `promiscuous-seaorm`, which turns ORM calls into
//! [operations](operation::Operation) and operations back into ORM calls. What follows is for readers of the code and for
//! authors of adapters.
//!
//! What services tell each other is a [`Message`](message::Message): what one transaction did, and what it depended on.
//! ```
//! use promiscuous_core::message::Message;
//!
//! let message = Message::decode(br#"{
//!     "id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10",
//!     "app": "shop", "timestamp": 1763690000123, "generation": 1,
//!     "operations": [
//!         {"operation": "create", "endpoint": "shop/user", "types": ["User"], "id": "5", "attributes": {"name": "Joe"}}
//!     ],
//!     "dependencies": {
//!         "write": [{"key": "shop/user/5", "version": 1763690000122871, "previous": null, "readers": {}}],
//!         "read": []
//!     }
//! }"#)?;
//! assert_eq!(message.operations[0].key()?.to_string(), "shop/user/5");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! Data, without I/O:
//!
//! * [`key`]: endpoints (`shop/user`) and keys (`shop/user/5`);
//! * [`operation`], [`message`]: what happened, and its wire form;
//! * [`dependency`]: the versions that a message writes and reads;
//! * [`context`]: what was read and written so far, as the causes of what comes next;
//! * [`registry`], [`naming`]: what an app publishes and subscribes to, and what it is called;
//! * [`codec`]: the wire form of values.
//!
//! The two sides:
//!
//! * [`publisher`]: the commit path, the outbox, publishing, and finishing the work of dead writers;
//! * [`subscriber`]: the worker, the scheduler (pure), applying and trying again.
//!
//! * [`sync`]: publishing rows again, as they are now; [`bootstrap`]: bringing a subscriber up to date with that; [`verify`]: comparing its rows with
//!   the publisher's.
//!
//! * [`capture`], [`apply`]: what adapters share of capturing a write and of applying an operation.
//!
//! What they stand on, each real and embedded:
//!
//! * [`version_store`]: versions, locks and intents, in Redis or in memory;
//! * [`broker`]: RabbitMQ, or in memory;
//! * [`links`]: chooses them by the URLs; [`tls`]: whose certificates are believed;
//! * [`blocking`]: the same for callers without `async`;
//! * [`database`], [`schema`], [`unseen`]: the app's database as an adapter offers it, the protocol's own tables, and writers that no adapter can see.
//!
//! Around them: [`config`], [`error`], [`notice`], [`metrics`], [`health`], `cli` (the `promiscuous` command) and `tower` (a context for each request).
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod apply;
pub mod blocking;
pub mod bootstrap;
pub mod broker;
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
pub mod codec;
pub mod config;
pub mod consistency;
pub mod context;
pub mod database;
pub mod dependency;
pub mod error;
pub mod health;
pub mod key;
pub mod links;
pub mod message;
pub mod metrics;
pub mod naming;
pub mod notice;
pub mod operation;
pub mod publisher;
pub mod registry;
pub mod schema;
pub mod subscriber;
pub mod sync;
pub mod tls;
#[cfg(feature = "tower")]
pub mod tower;
pub mod unseen;
pub mod verify;
pub mod version_store;
