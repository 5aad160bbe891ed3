//! A shop publishes authors and posts; a mailer keeps copies of them. SeaORM's and Diesel's are of the same tables.

pub mod diesel;
pub mod seaorm;

use crate::databases::Kind;

/// The text of every post.
pub const BODY: &str = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt \
                        ut labore et dolore magna aliqua. Ut enim ad minim veniam.";

/// The tables, the same on both sides; and the outbox by hand.
pub fn tables(kind: Kind) -> [String; 3] {
    let id = match kind {
        Kind::Postgres => "id BIGSERIAL PRIMARY KEY",
        Kind::MariaDb => "id BIGINT AUTO_INCREMENT PRIMARY KEY",
        Kind::Sqlite => "id INTEGER PRIMARY KEY AUTOINCREMENT",
    };
    [
        format!("authors ({id}, name TEXT NOT NULL)"),
        format!(
            "posts ({id}, author_id BIGINT NOT NULL, title TEXT NOT NULL, body TEXT NOT NULL, \
             score INTEGER NOT NULL)"
        ),
        format!("outbox_by_hand ({id}, message TEXT NOT NULL)"),
    ]
}

/// What one who publishes by hand would send of a post.
pub fn message_by_hand(id: i64, author_id: i64, title: &str, body: &str, score: i32) -> String {
    serde_json::json!({"id": id, "author_id": author_id, "title": title, "body": body, "score": score})
        .to_string()
}
