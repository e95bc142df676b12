//! Listening for HTTP: addresses taken, connections accepted, TLS spoken, limits kept before a byte is read.

use crate::http::{Accepted, HEADER_TIME};
use crate::limits::Places;
use crate::networks::Network;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// Requests are short; what is longer is none of ours.
const MAX_HEAD: usize = 16_384;

/// After `accept` failed, for lack of descriptors as a rule.
const REST: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted, as the system counts.
const BACKLOG: i32 = 1_024;

/// Takes an address for TCP. An IPv6 one is for IPv6 alone, unless it is `[::]`, which takes both.
///
/// # Errors
/// As the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, socket2::Type::STREAM)?;
    // A server that comes back finds its address again, although old connections linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket of the address's family that does not block.
///
/// # Errors
/// As the system says.
pub fn socket(address: SocketAddr, kind: socket2::Type) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What it takes to serve one address.
#[derive(Clone, Debug)]
pub struct Serving {
    pub router: Router,
    pub places: Arc<Places>,
    /// Their connections are their clients', so no limit of a source holds for them here.
    pub proxies: Arc<[Network]>,
    pub closing: watch::Receiver<bool>,
    pub alive: mpsc::Sender<()>,
}

/// The next connection; `None` when the server ends. What cannot be accepted for want of something is waited out.
pub async fn accept(listener: &TcpListener, closing: &mut watch::Receiver<bool>) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => return None,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(e) => {
                warn!("cannot accept a connection: {e}");
                sleep(REST).await;
            }
        }
    }
}

/// Accepts until the server ends.
pub async fn run(listener: TcpListener, tls: Option<TlsAcceptor>, serving: Serving, elsewhere: Arc<Places>) {
    let mut closing = serving.closing.clone();
    while let Some((stream, peer)) = accept(&listener, &mut closing).await {
        let places =
            if serving.proxies.iter().any(|proxy| proxy.contains(peer.ip())) { &elsewhere } else { &serving.places };
        let Ok(place) = places.take(peer.ip()) else {
            debug!(%peer, "too many connections");
            continue;
        };
        let (serving, tls) = (serving.clone(), tls.clone());
        tokio::spawn(async move {
            connection(stream, peer, tls, serving).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, serving: Serving) {
    // Signals are small and wanted at once.
    let _ = stream.set_nodelay(true);
    match tls {
        None => http(stream, peer, serving).await,
        Some(tls) => match timeout(HEADER_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, peer, serving).await,
            Ok(Err(e)) => debug!(%peer, "no TLS: {e}"),
            Err(_) => debug!(%peer, "no TLS in time"),
        },
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr, serving: Serving) {
    let accepted = Accepted { peer, alive: serving.alive };
    let site = TowerToHyperService::new(serving.router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(accepted.clone());
        let answer = site.call(request.map(Body::new));
        async move {
            let mut answer = answer.await?;
            // One question a connection, and no idle ones: there is a place for each, and they are counted.
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(e) = served.await {
        debug!(%peer, "HTTP ended: {e}");
    }
}
