//! Round-trip time, smoothed (RFC 6298, RFC 9002 section 5).

use crate::time::Duration;

/// What the timers assume before anything was measured.
const INITIAL: Duration = Duration::from_millis(100);

/// Variation never counts as less: timers of the system are no finer.
const GRANULARITY: Duration = Duration::from_millis(1);

/// The round-trip time of one path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rtt {
    latest: Duration,
    smoothed: Option<Duration>,
    variation: Duration,
    min: Duration,
}

impl Rtt {
    /// Takes a sample; `ack_delay` is what the peer says it held the acknowledgement back.
    pub fn sample(&mut self, sample: Duration, ack_delay: Duration) {
        self.latest = sample;
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(sample);
            self.variation = sample / 2;
            self.min = sample;
            return;
        };
        self.min = self.min.min(sample);
        let adjusted = if sample >= self.min + ack_delay { sample - ack_delay } else { sample };
        self.variation = self.variation * 3 / 4 + smoothed.abs_diff(adjusted) / 4;
        self.smoothed = Some(smoothed * 7 / 8 + adjusted / 8);
    }

    /// The smoothed value, once measured.
    pub fn measured(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The smoothed value, or a guess.
    pub fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL)
    }

    /// A packet overtaken by a later acknowledged one counts as lost after so long.
    pub fn loss_delay(&self) -> Duration {
        (self.latest.max(self.smoothed()) * 9 / 8).max(GRANULARITY)
    }

    /// Without any acknowledgement for so long the peer is probed (RFC 9002 section 6.2).
    pub fn probe_timeout(&self, max_ack_delay: Duration) -> Duration {
        match self.smoothed {
            Some(smoothed) => smoothed + (self.variation * 4).max(GRANULARITY) + max_ack_delay,
            None => INITIAL * 3 + max_ack_delay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peers_ack_delay_is_taken_off_but_never_below_the_minimum() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        rtt.sample(ms(50), ms(0));
        for _ in 0..100 {
            rtt.sample(ms(70), ms(20));
        }
        assert!(rtt.smoothed().abs_diff(ms(50)) < ms(1), "{rtt:?}");
        rtt.sample(ms(60), ms(20));
        assert!(rtt.smoothed() >= ms(50));
    }
}
