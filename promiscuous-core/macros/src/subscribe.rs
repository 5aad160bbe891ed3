//! `#[derive(Subscribe)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;
use syn::ext::IdentExt;

use crate::entity::Entity;
use crate::fields::method;
use crate::options::{Dialect, Options, check_source};

const DIALECT: Dialect = Dialect {
    attribute: "subscribe",
    derive: "Subscribe",
    place: "from",
    all: &["attributes", "virtual_attributes", "from", "as", "foreign_key", "consistency"],
    done: "subscribed",
};

/// `impl Subscribe for Entity`, and its registration.
pub fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Some(entity) = Entity::of(input, DIALECT.derive)? else { return Ok(TokenStream::new()) };
    let options = Options::read(input, entity.fields(), &DIALECT)?;
    check_source(options.place.as_ref())?;

    let columns = options.attributes.iter().map(|name| entity.column(name, DIALECT.done));
    let columns = columns.collect::<syn::Result<Vec<_>>>()?;
    let names: Vec<String> = options.attributes.iter().map(|name| name.unraw().to_string()).collect();
    let virtual_names: Vec<String> =
        options.virtual_attributes.iter().map(|name| name.unraw().to_string()).collect();
    let setters: Vec<_> = options.virtual_attributes.iter().map(|name| method("set_", name)).collect();
    let foreign_key = match &options.foreign_key {
        Some(field) => {
            let column = entity.column(field, "foreign key").map_err(|_| {
                syn::Error::new(
                    field.span(),
                    format!("no column `{field}` on `Model` to keep the publisher's id in: `foreign_key` names a field"),
                )
            })?;
            quote!(::core::option::Option::Some(Column::#column))
        }
        None => quote!(::core::option::Option::None),
    };
    let (named, name) = match &options.name {
        Some(name) => (true, quote!(::std::string::String::from(#name))),
        None => (false, quote!(::promiscuous_seaorm::__private::name_of_module(::core::module_path!()))),
    };
    let from = match &options.place {
        Some(from) => quote!(::core::option::Option::Some(::std::string::String::from(#from))),
        None => quote!(::core::option::Option::None),
    };
    let consistency = match &options.consistency {
        Some(name) => quote!(::core::option::Option::Some(::promiscuous_seaorm::Consistency::#name)),
        None => quote!(::core::option::Option::None),
    };

    Ok(quote! {
        #[automatically_derived]
        impl ::promiscuous_seaorm::Subscribe for Entity {
            fn declaration() -> ::promiscuous_seaorm::subscription::SubscribeDeclaration<Entity> {
                ::promiscuous_seaorm::subscription::SubscribeDeclaration {
                    name: #name,
                    named: #named,
                    from: #from,
                    attributes: ::std::vec![#((#names, Column::#columns)),*],
                    virtual_attributes: ::std::vec![#(
                        ::promiscuous_seaorm::subscription::VirtualAttribute::new(
                            #virtual_names,
                            <ActiveModel>::#setters,
                        )
                    ),*],
                    foreign_key: #foreign_key,
                    consistency: #consistency,
                }
            }
        }

        ::promiscuous_seaorm::__private::inventory::submit! {
            ::promiscuous_seaorm::__private::DerivedSubscribe::of::<Entity>()
        }
    })
}
