//! What an app publishes and subscribes to, without an ORM: names and types. Adapters keep the models themselves, by position.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;

use crate::consistency::Consistency;
use crate::database::ApplyError;
use crate::error::Error;
use crate::key::{Endpoint, NameError};
use crate::operation::Operation;

/// Where a subscription's messages come from: one app's endpoint, or a model of any app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct From {
    /// None is any app.
    app: Option<String>,
    /// The model's name.
    model: String,
}

impl From {
    /// Reads `crowdtap/member`, or `member` or `*/member` for any app.
    ///
    /// # Errors
    /// [`NameError::Endpoint`] when it is neither.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (app, model) = match text.split_once('/') {
            Some(("*", model)) => (None, model),
            Some((app, model)) => (Some(app), model),
            None => (None, text),
        };
        Endpoint::parse(&format!("{}/{model}", app.unwrap_or("any")))?;
        Ok(Self { app: app.map(str::to_owned), model: model.to_owned() })
    }

    /// Everything of one app, in the app's total order: `app/*`.
    pub(crate) fn order_of(app: &str) -> Self {
        Self { app: Some(app.to_owned()), model: "*".to_owned() }
    }

    /// Whether this is an order, and the other's messages have a place in it.
    pub(crate) fn orders(&self, other: &Self) -> bool {
        self.model == "*" && other.model != "*" && self.app.is_some() && self.app == other.app
    }

    /// Whether messages of this endpoint are meant, or (for an order) this key.
    pub fn matches(&self, endpoint: &str) -> bool {
        endpoint.split_once('/').is_some_and(|(app, model)| {
            model == self.model && self.app.as_deref().is_none_or(|own| own == app)
        })
    }

    /// Whether every endpoint that the other means is meant.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.model == other.model && (self.app.is_none() || self.app == other.app)
    }

    /// Whether one endpoint may be meant by both.
    fn overlaps(&self, other: &Self) -> bool {
        let same_app = match (&self.app, &other.app) {
            (Some(own), Some(others)) => own == others,
            _ => true,
        };
        same_app && self.model == other.model
    }

    /// The AMQP binding: `*.post` or `crowdtap.post`; `crowdtap.*` for an order.
    pub fn binding(&self) -> String {
        format!("{}.{}", self.app.as_deref().unwrap_or("*"), self.model)
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app.as_deref().unwrap_or("*"), self.model)
    }
}

/// One subscribed model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Where its messages come from.
    pub from: From,
    /// The published type it stands for.
    pub type_name: String,
    /// Whether the type was named with `as`; otherwise the only subscription of an endpoint takes every type.
    pub named: bool,
    /// How much order its messages want; none is what the app's configuration says.
    pub consistency: Option<Consistency>,
}

/// All subscriptions of an app.
#[derive(Debug, Clone, Default)]
pub struct Subscriptions(Vec<Subscription>);

impl Subscriptions {
    /// From the subscribed models, in the adapter's order.
    pub fn new(subscriptions: Vec<Subscription>) -> Self {
        Self(subscriptions)
    }

    /// The same, with this much order where a subscription does not say how much. [`Consistency::None`] goes over what any of them says.
    ///
    /// # Errors
    /// [`Error::Configuration`] when an endpoint gets two answers, and when a total order is asked of any app.
    pub fn with_default(mut self, default: Consistency) -> Result<Self, Error> {
        for subscription in &mut self.0 {
            match (default, &mut subscription.consistency) {
                (Consistency::None, own) => *own = Some(default),
                (_, own) => _ = own.get_or_insert(default),
            }
        }
        for (position, subscription) in self.0.iter().enumerate() {
            let Subscription { from, consistency, .. } = subscription;
            if from.app.is_none() && *consistency == Some(Consistency::Global) {
                return Err(Error::Configuration(format!(
                    "{from} is subscribed with the consistency `global`, but there is a total order of one app's messages only: name the app (`from = \"app/{}\"`), or ask for `causal` there",
                    from.model
                )));
            }
            let other =
                |other: &&Subscription| other.from.overlaps(from) && other.consistency != *consistency;
            if let Some(other) = self.0[..position].iter().find(other) {
                return Err(Error::Configuration(format!(
                    "the subscriptions of `{}` from {} and of `{}` from {from} ask for two consistencies, `{}` and `{}`, but messages of one endpoint have one: say the same in both",
                    other.type_name,
                    other.from,
                    subscription.type_name,
                    other.consistency.unwrap_or_default(),
                    consistency.unwrap_or_default(),
                )));
            }
        }
        Ok(self)
    }

    /// How much order messages from there want.
    pub(crate) fn consistency_of(&self, from: &From) -> Consistency {
        let subscription = self.0.iter().find(|subscription| subscription.from == *from);
        subscription.and_then(|subscription| subscription.consistency).unwrap_or_default()
    }

    /// The apps whose messages are all wanted, because some of them are wanted in a total order; each as a source of its own.
    pub(crate) fn orders(&self) -> Vec<From> {
        let apps: BTreeSet<&str> = self.ordered_apps().collect();
        apps.into_iter().map(From::order_of).collect()
    }

    fn ordered_apps(&self) -> impl Iterator<Item = &str> {
        let global = self.0.iter().filter(|s| s.consistency == Some(Consistency::Global));
        global.filter_map(|s| s.from.app.as_deref())
    }

    /// Whether messages of this endpoint are wanted.
    pub fn wants(&self, endpoint: &str) -> bool {
        self.0.iter().any(|subscription| subscription.from.matches(endpoint))
    }

    /// Every source, each once: what the queue is bound to.
    pub fn sources(&self) -> Vec<From> {
        let mut sources: Vec<From> = Vec::new();
        for subscription in &self.0 {
            if !sources.contains(&subscription.from) {
                sources.push(subscription.from.clone());
            }
        }
        sources
    }

    /// Where the messages of a model come from, which is named by its type (in any case) or by a source itself.
    pub fn sources_of(&self, model: &str) -> Vec<From> {
        let is_meant = |subscription: &&Subscription| {
            subscription.type_name.eq_ignore_ascii_case(model) || subscription.from.to_string() == model
        };
        self.0.iter().filter(is_meant).map(|subscription| subscription.from.clone()).collect()
    }

    /// Whether the model at a position takes what any app publishes.
    pub(crate) fn takes_any_app(&self, position: usize) -> bool {
        self.0.get(position).is_none_or(|subscription| subscription.from.app.is_none())
    }

    /// Whether nothing is subscribed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The position of the model that takes an operation: the nearest type that is known here. None when its
    /// endpoint is not subscribed at all (a message may touch more than we bind to).
    ///
    /// # Errors
    /// [`ApplyError::UnknownType`] when the endpoint is subscribed but none of the types is.
    pub fn resolve(&self, operation: &Operation) -> Result<Option<usize>, ApplyError> {
        let endpoint = operation.endpoint.as_str();
        let candidates: Vec<usize> =
            (0..self.0.len()).filter(|&position| self.0[position].from.matches(endpoint)).collect();
        let nearest = operation.types.iter().find_map(|wanted| {
            candidates.iter().copied().find(|&position| self.0[position].type_name == *wanted)
        });
        match (nearest, candidates.as_slice()) {
            (Some(position), _) => Ok(Some(position)),
            (None, []) => Ok(None),
            (None, &[only]) if !self.0[only].named => Ok(Some(only)),
            (None, _) => Err(ApplyError::UnknownType {
                endpoint: endpoint.to_owned(),
                id: operation.id.clone(),
                types: operation.types.clone(),
            }),
        }
    }

    /// [`resolve`](Self::resolve) of the first of these operations, and how many in a row go where it goes.
    ///
    /// # Errors
    /// See [`resolve`](Self::resolve).
    pub fn resolve_alike<O: Borrow<Operation>>(
        &self,
        operations: &[O],
    ) -> Result<(Option<usize>, usize), ApplyError> {
        let Some(first) = operations.first().map(Borrow::borrow) else { return Ok((None, 0)) };
        let is_alike = |other: &&O| {
            let other: &Operation = (*other).borrow();
            other.endpoint == first.endpoint && other.types == first.types
        };
        Ok((self.resolve(first)?, operations.iter().take_while(is_alike).count()))
    }
}

/// Checks that no endpoint is published by two models.
///
/// # Errors
/// [`Error::EndpointTwice`] with the first such endpoint.
pub fn check_published(endpoints: &[Endpoint]) -> Result<(), Error> {
    for (position, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..position].contains(endpoint) {
            return Err(Error::EndpointTwice(endpoint.clone()));
        }
    }
    Ok(())
}

/// Checks that an app's total order can be kept: who asks for it gets everything below the app's name.
///
/// # Errors
/// [`Error::Configuration`] with the first endpoint that has another app's name.
pub(crate) fn check_total_order(app: &str, endpoints: &[Endpoint]) -> Result<(), Error> {
    match endpoints.iter().find(|endpoint| endpoint.app() != app) {
        None => Ok(()),
        Some(endpoint) => Err(Error::Configuration(format!(
            "{endpoint} cannot take part in a total order of `{app}`, because whoever asks for that gets `{app}/…` only: publish it as `{app}/{}`, or set another `consistency` than `global`",
            endpoint.model()
        ))),
    }
}

/// Checks that no table is published by two models; each comes with its table, and its schema when it names one.
///
/// # Errors
/// [`Error::Configuration`] with the first two such models.
pub fn check_tables(models: &[(&Endpoint, Option<&str>, &str)]) -> Result<(), Error> {
    for (position, (endpoint, schema, table)) in models.iter().enumerate() {
        let same = |other: &&(&Endpoint, Option<&str>, &str)| {
            // No schema is any.
            other.2 == *table && (other.1 == *schema || other.1.is_none() || schema.is_none())
        };
        if let Some((other, ..)) = models[..position].iter().find(same) {
            return Err(Error::Configuration(format!(
                "{other} and {endpoint} are both published from the table `{table}`, but a row has one endpoint: publish one of them"
            )));
        }
    }
    Ok(())
}

/// Checks that no two models want the same type of the same endpoint, since one of them would get nothing; each comes with its table.
///
/// # Errors
/// [`Error::Configuration`] with the first two such models.
pub fn check_subscribed(models: &[(&Subscription, &str)]) -> Result<(), Error> {
    for (position, (subscription, table)) in models.iter().enumerate() {
        let same = |(other, _): &&(&Subscription, &str)| {
            other.from == subscription.from && other.type_name == subscription.type_name
        };
        if let Some((_, other)) = models[..position].iter().find(same) {
            return Err(Error::Configuration(format!(
                "two models, in the tables `{other}` and `{table}`, subscribe to `{}` of {}: keep one, or give each app of this program its own `Models::new()`",
                subscription.type_name, subscription.from
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::OperationKind;

    fn subscription(from: &str, type_name: &str, named: bool) -> Subscription {
        Subscription {
            from: From::parse(from).unwrap(),
            type_name: type_name.into(),
            named,
            consistency: None,
        }
    }

    fn operation(endpoint: &str, types: &[&str]) -> Operation {
        Operation {
            operation: OperationKind::Destroy,
            endpoint: Endpoint::parse(endpoint).unwrap(),
            types: types.iter().map(|&t| t.to_owned()).collect(),
            id: "1".into(),
            attributes: None,
        }
    }

    #[test]
    fn the_nearest_known_type_takes_the_operation() {
        let subscriptions = Subscriptions::new(vec![
            subscription("crowdtap/user", "User", true),
            subscription("crowdtap/user", "Member", true),
        ]);
        let taken = |types: &[&str]| subscriptions.resolve(&operation("crowdtap/user", types));
        assert_eq!(taken(&["Member", "User"]).unwrap(), Some(1));
        assert_eq!(taken(&["Admin", "User"]).unwrap(), Some(0));
        assert!(matches!(taken(&["Robot"]), Err(ApplyError::UnknownType { .. })));
        assert_eq!(subscriptions.resolve(&operation("crowdtap/post", &["Post"])).unwrap(), None);
    }

    #[test]
    fn an_only_subscription_takes_every_type_of_its_endpoint_from_any_app() {
        let subscriptions = Subscriptions::new(vec![subscription("member", "CrowdtapMember", false)]);
        assert_eq!(subscriptions.resolve(&operation("x/member", &["Member"])).unwrap(), Some(0));
        assert_eq!(subscriptions.sources()[0].binding(), "*.member");
        assert!(subscriptions.wants("y/member") && !subscriptions.wants("y/user"));
    }

    fn asking(from: &str, consistency: Option<Consistency>) -> Subscription {
        Subscription { consistency, ..subscription(from, from, false) }
    }

    #[test]
    fn what_is_taken_from_any_app_covers_what_is_taken_from_one() {
        let covers = |own: &str, other: &str| From::parse(own).unwrap().covers(&From::parse(other).unwrap());
        assert!(
            covers("*/user", "shop/user") && covers("*/user", "*/user") && covers("shop/user", "shop/user")
        );
        assert!(
            !covers("shop/user", "*/user")
                && !covers("shop/user", "blog/user")
                && !covers("*/user", "shop/post")
        );
    }

    #[test]
    fn a_subscription_that_does_not_say_gets_the_app_s_consistency_and_bareback_goes_over_all() {
        let subscriptions = Subscriptions::new(vec![
            asking("crowdtap/user", None),
            asking("crowdtap/post", Some(Consistency::Global)),
        ]);
        let weak = subscriptions.clone().with_default(Consistency::Weak).unwrap();
        let asked = |subscriptions: &Subscriptions| {
            let sources = subscriptions.sources();
            sources.iter().map(|from| subscriptions.consistency_of(from)).collect::<Vec<_>>()
        };
        assert_eq!(asked(&weak), [Consistency::Weak, Consistency::Global]);
        assert_eq!(weak.orders(), [From::order_of("crowdtap")]);
        assert_eq!(weak.orders()[0].binding(), "crowdtap.*");
        let bareback = subscriptions.with_default(Consistency::None).unwrap();
        assert_eq!(asked(&bareback), [Consistency::None, Consistency::None]);
        assert_eq!(bareback.orders(), []);
    }

    #[test]
    fn a_total_order_is_of_what_has_the_app_s_own_name() {
        let endpoints = ["crowdtap/user", "staff/user"].map(|text| Endpoint::parse(text).unwrap());
        assert!(check_total_order("crowdtap", &endpoints[..1]).is_ok());
        let refused = check_total_order("crowdtap", &endpoints).unwrap_err().to_string();
        assert!(refused.contains("publish it as `crowdtap/user`"), "{refused}");
    }

    #[test]
    fn an_endpoint_has_one_consistency_and_a_total_order_is_one_app_s() {
        for second in ["crowdtap/user", "user", "*/user"] {
            let two = Subscriptions::new(vec![
                asking("crowdtap/user", Some(Consistency::Weak)),
                asking(second, None),
            ]);
            assert!(two.clone().with_default(Consistency::Weak).is_ok());
            let refused = two.with_default(Consistency::Causal).unwrap_err().to_string();
            assert!(
                refused.contains("`weak` and `causal`") && refused.contains("crowdtap/user"),
                "{refused}"
            );
        }
        let apart = vec![asking("crowdtap/user", Some(Consistency::Weak)), asking("accounts/user", None)];
        assert!(Subscriptions::new(apart).with_default(Consistency::Global).is_ok());
        let any = Subscriptions::new(vec![asking("user", None)]);
        let refused = any.with_default(Consistency::Global).unwrap_err().to_string();
        assert!(refused.contains("from = \"app/user\""), "{refused}");
    }
}
