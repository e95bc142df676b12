//! Who is online, and the way to each: one seat for each user of each app, one bounded mailbox a seat.
//!
//! This is the bus of a server that stands alone. Whoever sends does not know where the receiver sits, so with
//! several servers [`Hub::send`] is the one place that has to ask further.

use super::messages::encode_signal;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use steamnetmsg::ids::{AppId, SteamId};
use tokio::sync::Notify;

/// Everybody who is online here.
#[derive(Debug)]
pub struct Hub {
    seats: Mutex<HashMap<(u32, u64), Arc<Mailbox>>>,
    /// Signals that wait for one receiver at most.
    queued: usize,
}

/// What came of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits for its receiver.
    Waiting,
    /// It waits, and an older one had to go.
    Pushed,
    /// Nobody of that id is online.
    Offline,
}

/// What waits for one user.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    signals: VecDeque<Vec<u8>>,
    replaced: bool,
}

/// What a mailbox holds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame for the client.
    Signal(Vec<u8>),
    /// Somebody logged in with this id elsewhere.
    Replaced,
}

/// A seat taken; free again when this is dropped, unless it was taken over.
#[derive(Debug)]
pub struct Seat {
    hub: Arc<Hub>,
    key: (u32, u64),
    mailbox: Arc<Mailbox>,
}

impl Hub {
    /// An empty one, whose mailboxes hold so many signals.
    pub fn new(queued: usize) -> Arc<Hub> {
        Arc::new(Hub { seats: Mutex::default(), queued })
    }

    /// Takes a user's seat, and whether it had to be taken over from his earlier connection, which is told.
    pub fn enter(self: &Arc<Hub>, app: AppId, steam_id: SteamId) -> (Seat, bool) {
        let (key, mailbox) = ((app.0, steam_id.0), Arc::new(Mailbox::default()));
        let before = self.lock().insert(key, mailbox.clone());
        if let Some(before) = &before {
            before.lock().replaced = true;
            before.rung.notify_one();
        }
        (Seat { hub: self.clone(), key, mailbox }, before.is_some())
    }

    /// Leaves a signal for its receiver, who must be of the same app.
    pub fn send(&self, app: AppId, from: SteamId, to: SteamId, signal: &[u8]) -> Sent {
        let Some(mailbox) = self.lock().get(&(app.0, to.0)).cloned() else { return Sent::Offline };
        let mut waiting = mailbox.lock();
        let full = waiting.signals.len() >= self.queued;
        if full {
            waiting.signals.pop_front();
        }
        waiting.signals.push_back(encode_signal(from, signal));
        drop(waiting);
        mailbox.rung.notify_one();
        if full { Sent::Pushed } else { Sent::Waiting }
    }

    /// Users online.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(u32, u64), Arc<Mailbox>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next, oldest first; waits for it. Giving up the wait loses nothing.
    pub async fn next(&self) -> Next {
        loop {
            let rung = self.rung.notified();
            if let Some(next) = self.lock().take() {
                return next;
            }
            rung.await;
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Next> {
        if self.replaced {
            return Some(Next::Replaced);
        }
        let next = self.signals.pop_front().map(Next::Signal);
        if self.signals.is_empty() {
            self.signals.shrink_to(4);
        }
        next
    }
}

impl Seat {
    /// What waits for who sits here.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.lock();
        if seats.get(&self.key).is_some_and(|mailbox| Arc::ptr_eq(mailbox, &self.mailbox)) {
            seats.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(480);

    fn signal(from: u64, text: &[u8]) -> Next {
        Next::Signal(encode_signal(SteamId(from), text))
    }

    #[tokio::test]
    async fn a_signal_reaches_its_app_and_id_alone() {
        let hub = Hub::new(4);
        let (bob, _) = hub.enter(APP, SteamId(2));
        let (elsewhere, _) = hub.enter(AppId(7), SteamId(2));
        assert_eq!(hub.send(APP, SteamId(1), SteamId(2), b"x"), Sent::Waiting);
        assert_eq!(hub.send(APP, SteamId(1), SteamId(3), b"x"), Sent::Offline);
        assert_eq!(bob.mailbox().next().await, signal(1, b"x"));
        assert_eq!(elsewhere.mailbox().lock().take(), None);
    }

    #[tokio::test]
    async fn a_full_mailbox_loses_its_oldest() {
        let hub = Hub::new(2);
        let (seat, _) = hub.enter(APP, SteamId(2));
        let sent = [b"a", b"b", b"c"].map(|text| hub.send(APP, SteamId(1), SteamId(2), text));
        assert_eq!(sent, [Sent::Waiting, Sent::Waiting, Sent::Pushed]);
        assert_eq!(seat.mailbox().next().await, signal(1, b"b"));
        assert_eq!(seat.mailbox().next().await, signal(1, b"c"));
    }

    #[tokio::test]
    async fn the_later_login_has_the_seat_and_the_earlier_hears_of_it() {
        let hub = Hub::new(4);
        let (first, taken_over) = hub.enter(APP, SteamId(2));
        assert!(!taken_over);
        let (second, taken_over) = hub.enter(APP, SteamId(2));
        assert!(taken_over);
        assert_eq!(first.mailbox().next().await, Next::Replaced);
        drop(first);
        assert_eq!(hub.send(APP, SteamId(1), SteamId(2), b"x"), Sent::Waiting, "the first takes nothing with it");
        assert_eq!(second.mailbox().next().await, signal(1, b"x"));
        drop(second);
        assert_eq!((hub.send(APP, SteamId(1), SteamId(2), b"x"), hub.len()), (Sent::Offline, 0));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let hub = Hub::new(4);
        let (seat, _) = hub.enter(APP, SteamId(2));
        let waits = tokio::spawn(async move { seat.mailbox().next().await });
        tokio::task::yield_now().await;
        hub.send(APP, SteamId(1), SteamId(2), b"x");
        assert_eq!(waits.await.ok(), Some(signal(1, b"x")));
    }
}
