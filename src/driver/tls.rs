//! Whom we believe under TLS, and how a refusal is told.
//!
//! The server's certificate must be valid for the name that was dialled, under the roots the web trusts or under
//! those of the app's own file (`SIGNALING_CA`). The machine's clock is believed for that, and for nothing else.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Largest file of certificates, bytes.
const MAX_CA_FILE: u64 = 1 << 20;

/// How a connection to `host` under TLS begins. `ca` is the path of a PEM file, or empty.
///
/// # Errors
/// Why it cannot begin: the file, or a name no certificate can be for.
pub(super) fn connection(host: &str, ca: &str) -> Result<ClientConnection, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if !ca.is_empty() {
        add_file(&mut roots, ca).map_err(|why| format!("SIGNALING_CA (10018): {why}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.strip_suffix('.').unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(|_| format!("no certificate can be for the name {host}"))?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| format!("TLS: {error}"))
}

fn add_file(roots: &mut RootCertStore, path: &str) -> Result<(), String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("cannot read {path}: {why}");
    let about = Path::new(path).metadata().map_err(|error| unreadable(&error))?;
    if !about.is_file() || about.len() > MAX_CA_FILE {
        return Err(unreadable(&"it is no file of at most 1 MiB"));
    }
    let text = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| format!("{path} is no PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("a certificate in {path} cannot be used: {error}"))?;
        found = true;
    }
    if found { Ok(()) } else { Err(format!("there is no certificate in {path}: it must be PEM")) }
}

/// What an error of a stream means, for people.
pub(super) fn describe(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(tls) = tls else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => error.to_string(),
        };
    };
    let rustls::Error::InvalidCertificate(why) = tls else {
        return format!("TLS: {tls}; is the server one for wss:// and turns:?");
    };
    match why {
        CertificateError::UnknownIssuer => "TLS: the server's certificate is of an issuer we do not know; if it is of \
             your own making, name its authority with SIGNALING_CA (10018)"
            .to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "TLS: the server's certificate is for another name than the one that was dialled".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "TLS: the server's certificate has expired or is not valid yet; is the clock of this machine right?"
                .to_owned()
        }
        other => format!("TLS: the server's certificate is refused: {other}"),
    }
}
