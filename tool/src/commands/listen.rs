//! `listen`: an endpoint that accepts everybody who may enter, says who came and went, and sends back what it gets.

use super::endpoint::{Seen, gone, look_at, plain};
use super::{Failure, endpoint, say};
use clap::Args;
use std::collections::BTreeMap;
use steamnetmsg::driver::{Driver, clock};
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::flags;
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::time::{Duration, Instant};

/// Guests at once; the next are refused.
const MAX_GUESTS: usize = 1_024;

/// How often it is seen who has come and gone: neither is an event.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Messages echoed before the guests are looked at again.
const AT_ONCE: usize = 256;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// For how long, such as 10m; else until it is stopped, and its guests find out by themselves
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    span: Option<std::time::Duration>,
    #[command(flatten)]
    endpoint: endpoint::Options,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (driver, me) = options.endpoint.open()?;
    let addresses: Vec<String> = driver.local_addresses().iter().map(ToString::to_string).collect();
    say(format_args!("{} listens at {}", me.0, addresses.join(",")))?;
    let mut house = House {
        driver: &driver,
        channel: Channel(options.endpoint.channel),
        guests: BTreeMap::new(),
        looked: None,
        woken: false,
    };
    let span = options.span.map(|span| Duration::from_nanos(span.as_nanos().try_into().unwrap_or(u64::MAX)));
    let began = clock::now();
    while span.is_none_or(|span| clock::now().saturating_since(began) < span) {
        house.turn()?;
    }
    driver.close();
    Ok(())
}

/// Somebody who was let in.
#[derive(Default)]
struct Guest {
    connected: bool,
    /// Echoes his send buffer had no room for.
    dropped: u64,
}

struct House<'a> {
    driver: &'a Driver,
    channel: Channel,
    guests: BTreeMap<SteamId, Guest>,
    looked: Option<Instant>,
    /// The last turn ended because something waits.
    woken: bool,
}

impl House<'_> {
    fn turn(&mut self) -> Result<(), Failure> {
        let mut done = 0;
        while let Some(event) = self.driver.poll_event() {
            self.handle_event(event)?;
            done += 1;
        }
        done += self.echo()?;
        let now = clock::now();
        if self.looked.is_none_or(|at| now.saturating_since(at) >= LOOK_EVERY) {
            self.looked = Some(now);
            self.look()?;
        }
        if done == 0 {
            if self.woken {
                // For nothing: what waits is not ours to take, messages on another channel.
                std::thread::sleep(LOOK_EVERY);
            }
            self.woken = self.driver.wait(Some(LOOK_EVERY));
        } else {
            self.woken = false;
        }
        Ok(())
    }

    fn handle_event(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::SessionRequest { from } if self.guests.len() < MAX_GUESTS || self.guests.contains_key(&from) => {
                if self.driver.with_endpoint(|endpoint, now| endpoint.accept(now, from)).map_err(gone)? {
                    self.guests.insert(from, Guest::default());
                }
                Ok(())
            }
            Event::SessionRequest { from } => {
                self.close(from)?;
                say(format_args!("{} is refused: {MAX_GUESTS} are here already", from.0))
            }
            Event::SessionFailed { peer, reason, text, .. } => {
                self.guests.remove(&peer);
                self.close(peer)?;
                say(format_args!("{} is lost: {} ({reason})", peer.0, plain(&text)))
            }
            Event::Signaling { text, .. } => say(format_args!("signaling: {}", plain(&text))),
        }
    }

    /// Sends back what has come, as it came.
    fn echo(&mut self) -> Result<usize, Failure> {
        let mut messages = Vec::new();
        self.driver.receive(self.channel, AT_ONCE, &mut messages);
        for message in &messages {
            self.greet(message.from)?;
            let how = flags::NO_NAGLE | if message.reliable { flags::RELIABLE } else { 0 };
            let sent = self.driver.send(message.from, &message.payload, how, self.channel).map_err(gone)?;
            if let (Err(_), Some(guest)) = (sent, self.guests.get_mut(&message.from)) {
                guest.dropped += 1;
            }
        }
        Ok(messages.len())
    }

    /// Says who has come and who has gone since the last look.
    fn look(&mut self) -> Result<(), Failure> {
        for peer in self.guests.keys().copied().collect::<Vec<_>>() {
            self.greet(peer)?;
            if let (Seen::Nothing, Some(guest)) = (look_at(self.driver, peer)?, self.guests.get(&peer)) {
                let been = if guest.connected { "is gone" } else { "came and went" };
                let dropped =
                    if guest.dropped > 0 { format!("; {} echoes did not fit", guest.dropped) } else { String::new() };
                self.guests.remove(&peer);
                say(format_args!("{} {been}{dropped}", peer.0))?;
            }
        }
        Ok(())
    }

    /// Says that a guest is here, once he is.
    fn greet(&mut self, peer: SteamId) -> Result<(), Failure> {
        let Some(guest) = self.guests.get_mut(&peer).filter(|guest| !guest.connected) else { return Ok(()) };
        if let Seen::Connected(session) = look_at(self.driver, peer)? {
            guest.connected = true;
            say(format_args!("{session}, is here"))?;
        }
        Ok(())
    }

    fn close(&self, peer: SteamId) -> Result<(), Failure> {
        self.driver.with_endpoint(|endpoint, now| endpoint.close_session(now, peer)).map(|_| ()).map_err(gone)
    }
}
