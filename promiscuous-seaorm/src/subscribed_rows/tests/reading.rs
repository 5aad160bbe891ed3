//! Rows are as a publisher would send them.

use promiscuous_core::context::Context;
use promiscuous_core::sync::SyncRow;
use sea_orm::{DbBackend, EntityTrait, Set};
use serde_json::{Value as Json, json};

use super::club::{Club, everywhere, joe, sync};
use super::entities::{loan, person, ticket};

async fn read(club: &Club, model: &str, ids: &[&str]) -> Vec<SyncRow> {
    let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
    club.rows.read(club.model(model), &ids).await.unwrap()
}

#[tokio::test]
async fn a_row_has_exactly_what_is_subscribed_to_and_kept_in_columns() {
    everywhere(async |club| {
        club.write_joe().await;
        let mut rows = read(club, "Person", &["5"]).await;
        let row = rows.pop().unwrap();
        let mut attributes = Json::Object(row.attributes);
        assert_eq!((row.id.as_str(), rows.len()), ("5", 0));
        // Each database has a scale of its own.
        let balance = attributes["balance"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap();
        assert_eq!(balance, rust_decimal::Decimal::new(1250, 2));
        attributes["balance"] = json!("12.50");
        let mut expected = joe();
        expected.as_object_mut().unwrap().retain(|name, _| !["initials", "shout"].contains(&name.as_str()));
        assert_eq!(attributes, expected);
        let names = club.rows.attributes(club.model("Person"));
        assert_eq!(names, ["name", "balance", "born_at", "score", "settings"]);
        assert!(club.rows.attributes(7).is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_and_what_can_be_no_id_has_no_row() {
    everywhere(async |club| {
        club.write_joe().await;
        club.write_follower(Some("x,y")).await;
        club.write_follower(Some("z")).await;
        club.write_follower(None).await;
        for (shelf, number) in [("a b", 1), ("b", 2)] {
            let (shelf, kind) = (Set(shelf.into()), Set(loan::Kind::Days));
            club.write(loan::ActiveModel { shelf, kind, number: Set(number), returned: Set(true) }).await;
        }
        assert_eq!(club.there("Person", &["4", "5", "05", "5,1", "five", "", "%GG"]).await, ["5"]);
        assert_eq!(club.there("Person", &[]).await, [""; 0]);
        assert_eq!(club.there("Follower", &["x,y", "x", "%7A", "z,"]).await, ["%7A", "x,y"]);
        let loans = ["a%20b,days,1", "a%20b,days,2", "b,weeks,2", "b,days,2", "b,2"];
        assert_eq!(club.there("Loan", &loans).await, ["a%20b,days,1", "b,days,2"]);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_only_a_collation_takes_for_the_wanted_one_is_another_object_s() {
    everywhere(async |club| {
        club.write_shelves(&["apple", "Zoë"]).await;
        club.write_follower(Some("Joe")).await;
        assert_eq!(club.there("Shelf", &["APPLE", "apple", "Zoe"]).await, ["apple"]);
        assert_eq!(club.there("Follower", &["joe", "JOE"]).await, [""; 0]);
        assert_eq!(club.there("Follower", &["joe", "Joe"]).await, ["Joe"]);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_filled_up_with_spaces_has_the_id_that_it_was_asked_for_by() {
    everywhere(async |club| {
        for (code, seat) in [("abc", 1), ("abcdef", 2)] {
            club.write(ticket::ActiveModel { code: Set(code.into()), seat: Set(seat) }).await;
        }
        assert_eq!(club.there("Ticket", &["abc", "abcdef", "abcd"]).await, ["abc", "abcdef"]);
        if club.backend() == DbBackend::Postgres {
            assert_eq!(club.there("Ticket", &["abc%20%20%20"]).await, ["abc%20%20%20"]);
        }
    })
    .await;
}

#[tokio::test]
async fn more_rows_than_fit_into_one_statement_are_all_read() {
    everywhere(async |club| {
        let labels: Vec<String> = (0..1201).map(|number| format!("shelf {number}")).collect();
        for labels in labels.chunks(400) {
            let rows = labels.iter().map(|label| super::entities::shelf::ActiveModel {
                label: Set(label.clone()),
                place: Set(1),
            });
            let insert = super::entities::shelf::Entity::insert_many(rows);
            insert.exec_without_returning(&club.db).await.unwrap();
        }
        let mut ids: Vec<String> = labels.iter().map(|label| label.replace(' ', "%20")).collect();
        ids.push("gone".into());
        assert_eq!(club.rows.read(club.model("Shelf"), &ids).await.unwrap().len(), 1201);
    })
    .await;
}

#[tokio::test]
async fn what_is_read_to_be_compared_is_nobody_s_cause() {
    everywhere(async |club| {
        club.write_joe().await;
        // given a context that remembers what its app reads
        let context = Context::new("verify");
        let app = &club.app;
        context.clone().scope(async { person::Entity::find_by_id(6).one(app).await.unwrap() }).await;
        let causes = context.causes().reads.len();
        // when
        let model = club.model("Person");
        let compared = async {
            assert_eq!(club.rows.ids_after(model, None, 5).await.unwrap(), ["5"]);
            assert_eq!(club.there("Person", &["5"]).await, ["5"]);
            club.rows.compare(model, &sync("5", joe())).await.unwrap();
        };
        context.clone().scope(compared).await;
        // then
        assert_eq!(context.causes().reads.len(), causes);
    })
    .await;
}
