//! What was found, and what to do about it.

use serde::Serialize;

use crate::bootstrap::joining::JOINING;
use crate::cli::words::{age, printable};

/// Messages are published within milliseconds: what waits for longer is held up, in milliseconds.
const HELD_UP: u64 = 30_000;

/// How an app's replication is. What could not be asked for is none, and a problem.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The app.
    pub(super) app: String,
    /// When it was asked, in milliseconds since 1970.
    pub(super) at: u64,
    /// What the app has to publish.
    pub(super) outbox: Option<Outbox>,
    /// The generation of versions in the app's database; none as well before it publishes for the first time.
    pub(super) generation: Option<u64>,
    /// The publisher's part of Redis.
    pub(super) versions: Option<Versions>,
    /// What the app has to apply.
    pub(super) queue: Option<Queue>,
    /// Messages that wait in the database.
    pub(super) parked: Option<Parked>,
    /// What the app subscribes to.
    pub(super) subscriptions: Option<Vec<Subscription>>,
    /// Servers that could not be asked.
    pub(super) problems: Vec<String>,
    /// What to do about the rest.
    pub(super) advice: Vec<String>,
}

/// Messages of committed transactions.
#[derive(Debug, Serialize)]
pub(super) struct Outbox {
    /// Not known to be published.
    pub(super) waiting: u64,
    /// When the oldest of them was written, in milliseconds since 1970.
    pub(super) oldest_at: Option<u64>,
    /// Published dummies, kept for days so that no dead writer wakes up.
    pub(super) fences: u64,
}

/// The publisher's part of Redis.
#[derive(Debug, Serialize)]
pub(super) struct Versions {
    /// None where the app has published nothing, or Redis has lost it.
    pub(super) generation: Option<u64>,
    /// Whether this server is known not to have lost anything since that generation began.
    pub(super) is_trusted: bool,
    /// Writers between their versions and the end of their work.
    pub(super) intents: u64,
    /// Those that should have ended.
    pub(super) overdue: u64,
}

/// The subscriber's queue; nothing of it is known before it is declared for the first time.
#[derive(Debug, Serialize)]
pub(super) struct Queue {
    /// Messages that nobody has been given.
    pub(super) ready: u64,
    /// Messages in the hands of workers, where the broker tells.
    pub(super) unacked: Option<u64>,
    /// Who consumes.
    pub(super) consumers: u64,
    /// Messages that could not be applied.
    pub(super) dead: u64,
}

/// Messages that wait in the database.
#[derive(Debug, Serialize)]
pub(super) struct Parked {
    /// How many wait for a cause.
    pub(super) count: u64,
    /// When the first of these came, in milliseconds since 1970.
    pub(super) oldest_at: Option<u64>,
    /// How many have failed, and wait for their next attempt.
    pub(super) failing: u64,
    /// How many are left to another program of this app, which takes their endpoint.
    pub(super) left: u64,
}

/// An endpoint that is subscribed, bound, or both.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Subscription {
    /// `shop/user` or `*/user`.
    pub(super) endpoint: String,
    /// Whether a model of this program takes its messages.
    pub(super) is_declared: bool,
    /// How it takes part; none when it was never bound.
    pub(super) state: Option<String>,
    /// Since when the queue is bound to it, in milliseconds since 1970.
    pub(super) bound_since: Option<u64>,
}

impl Report {
    /// Says what to do about what was found.
    pub(super) fn advise(&mut self) {
        let mut advice = Vec::new();
        if self
            .outbox
            .as_ref()
            .and_then(|outbox| outbox.oldest_at)
            .is_some_and(|at| self.at.saturating_sub(at) > HELD_UP)
        {
            advice.push("messages wait in the outbox: no process of this app runs, or it cannot reach RabbitMQ; read its log, or run `promiscuous recover --once`".to_owned());
        }
        if let Some(versions) = &self.versions {
            if versions.overdue > 0 {
                advice.push("writers have died: a running process of this app finishes their work within a minute; where none runs, `promiscuous recover --once` does".to_owned());
            }
            let is_behind =
                versions.generation.is_none_or(|known| self.generation.is_some_and(|here| here > known));
            if self.generation.is_some() && (is_behind || !versions.is_trusted) {
                advice.push("Redis was restarted or has lost its data: the app's next look at it, a second later where it runs, raises the generation".to_owned());
            }
        }
        if let Some(queue) = &self.queue {
            if queue.ready > 0 && queue.consumers == 0 {
                advice.push("messages wait and nobody consumes: start `promiscuous subscribe`".to_owned());
            }
            if queue.dead > 0 {
                advice.push(
                    "messages could not be applied: `promiscuous dead list` says which and why".to_owned(),
                );
            }
        }
        if self.parked.as_ref().is_some_and(|parked| parked.count > 0) {
            advice.push("messages wait for a cause: `promiscuous blocked` says for which".to_owned());
        }
        if self.parked.as_ref().is_some_and(|parked| parked.failing > 0) {
            advice.push("messages have failed and are tried again: the log of `promiscuous subscribe` says why, `promiscuous blocked` which".to_owned());
        }
        let subscriptions = self.subscriptions.as_deref().unwrap_or_default();
        if subscriptions.iter().any(|one| one.is_declared && one.state.is_none()) {
            advice.push("an endpoint is not bound yet: what is published to it does not arrive before `promiscuous subscribe` runs".to_owned());
        }
        if subscriptions.iter().any(|one| one.state.as_deref() == Some(JOINING)) {
            advice.push("an endpoint is joining: all of its rows are on their way, and nothing waits for its causes; where they do not come, run `promiscuous publish --serve` in the app that publishes them".to_owned());
        }
        if let Some(one) = subscriptions.iter().find(|one| !one.is_declared) {
            let endpoint = printable(&one.endpoint);
            advice.push(format!("{endpoint} is bound and no model of this program takes it: its messages wait for a version of this app that does; if there is none any more, run `promiscuous unbind '{endpoint}'`"));
        }
        self.advice = advice;
    }

    /// For people; `now` is in milliseconds since 1970.
    pub(super) fn in_words(&self, now: u64) -> String {
        let since = |at: Option<u64>| {
            at.map_or_else(String::new, |at| format!(", the oldest since {}", age(at, now)))
        };
        let unknown = || "unknown".to_owned();
        let number =
            |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        let outbox = self.outbox.as_ref().map_or_else(unknown, |outbox| {
            format!("{} to publish{}; {} fences", outbox.waiting, since(outbox.oldest_at), outbox.fences)
        });
        let (intents, in_redis) = match &self.versions {
            None => (unknown(), unknown()),
            Some(versions) => {
                let trusted = match versions.generation {
                    Some(_) if versions.is_trusted => ", trusted",
                    Some(_) => ", not trusted",
                    None => "",
                };
                (
                    format!("{}, {} of them overdue", versions.intents, versions.overdue),
                    format!("{}{trusted}", number(versions.generation)),
                )
            }
        };
        // The database was asked for both.
        let in_database = self.outbox.as_ref().map_or_else(unknown, |_| number(self.generation));
        let queue = self.queue.as_ref().map_or_else(unknown, |queue| {
            let unacked = queue.unacked.map_or_else(String::new, |unacked| format!(", {unacked} in hands"));
            format!("{} ready{unacked}; {} consumers", queue.ready, queue.consumers)
        });
        let dead = self.queue.as_ref().map_or_else(unknown, |queue| queue.dead.to_string());
        let parked = self.parked.as_ref().map_or_else(unknown, |parked| {
            let left =
                if parked.left > 0 { format!("; {} left to others", parked.left) } else { String::new() };
            format!("{} blocked{}; {} failing{left}", parked.count, since(parked.oldest_at), parked.failing)
        });
        let mut lines = vec![
            format!("app {}", self.app),
            "publisher".to_owned(),
            format!("  outbox        {outbox}"),
            format!("  intents       {intents}"),
            format!("  generation    {in_database} in the database, {in_redis} in Redis"),
            "subscriber".to_owned(),
            format!("  queue         {queue}"),
            format!("  dead letters  {dead}"),
            format!("  parked        {parked}"),
        ];
        for one in self.subscriptions.iter().flatten() {
            let state = match (&one.state, one.bound_since) {
                (Some(state), Some(since)) => format!("{}, bound {} ago", printable(state), age(since, now)),
                _ => "not bound".to_owned(),
            };
            let declared = if one.is_declared { "" } else { ", taken by no model" };
            lines.push(format!("  {}  {state}{declared}", printable(&one.endpoint)));
        }
        lines.extend(self.problems.iter().map(|problem| format!("! {}", printable(problem))));
        lines.extend(self.advice.iter().map(|advice| format!("* {advice}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Report {
        Report {
            app: "mailer".into(),
            at: 1_000_000,
            outbox: Some(Outbox { waiting: 0, oldest_at: None, fences: 2 }),
            generation: Some(3),
            versions: Some(Versions { generation: Some(3), is_trusted: true, intents: 1, overdue: 0 }),
            queue: Some(Queue { ready: 7, unacked: None, consumers: 2, dead: 0 }),
            parked: Some(Parked { count: 0, oldest_at: None, failing: 0, left: 0 }),
            subscriptions: Some(vec![Subscription {
                endpoint: "shop/user".into(),
                is_declared: true,
                state: Some("live".into()),
                bound_since: Some(700_000),
            }]),
            ..Report::default()
        }
    }

    fn advice(change: impl FnOnce(&mut Report)) -> Vec<String> {
        let mut report = quiet();
        change(&mut report);
        report.advise();
        report.advice
    }

    #[test]
    fn a_quiet_app_needs_no_advice() {
        assert_eq!(advice(|_| ()), [""; 0]);
        let text = quiet().in_words(1_000_000);
        assert_eq!(
            text,
            "app mailer\npublisher\n  outbox        0 to publish; 2 fences\n  intents       1, 0 of them overdue\n  \
             generation    3 in the database, 3, trusted in Redis\nsubscriber\n  queue         7 ready; 2 consumers\n  \
             dead letters  0\n  parked        0 blocked; 0 failing\n  shop/user  live, bound 5 min ago"
        );
    }

    #[test]
    fn an_app_that_never_published_or_subscribed_needs_none_either() {
        let nothing = advice(|report| {
            report.generation = None;
            report.versions = Some(Versions { generation: None, is_trusted: false, intents: 0, overdue: 0 });
            report.queue = None;
            report.subscriptions = Some(Vec::new());
        });
        assert_eq!(nothing, [""; 0]);
    }

    #[test]
    fn each_trouble_has_its_advice() {
        type Trouble = fn(&mut Report);
        let cases: [(&str, Trouble); 10] = [
            ("recover", |report| report.outbox.as_mut().unwrap().oldest_at = Some(900_000)),
            ("writers have died", |report| report.versions.as_mut().unwrap().overdue = 1),
            ("raises the generation", |report| report.versions.as_mut().unwrap().is_trusted = false),
            ("raises the generation", |report| report.generation = Some(4)),
            ("promiscuous subscribe", |report| report.queue.as_mut().unwrap().consumers = 0),
            ("dead list", |report| report.queue.as_mut().unwrap().dead = 1),
            ("promiscuous blocked", |report| report.parked.as_mut().unwrap().count = 1),
            ("have failed", |report| report.parked.as_mut().unwrap().failing = 1),
            ("not bound yet", |report| report.subscriptions.as_mut().unwrap()[0].state = None),
            ("publish --serve", |report| {
                report.subscriptions.as_mut().unwrap()[0].state = Some("joining".into());
            }),
        ];
        for (says, change) in cases {
            let advice = advice(change);
            assert_eq!(advice.len(), 1, "{advice:?}");
            assert!(advice[0].contains(says), "{advice:?}");
        }
    }

    #[test]
    fn what_could_not_be_asked_for_is_unknown() {
        let report = Report { problems: vec!["Redis is away".into()], ..Report::default() };
        let text = report.in_words(0);
        assert_eq!(text.matches("unknown").count(), 7, "{text}");
        assert!(text.ends_with("\n! Redis is away"), "{text}");
    }
}
