//! A model of the protocol, checked exhaustively: every order of steps, every pause, and deaths and losses anywhere. See
//! `docs/proof.md` for what is modelled and what is not, and for what was found.
//!
//! * [`holds`]: the promises hold in every scenario
//! * [`counterexamples`]: with any rule switched off, they do not: each rule is needed, and the checker can see it
//! * [`gaps`]: what the checker finds with all of today's rules, and the rules that would close it
//!
//! What is checked:
//!
//! * [`rules`]: the rules of the protocol, each with a switch
//! * [`scenario`]: what a small world consists of; [`scenarios`]: the worlds
//! * [`publisher`]: sections 4 to 6, one function per step; [`subscriber`]: section 7; [`message`]: what goes between them
//!
//! How:
//!
//! * [`explorer`]: visits all that can be reached
//! * [`check`]: the publisher first, then the subscriber with each outcome
//!
//! `cargo nextest run -p promiscuous-core --test protocol_model --no-capture` shows figures and traces; `--run-ignored only
//! --cargo-profile bench` checks the larger worlds.

mod check;
mod counterexamples;
mod explorer;
mod gaps;
mod holds;
mod message;
mod publisher;
mod rules;
mod scenario;
mod scenarios;
mod subscriber;
