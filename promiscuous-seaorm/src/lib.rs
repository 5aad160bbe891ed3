//! Promiscuous for SeaORM.
