//! `promiscuous doctor`: what does not fit is told, with what to do about it.

use promiscuous_core::broker::{Broker, Queue, QueueKind};
use promiscuous_tests::conformance::Stack;
use promiscuous_tests::processes::{Builder, Process};
use serde_json::Value;

use crate::apps::Publishing;

/// Its findings, and whether it ended well.
async fn findings(command: Builder) -> (Vec<Value>, bool) {
    let mut process = command.spawn();
    let status = process.wait().await;
    let said = process.said().join("\n");
    let findings: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    (findings.as_array().unwrap().clone(), status.success())
}

/// The findings of this level about this, as text.
fn told(findings: &[Value], check: &str, level: &str) -> Vec<String> {
    let these = findings.iter().filter(|found| found["check"] == check && found["level"] == level);
    these.map(|found| format!("{}: {}", found["finding"], found["advice"])).collect()
}

#[track_caller]
fn assert_told(findings: &[Value], check: &str, level: &str, words: &str) {
    let told = told(findings, check, level);
    assert!(told.iter().any(|text| text.contains(words)), "{words:?} is not among {findings:#?}");
}

async fn an_app_that_fits_is_told_so(stack: Stack) {
    // given
    let shop = Publishing::new(stack).await;
    // when
    let (found, well) = findings(shop.command(&["doctor", "--format", "json"])).await;
    // then
    assert!(well, "{found:#?}");
    for check in ["database", "redis", "rabbitmq"] {
        assert_eq!(told(&found, check, "error"), [""; 0], "{found:#?}");
        assert_eq!(told(&found, check, "warning"), [""; 0], "{found:#?}");
    }
    assert_told(&found, "database", "ok", "the 6 promiscuous tables are there");
    assert_told(&found, "database", "ok", "the 6 published tables");
    assert_told(&found, "redis", "ok", "noeviction");
    // when an app subscribes to what it never bound
    let mailer = shop.command(&["doctor", "--format", "json"]).env("SUBSCRIBES", "user").env("FROM", "shop");
    let (found, well) = findings(mailer).await;
    // then that is no error, and nothing has been created.
    assert!(well, "{found:#?}");
    assert_told(&found, "rabbitmq", "warning", "is not there");
}

#[tokio::test]
async fn an_app_that_fits_is_told_so_with_seaorm_on_postgres() {
    an_app_that_fits_is_told_so(Stack::SEAORM_POSTGRES).await;
}

#[tokio::test]
async fn an_app_that_fits_is_told_so_with_diesel_on_mariadb() {
    an_app_that_fits_is_told_so(Stack::DIESEL_MARIADB).await;
}

#[tokio::test]
async fn an_app_that_fits_is_told_so_with_seaorm_on_sqlite() {
    an_app_that_fits_is_told_so(Stack::SEAORM_SQLITE).await;
}

#[tokio::test]
async fn what_does_not_fit_is_told() {
    // given a trigger, a table that is missing, and a queue of another kind
    let shop = Publishing::new(Stack::DIESEL_SQLITE).await;
    let trigger = "CREATE TRIGGER behind AFTER INSERT ON users BEGIN DELETE FROM counters; END";
    shop.eyes.execute(trigger).await;
    shop.eyes.execute("DROP TABLE promiscuous_parked").await;
    let queue = Queue { app: shop.app.clone(), bindings: Vec::new(), kind: QueueKind::Classic };
    shop.broker().declare(&queue).await.unwrap();
    // when
    let doctor = shop.command(&["doctor", "--format", "json"]).env("SUBSCRIBES", "user").env("FROM", "shop");
    let (found, well) = findings(doctor).await;
    // then
    assert!(!well);
    assert_told(&found, "database", "warning", "has the trigger `behind`");
    assert_told(&found, "database", "error", "promiscuous_parked");
    assert_told(&found, "database", "error", "promiscuous migrate");
    assert_told(&found, "rabbitmq", "error", "does not fit");
    assert_told(&found, "rabbitmq", "error", "classic_queue");
}

#[tokio::test]
async fn servers_that_are_away_are_told_all_at_once_and_without_passwords() {
    let away = |scheme: &str| format!("{scheme}://someone:s3cret@127.0.0.1:1/x");
    for stack in [Stack::SEAORM_POSTGRES, Stack::DIESEL_POSTGRES] {
        let doctor = |format: &str| {
            Process::new(env!("CARGO_BIN_EXE_command"))
                .arg("doctor")
                .arg("--format")
                .arg(format)
                .env("STACK", stack.to_string())
                .env("PROMISCUOUS_APP", "shop")
                .env("DATABASE_URL", away("postgres"))
                .env("AMQP_URL", away("amqp"))
                .env("REDIS_URL", "redis://someone:s3cret@127.0.0.1:1/0")
        };
        let (found, well) = findings(doctor("json")).await;
        assert!(!well);
        for (check, words) in [("database", "DATABASE_URL"), ("redis", "REDIS_URL"), ("rabbitmq", "AMQP_URL")]
        {
            assert_told(&found, check, "error", words);
        }
        assert!(!format!("{found:?}").contains("s3cret"), "{found:#?}");
        let mut people = doctor("text").spawn();
        assert_eq!(people.wait().await.code(), Some(1));
        let said = people.said().join("\n");
        assert_eq!(said.matches("ERROR ").count(), 3, "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}
