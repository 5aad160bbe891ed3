//! Why a statement must not run, and what to do instead.

use super::Refusal;
use super::lexer::Unreadable;

/// For statements that exist as text only.
const AS_A_STATEMENT: &str =
    "write it with Diesel's statements, or use `without_promiscuous` to write without publishing";

impl Refusal {
    /// With this advice.
    pub(super) fn new(table: Option<usize>, statement: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { table, statement: statement.into(), advice: advice.into() }
    }

    /// It writes a table in a way that does not tell the rows.
    pub(super) fn unseen(table: Option<usize>, statement: impl Into<String>) -> Self {
        Self::new(table, statement, format!("which rows it writes is not known: {AS_A_STATEMENT}"))
    }

    /// It would run what its text does not show.
    pub(super) fn opaque(statement: impl Into<String>) -> Self {
        let advice = "what it runs cannot be seen, and may write a published table: run the statements themselves, or use \
                      `without_promiscuous` to write without publishing";
        Self::new(None, statement, advice)
    }

    /// It would begin or end a transaction behind Diesel's back.
    pub(super) fn transaction(statement: impl Into<String>) -> Self {
        let advice = "it would begin or end a transaction unseen: use `transaction` of the connection, or its transaction \
                      manager";
        Self::new(None, statement, advice)
    }

    /// The text is not understood.
    pub(super) fn unreadable(table: Option<usize>, statement: &str, why: Unreadable) -> Self {
        let statement = format!("{statement} that cannot be read ({})", why.0);
        Self::new(table, statement, format!("write it in a plainer way: {AS_A_STATEMENT}"))
    }

    /// The parser does not know this form of statement.
    pub(super) fn unparsed(table: Option<usize>, statement: &str) -> Self {
        Self::unreadable(table, statement, Unreadable("its form is not known"))
    }

    /// One of several statements in a text that runs as a whole.
    pub(super) fn in_script(table: Option<usize>, verb: &str) -> Self {
        let advice = format!("the rows it writes are not known there: {AS_A_STATEMENT}");
        Self::new(table, format!("{verb} in a script"), advice)
    }

    /// A write within another statement.
    pub(super) fn nested(table: Option<usize>, verb: &str) -> Self {
        let advice = "run it as a statement of its own, in the same transaction";
        Self::new(table, format!("{verb} inside of another statement"), advice)
    }
}
