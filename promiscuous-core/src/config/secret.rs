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

    /// The scheme: `amqp`, `redis`, `memory`, `postgres` and so on. Empty for what is no URL.
    pub fn scheme(&self) -> &str {
        let scheme = self.0.split_once(':').map_or("", |(scheme, _)| scheme);
        let letter = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if scheme.chars().all(letter) { scheme } else { "" }
    }

    /// Host and port (or the file of an SQLite database), without anything secret. Where it cannot be told what is secret and what
    /// is not, as with a password whose special characters are not percent-encoded, nothing is told.
    pub fn host_and_port(&self) -> &str {
        let Some((_, rest)) = self.0.split_once("://") else {
            // A path, `sqlite:path`, or libpq's own form: `host=… password=…`.
            let rest = self.0.strip_prefix("sqlite:").unwrap_or(&self.0);
            let path = rest.split('?').next().unwrap_or_default();
            return if path.contains(['=', '@', ':', ' ']) { HIDDEN } else { path };
        };
        if self.scheme().starts_with("sqlite") {
            return rest.split(['?', '#']).next().unwrap_or_default();
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest[authority.len()..].contains('@') {
            return HIDDEN;
        }
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }
}

/// Instead of what may be a secret.
const HIDDEN: &str = "(hidden)";

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains("://") {
            write!(f, "{}://", self.scheme())?;
        }
        f.write_str(self.host_and_port())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_told_however_it_is_written() {
        for (url, told) in [
            ("amqp://user:s3cret@rabbit:5672/%2f", "amqp://rabbit:5672"),
            ("redis://:s3cret@redis/", "redis://redis"),
            ("postgres://db/shop?user=u&password=s3cret", "postgres://db"),
            ("postgres://user:s3cret@db/shop?options=a@b", "postgres://(hidden)"),
            ("amqp://user:s3cret#1@rabbit/%2f", "amqp://(hidden)"),
            ("amqp://user:s3cret?1@rabbit/%2f", "amqp://(hidden)"),
            ("amqp://user:s3cret/1@rabbit/%2f", "amqp://(hidden)"),
            ("amqp://user:1@s3cret#1@rabbit/%2f", "amqp://(hidden)"),
            ("amqp://user:s3cret@1@rabbit", "amqp://rabbit"),
            ("user:s3cret@rabbit:5672", "(hidden)"),
            ("s3cret@rabbit:5672/x", "(hidden)"),
            ("host=db user=shop password=s3cret", "(hidden)"),
            ("host=db password=s3cret:1", "(hidden)"),
            ("sqlite:///var/lib/shop.sqlite?key=s3cret", "sqlite:///var/lib/shop.sqlite"),
            ("sqlite:shop.sqlite?mode=rwc", "shop.sqlite"),
            ("memory://shop", "memory://shop"),
            ("", ""),
        ] {
            let url = SecretUrl::new(url);
            assert_eq!(url.to_string(), told);
            assert!(!url.scheme().contains("s3cret"));
        }
    }
}
