//! What operators see and do with the `promiscuous` command.

use promiscuous_tests::processes::Builder;
use serde_json::Value;

mod blocked;
mod bootstrap;
mod dead;
pub mod publish;
mod status;
mod unbind;
mod verify;

/// The lines of JSON that a command prints, whatever it thinks of them, and its exit status.
async fn json(command: Builder) -> (Vec<Value>, i32) {
    let mut process = command.spawn();
    let status = process.wait().await;
    let lines = process.said().iter().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    (lines.collect(), status.code().expect("it ends by itself"))
}
