//! A database with all the tables, on each kind of server.

use std::path::PathBuf;
use std::sync::Arc;

use promiscuous_core::capture::CaptureSettings;
use promiscuous_core::config::Config;
use promiscuous_core::database::Dialect;
use promiscuous_core::sync::{Condition, PublishedRows, Stretch, SyncRow};
use sea_orm::{ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, Schema, Set};

use super::entities::{author, book, host, loan, member, shelf, ticket, visit};
use crate::capture_tests::servers::{database, pool};
use crate::commit::CommitPath;
use crate::commit::tests::Recorded;
use crate::connection::PromiscuousConnection;
use crate::models::Models;
use crate::promiscuous::Promiscuous;

pub struct Library {
    /// What is tested.
    pub rows: Arc<dyn PublishedRows>,
    /// The app's connection, to see what is captured.
    pub app: PromiscuousConnection,
    /// The same pool, whose writes nobody sees.
    pub db: DatabaseConnection,
    /// Where SQLite keeps it.
    file: Option<PathBuf>,
}

/// Runs a test on SQLite, and on the servers that there are.
pub async fn everywhere(test: impl AsyncFn(&Library)) {
    let file = std::env::temp_dir().join(format!("promiscuous-rows-{}.sqlite", uuid::Uuid::now_v7()));
    let sqlite = format!("sqlite://{}?mode=rwc", file.display());
    let postgres = database("TEST_POSTGRES_URL").await;
    let mariadb = database("TEST_MARIADB_URL").await;
    for (url, file) in [(Some(sqlite), Some(file)), (postgres, None), (mariadb, None)] {
        let Some(url) = url else { continue };
        let library = Library::open(&url, file).await;
        // Shown when the test fails.
        eprintln!("on {:?}", library.backend());
        test(&library).await;
    }
}

impl Library {
    async fn open(url: &str, file: Option<PathBuf>) -> Self {
        let db = pool(url, 4).await;
        let schema = Schema::new(db.get_database_backend());
        if db.get_database_backend() == DbBackend::Postgres {
            for kind in schema.create_enum_from_entity(loan::Entity) {
                db.execute(&kind).await.unwrap();
            }
            db.execute(&schema.create_table_from_entity(host::Entity)).await.unwrap();
        }
        for table in [
            schema.create_table_from_entity(author::Entity),
            schema.create_table_from_entity(member::Entity),
            schema.create_table_from_entity(shelf::Entity),
            schema.create_table_from_entity(ticket::Entity),
            schema.create_table_from_entity(book::Entity),
            schema.create_table_from_entity(loan::Entity),
            schema.create_table_from_entity(visit::Entity),
        ] {
            db.execute(&table).await.unwrap();
        }
        let models = Models::new()
            .publish::<shelf::Entity>()
            .publish::<author::Entity>()
            .publish::<visit::Entity>()
            .publish::<host::Entity>()
            .publish::<member::Entity>()
            .publish::<ticket::Entity>()
            .publish::<loan::Entity>()
            .publish::<book::Entity>();
        let path = CommitPath::Recorded(Arc::new(Recorded::default()));
        let published = models.published("library").unwrap();
        let app = PromiscuousConnection::with_path(db.clone(), published, path, CaptureSettings::default());
        let promiscuous = Promiscuous::new(Config::embedded("library", "rows").unwrap()).unwrap();
        let rows = promiscuous.models(models).rows(&app).unwrap();
        Self { rows, app, db, file }
    }

    pub fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// The position of a model.
    pub fn model(&self, name: &str) -> usize {
        self.rows.models().iter().position(|model| model.name == name).unwrap()
    }

    pub fn condition(&self, text: &str) -> Condition {
        let dialect = match self.backend() {
            DbBackend::Postgres => Dialect::Postgres,
            DbBackend::MySql => Dialect::Mysql,
            _ => Dialect::Sqlite,
        };
        Condition::parse(text, dialect).unwrap()
    }

    /// Authors with these names, with ids from 1 on.
    pub async fn write_authors(&self, names: &[&str]) {
        for (id, name) in (1..).zip(names) {
            author(id, name).insert(&self.db).await.unwrap();
        }
    }

    pub async fn run(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// Reads authors.
    pub async fn authors(&self, first: &str, last: &str, unless_written: bool) -> Vec<String> {
        let stretch = Stretch { first, last };
        let read = self.rows.read(self.model("Author"), None, stretch, unless_written);
        let read = tokio::time::timeout(std::time::Duration::from_secs(20), read);
        read.await.expect("it waits").unwrap().iter().map(line).collect()
    }

    /// All ids of a model, a few at a time.
    pub async fn pages(&self, model: usize, condition: Option<&Condition>, size: usize) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            let page = self.rows.ids_after(model, condition, ids.last().map(String::as_str), size).await;
            let page = page.unwrap();
            let full = page.len() == size;
            assert!(page.len() <= size, "{page:?}");
            ids.extend(page);
            assert!(ids.len() < 1000, "it has no end: {ids:?}");
            if !full {
                return ids;
            }
        }
    }

    /// How many rows an entity has.
    pub async fn size<E: EntityTrait>(&self) -> usize {
        E::find().into_json().all(&self.db).await.unwrap().len()
    }
}

pub fn author(id: i64, name: &str) -> author::ActiveModel {
    author::ActiveModel { id: Set(id), name: Set(name.into()), secret: Set(None) }
}

/// `2 Ann`.
pub fn line(row: &SyncRow) -> String {
    format!("{} {}", row.id, row.attributes["name"].as_str().unwrap())
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = std::fs::remove_file(file);
        }
    }
}
