//! Rows are as they are committed.

use promiscuous_core::context::Context;
use promiscuous_core::sync::Stretch;
use sea_orm::{ActiveModelTrait, EntityTrait};
use serde_json::{Value as Json, json};

use super::entities::author;
use super::library::{author as author_named, everywhere};

#[tokio::test]
async fn a_row_has_exactly_what_is_published_and_what_is_computed_of_it() {
    everywhere(async |library| {
        // given
        library.write_authors(&["Ann"]).await;
        library.run("UPDATE authors SET secret = 'x'").await;
        for unless_written in [false, true] {
            // when
            let stretch = Stretch { first: "1", last: "1" };
            let mut rows =
                library.rows.read(library.model("Author"), None, stretch, unless_written).await.unwrap();
            // then
            let row = rows.pop().unwrap();
            assert!(rows.is_empty());
            assert_eq!(row.id, "1");
            assert_eq!(Json::Object(row.attributes), json!({"name": "Ann", "initial": "A"}));
        }
    })
    .await;
}

#[tokio::test]
async fn a_stretch_has_the_rows_that_are_in_it_now() {
    everywhere(async |library| {
        // given
        library.write_authors(&["Ann", "Bob", "Cem", "Dan"]).await;
        let ids = library.rows.ids_after(library.model("Author"), None, None, 3).await.unwrap();
        assert_eq!(ids, ["1", "2", "3"]);
        // when one is deleted, one is changed, and one is inserted in between
        library.run("DELETE FROM authors WHERE id = 1").await;
        library.run("UPDATE authors SET name = 'Ben' WHERE id = 2").await;
        library.run("UPDATE authors SET id = 10 WHERE id = 3").await;
        author_named(3, "new").insert(&library.db).await.unwrap();
        // then
        for unless_written in [false, true] {
            assert_eq!(library.authors("1", "3", unless_written).await, ["2 Ben", "3 new"]);
            assert_eq!(library.authors("4", "10", unless_written).await, ["4 Dan", "10 Cem"]);
            assert!(library.authors("5", "9", unless_written).await.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_read_to_be_published_again_is_nobody_s_cause() {
    everywhere(async |library| {
        library.write_authors(&["Ann", "Bob"]).await;
        // given a context that remembers what its app reads
        let context = Context::new("sync");
        let app = &library.app;
        context.clone().scope(async { author::Entity::find_by_id(1).one(app).await.unwrap() }).await;
        assert_eq!(context.causes().reads.len(), 1);
        // when
        let model = library.model("Author");
        let read = async {
            library.rows.count(model, None).await.unwrap();
            library.rows.ids_after(model, None, None, 5).await.unwrap();
            for unless_written in [false, true] {
                let stretch = Stretch { first: "2", last: "2" };
                library.rows.read(model, None, stretch, unless_written).await.unwrap();
            }
        };
        context.clone().scope(read).await;
        // then
        assert_eq!(context.causes().reads.len(), 1);
    })
    .await;
}
