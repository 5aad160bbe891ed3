//! How fast a full queue is applied, next to loops written by hand over copies of the same messages.

mod by_hand;

use std::time::{Duration, Instant};

use promiscuous_core::key::Key;
use promiscuous_seaorm::{Context, PromiscuousConnection};
use sea_orm::{ActiveModelTrait, Set};

use crate::databases::{Kind, published};
use crate::figures::{head, number, row};
use crate::models::seaorm::{new_post, shop};
use crate::queues::{queue_of_posts, remove_queue};
use crate::stage::{Mailer, Orm, SHOP, seaorm};
use crate::{Outcome, Size};
use by_hand::Loop;

/// Authors that posts are caused by.
const AUTHORS: usize = 500;

/// Writers that fill the queues.
const WRITERS: usize = 16;

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let messages = size.pick(20_000, 3_000);
    println!("\n## Applying a full queue\n");
    println!(
        "{} messages wait, each creates one row; then the clock runs from the first delivery to the last row applied. \
         *By hand* is a loop over a copy of the queue: up to 100 messages in one transaction, either one \
         `INSERT … ON CONFLICT DO UPDATE` for all or the ORM's `find` and `insert` for each, acknowledged after the \
         commit; one task, no order between workers, no versions. Where no database is named it is PostgreSQL.\n",
        number(messages as f64)
    );
    head(&["messages applied per second", "1 cause each", "4 causes each"]);
    let one = with_causes(messages, 1, contestants(1)).await?;
    let four = with_causes(messages, 4, contestants(4)).await?;
    let cell = |column: &[(String, f64)], name: &str| {
        let rate = column.iter().find(|(of, _)| of == name).map(|(_, rate)| *rate);
        let base = column.first().map_or(f64::NAN, |(_, rate)| *rate);
        rate.map_or_else(String::new, |rate| format!("{} ({:.2}×)", number(rate), rate / base))
    };
    for (name, _) in &one {
        row([name.clone(), cell(&one, name), cell(&four, name)]);
    }
    println!("\nIn brackets: next to the multi-row loop by hand.");
    Ok(())
}

/// One who applies a copy of the messages.
enum Contestant {
    /// A subscriber.
    Promiscuous(Mailer),
    /// A loop over a queue.
    ByHand(Loop),
}

impl Contestant {
    fn name(&self) -> String {
        match self {
            Self::ByHand(by_hand) => by_hand.name().to_owned(),
            Self::Promiscuous(Mailer { orm, kind, workers, .. }) => {
                let on = if *kind == Kind::Postgres { String::new() } else { format!(" on {}", kind.name()) };
                let workers = if *workers == 1 { "1 worker" } else { "8 workers (default)" };
                format!("Promiscuous for {}{on}, {workers}", orm.name())
            }
        }
    }
}

/// All of them, in the order of the table; the first one is what the others are compared with. The other databases are
/// measured with one cause only: what more causes cost is not the database's business.
fn contestants(causes: usize) -> Vec<Contestant> {
    let mut all: Vec<_> = Loop::ALL.into_iter().map(Contestant::ByHand).collect();
    for (kind, workers) in [(Kind::Postgres, 1), (Kind::Postgres, 8), (Kind::MariaDb, 8), (Kind::Sqlite, 8)] {
        if kind != Kind::Postgres && causes > 1 {
            continue;
        }
        for orm in Orm::ALL {
            let app = format!("mailer_{}_{}_{causes}_{workers}", orm.word(), kind.word());
            all.push(Contestant::Promiscuous(Mailer { kind, workers, ..Mailer::new(app, orm) }));
        }
    }
    all
}

async fn with_causes(
    messages: usize,
    causes: usize,
    contestants: Vec<Contestant>,
) -> Outcome<Vec<(String, f64)>> {
    let (shop, plain) = seaorm::publisher(Kind::Postgres, SHOP, WRITERS as u32 + 4).await?;
    let authors = authors(&shop, &contestants).await?;
    for contestant in &contestants {
        if let Contestant::ByHand(by_hand) = contestant {
            queue_of_posts(by_hand.queue()).await?;
        }
    }
    fill(&shop, &authors, messages, causes).await?;
    published(&plain).await?;
    shop.shut_down(Duration::from_secs(5)).await;

    let mut rates = Vec::new();
    for contestant in contestants {
        let rate = match &contestant {
            Contestant::ByHand(by_hand) => {
                let rate = by_hand.run(messages).await?;
                remove_queue(by_hand.queue()).await?;
                rate
            }
            Contestant::Promiscuous(mailer) => {
                let rate = applied(mailer, messages).await?;
                mailer.remove_queue().await?;
                rate
            }
        };
        rates.push((contestant.name(), rate));
    }
    Ok(rates)
}

/// Writes authors, which all subscribers know before the clock starts.
async fn authors(shop: &PromiscuousConnection, contestants: &[Contestant]) -> Outcome<Vec<i64>> {
    let mut running = Vec::new();
    for contestant in contestants {
        if let Contestant::Promiscuous(mailer) = contestant {
            running.push(mailer.start().await?);
        }
    }
    let mut authors = Vec::new();
    for n in 0..AUTHORS {
        let author = shop::author::ActiveModel { name: Set(format!("Author {n}")), ..Default::default() };
        let insert = Context::new("bench/authors").scope(author.insert(shop)).await?;
        authors.push(insert.id);
    }
    for one in &mut running {
        one.status.wait_for(|status| status.applied >= AUTHORS as u64).await?;
    }
    for one in running {
        one.stop().await?;
    }
    Ok(authors)
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
                        context.record_read(Key::parse(&format!("{SHOP}/author/{author}"))?);
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

/// Messages a second that this subscriber applies.
async fn applied(mailer: &Mailer, messages: usize) -> Outcome<f64> {
    let began = Instant::now();
    let mut running = mailer.start().await?;
    // Connecting and migrating are not what is measured, unless something was applied meanwhile.
    let began = if running.status.borrow().applied == 0 { Instant::now() } else { began };
    running.status.wait_for(|status| status.applied >= messages as u64).await?;
    let took = began.elapsed();
    running.stop().await?;
    Ok(messages as f64 / took.as_secs_f64())
}
