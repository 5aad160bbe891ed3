//! What every adapter promises, on every database, in both directions, and between adapters.

/// Makes a test of each scenario for each of these pairs of a publisher and a subscriber. Every stack is on both sides once; the
/// pairs beside each other are of one adapter, of both, of one database, and of two.
macro_rules! over_pairs {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::pairs! { $scenario:
                seaorm_postgres_to_seaorm_postgres: SEAORM_POSTGRES SEAORM_POSTGRES,
                seaorm_mariadb_to_diesel_postgres: SEAORM_MARIADB DIESEL_POSTGRES,
                seaorm_sqlite_to_diesel_mariadb: SEAORM_SQLITE DIESEL_MARIADB,
                diesel_postgres_to_seaorm_mariadb: DIESEL_POSTGRES SEAORM_MARIADB,
                diesel_mariadb_to_diesel_sqlite: DIESEL_MARIADB DIESEL_SQLITE,
                diesel_sqlite_to_seaorm_sqlite: DIESEL_SQLITE SEAORM_SQLITE,
            }
        })*
    };
}

/// Makes a test of a scenario for each of these pairs.
macro_rules! pairs {
    ($scenario:ident: $($name:ident: $from:ident $to:ident,)*) => {
        use promiscuous_tests::conformance::Stack;

        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            Box::pin(super::$scenario(Stack::$from, Stack::$to)).await;
        })*
    };
}

/// Makes a test of each scenario for each stack.
macro_rules! over_stacks {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::stacks! { $scenario:
                seaorm_postgres: SEAORM_POSTGRES,
                seaorm_mariadb: SEAORM_MARIADB,
                seaorm_sqlite: SEAORM_SQLITE,
                diesel_postgres: DIESEL_POSTGRES,
                diesel_mariadb: DIESEL_MARIADB,
                diesel_sqlite: DIESEL_SQLITE,
            }
        })*
    };
}

/// Makes a test of a scenario for each of these stacks.
macro_rules! stacks {
    ($scenario:ident: $($name:ident: $stack:ident,)*) => {
        use promiscuous_tests::conformance::Stack;

        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            Box::pin(super::$scenario(Stack::$stack)).await;
        })*
    };
}

/// Makes a test of each scenario from every database to every database, and between the adapters.
macro_rules! every_pair {
    ($($scenario:ident)*) => {
        $(mod $scenario {
            crate::conformance::pairs! { $scenario:
                seaorm_postgres_to_seaorm_postgres: SEAORM_POSTGRES SEAORM_POSTGRES,
                seaorm_postgres_to_seaorm_mariadb: SEAORM_POSTGRES SEAORM_MARIADB,
                seaorm_postgres_to_seaorm_sqlite: SEAORM_POSTGRES SEAORM_SQLITE,
                seaorm_mariadb_to_seaorm_postgres: SEAORM_MARIADB SEAORM_POSTGRES,
                seaorm_mariadb_to_seaorm_mariadb: SEAORM_MARIADB SEAORM_MARIADB,
                seaorm_mariadb_to_seaorm_sqlite: SEAORM_MARIADB SEAORM_SQLITE,
                seaorm_sqlite_to_seaorm_postgres: SEAORM_SQLITE SEAORM_POSTGRES,
                seaorm_sqlite_to_seaorm_mariadb: SEAORM_SQLITE SEAORM_MARIADB,
                seaorm_sqlite_to_seaorm_sqlite: SEAORM_SQLITE SEAORM_SQLITE,
                seaorm_postgres_to_diesel_postgres: SEAORM_POSTGRES DIESEL_POSTGRES,
                seaorm_mariadb_to_diesel_mariadb: SEAORM_MARIADB DIESEL_MARIADB,
                seaorm_sqlite_to_diesel_sqlite: SEAORM_SQLITE DIESEL_SQLITE,
                diesel_postgres_to_seaorm_postgres: DIESEL_POSTGRES SEAORM_POSTGRES,
                diesel_mariadb_to_seaorm_mariadb: DIESEL_MARIADB SEAORM_MARIADB,
                diesel_sqlite_to_seaorm_sqlite: DIESEL_SQLITE SEAORM_SQLITE,
                diesel_postgres_to_diesel_mariadb: DIESEL_POSTGRES DIESEL_MARIADB,
                diesel_mariadb_to_diesel_sqlite: DIESEL_MARIADB DIESEL_SQLITE,
                diesel_sqlite_to_diesel_postgres: DIESEL_SQLITE DIESEL_POSTGRES,
                seaorm_postgres_to_diesel_mariadb: SEAORM_POSTGRES DIESEL_MARIADB,
                seaorm_mariadb_to_diesel_sqlite: SEAORM_MARIADB DIESEL_SQLITE,
                seaorm_sqlite_to_diesel_postgres: SEAORM_SQLITE DIESEL_POSTGRES,
                diesel_postgres_to_seaorm_sqlite: DIESEL_POSTGRES SEAORM_SQLITE,
                diesel_sqlite_to_seaorm_mariadb: DIESEL_SQLITE SEAORM_MARIADB,
                diesel_mariadb_to_seaorm_postgres: DIESEL_MARIADB SEAORM_POSTGRES,
            }
        })*
    };
}

pub(crate) use {over_pairs, over_stacks, pairs, stacks};

mod causal;
mod chain;
mod columns;
mod consistency;
mod deaths;
mod delays;
mod dependencies;
mod fates;
mod keys;
mod mirror;
mod partial;
pub mod values;
mod writing;
