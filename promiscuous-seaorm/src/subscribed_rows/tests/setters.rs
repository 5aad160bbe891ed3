//! Attributes that go through setters are compared by the columns that these set.

use promiscuous_core::config::Config;
use promiscuous_core::database::ApplyError;
use promiscuous_core::verify::Comparison;
use serde_json::json;

use super::club::{everywhere, joe, joe_with, sync};
use super::entities::person;
use crate::models::Models;
use crate::promiscuous::Promiscuous;

#[tokio::test]
async fn an_attribute_whose_setter_would_change_a_column_is_named() {
    everywhere(async |club| {
        club.write_joe().await;
        assert_eq!(club.compare("Person", "5", joe()).await, Comparison::Same);
        let compared = club.compare("Person", "5", joe_with("initials", json!("JJ"))).await;
        assert_eq!(compared, Comparison::Different(vec!["initials".into()]));
        let compared = club.compare("Person", "5", joe_with("shout", json!(true))).await;
        assert_eq!(compared, Comparison::Different(vec!["shout".into()]));
    })
    .await;
}

#[tokio::test]
async fn a_value_that_a_setter_takes_back_is_no_difference() {
    everywhere(async |club| {
        club.write_joe().await;
        club.run("UPDATE people SET full_name = 'JOE'").await;
        assert_eq!(
            club.compare("Person", "5", joe_with("shout", json!(true))).await,
            Comparison::Same,
            "to apply it again would write what is there"
        );
        assert_eq!(club.compare("Person", "5", joe()).await, Comparison::Different(vec!["name".into()]));
    })
    .await;
}

#[tokio::test]
async fn what_a_setter_refuses_or_panics_at_is_a_callback_error() {
    everywhere(async |club| {
        club.write_joe().await;
        for (initials, reason) in
            [("", "`set_initials`: nobody has no initials"), ("panic", "it panicked: not these")]
        {
            let attributes = joe_with("initials", json!(initials));
            let error = club.rows.compare(club.model("Person"), &sync("5", attributes)).await.unwrap_err();
            assert!(matches!(&error, ApplyError::Callback { reason: r, .. } if r == reason), "{error}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_message_lacks_is_no_difference_where_the_schema_is_relaxed() {
    everywhere(async |club| {
        club.write_joe().await;
        let mut config = Config::embedded("club", "relaxed").unwrap();
        config.relaxed_schema = true;
        let models = Models::new().subscribe::<person::Entity>();
        let rows = Promiscuous::new(config).unwrap().models(models).subscribed_rows(&club.app).unwrap();
        for (attributes, expected) in [
            (json!({}), Comparison::Same),
            (json!({"name": "Joe"}), Comparison::Same),
            (json!({"name": "Jim"}), Comparison::Different(vec!["name".into()])),
            (json!({"initials": "X"}), Comparison::Different(vec!["initials".into()])),
        ] {
            assert_eq!(rows.compare(0, &sync("5", attributes)).await.unwrap(), expected);
        }
    })
    .await;
}
