//! Loops over a queue, as one would write them without a library.

use std::time::Instant;

use async_trait::async_trait;
use diesel::pg::Pg;
use diesel::prelude::*;
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait, TransactionTrait};
use serde_json::Value;

use crate::Outcome;
use crate::databases::{Kind, pool};
use crate::models::diesel::{Post, posts};
use crate::models::seaorm::mailer;
use crate::queues::channel;
use crate::stage::diesel::{blocking, connect};

/// Rows in one transaction, at the most.
const BATCH: usize = 100;

/// One of the loops.
#[derive(Clone, Copy)]
pub enum Loop {
    /// All rows of a transaction in one statement.
    Many,
    /// With SeaORM, row by row.
    SeaOrm,
    /// With Diesel, row by row.
    Diesel,
}

impl Loop {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Many, Self::SeaOrm, Self::Diesel];

    /// As the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Many => "by hand, one statement for 100 rows",
            Self::SeaOrm => "by hand, SeaORM row by row",
            Self::Diesel => "by hand, Diesel row by row",
        }
    }

    /// Its queue, and its database.
    pub fn queue(self) -> &'static str {
        match self {
            Self::Many => "by_hand_many",
            Self::SeaOrm => "by_hand_seaorm",
            Self::Diesel => "by_hand_diesel",
        }
    }

    /// Messages a second.
    pub async fn run(self, messages: usize) -> Outcome<f64> {
        let url = Kind::Postgres.create(self.queue()).await?;
        match self {
            Self::Many => consume(self.queue(), messages, Many(pool(&url, 2).await?)).await,
            Self::SeaOrm => consume(self.queue(), messages, SeaOrm(pool(&url, 2).await?)).await,
            Self::Diesel => {
                let connection = blocking(move || connect::<Pg>(&url)).await?;
                consume(self.queue(), messages, Diesel(Some(connection))).await
            }
        }
    }
}

/// Takes what is there, up to a batch, writes it and acknowledges it.
async fn consume(queue: &str, messages: usize, mut writes: impl Writes) -> Outcome<f64> {
    let channel = channel().await?;
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
        while rows.len() < BATCH {
            let Some(Some(delivery)) = consumer.next().now_or_never() else { break };
            let delivery = delivery?;
            rows.push(decoded(&delivery.data)?);
            last = delivery.delivery_tag;
        }
        applied += rows.len();
        writes.write(rows).await?;
        channel.basic_ack(last, BasicAckOptions { multiple: true }).await?;
    }
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

fn decoded(body: &[u8]) -> Outcome<Post> {
    let message: Value = serde_json::from_slice(body)?;
    let operation = &message["operations"][0];
    let attributes = &operation["attributes"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Post {
        id: text(&operation["id"]).parse()?,
        author_id: attributes["author_id"].as_i64().unwrap_or_default(),
        title: text(&attributes["title"]),
        body: text(&attributes["body"]),
        score: attributes["score"].as_i64().unwrap_or_default().try_into()?,
    })
}

/// Writes rows in a transaction.
#[async_trait]
trait Writes {
    async fn write(&mut self, rows: Vec<Post>) -> Outcome<()>;
}

struct Many(DatabaseConnection);

#[async_trait]
impl Writes for Many {
    async fn write(&mut self, rows: Vec<Post>) -> Outcome<()> {
        use mailer::post::Column::{AuthorId, Body, Id, Score, Title};
        let newest = OnConflict::column(Id).update_columns([AuthorId, Title, Body, Score]).to_owned();
        let transaction = self.0.begin().await?;
        let rows = rows.into_iter().map(mailer::post::ActiveModel::from);
        let insert = mailer::post::Entity::insert_many(rows).on_conflict(newest);
        insert.exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

struct SeaOrm(DatabaseConnection);

#[async_trait]
impl Writes for SeaOrm {
    async fn write(&mut self, rows: Vec<Post>) -> Outcome<()> {
        let transaction = self.0.begin().await?;
        for row in rows {
            upsert(&transaction, row).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn upsert(db: &impl ConnectionTrait, row: Post) -> Outcome<()> {
    let found = mailer::post::Entity::find_by_id(row.id).one(db).await?;
    let row = mailer::post::ActiveModel::from(row);
    match found {
        Some(_) => row.update(db).await?,
        None => row.insert(db).await?,
    };
    Ok(())
}

/// The connection is with the thread that uses it meanwhile.
struct Diesel(Option<PgConnection>);

#[async_trait]
impl Writes for Diesel {
    async fn write(&mut self, rows: Vec<Post>) -> Outcome<()> {
        let mut connection = self.0.take().ok_or("the connection was lost with an earlier error")?;
        let write = move || {
            connection.transaction(|db| rows.iter().try_for_each(|row| upsert_with_diesel(db, row)))?;
            Ok(connection)
        };
        self.0 = Some(blocking(write).await?);
        Ok(())
    }
}

fn upsert_with_diesel(db: &mut PgConnection, row: &Post) -> QueryResult<()> {
    let found: Option<Post> = posts::table.find(row.id).select(Post::as_select()).first(db).optional()?;
    match found {
        Some(_) => diesel::update(posts::table.find(row.id)).set(row).execute(db)?,
        None => diesel::insert_into(posts::table).values(row).execute(db)?,
    };
    Ok(())
}
