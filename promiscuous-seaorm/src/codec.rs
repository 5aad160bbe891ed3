//! Values between SeaORM and the wire.

/// A value that cannot be written to or read from the wire form. Never tells the value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("expected {expected}")]
pub struct CodecError {
    /// What would have fit.
    pub expected: String,
}
