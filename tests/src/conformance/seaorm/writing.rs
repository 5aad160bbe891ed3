//! SeaORM's ways of writing, on counters: 1 to 4 are there, at 0. Each way is tried on counters as they were.
//!
//! Some bind an `i32` where others bind an `i64` to the same column, as people do: PostgreSQL's driver minds, when it meets both in
//! the same text.

use promiscuous_seaorm::PromiscuousConnection;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter, Set,
    TransactionError, Unchanged,
};

use crate::conformance::stack::Way;
use crate::entities::publishing::counter::{ActiveModel, Column, Entity};

macro_rules! ways {
    ($db:ident; $($name:literal: $writes:expr => $told:expr;)*) => {
        /// Each way of writing, and what it publishes.
        pub const WAYS: &[Way] = &[$(Way { name: $name, told: &$told }),*];

        pub(super) async fn write($db: &PromiscuousConnection, name: &str) -> Result<(), DbErr> {
            match name {
                $($name => {
                    let _ = $writes;
                })*
                other => panic!("There is no way of writing called {other:?}."),
            }
            Ok(())
        }
    };
}

fn counter(id: i64, n: i64) -> ActiveModel {
    ActiveModel { id: Set(id), n: Set(n) }
}

fn known(id: i64, n: i64) -> ActiveModel {
    ActiveModel { id: Unchanged(id), n: Set(n) }
}

/// What is done about a counter that is there already.
fn overwrite() -> OnConflict {
    OnConflict::column(Column::Id).update_column(Column::N).to_owned()
}

fn ignore() -> OnConflict {
    OnConflict::column(Column::Id).do_nothing_on([Column::Id]).to_owned()
}

ways! { db;
    "ActiveModel::insert": counter(10, 1).insert(db).await? => ["create counter/10 n=1"];
    "ActiveModel::update": known(1, 2).update(db).await? => ["update counter/1 n=2"];
    "ActiveModel::update_without_returning": known(1, 3).update_without_returning(db).await? => ["update counter/1 n=3"];
    "ActiveModel::save": known(1, 4).save(db).await? => ["update counter/1 n=4"];
    "ActiveModel::update, nothing set": Entity::find_by_id(1).one(db).await?.expect("It is there.").into_active_model()
        .update(db).await? => [];
    "ActiveModel::delete": known(1, 0).delete(db).await? => ["destroy counter/1"];
    "Model::delete": Entity::find_by_id(1).one(db).await?.expect("It is there.").delete(db).await?
        => ["destroy counter/1"];
    "insert": Entity::insert(counter(10, 1)).exec(db).await? => ["create counter/10 n=1"];
    "insert, without returning": Entity::insert(counter(10, 1)).exec_without_returning(db).await?
        => ["create counter/10 n=1"];
    "insert, with returning": Entity::insert(counter(10, 1)).exec_with_returning(db).await? => ["create counter/10 n=1"];
    "insert_many": Entity::insert_many([counter(10, 1), counter(11, 2)]).exec(db).await?
        => ["create counter/10 n=1; create counter/11 n=2"];
    "insert_many, without returning": Entity::insert_many([counter(10, 1), counter(11, 2)]).exec_without_returning(db)
        .await? => ["create counter/10 n=1; create counter/11 n=2"];
    "on_conflict do_nothing": Entity::insert_many([counter(1, 9), counter(10, 1)]).on_conflict(ignore())
        .exec_without_returning(db).await? => ["create counter/10 n=1"];
    "on_conflict update, new row": Entity::insert(counter(10, 1)).on_conflict(overwrite()).exec_without_returning(db)
        .await? => ["update counter/10 n=1"];
    "on_conflict update, known row": Entity::insert(counter(1, 9)).on_conflict(overwrite()).exec_without_returning(db)
        .await? => ["update counter/1 n=9"];
    "update": Entity::update(known(2, 5)).exec(db).await? => ["update counter/2 n=5"];
    "update_many": Entity::update_many().col_expr(Column::N, Expr::col(Column::N).add(10)).filter(Column::Id.lt(3))
        .exec(db).await? => ["update counter/1 n=10; update counter/2 n=10"];
    "update_many, no row": Entity::update_many().col_expr(Column::N, Expr::value(2_i64)).filter(Column::Id.eq(99_i64)).exec(db)
        .await? => [];
    "delete": Entity::delete(known(2, 0)).exec(db).await? => ["destroy counter/2"];
    "delete_by_id": Entity::delete_by_id(3).exec(db).await? => ["destroy counter/3"];
    "delete_many": Entity::delete_many().filter(Column::Id.is_in([3_i64, 4, 99])).exec(db).await?
        => ["destroy counter/3; destroy counter/4"];
    "delete_many, no row": Entity::delete_many().filter(Column::Id.gt(98_i64)).exec(db).await? => [];
    "transaction": {
        let changed = db.transaction_async(async |transaction| {
            counter(10, 1).insert(transaction).await?;
            known(10, 2).update(transaction).await?;
            known(1, 7).update(transaction).await?;
            Entity::delete_by_id(1).exec(transaction).await?;
            counter(11, 1).insert(transaction).await?.delete(transaction).await?;
            Ok::<_, DbErr>(())
        });
        flat(changed.await)?
    } => ["create counter/10 n=2; destroy counter/1"];
    "transaction that fails": {
        let failed = db.transaction_async(async |transaction| {
            known(1, 7).update(transaction).await?;
            Err::<(), _>(DbErr::Custom("no".into()))
        });
        flat(failed.await).expect_err("It fails.")
    } => [];
}

fn flat<T>(result: Result<T, TransactionError<DbErr>>) -> Result<T, DbErr> {
    result.map_err(|error| match error {
        TransactionError::Connection(error) | TransactionError::Transaction(error) => error,
    })
}
