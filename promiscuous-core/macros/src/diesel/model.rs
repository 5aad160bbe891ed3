//! What a struct says about its table, its key and its columns, read the way Diesel's own derives read it.

use heck::ToSnakeCase;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Data, DeriveInput, Expr, Field, Fields, LitStr, Path, Token, Type, parenthesized};

use crate::fields::did_you_mean;

/// The databases that code can be generated for: as Diesel calls them, with the macro that passes code on only where
/// promiscuous-diesel's feature for it is enabled.
const BACKENDS: [(&str, &str); 3] =
    [("Pg", "__on_postgres"), ("Mysql", "__on_mysql"), ("Sqlite", "__on_sqlite")];

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
    check_for_backend: Vec<Ident>,
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

    /// The databases to generate code for: the listed ones, else Diesel's own `check_for_backend`, else all. For each, its name, its
    /// type, and the macro that passes code on where it is enabled.
    pub fn backends(&self, listed: &[Ident]) -> syn::Result<Vec<Database>> {
        let all: Vec<Ident>;
        let chosen = match (listed, self.check_for_backend.as_slice()) {
            ([], []) => {
                all = BACKENDS.iter().map(|(name, _)| format_ident!("{name}")).collect();
                &all
            }
            ([], checked) => checked,
            (listed, _) => listed,
        };
        let mut databases: Vec<Database> = Vec::new();
        for name in chosen {
            let known = BACKENDS.iter().find(|(known, _)| name == known);
            let Some((name, gate)) = known else {
                return Err(syn::Error::new(
                    name.span(),
                    format!("`{name}` is no backend: `backend(...)` knows Pg, Mysql and Sqlite"),
                ));
            };
            if databases.iter().all(|database| database.name != *name) {
                let module = format_ident!("{}", name.to_lowercase());
                let backend = format_ident!("{name}");
                let gate = format_ident!("{gate}");
                databases.push(Database {
                    name,
                    ty: quote!(::promiscuous_diesel::__private::diesel::#module::#backend),
                    gate: quote!(::promiscuous_diesel::#gate),
                });
            }
        }
        Ok(databases)
    }
}

/// A database to generate code for.
pub struct Database {
    /// As Diesel calls it.
    pub name: &'static str,
    /// Diesel's type.
    pub ty: TokenStream,
    /// The macro that passes code on where it is enabled.
    pub gate: TokenStream,
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

fn diesel_attributes(attributes: &[syn::Attribute]) -> impl Iterator<Item = &syn::Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("diesel"))
}

/// What `#[diesel(…)]` says on the struct.
#[derive(Default)]
struct StructOptions {
    /// `table_name`.
    table: Option<Path>,
    /// `primary_key`.
    key: Option<Vec<Ident>>,
    /// `check_for_backend`.
    backends: Vec<Ident>,
}

impl StructOptions {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
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
                self.backends =
                    names.filter(|name| BACKENDS.iter().any(|(known, _)| name == known)).collect();
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
struct FieldOptions {
    /// `column_name`.
    column: Option<Ident>,
    /// `deserialize_as`.
    read_as: Option<Type>,
    /// `serialize_as`.
    write_as: Option<Type>,
    /// `embed` or `select_expression`.
    elsewhere: bool,
}

impl FieldOptions {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
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
