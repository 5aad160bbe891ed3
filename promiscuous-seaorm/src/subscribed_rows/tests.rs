//! Rows of a club, on SQLite, and on PostgreSQL and MariaDB where `TEST_POSTGRES_URL` and `TEST_MARIADB_URL` name a server.

mod club;
mod comparing;
mod entities;
mod paging;
mod reading;
mod sent_again;
mod setters;
