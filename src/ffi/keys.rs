//! The numbers of the config keys. What they mean, their ranges and lives: `endpoint/config.rs`.

/// Names a setting: one of SNM_CONFIG_. Steam's numbers where Steam has the option; ours start at 10000.
pub type snm_config_key = i32;

/// Percent of datagrams lost on the way out, to test with. Float, 0 to 100, default 0 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_LOSS_SEND: i32 = 2;
/// Percent lost on the way in. Float, 0 to 100, default 0 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_LOSS_RECV: i32 = 3;
/// Delay added on the way out. Int, 0 to 5000, default 0 (milliseconds, as Steam bounds injected delays).
pub const SNM_CONFIG_FAKE_PACKET_LAG_SEND: i32 = 4;
/// Delay added on the way in. Int, 0 to 5000, default 0 (milliseconds, as Steam bounds injected delays).
pub const SNM_CONFIG_FAKE_PACKET_LAG_RECV: i32 = 5;
/// Percent held back on the way out, so that later ones overtake. Float, 0 to 100, default 0 (it is a
/// percentage).
pub const SNM_CONFIG_FAKE_PACKET_REORDER_SEND: i32 = 6;
/// Percent held back on the way in. Float, 0 to 100, default 0 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_REORDER_RECV: i32 = 7;
/// How long those are held back, both ways. Int, 0 to 5000, default 15 (milliseconds, as Steam bounds
/// injected delays).
pub const SNM_CONFIG_FAKE_PACKET_REORDER_TIME: i32 = 8;
/// Percent duplicated on the way out. Float, 0 to 100, default 0 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_DUP_SEND: i32 = 26;
/// Percent duplicated on the way in. Float, 0 to 100, default 0 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_DUP_RECV: i32 = 27;
/// Most a duplicate comes later, both ways. Int, 0 to 5000, default 10 (milliseconds, as Steam bounds
/// injected delays).
pub const SNM_CONFIG_FAKE_PACKET_DUP_TIME_MAX: i32 = 28;
/// Rate let out. Int, 0 to 2147483647, default 0 (bytes per second, 0 for no limit).
pub const SNM_CONFIG_FAKE_RATE_LIMIT_SEND_RATE: i32 = 42;
/// Bytes let out at once above that rate. Int, 0 to 2147483647, default 16384 (bytes).
pub const SNM_CONFIG_FAKE_RATE_LIMIT_SEND_BURST: i32 = 43;
/// Rate let in. Int, 0 to 2147483647, default 0 (bytes per second, 0 for no limit).
pub const SNM_CONFIG_FAKE_RATE_LIMIT_RECV_RATE: i32 = 44;
/// Bytes let in at once above that rate. Int, 0 to 2147483647, default 16384 (bytes).
pub const SNM_CONFIG_FAKE_RATE_LIMIT_RECV_BURST: i32 = 45;
/// Mean of random delay added on the way out, milliseconds. Float, 0 to 5000, default 0 (milliseconds, as
/// Steam bounds injected delays).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_SEND_AVG: i32 = 53;
/// Most of it for one datagram. Float, 0 to 5000, default 100 (milliseconds, as Steam bounds injected
/// delays).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_SEND_MAX: i32 = 54;
/// Percent of datagrams that get any. Float, 0 to 100, default 75 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_SEND_PCT: i32 = 55;
/// Mean of random delay added on the way in, milliseconds. Float, 0 to 5000, default 0 (milliseconds, as
/// Steam bounds injected delays).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_RECV_AVG: i32 = 56;
/// Most of it for one datagram. Float, 0 to 5000, default 100 (milliseconds, as Steam bounds injected
/// delays).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_RECV_MAX: i32 = 57;
/// Percent of datagrams that get any. Float, 0 to 100, default 75 (it is a percentage).
pub const SNM_CONFIG_FAKE_PACKET_JITTER_RECV_PCT: i32 = 58;
/// Mean length of a burst of losses on the way out; 1 for independent losses. Float, 1 to 1000, default 1
/// (a mean burst length in packets).
pub const SNM_CONFIG_FAKE_PACKET_BURST_LOSS_SEND: i32 = 10_013;
/// Mean length of a burst of losses on the way in. Float, 1 to 1000, default 1 (a mean burst length in
/// packets).
pub const SNM_CONFIG_FAKE_PACKET_BURST_LOSS_RECV: i32 = 10_014;
/// Makes injected faults repeatable. Int, any, default 0 (random).
pub const SNM_CONFIG_FAKE_NETWORK_SEED: i32 = 10_015;
/// How much may wait to be sent in a session; a send beyond it answers SNM_RESULT_LIMIT_EXCEEDED. Int, 4096
/// to 268435456, default 524288 (bytes a session, Steam's bounds). Also per peer.
pub const SNM_CONFIG_SEND_BUFFER_SIZE: i32 = 9;
/// Lower bound of the estimated rate. Int, 1024 to 268435456, default 16384 (bytes per second, Steam's
/// bounds). Also per peer.
pub const SNM_CONFIG_SEND_RATE_MIN: i32 = 10;
/// Upper bound of the estimated rate. Equal to SEND_RATE_MIN it fixes the rate. Int, 0 or 1024 to
/// 268435456, default 0 (bytes per second, 0 for no ceiling). Also per peer.
pub const SNM_CONFIG_SEND_RATE_MAX: i32 = 11;
/// How long a small message may wait for company. Int, 0 to 20000, default 5000 (microseconds, Steam's
/// bounds). Also per peer.
pub const SNM_CONFIG_NAGLE_TIME: i32 = 12;
/// May peers without a trusted certificate enter? Int, 0 to 2, default 0 (0 no, 1 or 2 yes). Also per peer.
pub const SNM_CONFIG_IP_ALLOW_WITHOUT_AUTH: i32 = 23;
/// A session not connected by then has failed. It covers asking and finding a route, each. Int, 1 to
/// 86400000, default 10000 (milliseconds, at most a day). Also per peer.
pub const SNM_CONFIG_TIMEOUT_INITIAL: i32 = 24;
/// A connected peer silent for so long has failed. Int, 1 to 86400000, default 10000 (milliseconds, at most
/// a day). Also per peer.
pub const SNM_CONFIG_TIMEOUT_CONNECTED: i32 = 25;
/// Upper bound of a datagram's UDP payload. Int, 0 or 200 to 9000, default 0 (bytes of UDP payload, 0 to
/// discover freely). Also per peer.
pub const SNM_CONFIG_MTU_PACKET_SIZE: i32 = 32;
/// Shown in snm_connection_info.user_data and snm_message.receiver_user_data. Int, any, default 0. Also per
/// peer.
pub const SNM_CONFIG_CONNECTION_USER_DATA: i32 = 40;
/// Bytes of reliable messages a peer may have sent and we not read. Int, 4096 to 268435456, default 1048576
/// (bytes a session). Also per peer.
pub const SNM_CONFIG_RECV_BUFFER_SIZE: i32 = 47;
/// Reliable messages a peer may have sent and we not read. Int, 1 to 1000000, default 1000 (messages a
/// session; each costs memory even when empty). Also per peer.
pub const SNM_CONFIG_RECV_BUFFER_MESSAGES: i32 = 48;
/// Largest message accepted. Int, 1 to 524288, default 524288 (bytes; no message is larger than 524288).
/// Also per peer.
pub const SNM_CONFIG_RECV_MAX_MESSAGE_SIZE: i32 = 49;
/// May peers on this machine enter without a trusted certificate? Int, 0 to 2, default 1 (0 no, 1 or 2
/// yes). Also per peer. With TRUSTED_AUTHORITIES only if it is set explicitly.
pub const SNM_CONFIG_IP_LOCALHOST_ALLOW_WITHOUT_AUTH: i32 = 52;
/// A session unused (no send, receive or read) for so long ends, by agreement of both sides. Int, 1 to
/// 86400000, default 180000 (milliseconds, at most a day). Also per peer.
pub const SNM_CONFIG_SESSION_IDLE_TIMEOUT: i32 = 10_008;
/// 0: unreliable messages sent before the connection stands go out as reliable ones. 1: they stay
/// unreliable. Int, 0 to 1, default 0 (0 no, 1 yes). Also per peer.
pub const SNM_CONFIG_EARLY_UNRELIABLE: i32 = 10_012;
/// How long closing a session may go on delivering reliable messages already queued. Int, 0 to 60000,
/// default 0 (milliseconds; a closed session may linger a minute at most). Also per peer.
pub const SNM_CONFIG_CLOSE_FLUSH: i32 = 10_017;
/// Who this endpoint is: the 64 bits of a steam id. Required. Int, not 0, required. Fixed when the endpoint
/// is created.
pub const SNM_CONFIG_LOCAL_STEAM_ID: i32 = 10_000;
/// The app. Endpoints of different apps never meet. Int, 0 to 4294967295, default 480 (an app id has 32
/// bits). Fixed when the endpoint is created.
pub const SNM_CONFIG_APP_ID: i32 = 10_001;
/// Where to listen: IP addresses with ports, comma separated, one of each family; port 0 picks a free one.
/// A family the machine lacks is skipped in the default. String, default "0.0.0.0:0,[::]:0". Fixed when the
/// endpoint is created.
pub const SNM_CONFIG_BIND_ADDRESS: i32 = 10_002;
/// The Ed25519 seed this endpoint proves itself with; made afresh when not set. Bytes, exactly 32. Fixed
/// when the endpoint is created.
pub const SNM_CONFIG_IDENTITY_KEY: i32 = 10_003;
/// Where event callbacks run: 0 in snm_run_callbacks, 1 on the endpoint's poll thread. Int, 0 to 1, default
/// 0 (0 in snm_run_callbacks, 1 on the poll thread).
pub const SNM_CONFIG_CALLBACK_MODE: i32 = 10_009;
/// Endpoints of one group share a poll thread; -1 for a thread of its own. Int, -1 to 2147483647, default
/// -1 (the number of a group, -1 for a thread of its own). Fixed when the endpoint is created.
pub const SNM_CONFIG_POLL_GROUP: i32 = 10_010;
/// How many strangers may wait for an accept. Int, 0 to 65536, default 64 (each costs memory on a
/// stranger's word).
pub const SNM_CONFIG_MAX_PENDING_REQUESTS: i32 = 10_011;
/// STUN servers. String, default "". Not in this version: only the default is accepted.
pub const SNM_CONFIG_P2P_STUN_SERVER_LIST: i32 = 103;
/// Which ways a session may take, added up: 1 relays, 2 private and loopback addresses, 4 public addresses. So 1 is
/// relay only (the peer never sees an address of ours), 2 LAN only, 6 direct only, 7 or more relay first and direct as
/// soon as it is proven. Int, 1 to 2147483647, default 2147483647 (bits: 1 relay, 2 private, 4 public addresses). Live and per peer.
pub const SNM_CONFIG_P2P_TRANSPORT_ICE_ENABLE: i32 = 104;
/// Relays, comma separated, eight at most: "turn:host:3478?transport=udp", "turn:host:3478?transport=tcp",
/// "turns:host:5349" (TLS) or "host:3478". Beside those the signaling server names. String, default "" (eight relays at
/// most). Live.
pub const SNM_CONFIG_P2P_TURN_SERVER_LIST: i32 = 107;
/// The user names for these relays, comma separated, by position. String, default "" (one for each relay). Live.
pub const SNM_CONFIG_P2P_TURN_USER_LIST: i32 = 108;
/// The passwords for these relays, comma separated, by position. String, default "" (one for each relay). Live.
pub const SNM_CONFIG_P2P_TURN_PASS_LIST: i32 = 109;
/// Our certificate: an authority's word that LOCAL_STEAM_ID belongs to IDENTITY_KEY, which must be set. Bytes,
/// 133 or none, default none. Live: a renewed certificate is shown from the next handshake on, sessions stay.
pub const SNM_CONFIG_CERTIFICATE: i32 = 10_004;
/// Public keys of the authorities whose certificates we believe: Ed25519, base64url, comma separated, at most
/// 16. With one, only peers whose certificate it signed are let in (but see IP_ALLOW_WITHOUT_AUTH and IP_LOCALHOST_ALLOW_WITHOUT_AUTH). A `!`
/// before a key says that it was revoked: who it certified is refused, and live sessions of such end with
/// reason 4003. String, default "" (nobody proves who he is). Live.
pub const SNM_CONFIG_TRUSTED_AUTHORITIES: i32 = 10_005;
/// The signaling server, through which peers find each other by steam id: "wss://host" or "wss://host:port/path"
/// (the library adds /snm/v0); "ws://…" is not encrypted, for servers on this machine. "" for none: then peers are
/// found by snm_add_peer_address, or by your own signaling. Logging in, being refused and losing the server are told by
/// SNM_EVENT_SIGNALING; the library connects again by itself, and sessions that stand do not need it. Without
/// SNM_CONFIG_TRUSTED_AUTHORITIES, those are trusted that the server announces, but only over wss:// or on
/// this machine. String, default "" (where the signaling server is). Live.
pub const SNM_CONFIG_SIGNALING_URL: i32 = 10_006;
/// Look for peers on the local network? Int, default 0. Not in this version: only the default is accepted.
pub const SNM_CONFIG_LAN_DISCOVERY: i32 = 10_007;
/// The token shown to the signaling server: a JWT of your backend's that says which steam id we may use. Set it
/// again before it expires, or when a login was refused: the server hears of it at once. String, default "" (a login is
/// a message of 8 KiB at most). Live.
pub const SNM_CONFIG_LOGIN_TOKEN: i32 = 10_016;
/// A file of certificates in PEM, that wss:// and turns: servers may be certified by, beside those the world
/// trusts: for a server with a certificate of your own making. Read when connecting. String, default "" (the path
/// of a file). Live.
pub const SNM_CONFIG_SIGNALING_CA: i32 = 10_018;

#[cfg(test)]
mod tests {
    use crate::endpoint::config::KEYS;

    #[test]
    fn the_header_names_every_key_of_the_table_with_its_number_and_no_other() {
        let mut declared: Vec<(String, i32)> = include_str!("keys.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("pub const SNM_CONFIG_")?.split_once(": i32 = "))
            .map(|(name, number)| {
                (name.to_owned(), number.trim_end_matches(';').replace('_', "").parse().expect("a number"))
            })
            .collect();
        let mut known: Vec<(String, i32)> = KEYS.iter().map(|key| (key.name.to_owned(), key.number)).collect();
        declared.sort();
        known.sort();
        assert_eq!(declared, known);
    }
}
