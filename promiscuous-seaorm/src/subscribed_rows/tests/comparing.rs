//! What an operation would change is told, and not changed.

use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::OperationKind;
use promiscuous_core::verify::Comparison;
use sea_orm::EntityTrait;
use serde_json::{Value as Json, json};

use super::club::{everywhere, joe, joe_with, sync};
use super::entities::person;

fn different(names: &[&str]) -> Comparison {
    Comparison::Different(names.iter().map(|&name| name.to_owned()).collect())
}

#[tokio::test]
async fn a_row_that_would_not_change_is_the_same_however_its_values_are_spelled() {
    everywhere(async |club| {
        club.write_joe().await;
        for (attribute, value) in [
            ("name", json!("Joe")),
            ("balance", json!("12.5")),
            ("balance", json!("12.500000")),
            ("born_at", json!("1990-01-02T04:04:05.000000+01:00")),
            ("score", json!(0.1)),
            ("settings", json!({"a": [1, null]})),
        ] {
            let compared = club.compare("Person", "5", joe_with(attribute, value.clone())).await;
            assert_eq!(compared, Comparison::Same, "{attribute} {value}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_would_change_is_named_and_stays_as_it_is() {
    everywhere(async |club| {
        club.write_joe().await;
        let before = person::Entity::find_by_id(5).one(&club.db).await.unwrap();
        for (attribute, value) in [
            ("name", json!("joe")),
            ("balance", json!("12.51")),
            ("born_at", json!("1990-01-02T03:04:06Z")),
            ("score", json!(0.25)),
            ("score", json!(null)),
            ("settings", json!({"a": [1]})),
        ] {
            let compared = club.compare("Person", "5", joe_with(attribute, value.clone())).await;
            assert_eq!(compared, different(&[attribute]), "{value}");
        }
        let mut two = joe_with("settings", json!(null));
        two["name"] = json!("Jim");
        assert_eq!(club.compare("Person", "5", two).await, different(&["name", "settings"]));
        assert_eq!(person::Entity::find_by_id(5).one(&club.db).await.unwrap(), before);
    })
    .await;
}

#[tokio::test]
async fn floats_are_compared_bit_by_bit() {
    everywhere(async |club| {
        club.write_joe().await;
        club.run("UPDATE people SET score = 0").await;
        assert_eq!(club.compare("Person", "5", joe_with("score", json!(0.0))).await, Comparison::Same);
        assert_eq!(club.compare("Person", "5", joe_with("score", json!(-0.0))).await, different(&["score"]));
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_not_there_or_is_another_object_s_is_missing() {
    everywhere(async |club| {
        club.write_joe().await;
        club.write_shelves(&["apple"]).await;
        club.write_follower(Some("x,y")).await;
        club.write_follower(None).await;
        assert_eq!(club.compare("Person", "6", joe()).await, Comparison::Missing);
        assert_eq!(club.compare("Shelf", "APPLE", json!({"place": 1})).await, Comparison::Missing);
        assert_eq!(club.compare("Shelf", "apple", json!({"place": 1})).await, Comparison::Same);
        assert_eq!(club.compare("Shelf", "apple", json!({"place": 2})).await, different(&["place"]));
        assert_eq!(club.compare("Follower", "x,y", json!({"name": "F"})).await, Comparison::Same);
        assert_eq!(club.compare("Follower", "x", json!({"name": "F"})).await, Comparison::Missing);
    })
    .await;
}

#[tokio::test]
async fn of_an_operation_without_attributes_only_the_row_counts() {
    everywhere(async |club| {
        club.write_joe().await;
        assert_eq!(club.compare("Person", "5", Json::Null).await, Comparison::Same);
        assert_eq!(club.compare("Person", "6", Json::Null).await, Comparison::Missing);
        let destroy = |id| promiscuous_core::operation::Operation {
            operation: OperationKind::Destroy,
            ..sync(id, Json::Null)
        };
        let model = club.model("Person");
        assert_eq!(club.rows.compare(model, &destroy("5")).await.unwrap(), Comparison::Same);
        assert_eq!(club.rows.compare(model, &destroy("6")).await.unwrap(), Comparison::Missing);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_applied_is_the_same_error_here() {
    everywhere(async |club| {
        club.write_joe().await;
        let model = club.model("Person");
        let compare = async |id: &str, attributes| club.rows.compare(model, &sync(id, attributes)).await;
        let error = compare("5", json!({"name": "Joe"})).await.unwrap_err();
        assert!(matches!(&error, ApplyError::MissingAttribute { attribute, .. } if attribute == "balance"));
        let error = compare("5", joe_with("balance", json!("secret"))).await.unwrap_err();
        assert!(matches!(&error, ApplyError::WrongType { attribute, .. } if attribute == "balance"));
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(matches!(compare("5,6", joe()).await, Err(ApplyError::WrongId { .. })));
        let error = club.rows.compare(7, &sync("5", joe())).await.unwrap_err();
        assert!(matches!(error, ApplyError::Database { .. }), "{error}");
    })
    .await;
}
