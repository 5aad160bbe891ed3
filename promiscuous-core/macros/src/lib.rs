//! The derive macros of Promiscuous.
//!
//! Use them through `promiscuous_seaorm`, whose documentation explains them; what they generate names that crate.
//!
//! * `entity`: what both macros know about a `Model`: its fields and their columns;
//! * `options`: what is written in `#[publish(…)]` and `#[subscribe(…)]`;
//! * `publish`, `subscribe`: the generated code.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod entity;
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
