//! Rows one by one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};

use futures_util::{Stream, StreamExt};
use promiscuous_core::context::Context;
use sea_orm::{
    DbBackend, DbErr, QueryResult, QueryStream, Statement, StatementBuilder, StreamTrait, TransactionStream,
};

use crate::capture::{Admitted, Capture};
use crate::connection::PromiscuousConnection;
use crate::reads::remember;
use crate::recording::Turn;
use crate::statement::{Route, Selection};
use crate::steady::{go_on, is_fragile};
use crate::transaction::PromiscuousTransaction;

/// A stream of rows, each of which is remembered as a cause when it has been read.
pub struct PromiscuousStream<St> {
    /// SeaORM's stream, until this one is dropped. Dropped before `_turn`, because it occupies the connection.
    inner: Option<St>,
    /// How rows are recognised, and where they are remembered.
    cause: Option<(Selection, Context)>,
    /// Whether the driver has begun.
    asked: bool,
    /// How to go on when the stream is dropped before the first answer, where the driver cannot be interrupted.
    finish: Option<fn(St)>,
    /// In a transaction: no other statement until the stream ends.
    _turn: Option<Turn>,
}

impl<St> Stream for PromiscuousStream<St>
where
    St: Stream<Item = Result<QueryResult, DbErr>> + Unpin,
{
    type Item = Result<QueryResult, DbErr>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        this.asked = true;
        let item = ready!(Pin::new(inner).poll_next(cx));
        this.finish = None;
        if let (Some(Ok(row)), Some((selection, context))) = (&item, &this.cause) {
            remember(selection, std::slice::from_ref(row), context);
        }
        Poll::Ready(item)
    }
}

impl<St> PromiscuousStream<St> {
    fn new(inner: St, cause: Option<(Selection, Context)>, turn: Option<Turn>) -> Self {
        Self { inner: Some(inner), cause, asked: false, finish: None, _turn: turn }
    }
}

impl PromiscuousStream<QueryStream> {
    fn of_pool(inner: QueryStream, cause: Option<(Selection, Context)>, backend: DbBackend) -> Self {
        let finish: fn(QueryStream) = |mut inner| {
            go_on(async move {
                inner.next().await;
            });
        };
        let mut stream = Self::new(inner, cause, None);
        stream.finish = is_fragile(backend).then_some(finish);
        stream
    }
}

impl<St> Drop for PromiscuousStream<St> {
    fn drop(&mut self) {
        if let (true, Some(finish), Some(inner)) = (self.asked, self.finish, self.inner.take()) {
            finish(inner);
        }
    }
}

type Opening<'a, St> = Pin<Box<dyn Future<Output = Result<PromiscuousStream<St>, DbErr>> + 'a + Send>>;

/// The statement does not live as long as the stream: it is judged and rendered first.
fn judged<S: StatementBuilder>(
    capture: &Capture,
    statement: &S,
    backend: DbBackend,
    context: Option<Context>,
) -> Result<(Statement, Option<(Selection, Context)>), DbErr> {
    let cause = match capture.admit(statement, backend, Route::Stream)? {
        Admitted::Read(selection) => context.map(|context| (selection, context)),
        Admitted::Pass | Admitted::Text(_) | Admitted::Write(_) => None,
    };
    Ok((backend.build(statement), cause))
}

impl StreamTrait for PromiscuousConnection {
    type Stream<'a> = PromiscuousStream<QueryStream>;

    fn get_database_backend(&self) -> DbBackend {
        self.inner().get_database_backend()
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> Opening<'a, QueryStream> {
        Box::pin(async move {
            self.capture().admit_raw(&statement.sql, self.get_database_backend())?;
            let inner = self.inner().stream_raw(statement).await?;
            Ok(PromiscuousStream::of_pool(inner, None, self.get_database_backend()))
        })
    }

    fn stream<'a, S: StatementBuilder + Sync>(&'a self, statement: &S) -> Opening<'a, QueryStream> {
        let judged = judged(self.capture(), statement, self.get_database_backend(), self.context());
        Box::pin(async move {
            let (statement, cause) = judged?;
            let inner = self.inner().stream_raw(statement).await?;
            Ok(PromiscuousStream::of_pool(inner, cause, self.get_database_backend()))
        })
    }
}

impl StreamTrait for PromiscuousTransaction {
    type Stream<'a> = PromiscuousStream<TransactionStream<'a>>;

    fn get_database_backend(&self) -> DbBackend {
        PromiscuousTransaction::get_database_backend(self)
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> Opening<'a, TransactionStream<'a>> {
        Box::pin(async move {
            self.admit_raw(&statement.sql)?;
            let turn = self.recording().turn().await?;
            let inner = self.inner().stream_raw(statement).await?;
            Ok(PromiscuousStream::new(inner, None, Some(turn)))
        })
    }

    fn stream<'a, S: StatementBuilder + Sync>(&'a self, statement: &S) -> Opening<'a, TransactionStream<'a>> {
        let backend = PromiscuousTransaction::get_database_backend(self);
        let judged = judged(self.capture(), statement, backend, self.context());
        Box::pin(async move {
            let (statement, cause) = judged?;
            let turn = self.recording().turn().await?;
            let inner = self.inner().stream_raw(statement).await?;
            Ok(PromiscuousStream::new(inner, cause, Some(turn)))
        })
    }
}
