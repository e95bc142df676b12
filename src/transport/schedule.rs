//! Whose turn it is: fair sharing of packets between channels, higher priorities first.
//!
//! Deficit round robin (Shreedhar & Varghese 1995) with FQ-CoDel's twist (RFC 8290 section 4.2): a
//! channel that was empty goes ahead of the busy ones for one quantum, so a small message waits for at
//! most the packet being built, however much bulk is queued elsewhere.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// What a channel may write before the next one has its turn, bytes: about one packet.
const QUANTUM: i32 = 1_200;

#[derive(Debug, Default)]
struct Level {
    fresh: VecDeque<usize>,
    busy: VecDeque<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    priority: i32,
    deficit: i32,
    listed: bool,
}

/// The channels with something to send, in the order of their turns. Channels are named by slot.
#[derive(Debug, Default)]
pub struct Schedule {
    levels: BTreeMap<Reverse<i32>, Level>,
    entries: Vec<Entry>,
}

impl Schedule {
    /// Makes room for one more slot.
    pub fn add(&mut self, priority: i32) {
        self.entries.push(Entry { priority, ..Entry::default() });
    }

    /// Changes a priority; a listed channel moves to its new level.
    pub fn set_priority(&mut self, slot: usize, priority: i32) {
        let entry = &mut self.entries[slot];
        if entry.priority == priority {
            return;
        }
        let old = std::mem::replace(&mut entry.priority, priority);
        if std::mem::take(&mut entry.listed) {
            if let Some(level) = self.levels.get_mut(&Reverse(old)) {
                level.fresh.retain(|s| *s != slot);
                level.busy.retain(|s| *s != slot);
                if level.fresh.is_empty() && level.busy.is_empty() {
                    self.levels.remove(&Reverse(old));
                }
            }
            self.activate(slot);
        }
    }

    /// The channel has something to send.
    pub fn activate(&mut self, slot: usize) {
        let entry = &mut self.entries[slot];
        if !entry.listed {
            entry.listed = true;
            entry.deficit = QUANTUM;
            self.levels.entry(Reverse(entry.priority)).or_default().fresh.push_back(slot);
        }
    }

    /// Does any channel have something to send?
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Whose turn it is.
    pub fn current(&self) -> Option<usize> {
        let level = self.levels.values().next()?;
        level.fresh.front().or_else(|| level.busy.front()).copied()
    }

    /// The current channel wrote so many bytes; its turn ends when its quantum is used up.
    pub fn charge(&mut self, slot: usize, bytes: usize) {
        let entry = &mut self.entries[slot];
        entry.deficit -= i32::try_from(bytes).unwrap_or(i32::MAX);
        if entry.deficit <= 0 {
            entry.deficit += QUANTUM;
            self.requeue(slot);
        }
    }

    /// The current channel has nothing to send now. One that was fresh stays listed for one round as
    /// busy, so that many short bursts cannot starve bulk.
    pub fn rest(&mut self, slot: usize) {
        let priority = Reverse(self.entries[slot].priority);
        let Some(level) = self.levels.get_mut(&priority) else {
            return;
        };
        if level.fresh.front() == Some(&slot) && !level.busy.is_empty() {
            self.requeue(slot);
            return;
        }
        let list = if level.fresh.front() == Some(&slot) { &mut level.fresh } else { &mut level.busy };
        debug_assert_eq!(list.front(), Some(&slot));
        list.pop_front();
        if level.fresh.is_empty() && level.busy.is_empty() {
            self.levels.remove(&priority);
        }
        self.entries[slot].listed = false;
    }

    /// Moves the current channel to the end of the busy ones.
    fn requeue(&mut self, slot: usize) {
        let Some(level) = self.levels.get_mut(&Reverse(self.entries[slot].priority)) else {
            return;
        };
        if level.fresh.front() == Some(&slot) {
            level.fresh.pop_front();
        } else {
            debug_assert_eq!(level.busy.front(), Some(&slot));
            level.busy.pop_front();
        }
        level.busy.push_back(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(priorities: &[i32]) -> Schedule {
        let mut schedule = Schedule::default();
        priorities.iter().for_each(|p| schedule.add(*p));
        schedule
    }

    #[test]
    fn busy_channels_share_equally() {
        let mut s = schedule(&[0, 0, 0]);
        (0..3).for_each(|slot| s.activate(slot));
        let mut bytes = [0; 3];
        for _ in 0..300 {
            let slot = s.current().unwrap();
            bytes[slot] += 400 * (slot + 1);
            s.charge(slot, 400 * (slot + 1));
        }
        let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
        assert!(most - least <= 2 * 1_200, "{bytes:?}");
    }

    #[test]
    fn a_channel_that_was_empty_goes_next() {
        let mut s = schedule(&[0, 0]);
        s.activate(0);
        for _ in 0..10 {
            s.charge(0, 1_200);
        }
        s.activate(1);
        assert_eq!(s.current(), Some(1));
        s.charge(1, 60);
        s.rest(1);
        assert_eq!(s.current(), Some(0));
    }

    #[test]
    fn short_bursts_do_not_starve_bulk() {
        let mut s = schedule(&[0, 0]);
        s.activate(0);
        s.charge(0, 1_200);
        let (mut bulk, mut packets) = (0, 0);
        let mut burst_waits = false;
        while packets < 100 {
            if !burst_waits {
                burst_waits = true;
                s.activate(1);
            }
            let slot = s.current().unwrap();
            if slot == 1 && !std::mem::take(&mut burst_waits) {
                s.rest(1);
                continue;
            }
            packets += 1;
            bulk += usize::from(slot == 0);
            s.charge(slot, 1_100);
        }
        assert!(bulk >= 40, "bulk had {bulk} turns of 100");
    }

    #[test]
    fn higher_priority_goes_first_and_may_change() {
        let mut s = schedule(&[0, 5]);
        s.activate(0);
        s.activate(1);
        assert_eq!(s.current(), Some(1));
        s.set_priority(1, -1);
        assert_eq!(s.current(), Some(0));
        s.rest(0);
        assert_eq!(s.current(), Some(1));
        s.rest(1);
        assert!(s.is_empty());
    }
}
