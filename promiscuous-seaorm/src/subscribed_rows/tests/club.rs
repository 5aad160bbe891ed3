//! A database with all the tables, on each kind of server.

use std::path::PathBuf;
use std::sync::Arc;

use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::config::Config;
use promiscuous_core::key::Endpoint;
use promiscuous_core::operation::{Operation, OperationKind};
use promiscuous_core::verify::{Comparison, SubscribedRows};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel, Schema,
    Set,
};
use serde_json::{Value as Json, json};

use super::entities::{customer, follower, loan, member, person, shelf, ticket};
use crate::capture_tests::servers::{database, pool};
use crate::commit::CommitPath;
use crate::commit::tests::Recorded;
use crate::connection::PromiscuousConnection;
use crate::models::Models;
use crate::promiscuous::Promiscuous;
use crate::subscription::SubscribedModels;

pub struct Club {
    /// What is tested.
    pub rows: Arc<dyn SubscribedRows>,
    /// Its models, by position.
    pub models: SubscribedModels,
    /// The app's connection, to see what is captured.
    pub app: PromiscuousConnection,
    /// The same pool, whose writes nobody sees.
    pub db: DatabaseConnection,
    /// Where SQLite keeps it.
    file: Option<PathBuf>,
}

/// Runs a test on SQLite, and on the servers that there are.
pub async fn everywhere(test: impl AsyncFn(&Club)) {
    let file = std::env::temp_dir().join(format!("promiscuous-subscribed-{}.sqlite", uuid::Uuid::now_v7()));
    let sqlite = format!("sqlite://{}?mode=rwc", file.display());
    let postgres = database("TEST_POSTGRES_URL").await;
    let mariadb = database("TEST_MARIADB_URL").await;
    for (url, file) in [(Some(sqlite), Some(file)), (postgres, None), (mariadb, None)] {
        let Some(url) = url else { continue };
        let club = Club::open(&url, file).await;
        // Shown when the test fails.
        eprintln!("on {:?}", club.backend());
        test(&club).await;
    }
}

impl Club {
    async fn open(url: &str, file: Option<PathBuf>) -> Self {
        let db = pool(url, 4).await;
        let schema = Schema::new(db.get_database_backend());
        if db.get_database_backend() == DbBackend::Postgres {
            for kind in schema.create_enum_from_entity(loan::Entity) {
                db.execute(&kind).await.unwrap();
            }
        }
        for table in [
            schema.create_table_from_entity(person::Entity),
            schema.create_table_from_entity(member::Entity),
            schema.create_table_from_entity(shelf::Entity),
            schema.create_table_from_entity(ticket::Entity),
            schema.create_table_from_entity(loan::Entity),
            schema.create_table_from_entity(follower::Entity),
            schema.create_table_from_entity(customer::Entity),
        ] {
            db.execute(&table).await.unwrap();
        }
        let models = Models::new()
            .publish::<person::Entity>()
            .subscribe::<person::Entity>()
            .subscribe::<member::Entity>()
            .subscribe::<shelf::Entity>()
            .subscribe::<ticket::Entity>()
            .subscribe::<loan::Entity>()
            .subscribe::<follower::Entity>()
            .subscribe::<customer::Entity>();
        let path = CommitPath::Recorded(Arc::new(Recorded::default()));
        let published = models.published("club").unwrap();
        let app = PromiscuousConnection::with_path(db.clone(), published, path, CaptureSettings::default());
        let subscribed = models.subscribed().unwrap();
        let promiscuous = Promiscuous::new(Config::embedded("club", "rows").unwrap()).unwrap().models(models);
        let rows = promiscuous.subscribed_rows(&app).unwrap();
        Self { rows, models: subscribed, app, db, file }
    }

    pub fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// The position of a model.
    pub fn model(&self, name: &str) -> usize {
        self.models.iter().position(|model| model.subscription.type_name == name).unwrap()
    }

    pub async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// Writes a row without its hooks.
    pub async fn write<A: ActiveModelTrait>(&self, row: A) {
        A::Entity::insert(row).exec_without_returning(&self.db).await.unwrap();
    }

    /// Joe, with id 5.
    pub async fn write_joe(&self) {
        let joe = person::Model {
            id: 5,
            name: "Joe".into(),
            balance: rust_decimal::Decimal::new(1250, 2),
            born_at: "1990-01-02T03:04:05Z".parse().unwrap(),
            score: Some(0.1),
            settings: json!({"a": [1, null]}),
            badge: "[J]".into(),
            secret: Some("x".into()),
        };
        let everything = |mut row: person::ActiveModel| {
            for column in <person::Column as sea_orm::Iterable>::iter() {
                row.reset(column);
            }
            row
        };
        self.write(everything(joe.into_active_model())).await;
    }

    pub async fn write_shelves(&self, labels: &[&str]) {
        for (place, label) in (1..).zip(labels) {
            self.write(shelf::ActiveModel { label: Set((*label).into()), place: Set(place) }).await;
        }
    }

    pub async fn write_follower(&self, twitter_id: Option<&str>) {
        let twitter_id = Set(twitter_id.map(str::to_owned));
        let name = Set(String::from("F"));
        self.write(follower::ActiveModel { twitter_id, name, ..Default::default() }).await;
    }

    /// All ids of a model, a few at a time.
    pub async fn pages(&self, model: usize, size: usize) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let page = self.rows.ids_after(model, ids.last().map(String::as_str), size).await.unwrap();
            let full = page.len() == size;
            assert!(page.len() <= size, "{page:?}");
            ids.extend(page);
            assert!(ids.len() < 1000, "it has no end: {ids:?}");
            if !full {
                return ids;
            }
        }
    }

    /// Which of these objects have a row, in the order of their ids.
    pub async fn there(&self, model: &str, ids: &[&str]) -> Vec<String> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        let rows = self.rows.read(self.model(model), &ids).await.unwrap();
        let mut ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
        ids.sort();
        ids
    }

    /// What a sync of an object would do.
    pub async fn compare(&self, model: &str, id: &str, attributes: Json) -> Comparison {
        self.rows.compare(self.model(model), &sync(id, attributes)).await.unwrap()
    }
}

/// What is said of an object; without attributes if they are no JSON object.
pub fn sync(id: &str, attributes: Json) -> Operation {
    Operation {
        operation: OperationKind::Sync,
        endpoint: Endpoint::parse("any/any").unwrap(),
        types: vec!["Any".into()],
        id: id.into(),
        attributes: attributes.as_object().cloned(),
    }
}

/// What is said of Joe when nothing of him has changed.
pub fn joe() -> Json {
    json!({
        "name": "Joe", "balance": "12.50", "born_at": "1990-01-02T03:04:05.000000Z", "score": 0.1,
        "settings": {"a": [1, null]}, "initials": "J", "shout": false
    })
}

/// The same, with one attribute changed.
pub fn joe_with(attribute: &str, value: Json) -> Json {
    let mut attributes = joe();
    attributes[attribute] = value;
    attributes
}

impl Drop for Club {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}
