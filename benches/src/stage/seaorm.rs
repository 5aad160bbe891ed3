//! Apps with SeaORM.

use promiscuous_core::subscriber::Subscriber;
use promiscuous_seaorm::{Models, Promiscuous, PromiscuousConnection};
use sea_orm::DatabaseConnection;

use super::{Mailer, Wanted, config};
use crate::Outcome;
use crate::databases::{Kind, pool};
use crate::models::seaorm::{mailer, shop};

/// A publishing app with a database of its own name, and the pool that it wraps.
pub async fn publisher(
    kind: Kind,
    app: &str,
    connections: u32,
) -> Outcome<(PromiscuousConnection, DatabaseConnection)> {
    let db = pool(&kind.create(app).await?, connections).await?;
    let models = Models::new().publish::<shop::author::Entity>().publish::<shop::post::Entity>();
    let promiscuous = Promiscuous::new(config(app, 1)?)?.models(models);
    promiscuous.migrate(&db).await?;
    Ok((promiscuous.wrap(db.clone()).await?, db))
}

/// A subscriber that does not run yet.
pub(super) async fn subscriber(mailer: &Mailer) -> Outcome<Subscriber> {
    let Mailer { app, kind, workers, from, wanted, .. } = mailer;
    // One for each worker, and two for what is looked up beside them.
    let db = pool(&kind.create(app).await?, *workers as u32 + 2).await?;
    let mut models = Models::new().subscribe_from::<mailer::post::Entity>(format!("{from}/post"));
    if *wanted == Wanted::Both {
        models = models.subscribe_from::<mailer::author::Entity>(format!("{from}/author"));
    }
    let promiscuous = Promiscuous::new(config(app, *workers)?)?.models(models);
    promiscuous.migrate(&db).await?;
    Ok(promiscuous.subscriber(&promiscuous.wrap(db).await?)?)
}
