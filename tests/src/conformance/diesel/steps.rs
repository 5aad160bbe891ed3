//! The steps in Diesel's calls.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use diesel::prelude::*;
use diesel::r2d2::Pool;
use diesel::result::Error;
use promiscuous_core::error::chain;
use promiscuous_diesel::Manager;
use tokio::runtime::Handle;

use super::{Backend, Db, everything, guid, keyed, lock_counter, moment, reading, writing};
use crate::conformance::step::{End, Failure, Key, Model, Row, Step};
use crate::entities_diesel::keyed::schema::{pairs, words};
use crate::entities_diesel::keyed::{Pair, Word};
use crate::entities_diesel::publishing::schema::{
    comments, counters, friendships, messages, notes, photos, users,
};
use crate::entities_diesel::publishing::{Comment, Counter, Friendship, Message, Note, Photo, User};
use keyed::{Day, Thing, days, things};

/// Does these things one after the other, each with a connection from the pool, until one fails.
pub(super) fn run(pool: &Pool<Manager<Backend>>, steps: &[Step]) -> Result<(), Failure> {
    for step in steps {
        let mut db = pool.get().map_err(|error| Failure(chain(&error)))?;
        let done = catch_unwind(AssertUnwindSafe(|| do_step(&mut db, step)));
        done.unwrap_or_else(|panic| match panic.downcast::<Abandoned>() {
            // As when a request's handler panics, the connection goes back to the pool as it is.
            Ok(_) => Ok(()),
            Err(panic) => resume_unwind(panic),
        })
        .map_err(|error| Failure(chain(&error)))?;
    }
    Ok(())
}

/// What an app panics with that abandons its transaction.
struct Abandoned;

fn transaction(db: &mut Db, steps: &[Step], end: End) -> QueryResult<()> {
    let done = db.transaction(|db: &mut Db| {
        for step in steps {
            match step {
                // Diesel has no handle of a savepoint that could be dropped: a panic takes all of the transaction with it.
                Step::Transaction(steps, End::Abandon) => transaction(db, steps, End::RollBack)?,
                step => do_step(db, step)?,
            }
        }
        match end {
            End::Commit => Ok(()),
            End::RollBack => Err(Error::RollbackTransaction),
            // Without the message that a panic prints.
            End::Abandon => resume_unwind(Box::new(Abandoned)),
        }
    });
    match done {
        Err(Error::RollbackTransaction) if end == End::RollBack => Ok(()),
        done => done,
    }
}

fn do_step(db: &mut Db, step: &Step) -> QueryResult<()> {
    match step.clone() {
        Step::Insert(row) => insert(db, row),
        Step::InsertMany(rows) => insert_many(db, rows),
        Step::Update(row) => update(db, row),
        Step::Destroy(key) => destroy(db, key),
        Step::DestroyAll(model) => destroy_all(db, model),
        Step::Add { counters: ids, n } => {
            let more = counters::n.eq(counters::n + n);
            match ids[..] {
                [id] => diesel::update(counters::table.find(id)).set(more).execute(db),
                _ => diesel::update(counters::table.filter(counters::id.eq_any(ids))).set(more).execute(db),
            }
            .map(drop)
        }
        Step::DestroyCountersBelow(id) => {
            diesel::delete(counters::table.filter(counters::id.lt(id))).execute(db).map(drop)
        }
        Step::ChangeSecret(id, secret) => {
            diesel::update(users::table.find(id)).set(users::secret.eq(secret)).execute(db).map(drop)
        }
        Step::NoteAllThings(note) => {
            diesel::update(things::table).set(things::note.eq(note)).execute(db).map(drop)
        }
        Step::NoteDaysAt(at, note) => diesel::update(days::table.filter(days::at.eq(moment(at))))
            .set(days::note.eq(note))
            .execute(db)
            .map(drop),
        Step::Clear(model, id) => clear(db, model, id),
        Step::Find(Model::User, id) => users::table.find(id).first::<User>(db).optional().map(drop),
        Step::Find(Model::Counter, id) => counters::table.find(id).first::<Counter>(db).optional().map(drop),
        Step::Find(model, _) => panic!("No test reads {model:?} yet: add it here."),
        Step::MessageOf { id, user, text } => {
            let user = users::table.find(user).select(User::as_select()).first(db)?;
            let message = Message { id, user_id: user.id, user_revision: user.revision, text };
            diesel::insert_into(messages::table).values(&message).execute(db).map(drop)
        }
        Step::CommentOn { message, text } => {
            let message = messages::table.find(message).select(Message::as_select()).first(db)?;
            let comment = Comment { id: message.id, message_id: message.id, text };
            diesel::insert_into(comments::table).values(&comment).execute(db).map(drop)
        }
        Step::IncrementAfterReading(id) => db.transaction(|db: &mut Db| {
            let mut counter = lock_counter(db, id)?;
            counter.n += 1;
            counter.save_changes::<Counter>(db).map(drop)
        }),
        Step::Way(name) => writing::write(db, name)
            .or_else(|| reading::read(db, name))
            .unwrap_or_else(|| panic!("There is no way called {name:?}.")),
        Step::Transaction(steps, end) => transaction(db, &steps, end),
        Step::Pause(pause) => {
            Handle::current().block_on(pause.here());
            Ok(())
        }
    }
}

fn insert(db: &mut Db, row: Row) -> QueryResult<()> {
    match row {
        Row::User { id, name, revision, secret } => {
            let user = User { id, name, revision, secret };
            diesel::insert_into(users::table).values(&user).execute(db)
        }
        Row::Message { id, user_id, user_revision, text } => {
            let message = Message { id, user_id, user_revision, text };
            diesel::insert_into(messages::table).values(&message).execute(db)
        }
        Row::Comment { id, message_id, text } => {
            diesel::insert_into(comments::table).values(Comment { id, message_id, text }).execute(db)
        }
        Row::Counter { id, n } => {
            diesel::insert_into(counters::table).values((counters::id.eq(id), counters::n.eq(n))).execute(db)
        }
        Row::Friendship { id, friend } => {
            diesel::insert_into(friendships::table).values(Friendship { id, friend }).execute(db)
        }
        Row::Photo { id, friendship_id } => {
            diesel::insert_into(photos::table).values(Photo { id, friendship_id }).execute(db)
        }
        Row::Note { id, text, about } => {
            diesel::insert_into(notes::table).values(Note { id, text, about }).execute(db)
        }
        Row::Word { id, note } => diesel::insert_into(words::table).values(Word { id, note }).execute(db),
        Row::Thing { id, note } => {
            diesel::insert_into(things::table).values(Thing { id: guid(id), note }).execute(db)
        }
        Row::Pair { left_id, right_id, note } => {
            diesel::insert_into(pairs::table).values(Pair { left_id, right_id, note }).execute(db)
        }
        Row::Day { id, at, note } => {
            diesel::insert_into(days::table).values(Day { id, at: moment(at), note }).execute(db)
        }
        Row::Plain(row) => {
            diesel::insert_into(everything::plains::table).values(everything::Plain::from(*row)).execute(db)
        }
        Row::Moment(row) => {
            diesel::insert_into(everything::moments::table).values(everything::Moment::from(*row)).execute(db)
        }
    }
    .map(drop)
}

/// Rows with a number as key by `save_changes`, the others by `update`.
fn update(db: &mut Db, row: Row) -> QueryResult<()> {
    match row {
        Row::User { id, name, revision, secret } => {
            User { id, name, revision, secret }.save_changes::<User>(db).map(drop)
        }
        Row::Message { id, user_id, user_revision, text } => {
            Message { id, user_id, user_revision, text }.save_changes::<Message>(db).map(drop)
        }
        Row::Comment { id, message_id, text } => {
            Comment { id, message_id, text }.save_changes::<Comment>(db).map(drop)
        }
        Row::Counter { id, n } => Counter { id, n }.save_changes::<Counter>(db).map(drop),
        Row::Friendship { id, friend } => Friendship { id, friend }.save_changes::<Friendship>(db).map(drop),
        Row::Photo { id, friendship_id } => Photo { id, friendship_id }.save_changes::<Photo>(db).map(drop),
        Row::Note { id, text, about } => {
            let note = Note { id, text, about };
            diesel::update(&note).set(&note).execute(db).map(drop)
        }
        Row::Word { id, note } => {
            diesel::update(words::table.find(id)).set(words::note.eq(note)).execute(db).map(drop)
        }
        Row::Thing { id, note } => {
            diesel::update(things::table.find(guid(id))).set(things::note.eq(note)).execute(db).map(drop)
        }
        Row::Pair { left_id, right_id, note } => {
            let pair = Pair { left_id, right_id, note };
            diesel::update(&pair).set(&pair).execute(db).map(drop)
        }
        Row::Day { id, at, note } => {
            let day = Day { id, at: moment(at), note };
            diesel::update(&day).set(&day).execute(db).map(drop)
        }
        Row::Plain(row) => {
            let row = everything::Plain::from(*row);
            diesel::update(&row).set(&row).execute(db).map(drop)
        }
        Row::Moment(row) => {
            let row = everything::Moment::from(*row);
            diesel::update(&row).set(&row).execute(db).map(drop)
        }
    }
}

fn insert_many(db: &mut Db, rows: Vec<Row>) -> QueryResult<()> {
    macro_rules! all {
        ($($pattern:pat => $value:expr),*) => {
            rows.into_iter()
                .map(|row| match row {
                    $($pattern => $value,)*
                    other => panic!("{other:?} is of another model."),
                })
                .collect::<Vec<_>>()
        };
    }
    match rows.first().expect("There is something to insert.") {
        Row::Word { .. } => {
            let words = all!(Row::Word { id, note } => Word { id, note });
            diesel::insert_into(words::table).values(&words).execute(db)
        }
        Row::Counter { .. } => {
            let counters = all!(Row::Counter { id, n } => Counter { id, n });
            diesel::insert_into(counters::table).values(&counters).execute(db)
        }
        Row::Plain(_) => {
            let rows = all!(Row::Plain(row) => everything::Plain::from(*row));
            diesel::insert_into(everything::plains::table).values(&rows).execute(db)
        }
        Row::Moment(_) => {
            let rows = all!(Row::Moment(row) => everything::Moment::from(*row));
            diesel::insert_into(everything::moments::table).values(&rows).execute(db)
        }
        other => panic!("No test inserts many of {other:?} yet: add it here."),
    }
    .map(drop)
}

fn destroy(db: &mut Db, key: Key) -> QueryResult<()> {
    match key {
        Key::Number(Model::User, id) => diesel::delete(users::table.find(id)).execute(db),
        Key::Number(Model::Message, id) => diesel::delete(messages::table.find(id)).execute(db),
        Key::Number(Model::Counter, id) => diesel::delete(counters::table.find(id)).execute(db),
        Key::Number(Model::Friendship, id) => diesel::delete(friendships::table.find(id)).execute(db),
        Key::Number(Model::Note, id) => diesel::delete(notes::table.find(id)).execute(db),
        Key::Number(model, _) => panic!("No test destroys {model:?} yet: add it here."),
        Key::Word(id) => diesel::delete(words::table.find(id)).execute(db),
        Key::Thing(id) => diesel::delete(things::table.find(guid(id))).execute(db),
        Key::Pair(left, right) => diesel::delete(pairs::table.find((left, right))).execute(db),
        Key::Day(id, at) => diesel::delete(days::table.find((id, moment(at)))).execute(db),
    }
    .map(drop)
}

fn destroy_all(db: &mut Db, model: Model) -> QueryResult<()> {
    match model {
        Model::Plain => diesel::delete(everything::plains::table).execute(db).map(drop),
        Model::Moment => diesel::delete(everything::moments::table).execute(db).map(drop),
        other => panic!("No test destroys every {other:?} yet: add it here."),
    }
}

/// Sets what may be NULL to NULL.
fn clear(db: &mut Db, model: Model, id: i64) -> QueryResult<()> {
    match model {
        Model::Plain => diesel::update(everything::plains::table.find(id))
            .set(everything::ClearedPlain::default())
            .execute(db)
            .map(drop),
        Model::Moment => diesel::update(everything::moments::table.find(id))
            .set(everything::ClearedMoment::default())
            .execute(db)
            .map(drop),
        other => panic!("No test clears {other:?} yet: add it here."),
    }
}
