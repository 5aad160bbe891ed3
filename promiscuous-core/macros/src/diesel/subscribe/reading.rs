//! The part of `impl SubscribeOn` that reads rows and compares them with a publisher's.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::Subscriber;
use crate::diesel::backends::Database;
use crate::diesel::values::{key_values, send};

impl Subscriber<'_> {
    /// The methods for one database. What is read is the whole struct, as it is before a change: this asks for nothing that applying a
    /// message does not ask for.
    pub(super) fn reading(&self, database: &Database) -> TokenStream {
        let backend = &database.ty;
        let (changes, table, table_text) = (&self.changes, &self.model.table, self.model.table_text());
        let private = quote!(::promiscuous_diesel::__private);
        let unreadable = quote!(::promiscuous_diesel::model::UnreadableRow);
        let result = quote!(::core::result::Result);

        let id = self.columns(&self.id);
        let id_values = key_values(&id, backend);
        let parts = id.iter().map(|column| {
            let (alias, ident, ty) = (&column.alias, column.ident, column.ty());
            quote_spanned! {column.ty().span()=>
                ::promiscuous_diesel::publication::written_id::<#backend, #alias, #ty>(&self.#ident, #table_text)?
            }
        });
        let sends = self.columns(&self.filled).into_iter().map(|column| {
            let ident = column.ident;
            send(column, &quote!(self.#ident), backend, &table_text)
        });
        let taken_out = self.columns(&self.left_to_setters()).into_iter().map(|column| {
            let (ident, ty) = (column.ident, column.ty());
            // Each reference is a way to compare; the compiler takes the first that there is.
            quote_spanned! {column.ty().span()=>
                (&&&#private::Held::<#backend, #ty>::new()).take_out(&self.#ident, &mut changes.#ident);
            }
        });

        quote! {
            fn from_table() -> impl #private::diesel::query_builder::QueryFragment<#backend> {
                #table::table
            }

            fn id_values(parts: &[::std::string::String]) -> ::promiscuous_diesel::key::KeyValues<#backend> {
                #id_values
            }

            fn load_rows(
                from: &dyn #private::diesel::query_builder::QueryFragment<#backend>,
                connection: &mut <#backend as ::promiscuous_diesel::backend::PromiscuousBackend>::Connection,
            ) -> #private::diesel::QueryResult<::std::vec::Vec<Self>> {
                #private::load_rows::<#backend, Self>(from, connection)
            }

            fn own_id(&self) -> #result<::std::vec::Vec<::std::string::String>, #unreadable> {
                #result::Ok(::std::vec![#(#parts),*])
            }

            fn column_attributes(&self) -> #result<#private::Attributes, #unreadable> {
                #[allow(unused_mut)]
                let mut attributes = #private::Attributes::new();
                #(#sends)*
                #result::Ok(attributes)
            }

            fn would_change(&self, changes: &mut #changes) -> bool {
                #[allow(unused_imports)]
                use #private::{HeldAttribute as _, HeldUnknown as _, HeldValue as _};
                #(#taken_out)*
                ::promiscuous_diesel::subscription::SubscribeOn::<#backend>::differs(self, changes)
            }
        }
    }

    /// The columns that only a setter can have set.
    fn left_to_setters(&self) -> Vec<usize> {
        if self.options.virtual_attributes.is_empty() {
            return Vec::new();
        }
        let known = |place: &usize| self.id.contains(place) || self.filled.contains(place);
        (0..self.model.columns.len()).filter(|place| !known(place)).collect()
    }
}
