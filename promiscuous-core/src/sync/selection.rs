//! Which rows are meant: `User where updated_at > now() - interval '1 day'`.

use std::fmt;

use super::{Condition, ConditionError, SyncModel};
use crate::database::Dialect;

/// Rows of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The model, by its position in [`PublishedRows::models`](super::PublishedRows::models).
    pub model: usize,
    /// The model's name.
    pub name: String,
    /// Which of its rows; none is all of them.
    pub condition: Option<Condition>,
}

/// Why a text selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// No published model has this name.
    #[error("`{name}` is no published model: there are {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// What follows the model's name is not `where` and a condition.
    #[error("`{text}` is not understood: write a model, or `{model} where` and an SQL condition")]
    NoCondition {
        /// What was given.
        text: String,
        /// The model in it.
        model: String,
    },
    /// The condition is none.
    #[error(transparent)]
    Condition(#[from] ConditionError),
}

impl Selection {
    /// Reads `MODEL` or `MODEL where CONDITION`. A model may be written by its name (`User`, in any case) or its endpoint (`shop/user`).
    ///
    /// # Errors
    /// [`SelectionError`], which says what would be right.
    pub fn parse(text: &str, models: &[SyncModel], dialect: Dialect) -> Result<Self, SelectionError> {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let called = |model: &&SyncModel| model.name == name || model.endpoint.as_str() == name;
        let alike = |model: &&SyncModel| model.name.eq_ignore_ascii_case(name);
        let found = models.iter().find(called).or_else(|| models.iter().find(alike));
        let found = found.and_then(|model| models.iter().position(|other| other == model));
        let Some(model) = found else {
            let known: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(SelectionError::UnknownModel { name: name.to_owned(), known });
        };
        let name = models[model].name.clone();
        let condition = match rest.trim_start().split_at_checked("where".len()) {
            _ if rest.trim().is_empty() => None,
            Some((word, condition))
                if word.eq_ignore_ascii_case("where") && condition.starts_with(starts_condition) =>
            {
                Some(Condition::parse(condition, dialect)?)
            }
            _ => return Err(SelectionError::NoCondition { text: text.to_owned(), model: name }),
        };
        Ok(Self { model, name, condition })
    }
}

/// What ends the word `where`.
fn starts_condition(character: char) -> bool {
    character.is_whitespace() || character == '('
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.condition {
            Some(condition) => write!(f, "{} where {condition}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Endpoint;

    fn models() -> Vec<SyncModel> {
        let model = |name: &str, endpoint: &str| SyncModel {
            name: name.into(),
            endpoint: Endpoint::parse(endpoint).unwrap(),
            types: vec![name.into()],
        };
        vec![model("InventoryItem", "shop/inventory_item"), model("User", "shop/user")]
    }

    fn parsed(text: &str) -> Result<String, SelectionError> {
        Selection::parse(text, &models(), Dialect::Postgres).map(|selection| selection.to_string())
    }

    #[test]
    fn a_model_is_all_of_its_rows_and_a_condition_chooses_some() {
        assert_eq!(parsed("User").unwrap(), "User");
        assert_eq!(parsed(" user ").unwrap(), "User");
        assert_eq!(parsed("shop/inventory_item").unwrap(), "InventoryItem");
        assert_eq!(parsed("User where id > 5").unwrap(), "User where id > 5");
        assert_eq!(parsed("user\nWHERE(id > 5)").unwrap(), "User where (id > 5)");
    }

    #[test]
    fn what_selects_nothing_is_told_with_what_would() {
        let said = |text: &str| parsed(text).unwrap_err().to_string();
        assert_eq!(said("Usr"), "`Usr` is no published model: there are InventoryItem, User");
        assert!(said("User id > 5").contains("write a model, or `User where`"));
        assert!(said("User whereid > 5").contains("write a model, or `User where`"));
        assert!(said("User where").contains("write a model, or `User where`"));
        assert!(said("User where id >").contains("is not one SQL condition"));
        assert!(said("").contains("no published model"));
        let none = Selection::parse("User", &[], Dialect::Postgres).unwrap_err().to_string();
        assert_eq!(none, "`User` is no published model: there are none");
    }
}
