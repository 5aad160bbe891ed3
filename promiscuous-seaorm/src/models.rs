//! Which entities an app publishes and subscribes to.

use std::sync::Arc;

use promiscuous_core::error::Error;
use promiscuous_core::registry::{Subscriptions, check_published, check_subscribed, check_tables};

use crate::model::{Publish, PublishedModel, PublishedModels};
use crate::publication::describe;
use crate::subscription::{Subscribe, SubscribeDeclaration, SubscribedModel, SubscribedModels};

/// Describes a published model for the app of this name.
type Published = Arc<dyn Fn(&str) -> Result<PublishedModel, Error> + Send + Sync>;
/// Describes a subscribed model.
type Subscribed = Arc<dyn Fn() -> Result<SubscribedModel, Error> + Send + Sync>;

/// The entities that an app replicates.
///
/// By default that is every entity of the program that derives [`Publish`] or [`Subscribe`], so that none can be
/// forgotten. A program that hosts more than one app names them instead:
/// ```
/// # mod user {
/// #     use promiscuous_seaorm::{Publish, Subscribe};
/// #     use sea_orm::entity::prelude::*;
/// #     #[sea_orm::model]
/// #     #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Publish, Subscribe)]
/// #     #[sea_orm(table_name = "users")]
/// #     #[publish(attributes(name))]
/// #     #[subscribe(attributes(name))]
/// #     pub struct Model {
/// #         #[sea_orm(primary_key)]
/// #         pub id: i64,
/// #         pub name: String,
/// #     }
/// #     impl ActiveModelBehavior for ActiveModel {}
/// # }
/// use promiscuous_seaorm::Models;
///
/// let crowdtap = Models::new().publish::<user::Entity>();
/// let sniper = Models::new().subscribe::<user::Entity>();
/// assert_eq!(crowdtap.published("crowdtap")?.iter().count(), 1);
/// assert!(sniper.subscribed()?.subscriptions().wants("crowdtap/user"));
/// # Ok::<(), promiscuous_core::error::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Models {
    /// In the order they were added.
    published: Vec<Published>,
    /// In the order they were added, which is also the order of core's subscriptions.
    subscribed: Vec<Subscribed>,
}

impl Models {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every entity of the program that derives [`Publish`] or [`Subscribe`].
    pub fn of_this_program() -> Self {
        // The linker's order is none; sorted, two builds of one program agree.
        let mut published: Vec<_> = inventory::iter::<DerivedPublish>().collect();
        published.sort_by_key(|derived| (derived.entity)());
        let mut subscribed: Vec<_> = inventory::iter::<DerivedSubscribe>().collect();
        subscribed.sort_by_key(|derived| (derived.entity)());
        Self {
            published: published.into_iter().map(|derived| Arc::new(derived.describe) as Published).collect(),
            subscribed: subscribed
                .into_iter()
                .map(|derived| Arc::new(derived.describe) as Subscribed)
                .collect(),
        }
    }

    /// Publishes this entity too.
    #[must_use]
    pub fn publish<E: Publish>(mut self) -> Self {
        self.published.push(Arc::new(describe::<E>));
        self
    }

    /// Subscribes this entity too.
    #[must_use]
    pub fn subscribe<E: Subscribe>(mut self) -> Self {
        self.subscribed.push(Arc::new(SubscribedModel::of::<E>));
        self
    }

    /// Subscribes this entity too, to an endpoint that is only known at run time: where the publishing app has another name
    /// in each environment. It takes the place of the declaration's `from`.
    #[must_use]
    pub fn subscribe_from<E: Subscribe>(self, endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into();
        self.subscribe_with::<E>(move |declaration| declaration.from = Some(endpoint.clone()))
    }

    /// Subscribes this entity too, to what its declaration says but for what is changed here.
    #[must_use]
    pub fn subscribe_with<E: Subscribe>(
        mut self,
        change: impl Fn(&mut SubscribeDeclaration<E>) + Send + Sync + 'static,
    ) -> Self {
        self.subscribed.push(Arc::new(move || {
            let mut declaration = E::declaration();
            change(&mut declaration);
            SubscribedModel::declared(declaration)
        }));
        self
    }

    /// The published models of an app.
    ///
    /// # Errors
    /// [`Error::EndpointTwice`] when two models claim one endpoint, [`Error::Configuration`] when two are kept in one table,
    /// and whatever [`describe`] finds wrong with one of them.
    pub fn published(&self, app: &str) -> Result<PublishedModels, Error> {
        let models = self.published.iter().map(|describe| describe(app)).collect::<Result<Vec<_>, _>>()?;
        check_published(&models.iter().map(|model| model.endpoint.clone()).collect::<Vec<_>>())?;
        // SeaORM's statements are understood by the table's name alone: two schemas do not help.
        check_tables(
            &models.iter().map(|model| (&model.endpoint, None, model.table.as_str())).collect::<Vec<_>>(),
        )?;
        Ok(PublishedModels::new(models))
    }

    /// The subscribed models.
    ///
    /// # Errors
    /// [`Error::Configuration`] when two models want the same type of the same endpoint, since one of them would get nothing,
    /// and whatever [`SubscribedModel::of`] finds wrong with one of them.
    pub fn subscribed(&self) -> Result<SubscribedModels, Error> {
        let models = self.subscribed.iter().map(|describe| describe()).collect::<Result<Vec<_>, _>>()?;
        check_subscribed(
            &models.iter().map(|model| (&model.subscription, model.table.as_str())).collect::<Vec<_>>(),
        )?;
        let subscriptions =
            Subscriptions::new(models.iter().map(|model| model.subscription.clone()).collect());
        Ok(SubscribedModels::new(models, subscriptions))
    }
}

/// An entity whose derive registered it for publishing.
pub struct DerivedPublish {
    /// The entity's Rust path, to sort by.
    entity: fn() -> &'static str,
    /// Describes it.
    describe: fn(&str) -> Result<PublishedModel, Error>,
}

impl DerivedPublish {
    /// For `inventory::submit!`.
    pub const fn of<E: Publish>() -> Self {
        Self { entity: std::any::type_name::<E>, describe: describe::<E> }
    }
}

inventory::collect!(DerivedPublish);

/// An entity whose derive registered it for subscribing.
pub struct DerivedSubscribe {
    /// The entity's Rust path, to sort by.
    entity: fn() -> &'static str,
    /// Describes it.
    describe: fn() -> Result<SubscribedModel, Error>,
}

impl DerivedSubscribe {
    /// For `inventory::submit!`.
    pub const fn of<E: Subscribe>() -> Self {
        Self { entity: std::any::type_name::<E>, describe: SubscribedModel::of::<E> }
    }
}

inventory::collect!(DerivedSubscribe);
