//! The steps in SeaORM's calls.

use futures_util::future::BoxFuture;
use promiscuous_seaorm::{PromiscuousConnection, PromiscuousTransaction};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect, Set, TransactionTrait,
};

use super::{reading, writing};
use crate::conformance::step::{End, Key, Model, Row, Step};
use crate::entities::everything::{moment, plain};
use crate::entities::{keyed, publishing};
use keyed::{day, pair, thing, word};
use publishing::{comment, counter, friendship, message, note, photo, user};

/// Where steps run: in the pool, or in a transaction.
pub(super) trait Place:
    ConnectionTrait + TransactionTrait<Transaction = PromiscuousTransaction>
{
    /// The pool itself, for the adapter's own ways.
    fn pool(&self) -> Option<&PromiscuousConnection>;
}

impl Place for PromiscuousConnection {
    fn pool(&self) -> Option<&PromiscuousConnection> {
        Some(self)
    }
}

impl Place for PromiscuousTransaction {
    fn pool(&self) -> Option<&PromiscuousConnection> {
        None
    }
}

/// Does these things one after the other, until one fails.
pub(super) fn run<'a, P: Place>(db: &'a P, steps: &'a [Step]) -> BoxFuture<'a, Result<(), DbErr>> {
    Box::pin(async move {
        for step in steps {
            match step {
                Step::Pause(pause) => pause.here().await,
                Step::Transaction(steps, end) => transaction(db, steps, *end).await?,
                step => Box::pin(do_step(db, step)).await?,
            }
        }
        Ok(())
    })
}

async fn transaction<P: Place>(db: &P, steps: &[Step], end: End) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    run(&transaction, steps).await?;
    match end {
        End::Commit => transaction.commit().await,
        End::RollBack => transaction.rollback().await,
        End::Abandon => {
            drop(transaction);
            Ok(())
        }
    }
}

async fn do_step<P: Place>(db: &P, step: &Step) -> Result<(), DbErr> {
    match step.clone() {
        Step::Insert(row) => insert(db, row).await,
        Step::InsertMany(rows) => insert_many(db, rows).await,
        Step::Update(row) => update(db, row).await,
        Step::Destroy(key) => destroy(db, key).await,
        Step::DestroyAll(model) => destroy_all(db, model).await,
        Step::Add { counters, n } => {
            let more = counter::Entity::update_many()
                .col_expr(counter::Column::N, counter::Column::N.into_expr().add(n));
            let more = match counters[..] {
                [id] => more.filter(counter::Column::Id.eq(id)),
                _ => more.filter(counter::Column::Id.is_in(counters)),
            };
            more.exec(db).await.map(drop)
        }
        Step::DestroyCountersBelow(id) => {
            counter::Entity::delete_many().filter(counter::Column::Id.lt(id)).exec(db).await.map(drop)
        }
        Step::ChangeSecret(id, secret) => {
            let user = user::ActiveModel { id: Set(id), secret: Set(secret), ..Default::default() };
            user.update(db).await.map(drop)
        }
        Step::NoteAllThings(note) => thing::Entity::update_many()
            .col_expr(thing::Column::Note, Expr::value(note))
            .exec(db)
            .await
            .map(drop),
        Step::NoteDaysAt(at, note) => day::Entity::update_many()
            .col_expr(day::Column::Note, Expr::value(note))
            .filter(day::Column::At.eq(at))
            .exec(db)
            .await
            .map(drop),
        Step::Clear(Model::Moment, id) => cleared_moment(id).update(db).await.map(drop),
        Step::Clear(_, id) => cleared_plain(id).update(db).await.map(drop),
        Step::Find(model, id) => find(db, model, id).await,
        Step::MessageOf { id, user, text } => {
            let user = user::Entity::find_by_id(user).one(db).await?.ok_or_else(|| missing("user"))?;
            let (user_id, user_revision) = (Set(user.id), Set(user.revision));
            let message = message::ActiveModel { id: Set(id), user_id, user_revision, text: Set(text) };
            message.insert(db).await.map(drop)
        }
        Step::CommentOn { message, text } => {
            let message = message::Entity::find_by_id(message).one(db).await?;
            let message = message.ok_or_else(|| missing("message"))?;
            let (id, message_id) = (Set(message.id), Set(message.id));
            comment::ActiveModel { id, message_id, text: Set(text) }.insert(db).await.map(drop)
        }
        Step::IncrementAfterReading(id) => {
            let transaction = db.begin().await?;
            let counter = counter::Entity::find_by_id(id).lock_exclusive().one(&transaction).await?;
            let counter = counter.ok_or_else(|| missing("counter"))?;
            let n = counter.n + 1;
            let mut counter = counter.into_active_model();
            counter.n = Set(n);
            counter.update(&transaction).await?;
            transaction.commit().await
        }
        Step::Way(name) => {
            let pool = db.pool().expect("A way of the adapter's begins its own transactions.");
            if writing::WAYS.iter().any(|way| way.name == name) {
                writing::write(pool, name).await
            } else {
                reading::read(pool, name).await
            }
        }
        Step::Transaction(..) | Step::Pause(_) => unreachable!("`run` does these."),
    }
}

fn missing(what: &str) -> DbErr {
    DbErr::RecordNotFound(format!("the {what} is not there"))
}

/// Does something with a row's active model, each model in a type of its own.
macro_rules! with_active_model {
    ($row:expr, $active:ident => $does:expr) => {
        match $row {
            Row::User { id, name, revision, secret } => {
                let $active = user::ActiveModel {
                    id: Set(id),
                    name: Set(name),
                    revision: Set(revision),
                    secret: Set(secret),
                };
                $does
            }
            Row::Message { id, user_id, user_revision, text } => {
                let $active = message::ActiveModel {
                    id: Set(id),
                    user_id: Set(user_id),
                    user_revision: Set(user_revision),
                    text: Set(text),
                };
                $does
            }
            Row::Comment { id, message_id, text } => {
                let $active =
                    comment::ActiveModel { id: Set(id), message_id: Set(message_id), text: Set(text) };
                $does
            }
            Row::Counter { id, n } => {
                let $active = counter::ActiveModel { id: Set(id), n: Set(n) };
                $does
            }
            Row::Friendship { id, friend } => {
                let $active = friendship::ActiveModel { id: Set(id), friend: Set(friend) };
                $does
            }
            Row::Photo { id, friendship_id } => {
                let $active = photo::ActiveModel { id: Set(id), friendship_id: Set(friendship_id) };
                $does
            }
            Row::Note { id, text, about } => {
                let $active = note::ActiveModel { id: Set(id), text: Set(text), about: Set(about) };
                $does
            }
            Row::Word { id, note } => {
                let $active = word::ActiveModel { id: Set(id), note: Set(note) };
                $does
            }
            Row::Thing { id, note } => {
                let $active = thing::ActiveModel { id: Set(id), note: Set(note) };
                $does
            }
            Row::Pair { left_id, right_id, note } => {
                let $active =
                    pair::ActiveModel { left_id: Set(left_id), right_id: Set(right_id), note: Set(note) };
                $does
            }
            Row::Day { id, at, note } => {
                let $active = day::ActiveModel { id: Set(id), at: Set(at), note: Set(note) };
                $does
            }
            Row::Plain(row) => {
                let $active = row.into_active_model().reset_all();
                $does
            }
            Row::Moment(row) => {
                let $active = row.into_active_model().reset_all();
                $does
            }
        }
    };
}

async fn insert<P: Place>(db: &P, row: Row) -> Result<(), DbErr> {
    with_active_model!(row, active => active.insert(db).await.map(drop))
}

async fn update<P: Place>(db: &P, row: Row) -> Result<(), DbErr> {
    with_active_model!(row, active => active.update(db).await.map(drop))
}

async fn insert_many<P: Place>(db: &P, rows: Vec<Row>) -> Result<(), DbErr> {
    match rows.first().expect("There is something to insert.") {
        Row::Word { .. } => {
            let words = rows.into_iter().map(|row| match row {
                Row::Word { id, note } => word::ActiveModel { id: Set(id), note: Set(note) },
                other => panic!("{other:?} is no word."),
            });
            word::Entity::insert_many(words).exec_without_returning(db).await.map(drop)
        }
        Row::Counter { .. } => {
            let counters = rows.into_iter().map(|row| match row {
                Row::Counter { id, n } => counter::ActiveModel { id: Set(id), n: Set(n) },
                other => panic!("{other:?} is no counter."),
            });
            counter::Entity::insert_many(counters).exec(db).await.map(drop)
        }
        Row::Plain(_) => {
            let rows = rows.into_iter().map(|row| match row {
                Row::Plain(row) => row.into_active_model().reset_all(),
                other => panic!("{other:?} is of another model."),
            });
            plain::Entity::insert_many(rows).exec(db).await.map(drop)
        }
        Row::Moment(_) => {
            let rows = rows.into_iter().map(|row| match row {
                Row::Moment(row) => row.into_active_model().reset_all(),
                other => panic!("{other:?} is of another model."),
            });
            moment::Entity::insert_many(rows).exec(db).await.map(drop)
        }
        other => panic!("No test inserts many of {other:?} yet: add it here."),
    }
}

async fn destroy<P: Place>(db: &P, key: Key) -> Result<(), DbErr> {
    match key {
        Key::Number(Model::User, id) => user::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Number(Model::Message, id) => message::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Number(Model::Counter, id) => counter::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Number(Model::Friendship, id) => friendship::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Number(Model::Note, id) => note::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Number(model, _) => panic!("No test destroys {model:?} yet: add it here."),
        Key::Word(id) => word::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Thing(id) => thing::Entity::delete_by_id(id).exec(db).await.map(drop),
        Key::Pair(left, right) => pair::Entity::delete_by_id((left, right)).exec(db).await.map(drop),
        Key::Day(id, at) => day::Entity::delete_by_id((id, at)).exec(db).await.map(drop),
    }
}

async fn destroy_all<P: Place>(db: &P, model: Model) -> Result<(), DbErr> {
    match model {
        Model::Plain => plain::Entity::delete_many().exec(db).await.map(drop),
        Model::Moment => moment::Entity::delete_many().exec(db).await.map(drop),
        other => panic!("No test destroys every {other:?} yet: add it here."),
    }
}

async fn find<P: Place>(db: &P, model: Model, id: i64) -> Result<(), DbErr> {
    match model {
        Model::User => user::Entity::find_by_id(id).one(db).await.map(drop),
        Model::Counter => counter::Entity::find_by_id(id).one(db).await.map(drop),
        other => panic!("No test reads {other:?} yet: add it here."),
    }
}

/// Sets what may be NULL to NULL, and writes nothing else.
fn cleared_plain(id: i64) -> plain::ActiveModel {
    plain::ActiveModel {
        id: Set(id),
        maybe_flag: Set(None),
        maybe_small: Set(None),
        maybe_medium: Set(None),
        maybe_big: Set(None),
        maybe_single: Set(None),
        maybe_precise: Set(None),
        maybe_text: Set(None),
        maybe_amount: Set(None),
        maybe_guid: Set(None),
        maybe_document: Set(None),
        maybe_bytes: Set(None),
        maybe_color: Set(None),
        maybe_level: Set(None),
        ..Default::default()
    }
}

/// Sets what may be NULL to NULL, and writes nothing else.
fn cleared_moment(id: i64) -> moment::ActiveModel {
    moment::ActiveModel {
        id: Set(id),
        maybe_day: Set(None),
        maybe_hour: Set(None),
        maybe_naive: Set(None),
        maybe_utc: Set(None),
        maybe_zoned: Set(None),
        maybe_time_day: Set(None),
        maybe_time_hour: Set(None),
        maybe_time_naive: Set(None),
        maybe_time_zoned: Set(None),
        ..Default::default()
    }
}
