//! SeaORM's contestants: tasks that share a pool.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, IntoActiveModel, ModelTrait,
    Set, Statement, TransactionSession, TransactionTrait,
};

use super::{Contestant, Kinds, Team};
use crate::Outcome;
use crate::databases::Kind;
use crate::figures::Figures;
use crate::models::message_by_hand;
use crate::models::seaorm::{new_post, shop::post};
use crate::stage::{self, Orm};

/// The contestants on this database.
pub(super) async fn team(kind: Kind) -> Outcome<Team> {
    let app = format!("writes_seaorm_{}", kind.word());
    let (wrapped, db) = stage::seaorm::publisher(kind, &app, 40).await?;
    let ways: [Box<dyn Contestant>; 3] = [
        Box::new(Tasks(Arc::new(Plain(db.clone())))),
        Box::new(Tasks(Arc::new(ByHand(db.clone())))),
        Box::new(Tasks(Arc::new(Wrapped(wrapped)))),
    ];
    Ok(Team { orm: Orm::SeaOrm, ways, db })
}

type Step<T> = Pin<Box<dyn Future<Output = Result<T, DbErr>> + Send>>;

/// One of the ways to write.
#[async_trait]
trait Writer: Send + Sync + 'static {
    fn insert(self: Arc<Self>, number: usize) -> Step<post::Model>;
    fn update(self: Arc<Self>, post: post::Model) -> Step<post::Model>;
    fn delete(self: Arc<Self>, post: post::Model) -> Step<()>;
    fn three(self: Arc<Self>, number: usize) -> Step<()>;

    async fn shut_down(&self) {}
}

/// Lets tasks write.
struct Tasks<W>(Arc<W>);

#[async_trait]
impl<W: Writer> Contestant for Tasks<W> {
    async fn all_kinds(&self, writers: usize, each: usize) -> Outcome<Kinds> {
        let numbers = |each: usize| (0..writers).map(|_| (0..each).collect()).collect();
        let (inserts, posts) = self.by_all(numbers(each), W::insert).await?;
        let (updates, posts) = self.by_all(posts, W::update).await?;
        let (deletes, _) = self.by_all(posts, W::delete).await?;
        let (threes, _) = self.by_all(numbers(each / 2), W::three).await?;
        Ok([inserts, updates, deletes, threes])
    }

    async fn shut_down(&self) -> Outcome<()> {
        self.0.shut_down().await;
        Ok(())
    }
}

impl<W: Writer> Tasks<W> {
    /// Runs one task for each writer, which takes its inputs one after the other, and gathers what they measured.
    async fn by_all<I: Send + 'static, T: Send + 'static>(
        &self,
        inputs: Vec<Vec<I>>,
        step: fn(Arc<W>, I) -> Step<T>,
    ) -> Outcome<(Figures, Vec<Vec<T>>)> {
        let began = Instant::now();
        let tasks: Vec<_> = inputs
            .into_iter()
            .map(|mine| {
                let writer = Arc::clone(&self.0);
                tokio::spawn(async move {
                    let (mut took, mut values) = (Vec::new(), Vec::new());
                    for input in mine {
                        let began = Instant::now();
                        values.push(step(Arc::clone(&writer), input).await?);
                        took.push(began.elapsed());
                    }
                    Ok::<_, DbErr>((took, values))
                })
            })
            .collect();
        let (mut figures, mut results) = (Figures::default(), Vec::new());
        for task in tasks {
            let (took, values) = task.await??;
            figures.each.extend(took);
            results.push(values);
        }
        figures.whole = began.elapsed();
        Ok((figures, results))
    }
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

#[async_trait]
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
        let message = message_by_hand(post.id, post.author_id, &post.title, &post.body, post.score);
        let backend = db.get_database_backend();
        let placeholder = if backend == DbBackend::Postgres { "$1" } else { "?" };
        let sql = format!("INSERT INTO outbox_by_hand (message) VALUES ({placeholder})");
        db.execute_raw(Statement::from_sql_and_values(backend, sql, [message.into()])).await.map(drop)
    }
}

#[async_trait]
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

#[async_trait]
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

    async fn shut_down(&self) {
        self.0.shut_down(Duration::from_secs(5)).await;
    }
}
