//! Memory of a publishing and of a subscribing process while very many messages wait.
//!
//! Each is this program again, as a process of its own that does nothing else.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use promiscuous_seaorm::Context;
use sea_orm::{ActiveModelTrait, ConnectionTrait};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::figures::{head, number, row};
use crate::models::{BODY, new_post};
use crate::stage::{self, SHOP, Wanted};
use crate::{Outcome, Role, Size};

/// What neither process may exceed.
const LIMIT_MB: u64 = 100;

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let messages = size.pick(200_000, 20_000);
    let seconds = size.pick(20, 5);
    println!("\n## Memory\n");
    println!(
        "Each line is a process of its own, watched for {seconds} s while {} messages wait for it, or until it is through \
         with them. The publisher goes on with 100 writes a second. The goal is to stay below {LIMIT_MB} MB.\n",
        number(messages as f64)
    );
    head(&["process", "largest (VmHWM), MB", "at the end (VmRSS), MB", "done meanwhile"]);

    fill_outbox(messages).await?;
    let away = [("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f")];
    watch("publisher, RabbitMQ away", Role::Publisher, &away, seconds).await?;
    watch("publisher, RabbitMQ back", Role::Publisher, &[], 40).await?;
    let (_, plain) = stage::publisher(2).await?;
    plain.execute_unprepared("DELETE FROM promiscuous_outbox").await?;

    for (app, wanted) in [("mailer_consuming", Wanted::Posts), ("mailer_blocked", Wanted::Both)] {
        stage::subscriber(app, 8, wanted).await?.stop().await?;
    }
    fill_queues(messages).await?;
    watch("subscriber, consuming", Role::Consuming, &[], seconds).await?;
    watch("subscriber, everything waits for a cause", Role::Blocked, &[], seconds).await?;
    for app in ["mailer_consuming", "mailer_blocked"] {
        stage::remove_queue(&stage::queue_of(app)).await?;
    }
    Ok(())
}

/// What the process of its own does until its input ends.
pub async fn process(role: Role) -> Outcome<()> {
    match role {
        Role::Publisher => {
            let (shop, _) = stage::publisher(8).await?;
            let writing = tokio::spawn(async move {
                let mut every = tokio::time::interval(Duration::from_millis(10));
                for number in 0.. {
                    every.tick().await;
                    let inserting = new_post(1, number).insert(&shop);
                    if let Err(error) = Context::new("bench/memory").scope(inserting).await {
                        eprintln!("A write failed: {error}.");
                    }
                }
            });
            input_ends().await?;
            writing.abort();
        }
        Role::Consuming | Role::Blocked => {
            let (app, wanted) = match role {
                Role::Consuming => ("mailer_consuming", Wanted::Posts),
                _ => ("mailer_blocked", Wanted::Both),
            };
            let _running = stage::subscriber(app, 8, wanted).await?;
            input_ends().await?;
        }
    }
    Ok(())
}

async fn input_ends() -> Outcome<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Starts a process, watches it and prints a line.
async fn watch(name: &str, role: Role, variables: &[(&str, &str)], seconds: usize) -> Outcome<()> {
    let before = left(role).await?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--process").arg(role.name()).envs(variables.iter().copied());
    let mut process = command.stdin(Stdio::piped()).kill_on_drop(true).spawn()?;
    let began = Instant::now();
    let mut after = before;
    while began.elapsed() < Duration::from_secs(seconds as u64) && after > 500 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        after = left(role).await?;
        if let Some(status) = process.try_wait()? {
            return Err(format!("the process `{name}` ended by itself: {status}").into());
        }
    }
    let (largest, at_the_end) = (status_kb(&process, "VmHWM")?, status_kb(&process, "VmRSS")?);
    let what = if role == Role::Publisher { "left the outbox" } else { "applied" };
    let mark = if largest / 1024 < LIMIT_MB { "" } else { " **too much**" };
    let done = match before.saturating_sub(after) {
        0 => "nothing can".to_owned(),
        done => format!("{} {what}", number(done as f64)),
    };
    row([name.to_owned(), format!("{}{mark}", largest / 1024), (at_the_end / 1024).to_string(), done]);
    drop(process.stdin.take());
    let _ = tokio::time::timeout(Duration::from_secs(10), process.wait()).await;
    Ok(())
}

/// How much still waits for this process.
async fn left(role: Role) -> Outcome<usize> {
    let (database, of) = match role {
        Role::Publisher => (SHOP, "promiscuous_outbox"),
        Role::Consuming => ("mailer_consuming", "posts"),
        Role::Blocked => ("mailer_blocked", "posts"),
    };
    let db = stage::pool(&stage::database(database).await?, 1).await?;
    let rows = stage::count(&db, of).await?.unsigned_abs() as usize;
    db.close().await?;
    // A subscriber's rows grow: what is left falls.
    Ok(if role == Role::Publisher { rows } else { 1_000_000_usize.saturating_sub(rows) })
}

fn status_kb(process: &Child, field: &str) -> Outcome<u64> {
    let id = process.id().ok_or("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("the field is missing")?;
    Ok(line.trim_matches([':', ' ', '\t', 'k', 'B']).trim().parse()?)
}

/// Fills the outbox as thousands of writes without a broker would have.
async fn fill_outbox(messages: usize) -> Outcome<()> {
    let (_, plain) = stage::publisher(2).await?;
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
async fn fill_queues(messages: usize) -> Outcome<()> {
    let channel = stage::channel().await?;
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
