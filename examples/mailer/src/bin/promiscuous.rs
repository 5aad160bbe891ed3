//! The mailer's `promiscuous` command: `migrate`, and `subscribe`, which is the mailer's worker.

// Links the entities, which register themselves.
use mailer as _;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    promiscuous_seaorm::cli().await
}
