//! The `promiscuous` command of a service of a soak: on the `STACK` of this name it `PUBLISHES` these models, and `SUBSCRIBES` to these
//! models of the app `FROM`.

use std::process::ExitCode;

use promiscuous_tests::conformance::Stack;
use promiscuous_tests::deaths;

fn main() -> ExitCode {
    deaths::stand_still_where_told();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let names = |text: String| -> Vec<String> {
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let from = variable("FROM");
    let subscribes: Vec<_> =
        names(variable("SUBSCRIBES")).into_iter().map(|model| (model, from.clone())).collect();
    Stack::named(&variable("STACK")).command(&names(variable("PUBLISHES")), &subscribes)
}
