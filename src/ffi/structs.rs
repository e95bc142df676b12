//! The structures of the C header: layouts that never change, checked at compile time for 32 and 64 bit.

use super::pointers::{OutStruct, text_array};
use crate::endpoint::mailbox::Message;
use crate::endpoint::{SessionInfo, SessionStatus};
use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};

/// A received message. Read only; it belongs to the library until snm_message_release, which may be called
/// from any thread, also after the session or the endpoint is gone.
#[repr(C)]
pub struct snm_message {
    /// The sender's steam id, authenticated.
    pub identity: u64,
    /// SNM_CONFIG_CONNECTION_USER_DATA of the session.
    pub receiver_user_data: i64,
    /// When the packet that completed it arrived: microseconds, clock of snm_time_now().
    pub time_received: i64,
    /// From 1, for each channel and each reliability, within one session.
    pub message_number: i64,
    /// Always 0.
    pub sender_user_data: i64,
    /// The channel it was sent on.
    pub channel: i32,
    /// SNM_SEND_RELIABLE or 0.
    pub flags: i32,
    /// Bytes at payload, 0 to 524288.
    pub size: u32,
    /// Always 0, as Steam's.
    pub connection: u32,
    /// The bytes; never NULL, not even for an empty message.
    pub payload: *const u8,
    /// Always 0.
    pub reserved: usize,
}

/// What is known of a session. Set struct_size, or start from SNM_CONNECTION_INFO_INIT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct snm_connection_info {
    /// sizeof(snm_connection_info), set by the caller; no more than that is written.
    pub struct_size: u32,
    /// One of SNM_STATE_.
    pub connection_state: i32,
    /// The other side's steam id; 0 without a session.
    pub identity: u64,
    /// SNM_CONFIG_CONNECTION_USER_DATA.
    pub user_data: i64,
    /// Always 0.
    pub listen_socket: u32,
    /// The point of presence of the peer's relay, up to four letters as in Steam's API; 0 without one.
    pub remote_pop: u32,
    /// The same of our relay.
    pub pop_relay: u32,
    /// Why it ended: one of SNM_END_, 0 while alive.
    pub end_reason: i32,
    /// Bits of SNM_INFO_.
    pub info_flags: u32,
    /// Where its datagrams go: "203.0.113.5:27015", "[2001:db8::1]:27015", or "" while unknown.
    pub remote_address: [c_char; 64],
    /// The text of whoever ended it.
    pub end_debug: [c_char; 128],
    /// For logs; the format may change.
    pub debug_description: [c_char; 128],
    /// 0.
    pub reserved: u32,
}

/// How a session fares, measured. Set struct_size, or start from SNM_REALTIME_STATUS_INIT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct snm_realtime_status {
    /// sizeof(snm_realtime_status), set by the caller; no more than that is written.
    pub struct_size: u32,
    /// One of SNM_STATE_.
    pub state: i32,
    /// Round trip, milliseconds; -1 unknown.
    pub ping: i32,
    /// Share of packets that arrive here in order and once, 0 to 1; -1 unknown.
    pub local_quality: f32,
    /// The same as the other side measures it.
    pub remote_quality: f32,
    /// Packets sent per second, lately.
    pub packets_out_per_second: f32,
    /// UDP payload bytes sent per second, lately.
    pub bytes_out_per_second: f32,
    /// Packets received per second, lately.
    pub packets_in_per_second: f32,
    /// UDP payload bytes received per second, lately.
    pub bytes_in_per_second: f32,
    /// Bytes per second the path is estimated to carry.
    pub send_rate: i32,
    /// Bytes of unreliable messages not sent yet.
    pub pending_unreliable: i32,
    /// Bytes of reliable messages not sent yet, or to be sent again.
    pub pending_reliable: i32,
    /// Bytes of reliable messages sent and not acknowledged yet.
    pub send_unacknowledged_reliable: i32,
    /// 0.
    pub reserved0: i32,
    /// How long a message sent now would wait, microseconds; UINT64_MAX when not connected.
    pub queue_time: u64,
    /// Most jitter since this was last read, microseconds; -1 unknown.
    pub max_jitter: i32,
    /// 0.
    pub reserved1: i32,
}

/// One message of snm_send_messages.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct snm_outgoing_message {
    /// To whom.
    pub remote_steam_id: u64,
    /// Bytes at payload.
    pub size: u32,
    /// Bits of SNM_SEND_.
    pub flags: i32,
    /// On which channel.
    pub channel: i32,
    /// Set to 0.
    pub reserved: u32,
    /// The bytes; copied before the call returns.
    pub payload: *const c_void,
    /// Set to 0.
    pub reserved_pointer: usize,
}

/// Something that happened. Set struct_size, or start from SNM_EVENT_INIT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct snm_event {
    /// sizeof(snm_event), set by the caller; no more than that is written.
    pub struct_size: u32,
    /// One of SNM_EVENT_.
    pub r#type: i32,
    /// Whom it is about.
    pub remote_steam_id: u64,
    /// SESSION_FAILED: one of SNM_END_; else 0.
    pub reason: i32,
    /// SESSION_FAILED: SNM_STATE_CLOSED_BY_PEER or SNM_STATE_PROBLEM_DETECTED_LOCALLY; else 0.
    pub connection_state: i32,
    /// SESSION_FAILED: for logs; else "".
    pub debug_message: [c_char; 128],
}

// SAFETY: repr(C), struct_size first, no padding (asserted below), integers and characters only.
unsafe impl OutStruct for snm_connection_info {
    const FIRST_SIZE: usize = 368;
    const NAME: &'static str = "snm_connection_info";
}

// SAFETY: repr(C), struct_size first, no padding (asserted below), numbers only.
unsafe impl OutStruct for snm_realtime_status {
    const FIRST_SIZE: usize = 72;
    const NAME: &'static str = "snm_realtime_status";
}

// SAFETY: repr(C), struct_size first, no padding (asserted below), integers and characters only.
unsafe impl OutStruct for snm_event {
    const FIRST_SIZE: usize = 152;
    const NAME: &'static str = "snm_event";
}

// The layout is the contract. Everything before the first pointer lies alike on every machine.
const _: () = {
    assert!(offset_of!(snm_message, channel) == 40 && offset_of!(snm_message, size) == 48);
    assert!(offset_of!(snm_message, payload) == 56);
    assert!(offset_of!(snm_message, reserved) == 56 + size_of::<usize>());
    assert!(size_of::<snm_message>() == 56 + 2 * size_of::<usize>());
    assert!(offset_of!(snm_connection_info, identity) == 8 && offset_of!(snm_connection_info, end_reason) == 36);
    assert!(offset_of!(snm_connection_info, remote_address) == 44 && offset_of!(snm_connection_info, end_debug) == 108);
    assert!(offset_of!(snm_connection_info, debug_description) == 236 && size_of::<snm_connection_info>() == 368);
    assert!(offset_of!(snm_realtime_status, send_rate) == 36 && offset_of!(snm_realtime_status, queue_time) == 56);
    assert!(offset_of!(snm_realtime_status, max_jitter) == 64 && size_of::<snm_realtime_status>() == 72);
    assert!(offset_of!(snm_outgoing_message, channel) == 16 && offset_of!(snm_outgoing_message, payload) == 24);
    assert!(size_of::<snm_outgoing_message>() == 24 + 2 * size_of::<usize>());
    assert!(offset_of!(snm_event, remote_steam_id) == 8 && offset_of!(snm_event, debug_message) == 24);
    assert!(size_of::<snm_event>() == 152);
};

/// A message as the app holds it: what it sees first, what owns the bytes behind.
#[repr(C)]
pub struct OwnedMessage {
    public: snm_message,
    _payload: Box<[u8]>,
}

/// What an empty message's payload points to.
static NOTHING: u8 = 0;

impl OwnedMessage {
    /// Gives a received message to the app; [`OwnedMessage::release`] takes it back.
    pub fn hand_out(message: Message) -> *mut snm_message {
        let payload = if message.payload.is_empty() { &raw const NOTHING } else { message.payload.as_ptr() };
        let owned = Box::new(OwnedMessage {
            public: snm_message {
                identity: message.from.0,
                receiver_user_data: message.user_data,
                time_received: message.received.as_micros() as i64,
                message_number: message.number as i64,
                sender_user_data: 0,
                channel: message.channel.0,
                flags: if message.reliable { crate::endpoint::flags::RELIABLE } else { 0 },
                size: message.payload.len() as u32, // at most 524288, or it was not received
                connection: 0,
                payload,
                reserved: 0,
            },
            _payload: message.payload,
        });
        Box::into_raw(owned).cast()
    }

    /// Frees it.
    ///
    /// # Safety
    /// `message` is NULL or comes from [`OwnedMessage::hand_out`] and was not released before.
    pub unsafe fn release(message: *mut snm_message) {
        if !message.is_null() {
            // SAFETY: it points to the first field of such a box, and `OwnedMessage` is repr(C).
            drop(unsafe { Box::from_raw(message.cast::<OwnedMessage>()) });
        }
    }
}

impl From<&SessionInfo> for snm_connection_info {
    fn from(info: &SessionInfo) -> snm_connection_info {
        snm_connection_info {
            struct_size: 0,
            connection_state: info.state,
            identity: info.identity,
            user_data: info.user_data,
            listen_socket: 0,
            remote_pop: info.pops.0,
            pop_relay: info.pops.1,
            end_reason: info.end_reason,
            info_flags: info.info_flags,
            remote_address: text_array(&info.remote_address.map(|address| address.to_string()).unwrap_or_default()),
            end_debug: text_array(&info.end_debug),
            debug_description: text_array(&info.debug_description),
            reserved: 0,
        }
    }
}

impl From<&SessionStatus> for snm_realtime_status {
    fn from(status: &SessionStatus) -> snm_realtime_status {
        snm_realtime_status {
            struct_size: 0,
            state: 0,
            ping: status.ping,
            local_quality: status.local_quality,
            remote_quality: status.remote_quality,
            packets_out_per_second: status.packets_out_per_second,
            bytes_out_per_second: status.bytes_out_per_second,
            packets_in_per_second: status.packets_in_per_second,
            bytes_in_per_second: status.bytes_in_per_second,
            send_rate: status.send_rate,
            pending_unreliable: status.pending_unreliable,
            pending_reliable: status.pending_reliable,
            send_unacknowledged_reliable: status.send_unacknowledged_reliable,
            reserved0: 0,
            queue_time: status.queue_time,
            max_jitter: status.max_jitter,
            reserved1: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Channel, SteamId};
    use crate::time::Instant;

    fn message(payload: &[u8]) -> Message {
        let received = Instant::from_nanos(3_000_000_000_000_000_999);
        let payload = payload.into();
        Message { from: SteamId(7), user_data: -5, received, number: 3, channel: Channel(-2), reliable: true, payload }
    }

    #[test]
    fn a_message_reaches_the_app_field_by_field() {
        let given = OwnedMessage::hand_out(message(b"abc"));
        // SAFETY: just handed out; released once, after its last use.
        unsafe {
            let seen = &*given;
            assert_eq!((seen.identity, seen.receiver_user_data, seen.message_number), (7, -5, 3));
            assert_eq!((seen.channel, seen.flags, seen.size), (-2, 8, 3));
            assert_eq!(seen.time_received, 3_000_000_000_000_000);
            assert_eq!((seen.sender_user_data, seen.connection, seen.reserved), (0, 0, 0));
            assert_eq!(std::slice::from_raw_parts(seen.payload, 3), b"abc");
            OwnedMessage::release(given);
            OwnedMessage::release(std::ptr::null_mut());
        }
    }

    #[test]
    fn an_empty_message_points_somewhere_all_the_same() {
        let given = OwnedMessage::hand_out(message(b""));
        // SAFETY: just handed out; released once, after its last use.
        unsafe {
            assert_eq!((*given).size, 0);
            assert_eq!((*given).payload, &raw const NOTHING);
            OwnedMessage::release(given);
        }
    }
}
