//! The ways a datagram can take, and the places a peer may be at.

use crate::ids::{RelayId, SteamId};
use std::fmt;
use std::net::SocketAddr;

/// Where a datagram goes, or how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// From our socket to this address, or the reverse.
    Direct(SocketAddr),
    /// By our place on this relay to this address, or the reverse.
    Relay(RelayId, SocketAddr),
    /// Carried as a signal, between us and this user: few, and for a start only.
    Signal(SteamId),
}

impl Route {
    /// The address at the far end, if it is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Route::Direct(address) | Route::Relay(_, address) => Some(address),
            Route::Signal(_) => None,
        }
    }

    /// Does it stay on this machine?
    pub fn is_near(self) -> bool {
        matches!(self, Route::Direct(address) if address.ip().to_canonical().is_loopback())
    }

    /// Is it carried as a signal?
    pub fn is_signal(self) -> bool {
        matches!(self, Route::Signal(_))
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Direct(address) => address.fmt(f),
            Route::Relay(_, address) => write!(f, "{address} by a relay"),
            Route::Signal(_) => f.write_str("the signaling server"),
        }
    }
}

/// Datagrams that take one way: one, or several equal ones end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Their way.
    pub route: Route,
    /// Length of each but the last, which may be shorter; all of it when there is just one.
    pub segment_size: usize,
}
