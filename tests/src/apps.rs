//! How the apps of tests are configured.

use std::process::ExitCode;
use std::time::Duration;

use promiscuous_core::config::{Config, SecretUrl, Settings};
use promiscuous_core::publisher::PublisherSettings;

use crate::conformance::Stack;
use crate::deaths;

/// An app on these servers. Its clock is the publisher's: tests run on one machine.
pub fn config(app: &str, amqp_url: &str, redis_url: &str) -> Config {
    let mut settings = Settings::default();
    settings.app = Some(app.to_owned());
    settings.amqp_url = Some(SecretUrl::new(amqp_url));
    settings.redis_url = Some(SecretUrl::new(redis_url));
    settings.clock_skew = Some(0.0);
    settings.resolve().expect("The configuration of a test makes sense.")
}

/// What most tests publish.
pub const PUBLISHED: [&str; 6] = ["user", "message", "comment", "counter", "friendship", "photo"];

/// What takes seconds in production takes tenths of a second in tests, where `DEADLINE_SECONDS` says nothing else.
pub fn in_a_hurry(settings: &mut PublisherSettings) {
    let seconds = std::env::var("DEADLINE_SECONDS").ok();
    let seconds = seconds.map_or(1, |text| text.parse().expect("DEADLINE_SECONDS is a number."));
    settings.deadline = Duration::from_secs(seconds);
    settings.sweep_after = Duration::from_millis(500);
    settings.look_every = Duration::from_millis(100);
}

/// The `promiscuous` command of an app on the `STACK` of this name: it `PUBLISHES` these models, and `SUBSCRIBES` to these models of
/// the app `FROM`.
pub fn command() -> ExitCode {
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
