//! How we can be reached, what of it a peer is told, and which routes our places and the peer's make.

use super::route::Route;
use crate::ids::RelayId;
use crate::wire::candidate::{self, Candidate, CandidateKind, MAX_CANDIDATES};
use std::net::{IpAddr, SocketAddr};

/// Which ways a session may take: the bits of `P2P_TRANSPORT_ICE_ENABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy(pub i32);

impl Policy {
    const RELAY: i32 = 1;
    const PRIVATE: i32 = 2;
    const PUBLIC: i32 = 4;

    /// Every way there is.
    pub const ANY: Policy = Policy(0x7fff_ffff);

    /// May a relay lie between us?
    pub fn relayed(self) -> bool {
        self.0 & Policy::RELAY != 0
    }

    /// May the peer learn an address of ours at all?
    pub fn direct(self) -> bool {
        self.0 & (Policy::PRIVATE | Policy::PUBLIC) != 0
    }

    fn allows(self, address: IpAddr) -> bool {
        let wanted = if Scope::of(address) == Scope::Public { Policy::PUBLIC } else { Policy::PRIVATE };
        self.0 & wanted != 0
    }

    /// May datagrams between us and a peer go there straight?
    pub fn admits(self, route: Route) -> bool {
        match route {
            Route::Direct(address) => self.allows(address.ip()),
            Route::Relay(..) => self.relayed(),
            Route::Signal(_) => true,
        }
    }
}

/// How far an address is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// On one machine.
    Loopback,
    /// On one network.
    Private,
    /// Anywhere.
    Public,
    /// For nobody to send to.
    Nowhere,
}

impl Scope {
    fn of(address: IpAddr) -> Scope {
        match address.to_canonical() {
            ip if ip.is_loopback() => Scope::Loopback,
            ip if ip.is_unspecified() || ip.is_multicast() => Scope::Nowhere,
            IpAddr::V4(ip) if ip.is_broadcast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240 => Scope::Nowhere,
            // RFC 1918, RFC 3927, RFC 6598
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Scope::Private,
            IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => Scope::Private,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Scope::Private,
            _ => Scope::Public,
        }
    }
}

/// How we can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Goes up with each change.
    pub revision: u64,
    /// Our own addresses, best first.
    pub candidates: Vec<Candidate>,
    /// Our places on relays, best first, and each one's address there.
    pub relays: Vec<(RelayId, SocketAddr)>,
    /// Somebody carries signals.
    pub signals: bool,
    /// Nobody does now, and somebody will.
    pub signals_awaited: bool,
}

impl Reach {
    /// What a peer is told under this policy: a list as of [`candidate`].
    pub fn told(&self, policy: Policy) -> Vec<u8> {
        let mut list = Vec::new();
        candidate::encode(&self.shown(policy), &mut list);
        list
    }

    fn shown(&self, policy: Policy) -> Vec<Candidate> {
        // Who is reached by the addresses that peers know has nothing to add.
        if !self.signals && !self.signals_awaited && self.relays.is_empty() {
            return Vec::new();
        }
        let told = |c: &&Candidate| match c.kind {
            CandidateKind::Relayed => policy.relayed(),
            CandidateKind::Host | CandidateKind::Reflexive => policy.allows(c.address.ip()),
        };
        self.candidates.iter().filter(told).take(MAX_CANDIDATES).copied().collect()
    }

    /// Would a peer's word that it is at `address` be taken? What is not good anywhere is believed only by who is at
    /// such a place itself: nobody can aim us at machines that only we can see.
    fn believes(&self, address: SocketAddr) -> bool {
        match Scope::of(address.ip()) {
            Scope::Public => true,
            Scope::Nowhere => false,
            scope => self.candidates.iter().any(|ours| Scope::of(ours.address.ip()) == scope),
        }
    }

    /// Those of the peer's candidates that we take, each address once.
    pub fn believed(&self, theirs: &[Candidate]) -> Vec<Candidate> {
        let mut believed: Vec<Candidate> = Vec::new();
        for candidate in theirs {
            if self.believes(candidate.address) && !believed.iter().any(|c| c.address == candidate.address) {
                believed.push(*candidate);
            }
        }
        believed
    }

    /// The routes that our places and the peer's make, and whether a relay lies on each.
    pub fn routes(&self, theirs: &[Candidate], policy: Policy) -> Vec<(Route, bool)> {
        let mut routes = Vec::new();
        let theirs = self.believed(theirs);
        for candidate in &theirs {
            let relayed = candidate.kind == CandidateKind::Relayed;
            // Sending straight to the peer's place on a relay shows the peer our address.
            let straight = if relayed {
                policy.relayed() && policy.direct()
            } else {
                policy.admits(Route::Direct(candidate.address))
            };
            if straight {
                routes.push((Route::Direct(candidate.address), relayed));
            }
        }
        let places = theirs.iter().filter(|c| c.kind == CandidateKind::Relayed && policy.relayed());
        for place in places {
            let same_family = self.relays.iter().filter(|(_, ours)| ours.is_ipv4() == place.address.is_ipv4());
            routes.extend(same_family.map(|(relay, _)| (Route::Relay(*relay, place.address), true)));
        }
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kind: CandidateKind, address: &str) -> Candidate {
        Candidate { kind, pop: 0, address: address.parse().unwrap() }
    }

    fn reach() -> Reach {
        Reach {
            candidates: vec![
                candidate(CandidateKind::Relayed, "192.0.2.9:1000"),
                candidate(CandidateKind::Reflexive, "198.51.100.1:5"),
            ],
            relays: vec![(RelayId(0), "192.0.2.9:1000".parse().unwrap())],
            ..Reach::default()
        }
    }

    #[test]
    fn relay_only_tells_and_uses_relayed_places_only() {
        let relay_only = Policy(1);
        assert_eq!(reach().shown(relay_only), [candidate(CandidateKind::Relayed, "192.0.2.9:1000")]);
        let theirs =
            [candidate(CandidateKind::Relayed, "203.0.113.7:9"), candidate(CandidateKind::Reflexive, "203.0.113.8:9")];
        let only = Route::Relay(RelayId(0), theirs[0].address);
        assert_eq!(reach().routes(&theirs, relay_only), [(only, true)]);
        assert!(reach().routes(&theirs, Policy(6)).iter().all(|(_, relayed)| !relayed));
        assert_eq!(reach().routes(&theirs, Policy::ANY).len(), 3);
    }

    #[test]
    fn nobody_aims_us_at_machines_that_only_we_can_see() {
        for address in [
            "127.0.0.1:53",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "0.0.0.0:1",
            "100.64.0.1:5",
            "[::1]:5",
            "[fe80::1]:5",
            "[fd00::1]:5",
            "[ff02::1]:5",
            "[::]:5",
            "[::ffff:127.0.0.1]:5",
        ] {
            let theirs = [candidate(CandidateKind::Host, address), candidate(CandidateKind::Relayed, address)];
            assert_eq!(reach().routes(&theirs, Policy::ANY), [], "{address}");
        }
    }

    #[test]
    fn who_is_on_a_private_network_believes_in_its_neighbours() {
        let mut ours = reach();
        ours.candidates.push(candidate(CandidateKind::Host, "10.0.0.2:7"));
        let theirs = [candidate(CandidateKind::Host, "10.0.0.3:7"), candidate(CandidateKind::Host, "127.0.0.1:7")];
        assert_eq!(ours.routes(&theirs, Policy::ANY), [(Route::Direct(theirs[0].address), false)]);
        assert_eq!(ours.routes(&theirs, Policy(5)), [], "nor is it sent there if the policy is public only");
    }
}
