//! Whom we talk with over a relay: a channel each, which is a permission too, and what waits for it.
//!
//! A binding is renewed while somebody wants it. A number that was bound stays with its peer until the
//! server has surely forgotten it: bound to another peer before that, data would go astray.

use super::framing::CHANNELS;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Peers that may be talked with at a time.
pub const MAX_PEERS: usize = 512;

/// Datagrams that wait for a binding; the oldest makes room.
pub const MAX_HELD: usize = 16;

/// A peer nobody asked for in this time is given up.
pub const WANTED_FOR: Duration = Duration::from_secs(300);

/// Life of a permission (RFC 8656 section 9).
const PERMISSION: Duration = Duration::from_secs(300);

/// A permission is renewed so long after it was granted.
const RENEW_AFTER: Duration = Duration::from_secs(240);

/// A number may go to another peer this long after it was last bound: ten minutes of life, five of
/// grace (RFC 8656 section 12).
const RESERVED: Duration = Duration::from_secs(900);

/// After no answer to a renewal, and to the first question.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// After a refusal.
const REFUSED_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Nobody said yet whether we may.
    Waiting,
    /// We may, until then.
    Open(Instant),
    /// The server does not want it.
    Refused,
    /// Nobody wants it any more; only its number is kept.
    Shut,
}

#[derive(Debug)]
struct Peer {
    channel: u16,
    door: Door,
    wanted_at: Instant,
    /// When the server is to be asked; none while it is, and behind a shut door.
    ask_at: Option<Instant>,
    /// The number may be another's from then on.
    reserved_until: Instant,
}

/// How a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By this channel.
    Open(u16),
    /// Not yet.
    Waiting,
    /// Not at all.
    None,
}

/// The peers of one allocation.
#[derive(Debug)]
pub struct Peers {
    table: BTreeMap<SocketAddr, Peer>,
    numbers: BTreeMap<u16, SocketAddr>,
    next_number: u16,
    held: VecDeque<(SocketAddr, Vec<u8>)>,
    held_dropped: u64,
    /// Nothing is to be asked or forgotten before then. May be too early, never too late.
    ask_from: Option<Instant>,
}

impl Peers {
    /// Nobody.
    pub fn new() -> Peers {
        Peers {
            table: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: CHANNELS.start,
            held: VecDeque::new(),
            held_dropped: 0,
            ask_from: None,
        }
    }

    /// Somebody wants to talk with `peer`; who was wanted longest ago makes room. False if there is no
    /// number for it.
    pub fn permit(&mut self, now: Instant, peer: SocketAddr) -> bool {
        if let Some(known) = self.table.get_mut(&peer) {
            known.wanted_at = known.wanted_at.max(now);
            if known.door != Door::Shut {
                return true;
            }
        }
        if self.table.values().filter(|p| p.door != Door::Shut).count() >= MAX_PEERS {
            let longest_ago = self.table.iter().filter(|(_, p)| p.door != Door::Shut).min_by_key(|(_, p)| p.wanted_at);
            if let Some((&peer, _)) = longest_ago {
                self.shut(now, peer);
            }
        }
        let channel = match self.table.get(&peer) {
            Some(known) => known.channel,
            None => match self.free_number() {
                Some(channel) => channel,
                None => return false,
            },
        };
        let reserved_until = self.table.get(&peer).map_or(now, |known| known.reserved_until);
        self.numbers.insert(channel, peer);
        self.table
            .insert(peer, Peer { channel, door: Door::Waiting, wanted_at: now, ask_at: Some(now), reserved_until });
        self.ask_by(now);
        true
    }

    fn free_number(&mut self) -> Option<u16> {
        let from_next = (self.next_number..CHANNELS.end).chain(CHANNELS.start..self.next_number);
        let number = from_next.into_iter().find(|number| !self.numbers.contains_key(number))?;
        self.next_number = if number + 1 < CHANNELS.end { number + 1 } else { CHANNELS.start };
        Some(number)
    }

    fn shut(&mut self, now: Instant, peer: SocketAddr) {
        let Some(known) = self.table.get_mut(&peer) else { return };
        (known.door, known.ask_at) = (Door::Shut, None);
        if known.reserved_until <= now {
            self.numbers.remove(&known.channel);
            self.table.remove(&peer);
        }
        self.drop_held(|to| to == peer);
    }

    /// Whether anybody is wanted.
    pub fn is_in_use(&self, now: Instant) -> bool {
        self.table.values().any(|p| p.door != Door::Shut && p.wanted_at + WANTED_FOR > now)
    }

    /// How `peer` can be reached.
    pub fn way(&self, now: Instant, peer: SocketAddr) -> Way {
        match self.table.get(&peer).map(|known| (known.door, known.channel)) {
            Some((Door::Open(until), channel)) if until > now => Way::Open(channel),
            Some((Door::Open(_) | Door::Waiting, _)) => Way::Waiting,
            Some((Door::Refused | Door::Shut, _)) | None => Way::None,
        }
    }

    /// Keeps a datagram until its peer can be reached.
    pub fn hold(&mut self, peer: SocketAddr, datagram: &[u8]) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
            self.held_dropped += 1;
        }
        self.held.push_back((peer, datagram.to_vec()));
    }

    /// Takes the datagrams that waited for `peer`, in their order.
    pub fn take_held(&mut self, peer: SocketAddr) -> Vec<Vec<u8>> {
        let (its, others) = self.held.drain(..).partition::<VecDeque<_>, _>(|(to, _)| *to == peer);
        self.held = others;
        its.into_iter().map(|(_, datagram)| datagram).collect()
    }

    fn drop_held(&mut self, of: impl Fn(SocketAddr) -> bool) {
        let before = self.held.len();
        self.held.retain(|(to, _)| !of(*to));
        self.held_dropped += (before - self.held.len()) as u64;
    }

    /// Datagrams that waited in vain.
    pub fn held_dropped(&self) -> u64 {
        self.held_dropped
    }

    /// Whose channel that is.
    pub fn peer_of(&self, channel: u16) -> Option<SocketAddr> {
        self.numbers.get(&channel).copied()
    }

    /// Whether somebody of this address, whatever the port, may talk to us.
    pub fn knows(&self, ip: IpAddr) -> bool {
        self.table.range(SocketAddr::new(ip, 0)..).next().is_some_and(|(peer, _)| peer.ip() == ip)
    }

    /// The next peer the server is to be asked for, and its channel. Asking counts as under way until
    /// one of [`Peers::bound`], [`Peers::refused`] and [`Peers::unanswered`] is called.
    pub fn poll_ask(&mut self, now: Instant) -> Option<(SocketAddr, u16)> {
        if self.ask_from.is_none_or(|from| from > now) {
            return None;
        }
        let due = |p: &Peer| p.ask_at.is_some_and(|at| at <= now);
        while let Some((&peer, known)) = self.table.iter_mut().find(|(_, p)| due(p)) {
            if known.wanted_at + WANTED_FOR <= now {
                self.shut(now, peer);
                continue;
            }
            known.ask_at = None;
            // It may be bound from now on, whether we hear of it or not.
            known.reserved_until = now + RESERVED;
            return Some((peer, known.channel));
        }
        self.forget_the_old(now);
        let shut = |p: &Peer| (p.door == Door::Shut).then_some(p.reserved_until);
        self.ask_from = self.table.values().filter_map(|p| p.ask_at.or_else(|| shut(p))).min();
        None
    }

    fn forget_the_old(&mut self, now: Instant) {
        let numbers = &mut self.numbers;
        self.table.retain(|_, p| {
            let stays = p.door != Door::Shut || p.reserved_until > now;
            if !stays {
                numbers.remove(&p.channel);
            }
            stays
        });
    }

    /// When [`Peers::poll_ask`] has something to ask or forget; `None` for never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ask_from
    }

    fn ask_by(&mut self, at: Instant) {
        self.ask_from = Some(self.ask_from.map_or(at, |from| from.min(at)));
    }

    /// The server agreed.
    pub fn bound(&mut self, now: Instant, peer: SocketAddr) {
        self.answered(peer, now + RENEW_AFTER, |known| {
            known.door = Door::Open(now + PERMISSION);
            known.reserved_until = now + RESERVED;
        });
    }

    /// The server refused.
    pub fn refused(&mut self, now: Instant, peer: SocketAddr) {
        self.answered(peer, now + REFUSED_FOR, |known| known.door = Door::Refused);
        self.drop_held(|to| to == peer);
    }

    /// The server said nothing.
    pub fn unanswered(&mut self, now: Instant, peer: SocketAddr) {
        let (renewal, first) = ASK_AGAIN;
        let open = matches!(self.way(now, peer), Way::Open(_));
        self.answered(peer, now + if open { renewal } else { first }, |_| ());
    }

    fn answered(&mut self, peer: SocketAddr, ask_at: Instant, change: impl FnOnce(&mut Peer)) {
        let Some(known) = self.table.get_mut(&peer).filter(|p| p.door != Door::Shut) else { return };
        change(known);
        known.ask_at = Some(ask_at);
        self.ask_by(ask_at);
    }

    /// The allocation is gone, and all that the server knew of peers; whoever is wanted is asked for
    /// anew with the next one.
    pub fn begin_anew(&mut self, now: Instant) {
        self.drop_held(|_| true);
        for known in self.table.values_mut().filter(|p| p.door != Door::Shut) {
            (known.door, known.ask_at) = (Door::Waiting, Some(now));
        }
        for known in self.table.values_mut() {
            known.reserved_until = now;
        }
        self.ask_by(now);
        self.forget_the_old(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u16) -> SocketAddr {
        let [high, low] = n.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 7))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn the_peer_wanted_longest_ago_makes_room_and_its_number_stays_its_own_for_a_quarter_of_an_hour() {
        let mut peers = Peers::new();
        for n in 0..512 {
            assert!(peers.permit(at(u64::from(n)), peer(n)));
        }
        while let Some((peer, _)) = peers.poll_ask(at(200)) {
            peers.bound(at(200), peer);
        }
        assert!(peers.permit(at(300), peer(0)), "wanted again");
        let channels: Vec<u16> = (0..512).map(|n| peers.table[&peer(n)].channel).collect();
        assert!(peers.permit(at(301), peer(600)));
        assert_eq!(peers.way(at(301), peer(1)), Way::None);
        assert_eq!(peers.way(at(301), peer(0)), Way::Open(channels[0]));
        assert_eq!(peers.peer_of(channels[1]), Some(peer(1)), "what is under way still arrives");
        assert!(peers.permit(at(302), peer(1)));
        assert_eq!(peers.table[&peer(1)].channel, channels[1], "the server would refuse another");
    }

    #[test]
    fn numbers_run_out_only_when_all_are_reserved_and_come_back_when_the_server_has_forgotten_them() {
        let mut peers = Peers::new();
        let all = CHANNELS.len() as u16;
        for n in 0..all {
            assert!(peers.permit(at(1), peer(n)));
            let asked = peers.poll_ask(at(1)).expect("a new peer is asked for");
            peers.bound(at(1), asked.0);
        }
        assert!(!peers.permit(at(2), peer(all)));
        assert_eq!(peers.table.len(), usize::from(all));
        while peers.poll_ask(at(1_000)).is_some() {}
        assert!(peers.permit(at(1_000), peer(all)));
        assert!(peers.table.len() <= MAX_PEERS + 1);
    }

    #[test]
    fn ten_thousand_peers_nobody_asked_the_server_for_leave_nothing_behind() {
        let mut peers = Peers::new();
        for n in 0..10_000 {
            assert!(peers.permit(at(1), peer(n)));
            assert!(peers.table.len() <= MAX_PEERS + 1 && peers.numbers.len() == peers.table.len());
        }
    }

    #[test]
    fn a_refused_peer_is_asked_for_again_after_half_a_minute() {
        let mut peers = Peers::new();
        peers.permit(at(1), peer(1));
        assert!(peers.poll_ask(at(1)).is_some());
        peers.refused(at(1), peer(1));
        assert_eq!(peers.way(at(1), peer(1)), Way::None);
        assert_eq!(peers.poll_ask(at(30)), None);
        assert_eq!(peers.poll_timeout(), Some(at(31)));
        assert!(peers.poll_ask(at(31)).is_some());
    }

    #[test]
    fn who_is_wanted_no_more_is_renewed_no_more() {
        let mut peers = Peers::new();
        peers.permit(at(0), peer(1));
        let mut renewals = 0;
        for seconds in 0..2_000 {
            if let Some((asked, _)) = peers.poll_ask(at(seconds)) {
                renewals += 1;
                peers.bound(at(seconds), asked);
            }
        }
        assert_eq!(renewals, 2, "at once, and after four minutes");
        assert!(peers.table.is_empty() && peers.numbers.is_empty() && !peers.is_in_use(at(2_000)));
    }
}
