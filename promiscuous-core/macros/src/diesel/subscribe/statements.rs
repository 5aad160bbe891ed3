//! What is sent to one database: how its rows are found, inserted, updated and deleted.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Type};

use super::Subscriber;
use crate::diesel::backends::Database;
use crate::diesel::model::Column;

/// Bound values of one INSERT at the most: PostgreSQL and MySQL take 65,535 of them.
const VALUES: usize = 10_000;

/// Expressions, or what stands in a block, with a `connection` around them. Except for `insert`, `changes` and `find`, they are about
/// `self`.
pub(super) struct Statements {
    /// The names of the id's values in `find`.
    pub wanted: Vec<Ident>,
    /// The row with the wanted id, if there is one, locked where that makes sense.
    pub find: TokenStream,
    /// The row, as it is.
    pub read: TokenStream,
    /// Inserts `changes`, and reads the row.
    pub insert: TokenStream,
    /// `fn insert_all`, where several rows can be inserted together.
    pub insert_all: Option<TokenStream>,
    /// Updates the row by `changes`, and reads it.
    pub update: TokenStream,
    /// Deletes the row.
    pub delete: TokenStream,
}

impl Subscriber<'_> {
    pub(super) fn statements(&self, database: &Database) -> Statements {
        let table = &self.model.table;
        let private = quote!(::promiscuous_diesel::__private);
        let wanted: Vec<Ident> = (0..self.id.len()).map(|place| format_ident!("wanted{place}")).collect();
        let id = self.columns(&self.id);
        let by_id = self.condition(&self.id, |column| {
            let place = id.iter().position(|other| other.ident == column.ident).unwrap_or_default();
            let (wanted, write_as) = (&wanted[place], column.write_as());
            quote!(::core::convert::Into::<#write_as>::into(#wanted))
        });
        let this = self.this(&quote!(self));
        let read = self.select(database, &this, &quote!());
        let read_id = self.select(database, &by_id, &quote!());
        let insert = quote!(#private::diesel::insert_into(#table::table).values(__promiscuous_row(changes)));
        let update = quote! {
            #private::diesel::update(#table::table.filter(#this)).set(__promiscuous_row(changes))
        };
        let insert_all = self.insert_all(database, &wanted, &read_id);
        let (find, insert, update) = match database.name {
            "Mysql" => {
                let (insert, update) = self.read_back(&wanted, &insert, &read_id, &update, &read);
                (self.find_and_lock(database, &read_id), insert, update)
            }
            name => {
                let select = match name {
                    // The lock that an update takes anyway; it lets others refer to the row meanwhile.
                    "Pg" => self.select(database, &by_id, &quote!(.for_no_key_update())),
                    _ => read_id,
                };
                let (insert, update) = (self.returned(database, &insert), self.returned(database, &update));
                (quote!(#select.optional()), insert, update)
            }
        };
        let delete = quote!(#private::diesel::delete(#table::table.filter(#this)));
        let delete = quote!(#private::diesel::RunQueryDsl::execute(#delete, connection));
        Statements { wanted, find, read, insert, insert_all, update, delete }
    }

    /// `a.eq(…).and(b.eq(…))`, of values or references.
    fn condition(&self, places: &[usize], value: impl Fn(&Column<'_>) -> TokenStream) -> TokenStream {
        let equals = self.columns(places).into_iter().map(|column| {
            let (alias, value) = (&column.alias, value(column));
            quote_spanned!(column.ty().span()=> <#alias as ::core::default::Default>::default().eq(#value))
        });
        let equals: Vec<_> = equals.collect();
        let (first, rest) = (equals.first(), equals.get(1..).unwrap_or_default());
        quote!(#first #(.and(#rest))*)
    }

    /// The condition for this very row.
    fn this(&self, row: &TokenStream) -> TokenStream {
        self.condition(&self.model.key, |column| {
            let ident = column.ident;
            column.by_reference(&quote!(&#row.#ident))
        })
    }

    fn select(&self, database: &Database, condition: &TokenStream, lock: &TokenStream) -> TokenStream {
        let (name, table, backend) = (self.model.name, &self.model.table, &database.ty);
        let private = quote!(::promiscuous_diesel::__private);
        // By its path: a module may have `diesel-async`'s trait of this name in scope.
        quote! {
            #private::diesel::RunQueryDsl::get_result(
                #table::table
                    .filter(#condition)
                    .select(<#name as #private::diesel::SelectableHelper<#backend>>::as_select())
                    #lock,
                connection,
            )
        }
    }

    /// InnoDB would lock the gap where no row is, and two that fill such a gap would wait for each other: only a row that is there is
    /// locked, and read again, because it may have changed since the transaction's snapshot.
    fn find_and_lock(&self, database: &Database, read_id: &TokenStream) -> TokenStream {
        let locked = self.select(database, &self.this(&quote!(found)), &quote!(.for_update()));
        quote! {
            let found: ::core::option::Option<Self> = #read_id.optional()?;
            let ::core::option::Option::Some(found) = found else {
                return ::core::result::Result::Ok(::core::option::Option::None);
            };
            #locked.optional()
        }
    }

    /// A write that returns its row.
    fn returned(&self, database: &Database, write: &TokenStream) -> TokenStream {
        let (name, backend) = (self.model.name, &database.ty);
        let private = quote!(::promiscuous_diesel::__private);
        let returning =
            quote!(.returning(<#name as #private::diesel::SelectableHelper<#backend>>::as_returning()));
        quote!(#private::diesel::RunQueryDsl::get_result(#write #returning, connection))
    }

    /// One INSERT of many rows. Diesel has SQLite insert them one by one. A column that only some of them set gets its default in the others.
    fn insert_all(
        &self,
        database: &Database,
        wanted: &[Ident],
        read_id: &TokenStream,
    ) -> Option<TokenStream> {
        let (backend, changes, table) = (&database.ty, &self.changes, &self.model.table);
        let private = quote!(::promiscuous_diesel::__private);
        let at_once = (VALUES / self.model.columns.len().max(1)).max(1);
        let (given, kept) = match database.name {
            "Sqlite" => return None,
            "Mysql" => self.kept_of_all(wanted, read_id),
            _ => (quote!(), quote!()),
        };
        Some(quote! {
            #[allow(clippy::useless_conversion)]
            fn insert_all(
                mut rows: ::std::vec::Vec<#changes>,
                connection: &mut ::promiscuous_diesel::subscription::Connection<#backend>,
            ) -> #private::diesel::QueryResult<()> {
                while !rows.is_empty() {
                    let rest = rows.split_off(::core::cmp::min(rows.len(), #at_once));
                    #given
                    let values: ::std::vec::Vec<__PromiscuousRow> =
                        rows.into_iter().map(__promiscuous_row).collect();
                    #private::diesel::RunQueryDsl::execute(
                        #private::diesel::insert_into(#table::table).values(values),
                        connection,
                    )?;
                    #kept
                    rows = rest;
                }
                ::core::result::Result::Ok(())
            }
        })
    }

    /// What may have become NULL on its way to MariaDB is read back, as after a single INSERT: what is noted before, and what is checked after.
    fn kept_of_all(&self, wanted: &[Ident], read_id: &TokenStream) -> (TokenStream, TokenStream) {
        let private = quote!(::promiscuous_diesel::__private);
        let id_fields: Vec<_> = self.columns(&self.id).into_iter().map(|column| column.ident).collect();
        let options: Vec<_> = self.model.columns.iter().filter(|column| is_option(column.ty())).collect();
        if options.is_empty() {
            return (quote!(), quote!());
        }
        let (fields, aliases): (Vec<_>, Vec<_>) =
            options.iter().map(|column| (column.ident, &column.alias)).unzip();
        let given = quote! {
            let mut given_of_all = ::std::vec::Vec::new();
            for changes in &rows {
                let given = [#(changes.#fields.as_ref().is_some_and(::core::option::Option::is_some)),*];
                if given.contains(&true) {
                    let parts = #private::id_parts(&[
                        #(changes.#id_fields.as_ref().map(::promiscuous_diesel::attribute::IdPart::to_id)),*
                    ])?;
                    given_of_all.push((parts, given));
                }
            }
        };
        let kept = quote! {
            for (parts, given) in given_of_all {
                let (#(#wanted,)*) = __promiscuous_wanted(&parts)?;
                let row: Self = #read_id?;
                let kept: &[(bool, &'static str)] =
                    &[#((row.#fields.is_some(), <#aliases as #private::diesel::Column>::NAME)),*];
                #private::all_kept(&given, kept)?;
            }
        };
        (given, kept)
    }

    /// MySQL has no RETURNING: an INSERT and an UPDATE whose rows are read afterwards.
    fn read_back(
        &self,
        wanted: &[Ident],
        insert: &TokenStream,
        read_id: &TokenStream,
        update: &TokenStream,
        read: &TokenStream,
    ) -> (TokenStream, TokenStream) {
        let private = quote!(::promiscuous_diesel::__private);
        let id_fields: Vec<_> = self.columns(&self.id).into_iter().map(|column| column.ident).collect();
        // MariaDB takes a moment for NULL that is out of range for the type which Diesel sends it as.
        let options: Vec<_> = self.model.columns.iter().filter(|column| is_option(column.ty())).collect();
        let (fields, aliases): (Vec<_>, Vec<_>) =
            options.iter().map(|column| (column.ident, &column.alias)).unzip();
        let given = quote! {
            let given: &[bool] = &[
                #(changes.#fields.as_ref().is_some_and(::core::option::Option::is_some)),*
            ];
        };
        let kept = quote! {
            let kept: &[(bool, &'static str)] =
                &[#((row.#fields.is_some(), <#aliases as #private::diesel::Column>::NAME)),*];
            #private::all_kept(given, kept)?;
            ::core::result::Result::Ok(row)
        };
        let insert = quote! {
            let parts = #private::id_parts(&[
                #(changes.#id_fields.as_ref().map(::promiscuous_diesel::attribute::IdPart::to_id)),*
            ])?;
            #given
            #private::diesel::RunQueryDsl::execute(#insert, connection)?;
            let (#(#wanted,)*) = __promiscuous_wanted(&parts)?;
            let row: Self = #read_id?;
            #kept
        };
        let update = quote! {
            #given
            if #private::diesel::RunQueryDsl::execute(#update, connection)? == 0 {
                return ::core::result::Result::Err(#private::diesel::result::Error::NotFound);
            }
            let row: Self = #read?;
            #kept
        };
        (insert, update)
    }
}

/// Whether a type is written `Option<…>`.
fn is_option(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}
