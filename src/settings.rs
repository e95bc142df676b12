//! What one session runs with: the endpoint's configuration with the peer's overrides applied.

use crate::time::Duration;

/// The resolved settings of one session. Defaults are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Bytes that may wait to be sent, per session. `SEND_BUFFER_SIZE`
    pub send_buffer_size: u32,
    /// Lower bound of the rate estimate, bytes per second. `SEND_RATE_MIN`
    pub send_rate_min: u64,
    /// Upper bound of the rate estimate, bytes per second; 0 for none. `SEND_RATE_MAX`
    pub send_rate_max: u64,
    /// Upper bound of a datagram's UDP payload, bytes; 0 to leave it to the library. `MTU_PACKET_SIZE`
    pub mtu_packet_size: u16,
    /// Shown in info and messages. `CONNECTION_USER_DATA`
    pub user_data: i64,
    /// How long a small message may wait for company. `NAGLE_TIME`
    pub nagle_time: Duration,
    /// Peers without a certificate may enter from anywhere. `IP_ALLOW_WITHOUT_AUTH`
    pub allow_without_auth: bool,
    /// Peers without a certificate may enter from loopback; unset, while no authority is known.
    /// `IP_LOCALHOST_ALLOW_WITHOUT_AUTH`
    pub localhost_allow_without_auth: Option<bool>,
    /// A session not connected by then has failed. `TIMEOUT_INITIAL`
    pub timeout_initial: Duration,
    /// A connected peer silent for so long has failed. `TIMEOUT_CONNECTED`
    pub timeout_connected: Duration,
    /// Bytes of reliable messages a peer may have started and we not read. `RECV_BUFFER_SIZE`
    pub recv_buffer_size: u32,
    /// Reliable messages a peer may have started and we not read. `RECV_BUFFER_MESSAGES`
    pub recv_buffer_messages: u32,
    /// Largest message accepted, bytes. `RECV_MAX_MESSAGE_SIZE`
    pub recv_max_message_size: u32,
    /// A session unused for so long ends by agreement. `SESSION_IDLE_TIMEOUT`
    pub session_idle_timeout: Duration,
    /// How long closing may go on delivering queued reliable data. `CLOSE_FLUSH`
    pub close_flush: Duration,
    /// Unreliable messages sent before the connection stands stay unreliable. `EARLY_UNRELIABLE`
    pub early_unreliable: bool,
    /// Ways the session may take, bits: 1 relay, 2 private, 4 public addresses. `P2P_TRANSPORT_ICE_ENABLE`
    pub transports: i32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            send_buffer_size: 524_288,
            send_rate_min: 16_384,
            send_rate_max: 0,
            mtu_packet_size: 0,
            user_data: 0,
            nagle_time: Duration::from_micros(5_000),
            allow_without_auth: false,
            localhost_allow_without_auth: None,
            timeout_initial: Duration::from_millis(10_000),
            timeout_connected: Duration::from_millis(10_000),
            recv_buffer_size: 1_048_576,
            recv_buffer_messages: 1_000,
            recv_max_message_size: 524_288,
            session_idle_timeout: Duration::from_millis(180_000),
            close_flush: Duration::ZERO,
            early_unreliable: false,
            transports: 0x7fff_ffff,
        }
    }
}
