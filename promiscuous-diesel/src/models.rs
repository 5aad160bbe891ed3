//! Which models an app publishes and subscribes to.

use std::sync::Arc;

use promiscuous_core::error::Error;
use promiscuous_core::registry::{check_published, check_subscribed, check_tables};

use crate::backend::PromiscuousBackend;
use crate::model::{PublishOn, PublishedModel, PublishedModels};
use crate::publication::describe;
use crate::subscription::{Callbacks, SubscribeDeclaration, SubscribeOn, SubscribedModel, SubscribedModels};

/// Describes a published model for the app of this name.
type Published<DB> = fn(&str) -> Result<PublishedModel<DB>, Error>;
/// Describes a subscribed model.
type Subscribed<DB> = Arc<dyn Fn() -> Result<SubscribedModel<DB>, Error> + Send + Sync>;

/// The models that an app replicates over one backend.
///
/// By default that is every struct of the program that derives [`Publish`](crate::model::Publish) or
/// [`Subscribe`](crate::subscription::Subscribe), so that none can be forgotten. A program that hosts more than one app names them
/// instead:
#[cfg_attr(feature = "sqlite", doc = "```")]
#[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
/// # use diesel::prelude::*;
/// # use promiscuous_diesel::{Publish, Subscribe};
/// # diesel::table! { users (id) { id -> BigInt, name -> Text, } }
/// # #[derive(Queryable, Selectable, Publish, Subscribe)]
/// # #[diesel(table_name = users)]
/// # #[publish(attributes(name))]
/// # #[subscribe(attributes(name))]
/// # struct User { id: i64, name: String }
/// use diesel::sqlite::Sqlite;
/// use promiscuous_diesel::Models;
///
/// let crowdtap = Models::<Sqlite>::new().publish::<User>();
/// let sniper = Models::<Sqlite>::new().subscribe::<User>();
/// assert_eq!(crowdtap.published("crowdtap")?.iter().count(), 1);
/// assert!(sniper.subscribed()?.subscriptions().wants("crowdtap/user"));
/// # Ok::<(), promiscuous_diesel::Error>(())
/// ```
pub struct Models<DB: PromiscuousBackend> {
    /// In the order they were added.
    published: Vec<Published<DB>>,
    /// In the order they were added, which is also the order of core's subscriptions.
    subscribed: Vec<Subscribed<DB>>,
}

impl<DB: PromiscuousBackend> Models<DB> {
    /// None yet.
    pub fn new() -> Self {
        Self { published: Vec::new(), subscribed: Vec::new() }
    }

    /// Every struct of the program that derives [`Publish`](crate::model::Publish) or
    /// [`Subscribe`](crate::subscription::Subscribe) for this backend.
    pub fn of_this_program() -> Self {
        // The linker's order is none; sorted, two builds of one program agree.
        let mut published = DB::derived_publish();
        published.sort_by_key(|derived| (derived.model)());
        let mut subscribed = DB::derived_subscribe();
        subscribed.sort_by_key(|derived| (derived.model)());
        Self {
            published: published.into_iter().map(|derived| derived.describe).collect(),
            subscribed: subscribed
                .into_iter()
                .map(|derived| Arc::new(derived.describe) as Subscribed<DB>)
                .collect(),
        }
    }

    /// Publishes this model too.
    #[must_use]
    pub fn publish<M: PublishOn<DB>>(mut self) -> Self {
        self.published.push(describe::<DB, M>);
        self
    }

    /// Subscribes this model too.
    #[must_use]
    pub fn subscribe<M: SubscribeOn<DB> + Callbacks<DB>>(mut self) -> Self {
        self.subscribed.push(Arc::new(SubscribedModel::of::<M>));
        self
    }

    /// Subscribes this model too, to an endpoint that is only known at run time: where the publishing app has another name in each
    /// environment. It takes the place of the declaration's `from`.
    #[must_use]
    pub fn subscribe_from<M: SubscribeOn<DB> + Callbacks<DB>>(self, endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into();
        self.subscribe_with::<M>(move |declaration| declaration.from = Some(endpoint.clone()))
    }

    /// Subscribes this model too, to what its declaration says but for what is changed here: its name, `from` and consistency.
    #[must_use]
    pub fn subscribe_with<M: SubscribeOn<DB> + Callbacks<DB>>(
        mut self,
        change: impl Fn(&mut SubscribeDeclaration) + Send + Sync + 'static,
    ) -> Self {
        self.subscribed.push(Arc::new(move || {
            let mut declaration = M::declaration();
            change(&mut declaration);
            SubscribedModel::declared::<M>(declaration)
        }));
        self
    }

    /// The published models of an app.
    ///
    /// # Errors
    /// [`Error::EndpointTwice`] when two models claim one endpoint, [`Error::Configuration`] when two are kept in one table,
    /// and whatever [`describe`] finds wrong with one of them.
    pub fn published(&self, app: &str) -> Result<PublishedModels<DB>, Error> {
        let models = self.published.iter().map(|describe| describe(app)).collect::<Result<Vec<_>, _>>()?;
        check_published(&models.iter().map(|model| model.endpoint.clone()).collect::<Vec<_>>())?;
        let tables = models
            .iter()
            .map(|model| (&model.endpoint, model.table.schema.as_deref(), model.table.name.as_str()));
        check_tables(&tables.collect::<Vec<_>>())?;
        Ok(PublishedModels::new(models))
    }

    /// The subscribed models.
    ///
    /// # Errors
    /// [`Error::Configuration`] when two models want the same type of the same endpoint, since one of them would get nothing,
    /// and whatever [`SubscribedModel::of`] finds wrong with one of them.
    pub fn subscribed(&self) -> Result<SubscribedModels<DB>, Error> {
        let models = self.subscribed.iter().map(|describe| describe()).collect::<Result<Vec<_>, _>>()?;
        check_subscribed(
            &models.iter().map(|model| (&model.subscription, model.table.as_str())).collect::<Vec<_>>(),
        )?;
        Ok(SubscribedModels::new(models))
    }
}

// Derived, they would ask the same of the backend.
impl<DB: PromiscuousBackend> Clone for Models<DB> {
    fn clone(&self) -> Self {
        Self { published: self.published.clone(), subscribed: self.subscribed.clone() }
    }
}

impl<DB: PromiscuousBackend> Default for Models<DB> {
    fn default() -> Self {
        Self::new()
    }
}

/// A model whose derive registered it for publishing over one backend.
pub struct DerivedPublish<DB: PromiscuousBackend> {
    /// The struct's Rust path, to sort by.
    model: fn() -> &'static str,
    /// Describes it.
    describe: Published<DB>,
}

impl<DB: PromiscuousBackend> DerivedPublish<DB> {
    /// For `inventory::submit!`.
    pub const fn of<M: PublishOn<DB>>() -> Self {
        Self { model: std::any::type_name::<M>, describe: describe::<DB, M> }
    }
}

/// A model whose derive registered it for subscribing over one backend.
pub struct DerivedSubscribe<DB: PromiscuousBackend> {
    /// The struct's Rust path, to sort by.
    model: fn() -> &'static str,
    /// Describes it.
    describe: fn() -> Result<SubscribedModel<DB>, Error>,
}

impl<DB: PromiscuousBackend> DerivedSubscribe<DB> {
    /// For `inventory::submit!`.
    pub const fn of<M: SubscribeOn<DB> + Callbacks<DB>>() -> Self {
        Self { model: std::any::type_name::<M>, describe: SubscribedModel::of::<M> }
    }
}
