//! Memory of a publishing and of a subscribing process while very many messages wait.
//!
//! Each is this program again, as a process of its own that does nothing else.

mod filling;

use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use promiscuous_seaorm::Context;
use sea_orm::{ActiveModelTrait, ConnectionTrait};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::databases::{Kind, count, pool};
use crate::figures::{head, number, row};
use crate::models::seaorm::new_post;
use crate::stage::{Mailer, Orm, SHOP, Wanted, seaorm};
use crate::{Outcome, Size};
use filling::{fill_outbox, fill_queues};

/// What neither process may exceed.
const LIMIT_MB: u64 = 100;

/// What a process of its own does.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Publishes an outbox, with SeaORM.
    Publisher,
    /// Applies a queue with SeaORM.
    ConsumingSeaorm,
    /// Applies a queue with Diesel.
    ConsumingDiesel,
    /// Waits for a cause that never comes, with SeaORM.
    Blocked,
}

impl Role {
    /// As the command line has it.
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The subscribing app, if it is one.
    fn mailer(self) -> Option<Mailer> {
        let (orm, wanted) = match self {
            Self::Publisher => return None,
            Self::ConsumingSeaorm => (Orm::SeaOrm, Wanted::Posts),
            Self::ConsumingDiesel => (Orm::Diesel, Wanted::Posts),
            Self::Blocked => (Orm::SeaOrm, Wanted::Both),
        };
        let app = format!("mailer_{}", self.name().replace('-', "_"));
        Some(Mailer { wanted, ..Mailer::new(app, orm) })
    }
}

/// Runs the part and prints its table.
pub async fn run(size: Size) -> Outcome<()> {
    let messages = size.pick(200_000, 20_000);
    let seconds = size.pick(20, 5);
    println!("\n## Memory\n");
    println!(
        "Each line is a process of its own, for which {} messages wait: watched until it is through with them (at most 40 s), or \
         for {seconds} s where nothing can be done. The publisher goes on with 100 writes a second. The goal is to stay below {LIMIT_MB} MB.\n",
        number(messages as f64)
    );
    head(&["process", "largest (VmHWM), MB", "at the end (VmRSS), MB", "done meanwhile"]);

    fill_outbox(messages).await?;
    let away = [("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f")];
    watch("publisher, RabbitMQ away", Role::Publisher, messages, &away, seconds).await?;
    watch("publisher, RabbitMQ back", Role::Publisher, messages, &[], 40).await?;
    let (_, plain) = seaorm::publisher(Kind::Postgres, SHOP, 2).await?;
    plain.execute_unprepared("DELETE FROM promiscuous_outbox").await?;

    let subscribers = [
        ("subscriber with SeaORM, consuming", Role::ConsumingSeaorm),
        ("subscriber with Diesel, consuming", Role::ConsumingDiesel),
        ("subscriber with SeaORM, everything waits for a cause", Role::Blocked),
    ];
    let mailers: Vec<_> = subscribers.iter().filter_map(|(_, role)| role.mailer()).collect();
    for mailer in &mailers {
        // Their queues are there from then on.
        mailer.start().await?.stop().await?;
    }
    fill_queues(messages).await?;
    for (name, role) in subscribers {
        // Time enough to get through with them; where nothing moves, what a few seconds show stays as it is.
        let seconds = if role == Role::Blocked { seconds } else { 40 };
        watch(name, role, messages, &[], seconds).await?;
    }
    for mailer in mailers {
        mailer.remove_queue().await?;
    }
    Ok(())
}

/// What the process of its own does until its input ends.
pub async fn process(role: Role) -> Outcome<()> {
    if let Some(mailer) = role.mailer() {
        let _running = mailer.start().await?;
        return input_ends().await;
    }
    let (shop, _) = seaorm::publisher(Kind::Postgres, SHOP, 8).await?;
    let writing = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(10));
        for number in 0.. {
            every.tick().await;
            let inserting = new_post(1, number).insert(&shop);
            if let Err(error) = Context::new("bench/memory").scope(inserting).await {
                eprintln!("A write failed: {error}.");
            }
        }
    });
    input_ends().await?;
    writing.abort();
    Ok(())
}

async fn input_ends() -> Outcome<()> {
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Starts a process, watches it and prints a line.
async fn watch(
    name: &str,
    role: Role,
    messages: usize,
    variables: &[(&str, &str)],
    seconds: usize,
) -> Outcome<()> {
    let before = left(role, messages).await?;
    // A publisher's outbox is never empty while it writes.
    let through = if role == Role::Publisher { 500 } else { 0 };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--process").arg(role.name()).envs(variables.iter().copied());
    let mut process = command.stdin(Stdio::piped()).kill_on_drop(true).spawn()?;
    let began = Instant::now();
    let mut after = before;
    while began.elapsed() < Duration::from_secs(seconds as u64) && after > through {
        tokio::time::sleep(Duration::from_secs(1)).await;
        after = left(role, messages).await?;
        if let Some(status) = process.try_wait()? {
            return Err(format!("the process `{name}` ended by itself: {status}").into());
        }
    }
    let (largest, at_the_end) = (status_kb(&process, "VmHWM")?, status_kb(&process, "VmRSS")?);
    let what = if role == Role::Publisher { "left the outbox" } else { "applied" };
    let mark = if largest / 1024 < LIMIT_MB { "" } else { " **too much**" };
    let done = match before.saturating_sub(after) {
        0 => "nothing can".to_owned(),
        done => format!("{} {what}", number(done as f64)),
    };
    row([name.to_owned(), format!("{}{mark}", largest / 1024), (at_the_end / 1024).to_string(), done]);
    drop(process.stdin.take());
    let _ = tokio::time::timeout(Duration::from_secs(10), process.wait()).await;
    Ok(())
}

/// How much still waits for this process.
async fn left(role: Role, messages: usize) -> Outcome<usize> {
    let (database, of) = match role.mailer() {
        Some(mailer) => (mailer.app, "posts"),
        None => (SHOP.to_owned(), "promiscuous_outbox"),
    };
    let db = pool(&Kind::Postgres.url(&database)?, 1).await?;
    let rows = count(&db, of).await?.unsigned_abs() as usize;
    db.close().await?;
    // A subscriber's rows grow: what is left falls.
    Ok(if role == Role::Publisher { rows } else { messages.saturating_sub(rows) })
}

fn status_kb(process: &Child, field: &str) -> Outcome<u64> {
    let id = process.id().ok_or("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("the field is missing")?;
    Ok(line.trim_matches([':', ' ', '\t', 'k', 'B']).trim().parse()?)
}
