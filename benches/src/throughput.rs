//! How fast a full queue is applied, next to loops written by hand over copies of the same messages.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use promiscuous_core::key::Key;
use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, Set,
    TransactionTrait,
};
use serde_json::Value;

use crate::figures::{head, number, row};
use crate::models::{mailer, new_post, shop};
use crate::stage::{self, Wanted};
use crate::{Outcome, Size};

/// Authors that posts are caused by.
const AUTHORS: usize = 500;

/// Writers that fill the queues.
const WRITERS: usize = 16;

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let messages = size.pick(20_000, 4_000);
    println!("\n## Applying a full queue\n");
    println!(
        "{} messages wait, each creates one row; then the clock runs from the first delivery to the last row applied. \
         *By hand* is a loop over a copy of the queue: up to 100 messages in one transaction, either one \
         `INSERT … ON CONFLICT DO UPDATE` for all or SeaORM's `find` and `insert` for each, acknowledged after the \
         commit; one task, no order between workers, no versions.\n",
        number(messages as f64)
    );
    head(&["messages applied per second", "1 cause each", "4 causes each"]);
    let mut columns = Vec::new();
    for causes in [1, 4] {
        columns.push(with_causes(messages, causes).await?);
    }
    for position in 0..columns[0].len() {
        let name = columns[0][position].0.to_owned();
        let base = |column: usize| columns[column][0].1;
        let cell = |column: usize| {
            let rate = columns[column][position].1;
            format!("{} ({:.2}×)", number(rate), rate / base(column))
        };
        row([name, cell(0), cell(1)]);
    }
    println!("\nIn brackets: next to the multi-row loop by hand.");
    Ok(())
}

async fn with_causes(messages: usize, causes: usize) -> Outcome<Vec<(&'static str, f64)>> {
    let apps = [(1, format!("mailer_{causes}_1")), (8, format!("mailer_{causes}_8"))];
    // Both know the authors before the clock starts.
    let (shop, plain) = stage::publisher(WRITERS as u32 + 4).await?;
    let mut running = Vec::new();
    for (workers, app) in &apps {
        running.push(stage::subscriber(app, *workers, Wanted::Both).await?);
    }
    let mut authors = Vec::new();
    for n in 0..AUTHORS {
        let author = shop::author::ActiveModel { name: Set(format!("Author {n}")), ..Default::default() };
        let insert = Context::new("bench/authors").scope(author.insert(&shop)).await?;
        authors.push(insert.id);
    }
    for one in &mut running {
        one.status.wait_for(|status| status.applied >= AUTHORS as u64).await?;
    }
    for one in running {
        one.stop().await?;
    }
    for queue in ["by_hand_many", "by_hand_each"] {
        stage::queue_of_posts(queue).await?;
    }
    fill(&shop, &authors, messages, causes).await?;
    stage::published(&plain).await?;
    if let Some(publisher) = shop.publisher() {
        publisher.shut_down(Duration::from_secs(5)).await;
    }

    let mut rates = Vec::new();
    rates.push(("by hand, one statement for 100 rows", by_hand("by_hand_many", messages, true).await?));
    for ((workers, app), name) in
        apps.iter().zip(["Promiscuous, 1 worker", "Promiscuous, 8 workers (default)"])
    {
        rates.push((name, promiscuous(app, *workers, messages).await?));
        stage::remove_queue(&stage::queue_of(app)).await?;
    }
    rates.push(("by hand, SeaORM row by row", by_hand("by_hand_each", messages, false).await?));
    for queue in ["by_hand_many", "by_hand_each"] {
        stage::remove_queue(queue).await?;
    }
    Ok(rates)
}

/// Publishes posts, each in a context that has read so many authors.
async fn fill(shop: &PromiscuousConnection, authors: &[i64], messages: usize, causes: usize) -> Outcome<()> {
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (shop, authors) = (shop.clone(), authors.to_vec());
            tokio::spawn(async move {
                for n in (writer..messages).step_by(WRITERS) {
                    let context = Context::new("bench/fill");
                    for cause in 0..causes {
                        let author = authors[(n * causes + cause) % authors.len()];
                        context.record_read(Key::parse(&format!("shop/author/{author}"))?);
                    }
                    let author = authors[n * causes % authors.len()];
                    context.scope(new_post(author, n).insert(&shop)).await?;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        })
        .collect();
    for task in tasks {
        task.await?.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn promiscuous(app: &str, workers: usize, messages: usize) -> Outcome<f64> {
    let began = Instant::now();
    let mut running = stage::subscriber(app, workers, Wanted::Both).await?;
    // Connecting and migrating are not what is measured, unless something was applied meanwhile.
    let began = if running.status.borrow().applied == 0 { Instant::now() } else { began };
    running.status.wait_for(|status| status.applied >= messages as u64).await?;
    let took = began.elapsed();
    running.stop().await?;
    Ok(messages as f64 / took.as_secs_f64())
}

/// What one would write without a library.
async fn by_hand(queue: &str, messages: usize, many: bool) -> Outcome<f64> {
    let db = stage::pool(&stage::database(queue).await?, 2).await?;
    let channel = stage::channel().await?;
    channel.basic_qos(1_000, BasicQosOptions::default()).await?;
    let began = Instant::now();
    let mut consumer = channel
        .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let mut applied = 0;
    while applied < messages {
        let Some(first) = consumer.next().await else { return Err("the queue is gone".into()) };
        let first = first?;
        let mut rows = vec![decoded(&first.data)?];
        let mut last = first.delivery_tag;
        while rows.len() < 100 {
            let Some(Some(delivery)) = consumer.next().now_or_never() else { break };
            let delivery = delivery?;
            rows.push(decoded(&delivery.data)?);
            last = delivery.delivery_tag;
        }
        applied += rows.len();
        if many {
            upsert_all(&db, rows).await?
        } else {
            upsert_each(&db, rows).await?
        }
        channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
    }
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

fn decoded(body: &[u8]) -> Outcome<mailer::post::ActiveModel> {
    let message: Value = serde_json::from_slice(body)?;
    let operation = &message["operations"][0];
    let attributes = &operation["attributes"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(mailer::post::ActiveModel {
        id: Set(text(&operation["id"]).parse()?),
        author_id: Set(attributes["author_id"].as_i64().unwrap_or_default()),
        title: Set(text(&attributes["title"])),
        body: Set(text(&attributes["body"])),
        score: Set(attributes["score"].as_i64().unwrap_or_default().try_into()?),
    })
}

async fn upsert_all(db: &DatabaseConnection, rows: Vec<mailer::post::ActiveModel>) -> Outcome<()> {
    use mailer::post::Column::{AuthorId, Body, Id, Score, Title};
    let newest = OnConflict::column(Id).update_columns([AuthorId, Title, Body, Score]).to_owned();
    let transaction = db.begin().await?;
    mailer::post::Entity::insert_many(rows).on_conflict(newest).exec_without_returning(&transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn upsert_each(db: &DatabaseConnection, rows: Vec<mailer::post::ActiveModel>) -> Outcome<()> {
    let transaction = db.begin().await?;
    for row in rows {
        upsert_one(&transaction, row).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn upsert_one(db: &impl ConnectionTrait, row: mailer::post::ActiveModel) -> Outcome<()> {
    let id = *row.id.try_as_ref().ok_or("a row has no id")?;
    match mailer::post::Entity::find_by_id(id).one(db).await? {
        Some(_) => row.into_active_model().update(db).await?,
        None => row.insert(db).await?,
    };
    Ok(())
}
