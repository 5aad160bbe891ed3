//! What subscribers get of rows that are published again, on SQLite, and on PostgreSQL and MariaDB where `TEST_POSTGRES_URL` and
//! `TEST_MARIADB_URL` name a server.

mod entities;
mod one;
mod selected;
mod shop;
