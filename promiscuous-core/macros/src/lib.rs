//! The derive macros of Promiscuous.
//!
//! Use them through `promiscuous_seaorm` or `promiscuous_diesel`, whose documentation explains them; what they generate names that
//! crate.
//!
//! * `options`: what is written in `#[publish(…)]` and `#[subscribe(…)]`;
//! * `fields`: what every derive asks about fields;
//! * `entity`: what is known about a SeaORM `Model`: its fields and their columns;
//! * `publish`, `subscribe`: the code that is generated for SeaORM;
//! * `diesel`: the same for Diesel, and the derives for types of one's own.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod diesel;
mod entity;
mod fields;
mod options;
mod publish;
mod subscribe;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Publishes a SeaORM entity: see `promiscuous_seaorm::Publish`.
#[proc_macro_derive(Publish, attributes(publish))]
pub fn publish(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    publish::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Subscribes a SeaORM entity: see `promiscuous_seaorm::Subscribe`.
#[proc_macro_derive(Subscribe, attributes(subscribe))]
pub fn subscribe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    subscribe::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Publishes a Diesel model: see `promiscuous_diesel::Publish`.
#[proc_macro_derive(DieselPublish, attributes(publish, diesel))]
pub fn diesel_publish(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    diesel::publish::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Subscribes a Diesel model: see `promiscuous_diesel::Subscribe`.
#[proc_macro_derive(DieselSubscribe, attributes(subscribe, diesel))]
pub fn diesel_subscribe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    diesel::subscribe::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Gives a type a wire form: see `promiscuous_diesel::Attribute`.
#[proc_macro_derive(DieselAttribute, attributes(attribute))]
pub fn diesel_attribute(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    diesel::attribute::expand(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Lets a type be part of an id: see `promiscuous_diesel::IdPart`.
#[proc_macro_derive(DieselIdPart, attributes(attribute))]
pub fn diesel_id_part(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    diesel::attribute::expand_id(&input).unwrap_or_else(|error| error.into_compile_error()).into()
}
