//! What a `Model` says about its columns, read the way SeaORM's own derive reads it.

use heck::ToUpperCamelCase;
use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, Ident, Type};

use crate::fields::did_you_mean;

/// The fields of a `Model`.
pub struct Entity<'a> {
    fields: Vec<&'a Field>,
}

impl<'a> Entity<'a> {
    /// Reads the struct that `derive` stands on. None for `ModelEx`: `#[sea_orm::model]` copies every derive to it, and one of the
    /// two must not be published again.
    pub fn of(input: &'a DeriveInput, derive: &str) -> syn::Result<Option<Self>> {
        if input.ident == "ModelEx" {
            return Ok(None);
        }
        let misplaced = || {
            syn::Error::new(
                input.ident.span(),
                format!(
                    "`{derive}` belongs on the `Model` struct of a SeaORM entity, where `DeriveEntityModel` is"
                ),
            )
        };
        match &input.data {
            Data::Struct(data) if input.ident == "Model" => match &data.fields {
                Fields::Named(fields) => Ok(Some(Self { fields: fields.named.iter().collect() })),
                _ => Err(misplaced()),
            },
            _ => Err(misplaced()),
        }
    }

    /// The fields.
    pub fn fields(&self) -> &[&'a Field] {
        &self.fields
    }

    /// The column that a listed name stands for. `what` completes "… attributes are fields" in the advice.
    pub fn column(&self, name: &Ident, what: &str) -> syn::Result<Ident> {
        let wanted = name.unraw().to_string();
        let named = |field: &&&Field| field.ident.as_ref().is_some_and(|ident| ident.unraw() == wanted);
        let Some(field) = self.fields.iter().find(named) else {
            let near = did_you_mean(self.fields.iter().copied(), &wanted);
            return Err(syn::Error::new(
                name.span(),
                format!(
                    "no field `{wanted}` on `Model`; {what} attributes are fields{}; computed ones go to virtual_attributes(...)",
                    near
                ),
            ));
        };
        column_of(field, name.span())
    }
}

/// The variant of SeaORM's `Column` enum that belongs to a field.
fn column_of(field: &Field, span: Span) -> syn::Result<Ident> {
    let name = field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default();
    let mut variant = name.to_upper_camel_case();
    let mut ignored = is_relation(&field.ty);
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("sea_orm")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("ignore") {
                ignored = true;
            } else if meta.path.is_ident("enum_name") {
                variant = meta.value()?.parse::<syn::LitStr>()?.value();
            } else if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                meta.parse_nested_meta(|inner| {
                    if inner.input.peek(syn::Token![=]) {
                        inner.value()?.parse::<syn::Expr>()?;
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    }
    if ignored {
        return Err(syn::Error::new(
            span,
            format!(
                "`{name}` has no column, so it cannot be an attribute; computed ones go to virtual_attributes(...)"
            ),
        ));
    }
    // The one keyword in upper camel case; SeaORM escapes it so.
    if variant == "Self" {
        variant.push('_');
    }
    Ok(Ident::new(&variant, Span::call_site()))
}

/// SeaORM's relation fields, which only stand on what `#[sea_orm::model]` has not expanded yet.
fn is_relation(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let last = path.path.segments.last().map(|segment| segment.ident.to_string());
    matches!(last.as_deref(), Some("HasOne" | "HasMany" | "BelongsTo"))
}
