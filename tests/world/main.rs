//! The simulated world: many endpoints on bad links, in virtual time.
//!
//! A run follows from its seed alone and prints that seed when it fails. Two variables make it longer:
//! `SNM_WORLD_SEEDS` (how many seeds the laws over seeds try) and `SNM_WORLD_MESSAGES` (how many
//! messages a channel of the main delivery law carries; 10,000 is the full law).

mod app;
mod sim;
mod traffic;
mod turn;

mod anew;
mod bounds;
mod channels;
mod closing;
mod corners;
mod delivery;
mod diagnosis;
mod failing;
mod flow;
mod flushing;
mod gap;
mod hostile;
mod identity;
mod idling;
mod laws;
mod meeting;
mod moving;
mod nagle;
mod once;
mod ourselves;
mod paper;
mod quick;
mod relayed;
mod relaying;
mod requests;
mod signals;
mod strangers;
mod timers;
mod unheard;
mod unreliable;

/// How many seeds a law over seeds tries.
fn seeds(default: u64) -> std::ops::Range<u64> {
    1..1 + number_from("SNM_WORLD_SEEDS").unwrap_or(default)
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}
