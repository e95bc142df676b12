//! The threads of the library: how they start, how they are waited for, and why the library can still
//! be unloaded.
//!
//! A library with live thread-local destructors in somebody's thread stays in memory until that thread
//! ends. `std::thread::spawn` leaves one in the *calling* thread; so [`super::open`] and
//! [`super::Driver::add_peer_host`], the two calls that start threads, are made from a short-lived thread
//! by whoever wants the library to be unloadable (the C door does). In our own threads we want the opposite:
//! [`anchor`] keeps the code mapped for as long as they run, even if the app unloads the library while a
//! name lookup hangs.
//!
//! A thread's last act is to [`retire`] its handle; the next app thread that closes or waits [`reap`]s
//! it. Nobody ever waits for a thread that has not retired.

use std::cell::Cell;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Starts a thread that runs `work`.
pub(super) fn start(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name("steamnetmsg".into()).spawn(work)
}

struct Anchor;

impl Drop for Anchor {
    fn drop(&mut self) {}
}

thread_local! {
    static ANCHOR: Anchor = const { Anchor };
    // No destructor: app threads read it too.
    static POLLS: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the library mapped while the calling thread, one of our own, runs.
pub(super) fn anchor() {
    ANCHOR.with(|_| ());
}

/// Marks the calling thread as a poll thread.
pub(super) fn mark_as_poll_thread() {
    POLLS.set(true);
}

/// Is the caller a poll thread, that is, inside an app's callback on one? Such a caller must not block.
pub(super) fn is_poll_thread() -> bool {
    POLLS.get()
}

static RETIRED: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

fn retired() -> MutexGuard<'static, Vec<JoinHandle<()>>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves the handle of a thread that does nothing more for whoever reaps next.
pub(super) fn retire(handle: JoinHandle<()>) {
    retired().push(handle);
}

/// Waits for the retired threads, which are on their last instructions.
pub(super) fn reap() {
    let handles = std::mem::take(&mut *retired());
    for handle in handles {
        // A panic of its own has been printed already and has nobody left to reach.
        let _ = handle.join();
    }
}
