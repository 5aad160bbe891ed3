//! `impl Subscribe`: what is wanted of whom, and how it gets into the changes.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::Subscriber;
use crate::fields::method;

impl Subscriber<'_> {
    /// `impl Subscribe`.
    pub(super) fn subscribe(&self) -> TokenStream {
        let (name, changes) = (self.model.name, &self.changes);
        let (named, type_name) = match &self.options.name {
            Some(name) => (true, name.value()),
            None => (false, name.unraw().to_string()),
        };
        let from = match &self.options.place {
            Some(from) => quote!(::core::option::Option::Some(::std::string::String::from(#from))),
            None => quote!(::core::option::Option::None),
        };
        let consistency = match &self.options.consistency {
            Some(name) => quote!(::core::option::Option::Some(::promiscuous_diesel::Consistency::#name)),
            None => quote!(::core::option::Option::None),
        };
        let filled = self.columns(&self.filled);
        let attributes: Vec<&String> = filled.iter().map(|column| &column.attribute).collect();
        let virtual_names: Vec<String> =
            self.options.virtual_attributes.iter().map(|name| name.unraw().to_string()).collect();
        let setters = self.options.virtual_attributes.iter().map(|name| method("set_", name));
        let id = self.columns(&self.id);
        let id_columns: Vec<_> = id.iter().map(|column| &column.alias).collect();
        let foreign_key = self.options.foreign_key.is_some();
        let id_types = id.iter().map(|column| column.ty());
        let parts: Vec<Ident> = (0..id.len()).map(|place| format_ident!("part{place}")).collect();
        let set_parts = id.iter().zip(&parts).map(|(column, part)| {
            let (alias, ident, ty) = (&column.alias, column.ident, column.ty());
            quote_spanned! {column.ty().span()=>
                changes.#ident = ::core::option::Option::Some(
                    ::promiscuous_diesel::__private::id_part::<#alias, #ty>(#part)?
                );
            }
        });
        let set = filled.iter().map(|column| {
            let (attribute, ident, ty) = (&column.attribute, column.ident, column.ty());
            quote_spanned! {column.ty().span()=>
                #attribute => {
                    changes.#ident = ::core::option::Option::Some(
                        <#ty as ::promiscuous_diesel::attribute::Attribute>::from_wire(value)?
                    );
                }
            }
        });
        let table_text = self.model.table_text();
        let first = id_columns.first();
        let expected = format!("an id of {} columns", id.len());
        quote! {
            #[automatically_derived]
            impl ::promiscuous_diesel::subscription::Subscribe for #name {
                type Changes = #changes;

                fn declaration() -> ::promiscuous_diesel::subscription::SubscribeDeclaration {
                    ::promiscuous_diesel::subscription::SubscribeDeclaration {
                        name: ::std::string::String::from(#type_name),
                        named: #named,
                        from: #from,
                        attributes: ::std::vec![#(#attributes),*],
                        virtual_attributes: ::std::vec![#(#virtual_names),*],
                        id_columns: ::std::vec![
                            #(<#id_columns as ::promiscuous_diesel::__private::diesel::Column>::NAME),*
                        ],
                        foreign_key: #foreign_key,
                        consistency: #consistency,
                        keeps_whole_id: #foreign_key
                            #(&& <#id_types as ::promiscuous_diesel::attribute::IdPart>::TEXT)*,
                        table: ::std::string::String::from(#table_text),
                    }
                }

                fn set_id(
                    changes: &mut #changes,
                    parts: &[::std::string::String],
                ) -> ::core::result::Result<(), (&'static str, ::promiscuous_diesel::subscription::Unfit)> {
                    let [#(#parts),*] = parts else {
                        return ::core::result::Result::Err((
                            <#first as ::promiscuous_diesel::__private::diesel::Column>::NAME,
                            ::promiscuous_diesel::subscription::Unfit::Expected(
                                ::std::string::String::from(#expected),
                            ),
                        ));
                    };
                    #(#set_parts)*
                    ::core::result::Result::Ok(())
                }

                #[allow(unused_variables)]
                fn set(
                    changes: &mut #changes,
                    attribute: &str,
                    value: &::promiscuous_diesel::__private::Json,
                ) -> ::core::result::Result<(), ::promiscuous_diesel::subscription::Unfit> {
                    match attribute {
                        #(#set)*
                        #(#virtual_names => {
                            ::promiscuous_diesel::__private::set_virtual(value, |value| changes.#setters(value))?;
                        })*
                        _ => return ::core::result::Result::Err(
                            ::promiscuous_diesel::__private::not_subscribed()
                        ),
                    }
                    ::core::result::Result::Ok(())
                }
            }
        }
    }
}
