//! The operator's own condition, and ids that are none.

use promiscuous_core::database::Dialect;
use promiscuous_core::sync::{Condition, Stretch};
use sea_orm::DbBackend;
use sea_orm::sea_query::{Expr, ExprTrait, Query};

use super::library::{Library, everywhere};
use crate::rows::choose;

async fn library_of_five(library: &Library) -> usize {
    library.write_authors(&["Ann", "Bob?", "$1 Cem", "100% \\n {} Dan", "it's ?"]).await;
    library.model("Author")
}

/// What it chooses, a page at a time, by count and by stretch.
async fn chosen(library: &Library, text: &str) -> Vec<String> {
    let (model, condition) = (library.model("Author"), library.condition(text));
    let ids = library.pages(model, Some(&condition), 2).await;
    let count = library.rows.count(model, Some(&condition)).await.unwrap();
    assert_eq!(usize::try_from(count), Ok(ids.len()), "{text}");
    for unless_written in [false, true] {
        let all = Stretch { first: "1", last: "5" };
        let rows = library.rows.read(model, Some(&condition), all, unless_written).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ids, "{text}");
        let one = Stretch { first: "2", last: "2" };
        let rows = library.rows.read(model, Some(&condition), one, unless_written).await.unwrap();
        assert!(rows.iter().all(|row| row.id == "2"), "{rows:?}");
    }
    ids
}

#[tokio::test]
async fn a_condition_chooses_rows() {
    everywhere(async |library| {
        library_of_five(library).await;
        assert_eq!(chosen(library, "id > 2").await, ["3", "4", "5"]);
        assert_eq!(chosen(library, "authors.id IN (SELECT id - 1 FROM authors)").await, ["1", "2", "3", "4"]);
        assert!(chosen(library, "secret IS NOT NULL").await.is_empty());
        // It is one operand, however loosely its own bind.
        assert_eq!(chosen(library, "id = 1 OR id = 4").await, ["1", "4"]);
    })
    .await;
}

#[tokio::test]
async fn what_looks_like_a_placeholder_or_an_escape_in_a_condition_stays_as_it_is() {
    everywhere(async |library| {
        library_of_five(library).await;
        assert_eq!(chosen(library, "name = 'Bob?'").await, ["2"]);
        assert_eq!(chosen(library, "name <> '?' AND name LIKE '%?'").await, ["2", "5"]);
        assert_eq!(chosen(library, "name = '$1 Cem' OR name = '??'").await, ["3"]);
        assert_eq!(chosen(library, "name = 'it''s ?'").await, ["5"]);
        let (backslash, quoted) = match library.backend() {
            DbBackend::Postgres => ("\\", "name <> '\\' AND name = $$Bob?$$"),
            DbBackend::MySql => ("\\\\", "name <> 'it\\'s' AND name = 'Bob?'"),
            _ => ("\\", "name <> '\\' AND name = 'Bob?'"),
        };
        assert_eq!(chosen(library, quoted).await, ["2"]);
        assert_eq!(chosen(library, &format!("name = '100% {backslash}n {{}} Dan'")).await, ["4"]);
    })
    .await;
}

#[test]
fn a_condition_is_one_operand_letter_by_letter() {
    let text = "a = 'it''s ?' OR b = '$1' OR c = '\"`{}'";
    let condition = Condition::parse(text, Dialect::Postgres).unwrap();
    for backend in [DbBackend::Postgres, DbBackend::MySql, DbBackend::Sqlite] {
        let mut select = Query::select().column("a").from("b").to_owned();
        choose(&mut select, Some(&condition));
        select.and_where(Expr::col("a").gt(1));
        let statement = backend.build(&select);
        assert!(statement.sql.contains(&format!("(\n{text}\n)")), "{statement}");
        assert_eq!(statement.values.unwrap().0.len(), 1);
    }
}

#[tokio::test]
async fn postgres_s_operators_with_a_question_mark_are_no_placeholders() {
    everywhere(async |library| {
        if library.backend() != DbBackend::Postgres {
            return;
        }
        library_of_five(library).await;
        library.run(r#"ALTER TABLE authors ADD tags jsonb NOT NULL DEFAULT '{}'"#).await;
        library.run(r#"UPDATE authors SET tags = '{"new": 1}' WHERE id IN (2, 4)"#).await;
        assert_eq!(chosen(library, "tags ? 'new'").await, ["2", "4"]);
        assert_eq!(chosen(library, "tags ?| ARRAY['old', 'new'] AND NOT tags ? '$1'").await, ["2", "4"]);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_condition_gives_the_database_s_own_message() {
    everywhere(async |library| {
        let model = library_of_five(library).await;
        let condition = library.condition("nmae = 'Ann'");
        let stretch = Stretch { first: "1", last: "5" };
        let count = library.rows.count(model, Some(&condition)).await.map(|_| ());
        let ids = library.rows.ids_after(model, Some(&condition), None, 5).await.map(|_| ());
        let read = library.rows.read(model, Some(&condition), stretch, false).await.map(|_| ());
        let locked = library.rows.read(model, Some(&condition), stretch, true).await.map(|_| ());
        for result in [count, ids, read, locked] {
            let said = result.unwrap_err().source.to_string();
            assert!(said.contains("nmae"), "{said}");
        }
        // The connections are as good as before.
        assert_eq!(library.authors("1", "1", true).await, ["1 Ann"]);
    })
    .await;
}

#[tokio::test]
async fn an_id_of_another_model_is_refused_without_telling_it() {
    everywhere(async |library| {
        library.write_authors(&["Ann"]).await;
        for (model, id) in [
            ("Author", "secret"),
            ("Author", "1,2"),
            ("Author", "007"),
            ("Author", ""),
            ("Author", "99999999999999999999"),
            ("Member", "5"),
            ("Book", "a,1"),
            ("Book", "a,secret,1"),
            ("Book", "%C3,1,1"),
        ] {
            let position = library.model(model);
            let after = library.rows.ids_after(position, None, Some(id), 5).await.map(|_| ());
            let good = if model == "Author" { "1" } else { id };
            let first = Stretch { first: id, last: good };
            let last = Stretch { first: good, last: id };
            let first = library.rows.read(position, None, first, true).await.map(|_| ());
            let last = library.rows.read(position, None, last, false).await.map(|_| ());
            for result in [after, first, last] {
                let said = result.unwrap_err().source.to_string();
                assert!(said.contains(model) && said.contains("begin again"), "{said}");
                assert!(!said.contains("secret"), "{said}");
            }
        }
        let said = library.rows.count(8, None).await.unwrap_err().source.to_string();
        assert!(said.contains("no published model number 8"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn an_enum_that_is_no_value_of_its_type_is_no_place_in_the_table() {
    everywhere(async |library| {
        let after = library.rows.ids_after(library.model("Loan"), None, Some("years,1"), 5).await;
        // Only PostgreSQL knows an enum's values when it compares them.
        assert_eq!(after.is_err(), library.backend() == DbBackend::Postgres, "{after:?}");
        assert!(library.authors("1", "1", false).await.is_empty(), "the connection is as good as before");
    })
    .await;
}
