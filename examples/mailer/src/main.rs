//! A small tool beside the worker: `mailer setup` creates the mailer's own tables, `mailer show` prints what they hold.

use std::error::Error;

use mailer::{mail, recipient};
use sea_orm::{Database, EntityTrait, QueryOrder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL")?;
    let db = Database::connect(url).await?;
    match std::env::args().nth(1).as_deref() {
        Some("setup") => mailer::create_tables(&db).await?,
        Some("show") => {
            for user in recipient::Entity::find().order_by_asc(recipient::Column::Id).all(&db).await? {
                println!("recipient {}: {} <{}>, {}", user.id, user.name, user.email, user.greeting);
            }
            for mail in mail::Entity::find().order_by_asc(mail::Column::Id).all(&db).await? {
                println!("mail {} to recipient {}: {}", mail.id, mail.user_id, mail.text);
            }
        }
        _ => return Err("usage: mailer setup | mailer show".into()),
    }
    Ok(())
}
