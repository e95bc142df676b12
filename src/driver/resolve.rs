//! Host names become addresses, off everybody's thread.
//!
//! The system's lookup blocks for seconds, so a few threads of their own work through a bounded queue
//! and end when it is empty.

use super::threads::{self, Join};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lookups at once.
const MAX_THREADS: usize = 4;
/// Lookups waiting for a thread.
const MAX_WAITING: usize = 64;
/// Addresses of one name that are used.
pub(super) const MAX_ADDRESSES: usize = 8;
/// How long [`wait_for_lookups`] waits at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// Wakes the poll thread that waits for an answer.
pub(super) type Ring = Arc<dyn Fn() + Send + Sync>;

/// A name to look up and who wants to know.
pub(super) struct Lookup {
    pub(super) host: String,
    pub(super) port: u16,
    /// False when nobody waits for the answer any more.
    pub(super) wanted: Box<dyn Fn() -> bool + Send>,
    /// Takes at most [`MAX_ADDRESSES`]; none when the name is unknown.
    pub(super) answer: Box<dyn FnOnce(Vec<SocketAddr>) + Send>,
}

/// A lookup whose answer somebody comes for. Dropped, it is wanted no more.
#[derive(Debug)]
pub(super) struct Asked(Arc<Mutex<Option<Vec<SocketAddr>>>>);

impl Asked {
    /// Looks up `host`, unless it is an IP address already; `ring` is called when the answer is there. `None` when too
    /// many wait.
    pub(super) fn start(host: &str, port: u16, ring: &Ring) -> Option<Asked> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Asked(Arc::new(Mutex::new(Some(vec![SocketAddr::new(ip, port)])))));
        }
        let place: Arc<Mutex<Option<Vec<SocketAddr>>>> = Arc::default();
        let (asker, listener, ring) = (Arc::downgrade(&place), Arc::downgrade(&place), ring.clone());
        let lookup = Lookup {
            host: host.to_owned(),
            port,
            wanted: Box::new(move || asker.strong_count() > 0),
            answer: Box::new(move |addresses| {
                if let Some(place) = listener.upgrade() {
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(addresses);
                    ring();
                }
            }),
        };
        start(lookup).then_some(Asked(place))
    }

    /// The addresses once they are there, once; none when the name is unknown.
    pub(super) fn take(&self) -> Option<Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Lookups {
    waiting: VecDeque<Lookup>,
    threads: BTreeMap<u64, Join>,
    started: u64,
}

static LOOKUPS: Mutex<Lookups> = Mutex::new(Lookups { waiting: VecDeque::new(), threads: BTreeMap::new(), started: 0 });
static ENDED: Condvar = Condvar::new();

fn lookups() -> MutexGuard<'static, Lookups> {
    LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a lookup. False when too many wait, or no thread is to be had.
pub(super) fn start(lookup: Lookup) -> bool {
    let mut lookups = lookups();
    if lookups.waiting.len() >= MAX_WAITING {
        return false;
    }
    lookups.waiting.push_back(lookup);
    if lookups.threads.len() < MAX_THREADS {
        let id = lookups.started;
        lookups.started += 1;
        match threads::start(move || run(id)) {
            Ok(join) => {
                lookups.threads.insert(id, join);
            }
            // Those that run will come to it; without any it would wait for ever.
            Err(_) if lookups.threads.is_empty() => {
                lookups.waiting.pop_back();
                return false;
            }
            Err(_) => {}
        }
    }
    true
}

/// Works through the queue, then retires.
fn run(id: u64) {
    threads::anchor();
    loop {
        let mut lookups = lookups();
        let Some(lookup) = lookups.waiting.pop_front() else {
            if let Some(join) = lookups.threads.remove(&id) {
                threads::retire(join);
            }
            if lookups.threads.is_empty() {
                // Gives the memory back, which would be lost if the library is unloaded.
                lookups.threads.clear();
                lookups.waiting.shrink_to_fit();
            }
            ENDED.notify_all();
            return;
        };
        drop(lookups);
        if (lookup.wanted)() {
            (lookup.answer)(addresses(&lookup.host, lookup.port));
        }
    }
}

fn addresses(host: &str, port: u16) -> Vec<SocketAddr> {
    (host, port).to_socket_addrs().map(|all| all.take(MAX_ADDRESSES).collect()).unwrap_or_default()
}

/// Waits until no name lookup runs, three seconds at most, and for threads of the library that are about
/// to end. Call it before the library is unloaded.
pub fn wait_for_lookups() {
    if threads::is_poll_thread() {
        return;
    }
    let busy = |lookups: &mut Lookups| !lookups.threads.is_empty();
    drop(ENDED.wait_timeout_while(lookups(), PATIENCE, busy).unwrap_or_else(PoisonError::into_inner));
    threads::reap();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(host: &str, wanted: bool, answers: &Arc<Mutex<Vec<Vec<SocketAddr>>>>) -> bool {
        let answers = answers.clone();
        let answer = move |addresses| answers.lock().unwrap().push(addresses);
        let (wanted, answer) = (Box::new(move || wanted), Box::new(answer));
        start(Lookup { host: host.into(), port: 7, wanted, answer })
    }

    #[test]
    fn names_are_answered_unknown_ones_with_nothing_and_unwanted_ones_never() {
        let answers = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..10 {
            assert!(lookup("localhost", true, &answers));
            assert!(lookup("localhost", false, &answers));
        }
        // Not a name at all, so that no name server is asked.
        assert!(lookup("not a host name", true, &answers));
        wait_for_lookups();
        let answers = answers.lock().unwrap();
        assert_eq!(answers.len(), 11);
        assert_eq!(answers.iter().filter(|addresses| addresses.is_empty()).count(), 1);
        for address in answers.iter().flatten() {
            assert!(address.ip().is_loopback() && address.port() == 7);
        }
        assert!(lookups().threads.is_empty());
    }
}
