//! Rows that are sent again, many of them applied at once.

use std::collections::HashMap;

use promiscuous_core::apply::ApplyOptions;
use serde_json::{Value as Json, json};

use super::club::{Club, everywhere, sync};

async fn send(club: &Club, model: &str, rows: &[(String, Json)]) {
    let operations: Vec<_> = rows.iter().map(|(id, attributes)| sync(id, attributes.clone())).collect();
    let transaction = club.app.begin().await.unwrap();
    let plan = club.models.plan(club.model(model)).unwrap();
    plan.apply_all(&transaction, &operations.iter().collect::<Vec<_>>(), ApplyOptions::default())
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// What is there of these objects.
async fn read(club: &Club, model: &str, rows: &[(String, Json)]) -> Vec<(String, Json)> {
    let ids: Vec<String> = rows.iter().map(|(id, _)| id.clone()).collect();
    let mut read: Vec<(String, Json)> = club
        .rows
        .read(club.model(model), &ids)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.id, Json::Object(row.attributes)))
        .collect();
    let places: HashMap<&String, usize> = ids.iter().zip(0..).collect();
    read.sort_by_key(|(id, _)| places.get(id).copied());
    read
}

#[tokio::test]
async fn rows_of_every_key_are_inserted_where_they_are_missing_and_changed_where_they_are_not() {
    everywhere(async |club| {
        for (model, ids, attribute) in [
            (
                "Member",
                [
                    "00000000-0000-0000-0000-000000000001",
                    "ffffffff-ffff-ffff-ffff-ffffffffffff",
                    "00000000-0000-0000-0000-000000000003",
                ],
                "name",
            ),
            ("Shelf", ["a%2Fb", "b", "c%20d"], "place"),
            ("Loan", ["a,days,1", "a,weeks,1", "b,days,-7"], "returned"),
            ("Follower", ["5", "7,8", "x%2Cy"], "name"),
            ("Customer", ["-1", "0", "77"], "name"),
        ] {
            let value = |n: usize| match attribute {
                "name" => json!(format!("name {n}")),
                "returned" => json!(n.is_multiple_of(2)),
                _ => json!(n),
            };
            let rows = |ns: [usize; 3]| -> Vec<(String, Json)> {
                (0..3).map(|at| (ids[at].to_owned(), json!({ attribute: value(ns[at]) }))).collect()
            };
            // given the one in the middle, when all come
            send(club, model, &rows([0, 1, 2])[1..2]).await;
            send(club, model, &rows([0, 2, 2])).await;
            // then
            assert_eq!(read(club, model, &rows([0, 2, 2])).await, rows([0, 2, 2]), "{model}");
            // and when they come with something else
            send(club, model, &rows([3, 2, 5])).await;
            assert_eq!(read(club, model, &rows([3, 2, 5])).await, rows([3, 2, 5]), "{model}");
        }
    })
    .await;
}

#[tokio::test]
async fn more_rows_than_one_statement_takes_are_all_there() {
    everywhere(async |club| {
        let rows: Vec<(String, Json)> = (0..6_000).map(|n| (n.to_string(), json!({ "place": n }))).collect();
        send(club, "Shelf", &rows).await;
        assert_eq!(read(club, "Shelf", &rows).await, rows);
    })
    .await;
}
