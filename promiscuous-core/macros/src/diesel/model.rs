//! What a struct says about its table, its key and its columns, read the way Diesel's own derives read it.

use heck::ToSnakeCase;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Field, Fields, Path, Type};

use super::table_options::{FieldOptions, StructOptions, diesel_attributes};
use crate::fields::did_you_mean;

/// A struct that Diesel reads rows into.
pub struct Model<'a> {
    /// Its name.
    pub name: &'a Ident,
    /// `users`, of `diesel::table!`.
    pub table: Path,
    /// The fields that are columns.
    pub columns: Vec<Column<'a>>,
    /// The primary key's columns, by their places in `columns`, in key order.
    pub key: Vec<usize>,
    /// The fields that are no columns of their own: `embed`, `select_expression`.
    pub others: Vec<&'a Ident>,
    /// All fields.
    pub fields: Vec<&'a Field>,
    /// Diesel's own `check_for_backend`.
    pub(super) check_for_backend: Vec<Ident>,
}

/// A field that is a column.
pub struct Column<'a> {
    /// The field.
    pub field: &'a Field,
    /// Its name.
    pub ident: &'a Ident,
    /// The attribute: the field's name without `r#`.
    pub attribute: String,
    /// The column's name in `diesel::table!`.
    name: Ident,
    /// The alias for the column's type: an error about it is told once.
    pub alias: Ident,
    /// `deserialize_as`.
    read_as: Option<Type>,
    /// `serialize_as`.
    write_as: Option<Type>,
}

impl Column<'_> {
    /// The field's type.
    pub fn ty(&self) -> &Type {
        &self.field.ty
    }

    /// What Diesel reads from the column.
    pub fn read_as(&self) -> &Type {
        self.read_as.as_ref().unwrap_or(&self.field.ty)
    }

    /// What Diesel writes to the column.
    pub fn write_as(&self) -> &Type {
        self.write_as.as_ref().unwrap_or(&self.field.ty)
    }

    /// `expression` is a reference to the field's value: what Diesel compares the column with.
    pub fn by_reference(&self, expression: &TokenStream) -> TokenStream {
        match &self.write_as {
            Some(ty) => quote!(::core::convert::Into::<#ty>::into(::core::clone::Clone::clone(#expression))),
            None => expression.clone(),
        }
    }
}

impl<'a> Model<'a> {
    /// Reads the struct that `derive` stands on.
    pub fn of(input: &'a DeriveInput, derive: &str) -> syn::Result<Self> {
        let fields = named_fields(input, derive)?;
        let mut options = StructOptions::default();
        for attribute in diesel_attributes(&input.attrs) {
            attribute.parse_nested_meta(|meta| options.read(&meta))?;
        }
        let Some(table) = options.table else {
            let guess = format!("{}s", input.ident.to_string().to_snake_case());
            return Err(syn::Error::new(
                input.ident.span(),
                format!(
                    "which table? write `#[diesel(table_name = {guess})]` on `{}`, with a name from `diesel::table!`",
                    input.ident
                ),
            ));
        };
        let mut model = Self {
            name: &input.ident,
            table,
            columns: Vec::new(),
            key: Vec::new(),
            others: Vec::new(),
            fields,
            check_for_backend: options.backends,
        };
        for field in model.fields.clone() {
            model.add(field)?;
        }
        for key in options.key.unwrap_or_else(|| vec![format_ident!("id", span = input.ident.span())]) {
            let column = model.columns.iter().position(|column| column.name.unraw() == key.unraw());
            model.key.push(column.ok_or_else(|| {
                syn::Error::new(
                    key.span(),
                    format!(
                        "no field for the primary key's column `{key}` on `{}`: add the field, or name the key's columns in `#[diesel(primary_key(...))]`",
                        input.ident
                    ),
                )
            })?);
        }
        Ok(model)
    }

    fn add(&mut self, field: &'a Field) -> syn::Result<()> {
        let Some(ident) = &field.ident else { return Ok(()) };
        let mut options = FieldOptions::default();
        for attribute in diesel_attributes(&field.attrs) {
            attribute.parse_nested_meta(|meta| options.read(&meta))?;
        }
        if options.elsewhere {
            self.others.push(ident);
            return Ok(());
        }
        // An error about the column points at the field.
        let mut name = options.column.unwrap_or_else(|| ident.clone());
        name.set_span(ident.span());
        self.columns.push(Column {
            field,
            ident,
            attribute: ident.unraw().to_string(),
            name,
            alias: format_ident!("__PromiscuousColumn{}", self.columns.len()),
            read_as: options.read_as,
            write_as: options.write_as,
        });
        Ok(())
    }

    /// The places of the columns that listed names stand for. `what` completes "… attributes are fields" in the advice.
    pub fn places(&self, names: &[Ident], what: &str) -> syn::Result<Vec<usize>> {
        names.iter().map(|name| self.place(name, what)).collect()
    }

    /// The place of the column that a listed name stands for.
    pub fn place(&self, name: &Ident, what: &str) -> syn::Result<usize> {
        let wanted = name.unraw().to_string();
        if let Some(place) = self.columns.iter().position(|column| column.attribute == wanted) {
            return Ok(place);
        }
        let message = match self.others.iter().any(|other| other.unraw() == wanted) {
            true => format!(
                "`{wanted}` is no column of its own, so it cannot be an attribute; computed ones go to virtual_attributes(...)"
            ),
            false => format!(
                "no field `{wanted}` on `{}`; {what} attributes are fields{}; computed ones go to virtual_attributes(...)",
                self.name,
                did_you_mean(self.fields.iter().copied(), &wanted)
            ),
        };
        Err(syn::Error::new(name.span(), message))
    }

    /// The columns' types under their aliases.
    pub fn aliases(&self) -> TokenStream {
        let table = &self.table;
        let aliases = self.columns.iter().map(|column| &column.alias);
        let names = self.columns.iter().map(|column| &column.name);
        quote!(#(#[allow(dead_code)] type #aliases = #table::#names;)*)
    }

    /// The table, for messages to people.
    pub fn table_text(&self) -> String {
        self.table.segments.last().map(|segment| segment.ident.unraw().to_string()).unwrap_or_default()
    }
}

fn named_fields<'a>(input: &'a DeriveInput, derive: &str) -> syn::Result<Vec<&'a Field>> {
    if let Some(parameter) = input.generics.params.first() {
        return Err(syn::Error::new_spanned(
            parameter,
            format!(
                "`{derive}` needs a struct without parameters and lifetimes: rows are read into it at any time"
            ),
        ));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Some(fields.named.iter().collect()),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(|| {
        syn::Error::new(
            input.ident.span(),
            format!("`{derive}` belongs on the struct that Diesel reads rows into, with a named field for each column"),
        )
    })
}
