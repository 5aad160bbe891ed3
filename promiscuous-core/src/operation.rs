//! What happened to one object.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::{Endpoint, Key, NameError};

/// Attribute names with their values, in the wire form that `docs/wire-format.md` describes.
pub type Attributes = serde_json::Map<String, serde_json::Value>;

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OperationKind {
    /// The object came into being.
    Create,
    /// The object changed.
    Update,
    /// The object is gone.
    Destroy,
    /// The object as it is now, sent again by `promiscuous publish`.
    Sync,
}

/// One object's part in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What was done.
    pub operation: OperationKind,
    /// The published model.
    pub endpoint: Endpoint,
    /// The object's type and its parents, nearest first; the subscriber takes the first it knows.
    pub types: Vec<String>,
    /// The primary key as text, see [`encode_id`](crate::key::encode_id).
    pub id: String,
    /// All published attributes as committed; none for a destroyed object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
}

/// What was done to which object: `update shop/user/5`. No values.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.operation {
            OperationKind::Create => "create",
            OperationKind::Update => "update",
            OperationKind::Destroy => "destroy",
            OperationKind::Sync => "sync",
        };
        write!(f, "{kind} {}/{}", self.endpoint, self.id)
    }
}

impl Operation {
    /// The key of the object.
    ///
    /// # Errors
    /// [`NameError`] when the id is too long or is not an encoded id.
    pub fn key(&self) -> Result<Key, NameError> {
        let key = Key::new(&self.endpoint, &self.id)?;
        Key::parse(key.as_str())
    }
}

/// Leaves one operation per object: what the transaction as a whole did to it.
///
/// A message names each key once, because a version is one committed state. Creating and then
/// updating is creating; whatever ends in a destroy is a destroy, except that what was created in the same
/// transaction never existed for others. A survivor keeps the place of the object's first operation, so that rows
/// that refer to it come later; a destroy takes the place of the last.
pub fn coalesce(operations: Vec<Operation>) -> Vec<Operation> {
    use OperationKind::{Create, Destroy, Update};
    let mut merged: Vec<Option<Operation>> = Vec::with_capacity(operations.len());
    let mut place = std::collections::HashMap::<(Endpoint, String), usize>::new();
    for operation in operations {
        let name = (operation.endpoint.clone(), operation.id.clone());
        let earlier = place.get(&name).copied();
        let Some(at) = earlier else {
            place.insert(name, merged.len());
            merged.push(Some(operation));
            continue;
        };
        let before = merged[at].as_ref().map(|o| o.operation);
        match (before, operation.operation) {
            (Some(Create), Destroy) => {
                merged[at] = None;
                place.remove(&name);
            }
            (_, Destroy) => {
                merged[at] = None;
                place.insert(name, merged.len());
                merged.push(Some(operation));
            }
            (Some(Create), _) => merged[at] = Some(Operation { operation: Create, ..operation }),
            (Some(Destroy), _) => merged[at] = Some(Operation { operation: Update, ..operation }),
            (_, kind) => {
                let kind = if kind == Create { Update } else { kind };
                merged[at] = Some(Operation { operation: kind, ..operation });
            }
        }
    }
    merged.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use OperationKind::{Create, Destroy, Update};

    fn operation(kind: OperationKind, id: &str, value: i64) -> Operation {
        let attributes =
            (kind != Destroy).then(|| [("n".to_owned(), serde_json::json!(value))].into_iter().collect());
        Operation {
            operation: kind,
            endpoint: Endpoint::parse("a/b").unwrap(),
            types: vec!["B".into()],
            id: id.into(),
            attributes,
        }
    }

    fn shape(operations: Vec<Operation>) -> Vec<(OperationKind, String, Option<i64>)> {
        coalesce(operations)
            .into_iter()
            .map(|o| (o.operation, o.id, o.attributes.and_then(|a| a["n"].as_i64())))
            .collect()
    }

    #[test]
    fn a_transaction_leaves_one_operation_per_object() {
        let merged = shape(vec![
            operation(Create, "1", 1),
            operation(Create, "2", 1),
            operation(Update, "1", 2),
            operation(Update, "3", 1),
            operation(Update, "3", 2),
        ]);
        assert_eq!(
            merged,
            [(Create, "1".into(), Some(2)), (Create, "2".into(), Some(1)), (Update, "3".into(), Some(2))]
        );
    }

    #[test]
    fn what_was_created_and_destroyed_in_one_transaction_never_existed() {
        assert_eq!(shape(vec![operation(Create, "1", 1), operation(Destroy, "1", 0)]), []);
    }

    #[test]
    fn a_destroy_comes_last_and_a_return_is_an_update() {
        let merged = shape(vec![
            operation(Update, "1", 1),
            operation(Update, "2", 1),
            operation(Destroy, "1", 0),
            operation(Destroy, "3", 0),
            operation(Create, "3", 7),
        ]);
        assert_eq!(
            merged,
            [(Update, "2".into(), Some(1)), (Destroy, "1".into(), None), (Update, "3".into(), Some(7))]
        );
    }
}
