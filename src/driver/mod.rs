//! The only windows of the house: clock, sockets, threads.
//!
//! A [`Driver`] runs one endpoint on the poll thread of its group. The thread's turn is *receive a bite,
//! think, send a bite, sleep*; the endpoint sits behind one lock, which is never held across a system call
//! or anything of the app's. Two fast lanes keep the app off that lock: sends to a connected peer are
//! decided from atomics and pushed into a bounded channel, received messages wait in the mailbox.
//!
//! | file | decides |
//! | --- | --- |
//! | `clock` | what time it is |
//! | `udp`, `ports` | one socket; all of an endpoint, and the batches |
//! | `turn`, `poll_thread`, `alarm` | an endpoint's turn; whose turn it is; sleeping precisely |
//! | `servers` | which servers an endpoint talks to; who carries signals |
//! | `signaling`, `relays` | the connection to the signaling server; names and streams of relays |
//! | `stream`, `tls` | one TCP connection; whom we believe under TLS |
//! | `shared`, `bell` | what app and poll thread share; sleeping app threads |
//! | `resolve`, `threads` | host names; how threads start and end so that the library can be unloaded |
//!
//! A panic inside an endpoint poisons that endpoint alone: its peers are reported failed and every later
//! call answers [`Gone`].

mod alarm;
mod bell;
pub mod clock;
mod poll_thread;
mod ports;
mod relays;
mod resolve;
mod servers;
mod shared;
mod signaling;
mod stream;
mod threads;
mod tls;
mod turn;
mod udp;

pub use resolve::wait_for_lookups;
pub use threads::{Join, NAME as THREAD_NAME, Work, start_with};

use crate::endpoint::config::{Config, ConfigError};
use crate::endpoint::events::Event;
use crate::endpoint::lanes::{Outgoing, PeerCell, charge};
use crate::endpoint::mailbox::Message;
use crate::endpoint::signals::Carrier;
use crate::endpoint::{Endpoint, MAX_MESSAGE_SIZE, SendError, flags};
use crate::ids::{Channel, SteamId};
use crate::time::{Duration, Instant};
use crate::wire::candidate::{Candidate, CandidateKind};
use ports::Ports;
use ring::rand::{SecureRandom, SystemRandom};
use shared::Shared;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// A NO_DELAY message that would wait longer than this is dropped instead, microseconds.
const NO_DELAY_LIMIT_US: u64 = 200_000;

/// How long a closing endpoint may go on telling its peers.
const CLOSE_DRAIN: Duration = Duration::from_millis(500);

/// How long [`Driver::close`] waits for the poll thread, which a callback of the app may hold up.
const CLOSE_WAIT: Duration = Duration::from_millis(800);

/// Called on the poll thread, outside every lock, when events wait for [`Driver::poll_event`].
pub type EventHook = Box<dyn Fn() + Send + Sync>;

/// The endpoint panicked earlier, or is closed ([`Driver::is_closed`] tells which).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this endpoint failed earlier or is closed: destroy it and create another")]
pub struct Gone;

/// Why an endpoint could not be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket.
    #[error(
        "BIND_ADDRESS: cannot bind {address}: {source}; is the port taken, or the address of another machine? Port 0 lets the system choose"
    )]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The poll thread.
    #[error("cannot start the poll thread: {0}; raise the process's limits on threads and open files")]
    Thread(#[source] io::Error),
    /// The system's random numbers.
    #[error("the system gives no random numbers, without which no key is safe; is /dev/urandom or getrandom blocked?")]
    Random,
}

/// A running endpoint. Every call may come from any thread, callbacks included; only [`Driver::wait`] and
/// [`Driver::close`] block. Dropping it closes it.
pub struct Driver {
    shared: Arc<Shared>,
}

/// Opens an endpoint: binds its sockets and gives it a place on the poll thread of its group.
///
/// With a `hook` events are announced on the poll thread. It may start that thread, see [`start_with`].
///
/// # Errors
/// See [`OpenError`].
pub fn open(config: Config, hook: Option<EventHook>) -> Result<Arc<Driver>, OpenError> {
    let (group, bind) = (config.poll_group, config.bind.clone());
    if bind.len() > poll_thread::MAX_UDP_SOCKETS {
        let text = format!("BIND_ADDRESS: at most {} addresses", poll_thread::MAX_UDP_SOCKETS);
        return Err(ConfigError::Limit(text).into());
    }
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut *seed).map_err(|_| OpenError::Random)?;
    let mut endpoint = Endpoint::new(config, *seed, crate::crypto::packet::aead_support(), clock::now())?;
    let ports = Ports::bind(&bind)?;
    let local = ports.local();
    endpoint.set_candidates(clock::now(), bound_candidates(&local));
    let make = |doorbell| Shared::new(endpoint, doorbell, local, hook);
    let shared = poll_thread::join(group, ports, make).map_err(OpenError::Thread)?;
    Ok(Arc::new(Driver { shared }))
}

impl Driver {
    /// Sends one message; see the C header for every rule. Sends of one thread keep their order, whichever
    /// way they go.
    ///
    /// # Errors
    /// [`Gone`] outside; inside, what the endpoint says.
    pub fn send(&self, to: SteamId, bytes: &[u8], flags: i32, channel: Channel) -> Result<Result<(), SendError>, Gone> {
        if self.shared.is_poisoned() || self.is_closed() {
            return Err(Gone);
        }
        match self.shared.peers.cell(to) {
            Some(cell) if takes_lane(&cell, bytes.len()) => {
                if let Err(refused) = reserve(&cell, bytes.len(), flags) {
                    return Ok(Err(refused));
                }
                match self.shared.push(Outgoing { to, cell, channel, flags, payload: bytes.into() }) {
                    Ok(()) => Ok(Ok(())),
                    // The lane is full: this thread empties it and goes behind.
                    Err(message) => self.with_endpoint(|endpoint, now| endpoint.take_outgoing(now, message)).map(Ok),
                }
            }
            _ => self.with_endpoint(|endpoint, now| endpoint.send(now, to, bytes.into(), flags, channel)),
        }
    }

    /// Takes up to `max` messages of `channel`, oldest first, appending them to `out`; answers how many.
    pub fn receive(&self, channel: Channel, max: usize, out: &mut Vec<Message>) -> usize {
        let mailbox = &self.shared.mailbox;
        let taken = mailbox.take(channel, max, out);
        if taken > 0 && mailbox.wants_handling() {
            self.shared.doorbell.ring();
        }
        taken
    }

    /// Runs `f` on the endpoint, after every message this thread has sent, and wakes the poll thread.
    /// `f` must neither block nor call the driver.
    ///
    /// # Errors
    /// [`Gone`], also when `f` panics.
    pub fn with_endpoint<R>(&self, f: impl FnOnce(&mut Endpoint, Instant) -> R) -> Result<R, Gone> {
        self.shared.with_endpoint(f)
    }

    /// The next event for the app. Takes no lock while there is none.
    pub fn poll_event(&self) -> Option<Event> {
        self.shared.poll_event()
    }

    /// Sleeps until messages or events wait (true), the time is up (`None`: never) or the endpoint is
    /// closed (false). Any number of threads may wait. After a failure nothing will come any more: then
    /// waiting for ever ends at once. On a poll thread it only looks.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let timeout = if threads::is_poll_thread() { Some(Duration::ZERO) } else { timeout };
        let until = timeout.map(|timeout| clock::now() + timeout);
        let look = || {
            if self.is_closed() {
                Some(false)
            } else if self.shared.has_news() {
                Some(true)
            } else {
                (until.is_none() && self.shared.is_poisoned()).then_some(false)
            }
        };
        self.shared.bell.sleep(until, look).unwrap_or(false)
    }

    /// From now on the app carries signals itself, or (`false`) leaves that to the signaling server.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn use_own_signaling(&self, on: bool) -> Result<(), Gone> {
        self.shared.with_endpoint(|endpoint, now| {
            self.shared.use_own_signaling(on);
            if on {
                // At once, so that what the app sends next finds its way.
                endpoint.set_signaling(now, Carrier::Online);
            }
        })
    }

    /// Does the app carry signals itself?
    pub fn has_own_signaling(&self) -> bool {
        self.shared.has_own_signaling()
    }

    /// The next signal for the app to carry, if it has at most `max` bytes; none unless it carries signals itself.
    ///
    /// # Errors
    /// The size of a larger one, which stays.
    pub fn poll_signal(&self, max: usize) -> Result<Option<(SteamId, Vec<u8>)>, usize> {
        self.shared.poll_signal(max)
    }

    /// Interfaces changed: paths are proven anew, servers asked for a sign of life.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn handle_network_change(&self) -> Result<(), Gone> {
        self.shared.with_endpoint(|endpoint, now| {
            endpoint.handle_network_change(now);
            self.shared.network_changed.store(true, Ordering::Release);
        })
    }

    /// Was [`Driver::close`] called?
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// The addresses the sockets are bound to, with the ports the system chose.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.shared.local_addresses
    }

    /// Adds the addresses of `host` (an IP address, or a name that is looked up in the background) under
    /// which `peer` may be reached, at most eight. It may start a thread.
    ///
    /// # Errors
    /// An empty name, or too many: lookups, or addresses of this peer. A name that turns out to be unknown
    /// is no error: the peer is just not found that way.
    pub fn add_peer_host(&self, peer: SteamId, host: &str, port: u16) -> Result<(), SendError> {
        // An IPv6 address may come in the brackets it needs before a port.
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = literal.parse::<IpAddr>() {
            let address = SocketAddr::new(ip, port);
            return self
                .with_endpoint(|endpoint, now| endpoint.add_peer_address(now, peer, address))
                .unwrap_or(Err(SendError::InvalidParam("this endpoint failed earlier or is closed")));
        }
        if host.is_empty() {
            return Err(SendError::InvalidParam("the host name is empty"));
        }
        let asker = Arc::downgrade(&self.shared);
        let listener = asker.clone();
        let lookup = resolve::Lookup {
            host: host.to_owned(),
            port,
            wanted: Box::new(move || asker.upgrade().is_some_and(|shared| !shared.is_closed())),
            answer: Box::new(move |addresses| {
                let Some(shared) = listener.upgrade() else { return };
                // A full table or a failed endpoint: nobody is left to tell.
                let _ = shared.with_endpoint(|endpoint, now| {
                    addresses.into_iter().try_for_each(|address| endpoint.add_peer_address(now, peer, address))
                });
            }),
        };
        if resolve::start(lookup) {
            Ok(())
        } else {
            Err(SendError::LimitExceeded("too many host names are being looked up: try again later"))
        }
    }

    /// Closes every session, lets the peers know (half a second at most) and takes the endpoint off its
    /// poll thread, which ends with its last. Returns within a second; at once on a poll thread, where the
    /// rest happens after the callback. Calling it again is harmless.
    pub fn close(&self) {
        let now = clock::now();
        self.shared.start_closing(now + CLOSE_DRAIN);
        if threads::is_poll_thread() {
            return;
        }
        let left = || self.shared.has_left().then_some(());
        self.shared.leaving.sleep(Some(now + CLOSE_WAIT), left);
        threads::reap();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_closed() {
            self.close();
        }
    }
}

/// What peers may be told of sockets that are bound to one address each.
fn bound_candidates(local: &[SocketAddr]) -> Vec<Candidate> {
    let bound = local.iter().filter(|address| !address.ip().is_unspecified());
    bound.map(|address| Candidate { kind: CandidateKind::Host, pop: 0, address: *address }).collect()
}

/// May a message of `size` go to this peer without the lock? What is refused there for its size, or starts
/// a session, is the endpoint's business.
fn takes_lane(cell: &PeerCell, size: usize) -> bool {
    cell.is_open() && size <= MAX_MESSAGE_SIZE && size as u64 <= cell.max_message()
}

/// Takes room for a message of `size` in the send buffer.
fn reserve(cell: &PeerCell, size: usize, flags: i32) -> Result<(), SendError> {
    let now_or_never = flags & flags::NO_DELAY != 0 && flags & flags::RELIABLE == 0;
    if now_or_never && cell.queue_delay_us() > NO_DELAY_LIMIT_US {
        return Err(SendError::Ignored);
    }
    if !cell.reserve(charge(size)) {
        return Err(SendError::LimitExceeded("the send buffer to this user is full (SEND_BUFFER_SIZE)"));
    }
    Ok(())
}

#[cfg(test)]
mod with_servers;

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> PeerCell {
        let cell = PeerCell::default();
        cell.set_open(true);
        cell.set_limit(1_000);
        cell.set_max_message(500);
        cell
    }

    #[test]
    fn only_a_connected_peer_and_a_size_it_takes_use_the_lane() {
        let cell = cell();
        assert!(takes_lane(&cell, 500));
        assert!(!takes_lane(&cell, 501));
        cell.set_open(false);
        assert!(!takes_lane(&cell, 1));
        cell.set_open(true);
        cell.set_max_message(u64::MAX);
        assert!(!takes_lane(&cell, MAX_MESSAGE_SIZE + 1));
    }

    #[test]
    fn the_lane_refuses_what_overflows_the_send_buffer() {
        let cell = cell();
        assert_eq!(reserve(&cell, 500, flags::RELIABLE), Ok(()));
        assert_eq!(reserve(&cell, 480, flags::RELIABLE), Ok(()));
        assert!(matches!(reserve(&cell, 21, flags::RELIABLE), Err(SendError::LimitExceeded(_))));
        assert_eq!(cell.pending(), 980);
    }

    #[test]
    fn no_delay_drops_unreliable_messages_alone_that_would_wait() {
        let cell = cell();
        cell.set_rate(1);
        assert!(cell.reserve(charge(1)));
        assert_eq!(reserve(&cell, 1, flags::NO_DELAY), Err(SendError::Ignored));
        assert_eq!(cell.pending(), charge(1));
        assert_eq!(reserve(&cell, 1, flags::NO_DELAY | flags::RELIABLE), Ok(()));
        assert_eq!(reserve(&cell, 1, 0), Ok(()));
    }
}
