//! Certificate authorities of a test's own, and what they sign.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A certificate authority that nobody trusts who was not told to.
#[derive(Debug)]
pub struct Authority {
    /// Holds its key and its certificate.
    folder: TempDir,
}

impl Authority {
    /// A new one, with a key of its own.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("The temporary folder must be writable.");
        let new = Self { folder };
        new.certificate_and_key(
            "ca",
            "An authority of tests",
            &["keyUsage=critical,keyCertSign"],
            &[],
            new.folder.path(),
        );
        new
    }

    /// Its certificate, for those who are to trust it.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Makes `server.pem` and `server.key` in this folder: a certificate for 127.0.0.1 and localhost.
    pub fn sign_server(&self, folder: &Path) {
        let (certificate, key) = (self.file(), self.folder.path().join("ca.key"));
        let signer = ["-CA", text(&certificate), "-CAkey", text(&key)];
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
        let extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth", names];
        self.certificate_and_key("server", "localhost", &extensions, &signer, folder);
    }

    fn certificate_and_key(
        &self,
        file: &str,
        name: &str,
        extensions: &[&str],
        signer: &[&str],
        folder: &Path,
    ) {
        let path = |extension: &str| folder.join(format!("{file}.{extension}"));
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", &format!("/CN={name}")]).args(signer);
        openssl.arg("-keyout").arg(path("key")).arg("-out").arg(path("pem"));
        for extension in extensions {
            openssl.args(["-addext", extension]);
        }
        let done = openssl.stdin(Stdio::null()).output().expect("openssl must be installed.");
        assert!(done.status.success(), "openssl failed: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("The temporary folder has a name in UTF-8.")
}
