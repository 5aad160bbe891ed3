//! The Lua scripts. Each says in its header what it does, and which section of the protocol it is.

use std::sync::OnceLock;

use redis::{Cmd, Value};

use super::StoreError;

/// A script and what Redis calls it.
pub(super) struct Script {
    /// The source.
    pub text: &'static str,
    /// What the first SCRIPT LOAD of this process answered; the same on every server, because it is the source's hash.
    pub sha: OnceLock<String>,
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: Script = Script { text: include_str!(concat!("lua/", $file)), sha: OnceLock::new() };)*
    };
}

scripts! {
    LOCK_AND_BUMP = "lock_and_bump.lua";
    GENERATION = "generation.lua";
    RAISE_GENERATION = "raise_generation.lua";
    FINISH = "finish.lua";
    HASTEN = "hasten.lua";
    OVERDUE = "overdue.lua";
    INTENTS = "intents.lua";
    SURVEY = "survey.lua";
    LEASE = "lease.lua";
    VERSIONS_OF = "versions_of.lua";
    ADVANCE = "advance.lua";
    NEW_CACHE = "new_cache.lua";
}

/// One call of a script.
pub(super) struct Call {
    /// What to run.
    pub script: &'static Script,
    /// Every key that it touches: a cluster routes by them.
    pub keys: Vec<String>,
    /// The rest.
    pub args: Vec<String>,
}

impl Call {
    pub(super) fn new(script: &'static Script) -> Self {
        Self { script, keys: Vec::new(), args: Vec::new() }
    }

    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn arg(mut self, arg: impl ToString) -> Self {
        self.args.push(arg.to_string());
        self
    }

    /// The command: by the script's hash, because the server keeps the source.
    pub(super) fn command(&self, sha: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(sha).arg(self.keys.len()).arg(&self.keys).arg(&self.args);
        command
    }
}

/// A script's answer as texts: a list of texts and whole numbers.
pub(super) fn texts(answer: Value) -> Result<Vec<String>, StoreError> {
    redis::from_redis_value(answer).map_err(unexpected)
}

/// A script's answer as a number.
pub(super) fn number(answer: &str) -> Result<u64, StoreError> {
    answer.parse().map_err(|_| StoreError::Protocol(format!("`{answer}` is not a number")))
}

/// An answer of another shape than the script gives.
pub(super) fn unexpected(error: impl std::fmt::Display) -> StoreError {
    StoreError::Protocol(error.to_string())
}
