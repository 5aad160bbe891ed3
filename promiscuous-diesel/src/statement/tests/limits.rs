//! What is deep, long, or comes often.

use std::sync::Arc;
use std::time::Instant;

use promiscuous_core::database::Dialect;

use super::{line, tables};
use crate::statement::{Plan, Planner};

/// Runs on a stack of the size that threads have.
fn on_a_usual_stack(test: fn()) {
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(test).unwrap().join().unwrap();
}

#[test]
fn a_condition_of_many_terms_is_understood() {
    on_a_usual_stack(|| {
        // As Diesel writes `.or(…)` and `.and(…)` again and again.
        let nested = |terms: usize| {
            format!(
                "DELETE FROM `users` WHERE {}`users`.`id` = ?{}",
                "(".repeat(terms),
                " OR `users`.`id` = ?)".repeat(terms)
            )
        };
        for terms in [5, 50, 400] {
            let planned = line(&nested(terms), Dialect::Mysql);
            assert!(planned.starts_with("delete <WHERE ("), "{terms}: {planned}");
        }
        let chained = format!("DELETE FROM users WHERE id = ?{}", " OR id = ?".repeat(20_000));
        assert!(line(&chained, Dialect::Sqlite).starts_with("delete <WHERE id = ?1 OR id = ?2 "));
        let list = vec!["?"; 30_000].join(", ");
        let planned = line(&format!("DELETE FROM `users` WHERE `users`.`id` IN ({list})"), Dialect::Mysql);
        assert!(planned.ends_with("?, ?)> $0..30000 users = `users`"), "{}", planned.len());
        let selected = format!("SELECT id FROM users WHERE {}1{}", "(".repeat(300), ")".repeat(300));
        assert_eq!(line(&selected, Dialect::Postgres), "read users@0");
    });
}

#[test]
fn what_is_too_deep_is_refused_when_it_writes_and_unresolved_when_it_reads() {
    on_a_usual_stack(|| {
        for opening in ["(", "NOT ", "- ", "f(", "CASE WHEN ", "a IN (SELECT 1 WHERE ", "[", "(SELECT "] {
            for depth in [10, 1_000, 10_000] {
                for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
                    let deep = opening.repeat(depth);
                    let write = line(&format!("DELETE FROM users WHERE {deep}"), dialect);
                    assert!(
                        write.starts_with("no users") || write.starts_with("delete"),
                        "{opening} {write}"
                    );
                    line(&format!("SELECT id FROM users WHERE {deep}"), dialect);
                    line(&format!("SELECT {deep}users"), dialect);
                }
            }
        }
        let closed = |depth: usize| format!("WHERE {}1{}", "(".repeat(depth), ")".repeat(depth));
        let deep = closed(10_000);
        assert!(
            line(&format!("DELETE FROM users {deep}"), Dialect::Postgres).starts_with("no users: DELETE")
        );
        assert_eq!(line(&format!("SELECT id FROM users {deep}"), Dialect::Postgres), "read users@?");
    });
}

#[test]
fn a_batch_of_many_rows_is_understood() {
    let rows: Vec<_> =
        (0..5_000).map(|row| format!("(${}, ${}, DEFAULT)", row * 2 + 1, row * 2 + 2)).collect();
    let sql = format!(r#"INSERT INTO "users" ("id", "name", "email") VALUES {}"#, rows.join(", "));
    let planned = line(&sql, Dialect::Postgres);
    assert!(planned.starts_with("insert 5000 [$0 $2 $4 "), "{}", &planned[..60]);
}

#[test]
fn a_name_beyond_63_bytes_is_the_one_that_postgres_makes_of_it() {
    let published = "u".repeat(63);
    let tables = crate::statement::Tables::new([crate::statement::Table {
        name: published.clone(),
        ..tables().table(0).unwrap().clone()
    }]);
    let sql = format!("DELETE FROM {published}_and_more");
    assert!(matches!(crate::statement::plan(&sql, Dialect::Postgres, &tables), Plan::Write(_)));
    assert_eq!(crate::statement::plan(&sql, Dialect::Sqlite, &tables), Plan::Pass);
}

#[test]
fn plans_are_remembered_within_bounds() {
    // Given a planner with room for 100 plans
    let planner = Planner::with_capacity(Dialect::Sqlite, tables(), 100);
    let hot = "SELECT id FROM users";
    // When a thousand texts pass by, and one of them again and again
    for number in 0..1_000 {
        planner.plan(&format!("SELECT id FROM users WHERE id = {number}"), true);
        planner.plan(hot, true);
    }
    // Then no more than a hundred are kept, and the frequent one among them
    assert!(planner.remembered() <= 100, "{}", planner.remembered());
    assert!(Arc::ptr_eq(&planner.plan(hot, true), &planner.plan(hot, true)));
    // And what may not be kept, or is long, is not
    let before = planner.remembered();
    let long = format!("SELECT id FROM users WHERE name = '{}'", "x".repeat(17_000));
    for (sql, cacheable) in [("SELECT id FROM users WHERE id IN (?)", false), (long.as_str(), true)] {
        assert!(!Arc::ptr_eq(&planner.plan(sql, cacheable), &planner.plan(sql, cacheable)));
    }
    assert_eq!(planner.remembered(), before);
}

/// `cargo test --release -p promiscuous-diesel --all-features -- --ignored --nocapture what_planning_costs`
#[test]
#[ignore = "measures"]
fn what_planning_costs() {
    let planner = Planner::new(Dialect::Postgres, tables());
    let find = r#"SELECT "users"."id", "users"."name", "users"."email" FROM "users" WHERE ("users"."id" = $1) LIMIT $2"#;
    let update = r#"UPDATE "users" SET "name" = $1, "email" = $2 WHERE ("users"."id" = $3)"#;
    let other = r#"SELECT "teams"."id", "teams"."name" FROM "teams" WHERE ("teams"."id" = $1) LIMIT $2"#;
    let list: Vec<_> = (1..=200).map(|bind| format!("${bind}")).collect();
    let list = format!(r#"SELECT "users"."id" FROM "users" WHERE ("users"."id" IN ({}))"#, list.join(", "));
    let median = |runs: u32, work: &dyn Fn()| {
        let mut times: Vec<_> = (0..101)
            .map(|_| {
                let began = Instant::now();
                (0..runs).for_each(|_| work());
                began.elapsed().as_nanos() / u128::from(runs)
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    for (name, sql) in
        [("find", find), ("update", update), ("another table", other), ("IN of 200", list.as_str())]
    {
        let miss = median(50, &|| _ = std::hint::black_box(planner.plan(sql, false)));
        let hit = median(10_000, &|| _ = std::hint::black_box(planner.plan(sql, true)));
        println!("{name} ({} bytes): miss {miss} ns, hit {hit} ns", sql.len());
    }
}
