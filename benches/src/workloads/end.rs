//! One end of a workload: a transport, and what all workloads say over it.
//!
//! Every message begins with a [`Stamp`]. The two ends meet (a greeting for each session, and its answer) and part (an
//! ending, and its acknowledgement) with reliable messages on channel 0, handled in here and not seen by the workloads.

use crate::clock;
use crate::transport::{Kind, Outgoing, Sent, SessionId, Transport};
use std::collections::{HashSet, VecDeque};
use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

/// Bytes of a [`Stamp`]: the shortest message.
pub const STAMP: usize = 16;

/// A greeting or an ending that got no answer is said again after this, for transports that may lose it.
const SAY_AGAIN_NS: u64 = 1_000_000_000;

/// The two ends have met by then, or never will.
const MEET_WITHIN_NS: u64 = 60_000_000_000;

/// They have parted by then; the work is done in any case.
const PART_WITHIN_NS: u64 = 5_000_000_000;

/// Greetings on their way at once: as many clients as log in together.
const GREETINGS_AT_ONCE: usize = 256;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// The work itself.
    Data = 1,
    /// What a receiver tells a sender.
    Credit,
    /// A client greets.
    Hello,
    /// The server saw it.
    Answer,
    /// A client is done.
    Done,
    /// The server saw it.
    DoneSeen,
}

/// The start of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it was sent: [`clock::now_ns`].
    pub at: u64,
    /// A number that means something to the workload.
    pub number: u32,
    /// What it is for.
    pub tag: Tag,
}

impl Stamp {
    /// Writes it to the front of a message.
    pub fn write(&self, message: &mut [u8]) {
        message[..8].copy_from_slice(&self.at.to_le_bytes());
        message[8..12].copy_from_slice(&self.number.to_le_bytes());
        message[12..16].copy_from_slice(&[self.tag as u8, 0, 0, 0]);
    }

    /// Reads it from the front of a message; `None` if that has none.
    pub fn read(message: &[u8]) -> Option<Stamp> {
        let stamp = message.first_chunk::<STAMP>()?;
        let (at, rest) = stamp.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let tags = [Tag::Data, Tag::Credit, Tag::Hello, Tag::Answer, Tag::Done, Tag::DoneSeen];
        let tag = tags.into_iter().find(|tag| *tag as u8 == rest[0])?;
        Some(Stamp { at: u64::from_le_bytes(*at), number: u32::from_le_bytes(*number), tag })
    }
}

/// A message of the workload that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Got {
    /// From whom.
    pub session: SessionId,
    /// On which channel.
    pub channel: u8,
    /// Its start.
    pub stamp: Stamp,
    /// Its length with the stamp, bytes.
    pub size: usize,
}

/// One end.
pub struct End {
    /// The library under test.
    pub transport: Box<dyn Transport>,
    /// Server: how long each greeting took to come, in order, ns.
    pub greetings: Vec<u64>,
    /// Server: clients that are done.
    pub done: usize,
    server: Option<SocketAddr>,
    open: Box<dyn Fn() -> io::Result<Box<dyn Transport>>>,
    greeted: HashSet<(SessionId, u32)>,
    answered: HashSet<(SessionId, u32)>,
    done_seen: bool,
    meetings: u32,
    replies: VecDeque<(SessionId, Tag, u32)>,
    /// The workload's messages that came before the two had met.
    early: Vec<Got>,
    message: Vec<u8>,
}

impl End {
    /// An end with a transport opened by `open`; a client names its server.
    ///
    /// # Errors
    /// The transport cannot be opened.
    pub fn new(
        server: Option<SocketAddr>,
        message_bytes: usize,
        open: Box<dyn Fn() -> io::Result<Box<dyn Transport>>>,
    ) -> io::Result<End> {
        Ok(End {
            transport: open()?,
            greetings: Vec::new(),
            done: 0,
            server,
            open,
            greeted: HashSet::new(),
            answered: HashSet::new(),
            done_seen: false,
            meetings: 0,
            replies: VecDeque::new(),
            early: Vec::new(),
            message: (0..message_bytes.max(STAMP)).map(|n| (n * 37) as u8).collect(),
        })
    }

    /// Client: drops its sessions and starts afresh, as a program started anew.
    ///
    /// # Errors
    /// The transport cannot be opened.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.transport = (self.open)()?;
        Ok(())
    }

    /// Brings all sessions up: the client connects and greets until everything is answered, the server waits for all
    /// greetings. Says "begun" on standard output. How long it took, ns.
    ///
    /// # Errors
    /// Not everybody came within a minute; or the transport failed.
    pub fn meet(&mut self, sessions: usize) -> io::Result<u64> {
        let began = clock::now_ns();
        let number = self.meetings;
        self.meetings += 1;
        if let Some(server) = self.server {
            let connected = self.transport.connect(server, sessions);
            connected.map_err(|error| Error::new(error.kind(), format!("asked for {sessions} sessions: {error}")))?;
        }
        let mut said: VecDeque<(SessionId, u64)> = VecDeque::new();
        let mut next = 0;
        loop {
            let now = clock::now_ns();
            let met = if self.server.is_some() { self.answered.len() } else { self.greeted.len() };
            if met >= sessions {
                break;
            }
            if now - began > MEET_WITHIN_NS {
                let text = format!("only {met} of {sessions} sessions came up within a minute");
                return Err(Error::new(ErrorKind::TimedOut, text));
            }
            while self.server.is_some() && next < sessions && said.len() < GREETINGS_AT_ONCE {
                if self.say(next, Tag::Hello, number, began)? == Sent::Full {
                    break;
                }
                said.push_back((next, now));
                next += 1;
            }
            said.retain(|(session, _)| !self.answered.contains(&(*session, number)));
            if said.front().is_some_and(|(_, at)| now - at > SAY_AGAIN_NS)
                && let Some((session, _)) = said.pop_front()
            {
                self.say(session, Tag::Hello, number, began)?;
                said.push_back((session, now));
            }
            let mut early = std::mem::take(&mut self.early);
            self.poll(Duration::from_millis(1), |got| early.push(got))?;
            self.early = early;
        }
        self.answered.clear();
        println!("begun");
        Ok(clock::now_ns() - began)
    }

    /// Client: tells the server that the work is done, and waits until it knows.
    ///
    /// # Errors
    /// The transport failed.
    pub fn part(&mut self) -> io::Result<()> {
        let began = clock::now_ns();
        let mut said = None;
        while !self.done_seen && clock::now_ns() - began < PART_WITHIN_NS {
            let now = clock::now_ns();
            if said.is_none_or(|at| now - at > SAY_AGAIN_NS / 10) && self.say(0, Tag::Done, 0, now)? == Sent::Taken {
                said = Some(now);
            }
            self.poll(Duration::from_millis(1), |_| ())?;
        }
        Ok(())
    }

    /// Sends a message of `size` bytes that starts with a stamp.
    ///
    /// # Errors
    /// As the transport's.
    pub fn send(&mut self, to: &Outgoing<'_>, size: usize, stamp: Stamp) -> io::Result<Sent> {
        stamp.write(&mut self.message);
        self.transport.send(Outgoing { bytes: &self.message[..size], ..*to })
    }

    /// Waits up to `wait` and hands over the workload's messages.
    ///
    /// # Errors
    /// As the transport's.
    pub fn poll(&mut self, wait: Duration, mut sink: impl FnMut(Got)) -> io::Result<()> {
        self.early.drain(..).for_each(&mut sink);
        let (replies, answered, greeted) = (&mut self.replies, &mut self.answered, &mut self.greeted);
        let (greetings, done, done_seen) = (&mut self.greetings, &mut self.done, &mut self.done_seen);
        self.transport.poll(wait, &mut |incoming| {
            let Some(stamp) = Stamp::read(incoming.bytes) else { return };
            let session = incoming.session;
            match stamp.tag {
                Tag::Data | Tag::Credit => {
                    sink(Got { session, channel: incoming.channel, stamp, size: incoming.bytes.len() });
                }
                Tag::Hello => {
                    if greeted.insert((session, stamp.number)) {
                        greetings.push(clock::now_ns().saturating_sub(stamp.at));
                    }
                    replies.push_back((session, Tag::Answer, stamp.number));
                }
                Tag::Answer => {
                    answered.insert((session, stamp.number));
                }
                Tag::Done => {
                    *done += 1;
                    replies.push_back((session, Tag::DoneSeen, 0));
                }
                Tag::DoneSeen => *done_seen = true,
            }
        })?;
        while let Some((session, tag, number)) = self.replies.front().copied() {
            if self.say(session, tag, number, clock::now_ns())? == Sent::Full {
                break;
            }
            self.replies.pop_front();
        }
        Ok(())
    }

    fn say(&mut self, session: SessionId, tag: Tag, number: u32, at: u64) -> io::Result<Sent> {
        let mut bytes = [0; STAMP];
        Stamp { at, number, tag }.write(&mut bytes);
        self.transport.send(Outgoing { session, channel: 0, kind: Kind::Reliable, no_nagle: true, bytes: &bytes })
    }
}

/// A message on channel 0 of the first session that leaves at once; the other kinds are made from it.
pub const PROMPT: Outgoing<'static> =
    Outgoing { session: 0, channel: 0, kind: Kind::Reliable, no_nagle: true, bytes: &[] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_as_it_was_written_and_garbage_does_not() {
        let stamp = Stamp { at: 0x1122_3344_5566_7788, number: 0x99aa_bbcc, tag: Tag::Credit };
        let mut message = [7; 20];
        stamp.write(&mut message);
        assert_eq!(Stamp::read(&message), Some(stamp));
        assert_eq!(Stamp::read(&message[..15]), None);
        message[12] = 99;
        assert_eq!(Stamp::read(&message), None);
    }
}
