//! The rows of a subscribed entity, by the publisher's ids.

use std::collections::HashMap;

use promiscuous_core::apply::is_strange;
use promiscuous_core::database::{DatabaseError, DatabaseErrorKind};
use promiscuous_core::key::{decode_id, encode_id};
use promiscuous_core::operation::Attributes;
use promiscuous_core::sync::SyncRow;
use sea_orm::sea_query::{Expr, Order, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IdenStatic, ModelTrait, QueryFilter,
    QueryResult, QueryTrait,
};

use super::Plan;
use crate::codec::{encode, id_text, id_value};
use crate::database_error::database_error;
use crate::keyset::{Bound, among, bounded, comparable, comparable_part, went_on};
use crate::publication::{id_of_row, select_keys};
use crate::row::typed;
use crate::subscription::Writable;

/// Ids in one statement: databases limit the number of bound values.
const IDS_AT_ONCE: usize = 500;

/// An object that is looked for.
struct Wanted<'a> {
    /// The id as it was asked for.
    id: &'a str,
    /// The texts of the columns that keep it.
    texts: Vec<String>,
    /// Their values, to be compared with the columns.
    key: Vec<Expr>,
}

/// The ids of the next rows after one; see [`SubscribedRows`](promiscuous_core::verify::SubscribedRows).
pub(super) async fn ids_after<E: Writable, C: ConnectionTrait>(
    plan: &Plan<E>,
    db: &C,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, DatabaseError> {
    let table = E::default();
    let backend = db.get_database_backend();
    let columns: Vec<Expr> = plan.id.iter().map(|(column, _)| comparable(backend, *column)).collect();
    let mut select = select_ids(plan);
    if let Some(after) = after {
        let after = plan.wanted(db, after).ok_or_else(|| {
            wrong(format!(
                "an id that was read earlier is none of `{}` now, whose ids are kept in `{}`: begin again with its first row",
                table.table_name(),
                plan.id_names().join("`, `")
            ))
        })?;
        if let Some(condition) = bounded(backend, &columns, Bound::After, &after.key) {
            select.and_where(condition);
        }
    }
    for column in columns {
        select.order_by_expr(column, Order::Asc);
    }
    // No database takes more than this.
    select.limit(i64::try_from(limit).unwrap_or(i64::MAX).unsigned_abs());
    let rows = db.query_all_raw(typed(&select, db)).await.map_err(database_error)?;
    let ids: Vec<String> = rows.iter().map(|row| id(plan, row)).collect::<Result<_, _>>()?;
    went_on(table.table_name(), after, &ids)?;
    Ok(ids)
}

/// Those of these objects that have a row; see [`SubscribedRows`](promiscuous_core::verify::SubscribedRows).
pub(super) async fn read<E: Writable, C: ConnectionTrait>(
    plan: &Plan<E>,
    db: &C,
    ids: &[String],
) -> Result<Vec<SyncRow>, DatabaseError> {
    let found = find_all(plan, db, ids).await.map_err(database_error)?.by_id;
    found.into_iter().map(|(id, model)| Ok(SyncRow { id, attributes: attributes(plan, &model)? })).collect()
}

/// Rows that were found.
pub(super) struct Found<M> {
    /// Each by the id that it was asked for by.
    pub(super) by_id: HashMap<String, M>,
    /// Whether there were rows of other objects among them, which a collation takes for these.
    pub(super) has_others: bool,
}

/// The rows of these objects.
pub(super) async fn find_all<E: Writable, C: ConnectionTrait>(
    plan: &Plan<E>,
    db: &C,
    ids: &[String],
) -> Result<Found<E::Model>, DbErr> {
    let backend = db.get_database_backend();
    let columns: Vec<Expr> = plan.id.iter().map(|(column, _)| comparable(backend, *column)).collect();
    let mut found = Found { by_id: HashMap::with_capacity(ids.len()), has_others: false };
    for ids in ids.chunks(IDS_AT_ONCE) {
        let wanted: Vec<_> = ids.iter().filter_map(|id| plan.wanted(db, id)).collect();
        let keys = wanted.iter().map(|wanted| wanted.key.clone()).collect();
        let Some(among) = among(&columns, keys) else { continue };
        let models = E::find().filter(among).all(db).await?;
        let mut models: HashMap<Vec<String>, E::Model> =
            models.into_iter().filter_map(|model| Some((plan.id_texts(&model)?, model))).collect();
        for Wanted { id, texts, .. } in wanted {
            let model = models.remove(&texts).or_else(|| {
                let padded = models.keys().find(|found| are_of_one(found, &texts)).cloned()?;
                models.remove(&padded)
            });
            if let Some(model) = model {
                found.by_id.insert(id.to_owned(), model);
            }
        }
        found.has_others |= !models.is_empty();
    }
    Ok(found)
}

/// Whether a row that was found is the wanted object's, and not that of another one which a collation takes for it.
fn are_of_one(found: &[String], wanted: &[String]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| !is_strange(found, wanted))
}

impl<E: Writable> Plan<E> {
    fn id_names(&self) -> Vec<&'static str> {
        self.id.iter().map(|(column, _)| column.as_str()).collect()
    }

    /// What to look for, by an id; none when it can be no id of this model.
    fn wanted<'a>(&self, db: &impl ConnectionTrait, id: &'a str) -> Option<Wanted<'a>> {
        let mut parts = decode_id(id)?;
        if parts.len() != self.id.len() {
            // As it was written when it was applied.
            parts = if self.keeps_ids_whole() { vec![id.to_owned()] } else { return None };
        }
        let (mut texts, mut key) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for ((column, kind), part) in self.id.iter().zip(&parts) {
            texts.push(id_text(&id_value(part, &kind.value).ok()?)?);
            key.push(comparable_part::<E>(db.get_database_backend(), *column, part)?);
        }
        Some(Wanted { id, texts, key })
    }

    /// The texts of a row's id columns; none when one of them is NULL.
    fn id_texts(&self, model: &E::Model) -> Option<Vec<String>> {
        self.id.iter().map(|(column, _)| id_text(&model.get(*column))).collect()
    }

    /// The publisher's id from the texts of the columns that keep it.
    ///
    /// Where a foreign key of text has what is written like an id of several columns, it is one: a publisher whose ids are texts of its own
    /// with a comma in them, and nothing else that is encoded, cannot be told from that.
    fn id_of_texts(&self, texts: &[String]) -> String {
        if let (true, [text]) = (self.keeps_ids_whole(), texts) {
            let parts = decode_id(text).filter(|parts| parts.len() > 1);
            if parts.is_some_and(|parts| encode_id(parts.iter().map(String::as_str)) == *text) {
                return text.clone();
            }
        }
        encode_id(texts.iter().map(String::as_str))
    }
}

/// Selects the columns that keep ids, of rows that have one.
fn select_ids<E: Writable>(plan: &Plan<E>) -> SelectStatement {
    // A key's type says how to read it alone; of a foreign key's only the whole row's does.
    let mut select = if plan.id_is_primary_key { select_keys::<E>() } else { E::find().into_query() };
    for (column, _) in &plan.id {
        select.and_where(column.is_not_null());
    }
    select
}

fn id<E: Writable>(plan: &Plan<E>, row: &QueryResult) -> Result<String, DatabaseError> {
    let names = || plan.id_names().iter().map(ToString::to_string).collect::<Vec<_>>();
    let id = match plan.id_is_primary_key {
        true => id_of_row::<E>(row, &names()).map_err(database_error)?,
        false => {
            let model = <E::Model as FromQueryResult>::from_query_result(row, "").map_err(database_error)?;
            plan.id_texts(&model).map(|texts| plan.id_of_texts(&texts))
        }
    };
    id.ok_or_else(|| {
        wrong(format!("a row of `{}` has no id although it is not NULL", E::default().table_name()))
    })
}

fn attributes<E: EntityTrait>(plan: &Plan<E>, model: &E::Model) -> Result<Attributes, DatabaseError> {
    let mut attributes = Attributes::new();
    for (name, column, _) in &plan.attributes {
        let value = encode(&model.get(*column)).map_err(|why| {
            wrong(format!("`{name}` of `{}` cannot be sent: {why}", E::default().table_name()))
        })?;
        attributes.insert((*name).to_owned(), value);
    }
    Ok(attributes)
}

fn wrong(sentence: String) -> DatabaseError {
    DatabaseError::new(DatabaseErrorKind::Other, sentence)
}
