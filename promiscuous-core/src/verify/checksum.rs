//! Checksums of rows, so that equal ones need not be sent. Pure.

use xxhash_rust::xxh3::Xxh3;

use crate::operation::Attributes;

/// The checksum of some attributes of a row: XXH3 with 64 bits, over each name and value in the order of `names`. An attribute that the row does not
/// have is another one than null.
pub(super) fn checksum(attributes: &Attributes, names: &[String]) -> String {
    let mut hasher = Xxh3::new();
    for name in names {
        let value = attributes.get(name).map(ToString::to_string);
        // Lengths keep what follows one another apart.
        for text in [Some(name), value.as_ref()] {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(text.map_or(b"", |text| text.as_bytes()));
        }
    }
    format!("{:016x}", hasher.digest())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(attributes: serde_json::Value, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        checksum(attributes.as_object().unwrap(), &names)
    }

    #[test]
    fn a_checksum_is_of_the_wanted_attributes_only_and_the_same_on_every_machine() {
        let joe = json!({"name": "joe", "age": 5, "secret": 1});
        assert_eq!(of(joe.clone(), &["name", "age"]), of(json!({"age": 5, "name": "joe"}), &["name", "age"]));
        assert_eq!(of(joe, &["name"]), "9705398d90f6d020");
    }

    #[test]
    fn other_values_and_missing_ones_have_other_checksums() {
        let all = [
            of(json!({"a": "x", "b": "y"}), &["a", "b"]),
            of(json!({"a": "xy", "b": ""}), &["a", "b"]),
            of(json!({"a": null, "b": "y"}), &["a", "b"]),
            of(json!({"b": "y"}), &["a", "b"]),
            of(json!({"a": 1, "b": "y"}), &["a", "b"]),
            of(json!({"a": "1", "b": "y"}), &["a", "b"]),
        ];
        for (position, one) in all.iter().enumerate() {
            assert!(!all[..position].contains(one), "{position}");
        }
    }
}
