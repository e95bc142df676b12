//! What is measured: the cases, and how much of each.

use crate::workloads::Amount;

/// How thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A second of everything, to see that it works; the numbers mean nothing.
    Smoke,
    /// About ten minutes.
    Short,
    /// As the workloads are defined.
    Full,
}

/// A workload under certain circumstances.
#[derive(Clone, Debug)]
pub struct Case {
    /// "w1" to "w9".
    pub workload: &'static str,
    /// Which circumstances, for people.
    pub variant: String,
    /// Options of `linksim`; none: both ends talk directly.
    pub line: Vec<(&'static str, f64)>,
    /// How much of it.
    pub amount: Amount,
    /// The cores of server and client, where that matters.
    pub cores: Option<(usize, usize)>,
    /// Light enough for all transports to run at the same time.
    pub together: bool,
    /// The NAT forgets everything after this, s.
    pub rebind_after: Option<f64>,
}

/// The narrow line of W5 and W7, Mbit/s.
pub const NARROW_MBIT: f64 = 10.0;

/// One way, where a line has a delay, ms.
pub const DELAY_MS: f64 = 25.0;

impl Case {
    fn new(workload: &'static str, variant: impl Into<String>, amount: Amount) -> Case {
        let variant = variant.into();
        Case { workload, variant, line: Vec::new(), amount, cores: None, together: false, rebind_after: None }
    }

    /// Over a line with the usual delay and these faults; such runs are light.
    fn over(mut self, faults: &[(&'static str, f64)]) -> Case {
        self.line = vec![("delay-ms", DELAY_MS)];
        self.line.extend_from_slice(faults);
        self.together = true;
        self
    }

    fn on(mut self, server: usize, client: usize) -> Case {
        self.cores = Some((server, client));
        self
    }

    /// Is this transport for it? The line passes only UDP; plain UDP keeps no promise and has no long messages.
    pub fn suits(&self, transport: &str) -> bool {
        match transport {
            "tcp" => ["w1", "w2", "w3"].contains(&self.workload),
            "udp" => ["w1", "w3"].contains(&self.workload),
            // Ways to use a library that somebody would choose for this kind of work.
            "gns-tuned" => ["w1", "w2", "w3", "w6"].contains(&self.workload),
            "gns-tuned-manual" => ["w1", "w2", "w3"].contains(&self.workload),
            "gns-manual" => ["w4", "w6", "w8"].contains(&self.workload),
            "gns-handset" => ["w5", "w7"].contains(&self.workload),
            "gns-lanes" | "gns-handset-lanes" => self.workload == "w5",
            "quinn-bbr" => ["w5", "w7"].contains(&self.workload),
            "quinn-0rtt" => self.workload == "w8",
            _ => true,
        }
    }

    /// How much of it this transport does. GameNetworkingSockets sends 256 KB/s unless told otherwise: a file of full
    /// size would take a quarter of an hour.
    pub fn amount_for(&self, transport: &str) -> Amount {
        let mut amount = self.amount.clone();
        if self.workload == "w2" && transport == "gns" {
            amount.mib = (amount.mib / 64).max(1);
        }
        amount
    }

    /// How long a run takes, roughly, s.
    pub fn takes(&self) -> f64 {
        match self.workload {
            "w2" | "w3" | "w8" => 4.0,
            "w6" => self.amount.seconds + self.amount.sessions as f64 / 1_000.0 + 2.0,
            _ => self.amount.seconds + 1.0,
        }
    }
}

/// The cases of a plan, on a machine with so many cores.
pub fn cases(size: Size, cores: usize) -> Vec<Case> {
    let pick = |smoke, short, full| match size {
        Size::Smoke => smoke,
        Size::Short => short,
        Size::Full => full,
    };
    let amount = |seconds: f64| Amount {
        seconds,
        sessions: 1,
        hz: 60.0,
        rounds: pick(100.0, 4_000.0, 20_000.0) as u32,
        mib: pick(4.0, 128.0, 256.0) as u64,
    };
    let full = size == Size::Full;
    let mut cases = vec![
        Case::new("w1", "64 B", amount(pick(1.0, 3.0, 5.0))),
        Case::new("w2", format!("{} MiB", amount(0.0).mib), amount(0.0)),
        Case::new("w3", "same core", amount(0.0)).on(0, 0),
    ];
    if cores > 1 && size != Size::Smoke {
        cases.push(Case::new("w3", "two cores", amount(0.0)).on(0, 1));
    }
    for loss in [0.0, 1.0, 5.0, 10.0] {
        if full || loss == 5.0 || (loss == 0.0 && size == Size::Short) {
            cases
                .push(Case::new("w4", format!("{loss} % loss"), amount(pick(1.0, 20.0, 60.0))).over(&[("loss", loss)]));
        }
    }
    if size != Size::Smoke {
        let bursts = [("loss", 5.0), ("burst", 3.0)];
        cases.push(Case::new("w4", "5 % loss in bursts of 3", amount(pick(1.0, 20.0, 60.0))).over(&bursts));
    }
    let narrow = [("rate-mbit", NARROW_MBIT), ("queue-ms", 100.0)];
    cases.push(Case::new("w5", "10 Mbit/s", amount(pick(1.0, 15.0, 30.0))).over(&narrow));
    for (sessions, hz) in [(1_000, 20.0), (10_000, 2.0)] {
        if full || sessions == 1_000 {
            let sessions = if size == Size::Smoke { 20 } else { sessions };
            let amount = Amount { sessions, hz, ..amount(pick(1.0, 8.0, 15.0)) };
            cases.push(Case::new("w6", format!("{sessions} sessions at {hz} Hz"), amount));
        }
    }
    for loss in [0.0, 1.0, 3.0] {
        if full || loss == 1.0 {
            let line = [narrow[0], narrow[1], ("loss", loss)];
            cases.push(Case::new("w7", format!("{loss} % loss"), amount(pick(1.0, 15.0, 30.0))).over(&line));
        }
    }
    let connects = Amount { rounds: pick(2.0, 8.0, 20.0) as u32, ..amount(0.0) };
    cases.push(Case::new("w8", "direct", connects).over(&[]));
    let seconds = pick(1.0, 10.0, 20.0);
    let mut rebinding = Case::new("w9", "NAT rebinding", amount(seconds)).over(&[]);
    rebinding.rebind_after = Some(seconds / 2.0);
    cases.push(rebinding);
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_in_every_plan() {
        for size in [Size::Smoke, Size::Short, Size::Full] {
            let cases = cases(size, 2);
            for workload in crate::workloads::ALL {
                assert!(cases.iter().any(|case| case.workload == workload.name), "{} in {size:?}", workload.name);
            }
        }
    }

    #[test]
    fn the_short_plan_takes_about_ten_minutes_with_every_transport() {
        let time = |case: &Case| case.takes() * if case.together { 1.0 } else { 9.0 };
        let seconds: f64 = cases(Size::Short, 2).iter().map(time).sum();
        assert!((200.0..600.0).contains(&seconds), "{seconds} s for one repeat");
    }
}
