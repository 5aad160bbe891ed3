//! TLS to RabbitMQ and Redis: whose certificates are believed, and what a failure means.

// One may ask for TLS and for neither of the servers.
#![cfg_attr(not(any(feature = "redis", feature = "rabbitmq")), allow(dead_code))]

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;

/// What a program says that meets `amqps://` or `rediss://` and was built without TLS. Never is the connection made in
/// plain text instead: the password would go over it.
const NOT_BUILT_IN: &str = "it asks for TLS, and this program was built without: enable the cargo feature `tls` of promiscuous-seaorm or promiscuous-diesel, and build again";

/// The certificate authorities (CAs) that a server's certificate must come from: those of the system, or the ones of a
/// file *instead*, so that a private CA need not share its trust with all the world's. Cheaply cloned.
#[derive(Clone, Default)]
pub struct Authorities {
    /// The certificates of a file, in PEM form; else those of the system.
    file: Option<Arc<[u8]>>,
}

impl Authorities {
    /// The system's, or where they are named those in a PEM file.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the file cannot be read or holds no certificate.
    pub fn new(file: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = file else { return Ok(Self::default()) };
        let wrong = |what: String| {
            let name = path.display();
            Error::Configuration(format!(
                "the file of certificate authorities {name} (PROMISCUOUS_TLS_CA) {what}"
            ))
        };
        let pem = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        check(&pem).map_err(|why| {
            wrong(format!(
                "{why}: it must hold certificates in PEM form, each from BEGIN CERTIFICATE to END CERTIFICATE"
            ))
        })?;
        Ok(Self { file: Some(pem.into()) })
    }

    /// The PEM file, where one was named.
    #[cfg(feature = "tls")]
    pub(crate) fn file(&self) -> Option<&[u8]> {
        self.file.as_deref()
    }
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.file.is_some() { "Authorities(of a file)" } else { "Authorities(of the system)" })
    }
}

/// Says what to do when TLS is asked for and the program has none.
pub(crate) fn built_in() -> Result<(), &'static str> {
    offered(cfg!(feature = "tls"))
}

fn offered(built_in: bool) -> Result<(), &'static str> {
    if built_in { Ok(()) } else { Err(NOT_BUILT_IN) }
}

/// Without TLS nobody will look at the file: its form is checked where it can be.
#[cfg(not(feature = "tls"))]
fn check(_: &[u8]) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "tls")]
fn check(pem: &[u8]) -> Result<(), String> {
    roots(pem).map(drop)
}

#[cfg(feature = "tls")]
fn roots(pem: &[u8]) -> Result<rustls::RootCertStore, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("makes no sense ({error})"))?;
        roots.add(certificate).map_err(|error| format!("has a certificate that makes no sense ({error})"))?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(roots) }
}

/// Chooses who encrypts, where the program has not: rustls panics when it finds two candidates and no choice.
#[cfg(feature = "tls")]
pub(crate) fn choose_provider() {
    // An error says that there is a choice already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How to connect to a server whose certificate must come from these authorities and no other.
#[cfg(all(feature = "tls", feature = "rabbitmq"))]
pub(crate) fn client_config(pem: &[u8]) -> Result<rustls::ClientConfig, String> {
    choose_provider();
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots(pem)?).with_no_client_auth())
}

/// What a failed connection means, where TLS was the reason: a sentence that ends in what to do.
#[cfg(feature = "tls")]
pub(crate) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::{CertificateError, Error as Tls};
    let error = tls_error(error)?;
    Some(match error {
        // The latter of an authority that calls itself like ours.
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate comes from no authority that is trusted here: name the file of its CA in PROMISCUOUS_TLS_CA (`tls_ca`)".into()
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another host: write the host in the URL as the certificate does".into(),
        Tls::InvalidCertificate(_) => format!("its certificate is not accepted ({error}): renew or replace it"),
        Tls::InvalidMessage(_) => NO_TLS.into(),
        other => format!("TLS failed ({other}): check the server's TLS settings, and that the port is the one for TLS"),
    })
}

/// What a server says by not speaking TLS, or by saying nothing at all.
#[cfg(feature = "tls")]
pub(crate) const NO_TLS: &str = "it does not speak TLS on this port: write the port that does, or, where the network is trusted, the URL without the `s`";

/// Somewhere among the causes. An I/O error hides its inner error from `source`, and a shared error itself.
#[cfg(feature = "tls")]
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let shared = error.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>();
        let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match (shared, hidden) {
            (Some(shared), _) => Some(&**shared),
            (_, Some(hidden)) => Some(hidden),
            _ => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_tls_says_which_feature_to_enable() {
        assert!(offered(false).unwrap_err().contains("feature `tls`"));
        assert_eq!(offered(true), Ok(()));
    }

    #[test]
    fn a_file_that_is_away_is_named() {
        let error = Authorities::new(Some(Path::new("/no/such/ca.pem"))).unwrap_err().to_string();
        assert!(error.contains("/no/such/ca.pem") && error.contains("PROMISCUOUS_TLS_CA"), "{error}");
        assert_eq!(format!("{:?}", Authorities::new(None).unwrap()), "Authorities(of the system)");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_file_without_a_certificate_is_no_trust_in_everybody() {
        for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = roots(pem.as_bytes()).unwrap_err();
            assert!(error.contains("certificate"), "{error}");
        }
    }
}
