//! What is sent to one database: how its rows are found, inserted, updated and deleted.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Ident, Type};

use super::Subscriber;
use crate::diesel::backends::Database;
use crate::diesel::model::Column;

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
        Statements { wanted, find, read, insert, update, delete }
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
