//! Ids come once, in order, and all.

use promiscuous_core::key::encode_id;
use promiscuous_core::sync::Stretch;
use sea_orm::{ActiveModelTrait, DbBackend, Iterable, ModelTrait, QueryOrder, Set};

use super::entities::{author, book, host, loan, member, shelf, ticket, visit};
use super::library::{Library, author as author_named, everywhere};
use crate::codec::id_text;
use crate::model::Publish;
use crate::publication::key_columns;

/// The ids of all rows, in the order of the database.
async fn all<E: Publish>(library: &Library) -> Vec<String> {
    let select = key_columns::<E>().fold(E::find(), |select, column| select.order_by_asc(column));
    let id = |row: &E::Model| {
        let parts: Vec<_> = key_columns::<E>().map(|column| id_text(&row.get(column)).unwrap()).collect();
        encode_id(parts.iter().map(String::as_str))
    };
    select.all(&library.db).await.unwrap().iter().map(id).collect()
}

/// Every size of a page gives the same ids, and every stretch of them its rows.
async fn pages_are_whole<E: Publish>(library: &Library, expected: &[String]) {
    let model = library.model(&E::declaration().name);
    assert_eq!(usize::try_from(library.rows.count(model, None).await.unwrap()), Ok(expected.len()));
    for size in [1, 2, 3, expected.len(), 100, usize::MAX] {
        assert_eq!(library.pages(model, None, size).await, expected, "{size}");
    }
    for (from, first) in expected.iter().enumerate() {
        for (to, last) in expected.iter().enumerate().skip(from) {
            for unless_written in [false, true] {
                let read = library.rows.read(model, None, Stretch { first, last }, unless_written).await;
                let read: Vec<_> = read.unwrap().into_iter().map(|row| row.id).collect();
                assert_eq!(read, &expected[from..=to], "from {first} to {last}");
            }
        }
    }
}

#[tokio::test]
async fn every_integer_comes_once_and_in_the_order_of_numbers() {
    everywhere(async |library| {
        for id in [10, 9, -3, 0, i64::MAX, i64::MIN, 2, 100] {
            author_named(id, "A").insert(&library.db).await.unwrap();
        }
        let ids = all::<author::Entity>(library).await;
        assert_eq!(ids[1..7], ["-3", "0", "2", "9", "10", "100"]);
        pages_are_whole::<author::Entity>(library, &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_uuid_comes_once() {
    everywhere(async |library| {
        for number in [7_u128, 1 << 100, 3, u128::MAX, (1 << 127) + 5] {
            let member =
                member::ActiveModel { id: Set(uuid::Uuid::from_u128(number)), name: Set("M".into()) };
            member.insert(&library.db).await.unwrap();
        }
        let ids = all::<member::Entity>(library).await;
        assert_eq!(ids[0], "00000000-0000-0000-0000-000000000003");
        pages_are_whole::<member::Entity>(library, &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_text_comes_once_in_the_order_of_the_database() {
    everywhere(async |library| {
        for label in [
            "b/1", "a b", "O'Hara", "\"said\"", "über", "Zoë", "apple", "BETA", "beta 2", "", "%41", "a,b",
            "x?", "$1", "\\", "-- no", "日本",
        ] {
            shelf::ActiveModel { label: Set(label.into()) }.insert(&library.db).await.unwrap();
        }
        let ids = all::<shelf::Entity>(library).await;
        assert!(ids.contains(&"O%27Hara".to_owned()) && ids.contains(&"%".to_owned()), "{ids:?}");
        assert_eq!(ids.len(), 17);
        pages_are_whole::<shelf::Entity>(library, &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_text_of_a_fixed_length_comes_once() {
    everywhere(async |library| {
        for code in ["abc", "ab", "abcdef", "b", "ab c", "ABD"] {
            ticket::ActiveModel { code: Set(code.into()) }.insert(&library.db).await.unwrap();
        }
        pages_are_whole::<ticket::Entity>(library, &all::<ticket::Entity>(library).await).await;
    })
    .await;
}

#[tokio::test]
async fn every_key_of_several_columns_comes_once_in_the_order_of_its_columns() {
    everywhere(async |library| {
        for (shelf, row, place) in [
            ("a", 1, 1),
            ("a", 1, 2),
            ("a", 2, 1),
            ("a", 10, 1),
            ("b", 1, 1),
            ("b", 1, 10),
            ("b", 1, 9),
            ("c d", -1, 5),
        ] {
            let title = Set(String::from("T"));
            let book =
                book::ActiveModel { shelf: Set(shelf.into()), row: Set(row), place: Set(place), title };
            book.insert(&library.db).await.unwrap();
        }
        let ids = all::<book::Entity>(library).await;
        assert_eq!(ids[2..4], ["a,2,1", "a,10,1"]);
        assert_eq!(ids[5..], ["b,1,9", "b,1,10", "c%20d,-1,5"]);
        pages_are_whole::<book::Entity>(library, &ids).await;
    })
    .await;
}

async fn visit(library: &Library, seconds: i64, nanoseconds: u32) {
    let at = chrono::DateTime::from_timestamp(seconds, nanoseconds).unwrap();
    visit::ActiveModel { at: Set(at) }.insert(&library.db).await.unwrap();
}

#[tokio::test]
async fn every_moment_comes_once() {
    everywhere(async |library| {
        for seconds in [1_700_000_000, 1_700_000_060, 1_600_000_001, 1_700_003_600] {
            visit(library, seconds, 0).await;
        }
        pages_are_whole::<visit::Entity>(library, &all::<visit::Entity>(library).await).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_its_id_does_not_tell_exactly_is_an_error_and_no_endless_loop() {
    everywhere(async |library| {
        if library.backend() != DbBackend::Sqlite {
            return;
        }
        visit(library, 1_700_000_000, 1001).await;
        let model = library.model("Visit");
        let ids = library.rows.ids_after(model, None, None, 1).await.unwrap();
        let said =
            library.rows.ids_after(model, None, Some(&ids[0]), 1).await.unwrap_err().source.to_string();
        assert!(said.contains("store them rounded") && !said.contains("2023"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn every_key_that_is_cast_comes_once_in_the_order_of_what_it_is_cast_to() {
    everywhere(async |library| {
        if library.backend() != DbBackend::Postgres {
            return;
        }
        for (address, port) in
            [("10.0.0.10", 1), ("9.0.0.1", 1), ("10.0.0.9", 2), ("10.0.0.9", 1), ("::1", 1)]
        {
            let host = host::ActiveModel { address: Set(address.into()), port: Set(port) };
            host.insert(&library.db).await.unwrap();
        }
        let ids = all::<host::Entity>(library).await;
        assert_eq!(ids[..3], ["9.0.0.1%2F32,1", "10.0.0.9%2F32,1", "10.0.0.9%2F32,2"]);
        pages_are_whole::<host::Entity>(library, &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_key_with_an_enum_comes_once() {
    everywhere(async |library| {
        for kind in loan::Kind::iter() {
            for number in [2, 1] {
                let loan = loan::ActiveModel { kind: Set(kind.clone()), number: Set(number) };
                loan.insert(&library.db).await.unwrap();
            }
        }
        let ids = library.pages(library.model("Loan"), None, 100).await;
        // PostgreSQL compares enums in the order of their declaration, the others as text.
        let expected = match library.backend() {
            DbBackend::Postgres => ["weeks,1", "weeks,2", "days,1", "days,2", "hours,1", "hours,2"],
            _ => ["days,1", "days,2", "hours,1", "hours,2", "weeks,1", "weeks,2"],
        };
        assert_eq!(ids, expected);
        pages_are_whole::<loan::Entity>(library, &ids).await;
    })
    .await;
}

#[tokio::test]
async fn an_empty_table_has_no_ids_and_no_rows() {
    everywhere(async |library| {
        for (model, first) in
            [("Author", "1"), ("Book", "a,1,1"), ("Loan", "days,1"), ("Shelf", "a"), ("Ticket", "a")]
        {
            let model = library.model(model);
            assert_eq!(library.rows.count(model, None).await.unwrap(), 0);
            assert!(library.rows.ids_after(model, None, None, 5).await.unwrap().is_empty());
            assert!(library.rows.ids_after(model, None, Some(first), 5).await.unwrap().is_empty());
            let stretch = Stretch { first, last: first };
            assert!(library.rows.read(model, None, stretch, true).await.unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn paging_goes_on_after_a_row_that_is_gone() {
    everywhere(async |library| {
        // given
        library.write_authors(&["Ann", "Bob", "Cem", "Dan"]).await;
        let model = library.model("Author");
        let page = library.rows.ids_after(model, None, None, 2).await.unwrap();
        assert_eq!(page, ["1", "2"]);
        // when
        library.run("DELETE FROM authors WHERE id = 2").await;
        // then
        assert_eq!(library.rows.ids_after(model, None, Some("2"), 2).await.unwrap(), ["3", "4"]);
        assert_eq!(library.authors("1", "2", true).await, ["1 Ann"]);
        assert_eq!(library.size::<author::Entity>().await, 3);
    })
    .await;
}

#[tokio::test]
async fn models_are_listed_by_name() {
    everywhere(async |library| {
        let names: Vec<_> = library.rows.models().iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["Author", "Book", "Host", "Loan", "Member", "Shelf", "Ticket", "Visit"]);
        let author = &library.rows.models()[0];
        assert_eq!(
            (author.endpoint.as_str(), author.types.as_slice()),
            ("library/author", &["Author".into()][..])
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_is_told_from_what_is_there_and_from_what_can_be_no_id() {
    everywhere(async |library| {
        let missing = async |name: &str, ids: &[&str]| {
            let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            library.rows.missing(library.model(name), &ids).await.unwrap()
        };
        // given
        library.write_authors(&["A", "B", "C"]).await;
        for (shelf, row) in [("a b", 1), ("b", 2)] {
            let (shelf, title) = (Set(shelf.into()), Set(String::from("T")));
            let book = book::ActiveModel { shelf, row: Set(row), place: Set(1), title };
            book.insert(&library.db).await.unwrap();
        }
        shelf::ActiveModel { label: Set("apple".into()) }.insert(&library.db).await.unwrap();
        // then
        assert_eq!(missing("Author", &["1", "4", "2", "no number", "-1"]).await, ["4", "-1"]);
        assert_eq!(missing("Author", &["1"]).await, [""; 0]);
        assert_eq!(missing("Author", &[]).await, [""; 0]);
        let books = ["a%20b,1,1", "a%20b,2,1", "b,1,1", "b,2,1", "b,2"];
        assert_eq!(missing("Book", &books).await, ["a%20b,2,1", "b,1,1"]);
        // Whatever the database takes for the same.
        assert_eq!(missing("Shelf", &["apple", "APPLE", "pear"]).await, ["APPLE", "pear"]);
    })
    .await;
}
