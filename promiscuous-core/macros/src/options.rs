//! What is written in `#[publish(…)]` and `#[subscribe(…)]`.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Field, Ident, LitStr, Token, parenthesized};

use crate::fields::is_marked;

/// The options of a derive, as written.
#[derive(Default)]
pub struct Options {
    /// Listed columns, from the struct or from the fields.
    pub attributes: Vec<Ident>,
    /// Computed attributes.
    pub virtual_attributes: Vec<Ident>,
    /// `to` of a publisher, `from` of a subscriber.
    pub place: Option<LitStr>,
    /// `as`.
    pub name: Option<LitStr>,
    /// `types`, nearest first.
    pub types: Vec<LitStr>,
    /// `foreign_key`, with the place of the text for errors.
    pub foreign_key: Option<Ident>,
    /// `consistency`, as the name of one of core's.
    pub consistency: Option<Ident>,
    /// `backend` of a Diesel model: the databases to generate code for.
    pub backends: Vec<Ident>,
    /// `callbacks` of a Diesel subscriber.
    pub callbacks: bool,
}

/// Which of the two derives is read: they share most options.
pub struct Dialect {
    /// The attribute, `publish`.
    pub attribute: &'static str,
    /// The derive, `Publish`.
    pub derive: &'static str,
    /// The option that names an endpoint, `to`.
    pub place: &'static str,
    /// Every option, for advice.
    pub all: &'static [&'static str],
    /// What is done to attributes: "published".
    pub done: &'static str,
}

impl Options {
    /// Reads the struct's and the fields' attributes.
    pub fn read(input: &DeriveInput, fields: &[&Field], dialect: &Dialect) -> syn::Result<Self> {
        let mut options = Self::default();
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident(dialect.attribute)) {
            attribute.parse_nested_meta(|meta| options.read_one(&meta, dialect))?;
        }
        let mut marked = Vec::new();
        for field in fields {
            if is_marked(field, dialect.attribute)? {
                marked.extend(field.ident.clone());
            }
        }
        match (options.attributes.first(), marked.first()) {
            (Some(_), Some(field)) => {
                return Err(syn::Error::new(
                    field.span(),
                    format!(
                        "attributes are listed both in `attributes(...)` and by `#[{}]` on fields: keep one of the two",
                        dialect.attribute
                    ),
                ));
            }
            (None, Some(_)) => options.attributes = marked,
            (_, None) => {}
        }
        if options.attributes.is_empty() && options.virtual_attributes.is_empty() {
            return Err(syn::Error::new(
                input.ident.span(),
                format!(
                    "nothing is {done}: list the attributes in `#[{name}(attributes(...))]` on the struct, or mark fields with `#[{name}]`",
                    done = dialect.done,
                    name = dialect.attribute
                ),
            ));
        }
        options.refuse_duplicates()?;
        Ok(options)
    }

    fn read_one(&mut self, meta: &ParseNestedMeta<'_>, dialect: &Dialect) -> syn::Result<()> {
        let option = meta.path.get_ident().map(|ident| ident.unraw().to_string()).unwrap_or_default();
        match option.as_str() {
            "attributes" => self.attributes.extend(names(meta)?),
            "virtual_attributes" => self.virtual_attributes.extend(names(meta)?),
            "as" => {
                let name: LitStr = meta.value()?.parse()?;
                if !name.value().starts_with(|first: char| first.is_ascii_alphabetic()) {
                    return Err(syn::Error::new(name.span(), "`as` is a type's name, such as \"User\""));
                }
                self.name = Some(name);
            }
            "types" if dialect.all.contains(&"types") => {
                let content;
                parenthesized!(content in meta.input);
                self.types.extend(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?);
            }
            "foreign_key" if dialect.all.contains(&"foreign_key") => {
                let name: LitStr = meta.value()?.parse()?;
                let ident = name.parse_with(Ident::parse_any);
                self.foreign_key = Some(ident.map_err(|_| {
                    syn::Error::new(
                        name.span(),
                        "`foreign_key` is the name of a field, such as \"crowdtap_id\"",
                    )
                })?);
            }
            "consistency" if dialect.all.contains(&"consistency") => {
                let word: LitStr = meta.value()?.parse()?;
                self.consistency = Some(consistency(&word)?);
            }
            "backend" if dialect.all.contains(&"backend") => {
                self.backends.extend(names(meta)?);
            }
            "callbacks" if dialect.all.contains(&"callbacks") => self.callbacks = true,
            other if other == dialect.place => self.place = Some(meta.value()?.parse()?),
            _ => {
                return Err(meta.error(format!(
                    "unknown option; `#[{}(...)]` knows {}",
                    dialect.attribute,
                    dialect.all.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn refuse_duplicates(&self) -> syn::Result<()> {
        let mut seen: Vec<String> = Vec::new();
        for name in self.attributes.iter().chain(&self.virtual_attributes) {
            let text = name.unraw().to_string();
            if seen.contains(&text) {
                return Err(syn::Error::new(name.span(), format!("the attribute `{text}` is listed twice")));
            }
            seen.push(text);
        }
        Ok(())
    }
}

/// The names in `attributes(name, email)`.
fn names(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in meta.input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, Ident::parse_any)?;
    Ok(names.into_iter().collect())
}

/// `weak` is `Consistency::Weak`.
fn consistency(word: &LitStr) -> syn::Result<Ident> {
    let name = match word.value().as_str() {
        "causal" => "Causal",
        "weak" => "Weak",
        "global" => "Global",
        _ => {
            return Err(syn::Error::new(word.span(), "`consistency` is \"causal\", \"weak\" or \"global\""));
        }
    };
    Ok(Ident::new(name, word.span()))
}

/// Checks `to`.
pub fn check_endpoint(to: Option<&LitStr>) -> syn::Result<()> {
    match to.filter(|to| !is_endpoint(&to.value())) {
        Some(to) => Err(syn::Error::new(
            to.span(),
            "`to` is an endpoint: write `app/model`, such as \"crowdtap/user\", with letters, digits, `_` and `-` only",
        )),
        None => Ok(()),
    }
}

/// Checks `from`.
pub fn check_source(from: Option<&LitStr>) -> syn::Result<()> {
    match from.filter(|from| !is_source(&from.value())) {
        Some(from) => Err(syn::Error::new(
            from.span(),
            "`from` is an endpoint: write `app/model`, such as \"crowdtap/user\", or `model` for any app",
        )),
        None => Ok(()),
    }
}

/// Checks `app/model`, with the same rule as `Endpoint::parse`.
fn is_endpoint(text: &str) -> bool {
    text.split_once('/').is_some_and(|(app, model)| is_name(app) && is_name(model))
}

/// Checks `app/model`, `*/model` or `model`.
fn is_source(text: &str) -> bool {
    text.split_once('/')
        .map_or_else(|| is_name(text), |(app, model)| (app == "*" || is_name(app)) && is_name(model))
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
