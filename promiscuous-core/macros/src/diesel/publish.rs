//! `#[derive(Publish)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::DeriveInput;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::backends::Database;
use super::model::{Column, Model};
use super::values::{key_values, send};
use crate::fields::method;
use crate::options::{Dialect, Options, check_endpoint};

const DIALECT: Dialect = Dialect {
    attribute: "publish",
    derive: "Publish",
    place: "to",
    all: &["attributes", "virtual_attributes", "to", "as", "types", "backend"],
    done: "published",
};

/// `impl Publish`, `impl PublishOn` for each database, and their registration.
pub fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let model = Model::of(input, DIALECT.derive)?;
    let options = Options::read(input, &model.fields, &DIALECT)?;
    check_endpoint(options.place.as_ref())?;
    let published = model.places(&options.attributes, DIALECT.done)?;
    if let (Some(getter), Some(other)) = (options.virtual_attributes.first(), model.others.first()) {
        return Err(syn::Error::new(
            getter.span(),
            format!(
                "virtual attributes are computed from the whole struct, but its field `{other}` is no column of its own: publish a struct of columns only"
            ),
        ));
    }

    let name = model.name;
    let named = match &options.name {
        Some(name) => name.value(),
        None => name.unraw().to_string(),
    };
    let to = match &options.place {
        Some(to) => quote!(::core::option::Option::Some(::std::string::String::from(#to))),
        None => quote!(::core::option::Option::None),
    };
    let types = &options.types;
    let attributes = published.iter().map(|&place| &model.columns[place].attribute);
    let virtual_names: Vec<String> =
        options.virtual_attributes.iter().map(|name| name.unraw().to_string()).collect();
    let aliases = model.aliases();
    let databases = model.backends(&options.backends)?;
    let over = databases.iter().map(|database| over(&model, &options, &published, database));

    Ok(quote! {
        const _: () = {
            #aliases

            #[automatically_derived]
            impl ::promiscuous_diesel::model::Publish for #name {
                fn declaration() -> ::promiscuous_diesel::model::PublishDeclaration {
                    ::promiscuous_diesel::model::PublishDeclaration {
                        name: ::std::string::String::from(#named),
                        to: #to,
                        types: ::std::vec![#(#types),*],
                        attributes: ::std::vec![#(#attributes),*],
                        virtual_attributes: ::std::vec![#(#virtual_names),*],
                    }
                }
            }

            #(#over)*
        };
    })
}

/// The code for one database.
fn over(model: &Model<'_>, options: &Options, published: &[usize], database: &Database) -> TokenStream {
    let Database { ty: backend, gate, .. } = database;
    let (name, table, table_text) = (model.name, &model.table, model.table_text());
    let key: Vec<&Column<'_>> = model.key.iter().map(|&place| &model.columns[place]).collect();
    let sent: Vec<&Column<'_>> = published.iter().map(|&place| &model.columns[place]).collect();
    let whole = !options.virtual_attributes.is_empty();
    // Virtual attributes may use any field.
    let wanted = if whole { model.columns.iter().collect() } else { sent.clone() };

    let alias =
        |columns: &[&Column<'_>]| columns.iter().map(|column| column.alias.clone()).collect::<Vec<_>>();
    let (key_columns, sent_columns, wanted_columns) = (alias(&key), alias(&sent), alias(&wanted));
    let id = key.iter().enumerate().map(|(position, column)| {
        let (alias, ty, read_as) = (&column.alias, column.ty(), column.read_as());
        quote_spanned! {column.ty().span()=>
            ::promiscuous_diesel::publication::read_key::<#backend, #alias, #read_as, #ty>(row, #position, #table_text)?
        }
    });
    let key_values = key_values(&key, backend);
    let own_parts = key.iter().map(|column| {
        let (alias, ident, ty) = (&column.alias, column.ident, column.ty());
        let (write_as, read_as) = (column.write_as(), column.read_as());
        // Each reference is a way, as for `key_values`: a type that is no part of an id is told where the column is read.
        quote_spanned! {column.ty().span()=>
            (&&::promiscuous_diesel::__private::KeyColumn::<#backend, #alias, #ty, #write_as, #read_as>::new())
                .part(&self.#ident, #table_text)?
        }
    });
    let values = wanted.iter().enumerate().map(|(position, column)| {
        let (alias, ty, read_as) = (&column.alias, column.ty(), column.read_as());
        quote_spanned! {column.ty().span()=>
            ::promiscuous_diesel::publication::convert::<#alias, #read_as, #ty>(
                ::promiscuous_diesel::publication::read::<#backend, #alias, #read_as>(row, #position, #table_text)?,
                #table_text,
            )?
        }
    });
    let send = |column: &Column<'_>, value: TokenStream| send(column, &value, backend, &table_text);
    let read_attributes = if whole {
        let fields = wanted.iter().map(|column| column.ident);
        let sends = sent.iter().map(|column| {
            let ident = column.ident;
            send(column, quote!(model.#ident))
        });
        let virtual_names = options.virtual_attributes.iter().map(|name| name.unraw().to_string());
        let getters = options.virtual_attributes.iter().map(|name| method("", name));
        quote! {
            let model = #name { #(#fields: #values),* };
            #(#sends)*
            #(::promiscuous_diesel::publication::compute(
                &mut attributes, #virtual_names, &model.#getters(), #table_text,
            )?;)*
        }
    } else {
        let sends = sent.iter().map(|column| send(column, quote!(value)));
        quote!(#({ let value = #values; #sends })*)
    };

    quote! {
        #gate! {
            #[automatically_derived]
            impl ::promiscuous_diesel::model::PublishOn<#backend> for #name {
                fn table() -> impl ::promiscuous_diesel::__private::diesel::query_builder::QueryFragment<#backend> {
                    #table::table
                }

                fn key_columns() -> ::std::vec::Vec<&'static str> {
                    ::std::vec![#(<#key_columns as ::promiscuous_diesel::__private::diesel::Column>::NAME),*]
                }

                fn attribute_columns() -> ::std::vec::Vec<&'static str> {
                    ::std::vec![#(<#sent_columns as ::promiscuous_diesel::__private::diesel::Column>::NAME),*]
                }

                fn columns() -> ::std::vec::Vec<&'static str> {
                    ::std::vec![#(<#wanted_columns as ::promiscuous_diesel::__private::diesel::Column>::NAME),*]
                }

                fn read_id(
                    row: &dyn ::promiscuous_diesel::row::RowValues<#backend>,
                ) -> ::core::result::Result<
                    ::core::option::Option<::std::string::String>,
                    ::promiscuous_diesel::model::UnreadableRow,
                > {
                    ::core::result::Result::Ok(::promiscuous_diesel::publication::joined(&[#(#id),*]))
                }

                fn key_values(
                    parts: &[::std::string::String],
                ) -> ::core::result::Result<
                    ::std::vec::Vec<::promiscuous_diesel::key::KeyValue<#backend>>,
                    ::promiscuous_diesel::key::UnfitKey,
                > {
                    #key_values
                }

                fn own_key(
                    &self,
                ) -> ::core::result::Result<
                    ::std::vec::Vec<::std::string::String>,
                    ::promiscuous_diesel::model::UnreadableRow,
                > {
                    #[allow(unused_imports)]
                    use ::promiscuous_diesel::__private::{NoPart as _, OwnPart as _};
                    ::core::result::Result::Ok(::std::vec![#(#own_parts),*])
                }

                fn read_attributes(
                    row: &dyn ::promiscuous_diesel::row::RowValues<#backend>,
                ) -> ::core::result::Result<
                    ::promiscuous_diesel::__private::Attributes,
                    ::promiscuous_diesel::model::UnreadableRow,
                > {
                    let mut attributes = ::promiscuous_diesel::__private::Attributes::new();
                    #read_attributes
                    ::core::result::Result::Ok(attributes)
                }
            }

            ::promiscuous_diesel::__private::inventory::submit! {
                ::promiscuous_diesel::models::DerivedPublish::<#backend>::of::<#name>()
            }
        }
    }
}
