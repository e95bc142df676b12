//! The other libraries: which are built in, and what it takes to build one in.

use std::io;

use super::{Purpose, Role, Transport};

type Open = fn(&'static str, Role, &Purpose) -> io::Result<Box<dyn Transport>>;

/// A library under its names. They begin with the family, which is also the cargo feature.
struct Peer {
    family: &'static str,
    /// What Debian calls what it needs beside Rust; empty: nothing.
    packages: &'static str,
    built: Option<(&'static [&'static str], Open)>,
}

const PEERS: &[Peer] = &[
    Peer {
        family: "gns",
        packages: "cmake g++ libclang-dev libprotobuf-dev libssl-dev pkg-config protobuf-compiler",
        #[cfg(feature = "gns")]
        built: Some((super::gns::NAMES, super::gns::open)),
        #[cfg(not(feature = "gns"))]
        built: None,
    },
    Peer {
        family: "enet",
        packages: "libenet-dev",
        #[cfg(feature = "enet")]
        built: Some((super::enet::NAMES, super::enet::open)),
        #[cfg(not(feature = "enet"))]
        built: None,
    },
    Peer {
        family: "quinn",
        packages: "",
        #[cfg(feature = "quinn")]
        built: Some((super::quinn::NAMES, super::quinn::open)),
        #[cfg(not(feature = "quinn"))]
        built: None,
    },
];

/// Opens one end of the library that goes by this name.
pub fn open(name: &str, role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("there is no transport {name:?}"));
    let family = name.split('-').next();
    let peer = PEERS.iter().find(|peer| Some(peer.family) == family).ok_or_else(unknown)?;
    let (names, open) = peer.built.ok_or_else(|| not_built(peer))?;
    let name = names.iter().find(|own| **own == name).ok_or_else(unknown)?;
    open(name, role, purpose)
}

/// The names that can be opened.
pub fn built() -> impl Iterator<Item = &'static str> {
    PEERS.iter().filter_map(|peer| peer.built).flat_map(|(names, _)| names.iter().copied())
}

fn not_built(peer: &Peer) -> io::Error {
    let Peer { family, packages, .. } = peer;
    let mut text = format!("{family} is not built in: cargo build --release -p steamnetmsg-bench --features {family}");
    if !packages.is_empty() {
        text += &format!(" (needs Debian's {packages})");
    }
    io::Error::new(io::ErrorKind::Unsupported, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_built_in_says_how_to_build_it_in() {
        for peer in PEERS {
            let text = not_built(peer).to_string();
            assert!(text.contains(&format!("--features {}", peer.family)), "{text}");
            assert!(text.contains(peer.packages), "{text}");
        }
    }

    #[test]
    fn what_a_library_needs_is_what_gets_installed_for_it() {
        let ensure = include_str!("../../../tools/ensure.sh");
        for peer in PEERS.iter().filter(|peer| !peer.packages.is_empty()) {
            let line = format!("{}) echo {} ;;", peer.family, peer.packages);
            assert!(ensure.contains(&line), "tools/ensure.sh: {line}");
        }
    }

    #[test]
    fn names_begin_with_their_family_and_are_told_apart() {
        let names: Vec<_> = built().collect();
        for peer in PEERS {
            let own = peer.built.map_or(&[][..], |(names, _)| names);
            assert!(own.iter().all(|name| name.split('-').next() == Some(peer.family)), "{own:?}");
        }
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}
