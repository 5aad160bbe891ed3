use diesel::query_builder::QueryFragment;

use super::*;
use crate::query::rendered;

on_each! {
    a_condition_selects_what_is_counted_paged_and_read = selects;
    a_wrong_condition_is_told_in_the_database_s_words = wrong;
}

async fn selects<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    let mut connection = fill::<DB>(&test, 6);
    connection.batch_execute("UPDATE items SET name = 'why? 4' WHERE id = 4").unwrap();
    for (text, expected) in [
        ("name LIKE '%?%'", &["4"][..]),
        // What it says is one condition, whatever stands beside it.
        ("id = 2 OR id = 5 OR name = 'why? 4'", &["2", "4", "5"]),
        ("id IN (SELECT id FROM items WHERE id % 2 = 1)", &["1", "3", "5"]),
        ("1 = 0", &[]),
    ] {
        let condition = condition::<DB>(text);
        assert_eq!(rows.count(ITEM, Some(&condition)).await.unwrap(), expected.len() as u64, "{text}");
        for limit in [1, 2, 10] {
            assert_eq!(paged(&rows, ITEM, Some(&condition), limit).await, expected, "{text}");
        }
        for unless_written in [false, true] {
            let all = Stretch { first: "1", last: "6" };
            let read = rows.read(ITEM, Some(&condition), all, unless_written).await.unwrap();
            assert_eq!(read.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), expected, "{text}");
            let some = Stretch { first: "2", last: "4" };
            let read = rows.read(ITEM, Some(&condition), some, unless_written).await.unwrap();
            assert!(read.iter().all(|row| ["2", "3", "4"].contains(&row.id.as_str())), "{text}");
        }
    }
}

async fn wrong<DB: Tested>(test: TestDatabase) {
    let rows = prepare::<DB>(&test);
    fill::<DB>(&test, 2);
    let condition = condition::<DB>("colour = 'red'");
    let all = Stretch { first: "1", last: "2" };
    let mut errors = vec![
        rows.count(ITEM, Some(&condition)).await.unwrap_err(),
        rows.ids_after(ITEM, Some(&condition), None, 5).await.unwrap_err(),
    ];
    for unless_written in [false, true] {
        errors.push(rows.read(ITEM, Some(&condition), all, unless_written).await.unwrap_err());
    }
    for error in errors {
        assert_eq!(error.kind, DatabaseErrorKind::Other);
        assert!(chain(&error).contains("colour"), "{}", chain(&error));
    }
    // And the connections go on.
    assert_eq!(names(&rows, ("1", "2"), true).await.len(), 2);
    test.connect::<DB>().batch_execute("DELETE FROM items").unwrap();
}

/// The text of what goes on after a cart, with a condition.
fn text<DB: Tested>() -> String {
    let published = DB::published();
    let cart = published.iter().find(|model| model.name == "Cart").unwrap();
    let after = (cart.key_values)(&["a".to_owned(), "1".to_owned(), "2".to_owned()]).unwrap_or_default();
    let selection =
        Selection::<DB>::new(&cart.table, What::Key, Some("note = 'x'")).edge(Edge::After(after)).limit(3);
    assert!(
        !selection.is_safe_to_cache_prepared(DB::instance()).unwrap(),
        "a server keeps no operator's text"
    );
    rendered::<DB, _>(&selection).unwrap()
}

#[test]
fn a_key_of_several_columns_is_compared_so_that_every_database_uses_its_index() {
    let from = "SELECT `owner`, `place`, `slot` FROM `carts` WHERE `owner` IS NOT NULL AND `place` IS NOT NULL AND `slot` IS NOT NULL AND ";
    let rest = " AND (\nnote = 'x'\n) ORDER BY `owner`, `place`, `slot` LIMIT 3";
    let stepwise = "`owner` >= ? AND (`owner` > ? OR (`owner` = ? AND `place` >= ? AND (`place` > ? OR (`place` = ? AND `slot` > ?))))";
    assert_eq!(text::<Mysql>(), format!("{from}{stepwise}{rest}"));
    assert_eq!(text::<Sqlite>(), format!("{from}(`owner`, `place`, `slot`) > (?, ?, ?){rest}"));
    let postgres = text::<Pg>();
    let slot = r#"(jsonb_populate_record(NULL::"carts", jsonb_build_object($3, $4)))."slot""#;
    let row = format!(r#" ("owner", "place", "slot") > ($1, $2, {slot})"#);
    assert!(postgres.contains(&row), "{postgres}");
}
