//! Candidates: addresses at which a peer may be reached, as peers tell each other.
//!
//! `[kind u8: 1 host, 2 reflexive, 3 relayed; 0x80 added: IPv6][POP code u32][port u16][address 4 or 16]`,
//! one after the other, [`MAX_CANDIDATES`] at most. They travel sealed only.

use super::codec::{Reader, WireError};
use std::net::{IpAddr, SocketAddr};

/// A peer tells of at most so many.
pub const MAX_CANDIDATES: usize = 16;

/// The longest list, bytes.
pub const MAX_CANDIDATE_BYTES: usize = MAX_CANDIDATES * (1 + 4 + 2 + 16);

const IPV6: u8 = 0x80;

/// What kind of address it is (RFC 8445 section 5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum CandidateKind {
    /// Of an interface of the peer's machine.
    Host = 1,
    /// What a server saw of it.
    Reflexive = 2,
    /// Its place on a relay.
    Relayed = 3,
}

/// An address at which a peer may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// What kind of address it is.
    pub kind: CandidateKind,
    /// The point of presence of a relay, up to four letters as in Steam's API; 0 for none.
    pub pop: u32,
    /// The address; its port is not 0.
    pub address: SocketAddr,
}

/// Appends a list; what is over [`MAX_CANDIDATES`] is left out.
pub fn encode(candidates: &[Candidate], out: &mut Vec<u8>) {
    for candidate in candidates.iter().take(MAX_CANDIDATES) {
        let ip = candidate.address.ip();
        out.push(candidate.kind as u8 | if ip.is_ipv6() { IPV6 } else { 0 });
        out.extend_from_slice(&candidate.pop.to_be_bytes());
        out.extend_from_slice(&candidate.address.port().to_be_bytes());
        match ip {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
}

/// Reads a list that fills `bytes`.
///
/// # Errors
/// [`WireError::Truncated`] when an entry is cut short, [`WireError::Malformed`] when there are too many, or one
/// is of no kind or has port 0.
pub fn decode(bytes: &[u8]) -> Result<Vec<Candidate>, WireError> {
    let mut r = Reader::new(bytes);
    let mut list = Vec::new();
    while !r.is_empty() {
        let kind = r.u8()?;
        let (pop, port) = (r.u32()?, r.u16()?);
        let ip = match kind & IPV6 {
            0 => IpAddr::from(r.array::<4>()?),
            _ => IpAddr::from(r.array::<16>()?),
        };
        let kind = match kind & !IPV6 {
            1 => CandidateKind::Host,
            2 => CandidateKind::Reflexive,
            3 => CandidateKind::Relayed,
            _ => return Err(WireError::Malformed),
        };
        if port == 0 || list.len() >= MAX_CANDIDATES {
            return Err(WireError::Malformed);
        }
        list.push(Candidate { kind, pop, address: SocketAddr::new(ip, port) });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        (1u8..=3, any::<u32>(), any::<IpAddr>(), 1u16..).prop_map(|(kind, pop, ip, port)| Candidate {
            kind: [CandidateKind::Host, CandidateKind::Reflexive, CandidateKind::Relayed][usize::from(kind) - 1],
            pop,
            address: SocketAddr::new(ip, port),
        })
    }

    #[test]
    fn a_list_is_refused_whole_for_one_bad_entry() {
        let good = Candidate { kind: CandidateKind::Host, pop: 0, address: "192.0.2.1:5".parse().unwrap() };
        let mut bytes = Vec::new();
        encode(&[good; MAX_CANDIDATES + 3], &mut bytes);
        assert_eq!(decode(&bytes), Ok(vec![good; MAX_CANDIDATES]));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), Err(WireError::Truncated));
        let mut one = bytes[..11].to_vec();
        bytes.extend_from_slice(&one);
        assert_eq!(decode(&bytes), Err(WireError::Malformed), "one too many");
        one[0] = 4;
        assert_eq!(decode(&one), Err(WireError::Malformed), "of no kind");
        one[0] = 1;
        one[5..7].fill(0);
        assert_eq!(decode(&one), Err(WireError::Malformed), "port 0");
    }

    proptest! {
        #[test]
        fn lists_round_trip(list in prop::collection::vec(any_candidate(), 0..=MAX_CANDIDATES)) {
            let mut bytes = Vec::new();
            encode(&list, &mut bytes);
            prop_assert!(bytes.len() <= MAX_CANDIDATE_BYTES);
            prop_assert_eq!(decode(&bytes), Ok(list));
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
        }
    }
}
