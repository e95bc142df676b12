//! Calling the app, and being called by it meanwhile.
//!
//! A [`CallbackSlot`] holds one function pointer of the app's with its `user_data`. When a setter returns,
//! no call of the function it replaced is under way, so the app may free what it pointed to; only a setter
//! called from inside that very callback does not wait for it, or it would wait for ever.
//!
//! While a callback runs, a [`Frame`] on the stack of its thread says so. What must not happen under the
//! app's feet (destroying the endpoint that calls it) is [`postpone`]d until the outermost callback of the
//! thread has returned.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whose thread a callback runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The app's own, inside `snm_run_callbacks`: what is postponed may wait for our threads there.
    RunCallbacks,
    /// Perhaps one of ours, so nothing there may wait for our threads.
    Elsewhere,
}

/// What is done once the outermost callback has returned. It is told where.
pub type Postponed = Box<dyn FnOnce(Place)>;

struct Frame {
    slot: *const c_void,
    place: Place,
    outer: *const Frame,
    postponed: RefCell<Vec<Postponed>>,
}

thread_local! {
    /// The innermost callback running on this thread. A bare pointer: it needs no destructor.
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// The frames of this thread, innermost first.
fn frames() -> impl Iterator<Item = &'static Frame> {
    // SAFETY: frames live on this thread's stack, below the code that is running now, until `call` unlinks
    // them; no reference is kept beyond the statement that walks them.
    let step = |frame: *const Frame| unsafe { frame.as_ref() };
    std::iter::successors(step(INNERMOST.with(Cell::get)), move |frame| step(frame.outer))
}

/// Is a callback running on this thread that may have been called by one of our threads?
pub fn on_own_thread() -> bool {
    frames().any(|frame| frame.place == Place::Elsewhere)
}

/// Inside a callback: keeps `work` until the outermost one has returned. Else: gives it back.
pub fn postpone(work: Postponed) -> Result<(), Postponed> {
    match frames().last() {
        Some(outermost) => {
            outermost.postponed.borrow_mut().push(work);
            Ok(())
        }
        None => Err(work),
    }
}

/// The app's pointer, handed back to it untouched.
#[derive(Clone, Copy)]
struct UserData(*mut c_void);

// SAFETY: never followed here; the header says on which threads the app gets it back.
unsafe impl Send for UserData {}

struct State<F> {
    current: Option<(F, UserData)>,
    /// How often the function was replaced.
    epoch: u64,
    /// Calls under way, by the epoch of their function.
    running: BTreeMap<u64, usize>,
}

/// One callback of the app's.
pub struct CallbackSlot<F> {
    state: Mutex<State<F>>,
    returned: Condvar,
}

impl<F: Copy> CallbackSlot<F> {
    /// No function.
    pub const fn new() -> CallbackSlot<F> {
        let state = State { current: None, epoch: 0, running: BTreeMap::new() };
        CallbackSlot { state: Mutex::new(state), returned: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> *const c_void {
        ptr::from_ref(self).cast()
    }

    /// Is there a function?
    pub fn is_set(&self) -> bool {
        self.lock().current.is_some()
    }

    /// Puts `function` in place and waits until no call of an earlier one is under way, unless called from
    /// inside one.
    pub fn set(&self, function: Option<F>, user_data: *mut c_void) {
        let inside = frames().any(|frame| frame.slot == self.id());
        let mut state = self.lock();
        state.current = function.map(|function| (function, UserData(user_data)));
        state.epoch += 1;
        let epoch = state.epoch;
        while !inside && state.running.range(..epoch).next().is_some() {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Calls the function through `invoke`, outside every lock of this slot; false when there is none.
    /// Then does what was postponed, if this was the outermost callback of the thread.
    pub fn call(&self, place: Place, invoke: impl FnOnce(F, *mut c_void)) -> bool {
        let mut state = self.lock();
        let Some((function, user_data)) = state.current else {
            return false;
        };
        let epoch = state.epoch;
        *state.running.entry(epoch).or_default() += 1;
        drop(state);

        let outer = INNERMOST.with(Cell::get);
        let frame = Frame { slot: self.id(), place, outer, postponed: RefCell::default() };
        INNERMOST.with(|innermost| innermost.set(&raw const frame));
        invoke(function, user_data.0);
        INNERMOST.with(|innermost| innermost.set(outer));

        let mut state = self.lock();
        if let Some(count) = state.running.get_mut(&epoch) {
            *count -= 1;
            if *count == 0 {
                state.running.remove(&epoch);
            }
        }
        drop(state);
        self.returned.notify_all();

        for work in frame.postponed.into_inner() {
            work(place);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;

    type Plain = fn();

    #[test]
    fn clearing_waits_for_the_call_under_way_on_another_thread() {
        let slot: Arc<CallbackSlot<Plain>> = Arc::new(CallbackSlot::new());
        slot.set(Some(|| ()), ptr::null_mut());
        let returned = Arc::new(AtomicBool::new(false));
        let (entered_tx, entered) = mpsc::channel();
        let (go, go_rx) = mpsc::channel::<()>();
        let caller = std::thread::spawn({
            let (slot, returned) = (slot.clone(), returned.clone());
            move || {
                slot.call(Place::Elsewhere, |_, _| {
                    entered_tx.send(()).expect("the test listens");
                    go_rx.recv().expect("the test says go");
                    returned.store(true, Ordering::SeqCst);
                })
            }
        });
        entered.recv().expect("the call begins");
        let setter = std::thread::spawn({
            let (slot, returned) = (slot.clone(), returned.clone());
            move || {
                slot.set(None, ptr::null_mut());
                returned.load(Ordering::SeqCst)
            }
        });
        while slot.is_set() {
            std::thread::yield_now(); // until the setter is in its wait
        }
        go.send(()).expect("the callback waits");
        assert!(setter.join().expect("no panic"), "the setter returned while the old function still ran");
        assert!(caller.join().expect("no panic"));
    }

    #[test]
    fn a_setter_inside_the_callback_does_not_wait_for_itself() {
        let slot: CallbackSlot<Plain> = CallbackSlot::new();
        slot.set(Some(|| ()), ptr::null_mut());
        assert!(slot.call(Place::RunCallbacks, |_, _| slot.set(None, ptr::null_mut())));
        assert!(!slot.call(Place::RunCallbacks, |_, _| panic!("there is no function")));
    }

    #[test]
    fn a_setter_does_not_wait_for_calls_of_the_new_function() {
        let slot: CallbackSlot<Plain> = CallbackSlot::new();
        slot.set(Some(|| ()), ptr::null_mut());
        let other: CallbackSlot<Plain> = CallbackSlot::new();
        slot.call(Place::RunCallbacks, |_, _| {
            slot.set(Some(|| ()), ptr::null_mut());
            slot.call(Place::RunCallbacks, |_, _| other.set(None, ptr::null_mut()));
        });
        slot.set(None, ptr::null_mut());
    }

    #[test]
    fn what_is_postponed_happens_when_the_outermost_callback_has_returned() {
        static DONE: AtomicU32 = AtomicU32::new(0);
        let (a, b): (CallbackSlot<Plain>, CallbackSlot<Plain>) = (CallbackSlot::new(), CallbackSlot::new());
        a.set(Some(|| ()), ptr::null_mut());
        b.set(Some(|| ()), ptr::null_mut());
        a.call(Place::RunCallbacks, |_, _| {
            b.call(Place::Elsewhere, |_, _| {
                assert!(on_own_thread());
                let work: Postponed = Box::new(|place| {
                    assert_eq!(place, Place::RunCallbacks);
                    DONE.fetch_add(1, Ordering::SeqCst);
                });
                assert!(postpone(work).is_ok());
            });
            assert!(!on_own_thread());
            assert_eq!(DONE.load(Ordering::SeqCst), 0);
        });
        assert_eq!(DONE.load(Ordering::SeqCst), 1);
        assert!(postpone(Box::new(|_| ())).is_err(), "outside there is nothing to wait for");
    }
}
