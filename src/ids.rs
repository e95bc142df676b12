//! Names for things, one newtype each, so that a channel can never be passed for a peer.

use std::fmt;

/// Who someone is: a 64-bit steam id. Zero is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SteamId(pub u64);

impl fmt::Display for SteamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steamid:{}", self.0)
    }
}

/// The app's label on a message; order is kept within it. Every value is legal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub i32);

/// The app a session belongs to; endpoints of different apps never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppId(pub u32);

/// Where a datagram of ours belongs at its receiver: chosen by the receiver, carried in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// One side's name for one session, random: it tells a restarted peer from a resumed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One of our relays, by its place in the list that was configured first; never used anew for another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub u8);
