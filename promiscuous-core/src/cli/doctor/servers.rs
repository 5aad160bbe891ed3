//! Whether Redis and RabbitMQ are there and fit.

use super::Finding;
use crate::broker::{Queue, QueueKind};
use crate::cli::App;
use crate::config::Config;
use crate::subscriber::SubscriberSettings;

const EMBEDDED: &str = "for tests and trying out: name a server";

#[cfg(not(feature = "redis"))]
pub(super) async fn redis(_: &Config) -> Vec<Finding> {
    std::future::ready(vec![Finding::warning("redis", "this program has the embedded store only", EMBEDDED)])
        .await
}

#[cfg(feature = "redis")]
pub(super) async fn redis(config: &Config) -> Vec<Finding> {
    use crate::tls::Authorities;
    use crate::version_store::redis::RedisStore;

    const CHECK: &str = "redis";
    if config.redis_url.scheme() == "memory" {
        return vec![Finding::warning(CHECK, "the embedded store is used (REDIS_URL)", EMBEDDED)];
    }
    let advice = "check REDIS_URL, user and password, and docs/security.md for what the user must be allowed";
    let authorities = match Authorities::new(config.tls_ca.as_deref()) {
        Ok(authorities) => authorities,
        Err(error) => return vec![Finding::error(CHECK, error.to_string(), "check PROMISCUOUS_TLS_CA")],
    };
    let facts = match RedisStore::connect_trusting(config.redis_url.expose(), &config.app, &authorities) {
        Ok(store) => store.facts().await,
        Err(error) => Err(error),
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(error) => return vec![Finding::error(CHECK, error.to_string(), advice)],
    };
    let mut findings = Vec::new();
    findings.push(if at_least(&facts.version, (6, 2)) {
        Finding::ok(CHECK, format!("version {} at {}", facts.version, facts.at))
    } else {
        Finding::error(
            CHECK,
            format!("version {} at {}", facts.version, facts.at),
            "update Redis: 6.2 or later is needed",
        )
    });
    findings.push(match facts.policy.as_str() {
        "noeviction" => Finding::ok(CHECK, "maxmemory-policy is noeviction"),
        other => Finding::error(
            CHECK,
            format!("maxmemory-policy is {other}"),
            "set it to noeviction: evicted versions would be lost silently",
        ),
    });
    if facts.role != "master" {
        findings.push(Finding::error(
            CHECK,
            "it is a replica, which takes no writes",
            "let REDIS_URL lead to the master",
        ));
    }
    let memory = match facts.max_memory {
        0 => "has no limit of memory".to_owned(),
        bytes => format!("may use {} MiB of memory", bytes / 1024 / 1024),
    };
    let log = if facts.keeps_a_log { "keeps a log on disk" } else { "keeps no log on disk, and need not" };
    findings.push(Finding::ok(CHECK, format!("it {memory}, and {log}")));
    findings.push(super::clock(CHECK, facts.ahead_millis, config));
    findings
}

#[cfg(feature = "redis")]
fn at_least(version: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= wanted
}

#[cfg(not(feature = "rabbitmq"))]
pub(super) async fn rabbitmq(_: &dyn App, _: &Config) -> Vec<Finding> {
    std::future::ready(vec![Finding::warning(
        "rabbitmq",
        "this program has the embedded broker only",
        EMBEDDED,
    )])
    .await
}

#[cfg(feature = "rabbitmq")]
pub(super) async fn rabbitmq(app: &dyn App, config: &Config) -> Vec<Finding> {
    use crate::broker::Broker;
    use crate::broker::rabbitmq::RabbitMq;
    use crate::tls::Authorities;

    const CHECK: &str = "rabbitmq";
    if config.amqp_url.scheme() == "memory" {
        return vec![Finding::warning(CHECK, "the embedded broker is used (AMQP_URL)", EMBEDDED)];
    }
    let advice = "check AMQP_URL, user and password, and docs/security.md for what the user must be allowed";
    let authorities = match Authorities::new(config.tls_ca.as_deref()) {
        Ok(authorities) => authorities,
        Err(error) => return vec![Finding::error(CHECK, error.to_string(), "check PROMISCUOUS_TLS_CA")],
    };
    let broker = match RabbitMq::trusting(config.amqp_url.expose(), &authorities) {
        Ok(broker) => broker,
        Err(error) => return vec![Finding::error(CHECK, error.to_string(), advice)],
    };
    if let Err(error) = broker.ping().await {
        return vec![Finding::error(CHECK, error.to_string(), advice)];
    }
    let mut findings = vec![Finding::ok(CHECK, format!("reached at {}", config.amqp_url.host_and_port()))];
    match app.subscriptions() {
        Ok(subscriptions) if subscriptions.is_empty() => return findings,
        Ok(_) => {}
        Err(error) => {
            findings.push(Finding::error(CHECK, error.to_string(), "correct what the app subscribes to"));
            return findings;
        }
    }
    let kind = SubscriberSettings::from(config).queue_kind;
    let queue = Queue { app: config.app.clone(), bindings: Vec::new(), kind };
    findings.push(match broker.queue_facts(&queue).await {
        Ok(None) => Finding::warning(
            CHECK,
            format!("the queue {} is not there", queue.name()),
            "start `promiscuous subscribe`: what is published before does not arrive",
        ),
        Err(error) => Finding::error(
            CHECK,
            format!("the queue {} does not fit: {error}", queue.name()),
            "use the settings that it was declared with (`classic_queue`), or delete it when it is empty and its worker is stopped",
        ),
        Ok(Some(facts)) => {
            let kind = if kind == QueueKind::Quorum { "quorum" } else { "classic" };
            let says = format!(
                "the {kind} queue {} has {} messages and {} consumers, and {} dead letters",
                queue.name(),
                facts.messages,
                facts.consumers,
                facts.dead_letters
            );
            match (facts.dead_letters, facts.consumers) {
                (0, 0) => Finding::warning(CHECK, says, "start `promiscuous subscribe`: nobody consumes"),
                (0, _) => Finding::ok(CHECK, says),
                _ => Finding::warning(CHECK, says, "look at the dead letters: they were not applied"),
            }
        }
    });
    findings
}
