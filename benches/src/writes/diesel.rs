//! Diesel's contestants: threads, each with a connection of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use diesel::QueryResult;
use diesel::connection::{Connection, LoadConnection};
use promiscuous_diesel::{Context, Promiscuous};

use super::{Contestant, Kinds, Team};
use crate::Outcome;
use crate::databases::pool;
use crate::figures::Figures;
use crate::models::diesel::{Post, Statements, new_post};
use crate::stage::Orm;
use crate::stage::diesel::{Shop, blocking, connect, in_threads};

/// As many as ever write at the same time.
const CONNECTIONS: usize = 16;

/// The contestants on this database.
pub(super) async fn team<DB: Statements>() -> Outcome<Team> {
    let shop = Shop::<DB>::start(&format!("writes_diesel_{}", DB::KIND.word())).await?;
    let db = pool(&shop.url, 1).await?;
    let ways = blocking(move || {
        let plain = Threads::new(|| Ok(Plain::<DB>(connect::<DB>(&shop.url)?)))?;
        let by_hand = Threads::new(|| Ok(ByHand::<DB>(connect::<DB>(&shop.url)?)))?;
        let wrapped = Threads::new(|| Ok(Wrapped::<DB>(shop.connect()?)))?;
        let ways: [Box<dyn Contestant>; 3] =
            [Box::new(plain), Box::new(by_hand), Box::new(Publishing { wrapped, shop })];
        Ok(ways)
    })
    .await?;
    Ok(Team { orm: Orm::Diesel, ways, db })
}

/// One of the ways to write, on a connection of its own.
trait Way: Send + 'static {
    type DB: Statements;
    type Connection: LoadConnection<Backend = Self::DB>;

    /// One statement, about these posts.
    fn single(
        &mut self,
        about: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize>;

    /// Statements in a transaction.
    fn several(
        &mut self,
        about: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize> {
        self.single(about, |db| db.transaction(write))
    }

    fn insert(&mut self, post: &Post) -> QueryResult<usize> {
        self.single(&[post], |db| Self::DB::insert(db, post))
    }

    fn update(&mut self, post: &Post) -> QueryResult<usize> {
        self.single(&[post], |db| Self::DB::update(db, post))
    }

    fn delete(&mut self, post: &Post) -> QueryResult<usize> {
        self.single(&[post], |db| Self::DB::delete(db, post))
    }

    fn three(&mut self, (first, second): &(Post, Post)) -> QueryResult<usize> {
        self.several(&[first, second], |db| {
            Self::DB::insert(db, first)?;
            Self::DB::insert(db, second)?;
            Self::DB::update(db, first)
        })
    }
}

/// Lets threads write. They start anew with each kind of write, which takes microseconds; their connections stay.
struct Threads<W>(Arc<Mutex<Vec<W>>>);

impl<W: Way> Threads<W> {
    fn new(way: impl Fn() -> Outcome<W>) -> Outcome<Self> {
        let ways: Outcome<Vec<_>> = (0..CONNECTIONS).map(|_| way()).collect();
        Ok(Self(Arc::new(Mutex::new(ways?))))
    }
}

#[async_trait]
impl<W: Way> Contestant for Threads<W> {
    async fn all_kinds(&self, writers: usize, each: usize) -> Outcome<Kinds> {
        let ways = Arc::clone(&self.0);
        blocking(move || {
            let mut ways = ways.lock().unwrap_or_else(PoisonError::into_inner);
            let ways = &mut ways[..writers];
            let posts = for_each(writers, each, || new_post(1));
            let pairs = for_each(writers, each / 2, || (new_post(1), new_post(2)));
            Ok([
                by_all(ways, &posts, W::insert)?,
                by_all(ways, &posts, W::update)?,
                by_all(ways, &posts, W::delete)?,
                by_all(ways, &pairs, W::three)?,
            ])
        })
        .await
    }
}

fn for_each<I>(writers: usize, each: usize, make: impl Fn() -> I) -> Vec<Vec<I>> {
    (0..writers).map(|_| (0..each).map(|_| make()).collect()).collect()
}

/// Runs one thread for each writer, which takes its inputs one after the other, and gathers what they measured.
fn by_all<W: Way, I: Sync>(
    ways: &mut [W],
    inputs: &[Vec<I>],
    step: fn(&mut W, &I) -> QueryResult<usize>,
) -> Outcome<Figures> {
    let began = Instant::now();
    let took = in_threads(ways.iter_mut().zip(inputs), |(way, mine)| {
        let timed = mine.iter().map(|input| {
            let began = Instant::now();
            match step(way, input)? {
                0 => Err(diesel::result::Error::NotFound),
                _ => Ok(began.elapsed()),
            }
        });
        timed.collect::<QueryResult<Vec<_>>>()
    })?;
    Ok(Figures { each: took.into_iter().flatten().collect(), whole: began.elapsed() })
}

/// Diesel as it is.
struct Plain<DB: Statements>(DB::Connection);

impl<DB: Statements> Way for Plain<DB> {
    type DB = DB;
    type Connection = DB::Connection;

    fn single(
        &mut self,
        _: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize> {
        write(&mut self.0)
    }
}

/// A row in an outbox with every transaction.
struct ByHand<DB: Statements>(DB::Connection);

impl<DB: Statements> Way for ByHand<DB> {
    type DB = DB;
    type Connection = DB::Connection;

    fn single(
        &mut self,
        about: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize> {
        self.0.transaction(|db| {
            let written = write(db)?;
            about.iter().try_for_each(|post| DB::leave_message(db, post).map(drop))?;
            Ok(written)
        })
    }

    // Its transaction is there already; another one inside would be a savepoint.
    fn several(
        &mut self,
        about: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize> {
        self.single(about, write)
    }
}

/// Promiscuous; a context for each write, as a web request would have one.
struct Wrapped<DB: Statements>(Promiscuous<DB::Connection>);

impl<DB: Statements> Way for Wrapped<DB> {
    type DB = DB;
    type Connection = Promiscuous<DB::Connection>;

    fn single(
        &mut self,
        _: &[&Post],
        write: impl FnOnce(&mut Self::Connection) -> QueryResult<usize>,
    ) -> QueryResult<usize> {
        Context::new("bench/writes").sync_scope(|| write(&mut self.0))
    }
}

/// The wrapped connections, with what publishes behind them.
struct Publishing<DB: Statements> {
    wrapped: Threads<Wrapped<DB>>,
    shop: Shop<DB>,
}

#[async_trait]
impl<DB: Statements> Contestant for Publishing<DB> {
    async fn all_kinds(&self, writers: usize, each: usize) -> Outcome<Kinds> {
        self.wrapped.all_kinds(writers, each).await
    }

    async fn shut_down(&self) -> Outcome<()> {
        self.shop.shut_down().await
    }
}
