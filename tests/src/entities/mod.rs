//! The models that tests replicate, as SeaORM's entities.
//!
//! The two sides of a service are different entities, as in two services. The subscribing ones have hooks that write down what
//! was applied, in the same transaction.

pub mod answering;
pub mod everything;
pub mod keyed;
pub mod publishing;
pub mod subscribing;
