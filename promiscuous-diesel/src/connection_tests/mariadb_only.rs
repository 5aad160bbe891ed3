//! What is MySQL's and MariaDB's own.

use std::sync::Barrier;

use diesel::connection::SimpleConnection;
use diesel::dsl::DuplicatedKeys;
use diesel::prelude::*;
use diesel::result::Error as DieselError;

use super::{Bakery, Inner, open};
use crate::Promiscuous;
use crate::capture::Capture;
use crate::commit::CommitPath;
use crate::connection_tests::fixtures::*;
use crate::connection_tests::said;
use promiscuous_core::capture::CaptureSettings;

fn bakery() -> Option<Bakery<Inner>> {
    open(CaptureSettings::default())
}

fn add(db: &mut Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    diesel::insert_into(cake::table).values(new).execute(db)
}

fn upsert(db: &mut Promiscuous<Inner>, new: NewCake) -> QueryResult<usize> {
    let name = new.name.clone();
    let insert = diesel::insert_into(cake::table).values(new);
    insert.on_conflict(DuplicatedKeys).do_update().set(cake::name.eq(name)).execute(db)
}

#[test]
fn an_upsert_publishes_the_row_that_it_met_by_whatever_index() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    assert_eq!(upsert(db, coded("new", "c")), Ok(1));
    assert_eq!(upsert(db, coded("by code", "c")), Ok(2));
    assert_eq!(upsert(db, coded("by code", "c")), Ok(1), "nothing changed");
    assert_eq!(upsert(db, known(7, "explicit and new")), Ok(1));
    assert_eq!(upsert(db, known(7, "by key")), Ok(2));
    assert_eq!(upsert(db, NewCake { id: Some(900), ..coded("by another index than the key", "c") }), Ok(2));
    assert_eq!(
        bakery.published(),
        [
            "update cake/1 new",
            "update cake/1 by code",
            "update cake/1 by code",
            "update cake/7 explicit and new",
            "update cake/7 by key",
            "update cake/1 by another index than the key",
        ]
    );
    let db = &mut bakery.db;
    for amount in [1, 2] {
        let link = CakeFilling { cake_id: 1, filling_id: 2, amount };
        let insert = diesel::insert_into(cake_filling::table).values(&link);
        insert
            .on_conflict(DuplicatedKeys)
            .do_update()
            .set(cake_filling::amount.eq(amount))
            .execute(db)
            .unwrap();
        let insert = diesel::insert_into(fruit::table).values((fruit::id.eq("k"), fruit::name.eq("kiwi")));
        insert.on_conflict(DuplicatedKeys).do_update().set(fruit::name.eq("fig")).execute(db).unwrap();
    }
    assert_eq!(
        bakery.published(),
        [
            "update cake_filling/1,2 1",
            "update fruit/k kiwi",
            "update cake_filling/1,2 2",
            "update fruit/k fig"
        ]
    );
}

#[test]
fn upserts_of_several_rows_are_found_by_their_keys_or_rolled_back() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, NewCake { id: Some(2), ..coded("two", "c") }).unwrap();
    bakery.published();
    let both = |second: NewCake| vec![known(1, "one"), second];
    let upsert = |db: &mut Promiscuous<Inner>, rows: Vec<NewCake>| {
        let insert = diesel::insert_into(cake::table).values(rows);
        insert.on_conflict(DuplicatedKeys).do_update().set(cake::name.eq("met")).execute(db)
    };
    upsert(&mut bakery.db, both(known(2, "x"))).unwrap();
    assert_eq!(bakery.published(), ["update cake/1 one; update cake/2 met"]);
    let astray =
        upsert(&mut bakery.db, vec![known(3, "three"), NewCake { id: Some(900), ..coded("x", "c") }]);
    assert!(said(astray).contains("another unique index"));
    let unknown = upsert(&mut bakery.db, vec![named("a"), named("b")]);
    assert!(said(unknown).contains("refused before it ran"));
    assert!(bakery.published().is_empty());
    let names: Vec<String> = cake::table.order(cake::id).select(cake::name).load(&mut bakery.db).unwrap();
    assert_eq!(names, ["one", "met"]);
}

#[test]
fn ignored_rows_are_not_published_and_new_ones_are() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, NewCake { id: Some(1), ..coded("one", "c") }).unwrap();
    bakery.published();
    let db = &mut bakery.db;
    let ignoring = |db: &mut Promiscuous<Inner>, rows: Vec<NewCake>| {
        diesel::insert_or_ignore_into(cake::table).values(rows).execute(db)
    };
    assert_eq!(ignoring(db, vec![known(1, "x")]), Ok(0));
    assert_eq!(ignoring(db, vec![known(1, "x"), known(2, "two")]), Ok(1));
    assert_eq!(ignoring(db, vec![coded("by code", "c")]), Ok(0));
    assert_eq!(ignoring(db, vec![coded("fresh", "d")]), Ok(1));
    assert_eq!(
        ignoring(db, vec![NewCake { id: Some(50), ..coded("by code", "c") }, known(51, "new")]),
        Ok(1)
    );
    assert!(said(ignoring(db, vec![named("a"), named("b")])).contains("refused before it ran"));
    // Diesel writes this as `ON DUPLICATE KEY UPDATE id = id`.
    let doing_nothing = |db: &mut Promiscuous<Inner>, rows: Vec<NewCake>| {
        diesel::insert_into(cake::table).values(rows).on_conflict_do_nothing().execute(db)
    };
    doing_nothing(db, vec![coded("by code", "c")]).unwrap();
    doing_nothing(db, vec![known(60, "by no code")]).unwrap();
    doing_nothing(db, vec![known(60, "by key")]).unwrap();
    doing_nothing(db, vec![known(60, "by key"), known(61, "new")]).unwrap();
    doing_nothing(db, vec![coded("generated", "g")]).unwrap();
    let generated: i32 = cake::table.filter(cake::code.eq("g")).select(cake::id).first(db).unwrap();
    let fresh: i32 = cake::table.filter(cake::code.eq("d")).select(cake::id).first(db).unwrap();
    let expected = [
        "create cake/2 two".to_owned(),
        format!("create cake/{fresh} fresh"),
        "create cake/51 new".into(),
        "create cake/60 by no code".into(),
        "create cake/61 new".into(),
        format!("create cake/{generated} generated"),
    ];
    assert_eq!(bakery.published(), expected);
}

#[test]
fn generated_keys_are_evenly_spaced_and_never_those_of_an_earlier_insert() {
    let Some(mut bakery) = bakery() else { return };
    bakery.db.inner().batch_execute("SET @@auto_increment_increment = 5").unwrap();
    diesel::insert_into(cake::table)
        .values(vec![named("a"), named("b"), named("c")])
        .execute(&mut bakery.db)
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 a; create cake/11 c; create cake/6 b"]);
    // A key by default that is no number: nobody tells it, and the one told last is another row's.
    bakery
        .db
        .inner()
        .batch_execute("DROP TABLE fruit; CREATE TABLE fruit (id VARCHAR(50) PRIMARY KEY DEFAULT (uuid()), name TEXT, cake_id INT)")
        .unwrap();
    let secret = diesel::insert_into(fruit::table).values(fruit::name.eq("kiwi")).execute(&mut bakery.db);
    assert!(said(secret).contains("no generated key"));
    assert_eq!(fruit::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
    assert!(bakery.published().is_empty());
    let id: i64 =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("CAST(LAST_INSERT_ID() AS SIGNED)"))
            .get_result(&mut bakery.db)
            .unwrap();
    assert_eq!(id, 0);
}

#[test]
fn rows_that_are_selected_and_inserted_are_refused() {
    let Some(mut bakery) = bakery() else { return };
    diesel::insert_into(pan::table).values(pan::name.eq("iron")).execute(&mut bakery.db).unwrap();
    let copied = pan::table.select(pan::name).insert_into(cake::table).into_columns(cake::name);
    assert!(said(copied.execute(&mut bakery.db)).contains("refused before it ran"));
    let returning =
        diesel::sql_query("INSERT INTO cake (id, name) VALUES (1, 'x') RETURNING id").execute(&mut bakery.db);
    assert!(said(returning).contains("refused before it ran"));
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
}

#[test]
fn a_key_that_is_compared_without_letter_case_is_published_as_the_row_has_it() {
    let Some(mut bakery) = bakery() else { return };
    let db = &mut bakery.db;
    diesel::insert_into(fruit::table)
        .values((fruit::id.eq("Kiwi"), fruit::name.eq("a")))
        .execute(db)
        .unwrap();
    diesel::update(fruit::table.find("KIWI")).set(fruit::name.eq("b")).execute(db).unwrap();
    diesel::delete(fruit::table.find("kiwi")).execute(db).unwrap();
    assert_eq!(bakery.published(), ["create fruit/Kiwi a", "update fruit/Kiwi b", "destroy fruit/Kiwi"]);
}

#[test]
fn a_script_without_a_statement_does_nothing() {
    // Given a connection that publishes, and one that does not
    let Some(bakery) = bakery() else { return };
    let nothing = Capture::new(models(), CommitPath::Nothing, CaptureSettings::default()).unwrap();
    let mut quiet = Promiscuous::with_capture(Inner::establish(&bakery.url).unwrap(), nothing);
    for db in [&mut bakery.another(), &mut quiet] {
        // When scripts run that are only white space, comments and semicolons
        for script in [
            "",
            " \n\t",
            ";",
            " ; ;\n",
            "-- nothing",
            "# nothing",
            "/* ; */;",
            "-- nothing\n;\n/* */ -- more",
        ] {
            assert_eq!(db.batch_execute(script), Ok(()), "{script:?}");
        }
        // Then the connection can still be used, and others run
        assert_eq!(db.batch_execute("/*!40000 SELECT 1 */"), Ok(()));
        assert!(said(db.batch_execute("/*!40000 SELECT missing */")).contains("missing"));
        assert_eq!(cake::table.count().get_result::<i64>(db), Ok(0));
    }
    assert!(bakery.published().is_empty());
}

#[test]
fn definitions_of_tables_do_not_commit_published_rows_unseen() {
    let Some(mut bakery) = bakery() else { return };
    let result = bakery.db.transaction(|db| {
        add(db, known(1, "one"))?;
        let refused = db.batch_execute("CREATE TABLE sneaky (id INT)");
        assert!(said(refused).contains("MySQL would commit"));
        let refused = diesel::sql_query("CREATE TABLE sneaky (id INT)").execute(db);
        assert!(said(refused).contains("MySQL would commit"));
        Err::<(), _>(DieselError::RollbackTransaction)
    });
    assert_eq!(result, Err(DieselError::RollbackTransaction));
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.another()), Ok(0));
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            db.batch_execute("CREATE TABLE fine (id INT)")?;
            // From here on each statement would commit by itself.
            assert!(said(add(db, known(2, "two"))).contains("committed the transaction"));
            diesel::insert_into(pan::table).values(pan::name.eq("iron")).execute(db)
        })
        .unwrap();
    assert!(bakery.published().is_empty());
    add(&mut bakery.db, known(3, "three")).unwrap();
    assert_eq!(bakery.published(), ["create cake/3 three"]);
}

#[test]
fn the_victim_of_a_deadlock_does_not_go_on() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    add(&mut bakery.db, known(2, "two")).unwrap();
    bakery.published();
    let (mut one, mut two) = (bakery.another(), bakery.another());
    let both_hold_one = Barrier::new(2);
    let run = |db: &mut Promiscuous<Inner>, first: i32, second: i32, name: &'static str| {
        db.transaction::<_, DieselError, _>(|db| {
            diesel::update(cake::table.find(first)).set(cake::name.eq(name)).execute(db)?;
            both_hold_one.wait();
            let met = diesel::update(cake::table.find(second)).set(cake::name.eq(name)).execute(db);
            if met.is_err() {
                // The user swallows the error. Without a look, this would be committed at once and never published.
                assert!(said(add(db, known(9, name))).contains("roll it back"));
            }
            Ok(())
        })
    };
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| run(&mut one, 1, 2, "a"));
        let b = scope.spawn(|| run(&mut two, 2, 1, "b"));
        (a.join().unwrap(), b.join().unwrap())
    });
    let winner = match (a, b) {
        (Ok(()), Err(_)) => "a",
        (Err(_), Ok(())) => "b",
        other => panic!("one is the victim: {other:?}"),
    };
    assert_eq!(bakery.published(), [format!("update cake/1 {winner}; update cake/2 {winner}")]);
    assert_eq!(cake::table.find(9).count().get_result::<i64>(&mut bakery.db), Ok(0));
}

#[test]
fn a_lock_that_was_waited_for_in_vain_ends_the_statement_only() {
    let Some(mut bakery) = bakery() else { return };
    add(&mut bakery.db, known(1, "one")).unwrap();
    bakery.published();
    let mut other = bakery.another();
    other.inner().batch_execute("SET innodb_lock_wait_timeout = 1").unwrap();
    bakery
        .db
        .transaction::<_, DieselError, _>(|db| {
            diesel::update(cake::table.find(1)).set(cake::name.eq("uno")).execute(db)?;
            other.transaction::<_, DieselError, _>(|other| {
                add(other, known(2, "two"))?;
                let vain = diesel::update(cake::table.find(1)).set(cake::name.eq("x")).execute(other);
                assert!(said(vain).contains("timeout"));
                add(other, known(3, "three"))
            })
        })
        .unwrap();
    assert_eq!(bakery.published(), ["create cake/2 two; create cake/3 three", "update cake/1 uno"]);
}

#[test]
fn a_connection_that_is_cut_before_its_commit_publishes_nothing() {
    let Some(mut bakery) = bakery() else { return };
    let mut victim = bakery.another();
    let result = victim.transaction(|db| {
        add(db, known(1, "lost"))?;
        let id: i64 = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("CONNECTION_ID()"))
            .get_result(db)?;
        bakery.db.inner().batch_execute(&format!("KILL {id}"))?;
        Ok::<_, DieselError>(())
    });
    assert!(result.is_err());
    assert!(bakery.published().is_empty());
    assert_eq!(bakery.settled(), 1);
    assert_eq!(cake::table.count().get_result::<i64>(&mut bakery.db), Ok(0));
}
