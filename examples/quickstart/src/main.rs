//! Three services in one process: what is saved in the shop arrives in the mailer and in the archive, in order and for sure.
//!
//! The shop and the mailer use SeaORM, the archive uses Diesel. Each has its own SQLite database. The broker and the version store are the embedded ones; with RabbitMQ and Redis only
//! the configuration changes (see `examples/`).

use std::error::Error;
use std::time::Duration;

use diesel::{Connection, SqliteConnection};
use promiscuous_diesel::App;
use promiscuous_seaorm::{Config, Context, Models, Promiscuous, PromiscuousConnection};
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, EntityTrait,
    IntoActiveModel, NotSet, Set,
};

mod archive;
mod mailer;
mod shop;

use mailer::say;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter("error").init();
    let shop_db = sqlite("shop").await?;
    let mailer_db = sqlite("mailer").await?;

    // The shop: its connection is wrapped once, everything else is ordinary SeaORM.
    let models = Models::new().publish::<shop::user::Entity>().publish::<shop::message::Entity>();
    let shop = Promiscuous::new(Config::embedded("shop", "quickstart")?)?.models(models);
    shop.migrate(&shop_db).await?;
    let shop_db = shop.wrap(shop_db).await?;

    // The mailer: two workers that race for what arrives. Elsewhere this is `promiscuous subscribe`.
    let models = Models::new().subscribe::<mailer::user::Entity>().subscribe::<mailer::message::Entity>();
    let mut config = Config::embedded("mailer", "quickstart")?;
    config.workers = 2;
    let mailer = Promiscuous::new(config)?.models(models);
    mailer.migrate(&mailer_db).await?;
    let mailer_db = mailer.wrap(mailer_db).await?;
    let subscriber = mailer.subscriber(&mailer_db)?;
    let mut status = subscriber.status();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(subscriber.run(async { drop(stopped.await) }));
    status.wait_for(|status| status.consuming).await?;

    // The archive: the same with Diesel. It has tables in a file, since its workers have a connection each.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("archive.sqlite").display().to_string();
    let models =
        promiscuous_diesel::Models::new().subscribe::<archive::Person>().subscribe::<archive::Letter>();
    let archive = App::new(Config::embedded("archive", "quickstart")?).models(models);
    let archive_db = &mut SqliteConnection::establish(&file)?;
    archive::create_tables(archive_db)?;
    archive.migrate(archive_db)?;
    let subscriber = archive.start(&file)?.subscriber()?;
    let mut filed = subscriber.status();
    let (stop_archive, archive_stopped) = tokio::sync::oneshot::channel::<()>();
    let archiving = tokio::spawn(subscriber.run(async { drop(archive_stopped.await) }));
    filed.wait_for(|status| status.consuming).await?;

    println!(
        "\nThree services, three databases, one process. Applying a user takes the mailer 300 ms;\ntwo workers race, and still no mail overtakes its recipient.\n"
    );
    Context::new("quickstart/sign_up").scope(sign_up(&shop_db)).await?;

    // Three messages: the transaction is one, the rolled-back one is none.
    status.wait_for(|status| status.applied == 3 && status.held == 0).await?;
    filed.wait_for(|status| status.applied == 3 && status.held == 0).await?;
    show(&mailer_db).await?;
    let _ = (stop.send(()), stop_archive.send(()));
    running.await??;
    archiving.await??;
    shop_db.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

/// What a request handler of the shop might do.
async fn sign_up(db: &PromiscuousConnection) -> Result<(), Box<dyn Error>> {
    let joe = shop::user::ActiveModel {
        id: NotSet,
        name: Set("Joe".into()),
        email: Set("joe@example.org".into()),
        password_hash: Set("never published".into()),
    };
    let joe = joe.insert(db).await?;
    say("shop", "inserts Joe");

    let text = Set("Welcome!".into());
    shop::message::ActiveModel { id: NotSet, user_id: Set(joe.id), text }.insert(db).await?;
    say("shop", "inserts a message for Joe: it was written after Joe, so it is applied after him");

    let nothing = db.begin().await?;
    let text = Set("You are fired".into());
    shop::message::ActiveModel { id: NotSet, user_id: Set(joe.id), text }.insert(&nothing).await?;
    nothing.rollback().await?;
    say("shop", "rolls a message back: nobody will ever hear of it");

    let both = db.begin().await?;
    let id = joe.id;
    let mut joe = joe.into_active_model();
    joe.email = Set("joe@example.com".into());
    joe.update(&both).await?;
    let text = Set("Your address was changed".into());
    shop::message::ActiveModel { id: NotSet, user_id: Set(id), text }.insert(&both).await?;
    both.commit().await?;
    say("shop", "changes Joe's address and writes to him, in one transaction: both arrive, or none");
    Ok(())
}

/// What the mailer's own database holds now.
async fn show(db: &PromiscuousConnection) -> Result<(), Box<dyn Error>> {
    println!("\nThe mailer's database:");
    for user in mailer::user::Entity::find().all(db).await? {
        println!("  recipient {}: {} <{}>", user.id, user.name, user.email);
    }
    for mail in mailer::message::Entity::find().all(db).await? {
        println!("  mail {} to recipient {}: {}", mail.id, mail.user_id, mail.text);
    }
    println!(
        "\nNext: README.md shows the ten lines that each side needs, and how to run it on RabbitMQ and Redis."
    );
    Ok(())
}

/// A new database in memory with a service's own tables.
async fn sqlite(service: &str) -> Result<DatabaseConnection, Box<dyn Error>> {
    let mut options = ConnectOptions::new(format!("sqlite:file:{service}?mode=memory&cache=shared"));
    // A database in memory lives as long as its connection.
    options.max_connections(1).min_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    let tables = match service {
        "shop" => [
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, password_hash TEXT NOT NULL)",
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, text TEXT NOT NULL)",
        ],
        _ => [
            "CREATE TABLE recipients (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, greeting TEXT NOT NULL)",
            "CREATE TABLE mails (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, text TEXT NOT NULL)",
        ],
    };
    for table in tables {
        db.execute_unprepared(table).await?;
    }
    Ok(db)
}
