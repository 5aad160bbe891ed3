//! Names of things that are replicated: endpoints, ids and keys (section 1 of the protocol).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest key, in bytes, that a message may name; a bound of the `promiscuous_versions` primary key.
pub const MAX_KEY_BYTES: usize = 500;

/// What the key of an app's order ends with. No endpoint and no id has it.
const ORDER: &str = "/*";

/// What is wrong with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is not `app/model` with lower-case letters, digits, `_` and `-` in both parts.
    #[error("`{0}` is not an endpoint: write `app/model`, with letters, digits, `_` and `-` only")]
    Endpoint(String),
    /// The text is not `app/model/id`.
    #[error(
        "`{0}` is not a key: a key is `app/model/id`, percent-encoded, at most {MAX_KEY_BYTES} bytes long"
    )]
    Key(String),
    /// An id that cannot be part of a key.
    #[error(
        "a {bytes}-byte id of `{endpoint}` cannot be replicated: an endpoint and its id may take at most {MAX_KEY_BYTES} bytes together"
    )]
    TooLong {
        /// The endpoint of the row.
        endpoint: Endpoint,
        /// The encoded id's length.
        bytes: usize,
    },
}

/// `app/model`: the unit of publishing and subscribing. Exactly one app owns an endpoint.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint(Arc<str>);

impl Endpoint {
    /// Reads `app/model`.
    ///
    /// # Errors
    /// [`NameError::Endpoint`] when there are not two parts of letters, digits, `_` and `-`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let valid = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        match text.split_once('/') {
            Some((app, model)) if valid(app) && valid(model) && text.len() <= MAX_KEY_BYTES / 2 => {
                Ok(Self(text.into()))
            }
            _ => Err(NameError::Endpoint(text.to_owned())),
        }
    }

    /// The whole name, `app/model`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The app that owns this endpoint.
    pub fn app(&self) -> &str {
        self.0.split_once('/').map_or("", |(app, _)| app)
    }

    /// The model's name below its app.
    pub fn model(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, model)| model)
    }

    /// The AMQP routing key: `app.model`.
    pub fn routing_key(&self) -> String {
        self.0.replace('/', ".")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// `endpoint/id`: the unit of locking, versioning and dependency.
///
/// Always ASCII, and safe to put between quotes in JSON and Lua: everything but letters, digits and
/// `-._~,` is percent-encoded in the id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of one object, from the text [`encode_id`] made.
    ///
    /// # Errors
    /// [`NameError::TooLong`] when both together are longer than [`MAX_KEY_BYTES`].
    pub fn new(endpoint: &Endpoint, encoded_id: &str) -> Result<Self, NameError> {
        if endpoint.0.len() + 1 + encoded_id.len() > MAX_KEY_BYTES {
            return Err(NameError::TooLong { endpoint: endpoint.clone(), bytes: encoded_id.len() });
        }
        Ok(Self(format!("{endpoint}/{encoded_id}").into()))
    }

    /// The key of the endpoint itself, which no object has: `endpoint/%%`. Its version tells which generation the endpoint is in.
    ///
    /// # Errors
    /// [`NameError::TooLong`] when the endpoint alone is too long for a key.
    pub fn of_endpoint(endpoint: &Endpoint) -> Result<Self, NameError> {
        // No text is encoded like that.
        Self::new(endpoint, "%%")
    }

    /// The key of an app's total order, `app/*`: every message of an app with [`Consistency::Global`] writes it.
    ///
    /// No row stands behind it, so no lock of a database protects it: it is bumped without a lock, and nobody reads it.
    ///
    /// [`Consistency::Global`]: crate::consistency::Consistency::Global
    ///
    /// # Errors
    /// [`NameError::Endpoint`] when the app's name cannot be part of an endpoint.
    pub fn of_order(app: &str) -> Result<Self, NameError> {
        Endpoint::parse(&format!("{app}/model"))?;
        Ok(Self(format!("{app}{ORDER}").into()))
    }

    /// Whether this is the key of an app's total order.
    pub fn is_order(&self) -> bool {
        self.order_of().is_some()
    }

    /// The app whose total order this is the key of, if it is one.
    pub fn order_of(&self) -> Option<&str> {
        self.0.strip_suffix(ORDER)
    }

    /// The key whose version tells which generation this one's versions are in: that of its endpoint, and an order's own.
    ///
    /// # Errors
    /// [`NameError::TooLong`] when the endpoint alone is too long for a key.
    pub fn of_generation(&self) -> Result<Self, NameError> {
        if self.is_order() { Ok(self.clone()) } else { Self::of_endpoint(&self.endpoint()) }
    }

    /// Reads a key that came over the wire.
    ///
    /// # Errors
    /// [`NameError::Key`] when it is neither `app/model/id` nor `app/*`, too long, or not encoded.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Key(text.chars().take(80).collect());
        if let Some(app) = text.strip_suffix(ORDER) {
            return Self::of_order(app).map_err(|_| wrong());
        }
        let (endpoint, id) =
            text.match_indices('/').nth(1).map(|(at, _)| (&text[..at], &text[at + 1..])).ok_or_else(wrong)?;
        let plain = |b: u8| unreserved(b) || b == b',' || b == b'%';
        if Endpoint::parse(endpoint).is_err()
            || id.is_empty()
            || text.len() > MAX_KEY_BYTES
            || !id.bytes().all(plain)
        {
            return Err(wrong());
        }
        Ok(Self(text.into()))
    }

    /// The whole key, `app/model/id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the id, `app/model`; all of the key of an order, which is no object's.
    pub fn endpoint_str(&self) -> &str {
        self.0.match_indices('/').nth(1).map_or(&*self.0, |(at, _)| &self.0[..at])
    }

    /// The endpoint this key belongs to. The key of an order belongs to none: ask [`Key::is_order`] first.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint(self.endpoint_str().into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Joins the text forms of a primary key's columns to the id that messages and keys carry.
///
/// Each part is percent-encoded, parts are joined with `,`, so an id is unambiguous for any text.
/// An empty text is written `%`, which nothing else encodes to.
pub fn encode_id<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut id = String::new();
    for (position, part) in parts.into_iter().enumerate() {
        if position > 0 {
            id.push(',');
        }
        if part.is_empty() {
            id.push('%');
        }
        for byte in part.bytes() {
            if unreserved(byte) {
                id.push(char::from(byte));
            } else {
                let hex = b"0123456789ABCDEF";
                id.push('%');
                id.push(char::from(hex[usize::from(byte >> 4)]));
                id.push(char::from(hex[usize::from(byte & 15)]));
            }
        }
    }
    id
}

/// Splits an id into the text forms of the primary key's columns: the inverse of [`encode_id`].
///
/// Returns nothing when the text is not an encoded id.
pub fn decode_id(id: &str) -> Option<Vec<String>> {
    id.split(',').map(decode_part).collect()
}

fn decode_part(part: &str) -> Option<String> {
    if part == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_id_survives_encoding_and_is_plain_ascii(parts in prop::collection::vec(any::<String>(), 1..4)) {
            let id = encode_id(parts.iter().map(String::as_str));
            prop_assert!(id.is_ascii() && !id.contains(['/', ':', ' ', '"', '\\']));
            prop_assert_eq!(decode_id(&id), Some(parts));
        }

        #[test]
        fn garbage_never_panics(text in any::<String>()) {
            let _ = decode_id(&text);
            let _ = Key::parse(&text);
            let _ = Endpoint::parse(&text);
        }
    }

    #[test]
    fn a_key_knows_its_endpoint() {
        let key = Key::parse("crowdtap/user/5,a%2Fb").unwrap();
        assert_eq!(key.endpoint_str(), "crowdtap/user");
        assert_eq!(key.endpoint().routing_key(), "crowdtap.user");
        assert!(Key::parse("crowdtap/user").is_err());
        assert!(Key::parse("crowdtap/user/").is_err());
        assert!(Key::parse("crowdtap/user/a b").is_err());
    }

    #[test]
    fn the_key_of_an_order_is_no_object_s() {
        let order = Key::of_order("crowdtap").unwrap();
        assert_eq!(order.as_str(), "crowdtap/*");
        assert_eq!(Key::parse("crowdtap/*"), Ok(order.clone()));
        assert!(order.is_order() && !Key::parse("crowdtap/user/5").unwrap().is_order());
        assert_eq!(order.of_generation(), Ok(order));
        assert_eq!(
            Key::parse("crowdtap/user/5").unwrap().of_generation().unwrap().as_str(),
            "crowdtap/user/%%"
        );
        for wrong in ["/*", "*/*", "crowdtap/user/*", "crowdtap/user/5/*", "*"] {
            assert!(Key::parse(wrong).is_err(), "{wrong}");
        }
    }
}
