//! Which reads and writes each of SeaORM's calls records in the message that goes over the wire.

use futures_util::TryStreamExt;
use promiscuous_core::message::Message;
use promiscuous_core::operation::OperationKind;
use promiscuous_seaorm::PromiscuousConnection;
use promiscuous_tests::entities::publishing::{counter, message, note, user};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DerivePartialModel, EntityLoaderTrait, EntityTrait, LoaderTrait,
    ModelTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use crate::apps::{Publishing, Tap, create_counter, increment, read, request, written};

#[derive(DerivePartialModel)]
#[sea_orm(entity = "user::Entity")]
#[allow(dead_code)]
struct WithKey {
    id: i64,
    name: String,
}

#[derive(DerivePartialModel)]
#[sea_orm(entity = "user::Entity")]
#[allow(dead_code)]
struct WithoutKey {
    name: String,
}

/// Users 1 and 2, the message 11 of user 1, the counter 5, a note; all of it told already.
async fn given() -> (Publishing, PromiscuousConnection, Tap) {
    let publishing = Publishing::new().await;
    let mut tap = publishing.tap().await;
    let db = publishing.connect(3).await;
    request("given", async {
        for id in [1, 2] {
            let (name, secret) = (Set(format!("user {id}")), Set("secret".to_owned()));
            user::ActiveModel { id: Set(id), name, revision: Set(0), secret }.insert(&db).await.unwrap();
        }
        let text = Set("hello".to_owned());
        let message = message::ActiveModel { id: Set(11), user_id: Set(1), user_revision: Set(0), text };
        message.insert(&db).await.unwrap();
        note::ActiveModel { id: Set(1), text: Set("unpublished".into()) }.insert(&db).await.unwrap();
        create_counter(&db, 5).await.unwrap();
    })
    .await;
    tap.until("counter/5").await;
    (publishing, db, tap)
}

/// Each line reads something in a context of its own, which then increments the counter 5: the increment's reads must be those keys.
macro_rules! reads_of {
    ($db:ident, $tap:ident, $($name:literal: $reads:expr => $keys:expr;)*) => {
        $({
            request($name, async {
                let _ = $reads;
                increment($db, 5).await.unwrap();
            })
            .await;
            let message = $tap.message().await;
            assert_eq!(message.context.as_deref(), Some($name));
            assert_eq!(written(&message), ["counter/5"], $name);
            let keys: &[&str] = &$keys;
            assert_eq!(read(&message), keys, $name);
            println!("{:<24} reads {keys:?}", $name);
        })*
    };
}

#[tokio::test]
async fn each_way_of_reading_is_a_read_of_the_next_message() {
    let (_publishing, db, mut tap) = given().await;
    let db = &db;
    let by_id = user::Column::Id;
    reads_of! { db, tap,
        "find_by_id": user::Entity::find_by_id(1).one(db).await.unwrap() => ["user/1"];
        "one": user::Entity::find().filter(user::Column::Name.eq("user 2")).one(db).await.unwrap() => ["user/2"];
        "all": user::Entity::find().all(db).await.unwrap() => ["user/1", "user/2"];
        "twice": {
            user::Entity::find_by_id(1).one(db).await.unwrap();
            user::Entity::find().all(db).await.unwrap()
        } => ["user/1", "user/2"];
        "find_also_related": message::Entity::find().find_also_related(user::Entity).all(db).await.unwrap()
            => ["message/11", "user/1"];
        "find_with_related": user::Entity::find().find_with_related(message::Entity).all(db).await.unwrap()
            => ["message/11", "user/1", "user/2"];
        "find_related": {
            let user = user::Entity::find_by_id(1).one(db).await.unwrap().unwrap();
            user.find_related(message::Entity).all(db).await.unwrap()
        } => ["message/11", "user/1"];
        "load_many": {
            let users = user::Entity::find().all(db).await.unwrap();
            users.load_many(message::Entity, db).await.unwrap()
        } => ["message/11", "user/1", "user/2"];
        "load_one": {
            let messages = message::Entity::find().all(db).await.unwrap();
            messages.load_one(user::Entity, db).await.unwrap()
        } => ["message/11", "user/1"];
        "entity loader": user::Entity::load().filter_by_id(1).with(message::Entity).one(db).await.unwrap()
            => ["message/11", "user/1"];
        "paginate": user::Entity::find().order_by_asc(by_id).paginate(db, 1).fetch_page(1).await.unwrap() => ["user/2"];
        "cursor": user::Entity::find().cursor_by(by_id).first(1).all(db).await.unwrap() => ["user/1"];
        "stream": user::Entity::find().stream(db).await.unwrap().try_collect::<Vec<_>>().await.unwrap()
            => ["user/1", "user/2"];
        "partial with key": user::Entity::find().into_partial_model::<WithKey>().all(db).await.unwrap()
            => ["user/1", "user/2"];
        "partial, pinned": user::Entity::find_by_id(2).into_partial_model::<WithoutKey>().one(db).await.unwrap()
            => ["user/2"];
        "tuple with key": user::Entity::find().select_only().column(by_id).into_tuple::<i64>().all(db).await.unwrap()
            => ["user/1", "user/2"];
        "lock_exclusive": {
            let transaction = db.begin().await.unwrap();
            user::Entity::find_by_id(2).lock_exclusive().one(&transaction).await.unwrap();
            transaction.commit().await.unwrap()
        } => ["user/2"];
        "nothing found": user::Entity::find_by_id(99).one(db).await.unwrap() => [];
        "the written row": counter::Entity::find_by_id(5).one(db).await.unwrap() => [];
        "unpublished model": note::Entity::find().all(db).await.unwrap() => [];
        "count": user::Entity::find().count(db).await.unwrap() => [];
    }
}

/// The messages until one about the counter 100, which is written now.
async fn told(db: &PromiscuousConnection, tap: &mut Tap) -> Vec<Message> {
    create_counter(db, 100).await.unwrap();
    let mut messages = tap.until("counter/100").await;
    messages.pop();
    counter::Entity::delete_by_id(100).exec(db).await.unwrap();
    tap.until("counter/100").await;
    messages
}

fn operations(message: &Message) -> Vec<(OperationKind, String)> {
    message.operations.iter().map(|o| (o.operation, o.id.clone())).collect()
}

#[tokio::test]
async fn what_a_context_did_before_causes_what_it_does_next() {
    let (_publishing, db, mut tap) = given().await;
    request("several", async {
        user::Entity::find_by_id(2).one(&db).await.unwrap();
        create_counter(&db, 1).await.unwrap();
        // The read was a cause of the write before, the write is the cause of this one.
        create_counter(&db, 2).await.unwrap();
        message::Entity::delete_by_id(11).exec(&db).await.unwrap();
        // The last write of each endpoint, for subscribers that get only one of them.
        create_counter(&db, 3).await.unwrap();
    })
    .await;
    let reads: Vec<_> = told(&db, &mut tap).await.iter().map(read).collect();
    let expected: [&[&str]; 4] = [&["user/2"], &["counter/1"], &["counter/2"], &["counter/2", "message/11"]];
    assert_eq!(reads, expected);
    // The exact version that was written is what is read.
    request("exact", async {
        create_counter(&db, 6).await.unwrap();
        create_counter(&db, 7).await.unwrap();
    })
    .await;
    let messages = told(&db, &mut tap).await;
    let first = &messages[0].dependencies.as_ref().unwrap().write[0];
    let second = &messages[1].dependencies.as_ref().unwrap().read[0];
    assert_eq!((&first.key, first.version), (&second.key, second.version));
    assert_eq!(second.ordinals.values().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn without_a_context_nothing_is_remembered_but_inside_of_a_transaction() {
    let (_publishing, db, mut tap) = given().await;
    user::Entity::find_by_id(1).one(&db).await.unwrap();
    create_counter(&db, 1).await.unwrap();
    create_counter(&db, 2).await.unwrap();
    let transaction = db.begin().await.unwrap();
    user::Entity::find_by_id(1).one(&transaction).await.unwrap();
    create_counter(&transaction, 3).await.unwrap();
    transaction.commit().await.unwrap();
    let reads: Vec<_> = told(&db, &mut tap).await.iter().map(read).collect();
    let expected: [&[&str]; 3] = [&[], &[], &["user/1"]];
    assert_eq!(reads, expected);
}

#[tokio::test]
async fn what_is_not_published_says_nothing() {
    let (_publishing, db, mut tap) = given().await;
    request("unpublished", async {
        let secret = user::ActiveModel { id: Set(1), secret: Set("new".into()), ..Default::default() };
        secret.update(&db).await.unwrap();
        note::ActiveModel { id: Set(1), text: Set("changed".into()) }.update(&db).await.unwrap();
        note::Entity::delete_by_id(1).exec(&db).await.unwrap();
        // No row is met.
        increment(&db, 77).await.unwrap();
        counter::Entity::delete_by_id(77).exec(&db).await.unwrap();
        // What was created is gone before anybody could hear of it.
        let transaction = db.begin().await.unwrap();
        create_counter(&transaction, 8).await.unwrap();
        counter::Entity::delete_by_id(8).exec(&transaction).await.unwrap();
        transaction.commit().await.unwrap();
    })
    .await;
    assert_eq!(told(&db, &mut tap).await, []);
}

#[tokio::test]
async fn a_statement_on_many_rows_is_one_message_with_an_operation_for_each() {
    use OperationKind::{Create, Destroy, Update};
    let (_publishing, db, mut tap) = given().await;
    request("many", async {
        let rows = [1, 2, 3].map(|id| counter::ActiveModel { id: Set(id), n: Set(id) });
        counter::Entity::insert_many(rows).exec(&db).await.unwrap();
        let ten = counter::Entity::update_many()
            .col_expr(counter::Column::N, counter::Column::N.into_expr().add(10));
        ten.filter(counter::Column::Id.is_in([1, 2])).exec(&db).await.unwrap();
        let delete = counter::Entity::delete_many().filter(counter::Column::Id.lt(4));
        delete.exec(&db).await.unwrap();
    })
    .await;
    let messages = told(&db, &mut tap).await;
    let done: Vec<_> = messages.iter().map(operations).collect();
    let all = |kind, ids: &[&str]| ids.iter().map(|id| (kind, (*id).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        done,
        [all(Create, &["1", "2", "3"]), all(Update, &["1", "2"]), all(Destroy, &["1", "2", "3"])]
    );
    for message in &messages {
        let keys: Vec<_> = message.operations.iter().map(|o| format!("counter/{}", o.id)).collect();
        assert_eq!(written(message), keys);
    }
    let n = |message: &Message, at: usize| message.operations[at].attributes.as_ref().unwrap()["n"].clone();
    assert_eq!((n(&messages[1], 0), n(&messages[1], 1)), (11.into(), 12.into()));
}
