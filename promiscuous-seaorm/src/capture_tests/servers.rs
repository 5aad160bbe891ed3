//! The same on servers, where rows are locked. Runs where `TEST_POSTGRES_URL` or `TEST_MARIADB_URL` names a server, with a
//! user who may create databases.

use std::time::Duration;

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ColumnDef, Expr, OnConflict, Table};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, IntoActiveModel,
    PaginatorTrait, Set, TransactionTrait,
};

use super::{Bakery, cake as named, coded, fruit as fruit_named, known, said};
use crate::fixtures::{cake, cake_filling, filling, fruit};
use promiscuous_core::capture::CaptureSettings;

/// A database of its own on the server, if there is one.
async fn served(variable: &str) -> Option<Bakery> {
    let url = database(variable).await?;
    Some(Bakery::equipped(pool(&url, 5).await, CaptureSettings::default()).await)
}

/// A pool that fails the test, when it does not recover, before the runner loses its patience.
pub(crate) async fn pool(url: &str, connections: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).sqlx_logging(false).acquire_timeout(Duration::from_secs(60));
    Database::connect(options).await.unwrap()
}

/// The address of a new database on the server, if there is one.
pub(crate) async fn database(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok()?;
    let name = format!("capture_{}", uuid::Uuid::now_v7().simple());
    let server = Database::connect(&url).await.unwrap();
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let base = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base);
    Some(format!("{base}/{name}"))
}

#[tokio::test]
async fn postgres_publishes_what_it_commits() {
    let Some(bakery) = served("TEST_POSTGRES_URL").await else { return };
    let db = &bakery.db;
    common(&bakery).await;
    cake::Entity::insert_many([named("p"), named("q")]).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/51 p; create cake/52 q"]);
    let refused = said(cake::Entity::insert(named("r")).exec_without_returning(db).await);
    assert!(refused.contains("refused before it ran"), "{refused}");
    // A statement that fails spoils PostgreSQL's whole transaction, and COMMIT only pretends to succeed.
    let transaction = db.begin().await.unwrap();
    named("lost").insert(&transaction).await.unwrap();
    assert!(known(51, "twice").insert(&transaction).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert!(bakery.published().is_empty());
    assert_eq!(bakery.settled(), 1);
}

#[tokio::test]
async fn mariadb_publishes_what_it_commits() {
    let Some(bakery) = served("TEST_MARIADB_URL").await else { return };
    let db = &bakery.db;
    common(&bakery).await;
    let first =
        cake::Entity::insert_many([named("p"), named("q")]).exec(db).await.unwrap().last_insert_id.unwrap();
    assert_eq!(
        bakery.published(),
        [format!("create cake/{first} p; create cake/{} q", first + 1)],
        "for several rows MariaDB tells the first key"
    );
    db.execute_unprepared("SET @@auto_increment_increment = 1").await.unwrap();
    let ignored = OnConflict::new().do_nothing_on([cake::Column::Id]).to_owned();
    let again = cake::Entity::insert(coded("again", "c")).on_conflict(ignored.clone());
    again.exec_without_returning(db).await.unwrap();
    cake::Entity::insert(coded("fresh", "d")).on_conflict(ignored).exec_without_returning(db).await.unwrap();
    let fresh =
        cake::Entity::find().filter(cake::Column::Code.eq("d")).one(bakery.plain()).await.unwrap().unwrap();
    let mut published = bakery.published();
    assert_eq!(published.pop().unwrap(), format!("update cake/{} fresh", fresh.id));
    // Whether MariaDB tells the key of the row in the way is its own affair: that is published as it is.
    assert!(published.iter().all(|message| message == "update cake/40 by code"), "{published:?}");
    let elsewhere = OnConflict::column(cake::Column::Id).update_column(cake::Column::Name).to_owned();
    let clash = cake::ActiveModel { id: Set(900), ..coded("clash", "d") };
    let astray = said(cake::Entity::insert(clash).on_conflict(elsewhere).exec(db).await);
    assert!(astray.contains("another unique index"), "{astray}");
    assert!(bakery.published().is_empty());
    let unchanged = cake::Entity::find_by_id(fresh.id).one(bakery.plain()).await.unwrap().unwrap();
    assert_eq!(unchanged.name, "fresh");
}

/// What works the same everywhere.
async fn common(bakery: &Bakery) {
    let db = &bakery.db;
    let one = named("one").insert(db).await.unwrap();
    let mut active = one.clone().into_active_model();
    active.name = Set("uno".into());
    active.clone().update(db).await.unwrap();
    active.name = Set("eins".into());
    active.update_without_returning(db).await.unwrap();
    cake::Entity::insert(known(40, "forty")).exec_without_returning(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["create cake/1 one", "update cake/1 uno", "update cake/1 eins", "create cake/40 forty"]
    );
    let rename = cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x"));
    assert_eq!(rename.filter(cake::Column::Id.gt(0)).exec(db).await.unwrap().rows_affected, 2);
    cake::Entity::delete_by_id(1).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/1 x; update cake/40 x", "destroy cake/1"]);

    fruit_named(7, "kiwi").insert(db).await.unwrap();
    let greens = fruit::Entity::update_many().col_expr(fruit::Column::Name, Expr::value("y"));
    greens.filter(fruit::Column::Name.eq("kiwi")).exec(db).await.unwrap();
    fruit::Entity::delete_many().filter(fruit::Column::Name.eq("y")).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["create fruit/7 kiwi", "update fruit/7 y", "destroy fruit/7"]);

    let upsert = || OnConflict::column(cake::Column::Id).update_column(cake::Column::Name).to_owned();
    let by_code = OnConflict::column(cake::Column::Code).update_column(cake::Column::Name).to_owned();
    let nothing = OnConflict::column(cake::Column::Id).do_nothing_on([cake::Column::Id]).to_owned();
    cake::Entity::insert(cake::ActiveModel { id: Set(40), ..coded("again", "c") })
        .on_conflict(
            OnConflict::column(cake::Column::Id)
                .update_columns([cake::Column::Name, cake::Column::Code])
                .to_owned(),
        )
        .exec_without_returning(db)
        .await
        .unwrap();
    cake::Entity::insert(coded("by code", "c"))
        .on_conflict(by_code)
        .exec_without_returning(db)
        .await
        .unwrap();
    cake::Entity::insert_many([known(40, "z"), known(50, "fifty")])
        .on_conflict(nothing)
        .exec_without_returning(db)
        .await
        .unwrap();
    assert_eq!(
        bakery.published(),
        ["update cake/40 again", "update cake/40 by code", "create cake/50 fifty"]
    );
    cake::Entity::insert(known(50, "FIFTY")).on_conflict(upsert()).exec(db).await.unwrap();
    assert_eq!(bakery.published(), ["update cake/50 FIFTY"]);
    if db.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared("SELECT setval('cake_id_seq', 50)").await.unwrap();
    }

    let jam =
        filling::ActiveModel { name: Set("jam".into()), ..Default::default() }.insert(db).await.unwrap();
    let link =
        cake_filling::ActiveModel { cake_id: Set(40), filling_id: Set(jam.id) }.insert(db).await.unwrap();
    link.delete(db).await.unwrap();
    assert_eq!(
        bakery.published(),
        ["create filling/1 jam", "create cake_filling/40,1", "destroy cake_filling/40,1"]
    );
    assert_eq!(cake::Entity::find().count(db).await.unwrap(), 2);
    concurrent(bakery).await;
}

/// Two statements that want the same row: the second sees it as the first left it.
async fn concurrent(bakery: &Bakery) {
    let first = bakery.db.begin().await.unwrap();
    known(40, "first").update(&first).await.unwrap();
    let db = bakery.db.clone();
    let second = tokio::spawn(async move {
        let all =
            cake::Entity::update_many().col_expr(cake::Column::Code, Expr::value(Option::<String>::None));
        all.filter(cake::Column::Name.eq("first")).exec(&db).await
    });
    stuck(bakery, &second).await;
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    let late = bakery.db.begin().await.unwrap();
    known(40, "rolled back").update(&late).await.unwrap();
    let db = bakery.db.clone();
    let waiting = tokio::spawn(async move { known(40, "by code").update_without_returning(&db).await });
    stuck(bakery, &waiting).await;
    late.rollback().await.unwrap();
    waiting.await.unwrap().unwrap();
    let published = bakery.published();
    assert_eq!(published.first().map(String::as_str), Some("update cake/40 first"));
    assert_eq!(published.last().map(String::as_str), Some("update cake/40 by code"));
    let restore = cake::Entity::update_many().col_expr(cake::Column::Code, Expr::value("c"));
    restore.filter(cake::Column::Id.eq(40)).exec(bakery.plain()).await.unwrap();
}

#[tokio::test]
async fn a_mariadb_transaction_that_lost_a_deadlock_publishes_nothing() {
    let Some(bakery) = served("TEST_MARIADB_URL").await else { return };
    bakery.bake(&["a", "b"]).await;
    let first = bakery.db.begin().await.unwrap();
    let second = bakery.db.begin().await.unwrap();
    known(1, "first").update(&first).await.unwrap();
    known(2, "second").update(&second).await.unwrap();
    let waiting = tokio::spawn(async move { (known(1, "second").update(&second).await, second) });
    stuck(&bakery, &waiting).await;
    let first = (known(2, "first").update(&first).await, first);
    let second = waiting.await.unwrap();
    assert_ne!(first.0.is_ok(), second.0.is_ok(), "one of them is the victim");
    let (victim, winner) = if first.0.is_ok() { (second.1, first.1) } else { (first.1, second.1) };
    // The server rolled all of it back, and would now commit each statement by itself.
    assert!(said(named("late").insert(&victim).await).contains("roll it back"));
    assert!(said(victim.commit().await).contains("roll it back"));
    winner.commit().await.unwrap();
    let cakes = bakery.cakes().await;
    assert_eq!(cakes[0], cakes[1], "what the winner wrote");
    assert_eq!(cakes.len(), 2, "{cakes:?}");
    assert_eq!(bakery.outbox().await, 1);
    let published = bakery.published();
    assert_eq!(published.len(), 1, "{published:?}");
    let mut operations: Vec<_> = published[0].split("; ").collect();
    operations.sort_unstable();
    assert_eq!(operations, [1, 2].map(|id| format!("update cake/{id} {}", cakes[0])));
}

#[tokio::test]
async fn a_definition_on_mariadb_does_not_commit_published_rows() {
    let Some(bakery) = served("TEST_MARIADB_URL").await else { return };
    let define = "CREATE TABLE pans (id INT PRIMARY KEY)";
    // when it comes after a published write, then it is refused, and the write is published with its transaction;
    let transaction = bakery.db.begin().await.unwrap();
    named("before").insert(&transaction).await.unwrap();
    let refused = said(transaction.execute_unprepared(define).await);
    assert!(refused.contains("refused before it ran: MySQL would commit"), "{refused}");
    let built = Table::create().table("pans").col(ColumnDef::new("id").integer().primary_key()).to_owned();
    let refused = said(transaction.execute(&built).await);
    assert!(refused.contains("refused before it ran: MySQL would commit"), "{refused}");
    transaction.execute_unprepared("CREATE TEMPORARY TABLE pots (id INT)").await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 before"]);
    // when it comes before one, then that is refused: the database would commit it at once.
    let transaction = bakery.db.begin().await.unwrap();
    transaction.execute_unprepared(define).await.unwrap();
    let refused = said(named("after").insert(&transaction).await);
    assert!(refused.contains("refused before it ran: MySQL has committed"), "{refused}");
    transaction.commit().await.unwrap();
    assert_eq!(bakery.cakes().await, ["before"]);
    // Outside of transactions it runs.
    bakery.db.execute_unprepared("DROP TABLE pans").await.unwrap();
}

#[tokio::test]
async fn a_row_that_goes_while_an_insert_would_skip_it_is_published_when_it_was_inserted_after_all() {
    let Some(bakery) = served("TEST_MARIADB_URL").await else { return };
    bakery.bake(&["old"]).await;
    bakery.published();
    // given somebody who has deleted the row, and has not committed yet
    let deleting = bakery.plain().begin().await.unwrap();
    cake::Entity::delete_by_id(1).exec(&deleting).await.unwrap();
    // when an INSERT that skips existing rows sees it, and waits
    let db = bakery.db.clone();
    let inserting = tokio::spawn(async move {
        let skip = OnConflict::column(cake::Column::Id).do_nothing_on([cake::Column::Id]).to_owned();
        cake::Entity::insert(known(1, "new")).on_conflict(skip).exec_without_returning(&db).await
    });
    stuck(&bakery, &inserting).await;
    deleting.commit().await.unwrap();
    // then
    assert_eq!(inserting.await.unwrap().unwrap(), 1);
    assert_eq!(bakery.cakes().await, ["new"]);
    assert_eq!(bakery.published(), ["create cake/1 new"]);
}

/// Waits until a task waits for a row lock, or is done without: PostgreSQL does not lock what it need not.
async fn stuck<T>(bakery: &Bakery, task: &tokio::task::JoinHandle<T>) {
    let waits = match bakery.plain().get_database_backend() {
        DbBackend::Postgres => {
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        // Which transaction waits is told by a view that stays as it is while somebody keeps looking at it.
        _ => {
            "SELECT count(*) AS n FROM information_schema.GLOBAL_STATUS, information_schema.PROCESSLIST \
             WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND VARIABLE_VALUE > 0 \
             AND DB = DATABASE() AND COMMAND IN ('Execute', 'Query') AND ID <> CONNECTION_ID()"
        }
    };
    let waiting = async {
        while !task.is_finished() && bakery.number(waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it neither waits nor ends");
}
