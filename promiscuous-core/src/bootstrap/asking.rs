//! What a subscriber says: send everything; and to whoever answers: these objects are here, which of them are gone?

use std::collections::BTreeMap;
use std::time::Duration;

use super::joining::{self, Bootstrap};
use super::parts::{Part, covers};
use super::requests_to;
use super::step::{REQUESTS, Step, publication};
use crate::broker::{Broker, Publication};
use crate::clock;
use crate::database::Database;
use crate::dependency::Version;
use crate::error::Error;
use crate::key::{Endpoint, Key};
use crate::subscriber::versions;
use crate::version_store::NOTHING;

/// Objects of one message at the most, and of one look into the database.
const OBJECTS: usize = 1_000;

/// How long an answer may take before the request is sent again: at first, and at the most.
const PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(600)];

/// Says what is due: when a bootstrap has begun, which rows are wanted, and again as long as a source has no answer; when a publisher has begun
/// to answer, which of its objects are here, and again as long as it has not told which of them are gone. The queue must be bound by now.
///
/// # Errors
/// When a server is away: the next call goes on.
pub(crate) async fn ask(app: &str, database: &dyn Database, broker: &dyn Broker) -> Result<(), Error> {
    let Some((mut bootstrap, asked_at)) = joining::current(database).await? else { return Ok(()) };
    let parts = joining::parts(database).await?;
    let Due { sources, objects } = due(&bootstrap, &parts, asked_at, clock::millis());
    if (sources.is_empty() && objects.is_empty()) || !joining::claim(database, asked_at).await? {
        return Ok(());
    }
    if !bootstrap.is_bound {
        joining::is_bound(database).await?;
        bootstrap.is_bound = true;
        joining::keep(database, &bootstrap).await?;
    }
    if !sources.is_empty() {
        tracing::info!(run = %bootstrap.run, sources = %sources.join(", "), "asking the publishers for all rows");
        let asked = Step::Asked { run: bootstrap.run, sources };
        send(broker, vec![request(app, asked, 0, None)?]).await?;
    }
    for (endpoint, publisher) in objects {
        let to = requests_to(&publisher).app;
        tell_known(app, database, broker, &bootstrap, (&endpoint, &to)).await?;
        bootstrap.told.retain(|told| *told != endpoint);
        bootstrap.told.push(endpoint);
        joining::keep(database, &bootstrap).await?;
    }
    Ok(())
}

/// What is to be said now.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    /// Whose rows are asked for.
    sources: Vec<String>,
    /// Whose objects are named, and to which app.
    objects: Vec<(Endpoint, String)>,
}

/// Decides that. Pure.
fn due(bootstrap: &Bootstrap, parts: &[Part], asked_at: u64, now: u64) -> Due {
    let again = is_due(bootstrap, asked_at, now);
    let is_answered = |source: &&String| parts.iter().any(|part| covers(source, &part.endpoint));
    let unanswered =
        bootstrap.sources.iter().filter(|source| !source.ends_with("/*") && !is_answered(source));
    let sources = unanswered.filter(|_| again).cloned().collect();
    let is_unknown = |part: &&Part| !part.gone_is_told && (again || !bootstrap.told.contains(&part.endpoint));
    let objects =
        parts.iter().filter(is_unknown).map(|part| (part.endpoint.clone(), part.app.clone())).collect();
    Due { sources, objects }
}

/// Whether the request goes out now. The longer nobody has answered, the more rarely.
fn is_due(bootstrap: &Bootstrap, asked_at: u64, now: u64) -> bool {
    let [first, longest] = PATIENCE.map(clock::duration_millis);
    let pause = (now.saturating_sub(bootstrap.begun_at) / 4).clamp(first, longest);
    asked_at == 0 || now.saturating_sub(asked_at) >= pause
}

/// Names every object of an endpoint that was ever applied here, with its version, to whoever sends its rows.
async fn tell_known(
    app: &str,
    database: &dyn Database,
    broker: &dyn Broker,
    bootstrap: &Bootstrap,
    (endpoint, to): (&Endpoint, &str),
) -> Result<(), Error> {
    let known = |objects, last| Step::Known { run: bootstrap.run, endpoint: endpoint.clone(), objects, last };
    // `0` comes after `/`.
    let (mut after, end) = (format!("{endpoint}/"), format!("{endpoint}0"));
    loop {
        let objects = versions::contents(database, &after, &end, OBJECTS).await?;
        let Some((last, _)) = objects.last() else { break };
        after = last.as_str().to_owned();
        let by_generation = sorted(endpoint, objects).into_iter();
        let requests = by_generation
            .map(|(generation, objects)| request(app, known(objects, false), generation, Some(to)));
        send(broker, requests.collect::<Result<_, _>>()?).await?;
        // Others see that it is being told.
        joining::keep(database, bootstrap).await?;
    }
    send(broker, vec![request(app, known(Vec::new(), true), 0, Some(to))?]).await
}

/// The ids and versions of an endpoint's objects, by generation. Pure.
fn sorted(endpoint: &Endpoint, objects: Vec<(Key, Version)>) -> BTreeMap<u64, Vec<(String, u64)>> {
    let mut sorted: BTreeMap<u64, Vec<(String, u64)>> = BTreeMap::new();
    for (key, version) in objects {
        // Of the endpoint's own key nothing was ever applied.
        if version != NOTHING && key.endpoint_str() == endpoint.as_str() {
            let id = key.as_str()[endpoint.as_str().len() + 1..].to_owned();
            sorted.entry(version.generation).or_default().push((id, version.version));
        }
    }
    sorted
}

fn request(app: &str, step: Step, generation: u64, to: Option<&str>) -> Result<Publication, Error> {
    let endpoint = Endpoint::parse(&format!("{app}/{REQUESTS}"))?;
    publication(step.message(app, generation), endpoint, to)
        .map_err(|error| Error::Configuration(format!("a request cannot be written as JSON: {error}")))
}

async fn send(broker: &dyn Broker, requests: Vec<Publication>) -> Result<(), Error> {
    for sent in broker.publish(requests).await {
        sent?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parts::PartState;
    use super::*;
    use uuid::Uuid;

    #[test]
    fn only_what_was_applied_is_named_and_each_generation_by_itself() {
        let key =
            |text: &str, generation, version| (Key::parse(text).unwrap(), Version::new(generation, version));
        let objects = vec![
            key("shop/user/%%", 0, 0),
            key("shop/user/1", 1, 5),
            key("shop/user/a%20b", 2, 6),
            key("shop/user/3", 0, 0),
            key("shop/user/4", 1, 7),
        ];
        let sorted = sorted(&Endpoint::parse("shop/user").unwrap(), objects).into_iter();
        let told: Vec<_> = sorted
            .map(|(generation, objects)| {
                let ids: Vec<_> =
                    objects.into_iter().map(|(id, version)| format!("{id}@{version}")).collect();
                format!("{generation}: {}", ids.join(" "))
            })
            .collect();
        assert_eq!(told, ["1: 1@5 4@7", "2: a%20b@6"]);
    }

    fn bootstrap(sources: &[&str]) -> Bootstrap {
        let sources = sources.iter().map(|&source| source.to_owned()).collect();
        Bootstrap { run: Uuid::nil(), sources, begun_at: 1_000, is_bound: true, told: Vec::new() }
    }

    #[test]
    fn who_gets_no_answer_asks_again_and_again_more_and_more_rarely() {
        let bootstrap = bootstrap(&[]);
        assert!(is_due(&bootstrap, 0, 1_000));
        assert!(!is_due(&bootstrap, 2_000, 6_999));
        assert!(is_due(&bootstrap, 2_000, 7_000));
        let hour = 3_600_000;
        assert!(!is_due(&bootstrap, 2_000 + hour, 2_000 + hour + 599_999));
        assert!(is_due(&bootstrap, 2_000 + hour, 2_000 + hour + 600_000));
    }

    #[test]
    fn objects_are_named_as_soon_as_their_publisher_answers_and_again_when_it_does_not_go_on() {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let mut bootstrap = bootstrap(&["shop/user", "*/post", "shop/*"]);
        let all = |bootstrap: &Bootstrap, parts: &[Part], now| {
            let Due { sources, objects } = due(bootstrap, parts, 2_000, now);
            (sources.join(" "), objects.len())
        };
        let said = |sources: &str, objects| (sources.to_owned(), objects);
        assert_eq!(all(&bootstrap, &[], 3_000), said("", 0));
        assert_eq!(all(&bootstrap, &[], 12_000), said("shop/user */post", 0));
        let (run, state) = (bootstrap.run, PartState::UnderWay);
        let mut part = Part {
            run,
            endpoint: endpoint.clone(),
            app: "shop".into(),
            rows: 9,
            sent: 0,
            state,
            gone_is_told: false,
        };
        assert_eq!(all(&bootstrap, std::slice::from_ref(&part), 3_000), said("", 1));
        bootstrap.told.push(endpoint);
        assert_eq!(all(&bootstrap, std::slice::from_ref(&part), 3_000), said("", 0));
        assert_eq!(all(&bootstrap, std::slice::from_ref(&part), 12_000), said("*/post", 1));
        part.gone_is_told = true;
        assert_eq!(all(&bootstrap, &[part], 12_000), said("*/post", 0));
    }
}
