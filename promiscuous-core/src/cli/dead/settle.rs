//! `promiscuous dead retry` and `promiscuous dead drop`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;

use super::filter::Filter;
use super::graveyard::Graveyard;
use super::summary::Summary;
use crate::broker::{DeadLetters, TakenLetter};
use crate::cli::usage;
use crate::cli::words::{NO_TERMINAL, agreed};
use crate::clock;
use crate::error::Error;

/// Letters that are settled at once.
const BATCH: usize = 100;

/// Bytes of letters that are settled at once, but for one that is larger alone.
const BATCH_BYTES: usize = 1 << 20;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    filter: Filter,
    /// All dead letters. Needed where no filter is given.
    #[arg(long)]
    all: bool,
    /// Letters to settle at the most, the oldest first.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Do not ask. Needed where nobody sits at a terminal.
    #[arg(long)]
    yes: bool,
}

/// What becomes of the letters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are tried again.
    Retry,
    /// They are gone for good.
    Drop,
}

impl Fate {
    /// What has become of them.
    fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Drop => "dropped",
        }
    }

    fn question(self, count: u64, app: &str) -> String {
        let letters = if count == 1 { "letter" } else { "letters" };
        match self {
            Self::Retry => format!("Retry {count} dead {letters} of {app}?"),
            Self::Drop => format!("Drop {count} dead {letters} of {app} for good?"),
        }
    }
}

pub(super) async fn run(graveyard: &Graveyard, fate: Fate, options: Options) -> Result<ExitCode, Error> {
    let Options { filter, all, limit, yes } = options;
    if let Some(wrong) = wrong_use(&filter, all, yes, io::stdin().is_terminal()) {
        return Ok(usage(wrong));
    }
    let mut limit = limit.unwrap_or(u64::MAX);
    if !yes {
        // Those that die while somebody thinks about it were not asked for, and come last.
        limit = count(graveyard, &filter, limit).await?;
        if limit > 0 && !agreed(fate.question(limit, graveyard.app())).await {
            tracing::info!("nothing was done");
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut letters = graveyard.open().await?;
    let mut settling = Settling { fate, settled: 0, failed: None };
    let walked = settling.walk(&mut letters, &filter, limit).await;
    // Even when a part of it has failed, the others go back in their order.
    let back = letters.put_back().await;
    let settled = settling.settled;
    walked.and(back.map_err(Error::from)).inspect_err(|_| tracing::info!("{} {settled}", fate.done()))?;
    tracing::info!("{} {settled}", fate.done());
    match settling.failed {
        Some(error) => Err(error),
        None if settled == 0 && !filter.id.is_empty() => {
            tracing::error!("no dead letter is meant: `promiscuous dead list` tells which there are");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What is wrong with how the command was called.
fn wrong_use(filter: &Filter, all: bool, yes: bool, is_terminal: bool) -> Option<&'static str> {
    match (filter.is_empty(), all) {
        (true, false) => {
            return Some(
                "no letter is named: say which with --id, --endpoint, --error, --older-than or --newer-than, or pass --all",
            );
        }
        (false, true) => {
            return Some("--all means every letter, and a filter only some of them: leave one of them out");
        }
        _ => {}
    }
    (!yes && !is_terminal).then_some(NO_TERMINAL)
}

/// How many letters are meant, up to a limit.
async fn count(graveyard: &Graveyard, filter: &Filter, limit: u64) -> Result<u64, Error> {
    let mut letters = graveyard.open().await?;
    if filter.is_empty() {
        return Ok(letters.count().min(limit));
    }
    let (now, mut count) = (clock::millis(), 0);
    while count < limit
        && let Some(taken) = letters.next().await?
    {
        count += u64::from(filter.matches(&Summary::of(&taken), now));
    }
    letters.put_back().await?;
    Ok(count)
}

struct Settling {
    fate: Fate,
    settled: u64,
    /// The first letter's that stays where it was.
    failed: Option<Error>,
}

impl Settling {
    /// Settles the letters that are meant, as many of them at once as fit into a little memory.
    async fn walk(
        &mut self,
        letters: &mut Box<dyn DeadLetters>,
        filter: &Filter,
        limit: u64,
    ) -> Result<(), Error> {
        let now = clock::millis();
        let (mut batch, mut bytes, mut meant) = (Vec::new(), 0, 0);
        while meant < limit
            && let Some(taken) = letters.next().await?
        {
            if !filter.matches(&Summary::of(&taken), now) {
                continue;
            }
            meant += 1;
            bytes += taken.letter.body.len();
            batch.push(taken);
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                self.settle(letters, &batch).await?;
                (bytes, batch) = (0, Vec::new());
            }
            if self.failed.is_some() {
                return Ok(());
            }
        }
        self.settle(letters, &batch).await
    }

    async fn settle(
        &mut self,
        letters: &mut Box<dyn DeadLetters>,
        batch: &[TakenLetter],
    ) -> Result<(), Error> {
        match self.fate {
            Fate::Retry => {
                for answer in letters.retry(batch).await {
                    match answer {
                        Ok(()) => self.settled += 1,
                        Err(error) => self.failed = self.failed.take().or(Some(error.into())),
                    }
                }
            }
            Fate::Drop => {
                let tags: Vec<u64> = batch.iter().map(|taken| taken.tag).collect();
                letters.delete(&tags).await?;
                self.settled += batch.len() as u64;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_unless_it_is_said_what_and_that_one_is_sure() {
        let some = Filter { error: Some("x".into()), ..Filter::default() };
        let none = Filter::default();
        assert!(wrong_use(&none, false, true, true).is_some_and(|wrong| wrong.contains("--all")));
        assert!(wrong_use(&some, true, true, true).is_some_and(|wrong| wrong.contains("--all")));
        assert!(wrong_use(&some, false, false, false).is_some_and(|wrong| wrong.contains("--yes")));
        for (filter, all, yes, is_terminal) in
            [(&some, false, true, false), (&some, false, false, true), (&none, true, true, false)]
        {
            assert_eq!(wrong_use(filter, all, yes, is_terminal), None);
        }
    }

    #[test]
    fn what_is_asked_says_how_many_and_for_good() {
        assert_eq!(Fate::Drop.question(1, "mailer"), "Drop 1 dead letter of mailer for good?");
    }
}
