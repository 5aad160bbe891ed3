//! Whether a row holds what a setter has set.
//!
//! A setter may set any of a struct's fields, and nothing asks of those that are no attributes that their values can be compared. So the
//! compiler finds out for each of them which way there is: it takes the first of [`HeldAttribute`], [`HeldValue`] and [`HeldUnknown`]
//! that is implemented, each for one reference less than the one before.

use std::marker::PhantomData;

use crate::__private::unchanged;
use crate::attribute::Attribute;
use crate::backend::PromiscuousBackend;

/// A field of type `T` over one backend.
pub struct Held<DB, T>(PhantomData<fn() -> (DB, T)>);

impl<DB, T> Held<DB, T> {
    /// Says nothing but its types.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

/// It could be an attribute, and is compared as they are.
pub trait HeldAttribute<T> {
    /// Takes a new value out when the row holds it already.
    fn take_out(&self, current: &T, new: &mut Option<T>);
}

impl<DB: PromiscuousBackend, T: Attribute> HeldAttribute<T> for &&Held<DB, T> {
    fn take_out(&self, current: &T, new: &mut Option<T>) {
        unchanged::<DB, T>(current, new);
    }
}

/// Its values can be compared.
pub trait HeldValue<T> {
    /// Takes a new value out when the row holds it already.
    fn take_out(&self, current: &T, new: &mut Option<T>);
}

impl<DB, T: PartialEq> HeldValue<T> for &Held<DB, T> {
    fn take_out(&self, current: &T, new: &mut Option<T>) {
        new.take_if(|new| new == current);
    }
}

/// Nobody knows.
pub trait HeldUnknown<T> {
    /// Leaves a new value where it is: it may be another one.
    fn take_out(&self, current: &T, new: &mut Option<T>);
}

impl<DB, T> HeldUnknown<T> for Held<DB, T> {
    fn take_out(&self, _: &T, _: &mut Option<T>) {}
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use diesel::sqlite::Sqlite;

    use super::*;

    /// Can be compared.
    #[derive(Clone, Copy, PartialEq)]
    struct Comparable(u8);

    /// Cannot.
    #[derive(Clone, Copy)]
    struct Closed;

    /// Whether a new value is left to write.
    macro_rules! left {
        ($type:ty, $current:expr, $new:expr) => {{
            let mut new: Option<$type> = $new;
            (&&&Held::<Sqlite, $type>::new()).take_out(&$current, &mut new);
            new.is_some()
        }};
    }

    #[test]
    fn what_can_be_compared_is_and_anything_else_counts_as_new() {
        assert!(!left!(String, "a".to_owned(), Some("a".to_owned())));
        assert!(left!(String, "a".to_owned(), Some("b".to_owned())));
        // As attributes are: bit by bit.
        assert!(!left!(f64, f64::NAN, Some(f64::NAN)));
        assert!(!left!(Comparable, Comparable(1), Some(Comparable(1))));
        assert!(left!(Comparable, Comparable(1), Some(Comparable(2))));
        assert!(left!(Closed, Closed, Some(Closed)));
        assert!(!left!(Closed, Closed, None));
    }
}
