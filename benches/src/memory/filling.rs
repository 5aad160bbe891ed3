//! What waits for the processes: an outbox and queues, filled in the protocol's words and without its library.

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use crate::Outcome;
use crate::databases::Kind;
use crate::models::BODY;
use crate::queues::channel;
use crate::stage::{SHOP, seaorm};

/// Fills the outbox as thousands of writes without a broker would have.
pub(super) async fn fill_outbox(messages: usize) -> Outcome<()> {
    let (_, plain) = seaorm::publisher(Kind::Postgres, SHOP, 2).await?;
    // Ids begin far above the table's own, so that they never meet.
    let insert = format!(
        "INSERT INTO promiscuous_outbox (op, state, created_at, message) \
         SELECT op, 0, now_ms, format(\
         '{{\"id\":\"%s\",\"app\":\"{SHOP}\",\"context\":\"bench/memory\",\"timestamp\":%s,\"generation\":1,\"operations\":\
         [{{\"operation\":\"create\",\"endpoint\":\"{SHOP}/post\",\"types\":[\"Post\"],\"id\":\"%s\",\"attributes\":\
         {{\"author_id\":1,\"title\":\"Post number %s\",\"body\":\"{BODY}\",\"score\":0}}}}],\"dependencies\":{{\"write\":\
         [{{\"key\":\"{SHOP}/post/%s\",\"version\":%s,\"previous\":null,\"readers\":{{}}}}],\"read\":[],\"external\":[]}}}}', \
         op, now_ms, id, id, id, now_ms * 1000 + n) \
         FROM (SELECT gen_random_uuid()::text AS op, n, 1000000000 + n AS id, \
         (extract(epoch FROM now()) * 1000)::bigint - 10000 AS now_ms FROM generate_series(1, {messages}) AS n) AS made"
    );
    plain.execute_unprepared(&insert).await?;
    Ok(())
}

/// Publishes creations of posts that all read an author whose message never comes.
pub(super) async fn fill_queues(messages: usize) -> Outcome<()> {
    let channel = channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros() as u64;
    // Later than any beginning of a subscription: the author is still to come.
    let missing = now + 3_600_000_000;
    let numbers: Vec<usize> = (0..messages).collect();
    for chunk in numbers.chunks(500) {
        let publishing = chunk.iter().map(|n| {
            let body = json!({
                "id": Uuid::now_v7(), "app": SHOP, "context": "bench/memory", "timestamp": now / 1000, "generation": 1,
                "operations": [{
                    "operation": "create", "endpoint": "shop/post", "types": ["Post"], "id": n.to_string(),
                    "attributes": {"author_id": 1, "title": format!("Post number {n}"), "body": BODY, "score": 0},
                }],
                "dependencies": {
                    "write": [{"key": format!("shop/post/{n}"), "version": now + *n as u64, "previous": null, "readers": {}}],
                    "read": [{"key": "shop/author/999999999", "version": missing, "ordinals": {"shop/post": n + 1}}],
                    "external": [],
                },
            });
            let channel = channel.clone();
            async move {
                let properties = lapin::BasicProperties::default().with_delivery_mode(2);
                let options = BasicPublishOptions::default();
                let body = body.to_string();
                let sent = channel
                    .basic_publish("promiscuous".into(), "shop.post".into(), options, body.as_bytes(), properties)
                    .await?;
                sent.await
            }
        });
        for confirmed in join_all(publishing).await {
            confirmed?;
        }
    }
    Ok(())
}
