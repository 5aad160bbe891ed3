//! The `promiscuous` command of a test's app, see [`apps::command`].

use std::process::ExitCode;

use promiscuous_tests::apps;

fn main() -> ExitCode {
    apps::command()
}
