//! Publisher and subscriber as processes of their own: this program again, which does nothing else.

use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use promiscuous_core::sync::SyncSettings;
use promiscuous_seaorm::{Models, Promiscuous, promiscuous_sync_run};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{APP, WORKERS, publisher, subscriber_database};
use crate::Outcome;
use crate::models::seaorm::{mailer, shop};
use crate::stage::{Running, config};

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// Publishes all rows to an app, and ends.
    Publishes,
    /// Is that app, until its input ends.
    Subscribes,
}

/// What such a process does; at its end it prints how long that took, in seconds, and its largest memory, in kB.
pub async fn process(side: Side, app: String) -> Outcome<()> {
    let took = match side {
        Side::Publishes => publish(app).await?,
        Side::Subscribes => subscribe(&app).await?,
    };
    println!("{} {}", took.as_secs_f64(), largest_kb()?);
    Ok(())
}

async fn publish(to: String) -> Outcome<Duration> {
    let (db, promiscuous) = publisher().await?;
    let here = promiscuous.wrap(db).await?;
    let mut settings = SyncSettings::default();
    settings.only_to = Some(to);
    let began = Instant::now();
    promiscuous_sync_run::<shop::item::Entity>(&here, None, settings).await?.run(&mut |_| {}).await?;
    let took = began.elapsed();
    here.shut_down(Duration::from_secs(5)).await;
    Ok(took)
}

async fn subscribe(app: &str) -> Outcome<Duration> {
    let db = subscriber_database(app).await?;
    let models = Models::new().subscribe_from::<mailer::item::Entity>(format!("{APP}/item"));
    let promiscuous = Promiscuous::new(config(app, WORKERS)?)?.models(models);
    promiscuous.migrate(&db).await?;
    let running = Running::start(promiscuous.subscriber(&promiscuous.wrap(db).await?)?).await?;
    println!("consuming");
    let began = Instant::now();
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    running.stop().await?;
    Ok(began.elapsed())
}

fn largest_kb() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// A running one.
pub struct Process {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(side: Side, app: &str) -> Outcome<Self> {
        let name = side.to_possible_value().ok_or("every side has a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--sync-process").arg(name.get_name()).arg("--app").arg(app);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let said = BufReader::new(child.stdout.take().ok_or("the process has no output")?).lines();
        Ok(Self { child, said })
    }

    /// A subscriber that consumes.
    pub async fn subscribe(app: &str) -> Outcome<Self> {
        let mut process = Self::start(Side::Subscribes, app)?;
        process.said.next_line().await?.ok_or("the subscriber ended before it consumed")?;
        Ok(process)
    }

    /// Publishes all rows; answers with how long that took, and with the largest memory, in kB.
    pub async fn publish(to: &str) -> Outcome<(Duration, u64)> {
        Self::start(Side::Publishes, to)?.end().await
    }

    /// Lets a subscriber end; answers with its largest memory, in kB.
    pub async fn stop(mut self) -> Outcome<u64> {
        drop(self.child.stdin.take());
        Ok(self.end().await?.1)
    }

    async fn end(mut self) -> Outcome<(Duration, u64)> {
        let last = self.said.next_line().await?.ok_or("a process ended without its figures")?;
        self.child.wait().await?;
        let (took, largest) =
            last.split_once(' ').ok_or("a process printed something else than its figures")?;
        Ok((Duration::from_secs_f64(took.parse()?), largest.parse()?))
    }
}
