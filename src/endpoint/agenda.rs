//! Who has something to do, and when.
//!
//! A task whose deadline moves later keeps its earlier timer and is asked again when that fires: an early
//! wake is harmless, and most deadlines move on with every packet.

use crate::ids::ConnectionId;
use crate::time::{Deadline, Instant, Why};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Something that sends datagrams and has deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// The session in a slot.
    Session(usize),
    /// What is left of a closed connection.
    Farewell(ConnectionId),
}

/// Deadlines and turns of every task.
#[derive(Debug, Default)]
pub struct Agenda {
    timers: BTreeSet<(Deadline, Task)>,
    deadlines: BTreeMap<Task, Deadline>,
    ready: VecDeque<Task>,
    listed: BTreeSet<Task>,
}

impl Agenda {
    /// The task may have something to send.
    pub fn push_ready(&mut self, task: Task) {
        if self.listed.insert(task) {
            self.ready.push_back(task);
        }
    }

    /// Whose turn it is to send.
    pub fn take_ready(&mut self) -> Option<Task> {
        let task = self.ready.pop_front()?;
        self.listed.remove(&task);
        Some(task)
    }

    /// The task wants to be woken.
    pub fn schedule(&mut self, task: Task, deadline: Option<Deadline>) {
        let Some(deadline) = deadline else { return };
        match self.deadlines.get(&task) {
            Some(current) if current.at <= deadline.at => return,
            Some(current) => {
                self.timers.remove(&(*current, task));
            }
            None => {}
        }
        self.deadlines.insert(task, deadline);
        self.timers.insert((deadline, task));
    }

    /// The task is gone.
    pub fn forget(&mut self, task: Task) {
        if let Some(deadline) = self.deadlines.remove(&task) {
            self.timers.remove(&(deadline, task));
        }
        if self.listed.remove(&task) {
            self.ready.retain(|t| *t != task);
        }
    }

    /// The next task whose deadline has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Task> {
        let (deadline, task) = *self.timers.first()?;
        if deadline.at > now {
            return None;
        }
        self.timers.pop_first();
        self.deadlines.remove(&task);
        Some(task)
    }

    /// When somebody has something to do next.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if !self.ready.is_empty() {
            return Some(Deadline::new(Instant::ZERO, Why::Transmit));
        }
        self.timers.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn the_earliest_deadline_comes_first_and_later_ones_keep_the_earlier_timer() {
        let mut agenda = Agenda::default();
        let at = |ms| Deadline::new(Instant::ZERO + Duration::from_millis(ms), Why::Ack);
        agenda.schedule(Task::Session(0), Some(at(20)));
        agenda.schedule(Task::Session(1), Some(at(10)));
        agenda.schedule(Task::Session(1), Some(at(30)));
        assert_eq!(agenda.poll_timeout(), Some(at(10)));
        assert_eq!(agenda.take_due(at(10).at), Some(Task::Session(1)));
        assert_eq!(agenda.take_due(at(10).at), None);
        agenda.forget(Task::Session(0));
        assert_eq!(agenda.poll_timeout(), None);
    }

    #[test]
    fn everyone_who_is_ready_has_one_turn() {
        let mut agenda = Agenda::default();
        agenda.push_ready(Task::Session(3));
        agenda.push_ready(Task::Session(3));
        agenda.push_ready(Task::Session(4));
        assert_eq!(agenda.take_ready(), Some(Task::Session(3)));
        assert_eq!(agenda.take_ready(), Some(Task::Session(4)));
        assert_eq!(agenda.take_ready(), None);
    }
}
