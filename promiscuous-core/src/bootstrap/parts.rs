//! How far each endpoint of a bootstrap is, and what is complete by that. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::key::Endpoint;

/// How far one endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The bootstrap.
    pub run: Uuid,
    /// Whose rows.
    pub endpoint: Endpoint,
    /// The app that sends them.
    pub app: String,
    /// How many there were in the beginning.
    pub rows: u64,
    /// How many have arrived.
    pub sent: u64,
    /// How it ended, if it did.
    pub state: PartState,
    /// Whether the publisher has said which of the objects that are here are gone.
    pub gone_is_told: bool,
}

impl Part {
    /// Whether everything has come.
    pub fn is_complete(&self) -> bool {
        self.state == PartState::Done && self.gone_is_told
    }
}

/// How an endpoint's part of a bootstrap is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Rows are on their way.
    UnderWay,
    /// All have come.
    Done,
    /// The publisher cannot send them, and says why.
    Failed(String),
}

/// What a publisher says of an endpoint.
pub(super) enum News {
    /// So many there are, so many have come, and how it ended.
    Rows(u64, u64, PartState),
    /// What is gone is told.
    GoneIsTold,
}

/// Takes news in; false when there are none: a step may come twice, or late. Pure.
pub(super) fn merge(
    parts: &mut Vec<Part>,
    (run, app): (Uuid, &str),
    endpoint: &Endpoint,
    news: News,
) -> bool {
    let known = parts.iter_mut().find(|part| part.endpoint == *endpoint);
    match (known, news) {
        (Some(known), News::GoneIsTold) => !std::mem::replace(&mut known.gone_is_told, true),
        // Nobody asks before it has begun.
        (None, News::GoneIsTold) => false,
        // All rows have come, and then it cannot be told which objects are gone.
        (Some(known), News::Rows(_, _, state @ PartState::Failed(_))) if !known.is_complete() => {
            let is_news = known.state != state;
            known.state = state;
            is_news
        }
        (Some(Part { state: PartState::Done, .. }), News::Rows(..)) => false,
        (Some(known), News::Rows(_, sent, PartState::UnderWay)) if sent <= known.sent => false,
        (Some(known), News::Rows(rows, sent, state)) => {
            (known.rows, known.sent, known.state) = (rows, sent, state);
            true
        }
        (None, News::Rows(rows, sent, state)) => {
            let (endpoint, app) = (endpoint.clone(), app.to_owned());
            parts.push(Part { run, endpoint, app, rows, sent, state, gone_is_told: false });
            true
        }
    }
}

/// The sources whose rows have all come. Pure.
///
/// Of any app's model nobody knows how many apps publish it: all that have begun must have ended, and one at least. An order is
/// complete when everything else of its app is.
pub(super) fn complete(sources: &[String], parts: &[Part]) -> Vec<String> {
    let has_come = |source: &str| {
        let mut own = parts.iter().filter(|part| covers(source, &part.endpoint)).peekable();
        own.peek().is_some() && own.all(Part::is_complete)
    };
    let is_complete = |source: &&String| match source.strip_suffix("/*") {
        Some(app) => {
            let of_app = |other: &&String| {
                !other.ends_with("/*") && other.split_once('/').is_some_and(|(own, _)| own == app)
            };
            sources.iter().filter(of_app).all(|other| has_come(other))
        }
        None => has_come(source),
    };
    sources.iter().filter(is_complete).cloned().collect()
}

/// Whether rows of this endpoint are among a source's.
pub(crate) fn covers(source: &str, endpoint: &Endpoint) -> bool {
    match source.split_once('/') {
        Some(("*", model)) => model == endpoint.model(),
        _ => source == endpoint.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(endpoint: &str, sent: u64, state: PartState) -> Part {
        let endpoint = Endpoint::parse(endpoint).unwrap();
        Part { run: Uuid::nil(), endpoint, app: "shop".into(), rows: 10, sent, state, gone_is_told: true }
    }

    #[test]
    fn a_source_is_complete_when_all_that_began_for_it_have_ended() {
        let sources = ["shop/user", "*/post", "shop/*"].map(str::to_owned);
        let complete = |parts: &[Part]| complete(&sources, parts);
        assert!(complete(&[]).is_empty());
        let user = part("shop/user", 10, PartState::Done);
        assert_eq!(complete(&[part("shop/user", 3, PartState::UnderWay)]), Vec::<String>::new());
        assert_eq!(complete(&[Part { gone_is_told: false, ..user.clone() }]), Vec::<String>::new());
        assert_eq!(complete(std::slice::from_ref(&user)), ["shop/user", "shop/*"]);
        let blog = part("blog/post", 10, PartState::Done);
        let news = part("news/post", 1, PartState::UnderWay);
        assert_eq!(complete(&[user.clone(), blog.clone(), news]), ["shop/user", "shop/*"]);
        assert_eq!(complete(&[user.clone(), blog]), ["shop/user", "*/post", "shop/*"]);
        let failed = part("news/post", 1, PartState::Failed("too large".into()));
        assert_eq!(complete(&[user, failed]), ["shop/user", "shop/*"]);
    }

    #[test]
    fn a_step_that_comes_late_or_twice_changes_nothing() {
        let endpoint = Endpoint::parse("shop/user").unwrap();
        let mut parts = Vec::new();
        let mut say = |news: News| {
            let is_news = merge(&mut parts, (Uuid::nil(), "shop"), &endpoint, news);
            (is_news, parts.first().map_or(0, |part| part.sent))
        };
        let under_way = |sent| News::Rows(10, sent, PartState::UnderWay);
        assert_eq!(say(News::GoneIsTold), (false, 0));
        assert_eq!(say(under_way(5)), (true, 5));
        assert_eq!(say(under_way(5)), (false, 5));
        assert_eq!(say(under_way(3)), (false, 5));
        assert_eq!(say(News::GoneIsTold), (true, 5));
        assert_eq!(say(News::GoneIsTold), (false, 5));
        assert_eq!(say(under_way(7)), (true, 7));
        assert_eq!(say(News::Rows(0, 0, PartState::Failed("no".into()))), (true, 7));
        assert_eq!(say(News::Rows(10, 10, PartState::Done)), (true, 10));
        // What was told is known, so nothing else can fail.
        for late in [PartState::Done, PartState::UnderWay, PartState::Failed("no".into())] {
            assert_eq!(say(News::Rows(12, 12, late)), (false, 10));
        }
        assert!(parts.len() == 1 && parts[0].is_complete());
    }

    #[test]
    fn who_cannot_be_told_what_is_gone_is_not_complete_though_all_rows_have_come() {
        let mut parts = vec![Part { gone_is_told: false, ..part("shop/user", 10, PartState::Done) }];
        let endpoint = parts[0].endpoint.clone();
        let mut say = |news| merge(&mut parts, (Uuid::nil(), "shop"), &endpoint, news);
        let no = || News::Rows(0, 0, PartState::Failed("no".into()));
        // One page of objects fails, and then the last one is answered.
        assert_eq!((say(no()), say(no()), say(News::GoneIsTold)), (true, false, true));
        assert!(!parts[0].is_complete());
    }
}
