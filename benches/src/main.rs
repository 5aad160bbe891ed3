//! Measures Promiscuous for SeaORM and for Diesel, next to these alone and to what one would write by hand, in the same run on
//! the same servers.
//!
//! `scripts/bench` starts the servers and runs this; the report is Markdown on standard output. Absolute numbers say
//! something about the machine, ratios about the library.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

mod bootstrap;
mod databases;
mod figures;
mod items;
mod latency;
mod memory;
mod models;
mod queues;
mod reads;
mod stage;
mod sync;
mod throughput;
mod writes;

/// An error with a sentence in it; a benchmark has no better use for it than to end.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Arguments {
    /// What to measure; everything if nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Fewer repeats: to see whether it works, not for figures to keep.
    #[arg(long)]
    quick: bool,
    /// Used by the memory part for its processes.
    #[arg(long, value_enum, hide = true)]
    process: Option<memory::Role>,
    /// Used by the part that fills a subscriber for its processes.
    #[arg(long, value_enum, hide = true, requires = "app")]
    sync_process: Option<sync::Side>,
    /// The subscriber that such a process fills, or is.
    #[arg(long, hide = true)]
    app: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Writes, next to the plain ORM.
    Writes,
    /// Reads, next to the plain ORM.
    Reads,
    /// Applying a full queue.
    Throughput,
    /// Filling a subscriber with the rows of a table.
    Sync,
    /// End-to-end latency.
    Latency,
    /// Memory while very many messages wait.
    Memory,
    /// A bootstrap of a large table while everybody writes; only when it is named.
    Bootstrap,
}

/// How much to measure.
#[derive(Clone, Copy)]
pub struct Size {
    quick: bool,
}

impl Size {
    /// The first number, or the second for a quick look.
    pub fn pick(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Some(code) = bootstrap::command().await {
        return code;
    }
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Outcome<()> {
    tracing_subscriber::fmt().with_env_filter("error").with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    if let Some(role) = arguments.process {
        return memory::process(role).await;
    }
    if let (Some(side), Some(app)) = (arguments.sync_process, arguments.app) {
        return sync::process(side, app).await;
    }
    let size = Size { quick: arguments.quick };
    let wanted = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    if wanted(Part::Writes) {
        writes::run(size).await?;
    }
    if wanted(Part::Reads) {
        reads::run(size).await?;
    }
    if wanted(Part::Throughput) {
        throughput::run(size).await?;
    }
    if wanted(Part::Sync) {
        sync::run(size).await?;
    }
    if wanted(Part::Latency) {
        latency::run(size).await?;
    }
    if wanted(Part::Memory) {
        memory::run(size).await?;
    }
    if arguments.parts.contains(&Part::Bootstrap) {
        bootstrap::run(size).await?;
    }
    Ok(())
}
