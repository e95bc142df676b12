//! Threads that leave no trace in the app's threads.
//!
//! `std::thread::spawn` registers a thread-local destructor in the *calling* thread, and on ELF systems the
//! C library keeps our code in memory until that thread ends: for a game's main thread, for ever. So what
//! starts threads (an endpoint, a name look-up) is run on a short-lived thread made by hand, whose
//! destructors run when it ends, before the call returns.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Work = Box<dyn FnOnce() + Send>;

/// A thread of ours. It must be joined: code of the library runs on it until its very end.
pub struct OwnThread {
    raw: raw::Thread,
    done: Arc<AtomicBool>,
}

impl OwnThread {
    /// Starts `work` on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(work: impl FnOnce() + Send + 'static) -> io::Result<OwnThread> {
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let raw = raw::start(Box::new(move || {
            work();
            seen.store(true, Ordering::Release);
        }))?;
        Ok(OwnThread { raw, done })
    }

    /// True when joining it will not wait.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Waits for its end.
    pub fn join(self) {
        raw::join(self.raw);
    }
}

/// Runs `work` on a short-lived thread and waits for what it returns; `None` if it panicked.
///
/// # Errors
/// The system has no thread to give.
pub fn run<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> io::Result<Option<R>> {
    let slot = Arc::new(std::sync::Mutex::new(None));
    let out = slot.clone();
    OwnThread::start(move || {
        let value = work();
        *out.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
    })?
    .join();
    let value = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    Ok(value)
}

#[cfg(unix)]
mod raw {
    use super::Work;
    use std::ffi::c_void;
    use std::io;
    use std::mem::MaybeUninit;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr;

    pub type Thread = libc::pthread_t;

    pub fn start(work: Work) -> io::Result<Thread> {
        let work = Box::into_raw(Box::new(work));
        let mut thread = MaybeUninit::uninit();
        // SAFETY: `thread` is where the id goes; `enter` takes the box over, exactly once, if a thread starts.
        let code = unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), enter, work.cast()) };
        if code != 0 {
            // SAFETY: no thread was started, so the box is still ours alone.
            drop(unsafe { Box::from_raw(work) });
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: pthread_create succeeded, so it has written the id.
        Ok(unsafe { thread.assume_init() })
    }

    extern "C" fn enter(work: *mut c_void) -> *mut c_void {
        // SAFETY: `start` made this pointer from such a box and gave it to this thread alone.
        let work = unsafe { Box::from_raw(work.cast::<Work>()) };
        // A panic was reported by the hook already; whoever waits sees that no value came.
        let _ = catch_unwind(AssertUnwindSafe(work));
        ptr::null_mut()
    }

    pub fn join(thread: Thread) {
        // SAFETY: the id is of a joinable thread, and consuming the OwnThread makes this the only join.
        unsafe { libc::pthread_join(thread, ptr::null_mut()) };
    }
}

#[cfg(not(unix))]
mod raw {
    use super::Work;
    use std::io;

    /// Elsewhere thread-local destructors do not keep a library in memory.
    pub type Thread = std::thread::JoinHandle<()>;

    pub fn start(work: Work) -> io::Result<Thread> {
        std::thread::Builder::new().spawn(work)
    }

    pub fn join(thread: Thread) {
        let _ = thread.join(); // a panic was reported by the hook already
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_a_panic_does_not_spread() {
        assert_eq!(run(|| 7).expect("a thread"), Some(7));
        assert_eq!(run(|| -> u8 { panic!("on purpose") }).expect("a thread"), None);
    }
}
