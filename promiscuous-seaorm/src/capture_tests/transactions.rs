//! Transactions, savepoints, and what reaches the message.

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, Set, TransactionSession, TransactionTrait};

use super::{Bakery, cake as named, known, said};
use crate::fixtures::cake;
use crate::transaction::PromiscuousTransaction;

/// As an app would write it for any connection.
async fn repository<C: ConnectionTrait + TransactionTrait>(db: &C) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    named("generic").insert(&transaction).await?;
    TransactionSession::commit(transaction).await
}

#[tokio::test]
async fn a_transaction_is_one_message_with_one_operation_for_each_row() {
    let bakery = Bakery::open().await;
    let transaction = bakery.db.begin().await.unwrap();
    let one = named("one").insert(&transaction).await.unwrap();
    named("two").insert(&transaction).await.unwrap();
    known(one.id, "uno").update(&transaction).await.unwrap();
    cake::Entity::delete_by_id(2).exec(&transaction).await.unwrap();
    assert!(bakery.published().is_empty());
    transaction.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 uno"]);
    assert_eq!(bakery.outbox().await, 1);
    repository(&bakery.db).await.unwrap();
    assert_eq!(bakery.published(), ["create cake/3 generic"]);
}

#[tokio::test]
async fn what_is_rolled_back_or_dropped_is_not_published() {
    let bakery = Bakery::open().await;
    let transaction = bakery.db.begin().await.unwrap();
    named("one").insert(&transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    {
        let transaction = bakery.db.begin().await.unwrap();
        named("two").insert(&transaction).await.unwrap();
    }
    assert_eq!(bakery.cakes().await, [""; 0]);
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn savepoints_count_only_when_they_and_all_around_them_commit() {
    let bakery = Bakery::open().await;
    let outer = bakery.db.begin().await.unwrap();
    named("outer").insert(&outer).await.unwrap();
    let lost = outer.begin().await.unwrap();
    named("lost").insert(&lost).await.unwrap();
    lost.rollback().await.unwrap();
    let kept = outer.begin().await.unwrap();
    named("kept").insert(&kept).await.unwrap();
    let deep = kept.begin().await.unwrap();
    named("deep").insert(&deep).await.unwrap();
    deep.commit().await.unwrap();
    kept.commit().await.unwrap();
    {
        let dropped = outer.begin().await.unwrap();
        named("dropped").insert(&dropped).await.unwrap();
    }
    outer.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 outer; create cake/2 kept; create cake/3 deep"]);
    assert_eq!(bakery.cakes().await, ["outer", "kept", "deep"]);

    let outer = bakery.db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    named("x").insert(&inner).await.unwrap();
    inner.commit().await.unwrap();
    outer.rollback().await.unwrap();
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn handles_that_end_in_the_wrong_order_publish_exactly_what_the_database_committed() {
    let bakery = Bakery::open().await;
    // A write through the outer handle while a savepoint is open is a part of the savepoint.
    let outer = bakery.db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    named("through outer").insert(&outer).await.unwrap();
    inner.rollback().await.unwrap();
    named("after").insert(&outer).await.unwrap();
    outer.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 after"]);
    assert_eq!(bakery.cakes().await, ["after"]);
    // The first COMMIT only ends the savepoint, whichever handle asks for it.
    let outer = bakery.db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    named("swapped").insert(&outer).await.unwrap();
    outer.commit().await.unwrap();
    assert!(bakery.published().is_empty());
    inner.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/2 swapped"]);
    let outer = bakery.db.begin().await.unwrap();
    let inner = outer.begin().await.unwrap();
    named("lost").insert(&outer).await.unwrap();
    outer.commit().await.unwrap();
    drop(inner);
    assert_eq!(bakery.cakes().await, ["after", "swapped"]);
    assert!(bakery.published().is_empty());
}

#[tokio::test]
async fn closures_commit_or_roll_back() {
    let bakery = Bakery::open().await;
    let db = &bakery.db;
    db.transaction::<_, _, DbErr>(|t| Box::pin(async move { named("a").insert(t).await })).await.unwrap();
    let failed = db
        .transaction::<_, (), DbErr>(|t| {
            Box::pin(async move {
                named("b").insert(t).await?;
                Err(DbErr::Custom("no".into()))
            })
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "Custom Error: no");
    db.transaction_async(async |t: &PromiscuousTransaction| {
        named("c").insert(t).await?;
        t.transaction_async(async |t: &PromiscuousTransaction| named("d").insert(t).await.map(|_| ()))
            .await
            .map_err(|error| DbErr::Custom(error.to_string()))
    })
    .await
    .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 a", "create cake/2 c; create cake/3 d"]);
}

#[tokio::test]
async fn a_failed_statement_leaves_the_rest_of_the_transaction_publishable() {
    let bakery = Bakery::open().await;
    let transaction = bakery.db.begin().await.unwrap();
    known(1, "one").insert(&transaction).await.unwrap();
    assert!(known(1, "twice").insert(&transaction).await.is_err());
    assert!(
        said(cake::Entity::insert_many([named("x"), named("y")]).exec_without_returning(&transaction).await)
            .contains("refused")
    );
    transaction.commit().await.unwrap();
    assert_eq!(bakery.published(), ["create cake/1 one"]);
}

#[tokio::test]
async fn futures_of_the_connection_can_be_spawned() {
    let bakery = Bakery::open().await;
    let db = bakery.db.clone();
    tokio::spawn(async move {
        let mut nested = cake::ActiveModelEx { name: Set("spawned".into()), ..Default::default() };
        nested.fruits.push(super::fruit(7, "kiwi"));
        nested.insert(&db).await
    })
    .await
    .unwrap()
    .unwrap();
    assert_eq!(bakery.published(), ["create cake/1 spawned; create fruit/7 kiwi"]);
}
