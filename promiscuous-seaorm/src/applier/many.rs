//! Applying the rows of a message that sends them again: looked for with one statement, and those that are missing inserted with one.
//!
//! One row at a time takes two round trips each, and a service that is filled has millions. Hooks run for every row as ever, but `before_save` of
//! all rows of a statement comes before it, and `after_save` of all of them after it.

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use promiscuous_core::apply::Subject;
use promiscuous_core::database::ApplyError;
use promiscuous_core::operation::Operation;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, ConnectionTrait, DbErr, EntityTrait, Iterable,
};

use super::{ApplyOptions, Plan, apply, failed, prepared, rows, update};
use crate::subscription::Writable;

/// Bound values of one statement at the most: SQLite takes 32,766 of them.
const VALUES: usize = 10_000;

/// Applies operations that all have attributes, each of another object.
///
/// # Errors
/// See [`apply`].
pub(super) async fn apply_all<E, C>(
    plan: &Plan<E>,
    db: &C,
    operations: &[&Operation],
    options: ApplyOptions,
) -> Result<(), ApplyError>
where
    E: Writable,
    C: ConnectionTrait,
{
    let [first, _, ..] = operations else {
        for operation in operations {
            apply(plan, db, operation, options).await?;
        }
        return Ok(());
    };
    let first = Subject { operation: first };
    let applied = async {
        let ids: Vec<String> = operations.iter().map(|operation| operation.id.clone()).collect();
        let found = rows::find_all(plan, db, &ids).await.map_err(|error| failed(&first, error))?;
        let mut here = found.by_id;
        let mut new = Vec::new();
        for &operation in operations {
            let subject = Subject { operation };
            match here.remove(&operation.id) {
                Some(model) => {
                    // It may refer to one of them from now on.
                    insert_all::<E, C>(plan, db, std::mem::take(&mut new)).await?;
                    update(plan, db, &subject, options, model).await?;
                }
                // Perhaps it is this object that was taken for another one.
                None if found.has_others => {
                    insert_all::<E, C>(plan, db, std::mem::take(&mut new)).await?;
                    apply(plan, db, operation, options).await?;
                }
                None => new.push((subject, prepared(plan, &subject, options, plan.id_values(&subject)?)?)),
            }
        }
        insert_all::<E, C>(plan, db, new).await
    };
    AssertUnwindSafe(applied).catch_unwind().await.unwrap_or_else(|panic| Err(first.panicked(&*panic)))
}

/// A row that is to be inserted.
type New<'a, E> = (Subject<'a>, <E as EntityTrait>::ActiveModel);

async fn insert_all<E, C>(plan: &Plan<E>, db: &C, new: Vec<New<'_, E>>) -> Result<(), ApplyError>
where
    E: Writable,
    C: ConnectionTrait,
{
    let mut ready: Vec<New<'_, E>> = Vec::with_capacity(new.len());
    for (subject, row) in new {
        let row = ActiveModelBehavior::before_save(row, db, true).await;
        ready.push((subject, row.map_err(|error| failed(&subject, error))?));
    }
    let columns = E::Column::iter().count().max(1);
    while !ready.is_empty() {
        // A column that only some of them set would be NULL in the others, and not what the table says.
        let set = set_columns::<E>(&ready[0].1);
        let alike = ready.iter().take_while(|(_, row)| set_columns::<E>(row) == set).count();
        let count = alike.min((VALUES / columns).max(1));
        let (subjects, rows): (Vec<Subject<'_>>, Vec<_>) = ready.drain(..count).unzip();
        // Which of them is at fault, nobody can tell.
        let failed = |error| failed(&subjects[0], error);
        for model in insert::<E, C>(plan, db, &subjects, rows).await.map_err(failed)? {
            E::ActiveModel::after_save(model, db, true).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Inserts rows, and answers with how they are then.
async fn insert<E, C>(
    plan: &Plan<E>,
    db: &C,
    subjects: &[Subject<'_>],
    rows: Vec<E::ActiveModel>,
) -> Result<Vec<E::Model>, DbErr>
where
    E: Writable,
    C: ConnectionTrait,
{
    if db.support_returning() {
        return E::insert_many(rows).exec_with_returning(db).await;
    }
    E::insert_many(rows).exec_without_returning(db).await?;
    let ids: Vec<String> = subjects.iter().map(|subject| subject.operation.id.clone()).collect();
    let mut found = rows::find_all(plan, db, &ids).await?.by_id;
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

fn set_columns<E: EntityTrait>(row: &E::ActiveModel) -> Vec<bool> {
    E::Column::iter().map(|column| !matches!(row.get(column), ActiveValue::NotSet)).collect()
}
