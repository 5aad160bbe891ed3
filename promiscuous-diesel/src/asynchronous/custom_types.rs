//! PostgreSQL's own types, such as enums: Diesel wants their numbers before the database could be asked for them.
//!
//! Diesel is given a made-up number for each type that it asks for, and the real ones take their place before anything is sent. A made-up
//! number that is found nowhere is one inside of a value, where it could be mistaken for data: such a statement is refused.

use std::collections::HashMap;

use diesel::QueryResult;
use diesel::deserialize::FromSql;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::QueryFragment;
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::row::{Field, Row};
use diesel::sql_types::Oid;
use promiscuous_core::database::{Dialect, Sql};
use promiscuous_core::error::Error;

use super::AsyncWrapped;
use super::collected::{Collected, Query};
use super::session::Waiting;
use crate::error::diesel_error;
use crate::query::CoreSql;
use crate::write::session::Session;

/// A type's name, and its schema where Diesel knows it.
type Name = (Option<String>, String);

/// The numbers of types, and of their arrays, as far as the database was asked.
pub type Known = HashMap<Name, (u32, u32)>;

/// A type that Diesel asked for.
pub struct Asked {
    name: Name,
    /// The made-up number of the type.
    oid: u32,
    /// The made-up number of its array type.
    array: u32,
}

/// Numbers are made up from here downwards: a database would have to have made four billion objects to use them.
const HIGHEST: u32 = u32::MAX - 1;

/// Notes what Diesel asks for.
#[derive(Default)]
struct Lookup(Vec<Asked>);

impl PgMetadataLookup for Lookup {
    fn lookup_type(&mut self, name: &str, schema: Option<&str>) -> PgTypeMetadata {
        let used = u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_mul(2);
        // A number of its own each time, so that each can be looked for.
        let (oid, array) = (HIGHEST.saturating_sub(used), HIGHEST.saturating_sub(used.saturating_add(1)));
        self.0.push(Asked { name: (schema.map(ToOwned::to_owned), name.to_owned()), oid, array });
        PgTypeMetadata::new(oid, array)
    }
}

/// The values that a statement binds, and the types that it asked for.
///
/// # Errors
/// Diesel's.
pub(super) fn binds<T: QueryFragment<Pg>>(
    source: &T,
) -> QueryResult<(RawBytesBindCollector<Pg>, Vec<Asked>)> {
    let mut binds = RawBytesBindCollector::new();
    let mut lookup = Lookup::default();
    source.collect_binds(&mut binds, &mut lookup, &Pg)?;
    Ok((binds, lookup.0))
}

/// Puts the real numbers in place.
///
/// # Errors
/// The database's, and [`Error::Configuration`] for a type that does not exist or is inside of another one.
pub(super) async fn resolve<C>(
    inner: &mut Waiting<C>,
    mut collected: Collected<Pg>,
    known: &mut Known,
) -> QueryResult<Query<Pg>>
where
    C: AsyncWrapped<Backend = Pg>,
{
    for asked in &collected.custom {
        if !known.contains_key(&asked.name) {
            let numbers = ask(inner, &asked.name).await?;
            known.insert(asked.name.clone(), numbers);
        }
    }
    let asked = std::mem::take(&mut collected.custom);
    replace(&mut collected.binds, &asked, known)?;
    Ok(collected.into_parts().0)
}

async fn ask<C>(inner: &mut Waiting<C>, name: &Name) -> QueryResult<(u32, u32)>
where
    C: AsyncWrapped<Backend = Pg>,
{
    let (schema, name) = name;
    let mut sql =
        Sql::new(Dialect::Postgres, "SELECT t.oid, t.typarray FROM pg_catalog.pg_type t WHERE t.typname = ");
    sql.bind(name.as_str());
    match schema {
        Some(schema) => {
            sql.push(" AND t.typnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ");
            sql.bind(schema.as_str());
            sql.push(")");
        }
        // The one that a statement which names it would mean.
        None => {
            sql.push(" AND pg_catalog.pg_type_is_visible(t.oid)");
        }
    }
    let rows = inner.load(&CoreSql(sql), 1).await?;
    let number = |at: usize| {
        let row = rows.first()?;
        let field = row.get(at)?;
        <u32 as FromSql<Oid, Pg>>::from_sql(field.value()?).ok()
    };
    number(0).zip(number(1)).ok_or_else(|| {
        refused(&format!(
            "the database has no type `{name}` that this connection sees: check its name and the search_path"
        ))
    })
}

fn replace(binds: &mut RawBytesBindCollector<Pg>, asked: &[Asked], known: &Known) -> QueryResult<()> {
    let real = |asked: &Asked| known.get(&asked.name).copied().unwrap_or_default();
    let mut found = vec![false; asked.len()];
    for (kind, value) in binds.metadata.iter_mut().zip(&mut binds.binds) {
        let Ok(oid) = kind.oid() else { continue };
        if let Some(at) = asked.iter().position(|asked| asked.oid == oid) {
            *kind = PgTypeMetadata::new(real(&asked[at]).0, real(&asked[at]).1);
            found[at] = true;
        } else if let Some(at) = asked.iter().position(|asked| asked.array == oid) {
            *kind = PgTypeMetadata::new(real(&asked[at]).1, 0);
            found[at] = true;
            // An array says of what it is one, after its dimensions and flags.
            let Some(element) = value.as_mut().and_then(|bytes| bytes.get_mut(8..12)) else { continue };
            if let Some(at) = asked.iter().position(|asked| asked.oid.to_be_bytes() == element) {
                element.copy_from_slice(&real(&asked[at]).0.to_be_bytes());
                found[at] = true;
            }
        }
    }
    match found.iter().position(|found| !found) {
        None => Ok(()),
        Some(at) => Err(refused(&format!(
            "a value of the type `{}` is inside of another value, which cannot be published asynchronously: bind it by itself, \
             or write the row through a blocking connection",
            asked[at].name.1
        ))),
    }
}

fn refused(advice: &str) -> diesel::result::Error {
    diesel_error(Error::Configuration(format!("refused before it ran: {advice}")))
}
