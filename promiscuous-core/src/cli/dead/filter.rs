//! Which dead letters are meant.

use std::time::Duration;

use clap::Args;

use super::summary::Summary;
use crate::cli::words::duration;
use crate::clock::duration_millis;
use crate::registry::From;

/// A letter is meant when all that is asked for holds; what is named more than once, when one of them does.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct Filter {
    /// The letter of this id, as `list` tells it. May be given more than once.
    #[arg(long, value_name = "ID")]
    pub(super) id: Vec<String>,
    /// Letters about this endpoint (shop/user), or this model of any app (user). May be given more than once.
    #[arg(long, value_name = "APP/MODEL", value_parser = From::parse)]
    pub(super) endpoint: Vec<From>,
    /// Letters whose error has this text in it, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    pub(super) error: Option<String>,
    /// Letters that died longer ago than this (90s, 10m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) older_than: Option<Duration>,
    /// Letters that died since then (90s, 10m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) newer_than: Option<Duration>,
}

impl Filter {
    /// Whether nothing is asked for: every letter is meant.
    pub(super) fn is_empty(&self) -> bool {
        self.id.is_empty()
            && self.endpoint.is_empty()
            && self.error.is_none()
            && self.older_than.is_none()
            && self.newer_than.is_none()
    }

    /// Whether a letter is meant; `now` is in milliseconds since 1970.
    ///
    /// Where the broker does not know when a letter died, it is as old as its message.
    pub(super) fn matches(&self, summary: &Summary, now: u64) -> bool {
        let age = summary.died_at.or(summary.written_at).map(|at| now.saturating_sub(at));
        let is_named = self.id.is_empty() || self.id.contains(&summary.id);
        let is_about = self.endpoint.is_empty()
            || self.endpoint.iter().any(|from| summary.endpoints.iter().any(|name| from.matches(name)));
        let says = |text: &String| summary.error.to_lowercase().contains(&text.to_lowercase());
        is_named
            && is_about
            && self.error.as_ref().is_none_or(says)
            && self.older_than.is_none_or(|than| age.is_some_and(|age| age > duration_millis(than)))
            && self.newer_than.is_none_or(|than| age.is_some_and(|age| age <= duration_millis(than)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::letter;
    use super::*;

    fn matches(change: impl FnOnce(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        // It died ten seconds ago.
        filter.matches(&Summary::of(&letter()), 12_000)
    }

    #[test]
    fn an_empty_filter_means_every_letter() {
        assert!(Filter::default().is_empty() && matches(|_| ()));
    }

    #[test]
    fn each_thing_that_is_asked_for_must_hold() {
        let from = |text: &str| From::parse(text).unwrap();
        let id = || "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10".to_owned();
        assert!(matches(|filter| filter.id = vec!["other".into(), id()]));
        assert!(!matches(|filter| filter.id = vec!["other".into()]));
        assert!(matches(|filter| filter.endpoint = vec![from("shop/post"), from("shop/user")]));
        assert!(matches(|filter| filter.endpoint = vec![from("user")]));
        assert!(!matches(|filter| filter.endpoint = vec![from("other/user")]));
        assert!(matches(|filter| filter.error = Some("DOES not".into())));
        assert!(!matches(|filter| filter.error = Some("timeout".into())));
        assert!(!matches(|filter| (filter.id, filter.error) = (vec![id()], Some("timeout".into()))));
    }

    #[test]
    fn ages_are_counted_from_the_death() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert!(matches(|filter| filter.older_than = seconds(9)));
        assert!(!matches(|filter| filter.older_than = seconds(10)));
        assert!(matches(|filter| filter.newer_than = seconds(10)));
        assert!(!matches(|filter| filter.newer_than = seconds(9)));
    }

    #[test]
    fn where_nobody_knows_when_it_died_the_message_s_age_counts_if_it_is_one() {
        let filter = Filter { older_than: Some(Duration::from_secs(1)), ..Filter::default() };
        let mut unknown = letter();
        unknown.died_at = None;
        assert!(filter.matches(&Summary::of(&unknown), 12_000));
        unknown.letter.body = "garbage".into();
        assert!(!filter.matches(&Summary::of(&unknown), 12_000));
    }
}
