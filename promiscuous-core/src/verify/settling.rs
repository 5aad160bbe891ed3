//! Rows in doubt are looked at until there is none.
//!
//! A row that is written all the time, on a subscriber that is always a little behind, is never seen at one version by asking again and again: by the
//! time an answer comes, one of both sides has gone on. **What the publisher showed is held, therefore, until this app has the version it was
//! shown at**: this app is on its way there, and passes it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Comparison;
use super::error::VerifyError;
use super::run::{Difference, Event, Pair, Verification, misunderstood};
use super::talk::{Answer, Question, Shown};
use super::verdict::{Candidate, Kind, Look, Standing, Verdict};
use crate::dependency::Version;
use crate::version_store::NOTHING;

/// Rows of one question for all there is of them, and rows that are held.
const ROWS: usize = 100;

/// The first pause before a publisher is asked again, and the longest.
const ASKING: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// The pause before this app's versions are read again while they go on, and the longest while they do not.
const WATCHING: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(500)];

impl Verification {
    /// Looks at rows one by one until nothing is in doubt.
    pub(super) async fn settle(
        &mut self,
        pair: &Pair,
        mut doubts: Vec<Candidate>,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), VerifyError> {
        let mut pause = ASKING[0];
        let mut held = Vec::new();
        loop {
            let mut looked = Vec::new();
            let mut again = Vec::new();
            while !doubts.is_empty() {
                let some: Vec<Candidate> = doubts.drain(..doubts.len().min(ROWS)).collect();
                for (mut candidate, verdict) in self.look_at(pair, some).await? {
                    match verdict {
                        Verdict::Again if candidate.is_held() && held.len() < ROWS => held.push(candidate),
                        Verdict::Again => {
                            candidate.release();
                            again.push(candidate);
                        }
                        verdict => looked.push((candidate, verdict)),
                    }
                }
            }
            let until = Instant::now() + pause;
            for (candidate, verdict) in self.watch(pair, &mut held, until).await? {
                match verdict {
                    Verdict::Again => again.push(candidate),
                    verdict => looked.push((candidate, verdict)),
                }
            }
            self.conclude(pair, looked, tell).await?;
            doubts = again;
            if doubts.is_empty() && held.is_empty() {
                return Ok(());
            }
            if !doubts.is_empty() {
                // Also where the watch has ended early: a publisher is not asked without a pause.
                tokio::time::sleep_until(until.into()).await;
            }
            pause = (pause * 2).min(ASKING[1]);
        }
    }

    /// Tells what was found out, and has rows sent again where that is wanted.
    async fn conclude(
        &mut self,
        pair: &Pair,
        looked: Vec<(Candidate, Verdict)>,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), VerifyError> {
        let mut lacking = Vec::new();
        for (Candidate { id, .. }, verdict) in looked {
            let endpoint = pair.published.endpoint.clone();
            match verdict {
                Verdict::Same | Verdict::Again => {}
                Verdict::Busy => tell(Event::Busy { endpoint, id }),
                Verdict::Wrong { kind, late } => {
                    if kind != Kind::Extra {
                        lacking.push(id.clone());
                    }
                    tell(Event::Found(Difference { endpoint, id, kind, late }));
                }
            }
        }
        if self.settings.repair && !lacking.is_empty() {
            let endpoint = pair.published.endpoint.clone();
            self.link.ask(&pair.app, Question::Send { endpoint, ids: lacking }).await?;
        }
        Ok(())
    }

    /// Asks the publisher for its rows, and compares them. What must be looked at again holds its row.
    async fn look_at(
        &mut self,
        pair: &Pair,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<(Candidate, Verdict)>, VerifyError> {
        let endpoint = &pair.published.endpoint;
        let ids = candidates.iter().map(|candidate| candidate.id.clone()).collect();
        let question = Question::Rows { endpoint: endpoint.clone(), ids };
        let Answer::Rows { generation, objects } = self.link.ask(&pair.app, question).await? else {
            return Err(misunderstood(&pair.app));
        };
        let mut shown: HashMap<String, Shown> =
            objects.into_iter().map(|shown| (shown.operation.id.clone(), shown)).collect();
        let before = self.versions_of(endpoint, shown.keys()).await?;
        let mut comparisons: HashMap<String, Comparison> = HashMap::new();
        for (id, Shown { operation, .. }) in &shown {
            comparisons.insert(id.clone(), self.rows.compare(pair.position, operation).await?);
        }
        let after = self.versions_of(endpoint, shown.keys()).await?;
        let (now, patience) = (Instant::now(), self.settings.patience);
        let decided = candidates.into_iter().map(|mut candidate| {
            let id = candidate.id.as_str();
            let verdict = match (shown.remove(id), comparisons.remove(id)) {
                (Some(Shown { version, operation }), Some(comparison)) => {
                    let theirs = version.map(|version| Version::new(generation, version));
                    let look = Look {
                        theirs,
                        is_there: operation.attributes.is_some(),
                        before: before.get(id).copied().unwrap_or(NOTHING),
                        after: after.get(id).copied().unwrap_or(NOTHING),
                        comparison,
                    };
                    let verdict = candidate.decide(look, now, patience);
                    if let (Verdict::Again, Some(theirs)) = (&verdict, theirs) {
                        candidate.hold(theirs, operation);
                    }
                    verdict
                }
                _ => candidate.unseen(now, patience),
            };
            (candidate, verdict)
        });
        Ok(decided.collect())
    }

    /// Waits until this app has come to the versions that its publisher showed, until then. What is left in `held` is still to come; what was passed
    /// while nobody looked must be asked for again.
    async fn watch(
        &self,
        pair: &Pair,
        held: &mut Vec<Candidate>,
        until: Instant,
    ) -> Result<Vec<(Candidate, Verdict)>, VerifyError> {
        let mut pause = WATCHING[0];
        let (mut looked, mut last) = (Vec::new(), HashMap::new());
        while !held.is_empty() && Instant::now() < until {
            let begun = Instant::now();
            let endpoint = &pair.published.endpoint;
            let ours = self.versions_of(endpoint, held.iter().map(|candidate| &candidate.id)).await?;
            for mut candidate in std::mem::take(held) {
                let version = ours.get(&candidate.id).copied().unwrap_or(NOTHING);
                let verdict = match candidate.standing(version, begun, self.settings.patience) {
                    Standing::Behind => {
                        held.push(candidate);
                        continue;
                    }
                    Standing::Reached => self.compare_held(pair, &mut candidate, version).await?,
                    Standing::Gone => Verdict::Again,
                };
                candidate.release();
                looked.push((candidate, verdict));
            }
            let is_moving = last != ours;
            pause = if is_moving { WATCHING[0] } else { (pause * 2).min(WATCHING[1]) };
            last = ours;
            if !held.is_empty() {
                // Whoever has this database for their work has it for half of the time at least.
                let pause = pause.max(begun.elapsed());
                tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            }
        }
        Ok(looked)
    }

    /// Compares a row of the version that its publisher showed.
    async fn compare_held(
        &self,
        pair: &Pair,
        candidate: &mut Candidate,
        before: Version,
    ) -> Result<Verdict, VerifyError> {
        let Some(operation) = candidate.held() else { return Ok(Verdict::Again) };
        let is_there = operation.attributes.is_some();
        let comparison = self.rows.compare(pair.position, operation).await?;
        let ours = self.versions_of(&pair.published.endpoint, [&candidate.id].into_iter()).await?;
        let after = ours.get(&candidate.id).copied().unwrap_or(NOTHING);
        if before != after {
            // It went on in that moment.
            return Ok(Verdict::Again);
        }
        let look = Look { theirs: Some(before), is_there, before, after, comparison };
        Ok(candidate.decide(look, Instant::now(), self.settings.patience))
    }
}
