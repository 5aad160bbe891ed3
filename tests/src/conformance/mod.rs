//! One suite for every adapter: what a scenario asks of an app, and how each adapter does it.
//!
//! A scenario knows an app by its [`Stack`], an adapter on a database, and speaks to it in [`Step`]s. Each adapter runs them with
//! its users' ordinary calls: nothing here is a common denominator of raw SQL. What became of it all is read by the harness's
//! own eyes, the same for every adapter: plain queries to the database, and messages as they went over the wire.
//!
//! # Layout
//!
//! * [`step`]: what an app can be told to do, and the rows it does it with;
//! * [`stack`]: the adapters, the databases, and what an app is made of;
//! * [`tables`]: the tables of every model;
//! * [`eyes`]: what the harness sees of an app's database;
//! * [`seaorm`]: the steps in SeaORM;
//! * [`diesel`]: the steps in Diesel.

pub mod diesel;
pub mod eyes;
pub mod seaorm;
pub mod stack;
pub mod step;
pub mod tables;

pub use eyes::Eyes;
pub use stack::{App, Blueprint, Stack};
pub use step::{End, Failure, Key, Model, Pause, Row, Step};
