//! What each name stands for: transport settings, socket buffers, certificates.
//!
//! The server makes a certificate for itself when it starts. The client checks that the server holds its key, but not
//! whose it is: both ends belong to one measurement, and no authority vouches for them.

use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::quinn::congestion::BbrConfig;
use ::quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use ::quinn::{ClientConfig, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// What the client calls the server.
pub const SERVER_NAME: &str = "bench";

const PROTOCOL: &[u8] = b"bench";

/// Sessions may stay silent for this long, as those that wait for others to connect.
const IDLE: Duration = Duration::from_secs(60);

/// Tickets of a connection: as many as the client keeps. Each is good for one, and a short one brings none.
const TICKETS: usize = 8;

const MIB: u32 = 1 << 20;

/// In words.
pub fn about(name: &str) -> &'static str {
    match name {
        "quinn-tuned" => "windows 64 MiB, buffers 4 MiB, MTU 1452 at once",
        "quinn-bbr" => "BBR",
        "quinn-0rtt" => "resumed, 0-RTT",
        _ => "defaults",
    }
}

/// Gives the socket the buffers of this name, as far as the system allows.
pub fn size_buffers(name: &str, socket: &UdpSocket) -> io::Result<()> {
    if name == "quinn-tuned" {
        let socket = socket2::SockRef::from(socket);
        socket.set_recv_buffer_size(4 * MIB as usize)?;
        socket.set_send_buffer_size(4 * MIB as usize)?;
    }
    Ok(())
}

fn transport(name: &str) -> io::Result<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    config.max_idle_timeout(Some(IDLE.try_into().map_err(io::Error::other)?));
    match name {
        "quinn-tuned" => {
            config
                .send_window(u64::from(64 * MIB))
                .stream_receive_window(VarInt::from_u32(64 * MIB))
                .receive_window(VarInt::from_u32(128 * MIB))
                .datagram_receive_buffer_size(Some(4 * MIB as usize))
                .datagram_send_buffer_size(4 * MIB as usize)
                .initial_mtu(1452);
        }
        "quinn-bbr" => {
            config.congestion_controller_factory(Arc::new(BbrConfig::default()));
        }
        _ => {}
    }
    Ok(Arc::new(config))
}

/// The server's side of this name.
pub fn server(name: &str) -> io::Result<ServerConfig> {
    let own = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]).map_err(io::Error::other)?;
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .map_err(io::Error::other)?;
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    if name == "quinn-0rtt" {
        // All or nothing: QUIC has no other values.
        tls.max_early_data_size = u32::MAX;
        tls.send_tls13_tickets = TICKETS;
    }
    let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport(name)?);
    Ok(config)
}

/// The client's side of this name. What a client has learned to resume from, later ones of this process know.
pub fn client(name: &str) -> io::Result<ClientConfig> {
    static RESUMING: Mutex<Option<ClientConfig>> = Mutex::new(None);
    if name != "quinn-0rtt" {
        return new_client(name);
    }
    let mut known = RESUMING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = &*known {
        return Ok(config.clone());
    }
    Ok(known.insert(new_client(name)?).clone())
}

fn new_client(name: &str) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(HoldsItsKey(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    tls.enable_early_data = name == "quinn-0rtt";
    let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport(name)?);
    Ok(config)
}

/// Checks the server's signature, whoever it is.
#[derive(Debug)]
struct HoldsItsKey(Arc<CryptoProvider>);

impl ServerCertVerifier for HoldsItsKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
