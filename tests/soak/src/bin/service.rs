//! The `promiscuous` command of a service of a soak, see [`apps::command`].

use std::process::ExitCode;

use promiscuous_tests::apps;

fn main() -> ExitCode {
    apps::command()
}
