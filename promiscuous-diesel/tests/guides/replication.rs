//! What stands around the blog where it publishes: an app that is the process's default, and another one that subscribes.

use std::env;
use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use promiscuous_diesel::backend::PromiscuousBackend;
use promiscuous_diesel::model::PublishOn;
use promiscuous_diesel::subscription::SubscribeOn;
use promiscuous_diesel::{App, Callbacks, Config, Models, Publish, Running, Subscribe};
use tokio::sync::oneshot;

use super::Guide;
// A table's type is the same on every database.
use super::sqlite::plain::blog::schema::{posts, users};

#[derive(Queryable, Selectable, Publish, Subscribe)]
#[diesel(table_name = posts)]
#[publish(attributes(title, body, published, publish_at, visit_count))]
#[subscribe(from = "blog/post", attributes(title, body, published, publish_at, visit_count))]
pub struct Post {
    id: i32,
    title: String,
    body: String,
    published: bool,
    publish_at: Option<NaiveDateTime>,
    visit_count: i32,
}

#[derive(Queryable, Selectable, Publish, Subscribe)]
#[diesel(table_name = users)]
#[publish(attributes(name, hair_color, created_at, updated_at))]
#[subscribe(from = "blog/user", attributes(name, hair_color, created_at, updated_at))]
pub struct User {
    id: i32,
    name: String,
    hair_color: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

fn start<DB: PromiscuousBackend>(name: &str, url: &str, models: Models<DB>) -> Running<DB> {
    let app = App::new(Config::embedded(name, "guides").unwrap()).models(models);
    app.migrate(&mut DB::Connection::establish(url).unwrap()).unwrap();
    app.start(url).unwrap()
}

/// Runs the blog, and ends when all that it has published has arrived.
pub fn run<DB>(guide: &Guide)
where
    DB: PromiscuousBackend,
    Post: PublishOn<DB> + SubscribeOn<DB> + Callbacks<DB>,
    User: PublishOn<DB> + SubscribeOn<DB> + Callbacks<DB>,
{
    let (url, replica) = (env::var("DATABASE_URL").unwrap(), env::var("REPLICA_URL").unwrap());
    let blog = start::<DB>("blog", &url, Models::new().publish::<Post>().publish::<User>());
    blog.make_default();
    let reader = start::<DB>("reader", &replica, Models::new().subscribe::<Post>().subscribe::<User>());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let subscriber = reader.subscriber().unwrap();
    let mut status = subscriber.status();
    let (stop, stopped) = oneshot::channel::<()>();
    let subscribing = runtime.spawn(subscriber.run(async move {
        let _ = stopped.await;
    }));
    runtime.block_on(status.wait_for(|status| status.consuming)).unwrap();

    guide.tell(guide.promiscuous);

    blog.shut_down(Duration::from_secs(30));
    let written = (guide.rows)(&url, true);
    let arrived = async {
        while (guide.rows)(&replica, true) != written {
            status.changed().await.unwrap();
        }
    };
    let in_time = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), arrived).await });
    let status = status.borrow().clone();
    assert!(in_time.is_ok(), "{status:?}\n{:#?}\n{written:#?}", (guide.rows)(&replica, true));
    drop(stop);
    runtime.block_on(subscribing).unwrap().unwrap();
}
