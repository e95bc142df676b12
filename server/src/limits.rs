//! How much one may have: buckets that fill with time, and counts by source address. Every table has a bound.
//!
//! Time is handed in, so that a test need not wait.

use crate::networks::source_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Sources whose rates are remembered. Beyond, those that have been quiet are forgotten, and if none has been, the
/// newcomer is turned away: a flood of forged addresses costs memory to this point and no further.
const MAX_SOURCES: usize = 65_536;

/// So many units a second, and no more than `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Units a second.
    pub per_second: f64,
    /// Units that may be had at once after a rest.
    pub burst: f64,
}

impl Rate {
    /// A rate whose burst is so many seconds' worth.
    pub fn new(per_second: u64, seconds: u64) -> Rate {
        Rate { per_second: per_second as f64, burst: per_second.saturating_mul(seconds) as f64 }
    }
}

/// What is left of a [`Rate`].
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket { left: rate.burst, at: now }
    }

    /// Takes `units`, if there are so many. A full bucket gives any amount once, so that nothing is impossible.
    pub fn take(&mut self, rate: Rate, units: f64, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * rate.per_second).min(rate.burst);
        self.at = self.at.max(now);
        let enough = self.left >= units.min(rate.burst);
        if enough {
            self.left -= units;
        }
        enough
    }

    fn is_full(&self, rate: Rate, now: Instant) -> bool {
        self.left + now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second >= rate.burst
    }
}

/// A rate for each source address.
#[derive(Debug)]
pub struct SourceRates {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl SourceRates {
    /// Every source has this rate.
    pub fn new(rate: Rate) -> SourceRates {
        SourceRates { rate, buckets: Mutex::default() }
    }

    /// May this source have one more?
    pub fn take(&self, ip: IpAddr, now: Instant) -> bool {
        let source = source_of(ip);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_SOURCES && !buckets.contains_key(&source) {
            buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
            if buckets.len() >= MAX_SOURCES {
                return false;
            }
        }
        buckets.entry(source).or_insert_with(|| Bucket::new(self.rate, now)).take(self.rate, 1.0, now)
    }

    /// Forgets who has been quiet for long enough to have all of his rate again.
    pub fn forget(&self, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|_, bucket| !bucket.is_full(self.rate, now));
        if buckets.is_empty() {
            buckets.shrink_to_fit();
        }
    }
}

/// How many there are at once: in all, and of each source.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_of_source: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    all: Mutex<usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For anybody.
    All,
    /// For this source.
    Source,
}

/// A place that is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    source: IpAddr,
}

impl Places {
    /// So many in all, so many of each source.
    pub fn new(most: usize, most_of_source: usize) -> Arc<Places> {
        Arc::new(Places { most, most_of_source, taken: Mutex::default(), all: Mutex::new(0) })
    }

    /// Takes a place for somebody at this address.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn take(self: &Arc<Places>, ip: IpAddr) -> Result<Place, Full> {
        let source = source_of(ip);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if *all >= self.most {
            return Err(Full::All);
        }
        let of_source = taken.entry(source).or_insert(0);
        if *of_source >= self.most_of_source {
            return Err(Full::Source);
        }
        *of_source += 1;
        *all += 1;
        Ok(Place { places: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.places.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *all -= 1;
        if let Some(of_source) = taken.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

/// Rates are remembered until they are whole again; looking for those takes a walk, so it is done this often.
pub const FORGET_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn at(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (rate, start) = (Rate::new(10, 2), Instant::now());
        let mut bucket = Bucket::new(rate, start);
        let taken = |bucket: &mut Bucket, at| (0..100).filter(|_| bucket.take(rate, 1.0, at)).count();
        assert_eq!(taken(&mut bucket, start), 20);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(&mut bucket, start), 0, "time that runs backwards gives nothing");
        assert_eq!(
            taken(&mut bucket, start + Duration::from_secs(3_600)),
            20,
            "and a long rest no more than the burst"
        );
    }

    #[test]
    fn more_than_the_burst_is_had_once_by_a_full_bucket_and_paid_for() {
        let (rate, start) = (Rate::new(10, 1), Instant::now());
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(rate, 25.0, start));
        assert!(!bucket.take(rate, 1.0, start + Duration::from_millis(1_500)));
        assert!(bucket.take(rate, 1.0, start + Duration::from_millis(1_700)));
    }

    #[test]
    fn rates_of_sources_are_their_own_and_their_table_is_bounded() {
        let (rates, now) = (SourceRates::new(Rate::new(1, 1)), Instant::now());
        assert!(rates.take(at(1), now) && !rates.take(at(1), now) && rates.take(at(2), now));
        for n in 3..=MAX_SOURCES as u32 {
            assert!(rates.take(at(n), now));
        }
        assert!(!rates.take(at(0x10_0000), now), "no room for one more");
        assert!(rates.take(at(0x10_0000), now + Duration::from_secs(1)), "the quiet ones made room");
        rates.forget(now + Duration::from_secs(9));
        assert_eq!(rates.buckets.lock().map(|buckets| buckets.len()).ok(), Some(0));
    }

    #[test]
    fn places_are_counted_in_all_and_by_source_and_given_back() {
        let places = Places::new(3, 2);
        let held: Vec<_> = [at(1), at(1), at(2)].map(|ip| places.take(ip).expect("a place")).into();
        assert_eq!(places.take(at(3)).err(), Some(Full::All));
        drop(held);
        let held: Vec<_> = [at(1), at(1)].map(|ip| places.take(ip).expect("a place")).into();
        assert_eq!(places.take(at(1)).err(), Some(Full::Source));
        assert!(places.take(at(2)).is_ok());
        drop(held);
        assert_eq!(places.taken.lock().map(|taken| taken.len()).ok(), Some(0), "nothing is left behind");
    }
}
