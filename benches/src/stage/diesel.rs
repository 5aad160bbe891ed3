//! Apps with Diesel, on threads of their own: Diesel blocks.

use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::{Connection, SimpleConnection};
use promiscuous_core::subscriber::Subscriber;
use promiscuous_diesel::{App, Promiscuous, Running};

use super::{Mailer, config};
use crate::Outcome;
use crate::databases::{Kind, SQLITE_SET_UP};
use crate::models::diesel::Statements;

/// A publishing app with a database of its own name.
pub struct Shop<DB: Statements> {
    /// What publishes.
    pub running: Running<DB>,
    /// Where it writes to.
    pub url: String,
}

impl<DB: Statements> Shop<DB> {
    /// Starts it.
    pub async fn start(app: &str) -> Outcome<Self> {
        let (config, url) = (config(app, 1)?, DB::KIND.create(app).await?);
        blocking(move || {
            let app = App::new(config).models(DB::published());
            app.migrate(&mut connect::<DB>(&url)?)?;
            Ok(Self { running: app.start(&url)?, url })
        })
        .await
    }

    /// A connection that publishes.
    pub fn connect(&self) -> Outcome<Promiscuous<DB::Connection>> {
        Ok(self.running.wrap(connect::<DB>(&self.url)?))
    }

    /// Publishes what is in hand, and ends.
    pub async fn shut_down(&self) -> Outcome<()> {
        let running = self.running.clone();
        blocking(move || {
            running.shut_down(Duration::from_secs(5));
            Ok(())
        })
        .await
    }
}

/// A subscriber that does not run yet.
pub(super) async fn subscriber<DB: Statements>(mailer: &Mailer) -> Outcome<Subscriber> {
    let (config, url) = (config(&mailer.app, mailer.workers)?, DB::KIND.create(&mailer.app).await?);
    let models = DB::subscribed(mailer.from, mailer.wanted);
    blocking(move || {
        let app = App::new(config).models(models);
        app.migrate(&mut connect::<DB>(&url)?)?;
        Ok(app.start(&url)?.subscriber()?)
    })
    .await
}

/// Diesel's own connection.
pub fn connect<DB: Statements>(url: &str) -> Outcome<DB::Connection> {
    let mut connection = DB::Connection::establish(url)?;
    if DB::KIND == Kind::Sqlite {
        for (name, value) in SQLITE_SET_UP {
            connection.batch_execute(&format!("PRAGMA {name} = {value}"))?;
        }
    }
    Ok(connection)
}

/// Runs what blocks where it may.
pub async fn blocking<T: Send + 'static>(
    function: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    tokio::task::spawn_blocking(function).await?
}

/// Runs the work once for each input, each in a thread of its own, all at the same time.
pub fn in_threads<I: Send, T: Send>(
    inputs: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> QueryResult<T> + Sync,
) -> Outcome<Vec<T>> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = inputs.into_iter().map(|input| scope.spawn(move || work(input))).collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => Ok(done?),
            Err(_) => Err("a thread has panicked".into()),
        });
        // All of them have to be joined: a scope panics for those that are not.
        done.collect::<Vec<Outcome<T>>>().into_iter().collect()
    })
}
