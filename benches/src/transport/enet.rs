//! ENet, the C library. One host, two channels; its layouts are those of 1.3, checked when it is opened.
//!
//! The library never sends on its own: packets leave, and timers run, in its service call. A wait is therefore cut
//! into slices of a millisecond, the grain of its clock.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::ptr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::{About, Incoming, Kind, Outgoing, Purpose, Role, Sent, SessionId, Transport};
use crate::clock;

/// The names it is opened by.
pub const NAMES: &[&str] = &["enet", "enet-tuned"];

/// Peers a host may have: the library's own limit.
const PEERS_MAX: usize = 4095;

/// Peers a host has room for beyond those it is for: the places of clients whose end it has not heard of yet.
const PEERS_SPARE: usize = 16;

/// Channels a session has.
const CHANNELS: usize = 2;

/// Bytes a session may have in the library: it has no limit of its own.
const OUTSTANDING_MAX: usize = 1 << 20;

/// Bytes of each socket buffer, `-tuned`.
const SOCKET_BYTES_TUNED: c_int = 4 << 20;

/// Messages handed over in one poll.
const MESSAGES_A_POLL: usize = 4096;

/// The longest wait between two service calls.
const SLICE: Duration = Duration::from_millis(1);

#[repr(C)]
#[derive(Clone, Copy)]
struct Address {
    /// In network order.
    host: u32,
    port: u16,
}

#[repr(C)]
struct Packet {
    reference_count: usize,
    flags: u32,
    data: *mut u8,
    data_length: usize,
    free_callback: Option<unsafe extern "C" fn(*mut Packet)>,
    user_data: *mut c_void,
}

/// How a host begins.
#[repr(C)]
struct Host {
    socket: c_int,
}

/// How a peer begins.
#[repr(C)]
struct Peer {
    dispatch_list: [*mut c_void; 2],
    host: *mut Host,
    outgoing_peer_id: u16,
    incoming_peer_id: u16,
    connect_id: u32,
    session_ids: [u8; 2],
    address: Address,
    data: *mut c_void,
    state: c_int,
}

#[repr(C)]
struct Event {
    kind: c_int,
    peer: *mut Peer,
    channel: u8,
    data: u32,
    packet: *mut Packet,
}

const EVENT_CONNECT: c_int = 1;
const EVENT_DISCONNECT: c_int = 2;
const EVENT_RECEIVE: c_int = 3;
const STATE_CONNECTED: c_int = 5;
const FLAG_RELIABLE: u32 = 1 << 0;
const FLAG_UNSEQUENCED: u32 = 1 << 1;
const OPTION_RCVBUF: c_int = 3;
const OPTION_SNDBUF: c_int = 4;
const THROTTLE_INTERVAL_MS: u32 = 5000;

#[link(name = "enet")]
unsafe extern "C" {
    fn enet_initialize() -> c_int;
    fn enet_linked_version() -> u32;
    fn enet_host_create(
        address: *const Address,
        peers: usize,
        channels: usize,
        incoming: u32,
        outgoing: u32,
    ) -> *mut Host;
    fn enet_host_destroy(host: *mut Host);
    fn enet_host_connect(host: *mut Host, address: *const Address, channels: usize, data: u32) -> *mut Peer;
    fn enet_host_service(host: *mut Host, event: *mut Event, timeout_ms: u32) -> c_int;
    fn enet_host_flush(host: *mut Host);
    fn enet_packet_create(data: *const c_void, length: usize, flags: u32) -> *mut Packet;
    fn enet_packet_destroy(packet: *mut Packet);
    fn enet_peer_send(peer: *mut Peer, channel: u8, packet: *mut Packet) -> c_int;
    fn enet_peer_disconnect_now(peer: *mut Peer, data: u32);
    fn enet_peer_throttle_configure(peer: *mut Peer, interval_ms: u32, acceleration: u32, deceleration: u32);
    fn enet_socket_get_address(socket: c_int, address: *mut Address) -> c_int;
    fn enet_socket_set_option(socket: c_int, option: c_int, value: c_int) -> c_int;
}

struct Session {
    /// Null: the other end closed it.
    peer: *mut Peer,
    /// Bytes in the library, by channel. Behind a box: packets point here until they are freed.
    outstanding: Box<[Cell<usize>; CHANNELS]>,
}

struct Enet {
    name: &'static str,
    tuned: bool,
    host: *mut Host,
    sessions: Vec<Session>,
    connected: usize,
    /// The session of the last send that found no room.
    full: Option<SessionId>,
}

/// Opens one of [`NAMES`].
pub fn open(name: &'static str, role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    if purpose.sessions > PEERS_MAX {
        return Err(io::Error::other(format!("enet: a host has at most {PEERS_MAX} sessions")));
    }
    // SAFETY: plain calls; asking for the version needs nothing.
    let version = unsafe { enet_linked_version() } >> 8;
    if version != 0x01_03 {
        return Err(io::Error::other(format!("enet: made for 1.3, this is {version:#x}")));
    }
    // SAFETY: may be called again.
    if unsafe { enet_initialize() } != 0 {
        return Err(io::Error::other("enet: the library does not start"));
    }
    let listen = match role {
        Role::Server(address) => Some(address_of(address)?),
        Role::Client => None,
    };
    let listen = listen.as_ref().map_or(ptr::null(), ptr::from_ref);
    let peers = (purpose.sessions + PEERS_SPARE).min(PEERS_MAX);
    // SAFETY: the address is null or outlives the call.
    let host = unsafe { enet_host_create(listen, peers, CHANNELS, 0, 0) };
    if host.is_null() {
        return Err(io::Error::other("enet: no host: is the address taken?"));
    }
    let tuned = name == "enet-tuned";
    if tuned {
        for option in [OPTION_RCVBUF, OPTION_SNDBUF] {
            // SAFETY: the host stands. A system that gives less gives less.
            unsafe { enet_socket_set_option((*host).socket, option, SOCKET_BYTES_TUNED) };
        }
    }
    Ok(Box::new(Enet { name, tuned, host, sessions: Vec::new(), connected: 0, full: None }))
}

fn address_of(address: SocketAddr) -> io::Result<Address> {
    match address.ip() {
        IpAddr::V4(ip) => Ok(Address { host: u32::from_ne_bytes(ip.octets()), port: address.port() }),
        IpAddr::V6(_) => Err(io::Error::other("enet: knows only IPv4")),
    }
}

unsafe extern "C" fn freed(packet: *mut Packet) {
    // SAFETY: the library calls this while the packet still stands; the counter outlives the host.
    unsafe {
        let outstanding = &*(*packet).user_data.cast::<Cell<usize>>();
        outstanding.set(outstanding.get() - (*packet).data_length);
    }
}

impl Enet {
    fn admit(&mut self, peer: *mut Peer) {
        // SAFETY: a peer of this host.
        unsafe { (*peer).data = ptr::without_provenance_mut(self.sessions.len()) };
        self.sessions.push(Session { peer, outstanding: Box::default() });
    }

    fn handle_event(&mut self, event: &Event, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        match event.kind {
            EVENT_CONNECT => {
                let ours = self.sessions.iter().any(|session| session.peer == event.peer);
                if !ours {
                    self.admit(event.peer);
                }
                if self.tuned {
                    // It tells the other end, which listens to that only once connected.
                    // SAFETY: a peer of this host.
                    unsafe { enet_peer_throttle_configure(event.peer, THROTTLE_INTERVAL_MS, 32, 0) };
                }
                self.connected += 1;
            }
            EVENT_RECEIVE => {
                // SAFETY: the event's peer has its number in `data` since `admit`; the packet is ours to destroy.
                unsafe {
                    let packet = &*event.packet;
                    let bytes = std::slice::from_raw_parts(packet.data, packet.data_length);
                    sink(Incoming { session: (*event.peer).data.addr(), channel: event.channel, bytes });
                    enet_packet_destroy(event.packet);
                }
            }
            EVENT_DISCONNECT => {
                // Closed, or silent for too long: the library does not tell which.
                // SAFETY: as above.
                let session = unsafe { (*event.peer).data.addr() };
                self.sessions[session].peer = ptr::null_mut();
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends, receives, runs timers; says how much was handed over.
    fn service(&mut self, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<usize> {
        for handed_over in 0..MESSAGES_A_POLL {
            let mut event = Event { kind: 0, peer: ptr::null_mut(), channel: 0, data: 0, packet: ptr::null_mut() };
            // SAFETY: the host stands.
            match unsafe { enet_host_service(self.host, &mut event, 0) } {
                0 => return Ok(handed_over),
                1.. => self.handle_event(&event, sink)?,
                _ => return Err(io::Error::last_os_error()),
            }
        }
        Ok(MESSAGES_A_POLL)
    }

    fn wait(&self, wait: Duration) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.min(SLICE).subsec_nanos()) };
        // SAFETY: the host's socket is open as long as the host.
        let socket = unsafe { BorrowedFd::borrow_raw((*self.host).socket) };
        match rustix::event::poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Is there room again where there was none?
    fn has_room_again(&mut self) -> bool {
        let room = self.full.is_some_and(|session| self.outstanding(session) <= OUTSTANDING_MAX / 2);
        if room {
            self.full = None;
        }
        room
    }

    fn outstanding(&self, session: SessionId) -> usize {
        self.sessions[session].outstanding.iter().map(Cell::get).sum()
    }
}

impl Transport for Enet {
    fn about(&self) -> About {
        // SAFETY: needs nothing.
        let [_, major, minor, patch] = unsafe { enet_linked_version() }.to_be_bytes();
        let tuned = if self.tuned { ", 4 MiB socket buffers, throttle 32/0" } else { "" };
        About { name: self.name, encrypted: false, version: format!("ENet {major}.{minor}.{patch}{tuned}") }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let mut address = Address { host: 0, port: 0 };
        // SAFETY: the host stands, the address is written by the call.
        match unsafe { enet_socket_get_address((*self.host).socket, &mut address) } {
            0 => Ok(SocketAddr::new(Ipv4Addr::from(address.host.to_ne_bytes()).into(), address.port)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        let server = address_of(server)?;
        for _ in 0..count {
            // SAFETY: the host stands, the address outlives the call.
            let peer = unsafe { enet_host_connect(self.host, &server, CHANNELS, 0) };
            if peer.is_null() {
                return Err(io::Error::other("enet: the host has no room for a session"));
            }
            self.admit(peer);
        }
        Ok(())
    }

    fn connected(&self) -> usize {
        self.connected
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let Some(session) = self.sessions.get(message.session) else { return Ok(Sent::Full) };
        if session.peer.is_null() {
            return Ok(Sent::Taken);
        }
        // SAFETY: a peer of this host; the bytes are copied; the counter outlives the host and so the packet.
        unsafe {
            if (*session.peer).state != STATE_CONNECTED {
                return Ok(Sent::Full);
            }
            if self.outstanding(message.session) + message.bytes.len() > OUTSTANDING_MAX {
                self.full = Some(message.session);
                return Ok(Sent::Full);
            }
            let flags = if message.kind == Kind::Reliable { FLAG_RELIABLE } else { FLAG_UNSEQUENCED };
            let packet = enet_packet_create(message.bytes.as_ptr().cast(), message.bytes.len(), flags);
            let outstanding = &session.outstanding[usize::from(message.channel)];
            outstanding.set(outstanding.get() + message.bytes.len());
            (*packet).free_callback = Some(freed);
            (*packet).user_data = ptr::from_ref(outstanding).cast_mut().cast();
            if enet_peer_send(session.peer, message.channel, packet) != 0 {
                enet_packet_destroy(packet);
                return Err(io::Error::other("enet: a message was refused"));
            }
        }
        Ok(Sent::Taken)
    }

    fn flush(&mut self) {
        // SAFETY: the host stands.
        unsafe { enet_host_flush(self.host) };
    }

    fn queued(&mut self, session: SessionId, channel: u8) -> Option<usize> {
        Some(self.sessions.get(session)?.outstanding[usize::from(channel)].get())
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        let start = clock::now_ns();
        loop {
            let handed_over = self.service(sink)?;
            let left = wait.saturating_sub(Duration::from_nanos(clock::now_ns() - start));
            if handed_over > 0 || left.is_zero() || self.has_room_again() {
                return Ok(());
            }
            self.wait(left)?;
        }
    }
}

impl Drop for Enet {
    fn drop(&mut self) {
        // SAFETY: peers and host stand; the counters live until this has returned.
        unsafe {
            for session in self.sessions.iter().filter(|session| !session.peer.is_null()) {
                enet_peer_disconnect_now(session.peer, 0);
            }
            enet_host_destroy(self.host);
        }
    }
}
