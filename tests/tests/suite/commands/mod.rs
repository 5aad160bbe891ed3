//! What operators see and do with the `promiscuous` command.

mod dead;
