//! What is written in `#[diesel(…)]`, read the way Diesel's own derives read it.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Expr, LitStr, Path, Token, Type, parenthesized};

use super::backends::is_backend;

pub(super) fn diesel_attributes(attributes: &[syn::Attribute]) -> impl Iterator<Item = &syn::Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("diesel"))
}

/// What `#[diesel(…)]` says on the struct.
#[derive(Default)]
pub(super) struct StructOptions {
    /// `table_name`.
    pub table: Option<Path>,
    /// `primary_key`.
    pub key: Option<Vec<Ident>>,
    /// `check_for_backend`.
    pub backends: Vec<Ident>,
}

impl StructOptions {
    pub(super) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("table_name") {
            self.table = Some(name_or_text(meta.value()?)?);
        } else if meta.path.is_ident("primary_key") {
            let content;
            parenthesized!(content in meta.input);
            let key = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, Ident::parse_any)?;
            self.key = Some(key.into_iter().collect());
        } else if meta.path.is_ident("check_for_backend") && meta.input.peek(syn::token::Paren) {
            let content;
            parenthesized!(content in meta.input);
            // Or a truth value, or another crate's backend: not for us.
            if let Ok(backends) = Punctuated::<Path, Token![,]>::parse_terminated(&content) {
                let names = backends.iter().filter_map(|path| path.segments.last());
                let names = names.map(|segment| segment.ident.clone());
                self.backends = names.filter(is_backend).collect();
            } else {
                content.parse::<TokenStream>()?;
            }
        } else {
            skip(meta)?;
        }
        Ok(())
    }
}

/// What `#[diesel(…)]` says on a field.
#[derive(Default)]
pub(super) struct FieldOptions {
    /// `column_name`.
    pub column: Option<Ident>,
    /// `deserialize_as`.
    pub read_as: Option<Type>,
    /// `serialize_as`.
    pub write_as: Option<Type>,
    /// `embed` or `select_expression`.
    pub elsewhere: bool,
}

impl FieldOptions {
    pub(super) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("column_name") {
            let path = name_or_text(meta.value()?)?;
            self.column = path.segments.last().map(|segment| segment.ident.clone());
        } else if meta.path.is_ident("deserialize_as") {
            self.read_as = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("serialize_as") {
            self.write_as = Some(meta.value()?.parse()?);
        } else {
            self.elsewhere |= meta.path.is_ident("embed") || meta.path.is_ident("select_expression");
            skip(meta)?;
        }
        Ok(())
    }
}

/// `users`, `crate::schema::users` or the older `"users"`.
fn name_or_text(input: ParseStream<'_>) -> syn::Result<Path> {
    if input.peek(LitStr) {
        let text: LitStr = input.parse()?;
        return text.parse();
    }
    // A column may be called as a keyword is.
    input.call(Path::parse_mod_style)
}

/// What only Diesel needs to understand.
fn skip(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        let value = meta.value()?;
        // Types have commas of their own.
        let is_type = ["sql_type", "select_expression_type", "base_query_type"];
        if is_type.iter().any(|option| meta.path.is_ident(option)) {
            value.parse::<Type>()?;
        } else {
            value.parse::<Expr>()?;
        }
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}
