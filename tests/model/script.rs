//! What happens in a random world: who lives there, on what links, and what each app does when.
//!
//! All of it follows from a seed. Times count from the beginning, so that a step keeps its time when
//! others are left out; a step that makes no sense any more (the dead do nothing) is skipped.

use std::fmt;
use steamnetmsg::endpoint::faults::{Dice, Direction};
use steamnetmsg::settings::Settings;
use steamnetmsg::time::Duration;

/// Somebody of whom no address is known, as the number of an endpoint.
pub const NOBODY: usize = 98;
/// Steam id 0, as the number of an endpoint.
pub const INVALID: usize = 99;

/// Who lives in a world, and on what links.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub hosts: Vec<HostSetup>,
    /// By sender, then by receiver.
    pub links: Vec<Vec<Direction>>,
    /// Datagrams damaged under way, percent.
    pub damage: f32,
    pub restless: bool,
}

#[derive(Clone, Debug)]
pub struct HostSetup {
    pub settings: Settings,
    pub max_pending: u32,
    /// Says yes to every request at once.
    pub accepts: bool,
    /// Reads everything so often, unless paused.
    pub reads: Option<Duration>,
}

/// One thing an app does, or that is done to it.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Duration,
    pub who: usize,
    pub deed: Deed,
}

#[derive(Clone, Debug)]
pub enum Deed {
    Send { to: usize, channel: i32, flags: i32, size: usize, count: u32 },
    Read { channel: i32, max: usize },
    PauseReading,
    ResumeReading,
    Accept { peer: usize },
    Close { peer: usize },
    CloseChannel { peer: usize, channel: i32 },
    Cut { peer: usize },
    Heal { peer: usize },
    Kill,
    Start,
    Move,
}

impl Setup {
    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Every datagram has a fair chance on both ways, so that a few seconds are enough for anything.
    pub fn is_good(&self, a: usize, b: usize) -> bool {
        let good = |d: &Direction| d.loss <= 3.0 && d.rate == 0;
        self.damage <= 1.0 && a < self.len() && b < self.len() && good(&self.links[a][b]) && good(&self.links[b][a])
    }
}

fn one_of<T: Copy>(dice: &mut Dice, choices: &[T]) -> T {
    choices[dice.below(choices.len() as u64) as usize]
}

fn random_link(dice: &mut Dice, foul: bool) -> Direction {
    let ms = |dice: &mut Dice, most: u64| Duration::from_millis(dice.below(most + 1));
    let mut link = Direction { lag: ms(dice, 79) + Duration::from_millis(1), ..Direction::default() };
    if dice.percent(60.0) {
        link.loss = dice.below(4) as f32;
    }
    if foul {
        link.loss = one_of(dice, &[0.0, 5.0, 15.0, 30.0]);
        link.burst = one_of(dice, &[1.0, 1.0, 4.0]);
        link.rate = one_of(dice, &[0, 0, 0, 100_000, 1_000_000]);
        link.jitter_avg = ms(dice, 20);
    }
    link.dup = one_of(dice, &[0.0, 0.0, 3.0, 20.0]);
    link.reorder = one_of(dice, &[0.0, 0.0, 5.0, 30.0]);
    link
}

fn random_host(dice: &mut Dice) -> HostSetup {
    let seconds = |s: u64| Duration::from_secs(s);
    let d = Settings::default();
    let settings = Settings {
        allow_without_auth: true,
        send_buffer_size: one_of(dice, &[4_096, 65_536, 524_288, 524_288, 2_000_000]),
        recv_buffer_size: one_of(dice, &[4_096, 65_536, 1_048_576, 1_048_576]),
        recv_buffer_messages: one_of(dice, &[16, 100, 1_000, 1_000]),
        recv_max_message_size: one_of(dice, &[2_000, 524_288, 524_288, 524_288, 524_288, 524_288]),
        nagle_time: Duration::from_millis(one_of(dice, &[0, 5, 5, 20])),
        timeout_initial: seconds(one_of(dice, &[4, 10, 10, 15])),
        timeout_connected: seconds(one_of(dice, &[5, 10, 10])),
        session_idle_timeout: seconds(one_of(dice, &[6, 20, 180, 180, 180])),
        early_unreliable: dice.percent(20.0),
        mtu_packet_size: one_of(dice, &[0, 0, 0, 0, 250, 700]),
        user_data: dice.below(9) as i64,
        ..d
    };
    HostSetup {
        settings,
        max_pending: one_of(dice, &[1, 2, 64, 64]),
        accepts: dice.percent(60.0),
        reads: dice.percent(75.0).then(|| Duration::from_millis(one_of(dice, &[10, 50, 300]))),
    }
}

/// The world that follows from a seed.
pub fn random(seed: u64) -> (Setup, Vec<Step>) {
    let mut dice = Dice::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6d6f_6465);
    let count = 2 + dice.below(5).min(dice.below(5)) as usize;
    let foul = dice.percent(50.0);
    let hosts: Vec<HostSetup> = (0..count).map(|_| random_host(&mut dice)).collect();
    let links = (0..count).map(|_| (0..count).map(|_| random_link(&mut dice, foul)).collect()).collect();
    let damage = if foul { one_of(&mut dice, &[0.0, 0.0, 1.0, 10.0]) } else { 0.0 };
    let setup = Setup { seed, hosts, links, damage, restless: dice.percent(25.0) };
    let steps = random_steps(&mut dice, count);
    (setup, steps)
}

fn random_steps(dice: &mut Dice, count: usize) -> Vec<Step> {
    let channels = [0, 0, 1, 7, -7, i32::MAX, i32::MIN];
    let channels = &channels[..2 + dice.below(6) as usize];
    let total = 60 + dice.below(300) as usize;
    let pause_ms = one_of(dice, &[20, 200, 1_000]);
    let violent = dice.percent(60.0);
    let mut bulk = 3;
    let mut at = Duration::ZERO;
    let mut steps = Vec::new();
    while steps.len() < total {
        at += match dice.below(1_000) {
            0..=2 => Duration::from_secs(dice.below(200)),
            3..=30 => Duration::from_secs(dice.below(15)),
            31..=250 => Duration::ZERO,
            _ => Duration::from_micros(dice.below(2 * pause_ms * 1_000)),
        };
        let who = dice.below(count as u64) as usize;
        // Mostly the neighbour, so that conversations come about.
        let far = dice.below(count as u64) as usize;
        let peer = if dice.percent(50.0) || far == who { (who + 1) % count } else { far };
        let channel = one_of(dice, channels);
        let mut also = Vec::new();
        let deed = match dice.below(1_000) {
            0..=539 => random_send(dice, who, peer, channel, &mut bulk),
            540..=679 => Deed::Read { channel, max: one_of(dice, &[0, 1, 2, 5, 1_000]) },
            680..=789 => Deed::Accept { peer },
            790..=829 => Deed::Close { peer: if dice.percent(5.0) { who } else { peer } },
            830..=869 => Deed::CloseChannel { peer: if dice.percent(8.0) { who } else { peer }, channel },
            870..=889 => Deed::PauseReading,
            890..=919 => Deed::ResumeReading,
            // Both at once.
            920..=939 => {
                also.push(Step { at, who: peer, deed: random_send(dice, peer, who, channel, &mut bulk) });
                random_send(dice, who, peer, channel, &mut bulk)
            }
            940..=964 if violent => {
                also.push(Step { at: at + Duration::from_millis(dice.below(20_000)), who, deed: Deed::Heal { peer } });
                Deed::Cut { peer }
            }
            965..=979 if violent => {
                also.push(Step { at: at + Duration::from_millis(dice.below(15_000)), who, deed: Deed::Start });
                Deed::Kill
            }
            980..=989 if violent => Deed::Move,
            _ => random_send(dice, who, peer, channel, &mut bulk),
        };
        steps.push(Step { at, who, deed });
        steps.extend(also);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn random_send(dice: &mut Dice, who: usize, peer: usize, channel: i32, bulk: &mut u32) -> Deed {
    let to = match dice.below(100) {
        0..=1 => who,
        2 => NOBODY,
        3 => INVALID,
        _ => peer,
    };
    let flags = if dice.percent(50.0) { 8 } else { dice.below(64) as i32 };
    let size = match dice.below(100) {
        0..=7 => dice.below(3) as usize,
        8..=69 => dice.below(200) as usize,
        70..=84 => 1_000 + dice.below(400) as usize,
        85..=96 => dice.below(20_000) as usize,
        97 => 524_289,
        _ if *bulk > 0 => {
            *bulk -= 1;
            one_of(dice, &[524_288, 524_283, 100_000])
        }
        _ => 8,
    };
    let count = if size < 2_000 { one_of(dice, &[1, 1, 1, 3, 20]) } else { 1 };
    Deed::Send { to, channel, flags, size, count }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>11.6} s  {} {:?}", self.at.as_secs_f64(), self.who, self.deed)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "damage {} %, restless {}", self.damage, self.restless)?;
        for (number, host) in self.hosts.iter().enumerate() {
            writeln!(f, "endpoint {number}: {host:?}")?;
        }
        for (from, links) in self.links.iter().enumerate() {
            for (to, d) in links.iter().enumerate().filter(|(to, _)| *to != from) {
                let Direction { loss, burst, lag, reorder, dup, jitter_avg, rate, .. } = d;
                writeln!(
                    f,
                    "link {from} to {to}: lag {lag:?}, jitter {jitter_avg:?}, loss {loss} % (bursts of {burst}), \
                     reorder {reorder} %, dup {dup} %, rate {rate} B/s"
                )?;
            }
        }
        Ok(())
    }
}
