//! The shop's web service. Configured by `PROMISCUOUS_APP`, `DATABASE_URL`, `AMQP_URL`, `REDIS_URL` and `LISTEN`.

use std::error::Error;
use std::time::Duration;

use promiscuous_seaorm::Promiscuous;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter("info,sqlx=warn,lapin=off").init();

    let promiscuous = Promiscuous::from_environment()?;
    let url = promiscuous.config().database_url.as_ref().ok_or("set DATABASE_URL")?;
    let db = sea_orm::Database::connect(url.expose()).await?;
    shop::create_tables(&db).await?;

    // Replication begins here. All the rest is an ordinary axum and SeaORM program.
    let db = promiscuous.wrap(db).await?;

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, shop::web::router(db.clone())).with_graceful_shutdown(asked_to_stop()).await?;

    // What was committed is published now, rather than by the next process.
    db.shut_down(Duration::from_secs(10)).await;
    println!("stopped");
    Ok(())
}

/// Ends with Ctrl-C, or when the service manager says so.
async fn asked_to_stop() {
    let mut terminate = signal(SignalKind::terminate()).expect("a process can listen to its signals");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
