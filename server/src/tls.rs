//! TLS: the certificate and key on disk, read at the start and again on SIGHUP.
//!
//! A file that cannot be used at the start ends the program; one that cannot later leaves the old pair in use.

use rustls::ServerConfig;
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The certificate chain in use, with its key.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    pair: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads both files, PEM each.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Certificates, String> {
        let pair = RwLock::new(Arc::new(read(&certificate, &key)?));
        Ok(Certificates { certificate, key, pair })
    }

    /// Reads both files again; connections made from now on see the new pair.
    ///
    /// # Errors
    /// As [`Certificates::load`], and then the old pair stays.
    pub fn reload(&self) -> Result<(), String> {
        let pair = Arc::new(read(&self.certificate, &self.key)?);
        *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// A server's side of TLS 1.2 and 1.3 with these.
    pub fn server_config(self: &Arc<Certificates>, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need");
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Current(self.clone())));
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

#[derive(Debug)]
struct Current(Arc<Certificates>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.pair.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let of = |what: &str, path: &Path, why: String| format!("tls.{what}: {}: {why}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| of("certificate", certificate, pem(&e)))?;
    if chain.is_empty() {
        return Err(of("certificate", certificate, "it holds no certificate in PEM".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| of("key", key, pem(&e)))?;
    let signer = any_supported_type(&private).map_err(|e| of("key", key, format!("it cannot be used: {e}")))?;
    let pair = CertifiedKey::new(chain, signer);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(of("key", key, format!("it is not the key of the certificate in {}", certificate.display())))
        }
        Err(e) => Err(of("certificate", certificate, format!("it cannot be used: {e}"))),
    }
}

fn pem(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::NoItemsFound => "it holds nothing of the kind in PEM".to_owned(),
        rustls::pki_types::pem::Error::Io(e) => format!("cannot be read: {e}"),
        other => format!("is no PEM: {other}"),
    }
}
