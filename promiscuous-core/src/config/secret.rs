//! A URL that may hold a password.

use std::fmt;

use serde::Deserialize;

/// A connection URL. `Debug` and `Display` show scheme, host and port only.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, password and all: for the client that connects with it, and for nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The scheme: `amqp`, `redis`, `memory`, `postgres` and so on.
    pub fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Host and port (or the file of an SQLite database), without anything secret.
    pub fn host_and_port(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let without_query = rest.split(['?', '#']).next().unwrap_or_default();
        let after_user = without_query.rsplit_once('@').map_or(without_query, |(_, host)| host);
        if self.scheme().starts_with("sqlite") {
            return after_user;
        }
        after_user.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.host_and_port())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for SecretUrl {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}
