//! What both derives say of a column's values.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use super::model::Column;

/// The body of a function from an id's `parts` to the values that these columns are compared with.
pub fn key_values(columns: &[&Column<'_>], backend: &TokenStream) -> TokenStream {
    let private = quote!(::promiscuous_diesel::__private);
    let parts: Vec<_> = (0..columns.len()).map(|position| format_ident!("part{position}")).collect();
    let aliases: Vec<_> = columns.iter().map(|column| &column.alias).collect();
    let values = columns.iter().zip(&parts).map(|(column, part)| {
        let (alias, ty, write_as, read_as) =
            (&column.alias, column.ty(), column.write_as(), column.read_as());
        // Each reference is a way to write the value; the compiler takes the first that there is.
        quote_spanned! {column.ty().span()=>
            (&&&#private::KeyColumn::<#backend, #alias, #ty, #write_as, #read_as>::new()).value(#part)?
        }
    });
    quote! {
        #[allow(unused_imports)]
        use #private::{ReadKey as _, TextKey as _, WrittenKey as _};
        let [#(#parts),*] = parts else {
            return ::core::result::Result::Err(
                #private::other_parts(&[#(<#aliases as #private::diesel::Column>::NAME),*])
            );
        };
        ::core::result::Result::Ok(::std::vec![#(#values),*])
    }
}

/// A statement that adds a column's value to `attributes`.
pub fn send(column: &Column<'_>, value: &TokenStream, backend: &TokenStream, table: &str) -> TokenStream {
    let (alias, ty, attribute) = (&column.alias, column.ty(), &column.attribute);
    quote_spanned! {column.ty().span()=>
        ::promiscuous_diesel::publication::send::<#backend, #alias, #ty>(
            &mut attributes, #attribute, &#value, #table,
        )?;
    }
}
