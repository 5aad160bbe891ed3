//! Pools, migrations, and what else Diesel's users do with a connection.

use std::sync::{Arc, Mutex};

use diesel::connection::{CacheSize, InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, ManageConnection, Pool, R2D2Connection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use super::*;
use crate::capture::Capture;
use crate::connection_tests::fixtures::*;
use crate::{Context, Promiscuous};

/// Makes connections of this app.
struct Wrapping {
    url: String,
    capture: Arc<Capture<<Inner as Connection>::Backend>>,
}

impl ManageConnection for Wrapping {
    type Connection = Promiscuous<Inner>;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Promiscuous<Inner>, Self::Error> {
        let inner = Inner::establish(&self.url).map_err(Self::Error::ConnectionError)?;
        Ok(Promiscuous::with_capture(inner, Arc::clone(&self.capture)))
    }

    fn is_valid(&self, connection: &mut Promiscuous<Inner>) -> Result<(), Self::Error> {
        connection.ping().map_err(Self::Error::QueryError)
    }

    fn has_broken(&self, connection: &mut Promiscuous<Inner>) -> bool {
        connection.is_broken()
    }
}

#[test]
fn a_pool_of_such_connections_and_a_connection_around_a_pooled_one_publish_alike() {
    let Some(bakery) = bakery() else { return };
    let manager = Wrapping { url: bakery.url.clone(), capture: Arc::clone(bakery.db.capture()) };
    let pool = Pool::builder().max_size(1).build(manager).unwrap();
    let mut pooled = pool.get().unwrap();
    diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut pooled).unwrap();
    pooled
        .transaction(|db| diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db))
        .unwrap();
    let one: Cake = cake::table.find(1).first(&mut pooled).unwrap();
    let saved: Cake = Cake { name: "eins".into(), ..one }.save_changes(&mut *pooled).unwrap();
    assert_eq!(saved.name, "eins");

    let inside = Pool::builder().max_size(1).build(ConnectionManager::<Inner>::new(&bakery.url)).unwrap();
    let mut wrapped = Promiscuous::with_capture(inside.get().unwrap(), Arc::clone(bakery.db.capture()));
    diesel::insert_into(cake::table).values(known(2, "two")).execute(&mut wrapped).unwrap();
    wrapped
        .transaction(|db| {
            diesel::insert_into(cake::table).values(known(3, "three")).execute(db)?;
            db.transaction(|db| diesel::delete(cake::table.find(2)).execute(db))
        })
        .unwrap();
    let three: Cake = cake::table.find(3).first(&mut wrapped).unwrap();
    let _: Cake = Cake { name: "drei".into(), ..three }.save_changes(&mut wrapped).unwrap();
    assert_eq!(
        bakery.published(),
        [
            "create cake/1 one",
            "update cake/1 uno",
            "update cake/1 eins",
            "create cake/2 two",
            "create cake/3 three; destroy cake/2",
            "update cake/3 drei",
        ]
    );

    // The next one to get it from the pool is in another context.
    let context = Context::new("request");
    pooled.set_context(Some(context.clone()));
    let _: Cake = cake::table.find(1).first(&mut pooled).unwrap();
    drop(pooled);
    assert_eq!(taken(&context), ["cake/1"]);
    let _: Cake = cake::table.find(1).first(&mut pool.get().unwrap()).unwrap();
    assert_eq!(taken(&context), [""; 0]);
}

#[test]
fn migrations_run_and_those_that_write_published_rows_are_refused() {
    let Some(mut bakery) = bakery() else { return };
    let folder = tempfile::tempdir().unwrap();
    let add = |name: &str, sql: &str| {
        let path = folder.path().join("migrations").join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("up.sql"), sql).unwrap();
        std::fs::write(path.join("down.sql"), "SELECT 1;").unwrap();
    };
    add("2024-01-01-000000_table", "CREATE TABLE extra (id INTEGER PRIMARY KEY, cake_id INTEGER);\n");
    add(
        "2024-01-02-000000_column",
        "ALTER TABLE cake ADD COLUMN weight INTEGER;\nINSERT INTO pan (name) VALUES ('by migration');\n",
    );
    let migrations = || FileBasedMigrations::find_migrations_directory_in_path(folder.path()).unwrap();
    bakery.db.run_pending_migrations(migrations()).unwrap();
    assert_eq!(pan::table.count().get_result::<i64>(&mut bakery.db), Ok(1));
    add("2024-01-03-000000_rows", "UPDATE cake SET weight = 1, name = 'x';\n");
    let refused = bakery.db.run_pending_migrations(migrations()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("refused before it ran"), "{refused}");
    bakery.db.without_promiscuous(|plain| plain.run_pending_migrations(migrations()).map(drop)).unwrap();
    assert!(bakery.published().is_empty());
    diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut bakery.db).unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn instrumentation_and_the_size_of_the_cache_are_diesels_own() {
    let Some(mut bakery) = bakery() else { return };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    bakery.db.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            told.lock().unwrap().push(query.to_string());
        }
    });
    bakery.db.set_prepared_statement_cache_size(CacheSize::Disabled);
    diesel::insert_into(cake::table).values(known(1, "one")).execute(&mut bakery.db).unwrap();
    let _: Cake = cake::table.find(1).first(&mut bakery.db).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|query| query.contains("INSERT INTO") && query.contains("cake")), "{seen:?}");
    assert!(seen.iter().any(|query| query.contains("SELECT") && query.contains("notes")), "{seen:?}");
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[test]
fn functions_over_any_connection_take_it() {
    fn bake_any<C>(db: &mut C) -> QueryResult<usize>
    where
        C: diesel::connection::LoadConnection<Backend = <Inner as Connection>::Backend>,
    {
        db.transaction(|db| {
            diesel::insert_into(cake::table).values((cake::id.eq(1), cake::name.eq("any"))).execute(db)
        })
    }
    let Some(mut bakery) = bakery() else { return };
    bake_any(&mut bakery.db).unwrap();
    assert_eq!(bakery.published(), ["create cake/1 any"]);
    bakery.db.batch_execute("SELECT 1").unwrap();
}

#[test]
fn an_app_that_publishes_nothing_has_a_connection_like_any_other() {
    use crate::commit::CommitPath;
    let Some(bakery) = bakery() else { return };
    let nothing = Capture::new(models(), CommitPath::Nothing, CaptureSettings::default()).unwrap();
    let mut db = Promiscuous::with_capture(Inner::establish(&bakery.url).unwrap(), nothing);
    db.batch_execute("INSERT INTO cake (id, name) VALUES (1, 'one')").unwrap();
    db.transaction(|db| diesel::update(cake::table).set(cake::name.eq("uno")).execute(db)).unwrap();
    assert!(db.publisher().is_none());
    assert_eq!(cakes(&bakery), ["uno"]);
    assert_eq!(outbox(&bakery), 0);
}
