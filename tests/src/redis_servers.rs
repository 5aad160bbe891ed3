//! What tests say to a Redis of their own, past every proxy.

use std::time::Duration;

use crate::servers::{PrivateServers, Server};

/// Says something to it; answers with what it answered.
pub async fn redis(servers: &PrivateServers, words: &[&str]) -> String {
    let client = redis::Client::open(servers.url(Server::Redis)).expect("The address is one.");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("Nobody else stops this Redis.");
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let answer: redis::Value = command.query_async(&mut connection).await.expect("Redis takes the command.");
    match answer {
        redis::Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
        redis::Value::VerbatimString { text, .. } => text,
        other => format!("{other:?}"),
    }
}

/// Makes one a replica of another, and waits until it has everything.
pub async fn follow(replica: &PrivateServers, first: &PrivateServers) {
    let old = host(&first.url(Server::Redis));
    let (name, port) = old.split_once(':').expect("An address is host:port.");
    redis(replica, &["REPLICAOF", name, port]).await;
    while !redis(replica, &["INFO", "replication"]).await.contains("master_link_status:up") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The host and port of a URL.
pub fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}
