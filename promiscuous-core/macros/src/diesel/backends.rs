//! The databases that code is generated for.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::model::Model;

/// The databases that code can be generated for: as Diesel calls them, with the macro that passes code on only where
/// promiscuous-diesel's feature for it is enabled.
const BACKENDS: [(&str, &str); 3] =
    [("Pg", "__on_postgres"), ("Mysql", "__on_mysql"), ("Sqlite", "__on_sqlite")];

/// A database to generate code for.
pub struct Database {
    /// As Diesel calls it.
    pub name: &'static str,
    /// Diesel's type.
    pub ty: TokenStream,
    /// The macro that passes code on where it is enabled.
    pub gate: TokenStream,
}

/// Whether this is Diesel's name for one of them.
pub(super) fn is_backend(name: &Ident) -> bool {
    BACKENDS.iter().any(|(known, _)| name == known)
}

impl Model<'_> {
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
