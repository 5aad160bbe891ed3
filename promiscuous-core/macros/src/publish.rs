//! `#[derive(Publish)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;
use syn::ext::IdentExt;

use crate::entity::Entity;
use crate::fields::method;
use crate::options::{Dialect, Options, check_endpoint};

const DIALECT: Dialect = Dialect {
    attribute: "publish",
    derive: "Publish",
    place: "to",
    all: &["attributes", "virtual_attributes", "to", "as", "types"],
    done: "published",
};

/// `impl Publish for Entity`, and its registration.
pub fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Some(entity) = Entity::of(input, DIALECT.derive)? else { return Ok(TokenStream::new()) };
    let options = Options::read(input, entity.fields(), &DIALECT)?;
    check_endpoint(options.place.as_ref())?;

    let columns = options.attributes.iter().map(|name| entity.column(name, DIALECT.done));
    let columns = columns.collect::<syn::Result<Vec<_>>>()?;
    let names: Vec<String> = options.attributes.iter().map(|name| name.unraw().to_string()).collect();
    let virtual_names: Vec<String> =
        options.virtual_attributes.iter().map(|name| name.unraw().to_string()).collect();
    let getters: Vec<_> = options.virtual_attributes.iter().map(|name| method("", name)).collect();
    let types = &options.types;
    let named = match &options.name {
        Some(name) => quote!(::std::string::String::from(#name)),
        None => quote!(::promiscuous_seaorm::__private::name_of_module(::core::module_path!())),
    };
    let to = match &options.place {
        Some(to) => quote!(::core::option::Option::Some(::std::string::String::from(#to))),
        None => quote!(::core::option::Option::None),
    };

    Ok(quote! {
        #[automatically_derived]
        impl ::promiscuous_seaorm::Publish for Entity {
            fn declaration() -> ::promiscuous_seaorm::model::PublishDeclaration {
                ::promiscuous_seaorm::model::PublishDeclaration {
                    name: #named,
                    to: #to,
                    types: ::std::vec![#(#types),*],
                    attributes: ::std::vec![#(#names),*],
                    virtual_attributes: ::std::vec![#(#virtual_names),*],
                }
            }

            fn column(attribute: &str) -> ::core::option::Option<Column> {
                match attribute {
                    #(#names => ::core::option::Option::Some(Column::#columns),)*
                    _ => ::core::option::Option::None,
                }
            }

            #[allow(unused_variables)]
            fn virtual_attributes(
                model: &Model,
                attributes: &mut ::promiscuous_seaorm::__private::Attributes,
            ) -> ::core::result::Result<(), ::promiscuous_seaorm::codec::CodecError> {
                #(
                    ::promiscuous_seaorm::__private::compute(attributes, #virtual_names, &model.#getters())?;
                )*
                ::core::result::Result::Ok(())
            }
        }

        ::promiscuous_seaorm::__private::inventory::submit! {
            ::promiscuous_seaorm::__private::DerivedPublish::of::<Entity>()
        }
    })
}
