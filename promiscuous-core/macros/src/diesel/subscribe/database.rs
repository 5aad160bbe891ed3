//! `impl SubscribeOn` for one database.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;
use syn::spanned::Spanned;

use super::Subscriber;
use super::statements::Statements;
use crate::diesel::backends::Database;

impl Subscriber<'_> {
    /// The code for one database.
    pub(super) fn over(&self, database: &Database) -> TokenStream {
        let Database { ty: backend, gate, .. } = database;
        let (name, changes, table) = (self.model.name, &self.changes, &self.model.table);
        let private = quote!(::promiscuous_diesel::__private);
        let connection = quote!(::promiscuous_diesel::subscription::Connection<#backend>);
        let result = quote!(#private::diesel::QueryResult);

        let mut compared = self.id.clone();
        compared.extend(self.filled.iter().filter(|place| !self.id.contains(place)));
        let compare = self.columns(&compared).into_iter().map(|column| {
            let (ident, ty) = (column.ident, column.ty());
            quote_spanned! {column.ty().span()=>
                #private::unchanged::<#backend, #ty>(&self.#ident, &mut changes.#ident);
            }
        });
        let all: Vec<_> = self.model.columns.iter().map(|column| column.ident).collect();
        let id = self.columns(&self.id);
        let parts: Vec<Ident> = (0..id.len()).map(|place| format_ident!("part{place}")).collect();
        let strange = id.iter().zip(&parts).map(|(column, part)| {
            let (alias, ident, ty) = (&column.alias, column.ident, column.ty());
            quote_spanned! {column.ty().span()=>
                if #private::strange::<#backend, #ty>(&self.#ident, #part) {
                    return ::core::option::Option::Some(<#alias as #private::diesel::Column>::NAME);
                }
            }
        });
        let reading = self.reading(database);
        let Statements { wanted, find, read, insert, insert_all, update, delete } = self.statements(database);

        // Asked for once, so that what is wrong is not an error in every statement.
        let writable = self.model.columns.iter().map(|column| {
            let (alias, write_as) = (&column.alias, column.write_as());
            quote_spanned! {column.ty().span()=>
                #write_as: ::promiscuous_diesel::subscription::Writable<#backend, #alias>
            }
        });
        let conditions = quote_spanned! {name.span()=>
            #name: ::promiscuous_diesel::subscription::QueryableAndSelectable<#backend, #table::table>,
            #backend: #private::diesel::expression::QueryMetadata<
                #private::diesel::dsl::SqlTypeOf<
                    <#name as #private::diesel::Selectable<#backend>>::SelectExpression
                >
            >,
            #(#writable,)*
        };
        let key_fields = self.columns(&self.model.key).into_iter().map(|column| column.ident);
        let callbacks = (!self.options.callbacks).then(|| {
            quote! {
                #[automatically_derived]
                impl ::promiscuous_diesel::subscription::Callbacks<#backend> for #name {
                    const NONE: bool = true;
                }
            }
        });

        quote! {
            #gate! { const _: () = {
                #[allow(trivial_bounds)]
                #[automatically_derived]
                impl ::promiscuous_diesel::subscription::SubscribeOn<#backend> for #name
                where #conditions
                {
                    fn differs(&self, changes: &mut #changes) -> bool {
                        #(#compare)*
                        [#(changes.#all.is_some()),*].contains(&true)
                    }

                    fn stranger(
                        &self,
                        parts: &[::std::string::String],
                    ) -> ::core::option::Option<&'static str> {
                        if let [#(#parts),*] = parts {
                            #(#strange)*
                        }
                        ::core::option::Option::None
                    }

                    #[allow(clippy::useless_conversion)]
                    fn find(
                        parts: &[::std::string::String],
                        connection: &mut #connection,
                    ) -> #result<::core::option::Option<Self>> {
                        let (#(#wanted,)*) = __promiscuous_wanted(parts)?;
                        #find
                    }

                    #[allow(clippy::useless_conversion)]
                    fn insert(changes: #changes, connection: &mut #connection) -> #result<Self> {
                        #insert
                    }

                    #insert_all

                    #[allow(unused_mut)]
                    fn update(&self, mut changes: #changes, connection: &mut #connection) -> #result<Self> {
                        // A row keeps its primary key.
                        #(changes.#key_fields = ::core::option::Option::None;)*
                        if ![#(changes.#all.is_some()),*].contains(&true) {
                            return #read;
                        }
                        #update
                    }

                    fn delete(&self, connection: &mut #connection) -> #result<()> {
                        #delete?;
                        ::core::result::Result::Ok(())
                    }

                    #reading
                }

                #callbacks

                ::promiscuous_diesel::__private::inventory::submit! {
                    ::promiscuous_diesel::models::DerivedSubscribe::<#backend>::of::<#name>()
                }
            }; }
        }
    }
}
