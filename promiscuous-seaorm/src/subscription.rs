//! A subscribed entity: what it declares, and what the rest of the adapter sees of it.

use std::sync::Arc;

use promiscuous_core::apply::{Unfit, set_virtual};
use promiscuous_core::consistency::Consistency;
use promiscuous_core::database::ApplyError;
use promiscuous_core::error::Error;
use promiscuous_core::naming::endpoint_name;
use promiscuous_core::operation::Operation;
use promiscuous_core::registry::{From, Subscription, Subscriptions};
use sea_orm::{EntityTrait, IntoActiveModel};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::applier::{AnyPlan, ApplyOptions, Plan};

pub use promiscuous_core::apply::SetterResult;

/// The connection that operations are applied on: the caller's open transaction.
pub type ApplyConnection = crate::transaction::PromiscuousTransaction;

/// An entity whose rows can be read, changed and written by code that knows nothing else of it. Every entity that SeaORM's derive
/// makes is one.
pub trait Writable:
    EntityTrait<Model: IntoActiveModel<Self::ActiveModel> + Send + Sync, ActiveModel: Send>
{
}

impl<E> Writable for E where
    E: EntityTrait<Model: IntoActiveModel<E::ActiveModel> + Send + Sync, ActiveModel: Send>
{
}

/// What `#[derive(Subscribe)]` says about an entity. Implemented by the derive; write it by hand only in the same way.
///
/// # The derive
/// It stands on the `Model`, below `#[sea_orm::model]` where that is used:
/// ```
/// mod user {
///     use promiscuous_seaorm::Subscribe;
///     use sea_orm::Set;
///     use sea_orm::entity::prelude::*;
///
///     #[sea_orm::model]
///     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Subscribe)]
///     #[sea_orm(table_name = "users")]
///     #[subscribe(from = "crowdtap/user", attributes(email), virtual_attributes(full_name))]
///     pub struct Model {
///         #[sea_orm(primary_key)]
///         pub id: i64,
///         pub email: String,
///         pub greeting: String,
///     }
///
///     impl ActiveModel {
///         fn set_full_name(&mut self, full_name: String) {
///             self.greeting = Set(format!("Hello {full_name}"));
///         }
///     }
///
///     // Its hooks run for every change that arrives.
///     impl ActiveModelBehavior for ActiveModel {}
/// }
/// ```
/// * `attributes(…)`: the fields to fill; or `#[subscribe]` on each of them.
/// * `virtual_attributes(…)`: handed to a method `set_…` of the `ActiveModel`, which takes a reference to itself and anything that
///   serde can deserialize, and returns nothing or a `Result`.
/// * `from = "app/model"`: the endpoint; by default any app's, with the model's name in snake case. `from = "model"` is any app's.
/// * `as = "User"`: the published type it stands for; by default the entity's module in upper camel case (`mod user` is `User`).
/// * `foreign_key = "crowdtap_id"`: the field that keeps the publisher's id, when the local primary key is its own.
/// * `consistency = "weak"`: how much order its messages want, `causal`, `weak` or `global`; by default what the app's configuration says.
///   Weak ones wait for nothing, and of each object only newer versions are applied. Global ones (of one app, which must be named in
///   `from`) are applied one after the other, in the order in which they were written. docs/guarantees.md has the fine print.
pub trait Subscribe: Writable {
    /// Names, columns and setters.
    fn declaration() -> SubscribeDeclaration<Self>;
}

/// The declaration of a subscribed entity.
pub struct SubscribeDeclaration<E: EntityTrait> {
    /// The published type it stands for, such as `User`: from `as`, else from the entity's module.
    pub name: String,
    /// Whether the name was given with `as`: then no other type of the endpoint is taken.
    pub named: bool,
    /// Where messages come from; otherwise any app's endpoint with the name in snake case.
    pub from: Option<String>,
    /// The wanted attributes and the columns they go to.
    pub attributes: Vec<(&'static str, E::Column)>,
    /// The wanted attributes that go through setters.
    pub virtual_attributes: Vec<VirtualAttribute<E>>,
    /// The column that keeps the publisher's id, when that is not the primary key.
    pub foreign_key: Option<E::Column>,
    /// How much order its messages want; otherwise what the app's configuration says.
    pub consistency: Option<Consistency>,
}

/// An attribute that goes through a setter.
pub struct VirtualAttribute<E: EntityTrait> {
    /// The attribute.
    pub(crate) name: &'static str,
    /// Reads the value and calls the setter.
    pub(crate) set: Arc<SetFromJson<E::ActiveModel>>,
}

/// Reads an attribute's value and hands it to a setter.
type SetFromJson<A> = dyn Fn(&mut A, &Json) -> Result<(), Unfit> + Send + Sync;

impl<E: EntityTrait> VirtualAttribute<E> {
    /// An attribute that is handed to `setter`, as the type that it takes.
    pub fn new<T, R, F>(name: &'static str, setter: F) -> Self
    where
        T: DeserializeOwned,
        R: SetterResult,
        F: Fn(&mut E::ActiveModel, T) -> R + Send + Sync + 'static,
    {
        let set = move |model: &mut E::ActiveModel, value: &Json| {
            set_virtual(value, |value: T| setter(model, value))
        };
        Self { name, set: Arc::new(set) }
    }
}

/// A subscribed model, whatever its entity.
#[derive(Clone)]
pub struct SubscribedModel {
    /// What core resolves operations by.
    pub subscription: Subscription,
    /// Where it is stored, for messages to people.
    pub table: String,
    /// How its rows are written and read.
    plan: Arc<dyn AnyPlan>,
}

impl SubscribedModel {
    /// The model of an entity that says itself what it wants.
    ///
    /// # Errors
    /// See [`SubscribedModel::declared`].
    pub fn of<E: Subscribe>() -> Result<Self, Error> {
        Self::declared(E::declaration())
    }

    /// The model of an entity, as declared here.
    ///
    /// # Errors
    /// [`Error::Name`] when `from` is no endpoint, [`Error::Configuration`] when a column holds values that cannot be received.
    pub fn declared<E: Writable>(declaration: SubscribeDeclaration<E>) -> Result<Self, Error> {
        let from = declaration.from.clone().unwrap_or_else(|| endpoint_name(&declaration.name));
        let subscription = Subscription {
            from: From::parse(&from)?,
            type_name: declaration.name.clone(),
            named: declaration.named,
            consistency: declaration.consistency,
        };
        let plan = Arc::new(Plan::new(declaration)?);
        Ok(Self { subscription, table: E::default().table_name().to_owned(), plan })
    }
}

/// The subscribed models of an app.
#[derive(Clone, Default)]
pub struct SubscribedModels {
    /// By position, as core resolves them.
    models: Arc<Vec<SubscribedModel>>,
    /// The same, for core.
    subscriptions: Subscriptions,
}

impl SubscribedModels {
    /// From models and core's subscriptions, in the same order.
    pub(crate) fn new(models: Vec<SubscribedModel>, subscriptions: Subscriptions) -> Self {
        Self { models: Arc::new(models), subscriptions }
    }

    /// What core binds queues by and resolves operations with.
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &SubscribedModel> {
        self.models.iter()
    }

    /// How the rows of the model at a position are written and read.
    pub(crate) fn plan(&self, position: usize) -> Option<&dyn AnyPlan> {
        self.models.get(position).map(|model| model.plan.as_ref())
    }

    /// Applies an operation to the model that takes it; one of an endpoint that is not subscribed is left alone.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply(
        &self,
        db: &ApplyConnection,
        operation: &Operation,
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        let position = self.subscriptions.resolve(operation)?;
        match position.and_then(|position| self.plan(position)) {
            Some(plan) => plan.apply(db, operation, options).await,
            None => Ok(()),
        }
    }

    /// Applies operations that send objects again, with their attributes and each another one, in their order.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply_all(
        &self,
        db: &ApplyConnection,
        operations: &[&Operation],
        options: ApplyOptions,
    ) -> Result<(), ApplyError> {
        let mut rest = operations;
        while !rest.is_empty() {
            let (position, count) = self.subscriptions.resolve_alike(rest)?;
            let (alike, others) = rest.split_at(count);
            if let Some(plan) = position.and_then(|position| self.plan(position)) {
                plan.apply_all(db, alike, options).await?;
            }
            rest = others;
        }
        Ok(())
    }
}
