//! What an app waits for when it runs a statement.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::AsyncConnectionCore;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;

use super::AsyncWrapped;
use super::ledger::{Flight, Ledger};
use super::running::Prepared;
use crate::backend::{Capturing, Doubt};
use crate::cursor::PromiscuousRow;
use crate::kept::KeptRow;
use crate::reads::Cause;
use crate::statement::Plan;

type DB<C> = <C as AsyncConnectionCore>::Backend;

pin_project! {
    /// The number of rows.
    #[project = ExecuteStage]
    pub enum ExecuteFuture<'conn, 'query, C>
    where
        C: AsyncWrapped,
    {
        /// It was refused before anything was sent.
        Refused { error: Option<Error> },
        /// All of it is done by the connection.
        Prepared { prepared: BoxFuture<'conn, QueryResult<usize>> },
        /// The statement is handed on as it is. No ledger: nothing is published.
        Passed { #[pin] count: C::ExecuteFuture<'conn, 'query>, ledger: Option<&'conn mut Ledger<DB<C>>> },
    }
}

impl<C: AsyncWrapped> Future for ExecuteFuture<'_, '_, C> {
    type Output = QueryResult<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ExecuteStage::Refused { error } => Poll::Ready(Err(taken(error))),
            ExecuteStage::Prepared { prepared } => prepared.as_mut().poll(cx),
            ExecuteStage::Passed { count, ledger } => match ledger {
                None => count.poll(cx),
                Some(ledger) => landing(count, ledger, cx),
            },
        }
    }
}

pin_project! {
    /// The rows, once the first of them may come.
    #[project = LoadStage]
    pub enum LoadFuture<'conn, 'query, C>
    where
        C: AsyncWrapped,
    {
        /// It was refused before anything was sent.
        Refused { error: Option<Error> },
        /// Something has to be done before the statement, or all of it.
        Preparing { preparing: BoxFuture<'conn, QueryResult<Prepared<'conn, C>>> },
        /// The statement is under way. No ledger: nothing is published.
        Loading {
            #[pin]
            rows: C::LoadFuture<'conn, 'query>,
            ledger: Option<&'conn mut Ledger<DB<C>>>,
            // Its rows are causes.
            plan: Option<Arc<Plan>>,
        },
    }
}

impl<'conn, 'query, C: AsyncWrapped> Future for LoadFuture<'conn, 'query, C> {
    type Output = QueryResult<RowStream<'conn, 'query, C>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project() {
                LoadStage::Refused { error } => return Poll::Ready(Err(taken(error))),
                LoadStage::Preparing { preparing } => match ready!(preparing.as_mut().poll(cx))? {
                    Prepared::Written(written) => {
                        let (rows, visible) = (written.rows.into_iter(), written.visible);
                        return Poll::Ready(Ok(RowStream::Kept { rows, visible }));
                    }
                    Prepared::Query(connection, query, plan) => {
                        let rows = connection.inner.0.load(query);
                        let ledger = Some(&mut connection.ledger);
                        self.set(LoadFuture::Loading { rows, ledger, plan });
                    }
                },
                LoadStage::Loading { rows, ledger, plan } => {
                    let result = match ledger {
                        None => ready!(rows.poll(cx)),
                        Some(ledger) => ready!(landing(rows, ledger, cx)),
                    };
                    let (ledger, plan) = (ledger.take(), plan.take());
                    return Poll::Ready(result.map(|rows| {
                        let cause = ledger.as_ref().zip(plan).and_then(|(ledger, plan)| {
                            ledger.context().and_then(|context| Cause::new(&ledger.capture, plan, context))
                        });
                        RowStream::Live { rows, cause, doubt: ledger.map(|ledger| &mut ledger.doubt) }
                    }));
                }
            }
        }
    }
}

/// Polls a statement's future, and notes that it is under way, or how it ended.
fn landing<F, R, B>(future: Pin<&mut F>, ledger: &mut Ledger<B>, cx: &mut Context<'_>) -> Poll<QueryResult<R>>
where
    F: Future<Output = QueryResult<R>>,
    B: super::AsyncBackend,
{
    ledger.flight = Some(Flight::Statement);
    let result = ready!(future.poll(cx));
    ledger.flight = None;
    ledger.note(&result);
    Poll::Ready(result)
}

/// Futures are polled until they are done, and not again.
fn taken(error: &mut Option<Error>) -> Error {
    error.take().unwrap_or(Error::NotFound)
}

pin_project! {
    /// The rows of a statement, one by one.
    #[project = Rows]
    pub enum RowStream<'conn, 'query, C>
    where
        C: AsyncWrapped,
    {
        /// As the database gives them.
        Live {
            #[pin]
            rows: C::Stream<'conn, 'query>,
            cause: Option<Cause<DB<C>>>,
            doubt: Option<&'conn mut Doubt>,
        },
        /// A captured write's.
        Kept { rows: std::vec::IntoIter<KeptRow<DB<C>>>, visible: usize },
    }
}

impl<'conn, 'query, C: AsyncWrapped> Stream for RowStream<'conn, 'query, C> {
    type Item = QueryResult<PromiscuousRow<C::Row<'conn, 'query>, KeptRow<DB<C>>>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.project() {
            Rows::Kept { rows, visible } => {
                Poll::Ready(rows.next().map(|row| Ok(PromiscuousRow::Kept(row, *visible))))
            }
            Rows::Live { rows, cause, doubt } => Poll::Ready(match ready!(rows.poll_next(cx)) {
                None => None,
                Some(Ok(row)) => {
                    if let Some(cause) = cause {
                        cause.remember(&row);
                    }
                    Some(Ok(PromiscuousRow::Live(row)))
                }
                Some(Err(error)) => {
                    if let Some(doubt) = doubt {
                        **doubt = doubt.and(<DB<C> as Capturing>::doubt(&error));
                    }
                    Some(Err(error))
                }
            }),
        }
    }
}
