//! `#[derive(Attribute)]` and `#[derive(IdPart)]`, for types of one's own.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Data, DeriveInput, Field, Fields, Ident, LitInt, LitStr, Token, Type};

/// What a type of one's own is sent as.
enum Shape<'a> {
    /// A newtype: as what it wraps.
    Newtype { field: &'a Field, access: syn::Member },
    /// An enum without fields: as what the database keeps.
    Enum(Vec<(&'a Ident, Kept)>),
    /// As JSON, by serde.
    Json,
}

/// What the database keeps for a variant.
#[derive(PartialEq)]
enum Kept {
    Text(String),
    Number(i64),
}

impl Parse for Kept {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) {
            return Ok(Self::Text(input.parse::<LitStr>()?.value()));
        }
        let negative = input.parse::<Option<Token![-]>>()?.is_some();
        let number: LitInt = input.parse()?;
        let number: i64 = number.base10_parse()?;
        Ok(Self::Number(if negative { -number } else { number }))
    }
}

impl Kept {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// `impl Attribute`.
pub fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let trait_ = quote!(::promiscuous_diesel::attribute::Attribute);
    let json = quote!(::promiscuous_diesel::__private::Json);
    let error = quote!(::promiscuous_diesel::attribute::CodecError);
    let shape = shape(input, "Attribute")?;
    let body = match &shape {
        Shape::Newtype { field, access } => {
            let ty = &field.ty;
            quote! {
                fn to_wire(&self) -> ::core::result::Result<#json, #error> {
                    <#ty as #trait_>::to_wire(&self.#access)
                }

                fn from_wire(json: &#json) -> ::core::result::Result<Self, #error> {
                    ::core::result::Result::Ok(Self { #access: <#ty as #trait_>::from_wire(json)? })
                }

                fn same(&self, other: &Self) -> bool {
                    <#ty as #trait_>::same(&self.#access, &other.#access)
                }

                fn settled(
                    &self,
                    dialect: ::promiscuous_diesel::core::database::Dialect,
                ) -> ::core::option::Option<Self> {
                    let settled = <#ty as #trait_>::settled(&self.#access, dialect)?;
                    ::core::option::Option::Some(Self { #access: settled })
                }
            }
        }
        Shape::Enum(variants) => {
            let names: Vec<_> = variants.iter().map(|(name, _)| name).collect();
            let written = variants.iter().map(|(_, kept)| match kept {
                Kept::Text(text) => quote!(#json::from(#text)),
                Kept::Number(number) => quote!(#json::from(#number)),
            });
            let read = variants.iter().map(|(_, kept)| match kept {
                Kept::Text(text) => quote!(json.as_str() == ::core::option::Option::Some(#text)),
                Kept::Number(number) => quote!(json.as_i64() == ::core::option::Option::Some(#number)),
            });
            let expected = expected(variants);
            quote! {
                fn to_wire(&self) -> ::core::result::Result<#json, #error> {
                    ::core::result::Result::Ok(match self { #(Self::#names => #written),* })
                }

                fn from_wire(json: &#json) -> ::core::result::Result<Self, #error> {
                    #(if #read { return ::core::result::Result::Ok(Self::#names); })*
                    ::core::result::Result::Err(#error::expected(#expected))
                }
            }
        }
        Shape::Json => quote! {
            fn to_wire(&self) -> ::core::result::Result<#json, #error> {
                ::promiscuous_diesel::__private::json_to_wire(self)
            }

            fn from_wire(json: &#json) -> ::core::result::Result<Self, #error> {
                ::promiscuous_diesel::__private::json_from_wire(json)
            }
        },
    };
    let inner = match &shape {
        Shape::Newtype { field, .. } => Some((&field.ty, trait_.clone())),
        _ => None,
    };
    Ok(implementation(input, &trait_, inner, &body))
}

/// `impl IdPart`.
pub fn expand_id(input: &DeriveInput) -> syn::Result<TokenStream> {
    let trait_ = quote!(::promiscuous_diesel::attribute::IdPart);
    let error = quote!(::promiscuous_diesel::attribute::CodecError);
    let shape = shape(input, "IdPart")?;
    let body = match &shape {
        Shape::Newtype { field, access } => {
            let ty = &field.ty;
            quote! {
                const TEXT: bool = <#ty as #trait_>::TEXT;

                fn to_id(&self) -> ::core::result::Result<::std::string::String, #error> {
                    <#ty as #trait_>::to_id(&self.#access)
                }

                fn from_id(id: &str) -> ::core::result::Result<Self, #error> {
                    ::core::result::Result::Ok(Self { #access: <#ty as #trait_>::from_id(id)? })
                }
            }
        }
        Shape::Enum(variants) => {
            let names: Vec<_> = variants.iter().map(|(name, _)| name).collect();
            let texts: Vec<_> = variants.iter().map(|(_, kept)| kept.text()).collect();
            let expected = expected(variants);
            quote! {
                fn to_id(&self) -> ::core::result::Result<::std::string::String, #error> {
                    ::core::result::Result::Ok(::std::string::String::from(match self { #(Self::#names => #texts),* }))
                }

                fn from_id(id: &str) -> ::core::result::Result<Self, #error> {
                    #(if id == #texts { return ::core::result::Result::Ok(Self::#names); })*
                    ::core::result::Result::Err(#error::expected(#expected))
                }
            }
        }
        Shape::Json => {
            return Err(syn::Error::new(
                input.ident.span(),
                "JSON cannot be part of an id: keys are integers, text, bytes, UUIDs, dates, times and decimals",
            ));
        }
    };
    let inner = match &shape {
        Shape::Newtype { field, .. } => Some((&field.ty, trait_.clone())),
        _ => None,
    };
    Ok(implementation(input, &trait_, inner, &body))
}

fn implementation(
    input: &DeriveInput,
    trait_: &TokenStream,
    inner: Option<(&Type, TokenStream)>,
    body: &TokenStream,
) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    if let Some((ty, bound)) = inner.filter(|_| !input.generics.params.is_empty()) {
        generics.make_where_clause().predicates.push(syn::parse_quote!(#ty: #bound));
    }
    let (parameters, arguments, conditions) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #parameters #trait_ for #name #arguments #conditions {
            #body
        }
    }
}

fn expected(variants: &[(&Ident, Kept)]) -> String {
    let values = variants.iter().map(|(_, kept)| match kept {
        Kept::Text(text) => format!("{text:?}"),
        Kept::Number(number) => number.to_string(),
    });
    format!("one of {}", values.collect::<Vec<_>>().join(", "))
}

fn shape<'a>(input: &'a DeriveInput, derive: &str) -> syn::Result<Shape<'a>> {
    if is_json(input)? {
        return Ok(Shape::Json);
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Some(&fields.unnamed[0]),
            Fields::Named(fields) if fields.named.len() == 1 => Some(&fields.named[0]),
            _ => None,
        }
        .map(|field| {
            let access = field.ident.clone().map_or_else(|| syn::Member::from(0), syn::Member::from);
            Shape::Newtype { field, access }
        })
        .ok_or_else(|| {
            syn::Error::new(
                input.ident.span(),
                format!(
                    "`{derive}` wraps one field; for a struct that the database keeps as JSON, write `#[attribute(json)]` on it; for anything else, implement the trait by hand"
                ),
            )
        }),
        Data::Enum(data) => {
            let mut variants: Vec<(&Ident, Kept)> = Vec::new();
            for variant in &data.variants {
                let told = variant.attrs.iter().find(|attribute| attribute.path().is_ident("attribute"));
                let told = told.filter(|_| matches!(variant.fields, Fields::Unit)).ok_or_else(|| {
                    syn::Error::new(
                        variant.ident.span(),
                        format!(
                            "what does the database keep for `{0}`? write `#[attribute(\"{1}\")]` or `#[attribute(1)]` on every variant; an enum with fields is kept as JSON: write `#[attribute(json)]` on the enum",
                            variant.ident,
                            heck::ToSnakeCase::to_snake_case(variant.ident.to_string().as_str())
                        ),
                    )
                })?;
                let kept: Kept = told.parse_args()?;
                if let Some((other, _)) = variants.iter().find(|(_, other)| other.text() == kept.text()) {
                    return Err(syn::Error::new_spanned(
                        told,
                        format!("`{other}` and `{}` are kept as the same value", variant.ident),
                    ));
                }
                variants.push((&variant.ident, kept));
            }
            Ok(Shape::Enum(variants))
        }
        Data::Union(_) => {
            Err(syn::Error::new(input.ident.span(), format!("`{derive}` belongs on a struct or an enum")))
        }
    }
}

/// Whether `#[attribute(json)]` stands on the type.
fn is_json(input: &DeriveInput) -> syn::Result<bool> {
    let mut json = false;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("attribute")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("json") {
                json = true;
                return Ok(());
            }
            Err(meta.error("unknown option; `#[attribute(...)]` on a type knows json"))
        })?;
    }
    Ok(json)
}
