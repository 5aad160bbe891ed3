//! The models that tests replicate.
//!
//! The two sides are different entities, as in two services. The subscribing ones have hooks that write down what was
//! applied, in the same transaction.

pub mod publishing;
pub mod subscribing;
