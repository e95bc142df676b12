//! Networks in CIDR notation, and which addresses of the internet are nobody's business through a relay.

use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: u128,
    mask: u128,
    v4: bool,
}

impl Network {
    /// Does it hold this address? An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.v4 && bits(ip) & self.mask == self.base
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no network; one is written 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7");
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(width);
        if length > width {
            return Err(wrong());
        }
        // An IPv4 address lies in the low 32 bits; everything above them is the same for all.
        let mask = if length == 0 { 0 } else { u128::MAX << (width - length) };
        let mask = if ip.is_ipv4() { mask & u128::from(u32::MAX) } else { mask };
        let base = bits(ip) & mask;
        if base != bits(ip) {
            return Err(format!("{text:?} has bits set behind its prefix of {length}"));
        }
        Ok(Network { base, mask, v4: ip.is_ipv4() })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Network, String> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.v4 {
            write!(f, "{}/{}", Ipv4Addr::from_bits(self.base as u32), self.mask.count_ones())
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.base), self.mask.count_ones())
        }
    }
}

/// Addresses that are no host of the open internet, or that stand for another: where a relay would be a way in.
const CLOSED: &[&str] = &[
    "0.0.0.0/8",        // this network
    "10.0.0.0/8",       // private
    "100.64.0.0/10",    // behind a carrier's NAT
    "127.0.0.0/8",      // loopback
    "169.254.0.0/16",   // link-local, and where clouds answer with credentials
    "172.16.0.0/12",    // private
    "192.0.0.0/24",     // protocol assignments
    "192.0.2.0/24",     // documentation
    "192.88.99.0/24",   // 6to4 relays
    "192.168.0.0/16",   // private
    "198.18.0.0/15",    // benchmarks
    "198.51.100.0/24",  // documentation
    "203.0.113.0/24",   // documentation
    "224.0.0.0/4",      // multicast
    "240.0.0.0/4",      // reserved, and broadcast
    "::/96",            // unspecified, loopback, IPv4-compatible
    "64:ff9b::/96",     // NAT64: another way to every IPv4 address above
    "64:ff9b:1::/48",   // NAT64, local
    "100::/64",         // discarded
    "2001::/32",        // Teredo: holds an IPv4 address
    "2001:db8::/32",    // documentation
    "2002::/16",        // 6to4: holds an IPv4 address
    "fc00::/7",         // private
    "fe80::/10",        // link-local
    "fec0::/10",        // site-local
    "ff00::/8",         // multicast
    "168.63.129.16/32", // a cloud's own, on a public address
];

/// Whom a relay may send to.
#[derive(Clone, Debug)]
pub struct Peers {
    allowed: Vec<Network>,
    denied: Vec<Network>,
}

impl Peers {
    /// All of the open internet, less `denied`, and besides it `allowed`, which goes before everything.
    pub fn new(allowed: &[Network], denied: &[Network]) -> Peers {
        let closed = CLOSED.iter().map(|text| text.parse().expect("the table above is made of networks"));
        Peers { allowed: allowed.to_vec(), denied: denied.iter().copied().chain(closed).collect() }
    }

    /// May a relay send there?
    pub fn allows(&self, ip: IpAddr) -> bool {
        self.names(ip) || !self.denied.iter().any(|network| network.contains(ip))
    }

    /// Is it allowed by name, and not only because nothing speaks against it?
    pub fn names(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(ip))
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 customer has at the least.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        let holds = |network: &str, address: &str| network.parse::<Network>().expect(network).contains(ip(address));
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "1.2.3.4"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"), "the same address in other clothes");
        assert!(holds("fe80::/10", "febf::1") && !holds("fe80::/10", "fec0::1"));
    }

    #[test]
    fn what_is_no_network_is_refused_and_what_is_one_is_written_as_read() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.1/8", "ten/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        for text in CLOSED {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()).as_deref(), Ok(*text));
        }
    }

    #[test]
    fn nothing_but_the_open_internet_is_reached_unless_it_is_allowed() {
        let peers = Peers::new(&[], &["8.8.4.0/24".parse().expect("a network")]);
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "168.63.129.16",
            "8.8.4.4",
        ] {
            assert!(!peers.allows(ip(text)), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2a00::1", "::ffff:8.8.8.8"] {
            assert!(peers.allows(ip(text)), "{text}");
        }
        let dev = Peers::new(&["127.0.0.0/8".parse().expect("a network")], &["127.0.0.0/8".parse().expect("one")]);
        assert!(dev.allows(ip("127.0.0.1")) && !dev.allows(ip("10.0.0.1")));
    }

    #[test]
    fn one_ipv6_customer_is_one_source() {
        assert_eq!(source_of(ip("2001:db8:1:2:3::4")), source_of(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(source_of(ip("2001:db8:1:2::4")), source_of(ip("2001:db8:1:3::4")));
        assert_eq!(source_of(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
        assert_ne!(source_of(ip("1.2.3.4")), source_of(ip("1.2.3.5")));
    }
}
