//! The struct of what is to be written, and what makes a row and an id of it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{DeriveInput, Ident};

use super::Subscriber;

impl Subscriber<'_> {
    /// `struct UserChanges`: each column's field as an option.
    pub(super) fn changes_struct(&self, input: &DeriveInput) -> TokenStream {
        let (visibility, changes) = (&input.vis, &self.changes);
        let summary =
            format!("What is to be written to a [`{}`]. None leaves the column alone.", self.model.name);
        let fields = self.model.columns.iter().map(|column| {
            let (visibility, ident, ty) = (&column.field.vis, column.ident, column.ty());
            let summary = format!("The new `{}`.", column.attribute);
            quote! {
                #[doc = #summary]
                #visibility #ident: ::core::option::Option<#ty>
            }
        });
        quote! {
            #[doc = #summary]
            #[derive(Default)]
            #visibility struct #changes { #(#fields),* }
        }
    }

    /// One tuple that both INSERT and UPDATE take.
    pub(super) fn row(&self) -> TokenStream {
        let changes = &self.changes;
        let types = self.model.columns.iter().map(|column| {
            let (alias, write_as) = (&column.alias, column.write_as());
            quote_spanned! {column.ty().span()=>
                ::core::option::Option<::promiscuous_diesel::__private::diesel::dsl::Eq<#alias, #write_as>>
            }
        });
        let values = self.model.columns.iter().map(|column| {
            let (alias, write_as, ident) = (&column.alias, column.write_as(), column.ident);
            quote_spanned! {column.ty().span()=>
                changes.#ident.map(|value| {
                    <#alias as ::core::default::Default>::default()
                        .eq(::core::convert::Into::<#write_as>::into(value))
                })
            }
        });
        quote! {
            type __PromiscuousRow = (#(#types,)*);

            #[allow(clippy::useless_conversion)]
            fn __promiscuous_row(changes: #changes) -> __PromiscuousRow {
                (#(#values,)*)
            }
        }
    }

    /// The values of the id's columns, from its parts.
    pub(super) fn wanted(&self) -> TokenStream {
        let id = self.columns(&self.id);
        let types = id.iter().map(|column| column.ty());
        let fields = id.iter().map(|column| column.ident);
        let values: Vec<Ident> = (0..id.len()).map(|place| format_ident!("wanted{place}")).collect();
        let (name, changes) = (self.model.name, &self.changes);
        quote! {
            #[allow(dead_code)]
            fn __promiscuous_wanted(
                parts: &[::std::string::String],
            ) -> ::promiscuous_diesel::__private::diesel::QueryResult<(#(#types,)*)> {
                let mut changes = <#changes as ::core::default::Default>::default();
                <#name as ::promiscuous_diesel::subscription::Subscribe>::set_id(&mut changes, parts)
                    .map_err(|(column, _)| ::promiscuous_diesel::__private::unfit_id(column))?;
                match (#(changes.#fields,)*) {
                    (#(::core::option::Option::Some(#values),)*) => ::core::result::Result::Ok((#(#values,)*)),
                    _ => ::core::result::Result::Err(::promiscuous_diesel::__private::without_id()),
                }
            }
        }
    }
}
