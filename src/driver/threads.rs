//! The threads of the library: how they start, how they are waited for, and why the library can still
//! be unloaded.
//!
//! A library with live thread-local destructors in somebody's thread stays in memory until that thread
//! ends. `std::thread::spawn` leaves one in the *calling* thread, so whoever opens an endpoint hands in a
//! [`Spawner`] that leaves nothing behind (the C door has one). In our own threads we want the opposite:
//! [`anchor`] keeps the code mapped for as long as they run, even if the app unloads the library while a
//! name lookup hangs.
//!
//! A thread's last act is to [`retire`] its handle; the next app thread that closes or waits [`reap`]s
//! it. Nobody ever waits for a thread that has not retired.

use std::cell::Cell;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Starts a thread that runs the closure. Must leave no thread-local destructor in the calling thread.
pub type Spawner = fn(Box<dyn FnOnce() + Send>) -> io::Result<ThreadHandle>;

/// A started thread.
pub struct ThreadHandle(Box<dyn FnOnce() + Send>);

impl ThreadHandle {
    /// A thread that `join` waits for.
    pub fn new(join: impl FnOnce() + Send + 'static) -> ThreadHandle {
        ThreadHandle(Box::new(join))
    }

    /// Waits until the thread is gone.
    pub fn join(self) {
        (self.0)();
    }
}

/// A [`Spawner`] for Rust programs, where nothing is ever unloaded: `std::thread::spawn`.
///
/// # Errors
/// The system refuses another thread.
pub fn spawn_with_std(work: Box<dyn FnOnce() + Send>) -> io::Result<ThreadHandle> {
    let thread = std::thread::Builder::new().name("steamnetmsg".into()).spawn(work)?;
    Ok(ThreadHandle::new(move || drop(thread.join())))
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

static RETIRED: Mutex<Vec<ThreadHandle>> = Mutex::new(Vec::new());

fn retired() -> MutexGuard<'static, Vec<ThreadHandle>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves the handle of a thread that does nothing more for whoever reaps next.
pub(super) fn retire(handle: ThreadHandle) {
    retired().push(handle);
}

/// Waits for the retired threads, which are on their last instructions.
pub(super) fn reap() {
    let handles = std::mem::take(&mut *retired());
    handles.into_iter().for_each(ThreadHandle::join);
}
