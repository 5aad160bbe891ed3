use super::super::journal::Write;
use super::*;

fn entry(write: Write, began: u64, fate: Fate) -> Entry {
    Entry { write, began, ended: began + 10, fate }
}

fn line(kind: &str, object: i64, value: i64) -> Line {
    Line { kind: kind.to_owned(), object, value, at: 0 }
}

const SECOND: u64 = 1_000_000;
const ALL: [&str; 6] = ["user", "message", "comment", "counter", "friendship", "photo"];

/// A user at two revisions, a message in between, a friendship that ended, and a counter.
fn day() -> (Vec<Entry>, Truth) {
    let told = Fate::Acknowledged;
    let entries = vec![
        entry(Write::User { id: 1, revision: 0 }, 100 * SECOND, told.clone()),
        entry(Write::Message { id: 2, user: 1 }, 101 * SECOND, told.clone()),
        entry(Write::User { id: 1, revision: 1 }, 102 * SECOND, told.clone()),
        entry(Write::Befriend { id: 3 }, 103 * SECOND, told.clone()),
        entry(Write::EndAndPost { id: 3 }, 104 * SECOND, told.clone()),
        entry(Write::Increment { counter: 9 }, 105 * SECOND, told),
        entry(Write::Increment { counter: 9 }, 106 * SECOND, Fate::Unknown),
    ];
    let truth = Truth {
        users: BTreeMap::from([(1, 1)]),
        messages: BTreeMap::from([(2, (1, 0))]),
        counters: BTreeMap::from([(9, 1)]),
        photos: BTreeSet::from([3]),
        ..Truth::default()
    };
    (entries, truth)
}

fn log() -> Vec<Line> {
    vec![
        line("user", 1, 0),
        line("message", 2, 0),
        line("user", 1, 1),
        line("friendship", 3, 0),
        line("counter", 9, 0),
        line("friendship", 3, -1),
        line("photo", 3, 0),
        line("counter", 9, 1),
    ]
}

fn account(log: &[Line], losses: &Losses) -> Applied {
    let (entries, truth) = day();
    publisher(&entries, &truth).1.subscriber(&ALL, log, losses)
}

#[test]
fn a_day_without_faults_is_clean() {
    let (entries, truth) = day();
    let (published, _) = publisher(&entries, &truth);
    assert_eq!((published.attempted, published.acknowledged, published.unknown), (7, 6, 1));
    assert_eq!((published.committed, published.lost.len(), published.unexpected.len()), (8, 0, 0));
    let applied = account(&log(), &Losses::default());
    assert!(applied.is_clean(), "{applied:?}");
    assert_eq!((applied.wanted, applied.applied), (8, 8));
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_lost_and_more_than_attempted_is_unexpected() {
    let (entries, mut truth) = day();
    truth.users.insert(1, 0);
    truth.photos.clear();
    truth.counters.insert(9, 3);
    truth.messages.insert(7, (1, 0));
    let (published, _) = publisher(&entries, &truth);
    assert_eq!((published.lost.len(), published.unexpected.len()), (2, 2), "{published:?}");
}

#[test]
fn each_kind_of_fault_of_a_subscriber_is_seen() {
    let none = Losses::default();
    let without = |kind: &str, value: i64| -> Vec<Line> {
        log().into_iter().filter(|line| line.kind != kind || line.value != value).collect()
    };
    assert_eq!(account(&without("message", 0), &none).lost.len(), 1);
    // An older state is lost as well, unless the versions were.
    assert_eq!(account(&without("user", 0), &none).lost.len(), 1);
    let lossy = Losses { versions: vec![50 * SECOND], caches: Vec::new() };
    let applied = account(&without("user", 0), &lossy);
    assert_eq!((applied.lost.len(), applied.superseded), (0, 1));
    assert_eq!(account(&without("user", 1), &lossy).lost.len(), 1);

    // A friendship that ended before it had begun there leaves no trace; one that had begun must end.
    let never =
        account(&log().into_iter().filter(|line| line.kind != "friendship").collect::<Vec<_>>(), &lossy);
    assert_eq!((never.lost.len(), never.superseded), (0, 2));
    assert_eq!(account(&without("friendship", -1), &lossy).lost.len(), 1);

    let mut twice = log();
    twice.push(line("photo", 3, 0));
    assert_eq!(account(&twice, &none).duplicated.len(), 1);
    let mut strange = log();
    strange.push(line("counter", 9, 2));
    assert_eq!(account(&strange, &none).unexpected.len(), 1);
}

#[test]
fn an_effect_before_its_cause_is_a_violation_unless_a_loss_lies_between() {
    let mut swapped = log();
    swapped.swap(0, 1);
    assert_eq!(account(&swapped, &Losses::default()).violations.len(), 1);
    let far = Losses { versions: vec![200 * SECOND], caches: vec![50 * SECOND] };
    assert_eq!(account(&swapped, &far).violations.len(), 1);
    let near = Losses { versions: vec![100 * SECOND + 5], caches: Vec::new() };
    let applied = account(&swapped, &near);
    assert_eq!((applied.violations.len(), applied.excused), (0, 1));

    // The hook has seen a later state of the user than the message was written in: readers are forgotten with a cache.
    let mut noticed = log();
    noticed.push(line("violation", 2, 0));
    assert_eq!(account(&noticed, &Losses::default()).violations.len(), 1);
    let cache = Losses { versions: Vec::new(), caches: vec![101 * SECOND] };
    assert_eq!(account(&noticed, &cache).excused, 1);

    let mut early = log();
    early.swap(5, 6);
    assert_eq!(account(&early, &Losses::default()).violations.len(), 1);
    let mut backwards = log();
    backwards.swap(0, 2);
    assert!(account(&backwards, &Losses::default()).violations.iter().any(|v| v.contains("later state")));
}

#[test]
fn what_is_still_on_its_way_at_a_loss_may_be_overtaken_by_what_is_written_after_it() {
    // given a message that is applied when its user is at revision 2, which was written long after
    let (mut entries, mut truth) = day();
    entries.push(entry(Write::User { id: 1, revision: 2 }, 110 * SECOND, Fate::Acknowledged));
    truth.users.insert(1, 2);
    let late = |places: &[Line]| -> Vec<Line> {
        let rest = log().into_iter().filter(|line| !["user", "message"].contains(&line.kind.as_str()));
        places.iter().cloned().chain(rest).collect()
    };
    let account = |log: &[Line], loss: u64| {
        let losses = Losses { versions: vec![loss * SECOND], caches: Vec::new() };
        publisher(&entries, &truth).1.subscriber(&ALL, log, &losses)
    };
    let [first, second, third] = [0, 1, 2].map(|revision| line("user", 1, revision));
    let [message, noticed] = [line("message", 2, 0), line("violation", 2, 0)];
    let overtaken = late(&[first.clone(), third.clone(), message.clone(), noticed.clone()]);
    // then a loss between excuses that, and one before or after does not
    let applied = account(&overtaken, 107);
    assert_eq!((applied.violations.len(), applied.excused), (0, 1), "{applied:?}");
    assert_eq!(account(&overtaken, 150).violations.len(), 1);
    // and neither where the next state was applied before it, which was written before the loss
    let applied_at = |at: u64| {
        let [second, third] = [&second, &third].map(|line| Line { at: at * SECOND, ..line.clone() });
        let log = late(&[first.clone(), second, third, message.clone(), noticed.clone()]);
        account(&log, 107).violations.len()
    };
    assert_eq!(applied_at(103), 1);
    // unless that was on its way at the loss, too
    assert_eq!(applied_at(110), 0);
}

#[test]
fn a_row_that_went_before_its_creation_came_has_no_end_that_is_noted() {
    // given a friendship of long before that was never applied, and a photo that has found no end of it
    let (mut entries, truth) = day();
    entries[3].began = 50 * SECOND;
    entries[3].ended = 51 * SECOND;
    let mut log = log();
    log.retain(|line| line.kind != "friendship");
    log.push(line("violation", 3, 3));
    let account = |loss: u64| {
        let losses = Losses { versions: vec![loss * SECOND], caches: Vec::new() };
        publisher(&entries, &truth).1.subscriber(&ALL, &log, &losses)
    };
    // then a loss between its creation and its end excuses that, and one of before does not
    let applied = account(70);
    assert_eq!((applied.violations.len(), applied.excused), (0, 1), "{applied:?}");
    assert_eq!(account(20).violations.len(), 1);
}
