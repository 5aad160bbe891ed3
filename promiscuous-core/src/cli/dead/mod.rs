//! `promiscuous dead`: the messages that could not be applied.
//!
//! * `graveyard`: where they are
//! * `summary`: what there is to know of one, without its values (pure)
//! * `filter`: which are meant (pure)
//! * `list`, `show`: look at them
//! * `settle`: retry or drop them
//!
//! **Nothing is lost whenever a command is killed.** Letters are read one by one and not acknowledged, so that the broker puts them
//! back by itself. One that is retried is in the queue, confirmed, before it is no dead letter any more.
//!
//! **An end** is known from the number of letters that there are when a command begins: it reads as many and no more. So a letter that
//! dies again while the command runs does not come round. **Memory** holds one batch of letters at a time, whatever their number. What a
//! command has in hands no other one sees. RabbitMQ takes letters back from a command that holds them for 30 minutes
//! (`consumer_timeout`), and gives out some hundreds a second: with very many, settle them in parts (`--limit`).

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Config;
use crate::error::Error;
use crate::links::Links;

mod filter;
pub(super) mod graveyard;
mod list;
mod settle;
mod show;
mod summary;

use graveyard::Graveyard;
use settle::Fate;

#[derive(Args)]
#[command(after_help = "Examples:\n  \
    promiscuous dead list --endpoint shop/user --newer-than 2h\n  \
    promiscuous dead show 0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10\n  \
    promiscuous dead retry --error \"violates foreign key\"\n  \
    promiscuous dead drop --older-than 30d --yes")]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List them, the oldest first.
    List(list::Options),
    /// Show one with its body, and so with the values in it.
    Show(show::Options),
    /// Put them back into this app's queue, where they are tried like new ones.
    Retry(settle::Options),
    /// Delete them for good.
    Drop(settle::Options),
}

pub(super) async fn run(options: Options, config: Config) -> Result<ExitCode, Error> {
    let graveyard = Graveyard::of(&config, &Links::new(&config)?);
    match options.what {
        What::List(options) => list::run(&graveyard, options).await,
        What::Show(options) => show::run(&graveyard, options).await,
        What::Retry(options) => settle::run(&graveyard, Fate::Retry, options).await,
        What::Drop(options) => settle::run(&graveyard, Fate::Drop, options).await,
    }
}
