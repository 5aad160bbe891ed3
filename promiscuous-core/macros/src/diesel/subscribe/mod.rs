//! `#[derive(Subscribe)]`.
//!
//! * `changes`: the struct of what is to be written, and what makes a row and an id of it;
//! * `declaration`: `impl Subscribe`;
//! * `database`: `impl SubscribeOn`, for each database; `statements`: what it sends there; `reading`: how rows that are there are read.

mod changes;
mod database;
mod declaration;
mod reading;
mod statements;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{DeriveInput, Ident};

use super::model::{Column, Model};
use crate::options::{Dialect, Options, check_source};

const DIALECT: Dialect = Dialect {
    attribute: "subscribe",
    derive: "Subscribe",
    place: "from",
    all: &[
        "attributes",
        "virtual_attributes",
        "from",
        "as",
        "foreign_key",
        "consistency",
        "callbacks",
        "backend",
    ],
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
}
