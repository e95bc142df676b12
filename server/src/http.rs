//! What is answered over HTTP: the WebSocket of the rendezvous, health, metrics, and a page for people.
//!
//! Behind a reverse proxy the client is not who connected: see [`source`].

use crate::networks::Network;
use crate::rendezvous::{self, Rendezvous, messages};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What is written to a client's socket at once, and read from it: most clients are silent most of the time.
const BUFFER: usize = 4_096;

/// A connection as it was accepted; with each request of it.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Who connected: the client, or a proxy.
    pub peer: SocketAddr,
    /// Held while the connection lives.
    pub alive: mpsc::Sender<()>,
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Site {
    pub rendezvous: Arc<Rendezvous>,
    pub metrics: PrometheusHandle,
    pub closing: watch::Receiver<bool>,
}

/// Everything.
pub fn site(site: Site) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics_for_this_machine))
        .route(messages::PATH, get(websocket))
        .with_state(site)
}

/// The metrics alone, for everybody who reaches their own address.
pub fn metrics_site(site: Site) -> Router {
    Router::new().route("/metrics", get(all_metrics)).route("/healthz", get(healthz)).with_state(site)
}

async fn websocket(
    State(site): State<Site>,
    Extension(accepted): Extension<Accepted>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let rendezvous = site.rendezvous;
    rendezvous.counters.connections.increment(1);
    let upgrade = upgrade.protocols([messages::SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let told =
            format!("this server speaks the WebSocket subprotocol {}, and it was not offered\n", messages::SUBPROTOCOL);
        return (StatusCode::BAD_REQUEST, told).into_response();
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("").to_ascii_lowercase();
    let source = source(accepted.peer, &headers, &rendezvous.settings.http.trusted_proxies);
    let admission = match rendezvous.admit(source, host, site.closing, accepted.alive) {
        Ok(admission) => admission,
        Err(why) => {
            rendezvous.counters.turned_away.increment(1);
            return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "5")], format!("{why}\n")).into_response();
        }
    };
    upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(8 * BUFFER)
        .max_message_size(messages::MAX_CONTROL)
        .max_frame_size(messages::MAX_CONTROL)
        .on_upgrade(move |socket| rendezvous::connection::run(rendezvous, socket, admission))
}

async fn healthz(State(site): State<Site>) -> Response {
    if *site.closing.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "closing\n").into_response();
    }
    "ok\n".into_response()
}

async fn metrics_for_this_machine(
    site: State<Site>,
    Extension(accepted): Extension<Accepted>,
    headers: HeaderMap,
) -> Response {
    let client = source(accepted.peer, &headers, &site.rendezvous.settings.http.trusted_proxies);
    // A proxy on this machine that is not named as one still says for whom it asks.
    if !client.ip().to_canonical().is_loopback() || headers.contains_key("x-forwarded-for") {
        let told = "metrics are shown to this machine alone; http.metrics_listen gives them an address of their own\n";
        return (StatusCode::FORBIDDEN, told).into_response();
    }
    all_metrics(site).await
}

async fn all_metrics(State(site): State<Site>) -> Response {
    site.rendezvous.counters.online.set(site.rendezvous.online() as f64);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], site.metrics.render()).into_response()
}

async fn page(State(site): State<Site>) -> Response {
    let settings = &site.rendezvous.settings;
    let yes = |is: bool| if is { "yes" } else { "no" };
    let text = format!(
        "steamnetmsg-server {}\n\nusers online   {}\ncertifies      {}\nSTUN and TURN  {}\nother relays   {}\n{}\n\
         Clients connect to {} with a WebSocket. Also here: /healthz, /metrics.\n",
        env!("CARGO_PKG_VERSION"),
        site.rendezvous.online(),
        settings.authority_key().map_or("no".to_owned(), |key| format!("yes, as {key}")),
        yes(settings.turn.is_some()),
        settings.relays.len(),
        if settings.dev { "\nFOR TRYING OUT ONLY: whoever logs in is certified (--dev).\n" } else { "" },
        messages::PATH,
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// Where the client is. What `X-Forwarded-For` says counts as far as it was written by proxies that are trusted: from
/// its end backwards, the first address that is none of them.
fn source(peer: SocketAddr, headers: &HeaderMap, proxies: &[Network]) -> SocketAddr {
    let trusted = |ip: IpAddr| proxies.iter().any(|proxy| proxy.contains(ip));
    if !trusted(peer.ip()) {
        return peer;
    }
    let mut client = peer;
    let values: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    for said in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let said = said.trim();
        let Some(address) = said.parse().ok().map(|ip| SocketAddr::new(ip, 0)).or_else(|| said.parse().ok()) else {
            break;
        };
        client = address;
        if !trusted(client.ip()) {
            break;
        }
    }
    client
}

/// A request must be there within this; who opens a connection and says nothing is closed.
pub const HEADER_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let proxies = ["127.0.0.0/8", "10.0.0.0/8"].map(|text| text.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a value"));
        }
        source(SocketAddr::new(peer.parse().expect("an address"), 7), &headers, &proxies).to_string()
    }

    #[test]
    fn a_stranger_is_who_he_is_whatever_he_says() {
        assert_eq!(seen("198.51.100.1", &["203.0.113.9"]), "198.51.100.1:7");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_stood_there_before_it_is_not() {
        assert_eq!(seen("127.0.0.1", &["203.0.113.9"]), "203.0.113.9:0");
        assert_eq!(seen("127.0.0.1", &["1.1.1.1, 203.0.113.9"]), "203.0.113.9:0");
        assert_eq!(seen("127.0.0.1", &["1.1.1.1", "203.0.113.9, 10.0.0.7"]), "203.0.113.9:0");
        assert_eq!(seen("::ffff:127.0.0.1", &["203.0.113.9:443"]), "203.0.113.9:443");
        assert_eq!(seen("127.0.0.1", &["[2001:db8::1]:9"]), "[2001:db8::1]:9");
    }

    #[test]
    fn without_a_usable_word_the_proxy_itself_is_the_client() {
        assert_eq!(seen("127.0.0.1", &[]), "127.0.0.1:7");
        assert_eq!(seen("127.0.0.1", &["203.0.113.9, unknown"]), "127.0.0.1:7");
    }
}
