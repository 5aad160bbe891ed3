//! Ids come once, in order, and all.

use sea_orm::{DbBackend, Set};

use super::club::{Club, everywhere};
use super::entities::{customer, loan, member};

/// Every size of a page gives these ids, each of which has its row.
async fn pages_are_whole(club: &Club, model: &str, expected: &[String]) {
    let position = club.model(model);
    for size in [1, 2, 3, expected.len(), 100, usize::MAX] {
        assert_eq!(club.pages(position, size).await, expected, "{size}");
    }
    let rows = club.rows.read(position, expected).await.unwrap();
    let mut read: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    let mut expected = expected.to_vec();
    read.sort();
    expected.sort();
    assert_eq!(read, expected);
}

async fn write_customer(club: &Club, shop_id: Option<i64>) {
    let name = Set(String::from("C"));
    club.write(customer::ActiveModel { shop_id: Set(shop_id), name, ..Default::default() }).await;
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|&id| id.to_owned()).collect()
}

#[tokio::test]
async fn every_number_in_a_foreign_key_comes_once_and_no_row_that_is_this_app_s_own() {
    everywhere(async |club| {
        for id in [Some(10), None, Some(9), Some(-3), None, Some(i64::MAX), Some(2)] {
            write_customer(club, id).await;
        }
        let expected = owned(&["-3", "2", "9", "10", "9223372036854775807"]);
        pages_are_whole(club, "Customer", &expected).await;
    })
    .await;
}

#[tokio::test]
async fn a_foreign_key_of_text_gives_the_ids_that_it_was_given() {
    everywhere(async |club| {
        for text in [None, Some("a/1"), Some("1,b%2C"), Some("Smith, Joe"), Some(""), Some("c"), None] {
            club.write_follower(text).await;
        }
        let ids = club.pages(club.model("Follower"), 100).await;
        let mut sorted = ids.clone();
        sorted.sort();
        // The second was an id of two columns, and is kept as it was written.
        assert_eq!(sorted, ["%", "1,b%2C", "Smith%2C%20Joe", "a%2F1", "c"]);
        pages_are_whole(club, "Follower", &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_uuid_comes_once() {
    everywhere(async |club| {
        for number in [7_u128, 1 << 100, 3, u128::MAX, (1 << 127) + 5] {
            let id = Set(uuid::Uuid::from_u128(number));
            club.write(member::ActiveModel { id, name: Set("M".into()) }).await;
        }
        let ids = club.pages(club.model("Member"), 100).await;
        assert_eq!(ids[0], "00000000-0000-0000-0000-000000000003");
        assert_eq!(ids.len(), 5);
        pages_are_whole(club, "Member", &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_text_comes_once_in_the_order_of_the_database() {
    everywhere(async |club| {
        club.write_shelves(&[
            "b/1", "a b", "O'Hara", "über", "apple", "BETA", "beta 2", "", "a,b", "x?", "日本",
        ])
        .await;
        let ids = club.pages(club.model("Shelf"), 100).await;
        assert_eq!(ids.len(), 11);
        // A primary key of text has one part, whatever is in it.
        assert!(ids.contains(&"a%2Cb".to_owned()) && ids.contains(&"%".to_owned()), "{ids:?}");
        pages_are_whole(club, "Shelf", &ids).await;
    })
    .await;
}

#[tokio::test]
async fn every_key_of_several_columns_comes_once_in_the_order_of_its_columns() {
    everywhere(async |club| {
        for kind in [loan::Kind::Weeks, loan::Kind::Days] {
            for (shelf, number) in [("a", 2), ("a", 10), ("b c", -1)] {
                let (shelf, kind) = (Set(shelf.into()), Set(kind.clone()));
                club.write(loan::ActiveModel { shelf, kind, number: Set(number), returned: Set(true) }).await;
            }
        }
        let ids = club.pages(club.model("Loan"), 100).await;
        // PostgreSQL compares enums in the order of their declaration, the others as text.
        let expected = match club.backend() {
            DbBackend::Postgres => ["a,weeks,2", "a,weeks,10", "a,days,2", "a,days,10"],
            _ => ["a,days,2", "a,days,10", "a,weeks,2", "a,weeks,10"],
        };
        assert_eq!(ids[..4], expected);
        assert_eq!(ids.len(), 6);
        pages_are_whole(club, "Loan", &ids).await;
    })
    .await;
}

#[tokio::test]
async fn paging_goes_on_after_a_row_that_is_gone() {
    everywhere(async |club| {
        for id in 1..=4 {
            write_customer(club, Some(id)).await;
        }
        let model = club.model("Customer");
        assert_eq!(club.rows.ids_after(model, None, 2).await.unwrap(), ["1", "2"]);
        club.run("DELETE FROM customers WHERE shop_id IN (2, 3)").await;
        assert_eq!(club.rows.ids_after(model, Some("2"), 2).await.unwrap(), ["4"]);
        assert!(club.rows.ids_after(model, Some("4"), 2).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_id_of_another_model_is_refused_without_telling_it() {
    everywhere(async |club| {
        for (model, table, id) in [
            ("Person", "people", "secret"),
            ("Customer", "customers", "1,2"),
            ("Member", "members", "secret"),
            ("Loan", "loans", "secret,days"),
            ("Follower", "followers", "%secret"),
        ] {
            let said = club.rows.ids_after(club.model(model), Some(id), 5).await.unwrap_err();
            let said = said.source.to_string();
            assert!(said.contains(table) && said.contains("begin again"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
        let said = club.rows.ids_after(7, None, 5).await.unwrap_err().source.to_string();
        assert!(said.contains("no subscribed model number 7"), "{said}");
    })
    .await;
}
