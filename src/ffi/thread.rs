//! Threads that leave no trace in the app's process.
//!
//! `std::thread::spawn` registers a thread-local destructor in the *calling* thread, and on ELF systems the
//! C library keeps our code in memory until that thread ends: for a game's main thread, for ever. And the first
//! thread it starts takes a key for thread-local data which is not given back when the library is unloaded: after
//! a thousand times there is none left. So our threads are made by hand.

use crate::driver::{Join, Work};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Starts a thread for the driver.
///
/// # Errors
/// The system has no thread to give.
pub fn start(work: Work) -> io::Result<Join> {
    let thread = OwnThread::start(work)?;
    Ok(Box::new(move || thread.join()))
}

#[cfg(unix)]
mod raw {
    use super::Work;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use crate::driver::THREAD_NAME;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    use std::ffi::CString;
    use std::ffi::c_void;
    use std::io;
    use std::mem::MaybeUninit;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr;

    pub type Thread = libc::pthread_t;

    /// Bytes of stack. The C libraries' own choices differ too much: 128 KiB to 8 MiB.
    const STACK: usize = 2 << 20;

    pub fn start(work: Work) -> io::Result<Thread> {
        let work = Box::into_raw(Box::new(work));
        let mut thread = MaybeUninit::uninit();
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: `attributes` are initialised before they are used and destroyed after, and `thread` is where
        // the id goes; `enter` takes the box over, exactly once, if a thread starts.
        let code = unsafe {
            match libc::pthread_attr_init(attributes.as_mut_ptr()) {
                0 => {
                    // Refused only where even this is too small: then the system's choice holds.
                    libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK);
                    let code = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), enter, work.cast());
                    libc::pthread_attr_destroy(attributes.as_mut_ptr());
                    code
                }
                code => code,
            }
        };
        if code != 0 {
            // SAFETY: no thread was started, so the box is still ours alone.
            drop(unsafe { Box::from_raw(work) });
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: pthread_create succeeded, so it has written the id.
        Ok(unsafe { thread.assume_init() })
    }

    extern "C" fn enter(work: *mut c_void) -> *mut c_void {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Ok(name) = CString::new(THREAD_NAME) {
            // SAFETY: the name is NUL-terminated and short enough; the system copies it.
            unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
        }
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
    fn a_thread_has_ended_when_it_is_joined_and_a_panic_does_not_spread() {
        let counter = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let seen = counter.clone();
        let join = start(Box::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        join.expect("a thread")();
        assert_eq!(counter.load(Ordering::Relaxed), 1);
        let thread = OwnThread::start(|| panic!("on purpose")).expect("a thread");
        thread.join();
    }
}
