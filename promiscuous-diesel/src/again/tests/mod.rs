//! What subscribers get of rows that are published again, on SQLite always and on the servers that there are.

#[cfg(feature = "async")]
mod asynchronous;
mod one;
mod selected;
mod shop;
