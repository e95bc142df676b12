//! The threads of the library: how they start, how they are waited for, and why the library can still
//! be unloaded.
//!
//! A library with live thread-local destructors in somebody's thread stays in memory until that thread
//! ends. `std::thread::spawn` leaves one in the *calling* thread, and in each process that loads us a key for
//! thread-local data that is never given back, of which there are a thousand. So whoever wants the library to be
//! unloadable says how threads are started ([`start_with`]; the C door does). In our own threads we want the
//! opposite: [`anchor`] keeps the code mapped for as long as they run, even if the app unloads the library
//! while a name lookup hangs.
//!
//! A thread's last act is to [`retire`] its handle; the next app thread that closes or waits [`reap`]s
//! it. Nobody ever waits for a thread that has not retired.

use std::cell::Cell;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Builder;

/// What threads of the library are called, in debuggers and profiles.
pub const NAME: &str = "steamnetmsg";

/// What a thread does.
pub type Work = Box<dyn FnOnce() + Send>;

/// Waits for the end of a thread.
pub type Join = Box<dyn FnOnce() + Send>;

/// Starts a thread.
pub type Starter = fn(Work) -> io::Result<Join>;

static STARTER: OnceLock<Starter> = OnceLock::new();

/// Has all threads started by `starter` from now on; the first to say so decides.
pub fn start_with(starter: Starter) {
    let _ = STARTER.set(starter);
}

/// Starts a thread that runs `work`.
pub(super) fn start(work: impl FnOnce() + Send + 'static) -> io::Result<Join> {
    match STARTER.get() {
        Some(starter) => starter(Box::new(work)),
        None => {
            let handle = Builder::new().name(NAME.into()).spawn(work)?;
            // A panic of its own has been printed already and has nobody left to reach.
            Ok(Box::new(move || drop(handle.join())))
        }
    }
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

static RETIRED: Mutex<Vec<Join>> = Mutex::new(Vec::new());

fn retired() -> MutexGuard<'static, Vec<Join>> {
    RETIRED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a thread that does nothing more for whoever reaps next.
pub(super) fn retire(join: Join) {
    retired().push(join);
}

/// Waits for the retired threads, which are on their last instructions.
pub(super) fn reap() {
    let joins = std::mem::take(&mut *retired());
    joins.into_iter().for_each(|join| join());
}
