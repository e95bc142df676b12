//! Injected faults: a bad link on purpose, seeded and repeatable.
//!
//! Decides the fate of each datagram (lost, late, twice, behind others, queued at a narrow place)
//! from a seed and its place in the sequence, and holds the late ones until they are due. The
//! endpoint runs one [`Link`] per direction for the FAKE_… keys; the simulated world of the tests is
//! built of the same links. It knows no packet: a datagram is bytes and a remote address.

use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Most datagrams one link holds; further ones are dropped.
///
/// Enough for five seconds of lag (the longest a key allows) at 75 Mbit/s of full packets.
pub const MAX_IN_FLIGHT: usize = 32_768;

/// Most bytes one link holds; a datagram that would pass it is dropped.
pub const MAX_IN_FLIGHT_BYTES: usize = 32 << 20;

/// A narrow link queues at most this many bytes, or a tenth of a second of its rate if that is more,
/// and drops what arrives beyond.
pub const LEAST_QUEUE_BYTES: u64 = 65_536;

/// Buffers kept for the next datagrams.
const MAX_SPARE: usize = 64;

/// What goes wrong in one direction. The default is a perfect link.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Datagrams lost, percent. `FAKE_PACKET_LOSS_…`
    pub loss: f32,
    /// Mean number of datagrams lost in a row (Gilbert's two-state model); 1, or anything not more than
    /// chance makes anyway, is independent loss. `FAKE_PACKET_BURST_LOSS_…`
    pub burst: f32,
    /// Delay of every datagram. `FAKE_PACKET_LAG_…`
    pub lag: Duration,
    /// Datagrams held back so that later ones pass them, percent. `FAKE_PACKET_REORDER_…`
    pub reorder: f32,
    /// How long those are held back. `FAKE_PACKET_REORDER_TIME`
    pub reorder_time: Duration,
    /// Datagrams delivered twice, percent. `FAKE_PACKET_DUP_…`
    pub dup: f32,
    /// The copy follows within this span, evenly spread. `FAKE_PACKET_DUP_TIME_MAX`
    pub dup_time_max: Duration,
    /// Mean of the extra delay, exponentially distributed; zero for none. `FAKE_PACKET_JITTER_…_AVG`
    pub jitter_avg: Duration,
    /// Cap of the extra delay. `FAKE_PACKET_JITTER_…_MAX`
    pub jitter_max: Duration,
    /// Datagrams that get extra delay, percent. `FAKE_PACKET_JITTER_…_PCT`
    pub jitter_pct: f32,
    /// Bytes per second that pass; 0 for no limit. `FAKE_RATE_LIMIT_…_RATE`
    pub rate: u64,
    /// Bytes that pass at once after a pause. `FAKE_RATE_LIMIT_…_BURST`
    pub rate_burst: u64,
}

impl Default for Direction {
    fn default() -> Direction {
        Direction {
            loss: 0.0,
            burst: 1.0,
            lag: Duration::ZERO,
            reorder: 0.0,
            reorder_time: Duration::from_millis(15),
            dup: 0.0,
            dup_time_max: Duration::from_millis(10),
            jitter_avg: Duration::ZERO,
            jitter_max: Duration::from_millis(100),
            jitter_pct: 75.0,
            rate: 0,
            rate_burst: 16_384,
        }
    }
}

impl Direction {
    /// True when every datagram passes at once: a link of it need not be asked.
    pub fn is_clean(&self) -> bool {
        let jitters = self.jitter_avg > Duration::ZERO && self.jitter_pct > 0.0;
        self.loss <= 0.0
            && self.lag == Duration::ZERO
            && self.reorder <= 0.0
            && self.dup <= 0.0
            && !jitters
            && self.rate == 0
    }
}

/// The FAKE_… keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultSettings {
    /// What happens to datagrams we send.
    pub send: Direction,
    /// What happens to datagrams sent to us.
    pub recv: Direction,
    /// Makes the faults repeatable; 0 leaves it to chance. `FAKE_NETWORK_SEED`
    pub seed: u64,
}

/// One direction with its faults, and what is under way in it.
#[derive(Debug)]
pub struct Link {
    settings: Direction,
    dice: Dice,
    /// Gilbert's state: true while datagrams fall.
    falling: bool,
    /// What the token bucket has let pass and not yet earned back, in bytes × 10⁻⁹.
    debt: u128,
    debt_at: Instant,
    /// By time due, then by order of arrival here.
    in_flight: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    in_flight_bytes: usize,
    pushed: u64,
    spare: Vec<Vec<u8>>,
}

impl Link {
    /// A link whose every decision follows from `seed`.
    pub fn new(settings: Direction, seed: u64) -> Link {
        Link {
            settings,
            dice: Dice::new(seed),
            falling: false,
            debt: 0,
            debt_at: Instant::ZERO,
            in_flight: BTreeMap::new(),
            in_flight_bytes: 0,
            pushed: 0,
            spare: Vec::new(),
        }
    }

    /// What goes wrong here.
    pub fn settings(&self) -> &Direction {
        &self.settings
    }

    /// Changes what goes wrong from here on; what is under way keeps its fate.
    pub fn set(&mut self, settings: Direction) {
        self.settings = settings;
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Bytes under way.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Takes a datagram; `remote` comes out again with it. Returns how many copies will come out:
    /// 0 when it is lost, 2 when it is doubled.
    pub fn push(&mut self, now: Instant, remote: SocketAddr, bytes: &[u8]) -> usize {
        // Always the same draws, so that one setting does not change what another one's dice fall on.
        let loss = self.dice.unit();
        let reorder = self.dice.percent(self.settings.reorder);
        let dup = self.dice.percent(self.settings.dup);
        let dup_after = self.settings.dup_time_max.mul_f64(self.dice.unit());
        let jittered = self.dice.percent(self.settings.jitter_pct);
        let jitter = self.dice.exponential(self.settings.jitter_avg).min(self.settings.jitter_max);
        if self.falls(loss) {
            return 0;
        }
        let Some(queued) = self.queue(now, bytes.len()) else {
            return 0;
        };
        let mut due = now + queued + self.settings.lag;
        if reorder {
            due += self.settings.reorder_time;
        }
        if jittered {
            due += jitter;
        }
        let mut copies = usize::from(self.schedule(due, remote, bytes));
        if dup && copies == 1 {
            copies += usize::from(self.schedule(due + dup_after, remote, bytes));
        }
        copies
    }

    /// The next datagram that is due, with what was pushed as its remote. Its buffer is welcome back
    /// at [`Link::recycle`].
    pub fn poll(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        let first = self.in_flight.first_entry().filter(|first| first.key().0 <= now)?;
        let (remote, bytes) = first.remove();
        self.in_flight_bytes -= bytes.len();
        Some((remote, bytes))
    }

    /// When the next datagram is due; `None` when nothing is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes back the buffer of a polled datagram.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Is this one lost? `chance` is its throw, 0 up to 1.
    fn falls(&mut self, chance: f64) -> bool {
        let loss = f64::from(self.settings.loss / 100.0).clamp(0.0, 1.0);
        let burst = f64::from(self.settings.burst);
        // Independent loss alone makes bursts of 1 / (1 - loss) on average, where this formula is it.
        let independent = loss >= 1.0 || burst * (1.0 - loss) <= 1.0;
        let limit = match self.falling {
            _ if independent => loss,
            true => 1.0 - 1.0 / burst,
            false => loss / (burst * (1.0 - loss)),
        };
        self.falling = chance < limit;
        self.falling
    }

    /// How long a datagram of `size` bytes waits at the narrow place; `None` when its queue is full.
    fn queue(&mut self, now: Instant, size: usize) -> Option<Duration> {
        let rate = u128::from(self.settings.rate);
        if rate == 0 {
            self.debt = 0;
            return Some(Duration::ZERO);
        }
        let earned = now.saturating_since(self.debt_at).as_nanos() * rate;
        self.debt = self.debt.saturating_sub(earned);
        self.debt_at = self.debt_at.max(now);
        let debt = self.debt + size as u128 * NANOS;
        let waiting = debt.saturating_sub(u128::from(self.settings.rate_burst) * NANOS);
        if waiting > u128::from(LEAST_QUEUE_BYTES.max(self.settings.rate / 10)) * NANOS {
            return None;
        }
        self.debt = debt;
        Some(Duration::from_nanos(u64::try_from(waiting / rate).unwrap_or(u64::MAX)))
    }

    fn schedule(&mut self, due: Instant, remote: SocketAddr, bytes: &[u8]) -> bool {
        if self.in_flight.len() >= MAX_IN_FLIGHT || self.in_flight_bytes + bytes.len() > MAX_IN_FLIGHT_BYTES {
            return false;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        self.in_flight_bytes += bytes.len();
        self.in_flight.insert((due, self.pushed), (remote, buffer));
        self.pushed += 1;
        true
    }
}

const NANOS: u128 = 1_000_000_000;

/// A small repeatable source of chance (SplitMix64). For faults only: nothing secret comes from it.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The throws that follow from `seed`.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Any of the 2^64 numbers.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as u64
    }

    /// At least 0 and below 1.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: f32) -> bool {
        self.unit() * 100.0 < f64::from(percent)
    }

    /// Exponentially distributed with this mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        // 1 - unit() is never 0; its logarithm is at least -37.
        let spans = -(1.0 - self.unit()).ln();
        Duration::from_nanos((mean.as_nanos() as f64 * spans) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
    const MS: Duration = Duration::from_millis(1);

    fn at_ms(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Pushes `count` numbered datagrams, one a millisecond, and returns (number, delay) in order of arrival.
    fn arrivals(settings: Direction, seed: u64, count: u64) -> Vec<(u64, Duration)> {
        let mut link = Link::new(settings, seed);
        let mut out = Vec::new();
        for n in 0..count {
            drain(&mut link, at_ms(n), &mut out);
            link.push(at_ms(n), REMOTE, &n.to_le_bytes());
        }
        drain(&mut link, at_ms(count + 1_000_000), &mut out);
        assert_eq!(link.in_flight_bytes(), 0);
        out
    }

    fn drain(link: &mut Link, until: Instant, out: &mut Vec<(u64, Duration)>) {
        while let Some(due) = link.poll_timeout().filter(|due| *due <= until) {
            if due > Instant::ZERO {
                assert!(link.poll(due - Duration::from_nanos(1)).is_none(), "nothing comes early");
            }
            let (remote, bytes) = link.poll(due).expect("what is due comes out");
            assert_eq!(remote, REMOTE);
            let n = u64::from_le_bytes(bytes.as_slice().try_into().expect("eight bytes went in"));
            out.push((n, due.saturating_since(at_ms(n))));
            link.recycle(bytes);
        }
    }

    #[test]
    fn the_default_is_a_perfect_link() {
        assert!(Direction::default().is_clean());
        let expected: Vec<_> = (0..100).map(|n| (n, Duration::ZERO)).collect();
        assert_eq!(arrivals(Direction::default(), 1, 100), expected);
        for dirty in [
            Direction { loss: 1.0, ..Direction::default() },
            Direction { lag: MS, ..Direction::default() },
            Direction { reorder: 1.0, ..Direction::default() },
            Direction { dup: 1.0, ..Direction::default() },
            Direction { jitter_avg: MS, ..Direction::default() },
            Direction { rate: 1, ..Direction::default() },
        ] {
            assert!(!dirty.is_clean(), "{dirty:?}");
        }
    }

    #[test]
    fn as_many_are_lost_as_asked_for() {
        for (loss, burst) in [(0.0, 1.0), (1.0, 1.0), (20.0, 1.0), (50.0, 1.0), (5.0, 4.0), (20.0, 3.0), (60.0, 10.0)] {
            let arrived = arrivals(Direction { loss, burst, ..Direction::default() }, 7, 100_000).len() as f32;
            let measured = 100.0 - arrived / 1_000.0;
            assert!((measured - loss).abs() <= 0.1 * loss, "asked {loss} in bursts of {burst}, got {measured}");
        }
        assert_eq!(arrivals(Direction { loss: 100.0, burst: 5.0, ..Direction::default() }, 7, 1_000), []);
    }

    #[test]
    fn losses_come_in_bursts_of_the_mean_length() {
        for (loss, asked, expected) in [(10.0, 5.0, 5.0), (20.0, 3.0, 3.0), (20.0, 1.0, 1.25), (50.0, 1.5, 2.0)] {
            let settings = Direction { loss, burst: asked, ..Direction::default() };
            let arrived = arrivals(settings, 3, 200_000);
            let bursts: Vec<u64> =
                arrived.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).filter(|missing| *missing > 0).collect();
            let mean = bursts.iter().sum::<u64>() as f64 / bursts.len() as f64;
            assert!((mean - expected).abs() < 0.05 * expected, "asked {asked} at {loss} %, got {mean}");
        }
    }

    #[test]
    fn lag_delays_all_and_keeps_their_order() {
        let expected: Vec<_> = (0..50).map(|n| (n, 40 * MS)).collect();
        assert_eq!(arrivals(Direction { lag: 40 * MS, ..Direction::default() }, 1, 50), expected);
    }

    #[test]
    fn what_is_due_at_once_comes_out_in_the_order_it_went_in() {
        let mut link = Link::new(Direction { lag: MS, ..Direction::default() }, 1);
        for n in 0..10u8 {
            assert_eq!(link.push(Instant::ZERO, REMOTE, &[n]), 1);
        }
        let order: Vec<u8> = std::iter::from_fn(|| link.poll(at_ms(1))).map(|(_, bytes)| bytes[0]).collect();
        assert_eq!(order, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn reordering_holds_back_the_share_asked_for_and_nothing_else() {
        let arrived = arrivals(Direction { reorder: 10.0, ..Direction::default() }, 5, 50_000);
        assert_eq!(arrived.len(), 50_000);
        let held = arrived.iter().filter(|(_, delay)| *delay == 15 * MS).count();
        assert!((4_500..=5_500).contains(&held), "{held}");
        assert!(arrived.iter().all(|(_, delay)| delay.is_zero() || *delay == 15 * MS));
        assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0), "someone is overtaken");
    }

    #[test]
    fn copies_follow_within_the_time_allowed() {
        let arrived = arrivals(Direction { dup: 25.0, ..Direction::default() }, 5, 40_000);
        let copies = arrived.len() - 40_000;
        assert!((9_500..=10_500).contains(&copies), "{copies}");
        let late: Vec<_> = arrived.iter().filter(|(_, delay)| !delay.is_zero()).collect();
        assert!(late.iter().all(|(_, delay)| *delay < 10 * MS));
        let mean = late.iter().map(|(_, delay)| delay.as_secs_f64()).sum::<f64>() / late.len() as f64;
        assert!((0.0047..0.0053).contains(&mean), "{mean}");
    }

    #[test]
    fn jitter_has_the_mean_the_cap_and_the_share_asked_for() {
        let settings = Direction { jitter_avg: 8 * MS, jitter_max: 20 * MS, jitter_pct: 50.0, ..Direction::default() };
        let arrived = arrivals(settings, 5, 100_000);
        let late: Vec<f64> = arrived.iter().map(|(_, d)| d.as_secs_f64() * 1e3).filter(|ms| *ms > 0.0).collect();
        assert!((49_000..=51_000).contains(&late.len()), "{}", late.len());
        let capped = late.iter().filter(|ms| **ms == 20.0).count() as f64 / late.len() as f64;
        assert!((capped - (-2.5f64).exp()).abs() < 0.005, "{capped}");
        // The mean of an exponential span cut off at its cap: avg × (1 - e^(-max/avg)).
        let mean = late.iter().sum::<f64>() / late.len() as f64;
        assert!((mean - 8.0 * (1.0 - (-2.5f64).exp())).abs() < 0.1, "{mean}");
        assert!(late.iter().all(|ms| *ms <= 20.0));
    }

    #[test]
    fn a_narrow_link_passes_its_burst_and_then_its_rate() {
        let settings = Direction { rate: 100_000, rate_burst: 3_000, ..Direction::default() };
        let mut link = Link::new(settings, 1);
        for _ in 0..10 {
            assert_eq!(link.push(Instant::ZERO, REMOTE, &[0; 1_000]), 1);
        }
        let mut due = Vec::new();
        while let Some(at) = link.poll_timeout() {
            link.poll(at).expect("due");
            due.push(at.as_micros() / 1_000);
        }
        assert_eq!(due, [0, 0, 0, 10, 20, 30, 40, 50, 60, 70]);
        // 30 ms later the queue is empty for 30 ms: the bucket has earned its burst of 3,000 bytes again.
        assert_eq!(link.push(at_ms(100), REMOTE, &[0; 3_000]), 1);
        assert_eq!(link.poll_timeout(), Some(at_ms(100)));
    }

    #[test]
    fn the_queue_of_a_narrow_link_drops_its_tail() {
        for (rate, expected) in [(100_000, 65), (10_000_000, 1_000)] {
            let mut link = Link::new(Direction { rate, rate_burst: 0, ..Direction::default() }, 1);
            let taken = (0..2_000).map(|_| link.push(Instant::ZERO, REMOTE, &[0; 1_000])).sum::<usize>();
            assert_eq!(taken, expected, "at {rate} bytes a second");
            // Once a packet's time has passed there is room for one more, not for two.
            let later = Instant::ZERO + Duration::from_secs(1_000) / u32::try_from(rate).expect("small");
            assert_eq!(link.push(later, REMOTE, &[0; 1_000]), 1);
            assert_eq!(link.push(later, REMOTE, &[0; 1_000]), 0);
        }
    }

    #[test]
    fn what_is_in_flight_is_bounded_in_datagrams_and_in_bytes() {
        let slow = Direction { lag: Duration::from_secs(5), dup: 100.0, ..Direction::default() };
        let mut link = Link::new(slow.clone(), 1);
        let taken = (0..MAX_IN_FLIGHT).map(|_| link.push(Instant::ZERO, REMOTE, &[0; 8])).sum::<usize>();
        assert_eq!(taken, MAX_IN_FLIGHT);
        let mut link = Link::new(slow, 1);
        let taken = (0..1_000).map(|_| link.push(Instant::ZERO, REMOTE, &[0; 60_000])).sum::<usize>();
        assert_eq!(taken, MAX_IN_FLIGHT_BYTES / 60_000);
        assert!(link.in_flight_bytes() <= MAX_IN_FLIGHT_BYTES);
        // Room comes back as datagrams leave.
        assert!(link.poll(at_ms(6_000)).is_some());
        assert_eq!(link.push(at_ms(6_000), REMOTE, &[0; 60_000]), 1);
    }

    #[test]
    fn the_same_seed_gives_the_same_fates_and_another_seed_others() {
        let settings = Direction {
            loss: 10.0,
            burst: 2.0,
            lag: 5 * MS,
            reorder: 10.0,
            dup: 10.0,
            jitter_avg: 3 * MS,
            ..Direction::default()
        };
        let first = arrivals(settings.clone(), 42, 5_000);
        assert_eq!(first, arrivals(settings.clone(), 42, 5_000));
        assert_ne!(first, arrivals(settings, 43, 5_000));
    }

    #[test]
    fn one_setting_does_not_change_what_another_ones_dice_fall_on() {
        let lost = |settings| {
            let mut arrived: Vec<u64> = arrivals(settings, 11, 2_000).into_iter().map(|(n, _)| n).collect();
            arrived.sort_unstable();
            arrived.dedup();
            arrived
        };
        let plain = Direction { loss: 20.0, ..Direction::default() };
        let busy = Direction { dup: 30.0, reorder: 30.0, jitter_avg: MS, ..plain.clone() };
        assert_eq!(lost(plain), lost(busy));
    }

    #[test]
    fn a_change_leaves_what_is_under_way_alone() {
        let mut link = Link::new(Direction { lag: 50 * MS, ..Direction::default() }, 1);
        link.push(Instant::ZERO, REMOTE, b"slow");
        link.set(Direction::default());
        link.push(at_ms(1), REMOTE, b"quick");
        assert_eq!(link.poll(at_ms(1)).map(|(_, bytes)| bytes), Some(b"quick".to_vec()));
        assert_eq!(link.poll(at_ms(49)), None);
        assert_eq!(link.poll(at_ms(50)).map(|(_, bytes)| bytes), Some(b"slow".to_vec()));
        assert!(link.is_empty());
    }

    #[test]
    fn buffers_are_used_again() {
        let mut link = Link::new(Direction::default(), 1);
        link.push(Instant::ZERO, REMOTE, &[1; 1_200]);
        let (_, buffer) = link.poll(Instant::ZERO).expect("due at once");
        let place = buffer.as_ptr();
        link.recycle(buffer);
        link.push(Instant::ZERO, REMOTE, &[2; 1_000]);
        let (_, buffer) = link.poll(Instant::ZERO).expect("due at once");
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 1_000));
    }
}
