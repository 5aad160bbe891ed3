//! What the derives generate, on real databases: rows that are read, and changes that are written. On SQLite always, and on the
//! servers that `TEST_POSTGRES_URL` and `TEST_MARIADB_URL` name, with a user who may create databases.

mod database;
mod kinds;
mod publishing;
mod subscribing;
