//! Injected faults: a bad link on purpose, seeded and repeatable.

use crate::time::Duration;

/// What happens to datagrams of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    /// Percent lost, 0 to 100.
    pub loss: f32,
    /// Mean length of a burst of losses, packets, at least 1; 1 for independent losses.
    pub burst: f32,
    /// Added delay.
    pub lag: Duration,
    /// Percent held back so that later ones overtake, 0 to 100.
    pub reorder: f32,
    /// How long those are held back.
    pub reorder_time: Duration,
    /// Percent sent twice, 0 to 100.
    pub dup: f32,
    /// Most the copy comes after the original.
    pub dup_time_max: Duration,
    /// Mean of the added jitter.
    pub jitter_avg: Duration,
    /// Most jitter one datagram gets.
    pub jitter_max: Duration,
    /// Percent of datagrams that get jitter, 0 to 100.
    pub jitter_pct: f32,
    /// Bytes per second let through; 0 for no limit.
    pub rate: u64,
    /// Bytes that may pass at once above the rate.
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

/// The FAKE_… keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultSettings {
    /// What we send.
    pub send: Direction,
    /// What we receive.
    pub recv: Direction,
    /// Makes the faults repeatable; 0 draws afresh.
    pub seed: u64,
}
