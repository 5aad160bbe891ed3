//! Ids that a column cannot tell apart. Pure.
//!
//! A column of fixed width gives back more spaces than it was given, and a foreign key of text keeps an id of several columns as it is written, which
//! may also be an id of one column with a comma in it. Which one was sent is known by its version.

use crate::key::{decode_id, encode_id};

/// What else a row's id may be at its publisher.
pub(super) fn others(id: &str) -> Vec<String> {
    let Some(parts) = decode_id(id) else { return Vec::new() };
    let unpadded = encode_id(parts.iter().map(|part| part.trim_end_matches(' ')));
    let whole = (parts.len() > 1).then(|| encode_id([id]));
    [Some(unpadded), whole].into_iter().flatten().filter(|other| other != id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_commas_are_ambiguous_and_nothing_else_is() {
        assert_eq!(others("abc%20%20"), ["abc"]);
        assert_eq!(others("7,a%20"), ["7,a", "7%2Ca%2520"]);
        assert_eq!(others("a,b"), ["a%2Cb"]);
        for plain in ["5", "a%20b", "%2C", "%"] {
            assert!(others(plain).is_empty(), "{plain}");
        }
    }
}
