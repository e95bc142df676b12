//! Events waiting for the app: bounded, requests at most once per peer and never lost.

use crate::drops::{DropCounts, Dropped};
use crate::ids::SteamId;
use std::collections::VecDeque;

/// So many failures wait for the app; the oldest makes room. Requests are bounded by
/// MAX_PENDING_REQUESTS already.
const MAX_FAILURES: usize = 1_024;

/// So many changes of the signaling connection wait; the oldest makes room.
const MAX_SIGNALING: usize = 16;

/// What the app is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Someone wants to talk.
    SessionRequest {
        /// Who.
        from: SteamId,
    },
    /// A session failed.
    SessionFailed {
        /// With whom.
        peer: SteamId,
        /// An SNM_END_ number.
        reason: i32,
        /// 4 closed by peer, 5 problem detected locally.
        state: i32,
        /// For humans.
        text: String,
    },
    /// The connection to the signaling server changed.
    Signaling {
        /// 3 online, 1 connecting, 5 refused or lost.
        state: i32,
        /// An SNM_END_ number, 0 for none.
        reason: i32,
        /// For humans.
        text: String,
    },
}

/// The events of one endpoint, oldest first.
#[derive(Debug, Default)]
pub struct Events(VecDeque<Event>);

impl Events {
    /// Adds an event.
    pub fn push(&mut self, event: Event, drops: &mut DropCounts) {
        if matches!(event, Event::SessionRequest { .. }) {
            if !self.0.contains(&event) {
                self.0.push_back(event);
            }
            return;
        }
        let alike = |e: &Event| std::mem::discriminant(e) == std::mem::discriminant(&event);
        let most = if matches!(event, Event::Signaling { .. }) { MAX_SIGNALING } else { MAX_FAILURES };
        if self.0.iter().filter(|e| alike(e)).count() >= most
            && let Some(oldest) = self.0.iter().position(alike)
        {
            self.0.remove(oldest);
            drops.add(Dropped::EventOverflow);
        }
        self.0.push_back(event);
    }

    /// A request was taken back before the app heard of it.
    pub fn withdraw_request(&mut self, from: SteamId) {
        self.0.retain(|e| *e != Event::SessionRequest { from });
    }

    /// The oldest.
    pub fn take(&mut self) -> Option<Event> {
        self.0.pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_once_per_peer_and_failures_are_bounded() {
        let mut events = Events::default();
        let mut drops = DropCounts::default();
        let request = Event::SessionRequest { from: SteamId(7) };
        events.push(request.clone(), &mut drops);
        events.push(request.clone(), &mut drops);
        for reason in 0..2_000 {
            let failed = Event::SessionFailed { peer: SteamId(8), reason, state: 5, text: String::new() };
            events.push(failed, &mut drops);
        }
        assert_eq!(events.len(), 1 + MAX_FAILURES);
        assert_eq!(drops.of(Dropped::EventOverflow), 2_000 - MAX_FAILURES as u64);
        assert_eq!(events.take(), Some(request));
        assert!(matches!(events.take(), Some(Event::SessionFailed { reason: 976, .. })));
    }
}
