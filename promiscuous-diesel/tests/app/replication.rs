use promiscuous_diesel::Context;

use super::mailer::{self, Recipient, letters, recipients};
use super::post;
use super::shop::{self, user, users};
use super::*;

#[test]
fn what_one_app_writes_arrives_in_another_one_s_tables() {
    // Given a shop that publishes its users, and a mailer that subscribes to them
    let network = network();
    let shop = TestApp::shop(&network);
    let mailer = TestApp::new("mailer", &network, Models::new().subscribe::<Recipient>());
    let (shop_app, mailer_app) = (shop.start(), mailer.start());
    let mut subscribing = Subscribing::start(&mailer_app);
    let mut db = shop_app.wrap(shop.plain());

    // When the shop writes with ordinary Diesel code, on a plain thread
    Context::new("users/create").sync_scope(|| {
        diesel::insert_into(users::table).values(user(1, "Joe")).execute(&mut db).unwrap();
        diesel::insert_into(users::table)
            .values(vec![user(2, "Jim"), user(3, "Jon")])
            .execute(&mut db)
            .unwrap();
        diesel::update(users::table.find(1)).set(users::nickname.eq("jojo")).execute(&mut db).unwrap();
        diesel::delete(users::table.find(2)).execute(&mut db).unwrap();
        db.transaction(|db| {
            let mut jon: shop::User = users::table.find(3).first(db)?;
            jon.name = "Jonathan".into();
            jon.save_changes::<shop::User>(db)?;
            diesel::insert_into(users::table).values(user(4, "Jack")).execute(db)
        })
        .unwrap();
        let undone = db.transaction(|db| {
            diesel::insert_into(users::table).values(user(5, "nobody")).execute(db)?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        assert!(undone.is_err());
    });
    // A change of what is not published.
    diesel::update(users::table.find(1)).set(users::password.eq("other")).execute(&mut db).unwrap();

    // Then the mailer has the same users
    subscribing.applied(5);
    let expected: Vec<(i64, String, Option<String>)> = users::table
        .order(users::id)
        .select((users::id, users::name, users::nickname))
        .load(&mut shop.plain())
        .unwrap();
    let found: Vec<(i64, String, Option<String>)> =
        recipients::table.order(recipients::id).load(&mut mailer.plain()).unwrap();
    assert_eq!(found, expected);
    assert_eq!(found.len(), 3);
    subscribing.stop();
    shop_app.shut_down(Duration::from_secs(5));
    let waiting = "SELECT COUNT(*) AS number FROM promiscuous_outbox";
    assert_eq!(number(&mut shop.plain(), waiting), 0, "all of it was published");
}

#[test]
fn what_a_callback_writes_is_published_in_turn() {
    // Given a chain of three apps: the mailer writes a letter for each new user, and the post gets it
    let network = network();
    let shop = TestApp::shop(&network);
    let models = Models::new().subscribe::<Recipient>().publish::<mailer::Letter>();
    let mailer = TestApp::new("mailer", &network, models);
    let post = TestApp::new("post", &network, Models::new().subscribe::<post::Letter>());
    let (shop_app, mailer_app, post_app) = (shop.start(), mailer.start(), post.start());
    let (mut at_mailer, mut at_post) = (Subscribing::start(&mailer_app), Subscribing::start(&post_app));
    // When users are created
    let mut db = shop_app.wrap(shop.plain());
    let names = ["Joe", "Jim", "Jon"];
    for (id, name) in (1..).zip(names) {
        diesel::insert_into(users::table).values(user(id, name)).execute(&mut db).unwrap();
    }
    // Then each letter arrives, and what the mailer keeps agrees with it
    at_mailer.applied(3);
    let wanted: Vec<_> = names.iter().map(|name| format!("Welcome {name}")).collect();
    let arrived = || letters::table.order(letters::id).select(letters::text).load(&mut post.plain()).unwrap();
    // The mailer applies what is ready in one transaction, which is one message of its own: there may be fewer than letters.
    at_post.until(|| arrived().len() == 3);
    let found: Vec<String> = arrived();
    assert_eq!(found, wanted);
    at_mailer.stop();
    at_post.stop();
}

#[test]
fn a_subscriber_that_is_cut_off_at_once_loses_nothing() {
    let network = network();
    let shop = TestApp::shop(&network);
    let mailer = TestApp::new("mailer", &network, Models::new().subscribe::<Recipient>());
    let (shop_app, mailer_app) = (shop.start(), mailer.start());
    let mut db = shop_app.wrap(shop.plain());
    Subscribing::start(&mailer_app).stop();
    for round in 0..10_i64 {
        for id in 0..20 {
            let user = user(round * 20 + id, "Joe");
            diesel::insert_into(users::table).values(user).execute(&mut db).unwrap();
        }
        // Somewhere in the middle of it: the runtime ends, and with it every future, at whatever await.
        let subscribing = Subscribing::start(&mailer_app);
        let mut status = subscribing.status.clone();
        let some = status.wait_for(|status| status.applied > 0);
        subscribing.runtime.block_on(some).unwrap();
        drop(subscribing);
    }
    let mut subscribing = Subscribing::start(&mailer_app);
    let all = || recipients::table.count().get_result::<i64>(&mut mailer.plain()).unwrap();
    subscribing.until(|| all() == 200);
    subscribing.stop();
}

impl Subscribing {
    /// Waits for a message after which this is so.
    pub fn until(&mut self, mut done: impl FnMut() -> bool) {
        while !done() {
            let changed =
                async { tokio::time::timeout(Duration::from_secs(30), self.status.changed()).await };
            self.runtime.block_on(changed).expect("in time").unwrap();
        }
    }
}

pub fn number(connection: &mut SqliteConnection, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    diesel::sql_query(sql).get_result::<Number>(connection).unwrap().number
}

/// How many messages a second are applied: `cargo test … --test app -- --ignored --nocapture rate`.
#[test]
#[ignore = "measures"]
fn rate_of_applying() {
    const MESSAGES: i64 = 10_000;
    for workers in [1, 8] {
        let network = network();
        let shop = TestApp::shop(&network);
        let mailer = TestApp::new("mailer", &network, Models::new().subscribe::<Recipient>());
        let (shop_app, mailer_app) = (shop.start(), mailer.start());
        Subscribing::start(&mailer_app).stop();
        let mut db = shop_app.wrap(shop.plain());
        let began = std::time::Instant::now();
        for id in 0..MESSAGES {
            diesel::insert_into(users::table).values(user(id, "Joe")).execute(&mut db).unwrap();
        }
        let writing = MESSAGES as f64 / began.elapsed().as_secs_f64();
        shop_app.shut_down(Duration::from_secs(60));
        let mut settings = promiscuous_diesel::core::subscriber::SubscriberSettings::new("mailer");
        settings.workers = workers;
        settings.clock_skew = Duration::ZERO;
        let began = std::time::Instant::now();
        let mut subscribing = Subscribing::with(mailer_app.subscriber_with(settings).unwrap());
        subscribing.until(|| subscribing_applied(&mailer) == MESSAGES);
        let applying = MESSAGES as f64 / began.elapsed().as_secs_f64();
        println!("{workers} workers: {writing:.0} written/s, {applying:.0} applied/s");
        subscribing.stop();
    }
}

fn subscribing_applied(mailer: &TestApp) -> i64 {
    recipients::table.count().get_result(&mut mailer.plain()).unwrap()
}
