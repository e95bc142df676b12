//! What is left of a session that ended: a CLOSE that is repeated until it is understood.
//!
//! Sent over one round trip and a bit, answered again whenever the peer still sends, and gone after
//! [`LINGER`]. It holds keys and nothing of the app's.

use super::connection::Connection;
use crate::drops::Dropped;
use crate::path::route::Route;
use crate::time::{Duration, Instant};
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, Frames, MAX_CLOSE_TEXT};
use crate::wire::packet::{DataHeader, TAG_SIZE};

/// A farewell answers stray packets for so long.
pub const LINGER: Duration = Duration::from_secs(5);

/// So many copies of a CLOSE are sent unasked.
const COPIES: u32 = 5;

/// So many are sent in all, however often the peer asks.
const MAX_COPIES: u32 = 32;

/// A closed connection that still says so.
pub struct Farewell {
    connection: Connection,
    next_number: u64,
    /// What the session owed the peer goes along: it must not take for lost what arrived.
    acknowledgement: Vec<u8>,
    /// `None`: the peer closed, we only say that we understood.
    close: Option<(i32, String)>,
    every: Duration,
    next_at: Option<Instant>,
    sent: u32,
    ends_at: Instant,
}

impl Farewell {
    /// We close: `reason` and `text` are told until the peer answers.
    pub fn close(
        now: Instant,
        connection: Connection,
        next_number: u64,
        reason: i32,
        text: &str,
        rtt: Option<Duration>,
    ) -> Farewell {
        let every = (rtt.unwrap_or(Duration::from_millis(100)) * 5 / 4).max(Duration::from_millis(20));
        Farewell {
            connection,
            next_number,
            acknowledgement: Vec::new(),
            close: Some((reason, text.to_owned())),
            every: every.min(Duration::from_millis(500)),
            next_at: Some(now),
            sent: 0,
            ends_at: now + LINGER,
        }
    }

    /// We gave the connection up for another before anybody used it: the peer is told if it does.
    pub fn given_up(now: Instant, connection: Connection, next_number: u64, reason: i32, text: &str) -> Farewell {
        Farewell { next_at: None, ..Farewell::close(now, connection, next_number, reason, text, None) }
    }

    /// The peer closed: say that it was understood, and again if it asks again.
    pub fn closed(now: Instant, connection: Connection, next_number: u64) -> Farewell {
        Farewell {
            connection,
            next_number,
            acknowledgement: Vec::new(),
            close: None,
            every: LINGER,
            next_at: Some(now),
            sent: 0,
            ends_at: now + LINGER,
        }
    }

    /// Says in the same packets what arrived: an ACK frame, or nothing.
    pub fn with_acknowledgement(self, frame: Vec<u8>) -> Farewell {
        Farewell { acknowledgement: frame, ..self }
    }

    /// The connection's id on our side.
    pub fn local(&self) -> crate::ids::ConnectionId {
        self.connection.local
    }

    /// The token that would end it.
    pub fn reset_token(&self) -> Option<[u8; 16]> {
        self.connection.hello.reset_token
    }

    /// Takes a packet of the closed connection: it is answered, unless it says that all is understood.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_data(&mut self, now: Instant, header: &DataHeader, datagram: &mut [u8]) -> Result<(), Dropped> {
        let opened = self.connection.open(now, header, datagram, LINGER)?;
        let mut frames = Frames::new(&datagram[opened.frames]);
        while let Ok(Some(frame)) = frames.next_frame() {
            match frame {
                Frame::Closed => {
                    self.ends_at = now;
                    self.next_at = None;
                    return Ok(());
                }
                // Both closed at once: each has understood.
                Frame::Close { .. } if self.close.is_some() => {
                    self.close = None;
                    self.next_at = Some(now);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.next_at = Some(now);
        Ok(())
    }

    /// The peer repeats its last handshake message: it has not understood yet.
    pub fn handle_repeat(&mut self, now: Instant) {
        self.next_at = Some(self.next_at.map_or(now, |at| at.min(now)));
    }

    /// Until when it answers.
    pub fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// Has everything been said?
    pub fn is_over(&self, now: Instant) -> bool {
        self.ends_at <= now
    }

    /// Has the CLOSE been told often enough to leave?
    pub fn is_told(&self) -> bool {
        self.sent >= COPIES.min(3) || self.close.is_none() && self.sent > 0 || self.next_at.is_none()
    }

    /// The next packet, and where it goes.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Route> {
        if self.next_at.is_none_or(|at| at > now) || self.sent >= MAX_COPIES {
            return None;
        }
        self.sent += 1;
        self.next_at = (self.close.is_some() && self.sent < COPIES).then(|| now + self.every);
        let number = self.next_number;
        let start = out.len();
        // Far enough back for a packet number of three bytes: the peer may have missed many before it.
        let header = self.connection.begin_packet(number, Some(number.saturating_sub(0x8000)), out)?;
        let frame = match &self.close {
            Some((reason, text)) => Frame::Close { reason: *reason as u32, text },
            None => Frame::Closed,
        };
        out.extend_from_slice(&self.acknowledgement);
        let end = out.len() + MAX_CLOSE_TEXT + 16;
        frame.write(&mut Writer::new(out, end));
        self.connection.seal(number, out, start, header).ok()?;
        self.next_number += 1;
        debug_assert!(out.len() - start <= header + self.acknowledgement.len() + MAX_CLOSE_TEXT + 16 + TAG_SIZE);
        Some(self.connection.paths.active())
    }

    /// When [`Farewell::poll_transmit`] has something, or it is over.
    pub fn poll_timeout(&self) -> Instant {
        self.next_at.filter(|_| self.sent < MAX_COPIES).map_or(self.ends_at, |at| at.min(self.ends_at))
    }
}
