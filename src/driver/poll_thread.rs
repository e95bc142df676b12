//! The poll threads: one per poll group, and the registry that finds them.
//!
//! A thread owns the sockets of its endpoints and sleeps in one poll call. It is woken through a state of
//! three values, every change of which is a read-modify-write, so that no wake-up is lost and a ring
//! costs a system call only while the thread sleeps:
//!
//! - the ringer makes its work visible, then swaps in RUNG; if it takes out SLEEPING it wakes the poll call;
//! - the thread swaps in AWAKE before it looks for work, and goes from AWAKE to SLEEPING by compare and
//!   exchange before it sleeps. Either the exchange finds RUNG and the thread looks again, or the
//!   ringer finds SLEEPING.
//!
//! A thread ends with its last endpoint; that is decided under the registry's lock, so that nobody joins
//! a thread that ends.

use super::alarm::Alarm;
use super::ports::{Inbound, Ports};
use super::threads::{self, Join};
use super::turn::{Next, Seat};
use super::{clock, servers, shared::Shared};
use crate::time::{Duration, Instant};
use mio::{Events, Poll, Registry, Token, Waker};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const AWAKE: u8 = 0;
const SLEEPING: u8 = 1;
const RUNG: u8 = 2;

const WAKER: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);

/// Sockets one endpoint may have; their tokens follow that of its seat.
const MAX_SOCKETS: usize = 1 << 8;

/// Sockets for UDP one endpoint may have: its first tokens. The others are those of its servers.
pub(super) const MAX_UDP_SOCKETS: usize = MAX_SOCKETS - servers::TOKENS;

/// A poll thread as others see it.
pub(super) struct PollThread {
    state: AtomicU8,
    waker: Waker,
    registry: Registry,
    arrivals: Mutex<Vec<(usize, Seat)>>,
}

impl PollThread {
    fn wake(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == SLEEPING {
            // It fails only when the system is out of memory; the thread then wakes by its next deadline.
            let _ = self.waker.wake();
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<(usize, Seat)>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How others tell a poll thread that one endpoint has work.
pub(super) struct Doorbell {
    thread: Arc<PollThread>,
    rung: AtomicBool,
}

impl Doorbell {
    /// There is work. Call it after the work is visible, never under the endpoint's lock.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.thread.wake();
    }

    /// Was it rung since the last answer?
    pub(super) fn answer(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }
}

/// A running poll thread as the registry keeps it.
struct Running {
    group: i32,
    thread: Arc<PollThread>,
    join: Join,
    endpoints: usize,
    next_seat: usize,
}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives an endpoint its place on the thread of `group` (negative: a thread of its own), which is started
/// if it does not run. `make` builds the endpoint's shared part round its doorbell.
///
/// # Errors
/// No poll, timer or thread to be had, or a socket that cannot be polled.
pub(super) fn join(group: i32, mut ports: Ports, make: impl FnOnce(Doorbell) -> Shared) -> io::Result<Arc<Shared>> {
    let mut running = running();
    let index = match running.iter().position(|one| group >= 0 && one.group == group) {
        Some(index) => index,
        None => {
            running.push(start(group)?);
            running.len() - 1
        }
    };
    let one = &mut running[index];
    let seat = one.next_seat;
    let registered = ports.sockets.iter_mut().enumerate().try_for_each(|(i, socket)| {
        let token = Token(seat * MAX_SOCKETS + i);
        socket.register(&one.thread.registry, token)
    });
    if let Err(e) = registered {
        // A thread just started finds itself without endpoints and ends.
        one.thread.wake();
        return Err(e);
    }
    one.next_seat += 1;
    one.endpoints += 1;
    let shared = Arc::new(make(Doorbell { thread: one.thread.clone(), rung: AtomicBool::new(true) }));
    one.thread.arrivals().push((seat, Seat::new(shared.clone(), ports, seat * MAX_SOCKETS)));
    one.thread.wake();
    Ok(shared)
}

/// Starts a thread. It waits for the registry's lock, which the caller holds, before it looks round.
fn start(group: i32) -> io::Result<Running> {
    let poll = Poll::new()?;
    let alarm = Alarm::new(poll.registry(), ALARM)?;
    let thread = Arc::new(PollThread {
        state: AtomicU8::new(AWAKE),
        waker: Waker::new(poll.registry(), WAKER)?,
        registry: poll.registry().try_clone()?,
        arrivals: Mutex::new(Vec::new()),
    });
    let own = thread.clone();
    let join = threads::start(move || run(poll, alarm, &own))?;
    Ok(Running { group, thread, join, endpoints: 0, next_seat: 0 })
}

fn run(mut poll: Poll, mut alarm: Alarm, thread: &Arc<PollThread>) {
    threads::anchor();
    threads::mark_as_poll_thread();
    drop(running()); // until whoever started us has given us an endpoint
    let mut inbound = Inbound::new();
    let mut events = Events::with_capacity(256);
    let mut seats: BTreeMap<usize, Seat> = BTreeMap::new();
    loop {
        thread.state.swap(AWAKE, Ordering::AcqRel);
        seats.extend(thread.arrivals().drain(..));
        let mut again = false;
        let mut wake_at: Option<Instant> = None;
        let mut leaving = Vec::new();
        for (id, seat) in &mut seats {
            match seat.visit(&mut inbound, poll.registry()) {
                Next::Again => again = true,
                Next::Sleep(Some(at)) => wake_at = Some(wake_at.map_or(at, |earliest| earliest.min(at))),
                Next::Sleep(None) => {}
                Next::Leave => leaving.push(*id),
            }
        }
        // Dropping a seat closes its sockets, before anybody hears that it is gone.
        let gone: Vec<_> = leaving.iter().filter_map(|id| seats.remove(id)).map(|seat| seat.shared).collect();
        let last = (!gone.is_empty() || seats.is_empty()) && ends_without(thread, gone.len());
        gone.iter().for_each(|shared| shared.leave());
        if last {
            return;
        }
        let timeout = if again { Some(Duration::ZERO) } else { fall_asleep(thread, &mut alarm, wake_at) };
        // Interrupted by a signal, or out of memory: what happened meanwhile is still there next time.
        let _ = poll.poll(&mut events, timeout);
        for event in &events {
            let (seat, socket) = (event.token().0 / MAX_SOCKETS, event.token().0 % MAX_SOCKETS);
            if let Some(seat) = seats.get_mut(&seat) {
                let (readable, writable) = (event.is_readable() || event.is_error(), event.is_writable());
                seat.handle_readiness(socket, readable, writable);
            }
        }
    }
}

/// The timeout for the poll call: none while there is work already.
fn fall_asleep(thread: &PollThread, alarm: &mut Alarm, wake_at: Option<Instant>) -> Option<Duration> {
    if thread.state.compare_exchange(AWAKE, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return Some(Duration::ZERO);
    }
    match wake_at.map(|at| at.saturating_since(clock::now())) {
        Some(Duration::ZERO) => Some(Duration::ZERO),
        Some(span) => alarm.arm(span),
        None => None,
    }
}

/// Counts endpoints out. True when none is left or on its way: the thread is off the registry and retired.
fn ends_without(thread: &Arc<PollThread>, gone: usize) -> bool {
    let mut running = running();
    let Some(index) = running.iter().position(|one| Arc::ptr_eq(&one.thread, thread)) else {
        return true;
    };
    running[index].endpoints -= gone;
    if running[index].endpoints > 0 {
        return false;
    }
    threads::retire(running.swap_remove(index).join);
    running.shrink_to_fit(); // memory that would be lost if the library is unloaded
    true
}
