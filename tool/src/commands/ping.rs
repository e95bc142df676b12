//! `ping`: how long a message and its echo take.
//!
//! The first message is reliable and opens the session; it is not measured. The others are unreliable and go out one
//! an interval, so that what the line loses is seen to be lost.

use super::endpoint::{Seen, gone, look_at, plain};
use super::{Failure, endpoint, say, steam_id};
use clap::Args;
use steamnetmsg::driver::{Driver, clock};
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::flags;
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::time::{Duration, Instant};

/// Before the number, in every message: so that nothing else is taken for an echo.
const MARK: &[u8; 8] = b"snm ping";

/// How often the state of a session that is not connected yet is looked at: its coming is no event.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the last echo may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Whom to ping
    #[arg(value_name = "STEAM_ID", value_parser = steam_id)]
    peer: SteamId,
    /// Where it is: a name or an IP address, and a port
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    address: (String, u16),
    /// How many messages
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    count: u64,
    /// Milliseconds from one to the next
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    interval: u64,
    #[command(flatten)]
    endpoint: endpoint::Options,
}

fn address(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("takes HOST:PORT")?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or("the port is a number from 1 to 65535")?;
    Ok((host.to_owned(), port))
}

/// One message sent and not echoed yet, or echoed.
#[derive(Clone, Copy)]
enum Sent {
    Waiting(Instant),
    Echoed(Duration),
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (driver, _) = options.endpoint.open()?;
    let (host, port) = &options.address;
    driver.add_peer_host(options.peer, host, *port).map_err(|e| Failure::System(e.to_string()))?;
    let ping = Ping { driver: &driver, peer: options.peer, channel: Channel(options.endpoint.channel) };
    let sent = ping.connect().and_then(|()| ping.measure(options.count, Duration::from_millis(options.interval)));
    driver.close();
    summary(&sent?)
}

struct Ping<'a> {
    driver: &'a Driver,
    peer: SteamId,
    channel: Channel,
}

impl Ping<'_> {
    /// Opens the session; the other side has to accept.
    fn connect(&self) -> Result<(), Failure> {
        let began = clock::now();
        self.send(0, flags::RELIABLE | flags::NO_NAGLE)?;
        loop {
            self.look_for_failure()?;
            if let Seen::Connected(session) = look_at(self.driver, self.peer)? {
                let took = milliseconds(clock::now().saturating_since(began));
                return say(format_args!("connected with {session}, in {took} ms"));
            }
            self.driver.wait(Some(LOOK_EVERY));
        }
    }

    /// Sends `count` messages and listens until the last has had its time.
    fn measure(&self, count: u64, interval: Duration) -> Result<Vec<Sent>, Failure> {
        let mut sent: Vec<Sent> = Vec::new();
        let mut next = clock::now();
        loop {
            let now = clock::now();
            if (sent.len() as u64) < count && now >= next {
                sent.push(Sent::Waiting(now));
                self.send(sent.len() as u64, flags::NO_NAGLE)?;
                next = now + if sent.len() as u64 == count { PATIENCE } else { interval };
            }
            self.driver.wait(Some(next.saturating_since(clock::now())));
            self.look_for_failure()?;
            self.hear(&mut sent)?;
            let all_back = sent.iter().all(|one| matches!(one, Sent::Echoed(_)));
            if sent.len() as u64 == count && (all_back || clock::now() >= next) {
                return Ok(sent);
            }
        }
    }

    /// Takes the echoes that have come. Their time is that of their arrival, not of this look.
    fn hear(&self, sent: &mut [Sent]) -> Result<(), Failure> {
        let mut messages = Vec::new();
        self.driver.receive(self.channel, 256, &mut messages);
        for message in messages.iter().filter(|message| message.from == self.peer) {
            let number = message.payload.strip_prefix(MARK).and_then(|number| number.try_into().ok());
            let number = number.map_or(0, u64::from_be_bytes);
            let Some(one) = number.checked_sub(1).and_then(|at| sent.get_mut(at as usize)) else { continue };
            if let Sent::Waiting(at) = *one {
                let took = message.received.saturating_since(at);
                *one = Sent::Echoed(took);
                say(format_args!("from {}: number {number}, {} ms", self.peer.0, milliseconds(took)))?;
            }
        }
        Ok(())
    }

    fn send(&self, number: u64, flags: i32) -> Result<(), Failure> {
        let bytes = [&MARK[..], &number.to_be_bytes()].concat();
        let sent = self.driver.send(self.peer, &bytes, flags, self.channel).map_err(gone)?;
        sent.map_err(|e| Failure::Refused(format!("cannot send to {}: {e}", self.peer.0)))
    }

    fn look_for_failure(&self) -> Result<(), Failure> {
        while let Some(event) = self.driver.poll_event() {
            match event {
                Event::SessionFailed { peer, reason, text, .. } if peer == self.peer => {
                    return Err(Failure::Refused(format!("no session with {}: {} ({reason})", peer.0, plain(&text))));
                }
                Event::SessionRequest { from } => {
                    // We only ask.
                    self.driver.with_endpoint(|endpoint, now| endpoint.close_session(now, from)).map_err(gone)?;
                }
                Event::SessionFailed { .. } | Event::Signaling { .. } => {}
            }
        }
        Ok(())
    }
}

fn summary(sent: &[Sent]) -> Result<(), Failure> {
    let mut times: Vec<Duration> = Vec::new();
    times.extend(sent.iter().filter_map(|one| match one {
        Sent::Echoed(took) => Some(*took),
        Sent::Waiting(_) => None,
    }));
    times.sort();
    let lost = sent.len() - times.len();
    say(format_args!("{} sent, {} echoed, {} % lost", sent.len(), times.len(), lost * 100 / sent.len().max(1)))?;
    let (Some(least), Some(most)) = (times.first(), times.last()) else {
        return Err(Failure::Refused(
            "nothing was echoed; does the other side echo, as `steamnetmsg listen` does?".into(),
        ));
    };
    let median = times[times.len() / 2];
    say(format_args!(
        "round trip {} ms at least, {} median, {} at most",
        milliseconds(*least),
        milliseconds(median),
        milliseconds(*most)
    ))
}

fn milliseconds(span: Duration) -> String {
    format!("{:.3}", span.as_micros() as f64 / 1_000.0)
}
