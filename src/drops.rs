//! Why a datagram or message was thrown away, and how often.
//!
//! A fault on the wire never becomes an error to the app: it becomes one of these counts.

/// The reason something that arrived was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Dropped {
    /// First byte of no protocol we speak.
    UnknownProtocol,
    /// Shorter than its type demands, or longer than anything we accept.
    BadLength,
    /// Reserved bits or an unknown packet type.
    BadHeader,
    /// A handshake meant for another steam id, or random bytes dressed as one.
    NotForUs,
    /// A handshake of another wire version or app.
    OtherVersion,
    /// No session knows the connection id.
    UnknownConnection,
    /// The seal did not open.
    BadSeal,
    /// A packet number seen before, or older than the replay window.
    Replayed,
    /// A handshake message that does not verify.
    BadHandshake,
    /// The identity behind a handshake may not enter.
    Refused,
    /// A table of strangers is full.
    TooManyStrangers,
    /// A cookie is needed first, or the one shown is wrong.
    CookieNeeded,
    /// Data of a session nobody accepted yet.
    NotAccepted,
    /// An unreliable message that found no room, or whose rest never came.
    UnreliableOverflow,
    /// A handshake or probe that arrived too late to matter.
    Stale,
    /// A message addressed to a session that ended before it could be queued.
    SessionGone,
    /// Thrown away on purpose by the FAKE_… settings.
    Injected,
    /// An event nobody took in time.
    EventOverflow,
    /// A signal of ours that nobody carries.
    NoCarrier,
    /// A handshake by signals that came before we knew how we can be reached.
    Gathering,
    /// What a relay brought or took that it should not have.
    BadRelay,
    /// A frame of the signaling server that cannot be read, or papers that are not ours.
    BadRendezvous,
    /// A signal that found no room on its way out.
    SignalOverflow,
}

impl Dropped {
    /// How many reasons there are.
    pub const COUNT: usize = Dropped::SignalOverflow as usize + 1;

    /// Every reason with its name, in order.
    pub const NAMES: [&'static str; Dropped::COUNT] = [
        "unknown_protocol",
        "bad_length",
        "bad_header",
        "not_for_us",
        "other_version",
        "unknown_connection",
        "bad_seal",
        "replayed",
        "bad_handshake",
        "refused",
        "too_many_strangers",
        "cookie_needed",
        "not_accepted",
        "unreliable_overflow",
        "stale",
        "session_gone",
        "injected",
        "event_overflow",
        "no_carrier",
        "gathering",
        "bad_relay",
        "bad_rendezvous",
        "signal_overflow",
    ];
}

/// How often each reason occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; Dropped::COUNT]);

impl DropCounts {
    /// One more.
    pub fn add(&mut self, reason: Dropped) {
        self.0[reason as usize] += 1;
    }

    /// So many for this reason.
    pub fn of(&self, reason: Dropped) -> u64 {
        self.0[reason as usize]
    }

    /// So many for all reasons together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Names and counts of the reasons that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Dropped::NAMES.iter().zip(self.0).filter(|(_, n)| *n > 0).map(|(name, n)| (*name, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_under_their_names() {
        let mut counts = DropCounts::default();
        counts.add(Dropped::Replayed);
        counts.add(Dropped::Replayed);
        counts.add(Dropped::EventOverflow);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("replayed", 2), ("event_overflow", 1)]);
        assert_eq!(counts.total(), 3);
    }
}
