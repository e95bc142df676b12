//! Handles: numbers dressed as pointers.
//!
//! A handle is never followed. It is a key into a table of what is alive, so that a handle of something
//! destroyed, or one made up, is answered with INVALID_STATE for ever, and nothing dead has to be kept for
//! that. Numbers are not used twice.

use super::answer::Refusal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Low bits that tell the kinds apart. Odd, so that no handle looks like a pointer to anything.
const TAG_BITS: u32 = 4;

static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Everything alive of one kind.
pub struct Table<T> {
    tag: usize,
    name: &'static str,
    live: RwLock<BTreeMap<usize, Arc<T>>>,
}

impl<T> Table<T> {
    /// An empty table. `tag` is odd, below 16, and no other table's; `name` is what the C header calls it.
    pub const fn new(tag: usize, name: &'static str) -> Table<T> {
        assert!(tag % 2 == 1 && tag < 1 << TAG_BITS, "a tag is odd and fits its bits");
        Table { tag, name, live: RwLock::new(BTreeMap::new()) }
    }

    /// Takes something in and gives it a handle; none when 2^28 (on 32-bit machines) have been given out.
    pub fn insert(&self, thing: Arc<T>) -> Result<usize, Refusal> {
        let number = NEXT
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < usize::MAX >> TAG_BITS).then_some(n + 1))
            .map_err(|_| Refusal::limit("this process has used up all handles"))?;
        let handle = (number << TAG_BITS) | self.tag;
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(handle, thing);
        Ok(handle)
    }

    /// What the handle means.
    pub fn find<H>(&self, handle: *const H) -> Result<Arc<T>, Refusal> {
        let found = self.live.read().unwrap_or_else(PoisonError::into_inner).get(&handle.addr()).cloned();
        found.ok_or_else(|| self.refuse(handle))
    }

    /// Takes it out; the handle is dead from here on.
    pub fn take<H>(&self, handle: *const H) -> Result<Arc<T>, Refusal> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let taken = live.remove(&handle.addr());
        if live.is_empty() {
            live.clear(); // gives the memory back, which would be lost if the library is unloaded
        }
        drop(live);
        taken.ok_or_else(|| self.refuse(handle))
    }

    /// Takes everything out.
    pub fn take_all(&self) -> Vec<Arc<T>> {
        let all = std::mem::take(&mut *self.live.write().unwrap_or_else(PoisonError::into_inner));
        all.into_values().collect()
    }

    fn refuse<H>(&self, handle: *const H) -> Refusal {
        if handle.is_null() {
            Refusal::param(format!("the {} handle is NULL", self.name))
        } else {
            Refusal::state(format!("the {} handle belongs to nothing alive (destroyed already?)", self.name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::{SNM_RESULT_INVALID_PARAM, SNM_RESULT_INVALID_STATE};
    use super::*;
    use std::ptr::{null, without_provenance};

    #[test]
    fn null_is_a_bad_argument_and_everything_else_unknown_a_bad_state() {
        let table: Table<u8> = Table::new(3, "test");
        let code = |handle: *const u8| table.find(handle).expect_err("nothing is in it").code;
        assert_eq!(code(null()), SNM_RESULT_INVALID_PARAM);
        for nonsense in [1, 3, 0xdead_beef, usize::MAX] {
            assert_eq!(code(without_provenance(nonsense)), SNM_RESULT_INVALID_STATE);
        }
    }

    #[test]
    fn a_dead_handle_stays_dead_and_costs_nothing() {
        let table: Table<u8> = Table::new(3, "test");
        let first: *const u8 = without_provenance(table.insert(Arc::new(1)).expect("room"));
        assert_eq!(table.take(first).map(|thing| *thing).ok(), Some(1));
        for _ in 0..1_000 {
            let handle: *const u8 = without_provenance(table.insert(Arc::new(2)).expect("room"));
            assert_ne!(handle, first);
            assert!(table.find(first).is_err());
            assert!(table.take(handle).is_ok());
        }
        assert!(table.live.read().expect("not poisoned").is_empty());
    }

    #[test]
    fn a_handle_of_one_kind_means_nothing_to_another() {
        let (ours, theirs): (Table<u8>, Table<u8>) = (Table::new(3, "ours"), Table::new(5, "theirs"));
        let handle: *const u8 = without_provenance(ours.insert(Arc::new(1)).expect("room"));
        assert!(theirs.find(handle).is_err());
    }
}
