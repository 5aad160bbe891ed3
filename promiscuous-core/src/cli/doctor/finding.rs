//! What was found.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warning,
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: `database`, `redis` or `rabbitmq`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, finding: finding.into(), advice: None }
    }

    pub(super) fn warning(
        check: &'static str,
        finding: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { check, level: Level::Warning, finding: finding.into(), advice: Some(advice.into()) }
    }

    pub(super) fn error(check: &'static str, finding: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Error, finding: finding.into(), advice: Some(advice.into()) }
    }
}

/// `ok       redis     version 7.0.15`, and the advice on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "ERROR",
        };
        write!(f, "{level:<8} {:<9} {}", self.check, self.finding)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{:19}{advice}", ""),
            None => Ok(()),
        }
    }
}

/// All of them, as one array.
pub(super) fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).unwrap_or_else(|_| "[]".into())
}
