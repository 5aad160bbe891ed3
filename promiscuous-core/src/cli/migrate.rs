//! `promiscuous migrate`.

use std::process::ExitCode;

use clap::Args;

use super::App;
use crate::config::Settings;
use crate::database::Sql;
use crate::error::Error;
use crate::schema::create_tables;

#[derive(Args)]
#[command(after_help = "Examples:\n  promiscuous migrate\n  promiscuous migrate --print > tables.sql")]
pub(super) struct Options {
    /// Print the SQL instead of running it.
    #[arg(long)]
    print: bool,
}

pub(super) async fn run(app: &dyn App, options: Options, settings: Settings) -> Result<ExitCode, Error> {
    let url = settings.database_url.clone().ok_or_else(|| {
        Error::Configuration("no database is named: set DATABASE_URL, or pass --database-url".into())
    })?;
    let statements = create_tables(app.dialect(&url)?);
    if options.print {
        for statement in statements {
            println!("{statement};");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let database = app.connect_plain(&url).await?;
    for statement in &statements {
        database.execute(Sql::new(database.dialect(), statement)).await?;
    }
    tracing::info!(tables = statements.len(), "the promiscuous tables are there");
    Ok(ExitCode::SUCCESS)
}
