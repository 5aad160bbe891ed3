//! The shop's `promiscuous` command: `migrate`, `recover`.

// Links the entities, which register themselves.
use shop as _;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    promiscuous_seaorm::cli().await
}
