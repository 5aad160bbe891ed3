//! How writes are captured.

/// What happens when one statement writes many published rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bulk {
    /// One message with one operation for each row, up to [`CaptureSettings::bulk_limit`].
    #[default]
    Expand,
    /// A statement that may write more than one row is refused before it runs.
    Refuse,
}

/// What happens when a published model is written outside of any [`Context`](crate::context::Context).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WithoutContext {
    /// It is published, and a warning is logged once for each model.
    #[default]
    Warn,
    /// It is published.
    Allow,
}

/// How writes are captured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureSettings {
    /// Whether one statement may write many published rows.
    pub bulk: Bulk,
    /// How many rows one statement may write: they all end up in one message, and in one transaction of each subscriber.
    pub bulk_limit: usize,
    /// Whether a write needs a context for its causes to be known.
    pub without_context: WithoutContext,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self { bulk: Bulk::default(), bulk_limit: 1_000, without_context: WithoutContext::default() }
    }
}
