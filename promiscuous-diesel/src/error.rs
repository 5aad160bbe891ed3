//! Our errors inside of Diesel's, which are the only ones that its traits can give.

use diesel::result::Error as DieselError;
use promiscuous_core::error::Error;

/// What the library has to say about a failed statement or COMMIT, when it was the library that refused.
///
/// ```
/// # use promiscuous_diesel::error::promiscuous_error;
/// # fn example(result: diesel::QueryResult<usize>) {
/// if let Err(error) = result {
///     match promiscuous_error(&error) {
///         Some(refused) => eprintln!("not published: {refused}"),
///         None => eprintln!("the database said: {error}"),
///     }
/// }
/// # }
/// ```
pub fn promiscuous_error(error: &DieselError) -> Option<&Error> {
    match error {
        DieselError::QueryBuilderError(error) => error.downcast_ref(),
        DieselError::RollbackErrorOnCommit { commit_error, .. } => promiscuous_error(commit_error),
        _ => None,
    }
}

/// Diesel's error for ours. [`promiscuous_error`] finds it again.
pub(crate) fn diesel_error(error: Error) -> DieselError {
    DieselError::QueryBuilderError(Box::new(error))
}

/// A write that is or will be rolled back, because what it did is not known.
pub(crate) fn unpublished(why: impl Into<String>) -> DieselError {
    diesel_error(Error::Publisher(why.into()))
}

/// A transaction that can only be rolled back.
pub(crate) fn spoiled(reason: &str) -> DieselError {
    diesel_error(Error::Spoiled(reason.to_owned()))
}
