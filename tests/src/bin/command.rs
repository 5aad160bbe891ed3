//! The `promiscuous` command of a test's app: `PUBLISHES` anything or not, and `SUBSCRIBES` to these models of the app `FROM`.

use std::process::ExitCode;

use promiscuous_tests::{apps, deaths};

#[tokio::main]
async fn main() -> ExitCode {
    deaths::stand_still_where_told();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let models = match variable("SUBSCRIBES").as_str() {
        "" => apps::published(),
        models => apps::subscribed(&models.split(',').collect::<Vec<_>>(), &variable("FROM")),
    };
    promiscuous_seaorm::cli_with(models).await
}
