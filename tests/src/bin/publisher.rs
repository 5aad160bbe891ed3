//! An app that writes what its arguments say, one after the other, and prints each when it is committed:
//!
//! * `create:1` a counter, `increment:1` it, `destroy:1` it,
//! * `both:1` increments the counters 1 and 2 in one transaction,
//! * `roll-back:1` increments it, and thinks better of it.
//!
//! Then it says `idle`, and publishes what is in hand when it is told to end by SIGTERM.

use std::time::Duration;

use promiscuous_seaorm::{Context, Promiscuous, PromiscuousConnection};
use promiscuous_tests::entities::publishing::counter;
use promiscuous_tests::{apps, deaths};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ActiveModelTrait, ColumnTrait, ConnectionTrait, Database, EntityTrait, QueryFilter, Set};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    deaths::stand_still_where_told();
    let mut terminated = signal(SignalKind::terminate()).expect("Signals can be listened to.");
    let promiscuous = Promiscuous::from_environment().expect("The environment configures the app.");
    let url = promiscuous.config().database_url.clone().expect("DATABASE_URL is set.");
    let db = Database::connect(url.expose()).await.expect("The database is there.");
    let promiscuous = promiscuous.models(apps::published()).publisher_settings(apps::in_a_hurry);
    let db = promiscuous.wrap(db).await.expect("The app starts.");
    println!("started");
    for argument in std::env::args().skip(1) {
        let written = Context::new(argument.clone()).scope(Box::pin(write(&db, &argument))).await;
        match written {
            Ok(()) => println!("done {argument}"),
            Err(error) => println!("failed {argument}: {error}"),
        }
    }
    println!("idle");
    terminated.recv().await;
    db.publisher().expect("It publishes.").shut_down(Duration::from_secs(5)).await;
}

async fn write(db: &PromiscuousConnection, what: &str) -> Result<(), sea_orm::DbErr> {
    let (what, id) = what.split_once(':').expect("Arguments are written what:id.");
    let id: i64 = id.parse().expect("An id is a number.");
    match what {
        "create" => counter::ActiveModel { id: Set(id), n: Set(0) }.insert(db).await.map(|_| ()),
        "increment" => increment(db, id).await,
        "destroy" => counter::Entity::delete_by_id(id).exec(db).await.map(|_| ()),
        "both" => {
            let transaction = db.begin().await?;
            increment(&transaction, 1).await?;
            increment(&transaction, 2).await?;
            transaction.commit().await
        }
        "roll-back" => {
            let transaction = db.begin().await?;
            increment(&transaction, id).await?;
            transaction.rollback().await
        }
        other => panic!("It cannot {other:?}."),
    }
}

async fn increment(db: &impl ConnectionTrait, id: i64) -> Result<(), sea_orm::DbErr> {
    let more = counter::Column::N.into_expr().add(1);
    let update = counter::Entity::update_many().col_expr(counter::Column::N, more);
    update.filter(counter::Column::Id.eq(id)).exec(db).await.map(|_| ())
}
