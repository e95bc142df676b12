//! This library, by the C functions of the built shared object and nothing else.
//!
//! "ours" has the default settings, "ours-tuned" larger buffers, as a program would set that sends thousands of messages
//! at once.
//!
//! A session is a pair of steam ids, so a client of many sessions is as many endpoints, some dozens on a poll thread
//! (which looks at each of its endpoints in turn); the server is one endpoint in any case. Channel 0 has the higher
//! priority.
#![allow(unsafe_code)]

use super::{About, Incoming, Kind, Outgoing, Role, Sent, SessionId, Transport};
use libloading::Library;
use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Names the shared object to measure, instead of the one that lies beside this program.
pub const LIBRARY: &str = "SNM_BENCH_LIBRARY";

const SERVER: u64 = 1;
const FIRST_CLIENT: u64 = 1_000;

const OK: i32 = 1;
const LIMIT_EXCEEDED: i32 = 25;
const STATE_CONNECTED: i32 = 3;
const SEND_NO_NAGLE: i32 = 1;
const SEND_RELIABLE: i32 = 8;
const EVENT_SESSION_REQUEST: i32 = 1;
const EVENT_SESSION_FAILED: i32 = 2;
const CONFIG_SEND_BUFFER_SIZE: i32 = 9;
const CONFIG_RECV_BUFFER_SIZE: i32 = 47;
const CONFIG_RECV_BUFFER_MESSAGES: i32 = 48;
const CONFIG_LOCAL_STEAM_ID: i32 = 10_000;
const CONFIG_BIND_ADDRESS: i32 = 10_002;
const CONFIG_POLL_GROUP: i32 = 10_010;

/// What "ours-tuned" sets.
const TUNED: [(i32, i64); 3] =
    [(CONFIG_SEND_BUFFER_SIZE, 8 << 20), (CONFIG_RECV_BUFFER_SIZE, 32 << 20), (CONFIG_RECV_BUFFER_MESSAGES, 65_536)];

/// How often many endpoints are looked at in turn, for there is no waiting for several at once.
const ROUND: Duration = Duration::from_millis(2);

/// Endpoints that are looked at in one poll, or a sixteenth of all.
const MOST_IN_TURN: usize = 64;

/// Endpoints of a client that share a poll thread.
const ENDPOINTS_A_THREAD: u64 = 64;

/// Messages taken with one call.
const BATCH: usize = 256;

/// Messages taken in one poll at most, of each channel.
const MOST_AT_ONCE: usize = 4_096;

/// `snm_message`; a test holds it to the header's.
#[repr(C)]
struct Message {
    identity: u64,
    receiver_user_data: i64,
    time_received: i64,
    message_number: i64,
    sender_user_data: i64,
    channel: i32,
    flags: i32,
    size: u32,
    connection: u32,
    payload: *const u8,
    reserved: usize,
}

/// `snm_realtime_status`.
#[repr(C)]
struct Status {
    struct_size: u32,
    state: i32,
    ping: i32,
    qualities_and_rates: [f32; 6],
    send_rate: i32,
    pending_unreliable: i32,
    pending_reliable: i32,
    send_unacknowledged_reliable: i32,
    reserved0: i32,
    queue_time: u64,
    max_jitter: i32,
    reserved1: i32,
}

/// `snm_event`.
#[repr(C)]
struct Event {
    struct_size: u32,
    kind: i32,
    remote_steam_id: u64,
    reason: i32,
    connection_state: i32,
    debug_message: [c_char; 128],
}

/// An `snm_endpoint *`: never looked behind, never freed twice.
type Handle = *mut c_void;

/// The functions used here, as the header declares them.
macro_rules! functions {
    ($($name:ident: fn($($arg:ty),*) $(-> $out:ty)?;)*) => {
        struct Api {
            $($name: unsafe extern "C" fn($($arg),*) $(-> $out)?,)*
            /// Kept, so that what the pointers point to stays.
            _library: Library,
        }

        impl Api {
            fn load(path: &std::path::Path) -> Result<Api, libloading::Error> {
                // SAFETY: it is the library of this tree, whose loading runs no code of ours, and the types are those
                // of its header.
                unsafe {
                    let library = Library::new(path)?;
                    Ok(Api { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* _library: library })
                }
            }
        }
    };
}

functions! {
    snm_config_create: fn() -> *mut c_void;
    snm_config_destroy: fn(*mut c_void);
    snm_config_set_int: fn(*mut c_void, i32, i64) -> i32;
    snm_config_set_string: fn(*mut c_void, i32, *const c_char) -> i32;
    snm_endpoint_create: fn(*const c_void, *mut Handle) -> i32;
    snm_shutdown_all: fn();
    snm_endpoint_destroy: fn(Handle);
    snm_endpoint_local_address: fn(Handle, *mut c_char, u32) -> i32;
    snm_add_peer_address: fn(Handle, u64, *const c_char) -> i32;
    snm_set_channel_priority: fn(Handle, i32, i32) -> i32;
    snm_accept_session_with_user: fn(Handle, u64) -> u8;
    snm_send_message_to_user: fn(Handle, u64, *const c_void, u32, i32, i32) -> i32;
    snm_flush_messages_to_user: fn(Handle, u64) -> i32;
    snm_receive_messages_on_channel: fn(Handle, i32, *mut *mut Message, i32) -> i32;
    snm_messages_release: fn(*mut *mut Message, i32);
    snm_wait: fn(Handle, i32) -> i32;
    snm_poll_event: fn(Handle, *mut Event) -> i32;
    snm_get_session_connection_info: fn(Handle, u64, *mut c_void, *mut Status) -> i32;
    snm_last_error: fn() -> *const c_char;
    snm_version: fn() -> u32;
}

struct Ours {
    api: Api,
    tuned: bool,
    serves: bool,
    /// The server's one, or one a session.
    endpoints: Vec<Handle>,
    /// The server's sessions: the peer's steam id.
    peers: Vec<u64>,
    /// Where in `peers` a client is, by its steam id from `FIRST_CLIENT` on.
    sessions: Vec<Option<SessionId>>,
    batch: Vec<*mut Message>,
    /// Whose turn it is.
    next: usize,
}

/// Where the shared object is: named, or beside this program, or beside the program's folder (as for tests).
fn library() -> io::Result<PathBuf> {
    if let Some(named) = std::env::var_os(LIBRARY) {
        return Ok(named.into());
    }
    let program = std::env::current_exe()?;
    let folders = program.ancestors().skip(1).take(2);
    let mut places = folders.flat_map(|folder| [folder.to_owned(), folder.join("deps")]);
    let found = places.find_map(|place| Some(place.join("libsteamnetmsg.so")).filter(|path| path.exists()));
    found.ok_or(Error::new(ErrorKind::NotFound, "there is no libsteamnetmsg.so: build it with `make lib`"))
}

/// Opens one end.
pub fn open(role: Role, tuned: bool) -> io::Result<Box<dyn Transport>> {
    let path = library()?;
    let api = Api::load(&path).map_err(|error| Error::other(format!("{}: {error}", path.display())))?;
    let mut ours = Ours {
        api,
        tuned,
        serves: matches!(role, Role::Server(_)),
        endpoints: Vec::new(),
        peers: Vec::new(),
        sessions: Vec::new(),
        batch: vec![std::ptr::null_mut(); BATCH],
        next: 0,
    };
    if let Role::Server(listen) = role {
        let endpoint = ours.endpoint(SERVER, listen, -1)?;
        ours.endpoints.push(endpoint);
    }
    Ok(Box::new(ours))
}

impl Ours {
    /// A new endpoint, bound to an address.
    fn endpoint(&self, steam_id: u64, bind: SocketAddr, poll_group: i64) -> io::Result<Handle> {
        let api = &self.api;
        let bind = CString::new(bind.to_string())?;
        let mut endpoint = std::ptr::null_mut();
        // SAFETY: the functions of the header; every pointer is to something that lives through the call.
        unsafe {
            let config = (api.snm_config_create)();
            let own = [(CONFIG_LOCAL_STEAM_ID, steam_id as i64), (CONFIG_POLL_GROUP, poll_group)];
            for (key, value) in own.into_iter().chain(TUNED.into_iter().filter(|_| self.tuned)) {
                self.check((api.snm_config_set_int)(config, key, value))?;
            }
            self.check((api.snm_config_set_string)(config, CONFIG_BIND_ADDRESS, bind.as_ptr()))?;
            self.check((api.snm_endpoint_create)(config, &mut endpoint))?;
            (api.snm_config_destroy)(config);
            self.check((api.snm_set_channel_priority)(endpoint, 0, 1))?;
        }
        Ok(endpoint)
    }

    fn check(&self, answer: i32) -> io::Result<()> {
        if answer == OK {
            return Ok(());
        }
        // SAFETY: never NULL, and a text until the next refused call of this thread.
        let text = unsafe { CStr::from_ptr((self.api.snm_last_error)()) };
        Err(Error::other(format!("steamnetmsg answers {answer}: {}", text.to_string_lossy())))
    }

    /// The endpoint of a session, and the steam id at its other end.
    fn ends(&self, session: SessionId) -> Option<(Handle, u64)> {
        if self.serves {
            Some((self.endpoints[0], *self.peers.get(session)?))
        } else {
            Some((*self.endpoints.get(session)?, SERVER))
        }
    }

    fn status(&self, session: SessionId) -> Option<Status> {
        let (endpoint, peer) = self.ends(session)?;
        let mut status = Status {
            struct_size: size_of::<Status>() as u32,
            state: 0,
            ping: 0,
            qualities_and_rates: [0.0; 6],
            send_rate: 0,
            pending_unreliable: 0,
            pending_reliable: 0,
            send_unacknowledged_reliable: 0,
            reserved0: 0,
            queue_time: 0,
            max_jitter: 0,
            reserved1: 0,
        };
        // SAFETY: the status is as large as it says; the information may be NULL.
        unsafe {
            (self.api.snm_get_session_connection_info)(endpoint, peer, std::ptr::null_mut(), &mut status);
        }
        Some(status)
    }

    /// The server's number for the client of this steam id.
    fn session_of(&mut self, steam_id: u64) -> SessionId {
        let at = steam_id.saturating_sub(FIRST_CLIENT) as usize;
        if at >= self.sessions.len() {
            self.sessions.resize(at + 1, None);
        }
        *self.sessions[at].get_or_insert_with(|| {
            self.peers.push(steam_id);
            self.peers.len() - 1
        })
    }

    /// Takes what waits at an endpoint; how many messages that were.
    fn take(&mut self, at: usize, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<usize> {
        let endpoint = self.endpoints[at];
        let mut all = 0;
        for channel in [0, 1] {
            for _ in 0..MOST_AT_ONCE / BATCH {
                let batch = self.batch.as_mut_ptr();
                // SAFETY: there is room for as many pointers as are asked for.
                let count =
                    unsafe { (self.api.snm_receive_messages_on_channel)(endpoint, channel, batch, BATCH as i32) };
                for n in 0..count as usize {
                    // SAFETY: the call filled in so many messages, which are ours until released below.
                    let (identity, bytes) = unsafe {
                        let message = &*self.batch[n];
                        (message.identity, std::slice::from_raw_parts(message.payload, message.size as usize))
                    };
                    let session = if self.serves { self.session_of(identity) } else { at };
                    sink(Incoming { session, channel: channel as u8, bytes });
                }
                // SAFETY: they were handed out above and nobody has kept a pointer.
                unsafe { (self.api.snm_messages_release)(batch, count) };
                all += count as usize;
                if (count as usize) < BATCH {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Lets everybody in; a failed session ends the measurement.
    fn handle_events(&mut self, at: usize) -> io::Result<()> {
        let size = size_of::<Event>() as u32;
        let mut event = Event {
            struct_size: size,
            kind: 0,
            remote_steam_id: 0,
            reason: 0,
            connection_state: 0,
            debug_message: [0; 128],
        };
        // SAFETY: the event is as large as it says.
        while unsafe { (self.api.snm_poll_event)(self.endpoints[at], &mut event) } == 1 {
            match event.kind {
                EVENT_SESSION_REQUEST => {
                    // SAFETY: plain values. A session that is gone meanwhile asks again.
                    unsafe { (self.api.snm_accept_session_with_user)(self.endpoints[at], event.remote_steam_id) };
                }
                EVENT_SESSION_FAILED => {
                    // SAFETY: the library ends the text with a NUL.
                    let text = unsafe { CStr::from_ptr(event.debug_message.as_ptr()) }.to_string_lossy();
                    let text = format!("the session with {} failed: {} {text}", event.remote_steam_id, event.reason);
                    return Err(Error::other(text));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Transport for Ours {
    fn about(&self) -> About {
        // SAFETY: it takes nothing.
        let version = unsafe { (self.api.snm_version)() };
        let numbers = format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
        let (name, how) = if self.tuned { ("ours-tuned", "larger buffers") } else { ("ours", "defaults") };
        About { name, encrypted: true, version: format!("steamnetmsg {numbers}, {how}") }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let endpoint = *self.endpoints.first().ok_or(ErrorKind::NotConnected)?;
        let mut text = [0; 128];
        // SAFETY: 128 bytes always suffice, and the answer ends with a NUL.
        let text = unsafe {
            self.check((self.api.snm_endpoint_local_address)(endpoint, text.as_mut_ptr(), 128))?;
            CStr::from_ptr(text.as_ptr()).to_string_lossy()
        };
        text.parse().map_err(Error::other)
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        let address = CString::new(server.to_string())?;
        for session in 0..count as u64 {
            let poll_group = if count > 1 { (session / ENDPOINTS_A_THREAD) as i64 } else { -1 };
            let endpoint = self.endpoint(FIRST_CLIENT + session, ([127, 0, 0, 1], 0).into(), poll_group)?;
            self.endpoints.push(endpoint);
            // SAFETY: the text ends with a NUL.
            self.check(unsafe { (self.api.snm_add_peer_address)(endpoint, SERVER, address.as_ptr()) })?;
        }
        Ok(())
    }

    fn connected(&self) -> usize {
        if self.serves {
            return self.peers.len();
        }
        let states = (0..self.endpoints.len()).filter_map(|session| Some(self.status(session)?.state));
        states.filter(|state| *state == STATE_CONNECTED).count()
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let (endpoint, peer) = self.ends(message.session).ok_or(ErrorKind::NotConnected)?;
        let reliable = if message.kind == Kind::Reliable { SEND_RELIABLE } else { 0 };
        let flags = reliable | if message.no_nagle { SEND_NO_NAGLE } else { 0 };
        let (bytes, size) = (message.bytes.as_ptr().cast(), message.bytes.len() as u32);
        // SAFETY: so many bytes are there, and are copied before the call returns.
        let answer = unsafe {
            (self.api.snm_send_message_to_user)(endpoint, peer, bytes, size, flags, i32::from(message.channel))
        };
        if answer == LIMIT_EXCEEDED {
            return Ok(Sent::Full);
        }
        self.check(answer).map(|()| Sent::Taken)
    }

    fn flush(&mut self) {
        for session in 0..self.peers.len().max(self.endpoints.len()) {
            if let Some((endpoint, peer)) = self.ends(session) {
                // SAFETY: plain values. Without a session there is nothing to flush.
                unsafe { (self.api.snm_flush_messages_to_user)(endpoint, peer) };
            }
        }
    }

    fn queued(&mut self, session: SessionId, _: u8) -> Option<usize> {
        // It tells them of a session, all channels together; what is on channel 0 hardly counts beside a download.
        let status = self.status(session)?;
        Some((status.pending_reliable.max(0) + status.send_unacknowledged_reliable.max(0)) as usize)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        if let [endpoint] = self.endpoints[..] {
            if wait < Duration::from_millis(1) {
                // It waits in milliseconds; whoever asks for less waits for time to pass, not for a message.
                std::thread::sleep(wait);
            } else {
                let ms = wait.as_micros().div_ceil(1_000).min(i32::MAX as u128) as i32;
                // SAFETY: plain values.
                unsafe { (self.api.snm_wait)(endpoint, ms) };
            }
        } else {
            std::thread::sleep(wait.min(ROUND));
        }
        // Of many endpoints some have their turn at each poll: asking all of them all the time would cost the client
        // more than its messages do.
        let all = self.endpoints.len();
        for _ in 0..all.min(MOST_IN_TURN.max(all / 16)) {
            let at = self.next % all;
            self.next = at + 1;
            self.handle_events(at)?;
            self.take(at, sink)?;
        }
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // SAFETY: each handle came from this library and goes once.
        unsafe {
            if self.endpoints.len() > 1 {
                (self.api.snm_shutdown_all)();
            }
            self.endpoints.iter().for_each(|endpoint| (self.api.snm_endpoint_destroy)(*endpoint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;
    use steamnetmsg::ffi::structs::{snm_event, snm_message, snm_realtime_status};

    #[test]
    fn the_structures_are_those_of_the_header() {
        assert_eq!(size_of::<Message>(), size_of::<snm_message>());
        assert_eq!(offset_of!(Message, identity), offset_of!(snm_message, identity));
        assert_eq!(offset_of!(Message, size), offset_of!(snm_message, size));
        assert_eq!(offset_of!(Message, payload), offset_of!(snm_message, payload));
        assert_eq!(size_of::<Status>(), size_of::<snm_realtime_status>());
        assert_eq!(offset_of!(Status, state), offset_of!(snm_realtime_status, state));
        assert_eq!(offset_of!(Status, pending_reliable), offset_of!(snm_realtime_status, pending_reliable));
        let unacknowledged = offset_of!(snm_realtime_status, send_unacknowledged_reliable);
        assert_eq!(offset_of!(Status, send_unacknowledged_reliable), unacknowledged);
        assert_eq!(size_of::<Event>(), size_of::<snm_event>());
        assert_eq!(offset_of!(Event, remote_steam_id), offset_of!(snm_event, remote_steam_id));
        assert_eq!(offset_of!(Event, debug_message), offset_of!(snm_event, debug_message));
    }
}
