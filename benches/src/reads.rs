//! Reads: through the wrapper against the plain connection, inside and outside of a context.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::connection::LoadConnection;
use diesel::mysql::Mysql;
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use promiscuous_core::context::Context;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, EntityTrait};

use crate::databases::{Kind, pool};
use crate::figures::{Figures, head, row};
use crate::models::diesel::{Statements, new_post};
use crate::models::seaorm::{mailer, shop};
use crate::stage::diesel::{Shop, connect, in_threads};
use crate::stage::{Orm, seaorm};
use crate::{Outcome, Size};

/// The rows of the table that is read.
const ROWS: i64 = 100;

/// What is read.
#[derive(Clone, Copy)]
enum Read {
    /// One row by its key; another one each time.
    Find,
    /// All rows.
    All,
}

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let rounds = size.pick(15, 5);
    println!("\n## Reads\n");
    println!(
        "One reader, rows of about 200 bytes. Medians of {rounds} rounds in which the plain connection, the wrapped one, and the \
         wrapped one in a context take turns; a context is opened for each read, and with it what was read is remembered. Times \
         in microseconds.\n"
    );
    head(&[
        "database",
        "ORM",
        "read",
        "plain",
        "wrapped",
        "wrapped / plain",
        "in a context",
        "in a context / plain",
    ]);
    for kind in Kind::ALL {
        on_seaorm(kind, size, rounds).await?;
        match kind {
            Kind::Postgres => on_diesel::<Pg>(size, rounds).await?,
            Kind::MariaDb => on_diesel::<Mysql>(size, rounds).await?,
            Kind::Sqlite => on_diesel::<Sqlite>(size, rounds).await?,
        }
    }
    Ok(())
}

async fn on_seaorm(kind: Kind, size: Size, rounds: usize) -> Outcome<()> {
    let (wrapped, db) = seaorm::publisher(kind, &format!("reads_seaorm_{}", kind.word()), 4).await?;
    fill(&db).await?;
    lines(Orm::SeaOrm, kind, [&mut SeaOrm(db), &mut SeaOrm(wrapped.clone())], size, rounds).await?;
    wrapped.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

async fn on_diesel<DB: Statements>(size: Size, rounds: usize) -> Outcome<()> {
    let shop = Shop::<DB>::start(&format!("reads_diesel_{}", DB::KIND.word())).await?;
    fill(&pool(&shop.url, 1).await?).await?;
    let (mut plain, mut wrapped) = (Diesel(connect::<DB>(&shop.url)?), Diesel(shop.connect()?));
    lines(Orm::Diesel, DB::KIND, [&mut plain, &mut wrapped], size, rounds).await?;
    shop.shut_down().await
}

/// Writes the rows, past replication.
async fn fill(db: &DatabaseConnection) -> Outcome<()> {
    for id in 1..=ROWS {
        mailer::post::ActiveModel::from(crate::models::diesel::Post { id, ..new_post(1) }).insert(db).await?;
    }
    Ok(())
}

/// Measures a pair, and prints a line for each read.
async fn lines(
    orm: Orm,
    kind: Kind,
    [plain, wrapped]: [&mut dyn Reader; 2],
    size: Size,
    rounds: usize,
) -> Outcome<()> {
    for (read, name, times) in [
        (Read::Find, "`find` by primary key", size.pick(400, 100)),
        (Read::All, "100 rows", size.pick(100, 25)),
    ] {
        let mut figures: [Figures; 3] = Default::default();
        for round in 0..=rounds {
            let took = [
                plain.read(read, false, times).await?,
                wrapped.read(read, false, times).await?,
                wrapped.read(read, true, times).await?,
            ];
            // The first round prepares the statements.
            if round > 0 {
                figures.iter_mut().zip(took).for_each(|(figures, took)| figures.each.push(took));
            }
        }
        let [plain, wrapped, inside] =
            figures.map(|mut figures| figures.percentile(0.5).as_secs_f64() / times as f64 * 1e6);
        row([
            kind.name().to_owned(),
            orm.name().to_owned(),
            name.to_owned(),
            format!("{plain:.1}"),
            format!("{wrapped:.1}"),
            format!("**{:.2}×**", wrapped / plain),
            format!("{inside:.1}"),
            format!("**{:.2}×**", inside / plain),
        ]);
    }
    Ok(())
}

/// One that reads.
#[async_trait]
trait Reader: Send {
    /// How long so many reads take, each in a context of its own or in none.
    async fn read(&mut self, read: Read, in_context: bool, times: usize) -> Outcome<Duration>;
}

/// Through SeaORM.
struct SeaOrm<C>(C);

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> Reader for SeaOrm<C> {
    async fn read(&mut self, read: Read, in_context: bool, times: usize) -> Outcome<Duration> {
        let began = Instant::now();
        for id in (1..=ROWS).cycle().take(times) {
            let reading = async {
                Ok::<_, sea_orm::DbErr>(match read {
                    Read::Find => {
                        usize::from(shop::post::Entity::find_by_id(id).one(&self.0).await?.is_some())
                    }
                    Read::All => shop::post::Entity::find().all(&self.0).await?.len(),
                })
            };
            let found =
                if in_context { Context::new("bench/reads").scope(reading).await } else { reading.await };
            complete(read, found?)?;
        }
        Ok(began.elapsed())
    }
}

/// Through Diesel.
struct Diesel<C>(C);

#[async_trait]
impl<DB: Statements, C: LoadConnection<Backend = DB> + Send> Reader for Diesel<C> {
    async fn read(&mut self, read: Read, in_context: bool, times: usize) -> Outcome<Duration> {
        let timed = in_threads([&mut self.0], |db| {
            let began = Instant::now();
            let mut found = Vec::with_capacity(times);
            for id in (1..=ROWS).cycle().take(times) {
                let mut reading = || match read {
                    Read::Find => DB::find(db, id).map(|_| 1),
                    Read::All => DB::all(db).map(|posts| posts.len()),
                };
                found.push(if in_context {
                    Context::new("bench/reads").sync_scope(reading)?
                } else {
                    reading()?
                });
            }
            Ok((began.elapsed(), found))
        })?;
        let (took, found) = timed.into_iter().next().ok_or("nobody has read")?;
        found.into_iter().try_for_each(|found| complete(read, found))?;
        Ok(took)
    }
}

/// Refuses figures of reads that did not find what is there.
fn complete(read: Read, found: usize) -> Outcome<()> {
    let there = match read {
        Read::Find => 1,
        Read::All => ROWS as usize,
    };
    if found == there { Ok(()) } else { Err(format!("{found} rows were found instead of {there}").into()) }
}
