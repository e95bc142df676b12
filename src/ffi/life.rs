//! The life of an endpoint: made, found by its handle, destroyed, all destroyed.
//!
//! Destroying takes the handle out of the table first: from there on nobody new gets in. Then the driver
//! closes (bounded), then the callbacks are cleared, which waits for those still running. Called from inside
//! a callback, it happens when that callback has returned; and if the callback may have come from one of our
//! own threads, the closing is done on a thread of its own, because a thread cannot wait for its own end.

use super::answer::{Refusal, call, quiet, result};
use super::callback::{CallbackSlot, Place, on_own_thread, postpone};
use super::codes::snm_result;
use super::config::{self, snm_config};
use super::events::{self, FailedFn, Held, RequestFn};
use super::handles::Table;
use super::log;
use super::pointers::write_text;
use super::signaling::SignalFn;
use super::thread::{self, OwnThread};
use crate::driver::{self, Driver, EventHook, Gone, OpenError};
use crate::endpoint::Endpoint;
use crate::endpoint::config::ConfigError;
use crate::time::Instant;
use std::ffi::c_char;
use std::ptr::{null_mut, without_provenance_mut};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// One local identity with all its sessions. A handle: nothing is behind the pointer, and that of a
/// destroyed endpoint may be passed to any function for ever; it answers SNM_RESULT_INVALID_STATE.
pub struct snm_endpoint(());

/// What stands behind a handle.
pub struct Slot {
    /// The running endpoint.
    pub driver: Arc<Driver>,
    /// Who is told of session requests.
    pub request: CallbackSlot<RequestFn>,
    /// Who is told of failed sessions.
    pub failed: CallbackSlot<FailedFn>,
    /// Who carries signals.
    pub signal: CallbackSlot<SignalFn>,
    /// Events taken from the endpoint for which there was no callback.
    pub held: Mutex<Held>,
    /// CALLBACK_MODE 1.
    pub on_poll_thread: AtomicBool,
    /// Someone is calling callbacks.
    pub dispatching: AtomicBool,
}

impl Slot {
    /// Asks the endpoint something, under its lock.
    pub fn core<R>(&self, ask: impl FnOnce(&mut Endpoint, Instant) -> R) -> Result<R, Refusal> {
        self.driver.with_endpoint(ask).map_err(|gone| self.refuse(gone))
    }

    /// Why the endpoint answers nothing: destroyed by another thread meanwhile, or out of service.
    pub fn refuse(&self, _: Gone) -> Refusal {
        if self.driver.is_closed() {
            return Refusal::state("the endpoint was destroyed meanwhile");
        }
        Refusal::fail(
            "this endpoint met an internal error earlier and is out of service: destroy it and create another",
        )
    }
}

static ENDPOINTS: Table<Slot> = Table::new(5, "snm_endpoint");

/// The endpoint of a handle.
pub fn find(endpoint: *const snm_endpoint) -> Result<Arc<Slot>, Refusal> {
    ENDPOINTS.find(endpoint)
}

/// Creates an endpoint: binds its sockets and starts its thread.
///
/// The settings are copied; config may be destroyed or changed afterwards. *out_endpoint is yours until
/// snm_endpoint_destroy; on failure it is NULL. Any thread; does not wait for the network.
///
/// SNM_RESULT_OK; INVALID_PARAM (NULL, or a setting that is missing or contradicts another: snm_last_error()
/// names the key); INVALID_STATE (the config was destroyed); FAIL (an address cannot be bound or no thread
/// can be had: address and cause are in snm_last_error()).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_endpoint_create(
    config: *const snm_config,
    out_endpoint: *mut *mut snm_endpoint,
) -> snm_result {
    if !out_endpoint.is_null() {
        // SAFETY: the header asks for a place to write a pointer to, or NULL.
        unsafe { out_endpoint.write(null_mut()) };
    }
    result(|| {
        if out_endpoint.is_null() {
            return Err(Refusal::param("out_endpoint is NULL"));
        }
        let handle = create(config).inspect_err(|refusal| log::say(log::ERROR, &refusal.text))?;
        // SAFETY: as above, and not NULL.
        unsafe { out_endpoint.write(without_provenance_mut(handle)) };
        Ok(())
    })
}

fn create(config: *const snm_config) -> Result<usize, Refusal> {
    let config = config::snapshot(config)?;
    config.validate()?;
    let on_poll_thread = AtomicBool::new(config.callbacks_on_poll_thread);
    let who = config.steam_id;

    // The hook comes before what it speaks for: until that is in place there is no callback to call either.
    let home: Arc<OnceLock<Weak<Slot>>> = Arc::default();
    let seen = home.clone();
    let hook: EventHook = Box::new(move || {
        if let Some(slot) = seen.get().and_then(Weak::upgrade) {
            events::hook(&slot);
        }
    });
    driver::start_with(thread::start);
    let driver = driver::open(config, Some(hook)).map_err(|error| match error {
        OpenError::Config(ConfigError::Limit(text)) => Refusal::limit(text),
        OpenError::Config(error) => Refusal::param(error.to_string()),
        error => Refusal::fail(error.to_string()),
    })?;

    let slot = Arc::new(Slot {
        driver,
        request: CallbackSlot::new(),
        failed: CallbackSlot::new(),
        signal: CallbackSlot::new(),
        held: Mutex::default(),
        on_poll_thread,
        dispatching: AtomicBool::new(false),
    });
    let _ = home.set(Arc::downgrade(&slot)); // set nowhere else
    let handle = ENDPOINTS.insert(slot.clone()).inspect_err(|_| close(&slot))?;
    log::say(log::MESSAGE, &format!("endpoint of {who} is up on {}", addresses(&slot)));
    Ok(handle)
}

fn addresses(slot: &Slot) -> String {
    slot.driver.local_addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Destroys an endpoint: closes its sessions, lets the peers know, frees its sockets and its thread.
///
/// Waits for that, less than a second; then for callbacks of this endpoint still running on other threads.
/// When it returns none is running, none will be called, and its ports are free. From inside a callback it
/// returns at once and takes effect when the callback has returned. Messages already received stay valid
/// until released. NULL or a destroyed endpoint: nothing happens. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_endpoint_destroy(endpoint: *mut snm_endpoint) {
    if endpoint.is_null() {
        return;
    }
    quiet(|| {
        let handle = endpoint.addr();
        let later = move |place| {
            if let Ok(slot) = ENDPOINTS.take(without_provenance_mut::<snm_endpoint>(handle)) {
                close_at(place, vec![slot]);
            }
        };
        if postpone(Box::new(later)).is_ok() {
            return Ok(());
        }
        close(&ENDPOINTS.take(endpoint)?);
        Ok(())
    });
}

/// Destroys every endpoint of the process, as snm_endpoint_destroy does, and waits until no thread of the
/// library is left.
///
/// After it the library may be unloaded, or used again. Any number of times, from any thread; from inside a
/// callback it takes effect when the callback has returned. Settings (snm_config) and messages you hold stay
/// valid; release them before unloading.
#[unsafe(no_mangle)]
pub extern "C" fn snm_shutdown_all() {
    quiet(|| {
        let later = |place| {
            close_at(place, ENDPOINTS.take_all());
            if place == Place::RunCallbacks {
                settle();
            }
        };
        if postpone(Box::new(later)).is_err() {
            ENDPOINTS.take_all().iter().for_each(close);
            settle();
        }
        Ok(())
    });
}

/// Closings under way, and the threads some of them run on.
struct Closings {
    count: usize,
    threads: Vec<OwnThread>,
}

static CLOSINGS: Mutex<Closings> = Mutex::new(Closings { count: 0, threads: Vec::new() });
static CLOSED: Condvar = Condvar::new();

fn closings() -> MutexGuard<'static, Closings> {
    CLOSINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A closing under way, counted until dropped.
struct Closing;

impl Closing {
    fn begin() -> Closing {
        closings().count += 1;
        Closing
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        closings().count -= 1;
        CLOSED.notify_all();
    }
}

fn close(slot: &Arc<Slot>) {
    let _closing = Closing::begin();
    slot.driver.close();
    slot.request.set(None, null_mut());
    slot.failed.set(None, null_mut());
    slot.signal.set(None, null_mut());
    // Callbacks may have held up the poll thread for longer than closing waits for it. Now it comes back.
    slot.driver.close();
    log::say(log::MESSAGE, &format!("endpoint on {} is gone", addresses(slot)));
}

/// Closes where that may be waited for.
fn close_at(place: Place, slots: Vec<Arc<Slot>>) {
    if place == Place::RunCallbacks {
        slots.iter().for_each(close);
        return;
    }
    if slots.is_empty() {
        return;
    }
    // Started and listed in one step, so that `settle` never misses a thread.
    let mut closings = closings();
    let started = OwnThread::start(move || slots.iter().for_each(close));
    let all = std::mem::take(&mut closings.threads).into_iter();
    let (ended, going): (Vec<_>, Vec<_>) = all.partition(OwnThread::is_done);
    closings.threads = going;
    let failed = match started {
        Ok(thread) => {
            closings.threads.push(thread);
            None
        }
        Err(error) => Some(error),
    };
    drop(closings);
    ended.into_iter().for_each(OwnThread::join);
    if let Some(error) = failed {
        // Without a thread the endpoint stays up, unreachable, rather than this thread waiting for itself.
        log::say(log::ERROR, &format!("no thread can be had to close an endpoint: {error}"));
    }
}

/// Waits until no thread of ours is left.
fn settle() {
    let mut closings = closings();
    while closings.count > 0 {
        closings = CLOSED.wait(closings).unwrap_or_else(PoisonError::into_inner);
    }
    let threads = std::mem::take(&mut closings.threads);
    drop(closings);
    threads.into_iter().for_each(OwnThread::join);
    driver::wait_for_lookups();
}

/// Writes the addresses that are bound, comma separated: "0.0.0.0:27015,[::]:27015".
///
/// 128 bytes always suffice, the NUL included. Any thread.
/// SNM_RESULT_OK; INVALID_PARAM (NULL); INVALID_STATE (destroyed); LIMIT_EXCEEDED (out_size is too small; ""
/// is written if that fits).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn snm_endpoint_local_address(
    endpoint: *const snm_endpoint,
    out: *mut c_char,
    out_size: u32,
) -> snm_result {
    result(|| {
        let slot = find(endpoint)?;
        if out.is_null() {
            return Err(Refusal::param("out is NULL"));
        }
        let text = addresses(&slot);
        // SAFETY: the header asks for out_size writable bytes.
        if unsafe { write_text(out, out_size, &text) } {
            Ok(())
        } else {
            Err(Refusal::limit(format!("out_size is {out_size}, but {} bytes are needed", text.len() + 1)))
        }
    })
}

/// Waits until messages or events wait for the app, at most timeout_ms milliseconds; -1 for ever.
///
/// More than 0: something waits: messages on any channel, or events, or both; take them. 0: timed out. -1:
/// the endpoint is gone, or was destroyed meanwhile. Any number of threads may wait. Inside a callback that
/// runs on the poll thread it never waits, because what it would wait for comes through that thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_wait(endpoint: *mut snm_endpoint, timeout_ms: i32) -> i32 {
    call(
        |_| -1,
        || {
            let slot = find(endpoint)?;
            if events::take_news(&slot) {
                return Ok(1);
            }
            let timeout = if on_own_thread() { Some(0) } else { u64::try_from(timeout_ms).ok() };
            let something = slot.driver.wait(timeout.map(std::time::Duration::from_millis));
            if slot.driver.is_closed() {
                return Err(Refusal::state("the endpoint was destroyed while waiting"));
            }
            Ok(i32::from(something || events::take_news(&slot)))
        },
    )
}

/// Microseconds on the library's clock: monotonic, the clock of snm_message.time_received.
///
/// It starts at 3000000000000 at its first use in the process; only differences mean anything. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_time_now() -> i64 {
    call(|_| 0, || Ok(driver::clock::now().as_micros() as i64))
}

/// The library's version: 0xMMmmpp, major, minor, patch. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn snm_version() -> u32 {
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

const fn number(text: &str) -> u32 {
    let (text, mut value, mut at) = (text.as_bytes(), 0, 0);
    while at < text.len() {
        value = value * 10 + (text[at] - b'0') as u32;
        at += 1;
    }
    assert!(value < 256, "a part of the version has eight bits");
    value
}
