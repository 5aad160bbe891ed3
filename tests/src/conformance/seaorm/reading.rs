//! SeaORM's ways of reading.

use futures_util::TryStreamExt;
use promiscuous_seaorm::PromiscuousConnection;
use sea_orm::{
    ColumnTrait, DbErr, DerivePartialModel, EntityLoaderTrait, EntityTrait, LoaderTrait, ModelTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::conformance::stack::Way;
use crate::entities::publishing::{counter, message, note, user};

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

macro_rules! ways {
    ($db:ident; $($name:literal: $reads:expr => $keys:expr;)*) => {
        /// Each way of reading, and the keys that it reads.
        pub const WAYS: &[Way] = &[$(Way { name: $name, told: &$keys }),*];

        pub(super) async fn read($db: &PromiscuousConnection, name: &str) -> Result<(), DbErr> {
            match name {
                $($name => {
                    let _ = $reads;
                })*
                other => panic!("There is no way of reading called {other:?}."),
            }
            Ok(())
        }
    };
}

ways! { db;
    "find_by_id": user::Entity::find_by_id(1).one(db).await? => ["user/1"];
    "one": user::Entity::find().filter(user::Column::Name.eq("user 2")).one(db).await? => ["user/2"];
    "all": user::Entity::find().all(db).await? => ["user/1", "user/2"];
    "twice": {
        user::Entity::find_by_id(1).one(db).await?;
        user::Entity::find().all(db).await?
    } => ["user/1", "user/2"];
    "find_also_related": message::Entity::find().find_also_related(user::Entity).all(db).await?
        => ["message/11", "user/1"];
    "find_with_related": user::Entity::find().find_with_related(message::Entity).all(db).await?
        => ["message/11", "user/1", "user/2"];
    "find_related": {
        let user = user::Entity::find_by_id(1).one(db).await?.expect("There is a user 1.");
        user.find_related(message::Entity).all(db).await?
    } => ["message/11", "user/1"];
    "load_many": {
        let users = user::Entity::find().all(db).await?;
        users.load_many(message::Entity, db).await?
    } => ["message/11", "user/1", "user/2"];
    "load_one": {
        let messages = message::Entity::find().all(db).await?;
        messages.load_one(user::Entity, db).await?
    } => ["message/11", "user/1"];
    "entity loader": user::Entity::load().filter_by_id(1).with(message::Entity).one(db).await?
        => ["message/11", "user/1"];
    "paginate": user::Entity::find().order_by_asc(user::Column::Id).paginate(db, 1).fetch_page(1).await? => ["user/2"];
    "cursor": user::Entity::find().cursor_by(user::Column::Id).first(1).all(db).await? => ["user/1"];
    "stream": user::Entity::find().stream(db).await?.try_collect::<Vec<_>>().await? => ["user/1", "user/2"];
    "partial with key": user::Entity::find().into_partial_model::<WithKey>().all(db).await? => ["user/1", "user/2"];
    "partial, pinned": user::Entity::find_by_id(2).into_partial_model::<WithoutKey>().one(db).await? => ["user/2"];
    "tuple with key": user::Entity::find().select_only().column(user::Column::Id).into_tuple::<i64>().all(db).await?
        => ["user/1", "user/2"];
    "lock_exclusive": {
        let transaction = db.begin().await?;
        user::Entity::find_by_id(2).lock_exclusive().one(&transaction).await?;
        transaction.commit().await?
    } => ["user/2"];
    "nothing found": user::Entity::find_by_id(99).one(db).await? => [];
    "the written row": counter::Entity::find_by_id(5).one(db).await? => [];
    "unpublished model": note::Entity::find().all(db).await? => [];
    "count": user::Entity::find().count(db).await? => [];
}
