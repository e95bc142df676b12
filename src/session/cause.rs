//! Why a session is where it is: every cause there is, with the word a program may look at.
//!
//! The words are stable. `docs/diagnosis.md` is written from this table. Which cause holds is decided in
//! `diagnosis.rs` while a session lives, and where it ends when it ends.

use super::reason;

/// Why a session is where it is, or why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is explained in the table below")]
pub enum Cause {
    NoSession,
    Loopback,
    NoAddress,
    SignalingDown,
    PeerOffline,
    NoAnswer,
    NetworkUnreachable,
    BadAnswer,
    BadSignature,
    OtherIdentity,
    OtherApp,
    OtherVersion,
    AuthRequiredHere,
    AuthRequiredThere,
    CertificateRefused,
    Unconfirmed,
    NoPath,
    PeerDeciding,
    AppDeciding,
    RequestWithdrawn,
    RejectedByPeer,
    MessageTooLarge,
    Connected,
    Challenged,
    Silent,
    Undecryptable,
    AppNotReading,
    PeerNotReading,
    Lossy,
    SlowLink,
    Nagle,
    ClosedHere,
    ClosedByPeer,
    DataLost,
    Idle,
    IdleUnanswered,
    RefusedByPeer,
    Violation,
    Ignored,
    KeyWornOut,
    Forged,
    PeerForgot,
    PeerRestarted,
}

/// What is said of a cause.
struct About {
    word: &'static str,
    means: &'static str,
    /// How a session that ends by it ends: its reason, or what the app may meet instead.
    ends: &'static str,
    reason: i32,
    /// The most telling of the fields that stand beside it.
    evidence: &'static [&'static str],
    advice: &'static str,
}

const fn about(
    word: &'static str,
    means: &'static str,
    (ends, reason): (&'static str, i32),
    evidence: &'static [&'static str],
    advice: &'static str,
) -> About {
    About { word, means, ends, reason, evidence, advice }
}

const LIVE: (&str, i32) = ("–", 0);
const GONE: (&str, i32) = ("none: the session is gone", 0);
const WISH: (&str, i32) = ("the peer's, 1000 to 2999", reason::CLOSED);
const TIMEOUT: (&str, i32) = ("5003", reason::TIMEOUT);
const GENERIC: (&str, i32) = ("5001", reason::GENERIC);
const BAD_CERT: (&str, i32) = ("4003", reason::BAD_CERT);
const BAD_CRYPT: (&str, i32) = ("4002", reason::BAD_CRYPT);
const NO_CONNECTION: (&str, i32) = ("5010", reason::NO_CONNECTION);

impl Cause {
    /// Every cause, in the order of the page.
    pub const ALL: [Cause; 43] = {
        use Cause::*;
        [
            NoSession,
            Loopback,
            NoAddress,
            SignalingDown,
            PeerOffline,
            NoAnswer,
            NetworkUnreachable,
            BadAnswer,
            BadSignature,
            OtherIdentity,
            OtherApp,
            OtherVersion,
            AuthRequiredHere,
            AuthRequiredThere,
            CertificateRefused,
            Unconfirmed,
            NoPath,
            PeerDeciding,
            AppDeciding,
            RequestWithdrawn,
            RejectedByPeer,
            MessageTooLarge,
            Connected,
            Challenged,
            Silent,
            Undecryptable,
            AppNotReading,
            PeerNotReading,
            Lossy,
            SlowLink,
            Nagle,
            ClosedHere,
            ClosedByPeer,
            DataLost,
            Idle,
            IdleUnanswered,
            RefusedByPeer,
            Violation,
            Ignored,
            KeyWornOut,
            Forged,
            PeerForgot,
            PeerRestarted,
        ]
    };

    #[rustfmt::skip]
    fn about(self) -> About {
        match self {
            Cause::NoSession => about("no_session", "There is no session with this user, and none ended lately.", LIVE,
                &["known_addresses"], "Send a message: that opens one."),
            Cause::Loopback => about("loopback", "The user is this endpoint itself.", LIVE, &[], "Nothing."),
            Cause::NoAddress => about("no_address", "Nobody said where the user is.", ("5008", reason::RENDEZVOUS),
                &["waited_ms", "gives_up_in_ms"], "Call snm_add_peer_address, before or while the session opens."),
            Cause::SignalingDown => about("signaling_down", "The signaling server is not reached, and no address of the user is known.",
                ("5005", reason::SIGNALING), &["waited_ms", "gives_up_in_ms"],
                "SNM_EVENT_SIGNALING says why; it is tried again by itself. An address helps without it (snm_add_peer_address)."),
            Cause::PeerOffline => about("peer_offline", "The signaling server says that the user is not there.", NO_CONNECTION,
                &["waited_ms"], "Is the peer's game running, with the same APP_ID and SIGNALING_URL?"),
            Cause::NoAnswer => about("no_answer", "Nothing came back from any address.", TIMEOUT,
                &["addresses", "tries", "waited_ms", "gives_up_in_ms"],
                "Is the peer running, is this its address and steam id, does a firewall stand between?"),
            Cause::NetworkUnreachable => about("network_unreachable",
                "The operating system refuses to send to the peer's address.", TIMEOUT, &["send_errors", "send_error_ms_ago"],
                "Is this machine online? Nothing else needs doing: when the network is back, the session goes on."),
            Cause::BadAnswer => about("bad_answer", "Somebody answers the handshake, and what he says does not verify.",
                TIMEOUT, &["answers_refused", "tries"],
                "Another program may run at this address, or somebody tampers with what passes."),
            Cause::BadSignature => about("bad_signature", "Who answers cannot prove his identity key.", BAD_CRYPT,
                &["answers_refused", "tries"], "Do not trust this address."),
            Cause::OtherIdentity => about("other_identity", "Another steam id answers at the address.", BAD_CERT,
                &["answers_refused", "tries"], "Give the address of the user you mean: addresses may be out of date."),
            Cause::OtherApp => about("other_app", "The peer runs another app.", BAD_CERT, &["hints", "tries"],
                "Set the same APP_ID on both sides."),
            Cause::OtherVersion => about("other_version", "The peer speaks another version of the wire protocol.",
                ("4006", reason::BAD_VERSION), &["hints", "tries"], "Update the older of the two."),
            Cause::AuthRequiredHere => about("auth_required_here",
                "None of the peer's addresses is on loopback, and here nobody else is let in without a certificate.",
                BAD_CERT, &["known_addresses"], "Name an authority in TRUSTED_AUTHORITIES, or set IP_ALLOW_WITHOUT_AUTH to 1, on both sides."),
            Cause::AuthRequiredThere => about("auth_required_there", "The peer does not let us in: it wants a certificate, or does not trust ours; its text says which.",
                BAD_CERT, &["ended_ms_ago"], "Show a certificate of an authority that the peer trusts, or set IP_ALLOW_WITHOUT_AUTH to 1 there."),
            Cause::CertificateRefused => about("certificate_refused", "The peer's certificate is not accepted here.",
                ("4003, 4006", reason::BAD_CERT), &[], "The sentence says what is wrong with it: expired, another user, an unknown authority."),
            Cause::Unconfirmed => about("unconfirmed",
                "The peer answered, but does not confirm the end of the handshake: its requests are full, or it was lost.",
                TIMEOUT, &["waited_ms", "gives_up_in_ms"],
                "Does the peer's app take its requests? They may be full (MAX_PENDING_REQUESTS). Else look at the line."),
            Cause::NoPath => about("no_path", "Both have answered by signals, and no datagram comes through between them.",
                ("5008", reason::RENDEZVOUS), &["ways", "ways_proven"],
                "Give both sides a relay that they can reach (P2P_TURN_SERVER_LIST, or the server's own)."),
            Cause::PeerDeciding => about("peer_deciding", "The peer is reached; its app has not accepted yet.", TIMEOUT,
                &["waited_ms", "gives_up_in_ms"], "The peer's app has to call snm_accept_session_with_user, or send."),
            Cause::AppDeciding => about("app_deciding", "The peer waits; this app has not accepted yet.", GONE,
                &["waited_ms", "heard_ms_ago"], "Call snm_accept_session_with_user, send, or close the session."),
            Cause::RequestWithdrawn => about("request_withdrawn", "The peer gave up before this app accepted.", GONE,
                &["ended_ms_ago"], "Accept sooner: requests wait as long as the peer does (its TIMEOUT_INITIAL)."),
            Cause::RejectedByPeer => about("rejected_by_peer", "The peer's app closed the session instead of accepting.",
                WISH, &["ended_ms_ago"], "The peer does not want to talk: ask its player."),
            Cause::MessageTooLarge => about("message_too_large", "A queued message is larger than the peer takes.", GENERIC,
                &["ended_ms_ago"], "Send smaller messages, or raise RECV_MAX_MESSAGE_SIZE on the peer."),
            Cause::Connected => about("connected", "Messages flow; nothing holds them up.", LIVE,
                &["rtt_us", "silent_ms", "send_rate"], "Nothing."),
            Cause::Challenged => about("challenged",
                "Somebody new has this steam id; the peer is asked whether it is still there.", LIVE, &["silent_ms"],
                "Wait a second: a restarted peer asks anew, a second device is refused."),
            Cause::Silent => about("silent", "The peer is connected, and nothing comes from it any more.", TIMEOUT,
                &["silent_ms", "pings_unanswered"],
                "The line is cut, or the peer's process hangs or died. After TIMEOUT_CONNECTED the session fails."),
            Cause::Undecryptable => about("undecryptable", "Packets come, and none of them opens.", TIMEOUT,
                &["undecryptable_since_heard", "silent_ms"], "Somebody tampers with what passes, or forges it."),
            Cause::AppNotReading => about("app_not_reading",
                "The peer has to wait: this app does not read what has arrived.", LIVE, &["unread_bytes", "unread_messages"],
                "Receive on every channel that is used, each frame; or raise RECV_BUFFER_SIZE."),
            Cause::PeerNotReading => about("peer_not_reading",
                "Messages wait: the peer's app does not read what has arrived there.", LIVE,
                &["channels_blocked", "pending_reliable", "send_buffer_used"], "Have the peer's app receive on this channel."),
            Cause::Lossy => about("lossy", "Messages wait: the line loses packets.", LIVE,
                &["loss_percent", "lost_packets", "queue_us"], "Send less; use unreliable messages for what is soon outdated."),
            Cause::SlowLink => about("slow_link", "Messages wait: the line carries less than the app sends.", LIVE,
                &["send_rate", "queue_us", "send_buffer_used"], "Send less, or less often; look at queue_time before sending."),
            Cause::Nagle => about("nagle", "A small message waits for company.", LIVE, &["nagle_us"],
                "Use NO_NAGLE, or snm_flush_messages_to_user, for what cannot wait NAGLE_TIME."),
            Cause::ClosedHere => about("closed_here", "This app closed the session.", GONE, &["ended_ms_ago"], "Nothing."),
            Cause::ClosedByPeer => about("closed_by_peer", "The peer's app closed the session; nothing was lost.", GONE,
                &["ended_ms_ago"], "Nothing."),
            Cause::DataLost => about("data_lost", "The peer's app closed the session before all reliable messages had arrived.",
                WISH, &["ended_ms_ago"], "Agree on an end before closing, or set CLOSE_FLUSH on the side that closes."),
            Cause::Idle => about("idle", "Nobody used the session for SESSION_IDLE_TIMEOUT.", GONE, &["ended_ms_ago"],
                "Nothing: the next message opens a new one."),
            Cause::IdleUnanswered => about("idle_unanswered", "The peer does not answer whether the idle session may end.",
                TIMEOUT, &["ended_ms_ago"], "The peer's library is at fault."),
            Cause::RefusedByPeer => about("refused_by_peer", "The peer ended the session for a fault; its text says which.",
                ("the peer's, 3000 to 5999", reason::GENERIC), &["ended_ms_ago"], "Read end_debug; look at the peer's log."),
            Cause::Violation => about("peer_broke_protocol", "The peer sent what the protocol forbids.", GENERIC,
                &["ended_ms_ago"], "Another version, or another library, runs there: read end_debug."),
            Cause::Ignored => about("nothing_acknowledged", "The peer acknowledged none of 65,536 packets.", GENERIC,
                &["ended_ms_ago"], "The peer's library is at fault."),
            Cause::KeyWornOut => about("key_worn_out",
                "The key has sealed as much as it may, and the peer confirmed no newer one.", BAD_CRYPT, &["ended_ms_ago"],
                "The peer's library is at fault."),
            Cause::Forged => about("forged_packets", "So many forged packets came that the cipher is not safe any more.",
                BAD_CRYPT, &["ended_ms_ago"], "The peer is under attack; connect anew."),
            Cause::PeerForgot => about("peer_forgot", "The peer runs, and knows nothing of the session.", NO_CONNECTION,
                &["ended_ms_ago"], "It was restarted: send with AUTO_RESTART, or close and send again."),
            Cause::PeerRestarted => about("peer_restarted", "The peer was restarted and asks for a new session.", NO_CONNECTION,
                &["ended_ms_ago"], "Accept the new request; send again what it had not acknowledged."),
        }
    }

    /// The word a program may look at. It never changes.
    pub fn word(self) -> &'static str {
        self.about().word
    }

    /// What it means, in one sentence for whoever does not know the session.
    pub fn meaning(self) -> &'static str {
        self.about().means
    }

    /// The end reason of a session that fails by it, 0 when none does.
    pub fn reason(self) -> i32 {
        self.about().reason
    }

    /// How a session that ends by it ends, for the page.
    pub fn ends(self) -> &'static str {
        self.about().ends
    }

    /// The fields of the evidence that tell most.
    pub fn evidence(self) -> &'static [&'static str] {
        self.about().evidence
    }

    /// What the game's developer can do.
    pub fn advice(self) -> &'static str {
        self.about().advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_listed_once_where_it_stands_and_has_a_word_of_its_own() {
        for (n, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, n, "{cause:?}");
            let word = cause.word();
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{word}");
            assert!(Cause::ALL[..n].iter().all(|other| other.word() != word), "{word} twice");
        }
        assert_eq!(Cause::ALL.len(), Cause::PeerRestarted as usize + 1);
    }
}
