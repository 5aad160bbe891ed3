//! Writes: plain SeaORM, an outbox by hand, and the wrapped connection, in alternating rounds.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, IntoActiveModel, ModelTrait, Set,
    Statement, TransactionSession, TransactionTrait,
};

use crate::figures::{Figures, head, ms, number, row};
use crate::models::{new_post, shop::post};
use crate::{Outcome, Size, stage};

/// What is measured.
const KINDS: [&str; 4] = ["insert", "update by primary key", "delete", "transaction of three rows"];

/// Runs the part and prints its tables.
pub async fn run(size: Size) -> Outcome<()> {
    let (wrapped, plain) = stage::publisher(40).await?;
    let rounds = size.pick(6, 2);
    println!("\n## Writes\n");
    println!(
        "One row of about 200 bytes, PostgreSQL with `fsync` on, {rounds} alternating rounds. *Outbox by hand* is what one \
         writes without a library: `BEGIN`, the statement, one `INSERT` into an outbox table, `COMMIT`; no versions, no \
         publishing. The wrapped connection publishes in the background of the same process meanwhile. Each write runs in \
         a context of its own. Times in milliseconds.\n"
    );
    let by_hand =
        "CREATE TABLE IF NOT EXISTS outbox_by_hand (id BIGSERIAL PRIMARY KEY, message TEXT NOT NULL)";
    plain.execute_unprepared(by_hand).await?;
    head(&[
        "write",
        "writers",
        "plain p50",
        "p99",
        "per s",
        "by hand p50",
        "per s",
        "wrapped p50",
        "p99",
        "per s",
        "wrapped / plain",
        "throughput",
        "wrapped / by hand",
    ]);
    for writers in [1, 16] {
        let each = size.pick(400, 100) / if writers == 1 { 1 } else { 4 };
        let mut plain_figures: Vec<Figures> = KINDS.iter().map(|_| Figures::default()).collect();
        let mut hand_figures: Vec<Figures> = KINDS.iter().map(|_| Figures::default()).collect();
        let mut wrapped_figures: Vec<Figures> = KINDS.iter().map(|_| Figures::default()).collect();
        for round in 0..=rounds {
            // The first one warms up caches and connections.
            let each = if round == 0 { each / 4 } else { each };
            let a = all_kinds(Arc::new(Plain(plain.clone())), writers, each).await?;
            let b = all_kinds(Arc::new(ByHand(plain.clone())), writers, each).await?;
            let c = all_kinds(Arc::new(Wrapped(wrapped.clone())), writers, each).await?;
            stage::published(&plain).await?;
            if round > 0 {
                for (kind, ((a, b), c)) in a.into_iter().zip(b).zip(c).enumerate() {
                    plain_figures[kind].add(a);
                    hand_figures[kind].add(b);
                    wrapped_figures[kind].add(c);
                }
            }
        }
        for (kind, name) in KINDS.iter().enumerate() {
            let (a, b, c) = (&mut plain_figures[kind], &mut hand_figures[kind], &mut wrapped_figures[kind]);
            let (am, bm, cm) = (a.percentile(0.5), b.percentile(0.5), c.percentile(0.5));
            row([
                (*name).to_owned(),
                writers.to_string(),
                ms(am),
                ms(a.percentile(0.99)),
                number(a.per_second()),
                ms(bm),
                number(b.per_second()),
                ms(cm),
                ms(c.percentile(0.99)),
                number(c.per_second()),
                format!("**{:.1}×**", cm.as_secs_f64() / am.as_secs_f64()),
                format!("{:.2}×", c.per_second() / a.per_second()),
                format!("{:.1}×", cm.as_secs_f64() / bm.as_secs_f64()),
            ]);
        }
    }
    if let Some(publisher) = wrapped.publisher() {
        publisher.shut_down(std::time::Duration::from_secs(5)).await;
    }
    Ok(())
}

type Step<T> = Pin<Box<dyn Future<Output = Result<T, DbErr>> + Send>>;

/// One of the contestants.
trait Writer: Send + Sync + 'static {
    fn insert(self: Arc<Self>, number: usize) -> Step<post::Model>;
    fn update(self: Arc<Self>, post: post::Model) -> Step<post::Model>;
    fn delete(self: Arc<Self>, post: post::Model) -> Step<()>;
    fn three(self: Arc<Self>, number: usize) -> Step<()>;
}

/// Every kind of write, `each` times by each of so many writers.
async fn all_kinds(writer: Arc<impl Writer>, writers: usize, each: usize) -> Outcome<[Figures; 4]> {
    let (inserts, posts) = by_all(writers, |_| {
        let writer = Arc::clone(&writer);
        async move {
            timed((0..each).map(|number| {
                let writer = Arc::clone(&writer);
                move || writer.insert(number)
            }))
            .await
        }
    })
    .await?;
    let (updates, posts) = by_all(writers, |index| {
        let (writer, mine) = (Arc::clone(&writer), posts[index].clone());
        async move {
            timed(mine.into_iter().map(|post| {
                let writer = Arc::clone(&writer);
                move || writer.update(post)
            }))
            .await
        }
    })
    .await?;
    let (deletes, _) = by_all(writers, |index| {
        let (writer, mine) = (Arc::clone(&writer), posts[index].clone());
        async move {
            timed(mine.into_iter().map(|post| {
                let writer = Arc::clone(&writer);
                move || writer.delete(post)
            }))
            .await
        }
    })
    .await?;
    let (threes, _) = by_all(writers, |_| {
        let writer = Arc::clone(&writer);
        async move {
            timed((0..each / 2).map(|number| {
                let writer = Arc::clone(&writer);
                move || writer.three(number)
            }))
            .await
        }
    })
    .await?;
    Ok([inserts, updates, deletes, threes])
}

/// Runs one task for each writer and gathers what they measured.
async fn by_all<T: Send + 'static, F>(
    writers: usize,
    mut task: impl FnMut(usize) -> F,
) -> Outcome<(Figures, Vec<Vec<T>>)>
where
    F: Future<Output = Result<(Figures, Vec<T>), DbErr>> + Send + 'static,
{
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers).map(|index| tokio::spawn(task(index))).collect();
    let (mut figures, mut results) = (Figures::default(), Vec::new());
    for task in tasks {
        let (mine, values) = task.await??;
        figures.each.extend(mine.each);
        results.push(values);
    }
    figures.whole = began.elapsed();
    Ok((figures, results))
}

/// Runs steps one after the other.
async fn timed<T>(steps: impl Iterator<Item = impl FnOnce() -> Step<T>>) -> Result<(Figures, Vec<T>), DbErr> {
    let (mut figures, mut values) = (Figures::default(), Vec::new());
    for step in steps {
        let step = step();
        let began = Instant::now();
        values.push(step.await?);
        figures.each.push(began.elapsed());
    }
    Ok((figures, values))
}

async fn update_on(db: &impl ConnectionTrait, post: post::Model) -> Result<post::Model, DbErr> {
    let score = post.score + 1;
    let mut post = post.into_active_model();
    post.score = Set(score);
    post.update(db).await
}

async fn three_on(db: &impl ConnectionTrait, number: usize) -> Result<(), DbErr> {
    let first = new_post(1, number).insert(db).await?;
    new_post(2, number).insert(db).await?;
    update_on(db, first).await.map(drop)
}

/// SeaORM as it is.
struct Plain(DatabaseConnection);

impl Writer for Plain {
    fn insert(self: Arc<Self>, number: usize) -> Step<post::Model> {
        Box::pin(async move { new_post(1, number).insert(&self.0).await })
    }
    fn update(self: Arc<Self>, post: post::Model) -> Step<post::Model> {
        Box::pin(async move { update_on(&self.0, post).await })
    }
    fn delete(self: Arc<Self>, post: post::Model) -> Step<()> {
        Box::pin(async move { post.delete(&self.0).await.map(drop) })
    }
    fn three(self: Arc<Self>, number: usize) -> Step<()> {
        Box::pin(async move {
            let transaction = self.0.begin().await?;
            three_on(&transaction, number).await?;
            transaction.commit().await
        })
    }
}

/// A row in an outbox with every transaction.
struct ByHand(DatabaseConnection);

impl ByHand {
    async fn leave_message(db: &impl ConnectionTrait, post: &post::Model) -> Result<(), DbErr> {
        let message = serde_json::json!({
            "id": post.id, "author_id": post.author_id, "title": post.title, "body": post.body, "score": post.score,
        });
        let sql = "INSERT INTO outbox_by_hand (message) VALUES ($1)";
        let insert =
            Statement::from_sql_and_values(db.get_database_backend(), sql, [message.to_string().into()]);
        db.execute_raw(insert).await.map(drop)
    }
}

impl Writer for ByHand {
    fn insert(self: Arc<Self>, number: usize) -> Step<post::Model> {
        Box::pin(async move {
            let transaction = self.0.begin().await?;
            let post = new_post(1, number).insert(&transaction).await?;
            Self::leave_message(&transaction, &post).await?;
            transaction.commit().await?;
            Ok(post)
        })
    }
    fn update(self: Arc<Self>, post: post::Model) -> Step<post::Model> {
        Box::pin(async move {
            let transaction = self.0.begin().await?;
            let post = update_on(&transaction, post).await?;
            Self::leave_message(&transaction, &post).await?;
            transaction.commit().await?;
            Ok(post)
        })
    }
    fn delete(self: Arc<Self>, post: post::Model) -> Step<()> {
        Box::pin(async move {
            let transaction = self.0.begin().await?;
            post.clone().delete(&transaction).await?;
            Self::leave_message(&transaction, &post).await?;
            transaction.commit().await
        })
    }
    fn three(self: Arc<Self>, number: usize) -> Step<()> {
        Box::pin(async move {
            let transaction = self.0.begin().await?;
            let first = new_post(1, number).insert(&transaction).await?;
            let second = new_post(2, number).insert(&transaction).await?;
            let first = update_on(&transaction, first).await?;
            Self::leave_message(&transaction, &first).await?;
            Self::leave_message(&transaction, &second).await?;
            transaction.commit().await
        })
    }
}

/// Promiscuous; a context for each write, as a web request would have one.
struct Wrapped(PromiscuousConnection);

fn in_context<T: 'static>(step: impl Future<Output = Result<T, DbErr>> + Send + 'static) -> Step<T> {
    Box::pin(Context::new("bench/writes").scope(step))
}

impl Writer for Wrapped {
    fn insert(self: Arc<Self>, number: usize) -> Step<post::Model> {
        in_context(async move { new_post(1, number).insert(&self.0).await })
    }
    fn update(self: Arc<Self>, post: post::Model) -> Step<post::Model> {
        in_context(async move { update_on(&self.0, post).await })
    }
    fn delete(self: Arc<Self>, post: post::Model) -> Step<()> {
        in_context(async move { post.delete(&self.0).await.map(drop) })
    }
    fn three(self: Arc<Self>, number: usize) -> Step<()> {
        in_context(async move {
            let transaction = self.0.begin().await?;
            three_on(&transaction, number).await?;
            TransactionSession::commit(transaction).await
        })
    }
}
