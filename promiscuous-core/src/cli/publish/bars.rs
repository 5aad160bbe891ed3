//! Progress: a bar for each selection at a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use crate::cli::words::{bar_style, cut, printable};
use crate::sync::{Position, Progress, Selection};

/// How often a log is told.
const EVERY: Duration = Duration::from_secs(10);

/// Characters of a selection beside its bar.
const NAME: usize = 32;

/// How far each selection is.
pub(super) enum Bars {
    /// A bar for each.
    Drawn(Vec<ProgressBar>),
    /// A line each time.
    Logged {
        /// What is sent, for people.
        names: Vec<String>,
        /// How many rows there were in the beginning.
        totals: Vec<u64>,
        /// When the last line was written.
        last: Instant,
    },
    /// Nobody wants to know.
    None,
}

impl Bars {
    /// Before anything was sent in this process.
    pub(super) fn new(selections: &[Selection], totals: &[u64], position: &Position, quiet: bool) -> Self {
        let names = selections.iter().map(|selection| printable(&selection.to_string()));
        if quiet {
            return Self::None;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Logged { names: names.collect(), totals: totals.to_vec(), last: Instant::now() };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let counts = totals.iter().zip(&position.sent).enumerate();
        let bars = names.zip(counts).map(|(name, (place, (&total, &sent)))| {
            let bar = all.add(ProgressBar::new(total.max(sent)).with_position(sent));
            bar.set_style(bar_style());
            bar.set_message(cut(&name, NAME));
            if place < position.at {
                bar.abandon();
            }
            // The rate is this process's.
            bar.reset_eta();
            bar
        });
        Self::Drawn(bars.collect())
    }

    /// Rows were sent.
    pub(super) fn show(&mut self, progress: Progress) {
        let Progress { selection, sent, done } = progress;
        match self {
            Self::Drawn(bars) => {
                let Some(bar) = bars.get(selection) else { return };
                // Rows come and go meanwhile.
                if done || bar.length().is_some_and(|length| length < sent) {
                    bar.set_length(sent);
                }
                bar.set_position(sent);
                if done {
                    bar.abandon();
                }
            }
            Self::Logged { names, totals, last } => {
                if done || last.elapsed() >= EVERY {
                    *last = Instant::now();
                    let (name, total) = (&names[selection], totals[selection].max(sent));
                    tracing::info!("{name}: {sent} of {total}{}", if done { ", done" } else { "" });
                }
            }
            Self::None => {}
        }
    }

    /// Nothing follows: bars that are not full stay as they are.
    pub(super) fn end(&self) {
        if let Self::Drawn(bars) = self {
            bars.iter().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}
