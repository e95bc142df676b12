//! Valve's GameNetworkingSockets, by its flat C interface: connections by IP, one poll group.
//!
//! The library keeps its state for the whole process and tells what it has to tell to whoever asks first: a second end
//! may be opened only to take the place of the first. By default a thread of the library does the work and the app has
//! nothing to wait on: it looks for messages and naps. In manual polling the caller's thread does all the work and can
//! wait for packets.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gns_sys as sys;
use gns_sys::ESteamNetworkingConfigValue as Setting;
use gns_sys::ESteamNetworkingConnectionState as State;

use super::{About, Incoming, Kind, Outgoing, Purpose, Role, Sent, SessionId, Transport};
use crate::clock;

/// As the crate says that carries its source.
const VERSION: &str = "GameNetworkingSockets 1.6.0";

/// The names it is opened by.
pub const NAMES: &[&str] =
    &["gns", "gns-tuned", "gns-manual", "gns-tuned-manual", "gns-lanes", "gns-handset", "gns-handset-lanes"];

/// Messages taken from the library in one call of it.
const BATCH: usize = 256;

/// Batches handed over in one poll.
const BATCHES: usize = 16;

/// Unreliable messages in a row. After a million the library takes the next reliable one for a fault and ends the
/// connection ("message number lurch"): so one in half a million is sent reliably.
const MOST_UNRELIABLE: u32 = 500_000;

/// Connections of a process: the library takes no more.
const MOST_CONNECTIONS: usize = 0x1fff;

/// How long a silent peer is waited for, ms: a thousand handshakes at once on a busy machine take longer than the
/// library's ten seconds.
const PATIENCE_MS: i32 = 60_000;

/// Bytes per second of `-tuned`: the most the library takes.
const RATE_TUNED: i32 = 100 << 20;

/// Bytes per second of `-handset`: 92 % of 10 Mbit/s. The library knows no congestion control, somebody must know the
/// link.
const RATE_HANDSET: i32 = 1_150_000;

unsafe extern "C" {
    // In the library, but in none of its headers.
    fn SteamNetworkingSockets_SetManualPollMode(manual: bool);
    fn SteamNetworkingSockets_Poll(max_wait_ms: c_int);
}

/// The library in this process.
struct Library {
    /// Ends that are open.
    users: usize,
    manual: bool,
}

static LIBRARY: Mutex<Library> = Mutex::new(Library { users: 0, manual: false });

thread_local! {
    /// What the library told while it ran its callbacks on this thread.
    static CHANGES: RefCell<Vec<Change>> = const { RefCell::new(Vec::new()) };
}

struct Change {
    connection: sys::HSteamNetConnection,
    listener: sys::HSteamListenSocket,
    state: State,
    reason: String,
}

struct Session {
    /// 0: the other end closed it.
    connection: sys::HSteamNetConnection,
    /// Stands in `Gns::unflushed`.
    unflushed: bool,
    /// Messages since the last reliable one.
    unreliable: u32,
}

impl From<sys::HSteamNetConnection> for Session {
    fn from(connection: sys::HSteamNetConnection) -> Session {
        Session { connection, unflushed: false, unreliable: 0 }
    }
}

struct Gns {
    name: &'static str,
    manual: bool,
    lanes: bool,
    nap: Duration,
    options: Vec<sys::SteamNetworkingConfigValue_t>,
    sockets: *mut sys::ISteamNetworkingSockets,
    utils: *mut sys::ISteamNetworkingUtils,
    listener: Option<sys::HSteamListenSocket>,
    group: sys::HSteamNetPollGroup,
    sessions: Vec<Session>,
    /// Sessions with messages that may wait for company.
    unflushed: Vec<SessionId>,
    connected: usize,
    /// The last send found no room.
    full: bool,
    /// There may be more where the last messages came from.
    more: bool,
}

/// Opens one of [`NAMES`].
pub fn open(name: &'static str, role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    let says = |word| name.split('-').any(|part| part == word);
    // What knows the link or has lanes is about delays: there the better way to wait is taken.
    let manual = says("manual") || says("lanes") || says("handset");
    let (sockets, utils) = start(manual)?;
    let mut gns = Gns {
        name,
        manual,
        lanes: says("lanes"),
        nap: Duration::from_micros(match purpose.workload.as_str() {
            "w6" => 1_000,
            // Where much is under way, to look more often only takes the lock from the thread that does the work.
            "w1" | "w2" => 150,
            _ => 50,
        }),
        options: options(says("tuned"), says("handset")),
        sockets,
        utils,
        listener: None,
        // SAFETY: the interface stands from `start` on.
        group: unsafe { sys::SteamAPI_ISteamNetworkingSockets_CreatePollGroup(sockets) },
        sessions: Vec::new(),
        unflushed: Vec::new(),
        connected: 0,
        full: false,
        more: false,
    };
    if let Role::Server(listen) = role {
        gns.listen(listen)?;
    }
    Ok(Box::new(gns))
}

type Interfaces = (*mut sys::ISteamNetworkingSockets, *mut sys::ISteamNetworkingUtils);

fn start(manual: bool) -> io::Result<Interfaces> {
    let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    let mut error: sys::SteamNetworkingErrMsg = [0; 1024];
    // SAFETY: under the lock, and begun only when nobody uses it; the callback lives as long as the process.
    unsafe {
        if library.users == 0 {
            SteamNetworkingSockets_SetManualPollMode(manual);
            library.manual = manual;
            if !sys::GameNetworkingSockets_Init(ptr::null(), &mut error) {
                return Err(io::Error::other(text(&error)));
            }
        } else if library.manual != manual {
            return Err(io::Error::other("gns: one way of polling a process"));
        }
        library.users += 1;
        let utils = sys::SteamAPI_SteamNetworkingUtils_v003();
        sys::SteamAPI_ISteamNetworkingUtils_SetGlobalCallback_SteamNetConnectionStatusChanged(utils, Some(changed));
        Ok((sys::SteamAPI_SteamNetworkingSockets_v009(), utils))
    }
}

unsafe extern "C" fn changed(change: *mut sys::SteamNetConnectionStatusChangedCallback_t) {
    // SAFETY: the library's own, valid during the call.
    let change = unsafe { &*change };
    CHANGES.with_borrow_mut(|changes| {
        changes.push(Change {
            connection: change.m_hConn,
            listener: change.m_info.m_hListenSocket,
            state: change.m_info.m_eState,
            reason: text(&change.m_info.m_szEndDebug),
        });
    });
}

fn text(chars: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|c| c.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

fn options(tuned: bool, handset: bool) -> Vec<sys::SteamNetworkingConfigValue_t> {
    // Encrypted, but nobody shows a certificate: there is no authority.
    let mut values = vec![
        (Setting::k_ESteamNetworkingConfig_IP_AllowWithoutAuth, 1),
        (Setting::k_ESteamNetworkingConfig_TimeoutInitial, PATIENCE_MS),
        (Setting::k_ESteamNetworkingConfig_TimeoutConnected, PATIENCE_MS),
    ];
    if let Some(rate) = if handset { Some(RATE_HANDSET) } else { tuned.then_some(RATE_TUNED) } {
        values.push((Setting::k_ESteamNetworkingConfig_SendRateMin, rate));
        values.push((Setting::k_ESteamNetworkingConfig_SendRateMax, rate));
    }
    if tuned {
        values.push((Setting::k_ESteamNetworkingConfig_SendBufferSize, 8 << 20));
        values.push((Setting::k_ESteamNetworkingConfig_RecvBufferSize, 32 << 20));
        values.push((Setting::k_ESteamNetworkingConfig_RecvBufferMessages, 1_000_000));
    }
    values.into_iter().map(|(setting, value)| int32(setting, value)).collect()
}

fn int32(setting: Setting, value: i32) -> sys::SteamNetworkingConfigValue_t {
    sys::SteamNetworkingConfigValue_t {
        m_eValue: setting,
        m_eDataType: sys::ESteamNetworkingConfigDataType::k_ESteamNetworkingConfig_Int32,
        m_val: sys::SteamNetworkingConfigValue_t__bindgen_ty_1 { m_int32: value },
    }
}

fn address_of(address: SocketAddr) -> sys::SteamNetworkingIPAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    sys::SteamNetworkingIPAddr {
        __bindgen_anon_1: sys::SteamNetworkingIPAddr__bindgen_ty_2 { m_ipv6: ip.octets() },
        m_port: address.port(),
    }
}

impl Session {
    fn close(&mut self, sockets: *mut sys::ISteamNetworkingSockets) {
        let connection = std::mem::take(&mut self.connection);
        // SAFETY: the interface stands; the library ignores handles it does not know. What is still queued is lost.
        unsafe { sys::SteamAPI_ISteamNetworkingSockets_CloseConnection(sockets, connection, 0, ptr::null(), false) };
    }
}

impl Gns {
    fn listen(&mut self, mut address: SocketAddr) -> io::Result<()> {
        if address.port() == 0 {
            // The library wants a number: one that was free a moment ago.
            address = UdpSocket::bind(address)?.local_addr()?;
        }
        // SAFETY: the interface stands; address and options outlive the call.
        let listener = unsafe {
            sys::SteamAPI_ISteamNetworkingSockets_CreateListenSocketIP(
                self.sockets,
                &address_of(address),
                self.options.len() as c_int,
                self.options.as_ptr(),
            )
        };
        if listener == 0 {
            return Err(io::Error::other(format!("gns: cannot listen on {address}")));
        }
        self.listener = Some(listener);
        Ok(())
    }

    /// Takes a connection in as the next session.
    fn admit(&mut self, connection: sys::HSteamNetConnection) {
        let session = self.sessions.len();
        self.sessions.push(connection.into());
        let (priorities, weights) = ([0, 1], [1, 1]);
        // SAFETY: the interface stands, both arrays have two elements. A connection that died meanwhile makes these
        // calls fail, and its end is told by the next callback.
        unsafe {
            sys::SteamAPI_ISteamNetworkingSockets_SetConnectionUserData(self.sockets, connection, session as i64);
            sys::SteamAPI_ISteamNetworkingSockets_SetConnectionPollGroup(self.sockets, connection, self.group);
            if self.lanes {
                sys::SteamAPI_ISteamNetworkingSockets_ConfigureConnectionLanes(
                    self.sockets,
                    connection,
                    2,
                    priorities.as_ptr(),
                    weights.as_ptr(),
                );
            }
        }
    }

    fn run_callbacks(&mut self) -> io::Result<()> {
        // SAFETY: the interface stands.
        unsafe { sys::SteamAPI_ISteamNetworkingSockets_RunCallbacks(self.sockets) };
        for change in CHANGES.take() {
            let known = self.sessions.iter_mut().find(|session| session.connection == change.connection);
            match (change.state, known) {
                (State::k_ESteamNetworkingConnectionState_Connecting, None)
                    if self.listener == Some(change.listener) =>
                {
                    self.admit(change.connection);
                    // SAFETY: as above.
                    unsafe { sys::SteamAPI_ISteamNetworkingSockets_AcceptConnection(self.sockets, change.connection) };
                }
                (State::k_ESteamNetworkingConnectionState_Connected, Some(_)) => self.connected += 1,
                (State::k_ESteamNetworkingConnectionState_ClosedByPeer, Some(session)) => {
                    session.close(self.sockets);
                }
                (State::k_ESteamNetworkingConnectionState_ProblemDetectedLocally, Some(_)) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("gns: {}", change.reason)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Hands over what is there; says how many.
    fn receive(&mut self, sink: &mut dyn FnMut(Incoming<'_>)) -> usize {
        let mut messages = [ptr::null_mut(); BATCH];
        let mut received = 0;
        for _ in 0..BATCHES {
            // SAFETY: the array takes BATCH pointers.
            let count = unsafe {
                sys::SteamAPI_ISteamNetworkingSockets_ReceiveMessagesOnPollGroup(
                    self.sockets,
                    self.group,
                    messages.as_mut_ptr(),
                    BATCH as c_int,
                )
            };
            let count = usize::try_from(count).unwrap_or(0);
            for &message in &messages[..count] {
                self.hand_over(message, sink);
            }
            received += count;
            if count < BATCH {
                break;
            }
        }
        received
    }

    fn hand_over(&self, message: *mut sys::SteamNetworkingMessage_t, sink: &mut dyn FnMut(Incoming<'_>)) {
        // SAFETY: a message of the library's, ours until released; its data has m_cbSize bytes.
        unsafe {
            let held = &*message;
            let bytes = std::slice::from_raw_parts(held.m_pData.cast::<u8>(), held.m_cbSize as usize);
            // Without lanes the channel is the last byte.
            let (bytes, channel) = match bytes.split_last() {
                _ if self.lanes => (bytes, held.m_idxLane as u8),
                Some((&channel, bytes)) => (bytes, channel),
                None => (bytes, 0),
            };
            if let Ok(session) = usize::try_from(held.m_nConnUserData) {
                sink(Incoming { session, channel, bytes });
            }
            sys::SteamAPI_SteamNetworkingMessage_t_Release(message);
        }
    }

    /// Lets the library work, or waits for its thread, for at most `wait`.
    fn work(&self, wait: Duration) {
        if self.manual && (wait.is_zero() || wait >= Duration::from_millis(1)) {
            // SAFETY: manual polling is on.
            unsafe { SteamNetworkingSockets_Poll(wait.as_millis() as c_int) };
        } else if !wait.is_zero() {
            std::thread::sleep(self.nap.min(wait));
            if self.manual {
                self.work(Duration::ZERO);
            }
        }
    }
}

impl Transport for Gns {
    fn about(&self) -> About {
        let rate = |option: &&sys::SteamNetworkingConfigValue_t| {
            option.m_eValue == Setting::k_ESteamNetworkingConfig_SendRateMax
        };
        let mut version = VERSION.to_owned();
        if let Some(option) = self.options.iter().find(rate) {
            // SAFETY: made by `int32`.
            version += &format!(", rate set to {} KB/s", unsafe { option.m_val.m_int32 } / 1000);
        }
        version += &if self.manual {
            ", manual polling".to_owned()
        } else {
            format!(", own thread, looked at every {} µs", self.nap.as_micros())
        };
        version += if self.lanes { ", two lanes" } else { "" };
        About { name: self.name, encrypted: true, version }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let listener = self.listener.ok_or_else(|| io::Error::other("gns: a client has a socket a session"))?;
        let mut address = address_of(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        // SAFETY: the interface stands; the address is written by the call, and is bytes either way.
        unsafe {
            sys::SteamAPI_ISteamNetworkingSockets_GetListenSocketAddress(self.sockets, listener, &mut address);
            let ip = IpAddr::from(address.__bindgen_anon_1.m_ipv6).to_canonical();
            Ok(SocketAddr::new(ip, address.m_port))
        }
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        for begun in 0..count {
            // SAFETY: the interface stands; address and options outlive the call.
            let connection = unsafe {
                sys::SteamAPI_ISteamNetworkingSockets_ConnectByIPAddress(
                    self.sockets,
                    &address_of(server),
                    self.options.len() as c_int,
                    self.options.as_ptr(),
                )
            };
            if connection == 0 {
                let limits = format!("it has at most {MOST_CONNECTIONS}, and each takes an open file");
                return Err(io::Error::other(format!("gns: began {begun} of {count} connections; {limits}")));
            }
            self.admit(connection);
        }
        Ok(())
    }

    fn connected(&self) -> usize {
        self.connected
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let Some(session) = self.sessions.get_mut(message.session) else { return Ok(Sent::Full) };
        if session.connection == 0 {
            return Ok(Sent::Taken);
        }
        let reliable = message.kind == Kind::Reliable || session.unreliable >= MOST_UNRELIABLE;
        session.unreliable = if reliable { 0 } else { session.unreliable + 1 };
        let mut flags =
            if reliable { sys::k_nSteamNetworkingSend_Reliable } else { sys::k_nSteamNetworkingSend_Unreliable };
        if self.manual {
            // There is no other thread to leave the work to: without this it would be put off until the next poll.
            flags |= sys::k_nSteamNetworkingSend_UseCurrentThread;
        }
        if message.no_nagle {
            flags |= sys::k_nSteamNetworkingSend_NoNagle;
        } else if !std::mem::replace(&mut session.unflushed, true) {
            self.unflushed.push(message.session);
        }
        let tag = usize::from(!self.lanes);
        let mut result = 0;
        // SAFETY: the library's message has room for all that is copied, and goes back to the library.
        unsafe {
            let size = message.bytes.len();
            let mut own = sys::SteamAPI_ISteamNetworkingUtils_AllocateMessage(self.utils, (size + tag) as c_int);
            let data = (*own).m_pData.cast::<u8>();
            ptr::copy_nonoverlapping(message.bytes.as_ptr(), data, size);
            if self.lanes {
                (*own).m_idxLane = u16::from(message.channel);
            } else {
                data.add(size).write(message.channel);
            }
            (*own).m_conn = session.connection;
            (*own).m_nFlags = flags;
            sys::SteamAPI_ISteamNetworkingSockets_SendMessages(self.sockets, 1, &mut own, &mut result, true);
        }
        self.full = result == -(sys::EResult::k_EResultLimitExceeded as i64);
        match result {
            _ if self.full => Ok(Sent::Full),
            0.. => Ok(Sent::Taken),
            _ => Err(io::Error::other(format!("gns: a message was refused with EResult {}", -result))),
        }
    }

    fn flush(&mut self) {
        for session in self.unflushed.drain(..) {
            let session = &mut self.sessions[session];
            session.unflushed = false;
            // SAFETY: the interface stands, the handle is one it gave.
            unsafe {
                sys::SteamAPI_ISteamNetworkingSockets_FlushMessagesOnConnection(self.sockets, session.connection);
            }
        }
    }

    fn queued(&mut self, session: SessionId, channel: u8) -> Option<usize> {
        let connection = self.sessions.get(session)?.connection;
        let mut all = sys::SteamNetConnectionRealTimeStatus_t::default();
        let mut lanes = [sys::SteamNetConnectionRealTimeLaneStatus_t::default(); 2];
        let count = if self.lanes { lanes.len() as c_int } else { 0 };
        // SAFETY: the interface stands, both are written by the call.
        unsafe {
            sys::SteamAPI_ISteamNetworkingSockets_GetConnectionRealTimeStatus(
                self.sockets,
                connection,
                &mut all,
                count,
                lanes.as_mut_ptr(),
            );
        }
        let bytes = if self.lanes {
            let lane = lanes.get(usize::from(channel))?;
            [lane.m_cbPendingUnreliable, lane.m_cbPendingReliable, lane.m_cbSentUnackedReliable]
        } else {
            [all.m_cbPendingUnreliable, all.m_cbPendingReliable, all.m_cbSentUnackedReliable]
        };
        usize::try_from(bytes.iter().sum::<c_int>()).ok()
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        let start = clock::now_ns();
        // In manual polling nothing can have arrived since the last time, if that took everything.
        let mut waited = self.manual && !self.more;
        self.work(if waited { wait } else { Duration::ZERO });
        loop {
            self.run_callbacks()?;
            let received = self.receive(sink);
            self.more = received == BATCH * BATCHES;
            let left = wait.saturating_sub(Duration::from_nanos(clock::now_ns() - start));
            if received > 0 || left.is_zero() || waited && std::mem::take(&mut self.full) {
                return Ok(());
            }
            self.work(left);
            waited = true;
        }
    }
}

impl Drop for Gns {
    fn drop(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.close(self.sockets));
        let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
        library.users -= 1;
        // SAFETY: the interface stands; nothing of it is used by this end any more, and nothing at all by the last.
        unsafe {
            if let Some(listener) = self.listener {
                sys::SteamAPI_ISteamNetworkingSockets_CloseListenSocket(self.sockets, listener);
            }
            sys::SteamAPI_ISteamNetworkingSockets_DestroyPollGroup(self.sockets, self.group);
            if library.users == 0 {
                sys::GameNetworkingSockets_Kill();
            }
        }
    }
}
