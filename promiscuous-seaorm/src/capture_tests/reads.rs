//! What is read becomes a cause of what is written.

use futures_util::TryStreamExt;
use promiscuous_core::context::Context;
use sea_orm::entity::prelude::*;
use sea_orm::{
    DerivePartialModel, EntityLoaderTrait, JoinType, LoaderTrait, PaginatorTrait, QueryOrder, QuerySelect,
    RelationDef, RelationTrait, Set,
};

use super::{Bakery, cake as named, fruit as fruit_named};
use crate::fixtures::{cake, cake_filling, filling, fruit};

#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "cake::Entity")]
#[allow(dead_code)]
struct WithKey {
    id: i32,
    name: String,
}

#[derive(Debug, DerivePartialModel)]
#[sea_orm(entity = "cake::Entity")]
#[allow(dead_code)]
struct WithoutKey {
    name: String,
}

struct FruitToCake;

impl Linked for FruitToCake {
    type FromEntity = fruit::Entity;
    type ToEntity = cake::Entity;

    fn link(&self) -> Vec<RelationDef> {
        vec![fruit::Relation::Cake.def()]
    }
}

/// Two cakes, one with a fruit and a filling.
async fn stocked() -> Bakery {
    let bakery = Bakery::open().await;
    bakery.bake(&["one", "two"]).await;
    let plain = bakery.plain();
    fruit::ActiveModel { cake_id: Set(Some(1)), ..fruit_named(7, "kiwi") }.insert(plain).await.unwrap();
    fruit_named(8, "fig").insert(plain).await.unwrap();
    filling::ActiveModel { name: Set("jam".into()), ..Default::default() }.insert(plain).await.unwrap();
    cake_filling::ActiveModel { cake_id: Set(1), filling_id: Set(1) }.insert(plain).await.unwrap();
    bakery
}

/// The keys that a context remembers, in order, and forgets.
fn taken(context: &Context) -> Vec<String> {
    let causes = context.causes();
    context.wrote(&causes, &[]);
    let mut keys: Vec<_> = causes
        .reads
        .iter()
        .map(|key| key.as_str().trim_start_matches("app/").replace("00000000-0000-0000-0000-00000000000", ""))
        .collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn rows_are_remembered_however_they_are_read() {
    let bakery = stocked().await;
    let context = Context::new("test");
    let db = &bakery.db.with_context(context.clone());
    let read = || taken(&context);

    cake::Entity::find_by_id(1).one(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    cake::Entity::find_by_id(99).one(db).await.unwrap();
    assert_eq!(read(), [""; 0]);
    cake::Entity::find().all(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    fruit::Entity::find().find_also_related(cake::Entity).all(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "fruit/7", "fruit/8"]);
    cake::Entity::find().find_with_related(fruit::Entity).all(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "cake/2", "fruit/7"]);
    fruit::Entity::find().find_also_linked(FruitToCake).all(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "fruit/7", "fruit/8"]);

    let cakes = cake::Entity::find().all(bakery.plain()).await.unwrap();
    cakes.load_many(fruit::Entity, db).await.unwrap();
    assert_eq!(read(), ["fruit/7"]);
    cakes.load_many_to_many(filling::Entity, cake_filling::Entity, db).await.unwrap();
    assert_eq!(read(), ["cake_filling/1,1", "filling/1"]);
    cake::Entity::load().filter_by_id(1).with(fruit::Entity).with(filling::Entity).one(db).await.unwrap();
    // Here the junction is joined, but nothing of it is selected.
    assert_eq!(read(), ["cake/1", "filling/1", "fruit/7"]);

    cake::Entity::find().order_by_asc(cake::Column::Id).paginate(db, 1).fetch_page(1).await.unwrap();
    assert_eq!(read(), ["cake/2"]);
    cake::Entity::find().cursor_by(cake::Column::Id).first(1).all(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    cake::Entity::find().into_partial_model::<WithKey>().all(db).await.unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    cake::Entity::find().select_only().column(cake::Column::Id).into_tuple::<i32>().one(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    cake::Entity::find().into_json().one(db).await.unwrap();
    assert_eq!(read(), ["cake/1"]);
    cake::Entity::find().stream(db).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(read(), ["cake/1", "cake/2"]);
    let transaction = db.begin().await.unwrap();
    fruit::Entity::find().stream(&transaction).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(read(), ["fruit/7", "fruit/8"]);
}

#[tokio::test]
async fn a_row_whose_key_is_not_selected_is_known_by_its_condition() {
    let bakery = stocked().await;
    let context = Context::new("test");
    let db = &bakery.db.with_context(context.clone());
    cake::Entity::find().into_partial_model::<WithoutKey>().all(db).await.unwrap();
    cake::Entity::find().count(db).await.unwrap();
    assert_eq!(taken(&context), [""; 0]);
    cake::Entity::find_by_id(2).into_partial_model::<WithoutKey>().one(db).await.unwrap();
    assert_eq!(taken(&context), ["cake/2"]);
    cake::Entity::find_by_id(99).into_partial_model::<WithoutKey>().one(db).await.unwrap();
    assert_eq!(taken(&context), [""; 0]);
    let joined = fruit::Entity::find().join(JoinType::InnerJoin, fruit::Relation::Cake.def());
    joined.filter(cake::Column::Id.eq(1)).all(db).await.unwrap();
    assert_eq!(taken(&context), ["cake/1", "fruit/7"]);
}

#[tokio::test]
async fn the_context_given_outranks_the_tasks_which_outranks_the_transactions_own() {
    let bakery = stocked().await;
    let (given, task) = (Context::new("given"), Context::new("task"));
    task.scope(async {
        let transaction = bakery.db.begin().await.unwrap();
        cake::Entity::find_by_id(1).one(&transaction).await.unwrap();
        named("three").insert(&transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let db = bakery.db.with_context(given.clone());
        cake::Entity::find_by_id(2).one(&db).await.unwrap();
        named("four").insert(&db).await.unwrap();
    })
    .await;
    let transaction = bakery.db.begin().await.unwrap();
    let savepoint = transaction.begin().await.unwrap();
    cake::Entity::find_by_id(1).one(&savepoint).await.unwrap();
    savepoint.commit().await.unwrap();
    named("five").insert(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    named("six").insert(&bakery.db).await.unwrap();
    let messages: Vec<_> = bakery.messages().into_iter().map(|m| (m.context, m.reads.join(" "))).collect();
    let expected = [
        (Some("task"), "app/cake/1"),
        (Some("given"), "app/cake/2"),
        (Some("transaction"), "app/cake/1"),
        (None, ""),
    ];
    assert_eq!(messages.len(), expected.len());
    for ((context, reads), (name, keys)) in messages.iter().zip(expected) {
        assert_eq!((context.as_deref(), reads.as_str()), (name, keys));
    }
    assert_eq!(bakery.db.capture().warned.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_just_written_is_not_a_read() {
    let bakery = stocked().await;
    let context = Context::new("test");
    let db = &bakery.db.with_context(context.clone());
    let three = named("three").insert(db).await.unwrap();
    cake::Entity::find_by_id(three.id).one(db).await.unwrap();
    assert_eq!(context.causes().reads, []);
    let transaction = db.begin().await.unwrap();
    let four = named("four").insert(&transaction).await.unwrap();
    cake::Entity::find_by_id(four.id).one(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    bakery.messages().into_iter().for_each(|m| assert!(m.reads.iter().all(|read| !read.ends_with("/4"))));
    assert_eq!(context.causes().reads, []);
}
