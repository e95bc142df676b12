//! How settings name the servers an endpoint uses: the signaling server's URL, relays, and secrets shown to them.
//!
//! Only the form is judged here. Names are looked up, and servers dialled, by the driver.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use zeroize::Zeroizing;

/// Relays an endpoint knows at most, of its settings and of the signaling server's together.
pub const MAX_RELAYS: usize = 8;

/// The path of the rendezvous protocol; what a URL has before it belongs to the server's front door.
const PATH: &str = "/snm/v0";

/// A secret as text: shown by no debugger, wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: &str) -> Secret {
        Secret(Zeroizing::new(text.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret()" } else { "Secret(…)" })
    }
}

/// A host and a port, as they were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Place {
    /// Reads `host`, `host:port` or `[v6]:port`.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence about the text.
    fn parse(text: &str, default_port: u16) -> Result<Place, &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("lacks the closing bracket of its IPv6 address")?;
                host.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address in its brackets")?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or("has no port")?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() {
            return Err("names no host");
        }
        if host.parse::<IpAddr>().is_err() && !is_host_name(host) {
            return Err("names a host that can be none");
        }
        let port = match port {
            None => default_port,
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("has a port that is none (1 to 65535)")?,
        };
        Ok(Place { host: host.to_owned(), port })
    }
}

/// Can this be the name of a host? An address gone wrong, such as 300.1.1.1, cannot.
pub fn is_host_name(host: &str) -> bool {
    let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let named = host.len() <= 253 && labels.clone().all(|label| (1..=63).contains(&label.len()) && letters(label));
    let numeric = labels.next_back().is_none_or(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    named && !numeric
}

/// Where the signaling server is, as `SIGNALING_URL` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalingUrl {
    /// `wss://`: under TLS.
    pub secure: bool,
    /// Where to dial.
    pub place: Place,
    /// Host and port as written, lower case: what a login is signed for.
    pub authority: String,
    /// The path, [`PATH`] at its end.
    pub path: String,
}

impl SignalingUrl {
    /// Reads a URL; none when `text` is empty.
    ///
    /// # Errors
    /// What is wrong, to follow the key's name.
    pub fn parse(text: &str) -> Result<Option<SignalingUrl>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |says: &str| format!("takes a URL such as wss://play.example or ws://127.0.0.1:8080; {says}");
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| wrong(&format!("\"{text}\" has no scheme: begin with wss://")))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "wss" => true,
            "ws" => false,
            other => return Err(wrong(&format!("the scheme \"{other}\" is neither wss nor ws"))),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("names and passwords have no place in it: use LOGIN_TOKEN (10016)"));
        }
        if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(&format!("\"{path}\" is no plain path")));
        }
        let place = Place::parse(authority, if secure { 443 } else { 80 })
            .map_err(|says| wrong(&format!("\"{authority}\" {says}")))?;
        let path = path.trim_end_matches('/');
        let path = if path.ends_with(PATH) { path.to_owned() } else { format!("{path}{PATH}") };
        Ok(Some(SignalingUrl { secure, place, authority: authority.to_ascii_lowercase(), path }))
    }
}

impl fmt::Display for SignalingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

/// What carries the datagrams of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carriage {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// A relay, as `P2P_TURN_SERVER_LIST` or the signaling server names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TurnUrl {
    /// Where to dial.
    pub place: Place,
    /// How.
    pub carriage: Carriage,
}

impl TurnUrl {
    /// Reads `turn:host:port?transport=udp|tcp`, `turns:host:port` (RFC 7065) or a bare `host:port`.
    ///
    /// # Errors
    /// What is wrong, to follow the key's name.
    pub fn parse(text: &str) -> Result<TurnUrl, String> {
        let wrong = |says: &str| format!("takes servers such as turn:host:3478?transport=udp; \"{text}\" {says}");
        let (tls, rest) = match text.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("turn") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("turns") => (true, rest),
            _ => (false, text),
        };
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let carriage = match query.map(|query| query.to_ascii_lowercase()).as_deref() {
            None | Some("transport=tcp") if tls => Carriage::Tls,
            None | Some("transport=udp") if !tls => Carriage::Udp,
            Some("transport=tcp") => Carriage::Tcp,
            Some("transport=udp") => return Err(wrong("asks for TLS over UDP, which this version lacks")),
            _ => return Err(wrong("has a query other than ?transport=udp or ?transport=tcp")),
        };
        let place = Place::parse(place, if tls { 5349 } else { 3478 }).map_err(wrong)?;
        Ok(TurnUrl { place, carriage })
    }

    /// Reads a comma separated list.
    ///
    /// # Errors
    /// As [`TurnUrl::parse`], or too many.
    pub fn parse_list(text: &str) -> Result<Vec<TurnUrl>, String> {
        let parts: Vec<&str> = split_list(text);
        if parts.len() > MAX_RELAYS {
            return Err(format!("takes at most {MAX_RELAYS} servers; {} were given", parts.len()));
        }
        parts.into_iter().map(TurnUrl::parse).collect()
    }
}

/// The entries of a comma separated list, none for an empty text; what stands between two commas counts, also nothing.
pub fn split_list(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::trim).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SignalingUrl {
        SignalingUrl::parse(text).expect("a URL").expect("some")
    }

    fn place(host: &str, port: u16) -> Place {
        Place { host: host.to_owned(), port }
    }

    #[test]
    fn a_signaling_url_says_where_to_dial_and_keeps_its_authority_as_written() {
        assert_eq!(SignalingUrl::parse(""), Ok(None));
        let plain = url("wss://Play.Example");
        assert_eq!((plain.secure, plain.place), (true, place("Play.Example", 443)));
        assert_eq!((plain.authority.as_str(), plain.path.as_str()), ("play.example", "/snm/v0"));
        let local = url("ws://127.0.0.1:8080/");
        assert_eq!((local.secure, local.place), (false, place("127.0.0.1", 8080)));
        assert_eq!((local.authority.as_str(), local.path.as_str()), ("127.0.0.1:8080", "/snm/v0"));
        assert_eq!(url("WS://[::1]:9").to_string(), "ws://[::1]:9/snm/v0");
        assert_eq!(url("ws://[::1]").place, place("::1", 80));
        assert_eq!(url("wss://a.example/games/").path, "/games/snm/v0");
        assert_eq!(url("wss://a.example/games/snm/v0").path, "/games/snm/v0");
    }

    #[test]
    fn a_bad_url_is_refused_with_what_and_where() {
        let cases = [
            ("play.example", "no scheme"),
            ("http://play.example", "\"http\" is neither"),
            ("wss://", "names no host"),
            ("wss:///snm/v0", "names no host"),
            ("wss://:443", "names no host"),
            ("wss://play.example:0", "port"),
            ("wss://play.example:port", "port"),
            ("wss://me:secret@play.example", "LOGIN_TOKEN"),
            ("wss://play example", "can be none"),
            ("wss://300.1.1.1", "can be none"),
            ("wss://[::1", "bracket"),
            ("wss://[x]:1", "no IPv6 address"),
            ("wss://play.example/a b", "no plain path"),
            ("wss://play.example/?x=1", "no plain path"),
        ];
        for (text, says) in cases {
            let error = SignalingUrl::parse(text).expect_err(text);
            assert!(error.contains(says) && error.contains("wss://play.example"), "{text}: {error}");
        }
    }

    #[test]
    fn relays_are_named_by_uri_or_plainly() {
        let cases = [
            ("turn:r.example:1?transport=udp", "r.example", 1, Carriage::Udp),
            ("turn:r.example?transport=tcp", "r.example", 3478, Carriage::Tcp),
            ("turns:r.example", "r.example", 5349, Carriage::Tls),
            ("turns:r.example:443?transport=tcp", "r.example", 443, Carriage::Tls),
            ("r.example:5", "r.example", 5, Carriage::Udp),
            ("turn:[2001:db8::1]:5", "2001:db8::1", 5, Carriage::Udp),
            ("192.0.2.1", "192.0.2.1", 3478, Carriage::Udp),
        ];
        for (text, host, port, carriage) in cases {
            assert_eq!(TurnUrl::parse(text), Ok(TurnUrl { place: place(host, port), carriage }), "{text}");
        }
        for bad in ["", "turn:", "turn:r:0", "turns:r?transport=udp", "turn:r?x=1", "turn://r", "stun:r:1", "a b"] {
            assert!(TurnUrl::parse(bad).is_err_and(|says| says.contains("transport=udp")), "{bad}");
        }
    }

    #[test]
    fn a_list_of_relays_is_bounded_and_names_the_bad_one() {
        assert_eq!(TurnUrl::parse_list(""), Ok(vec![]));
        assert_eq!(TurnUrl::parse_list("a:1, turns:b").map(|list| list.len()), Ok(2));
        assert!(TurnUrl::parse_list("a:1,,b:1").is_err());
        assert!(TurnUrl::parse_list("a:1,b:0").is_err_and(|says| says.contains("\"b:0\"")));
        assert!(TurnUrl::parse_list(&["a:1"; 9].join(",")).is_err_and(|says| says.contains("at most 8")));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
