//! What app threads and the poll thread share of one endpoint: the endpoint behind its lock, the out
//! lane beside it, and what becomes of both after a panic or a close.
//!
//! The lock is never held across a system call or anything of the app's. Whoever takes it for the app
//! drains the out lane first, so an app thread's calls take effect in the order it made them. After a
//! panic the endpoint is never touched again: its peers are reported failed from a queue of our own.

use super::bell::Bell;
use super::clock;
use super::poll_thread::Doorbell;
use super::{EventHook, Gone};
use crate::drops::Dropped;
use crate::endpoint::Endpoint;
use crate::endpoint::events::Event;
use crate::endpoint::lanes::{Outgoing, PeerTable};
use crate::endpoint::mailbox::Mailbox;
use crate::ids::SteamId;
use crate::time::Instant;
use crossbeam_channel::{Receiver, Sender};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages on the out lane. A sender that finds it full takes the lock and empties it.
const LANE_LENGTH: usize = 4_096;

/// Signals waiting for an app that carries them itself; the oldest go first.
const MAX_SIGNALS: usize = 256;

/// The reason a peer's session gets when the endpoint fails under it, and the state that goes with it.
const FAILED_INTERNALLY: (i32, i32) = (5_002, 5);

pub(super) struct Shared {
    endpoint: Mutex<Endpoint>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) peers: Arc<PeerTable>,
    lane_in: Sender<Outgoing>,
    lane_out: Receiver<Outgoing>,
    pub(super) local_addresses: Vec<SocketAddr>,
    /// Tells the poll thread that this endpoint has work.
    pub(super) doorbell: Doorbell,
    /// Wakes those in `wait`.
    pub(super) bell: Bell,
    /// How many events wait, so that looking for one costs no lock.
    events: AtomicUsize,
    hook: Option<EventHook>,
    /// The app carries signals itself.
    own_signaling: AtomicBool,
    /// Signals it is to carry, and how many.
    signals: Mutex<VecDeque<(SteamId, Vec<u8>)>>,
    signals_waiting: AtomicUsize,
    /// The app says that interfaces changed; the poll thread has not heard of it yet.
    pub(super) network_changed: AtomicBool,
    poisoned: AtomicBool,
    /// Events of a poisoned endpoint.
    last_words: Mutex<VecDeque<Event>>,
    closed: AtomicBool,
    /// When the poll thread stops serving a closed endpoint at the latest, ns; 0 while open.
    closing_until: AtomicU64,
    /// The poll thread has let go.
    left: AtomicBool,
    pub(super) leaving: Bell,
}

impl Shared {
    pub(super) fn new(
        endpoint: Endpoint,
        doorbell: Doorbell,
        local_addresses: Vec<SocketAddr>,
        hook: Option<EventHook>,
    ) -> Shared {
        let (lane_in, lane_out) = crossbeam_channel::bounded(LANE_LENGTH);
        Shared {
            mailbox: endpoint.mailbox().clone(),
            peers: endpoint.peers().clone(),
            endpoint: Mutex::new(endpoint),
            lane_in,
            lane_out,
            local_addresses,
            doorbell,
            bell: Bell::default(),
            events: AtomicUsize::new(0),
            hook,
            own_signaling: AtomicBool::new(false),
            signals: Mutex::new(VecDeque::new()),
            signals_waiting: AtomicUsize::new(0),
            network_changed: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
            last_words: Mutex::new(VecDeque::new()),
            closed: AtomicBool::new(false),
            closing_until: AtomicU64::new(0),
            left: AtomicBool::new(false),
            leaving: Bell::default(),
        }
    }

    /// Puts a message on the out lane; gives it back when the lane is full.
    pub(super) fn push(&self, message: Outgoing) -> Result<(), Outgoing> {
        self.lane_in.try_send(message).map_err(|e| e.into_inner())?;
        self.doorbell.ring();
        Ok(())
    }

    /// Runs `f` on the endpoint for the app, after everything that is on the out lane.
    pub(super) fn with_endpoint<R>(&self, f: impl FnOnce(&mut Endpoint, Instant) -> R) -> Result<R, Gone> {
        if self.is_closed() {
            return Err(Gone);
        }
        let answer = self.visit(|endpoint| {
            let now = clock::now();
            self.drain_lane(endpoint, now);
            f(endpoint, now)
        });
        self.announce();
        // After a failure too: its events may still be wanted on the poll thread.
        self.doorbell.ring();
        answer
    }

    /// Runs `f` under the lock, keeps count of the events, and poisons the endpoint if `f` panics.
    pub(super) fn visit<R>(&self, f: impl FnOnce(&mut Endpoint) -> R) -> Result<R, Gone> {
        let visit = || {
            let mut endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
            // Looked at under the lock: whoever panicked had it and has said so before giving it up.
            if self.is_poisoned() {
                return None;
            }
            let poison = PoisonOnUnwind(&self.poisoned);
            let answer = f(&mut endpoint);
            self.take_signals(&mut endpoint);
            self.events.store(endpoint.events_waiting(), Ordering::Release);
            std::mem::forget(poison);
            Some(answer)
        };
        match catch_unwind(AssertUnwindSafe(visit)) {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Gone),
            Err(_) => {
                self.report_failure();
                Err(Gone)
            }
        }
    }

    /// Moves the messages that are on the lane now into the endpoint; those of later senders wait, so that
    /// many senders cannot hold the lock.
    pub(super) fn drain_lane(&self, endpoint: &mut Endpoint, now: Instant) {
        for _ in 0..self.lane_out.len() {
            match self.lane_out.try_recv() {
                Ok(message) => endpoint.take_outgoing(now, message),
                Err(_) => break,
            }
        }
    }

    pub(super) fn poll_event(&self) -> Option<Event> {
        if self.events.load(Ordering::Acquire) == 0 {
            return None;
        }
        match self.visit(Endpoint::poll_event) {
            Ok(event) => event,
            Err(Gone) => {
                let mut last_words = self.last_words();
                let event = last_words.pop_front();
                self.events.store(last_words.len(), Ordering::Release);
                event
            }
        }
    }

    /// Who carries signals. Called under the endpoint's lock.
    pub(super) fn use_own_signaling(&self, on: bool) {
        self.own_signaling.store(on, Ordering::Release);
        if !on {
            self.signals().clear();
            self.signals_waiting.store(0, Ordering::Release);
        }
    }

    /// Does the app carry signals itself?
    pub(super) fn has_own_signaling(&self) -> bool {
        self.own_signaling.load(Ordering::Acquire)
    }

    /// Takes what an app that carries signals itself is to carry.
    fn take_signals(&self, endpoint: &mut Endpoint) {
        if !self.has_own_signaling() {
            return;
        }
        let mut signals = self.signals();
        while let Some(signal) = endpoint.poll_signal() {
            if signals.len() >= MAX_SIGNALS {
                signals.pop_front();
                endpoint.count_drop(Dropped::SignalOverflow);
            }
            signals.push_back(signal);
        }
        self.signals_waiting.store(signals.len(), Ordering::Release);
    }

    /// The next signal if it has at most `max` bytes; else its size.
    pub(super) fn poll_signal(&self, max: usize) -> Result<Option<(SteamId, Vec<u8>)>, usize> {
        if self.signals_waiting.load(Ordering::Acquire) == 0 || self.is_closed() {
            return Ok(None);
        }
        let mut signals = self.signals();
        if let Some((_, bytes)) = signals.front().filter(|(_, bytes)| bytes.len() > max) {
            return Err(bytes.len());
        }
        let signal = signals.pop_front();
        self.signals_waiting.store(signals.len(), Ordering::Release);
        Ok(signal)
    }

    fn signals(&self) -> MutexGuard<'_, VecDeque<(SteamId, Vec<u8>)>> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events and signals waiting for the app.
    fn waiting(&self) -> usize {
        self.events.load(Ordering::Acquire) + self.signals_waiting.load(Ordering::Acquire)
    }

    /// Tells the app's sleeping threads if messages or events wait for them.
    pub(super) fn announce(&self) {
        if self.has_news() {
            self.bell.ring();
        }
    }

    /// Tells the app of waiting events on this thread, if it wants that. Never under a lock. True when it
    /// took some and left some: then it wants to be told again.
    pub(super) fn call_hook(&self) -> bool {
        let before = self.waiting();
        let Some(hook) = self.hook.as_ref().filter(|_| before > 0 && !self.is_closed()) else {
            return false;
        };
        // The hook is the C door's, which guards the app's callbacks itself.
        let _ = catch_unwind(AssertUnwindSafe(hook));
        let after = self.waiting();
        0 < after && after < before
    }

    /// Do messages, events or signals wait for the app?
    pub(super) fn has_news(&self) -> bool {
        self.waiting() > 0 || self.mailbox.waiting() > 0
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Fails the endpoint after a panic.
    pub(super) fn poison(&self) {
        if !self.poisoned.swap(true, Ordering::AcqRel) {
            self.report_failure();
        }
    }

    /// Queues the end of every session and tells everybody who may care.
    fn report_failure(&self) {
        let (reason, state) = FAILED_INTERNALLY;
        let mut last_words = self.last_words();
        last_words.extend(self.peers.peers().into_iter().map(|peer| Event::SessionFailed {
            peer,
            reason,
            state,
            text: "internal error: this endpoint failed and must be destroyed".into(),
        }));
        self.events.store(last_words.len(), Ordering::Release);
        drop(last_words);
        self.bell.ring();
        self.doorbell.ring();
    }

    fn last_words(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the endpoint to the app; the poll thread goes on until it is drained or `until`.
    /// False when it was closed before.
    pub(super) fn start_closing(&self, until: Instant) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        let _ = self.visit(|endpoint| {
            let now = clock::now();
            self.drain_lane(endpoint, now);
            endpoint.shutdown(now);
        });
        self.closing_until.store(until.as_nanos().max(1), Ordering::Release);
        self.bell.ring();
        self.doorbell.ring();
        true
    }

    /// When a closed endpoint leaves its poll thread at the latest; `None` while it is open.
    pub(super) fn closing_until(&self) -> Option<Instant> {
        let nanos = self.closing_until.load(Ordering::Acquire);
        (nanos > 0).then(|| Instant::from_nanos(nanos))
    }

    /// Has the poll thread let go?
    pub(super) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// The poll thread lets go.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.leaving.ring();
    }
}

/// Marks the endpoint poisoned while the panic still holds its lock, so that nobody enters after it.
/// Forgotten when all goes well.
struct PoisonOnUnwind<'a>(&'a AtomicBool);

impl Drop for PoisonOnUnwind<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
