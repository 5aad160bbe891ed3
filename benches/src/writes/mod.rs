//! Writes: the plain ORM, an outbox by hand, and the wrapped connection, of SeaORM and of Diesel, in alternating rounds.

mod diesel;
mod seaorm;

use ::diesel::mysql::Mysql;
use ::diesel::pg::Pg;
use ::diesel::sqlite::Sqlite;
use async_trait::async_trait;
use sea_orm::DatabaseConnection;

use crate::databases::{Kind, published};
use crate::figures::{Figures, head, ms, number, row};
use crate::stage::Orm;
use crate::{Outcome, Size};

/// What is measured.
const KINDS: [&str; 4] = ["insert", "update by primary key", "delete", "transaction of three rows"];

/// What came out: for each of [`KINDS`].
type Kinds = [Figures; KINDS.len()];

/// One who writes in one way.
#[async_trait]
trait Contestant: Send + Sync {
    /// Every kind of write, `each` times by each of so many writers at the same time.
    async fn all_kinds(&self, writers: usize, each: usize) -> Outcome<Kinds>;

    /// Ends what runs in the background.
    async fn shut_down(&self) -> Outcome<()> {
        Ok(())
    }
}

/// An ORM's contestants, which share a database of their own.
struct Team {
    orm: Orm,
    /// The plain one, the outbox by hand, and the wrapped one.
    ways: [Box<dyn Contestant>; 3],
    /// To see when everything is published.
    db: DatabaseConnection,
}

/// Runs the part and prints its tables.
pub async fn run(size: Size) -> Outcome<()> {
    println!("\n## Writes\n");
    println!(
        "One row of about 200 bytes, {} rounds in which all contestants of a table take turns. *By hand* is what one writes \
         without a library: `BEGIN`, the statement, one `INSERT` into an outbox table, `COMMIT`; no versions, no publishing. \
         The wrapped connection publishes in the background of the same process meanwhile, and each of its writes runs in a \
         context of its own. SeaORM's writers are tasks on a pool, and the database chooses the ids; each of Diesel's is a \
         thread with a connection, and ids are counted by the program. SeaORM's `insert` and `update` hand back the row as it \
         was stored (on MariaDB with one more `SELECT`), Diesel's `execute` only counts: compare with the plain column of \
         the same line. p50 and p99 in milliseconds; per s: writes of the wrapped connection by all writers together.",
        rounds(size)
    );
    for kind in Kind::ALL {
        println!("\n### {}\n", kind.name());
        on(kind, size).await?;
    }
    println!(
        "\nSQLite has one writer because it admits one at a time: more would measure how they wait for each other. Its journal \
         is a write-ahead log, flushed at every `COMMIT`."
    );
    Ok(())
}

fn rounds(size: Size) -> usize {
    size.pick(5, 2)
}

async fn on(kind: Kind, size: Size) -> Outcome<()> {
    let diesel = match kind {
        Kind::Postgres => diesel::team::<Pg>().await?,
        Kind::MariaDb => diesel::team::<Mysql>().await?,
        Kind::Sqlite => diesel::team::<Sqlite>().await?,
    };
    let teams = [seaorm::team(kind).await?, diesel];
    head(&[
        "ORM",
        "write",
        "writers",
        "plain p50",
        "by hand p50",
        "wrapped p50",
        "p99",
        "per s",
        "wrapped / plain",
        "wrapped / by hand",
    ]);
    let writers: &[usize] = if kind == Kind::Sqlite { &[1] } else { &[1, 16] };
    for &writers in writers {
        for (team, ways) in teams.iter().zip(measured(&teams, writers, size).await?) {
            lines(team.orm, writers, ways);
        }
    }
    for way in teams.iter().flat_map(|team| &team.ways) {
        way.shut_down().await?;
    }
    Ok(())
}

/// What each team's contestants did, in all rounds together.
async fn measured(teams: &[Team], writers: usize, size: Size) -> Outcome<Vec<[Kinds; 3]>> {
    let each = size.pick(320, 80) / if writers == 1 { 1 } else { 4 };
    let mut sums: Vec<[Kinds; 3]> = teams.iter().map(|_| Default::default()).collect();
    for round in 0..=rounds(size) {
        for way in 0..3 {
            for (team, sums) in teams.iter().zip(&mut sums) {
                // The first round warms up caches and connections.
                let each = if round == 0 { each / 4 } else { each };
                let figures = team.ways[way].all_kinds(writers, each).await?;
                // What is left to be published would be the next one's burden.
                published(&team.db).await?;
                if round > 0 {
                    sums[way].iter_mut().zip(figures).for_each(|(sum, one)| sum.add(one));
                }
            }
        }
    }
    Ok(sums)
}

fn lines(orm: Orm, writers: usize, [plain, by_hand, wrapped]: [Kinds; 3]) {
    for (name, ((mut plain, mut by_hand), mut wrapped)) in
        KINDS.into_iter().zip(plain.into_iter().zip(by_hand).zip(wrapped))
    {
        let p50s = [&mut plain, &mut by_hand, &mut wrapped].map(|figures| figures.percentile(0.5));
        let [plain, by_hand, middle] = p50s.map(|p50| p50.as_secs_f64());
        row([
            orm.name().to_owned(),
            name.to_owned(),
            writers.to_string(),
            ms(p50s[0]),
            ms(p50s[1]),
            ms(p50s[2]),
            ms(wrapped.percentile(0.99)),
            number(wrapped.per_second()),
            format!("**{:.1}×**", middle / plain),
            format!("{:.1}×", middle / by_hand),
        ]);
    }
}
