//! `#[derive(Subscribe)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, Ident, Type};

use super::model::{Column, Database, Model};
use crate::fields::method;
use crate::options::{Dialect, Options, check_source};

const DIALECT: Dialect = Dialect {
    attribute: "subscribe",
    derive: "Subscribe",
    place: "from",
    all: &["attributes", "virtual_attributes", "from", "as", "foreign_key", "callbacks", "backend"],
    done: "subscribed",
};

/// What the generated code is made of.
struct Subscriber<'a> {
    /// The struct.
    model: Model<'a>,
    /// The struct of what is to be written.
    changes: Ident,
    /// The columns that keep the publisher's id.
    id: Vec<usize>,
    /// The columns to fill.
    filled: Vec<usize>,
    /// What is written in the attribute.
    options: Options,
}

/// The struct of changes, `impl Subscribe`, `impl SubscribeOn` for each database, and their registration.
pub fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let model = Model::of(input, DIALECT.derive)?;
    let options = Options::read(input, &model.fields, &DIALECT)?;
    check_source(options.place.as_ref())?;
    let filled = model.places(&options.attributes, DIALECT.done)?;
    let id = match &options.foreign_key {
        Some(field) => vec![model.place(field, "foreign key").map_err(|_| {
            syn::Error::new(
                field.span(),
                format!(
                    "no column `{field}` on `{}` to keep the publisher's id in: `foreign_key` names a field",
                    model.name
                ),
            )
        })?],
        None => model.key.clone(),
    };
    let changes = format_ident!("{}Changes", model.name.unraw());
    let subscriber = Subscriber { model, changes, id, filled, options };

    let struct_ = subscriber.changes_struct(input);
    let aliases = subscriber.model.aliases();
    let subscribe = subscriber.subscribe();
    let row = subscriber.row();
    let wanted = subscriber.wanted();
    let databases = subscriber.model.backends(&subscriber.options.backends)?;
    let over = databases.iter().map(|database| subscriber.over(database));
    Ok(quote! {
        #struct_

        const _: () = {
            #[allow(unused_imports)]
            use ::promiscuous_diesel::__private::diesel::{
                BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _,
                SelectableHelper as _,
            };

            #aliases
            #row
            #wanted
            #subscribe
            #(#over)*
        };
    })
}

impl Subscriber<'_> {
    fn columns(&self, places: &[usize]) -> Vec<&Column<'_>> {
        places.iter().map(|&place| &self.model.columns[place]).collect()
    }

    /// `struct UserChanges`: each column's field as an option.
    fn changes_struct(&self, input: &DeriveInput) -> TokenStream {
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
    fn row(&self) -> TokenStream {
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
    fn wanted(&self) -> TokenStream {
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

    /// `impl Subscribe`.
    fn subscribe(&self) -> TokenStream {
        let (name, changes) = (self.model.name, &self.changes);
        let (named, type_name) = match &self.options.name {
            Some(name) => (true, name.value()),
            None => (false, name.unraw().to_string()),
        };
        let from = match &self.options.place {
            Some(from) => quote!(::core::option::Option::Some(::std::string::String::from(#from))),
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

    /// The code for one database.
    fn over(&self, database: &Database) -> TokenStream {
        let Database { name: backend_name, ty: backend, gate } = database;
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

        let wanted: Vec<Ident> = (0..id.len()).map(|place| format_ident!("wanted{place}")).collect();
        let id_fields: Vec<_> = id.iter().map(|column| column.ident).collect();
        let by_id = self.condition(&self.id, |column| {
            let place = id_fields.iter().position(|ident| *ident == column.ident).unwrap_or_default();
            let (wanted, write_as) = (&wanted[place], column.write_as());
            quote!(::core::convert::Into::<#write_as>::into(#wanted))
        });
        let this = |row: &TokenStream| {
            self.condition(&self.model.key, |column| {
                let ident = column.ident;
                column.by_reference(&quote!(&#row.#ident))
            })
        };
        let this_self = this(&quote!(self));
        let select = |condition: &TokenStream, lock: TokenStream| {
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
        };
        let (read_id, read_this) = (select(&by_id, quote!()), select(&this_self, quote!()));
        // PostgreSQL: the lock that an update takes anyway; it lets others refer to the row meanwhile. InnoDB would lock the gap where
        // no row is, and two that fill such a gap would wait for each other: only a row that is there is locked, and read again,
        // because it may have changed since the transaction's snapshot.
        let find = match *backend_name {
            "Pg" => {
                let select = select(&by_id, quote!(.for_no_key_update()));
                quote!(#select.optional())
            }
            "Mysql" => {
                let locked = select(&this(&quote!(found)), quote!(.for_update()));
                quote! {
                    let found: ::core::option::Option<Self> = #read_id.optional()?;
                    let ::core::option::Option::Some(found) = found else {
                        return ::core::result::Result::Ok(::core::option::Option::None);
                    };
                    #locked.optional()
                }
            }
            _ => quote!(#read_id.optional()),
        };
        let insert = quote!(#private::diesel::insert_into(#table::table).values(__promiscuous_row(changes)));
        let update = quote! {
            #private::diesel::update(#table::table.filter(#this_self)).set(__promiscuous_row(changes))
        };
        // MySQL has no RETURNING.
        let (insert, update) = if *backend_name == "Mysql" {
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
                let row: Self = #read_this?;
                #kept
            };
            (insert, update)
        } else {
            let returning =
                quote!(.returning(<#name as #private::diesel::SelectableHelper<#backend>>::as_returning()));
            (
                quote!(#private::diesel::RunQueryDsl::get_result(#insert #returning, connection)),
                quote!(#private::diesel::RunQueryDsl::get_result(#update #returning, connection)),
            )
        };
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
                impl ::promiscuous_diesel::subscription::Callbacks<#backend> for #name {}
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

                    #[allow(unused_mut)]
                    fn update(&self, mut changes: #changes, connection: &mut #connection) -> #result<Self> {
                        // A row keeps its primary key.
                        #(changes.#key_fields = ::core::option::Option::None;)*
                        if ![#(changes.#all.is_some()),*].contains(&true) {
                            return #read_this;
                        }
                        #update
                    }

                    fn delete(&self, connection: &mut #connection) -> #result<()> {
                        #private::diesel::RunQueryDsl::execute(#private::diesel::delete(#table::table.filter(#this_self)), connection)?;
                        ::core::result::Result::Ok(())
                    }
                }

                #callbacks

                ::promiscuous_diesel::__private::inventory::submit! {
                    ::promiscuous_diesel::models::DerivedSubscribe::<#backend>::of::<#name>()
                }
            }; }
        }
    }
}

/// Whether a type is written `Option<…>`.
fn is_option(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}
