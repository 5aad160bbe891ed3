//! A message and its wire form (section 3 of the protocol). Pure: nothing here does I/O.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bootstrap::Step;
use crate::dependency::{Dependencies, ExternalDependency, Version, WriteDependency};
use crate::key::{Endpoint, Key};
use crate::operation::{Operation, OperationKind};

/// Messages above this many bytes are refused when decoded, 16 MiB; RabbitMQ's own default limit is the same.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Messages whose JSON nests deeper than this are refused when decoded, so that no body exhausts the stack. Of these levels the
/// message itself takes four, and leaves the others to the value of an attribute.
pub const MAX_DEPTH: usize = 127;

/// What one committed database transaction did, as published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The transaction's operation id, a UUID of version 7; also the AMQP `message_id`.
    pub id: Uuid,
    /// The publishing app.
    pub app: String,
    /// The machine that wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The context's name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The context's user, for people and audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_user_id: Option<String>,
    /// When it was written, in milliseconds since 1970, by the publisher's clock.
    pub timestamp: u64,
    /// The generation of all versions in `dependencies` but the external ones.
    pub generation: u64,
    /// What was done; empty in a dummy, which only consumes its versions.
    pub operations: Vec<Operation>,
    /// Written, read and external keys; none from a publisher of weak consistency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Dependencies>,
    /// A step of bringing a subscriber up to date; such a message does nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Step>,
}

/// Why a body is not a message. Such a body is a *poison message*.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Larger than [`MAX_MESSAGE_BYTES`].
    #[error("the message has {bytes} bytes, more than the {MAX_MESSAGE_BYTES} allowed")]
    TooLarge {
        /// The body's size.
        bytes: usize,
    },
    /// Not JSON of the right form.
    #[error("the message is not in the wire format (see docs/wire-format.md)")]
    Json(#[source] serde_json::Error),
    /// JSON of the right form that contradicts itself.
    #[error("the message {id} contradicts itself: {why}")]
    Inconsistent {
        /// The message's id.
        id: Uuid,
        /// What does not fit.
        why: String,
    },
}

impl Message {
    /// The wire form.
    ///
    /// # Errors
    /// Only when an attribute cannot be written as JSON, which values read from a database never cause.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads the wire form and checks that operations and written keys agree. Unknown fields are ignored.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that is not a complete message; never panics, whatever the bytes are.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeError::TooLarge { bytes: body.len() });
        }
        let message: Self = serde_json::from_slice(body).map_err(DecodeError::Json)?;
        message.check().map_err(|why| DecodeError::Inconsistent { id: message.id, why })?;
        Ok(message)
    }

    fn check(&self) -> Result<(), String> {
        for operation in &self.operations {
            let key = operation.key().map_err(|error| error.to_string())?;
            let is_change = matches!(operation.operation, OperationKind::Create | OperationKind::Update);
            if is_change && operation.attributes.is_none() {
                return Err(format!("the operation on {key} has no attributes"));
            }
            if operation.types.is_empty() {
                return Err(format!("the operation on {key} has no types"));
            }
        }
        if self.is_sync() && self.operations.iter().any(|other| other.operation != OperationKind::Sync) {
            return Err("it brings changes together with objects sent again".into());
        }
        let Some(dependencies) = &self.dependencies else { return Ok(()) };
        if dependencies.write.len() < self.operations.len() {
            return Err("it has more operations than written keys".into());
        }
        for (operation, write) in self.operations.iter().zip(&dependencies.write) {
            let key = operation.key().map_err(|error| error.to_string())?;
            if key != write.key {
                return Err(format!("the operation on {key} is versioned as {}", write.key));
            }
        }
        if let Some(key) = self.misplaced_order(dependencies) {
            return Err(format!(
                "{key} is no object, and no order of {}'s messages that it could take a place in",
                self.app
            ));
        }
        let mut written: Vec<&Key> = dependencies.write.iter().map(|w| &w.key).collect();
        written.sort_unstable();
        if written.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("it writes one key twice".into());
        }
        Ok(())
    }

    /// A key of an order that is not the one of this message's app, or that is named as a cause.
    fn misplaced_order<'d>(&self, dependencies: &'d Dependencies) -> Option<&'d Key> {
        let mut written = dependencies.write.iter().map(|w| &w.key);
        let read = dependencies.read.iter().map(|r| &r.key);
        let mut causes = read.chain(dependencies.external.iter().map(|x| &x.key));
        let foreign = written.find(|key| key.order_of().is_some_and(|app| app != self.app));
        foreign.or_else(|| causes.find(|key| key.is_order()))
    }

    /// By what a subscriber knows it again: its id, but for a dummy. **A dummy has the id of the message in whose place it stands**, and both may be sent: where
    /// the publisher's Redis comes back older than it was, it knows an op as under way whose message was published long ago. What is done with one of them
    /// must not pass for the other.
    pub(crate) fn identity(&self) -> Uuid {
        match self.operations.is_empty() && self.bootstrap.is_none() {
            true => Uuid::from_u128(!self.id.as_u128()),
            false => self.id,
        }
    }

    /// Whether it brings objects as they are, sent again: then it waits for nothing, and whoever has read the versions that it brings is unknown.
    pub fn is_sync(&self) -> bool {
        self.operations.iter().any(|operation| operation.operation == OperationKind::Sync)
    }

    /// Where the message goes: every endpoint it operates on or writes, each once, in order.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let written = self.written_objects().map(|w| w.key.endpoint());
        for endpoint in self.operations.iter().map(|o| o.endpoint.clone()).chain(written) {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        endpoints
    }

    /// The written keys but the one of the app's total order, which is nobody's cause and no place to go.
    pub fn written_objects(&self) -> impl Iterator<Item = &WriteDependency> {
        self.dependencies.iter().flat_map(|d| &d.write).filter(|write| !write.key.is_order())
    }

    /// The written keys with their new versions, as causes for whoever acts on this message.
    pub fn as_causes(&self) -> Vec<ExternalDependency> {
        self.written_objects()
            .filter(|w| !w.unwritten)
            .map(|w| ExternalDependency {
                key: w.key.clone(),
                generation: self.generation,
                version: w.version,
            })
            .collect()
    }

    /// The version that the message gives to the key of `operations[position]`.
    pub fn version_of(&self, position: usize) -> Option<Version> {
        let write = self.dependencies.as_ref()?.write.get(position)?;
        Some(Version::new(self.generation, write.version))
    }
}

/// How deep some JSON nests: 1 for `{}`, 2 for `{"a": []}`.
pub(crate) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = r#"{
      "id": "0199f3c2-7d1e-7c55-9a34-0b6a3f5f6a10",
      "app": "crowdtap", "host": "web-1", "context": "users/create", "current_user_id": "42",
      "timestamp": 1763690000123, "generation": 1, "a field of tomorrow": {"x": []},
      "operations": [
        {"operation": "create", "endpoint": "crowdtap/post", "types": ["Photo", "Post"], "id": "9",
         "attributes": {"title": "hi", "author": {"types": ["Author"], "id": "5", "attributes": {"name": "Joe"}}}}
      ],
      "dependencies": {
        "write": [{"key": "crowdtap/post/9", "version": 1763690000122871, "previous": null, "readers": {}}],
        "read":  [{"key": "crowdtap/user/5", "version": 1763689990000412, "ordinals": {"crowdtap/post": 3}}],
        "external": [{"key": "accounts/plan/3", "generation": 4, "version": 1763600000000001}]
      }
    }"#;

    #[test]
    fn the_protocol_s_example_is_read_and_survives_a_round_trip() {
        let message = Message::decode(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(message.endpoints(), [Endpoint::parse("crowdtap/post").unwrap()]);
        assert_eq!(message.version_of(0), Some(Version::new(1, 1_763_690_000_122_871)));
        let again = Message::decode(message.encode().unwrap().as_bytes()).unwrap();
        assert_eq!(again, message);
    }

    #[test]
    fn a_dummy_goes_where_its_message_would_have_gone() {
        let mut message = Message::decode(EXAMPLE.as_bytes()).unwrap();
        message.operations.clear();
        assert_eq!(message.endpoints(), [Endpoint::parse("crowdtap/post").unwrap()]);
    }

    #[test]
    fn a_dummy_is_known_apart_from_the_message_with_its_id() {
        let message = Message::decode(EXAMPLE.as_bytes()).unwrap();
        let dummy = Message { operations: Vec::new(), ..message.clone() };
        assert_eq!((message.id, message.id), (dummy.id, message.identity()));
        assert_ne!(dummy.identity(), message.identity());
        assert_eq!(dummy.identity(), dummy.clone().identity());
    }

    #[test]
    fn the_place_in_a_total_order_is_no_cause_and_no_destination() {
        let mut message = Message::decode(EXAMPLE.as_bytes()).unwrap();
        let order = WriteDependency {
            key: Key::of_order("crowdtap").unwrap(),
            version: 7,
            previous: Some(6),
            readers: Default::default(),
            unwritten: false,
        };
        message.dependencies.as_mut().unwrap().write.push(order);
        let message = Message::decode(message.encode().unwrap().as_bytes()).unwrap();
        assert_eq!(message.endpoints(), [Endpoint::parse("crowdtap/post").unwrap()]);
        assert_eq!(message.as_causes().len(), 1);
        assert_eq!(message.dependencies.unwrap().write.len(), 2);
    }

    #[test]
    fn contradictions_are_errors() {
        for (from, to) in [
            (r#""key": "crowdtap/post/9""#, r#""key": "crowdtap/post/8""#),
            (r#""attributes": {"title""#, r#""other": {"title""#),
            (r#""types": ["Photo", "Post"]"#, r#""types": []"#),
            (r#""id": "9""#, r#""id": "a b""#),
            (r#""timestamp": 1763690000123"#, r#""timestamp": "now""#),
            (r#""generation": 1"#, r#""generation": -1"#),
            (r#""app": "crowdtap", "#, ""),
            (r#""key": "crowdtap/user/5""#, r#""key": "crowdtap/*""#),
            (r#""key": "accounts/plan/3""#, r#""key": "accounts/*""#),
            (r#""write": ["#, r#""write": [{"key": "accounts/*", "version": 1}, "#),
        ] {
            let changed = EXAMPLE.replacen(from, to, 1);
            assert_ne!(changed, EXAMPLE);
            assert!(Message::decode(changed.as_bytes()).is_err(), "{to}");
        }
    }

    #[test]
    fn ten_thousand_levels_are_an_error_and_not_a_stack_overflow() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = EXAMPLE.replacen(r#""hi""#, &deep, 1);
        assert!(matches!(Message::decode(body.as_bytes()), Err(DecodeError::Json(_))));
    }

    #[test]
    fn what_is_as_deep_as_allowed_is_read_and_what_is_deeper_is_not() {
        for levels in [1, 100, MAX_DEPTH - 4, MAX_DEPTH - 3, MAX_DEPTH, MAX_DEPTH + 1] {
            let value = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let body = EXAMPLE.replacen(r#""hi""#, &value, 1);
            assert_eq!(Message::decode(body.as_bytes()).is_ok(), depth(&body) <= MAX_DEPTH, "{levels}");
            assert_eq!(depth(&body) <= MAX_DEPTH, levels + 4 <= MAX_DEPTH, "{levels}");
        }
        assert_eq!(depth(r#"{"[[[\"[": "\\", "b": [{}]}"#), 3);
    }

    /// Any JSON of a few levels, with the field names that mean something, so that it is often nearly a message.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let name = prop_oneof![
            4 => proptest::sample::select(vec![
                "id", "app", "host", "timestamp", "generation", "operations", "operation", "endpoint", "types",
                "attributes", "dependencies", "write", "read", "external", "key", "version", "previous", "readers", "ordinals",
            ]).prop_map(str::to_owned),
            1 => ".*",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            proptest::sample::select(vec![
                "create",
                "destroy",
                "shop/user",
                "shop/user/5",
                "5",
                "%",
                "%zz",
                "a b",
                "/",
                "shop/user/%%"
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Every place in some JSON.
    fn places(value: &mut serde_json::Value) -> usize {
        1 + match value {
            serde_json::Value::Array(items) => items.iter_mut().map(places).sum(),
            serde_json::Value::Object(fields) => fields.values_mut().map(places).sum(),
            _ => 0,
        }
    }

    /// Puts something in the place of this number.
    fn put(value: &mut serde_json::Value, at: &mut usize, new: &serde_json::Value) {
        if *at == 0 {
            *value = new.clone();
        }
        *at = at.wrapping_sub(1);
        match value {
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| put(item, at, new)),
            serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| put(field, at, new)),
            _ => {}
        }
    }

    /// What is read is written and read again as the same, and everything that is asked of it has an answer.
    fn reads_or_refuses(body: &[u8]) -> Result<(), TestCaseError> {
        let Ok(message) = Message::decode(body) else { return Ok(()) };
        let text = message.encode().unwrap();
        let again = Message::decode(text.as_bytes());
        prop_assert!(again.is_ok(), "{text}: {again:?}");
        prop_assert_eq!(again.unwrap(), message.clone());
        let _ =
            (message.endpoints(), message.as_causes(), message.version_of(0), message.version_of(usize::MAX));
        message.operations.iter().for_each(|operation| drop(operation.key().unwrap()));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            reads_or_refuses(&body)?;
        }

        #[test]
        fn any_json_is_read_or_refused(body in json()) {
            reads_or_refuses(body.to_string().as_bytes())?;
        }

        #[test]
        fn a_message_with_a_byte_changed_is_read_or_refused(at in 0usize..900, byte in any::<u8>(), cut in 0usize..1_800) {
            let mut body = EXAMPLE.as_bytes().to_vec();
            let at = at % body.len();
            body[at] = byte;
            // Every other one is whole.
            body.truncate(body.len() - cut.saturating_sub(900).min(body.len()));
            reads_or_refuses(&body)?;
        }

        #[test]
        fn a_message_with_values_changed_is_read_or_refused(changes in proptest::collection::vec((any::<prop::sample::Index>(), json()), 1..3)) {
            let mut body: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
            for (place, new) in changes {
                let mut at = place.index(places(&mut body));
                put(&mut body, &mut at, &new);
            }
            reads_or_refuses(body.to_string().as_bytes())?;
        }
    }
}
