//! What every derive asks about fields.

use syn::ext::IdentExt;
use syn::{Field, Ident};

/// `; did you mean …?`, when a field is called nearly so; otherwise nothing.
pub fn did_you_mean<'a>(fields: impl IntoIterator<Item = &'a Field>, wanted: &str) -> String {
    let names =
        fields.into_iter().filter_map(|field| field.ident.as_ref()).map(|name| name.unraw().to_string());
    names
        .map(|name| (distance(wanted, &name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(wanted.len()) / 3)
        .min()
        .map(|(_, near)| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// Whether an attribute such as `#[publish]` stands on a field, without options.
pub fn is_marked(field: &Field, attribute: &str) -> syn::Result<bool> {
    let mut marked = false;
    for found in field.attrs.iter().filter(|found| found.path().is_ident(attribute)) {
        if found.meta.require_path_only().is_err() {
            return Err(syn::Error::new_spanned(
                &found.meta,
                format!("`#[{attribute}]` on a field takes no options; they go on the struct"),
            ));
        }
        marked = true;
    }
    Ok(marked)
}

/// `name` as a method of a path, such as `ActiveModel::set_full_name`, that a compile error about it points at.
pub fn method(prefix: &str, name: &Ident) -> Ident {
    Ident::new(&format!("{prefix}{}", name.unraw()), name.span())
}

fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let cost = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
