//! Somebody whose handshake stands and whom the app has not accepted.
//!
//! Costs a bounded amount however much it sends: its keys, and the frames of one early packet. Other data
//! is dropped unacknowledged, so it stays in the sender's buffer.

use super::connection::Connection;
use super::farewell::Farewell;
use crate::drops::Dropped;
use crate::path::route::Route;
use crate::time::{Duration, Instant};
use crate::transport::Windows;
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, Frames};
use crate::wire::packet::{DataHeader, TAG_SIZE};

/// Old keys of a connection nobody accepted are kept for so long.
const OLD_KEY_LIFETIME: Duration = Duration::from_secs(3);

/// The early packet beside the last handshake message, bytes of frames, and the peer's candidates together; a
/// longer one is not kept. Beside a certificate not even so much fits.
pub(super) const MAX_EARLY: usize = 690;

/// Time between two HOLD frames.
const HOLD_EVERY: Duration = Duration::from_millis(100);

/// The early packet of a newcomer: its frames, opened.
#[derive(Debug)]
pub struct Early {
    /// Its packet number.
    pub number: u64,
    /// Its frames.
    pub frames: Box<[u8]>,
}

/// A complete handshake waiting for a yes.
pub struct Newcomer {
    /// Keys, ids, ways.
    pub connection: Connection,
    /// What it sent along.
    pub early: Option<Early>,
    /// Number of the next packet we send.
    pub next_number: u64,
    /// When the first message of its handshake came.
    pub asked_at: Instant,
    /// When it was heard last.
    pub heard_at: Instant,
    hold_due: bool,
    held_at: Instant,
    /// What we told it that we grant.
    pub windows: Windows,
}

/// What a newcomer's packet came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It still waits.
    Waits,
    /// It took its request back.
    Cancelled,
}

impl Newcomer {
    /// A handshake that began at `asked_at` was completed just now.
    pub fn new(now: Instant, asked_at: Instant, connection: Connection, windows: Windows) -> Newcomer {
        let (early, next_number, hold_due) = (None, 0, true);
        Newcomer { connection, early, next_number, asked_at, heard_at: now, hold_due, held_at: now, windows }
    }

    /// Its last handshake message comes again: our HOLD was lost. Not verified again, so it changes nothing
    /// and is answered at most every [`HOLD_EVERY`].
    pub fn handle_repeat(&mut self, now: Instant) {
        if self.held_at + HOLD_EVERY <= now {
            self.held_at = now;
            self.hold_due = true;
        }
    }

    /// Takes a packet of it.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_data(&mut self, now: Instant, header: &DataHeader, datagram: &mut [u8]) -> Result<Word, Dropped> {
        if header.phase {
            return Err(Dropped::NotAccepted); // nobody needs a second key before anything was said
        }
        let opened = self.connection.open(now, header, datagram, OLD_KEY_LIFETIME)?;
        self.heard_at = now;
        let plaintext = &datagram[opened.frames];
        let mut frames = Frames::new(plaintext);
        loop {
            match frames.next_frame() {
                Ok(Some(Frame::Close { .. })) => return Ok(Word::Cancelled),
                Ok(Some(Frame::Message(_)))
                    if self.early.is_none()
                        && plaintext.len() + self.connection.hello.candidates.len() <= MAX_EARLY =>
                {
                    self.early = Some(Early { number: opened.number, frames: plaintext.into() });
                    return Ok(Word::Waits);
                }
                Ok(Some(Frame::Message(_))) => return Err(Dropped::NotAccepted),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Word::Waits),
                Err(_) => return Ok(Word::Cancelled), // an authenticated peer that breaks the format
            }
        }
    }

    /// It is not let in, and told why: a farewell that goes on where its packet numbers end.
    pub fn turn_away(self, now: Instant, reason: i32, text: &str) -> Farewell {
        Farewell::close(now, self.connection, self.next_number, reason, text, None)
    }

    /// Tells it to keep waiting, when that is due.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Route> {
        if !std::mem::take(&mut self.hold_due) {
            return None;
        }
        let number = self.next_number;
        let start = out.len();
        let header = self.connection.begin_packet(number, None, out)?;
        Frame::Hold.write(&mut Writer::new(out, start + header + 16));
        self.connection.seal(number, out, start, header).ok()?;
        self.next_number += 1;
        debug_assert!(out.len() - start <= header + 16 + TAG_SIZE);
        Some(self.connection.paths.active())
    }

    /// Is something to be sent?
    pub fn wants_transmit(&self) -> bool {
        self.hold_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_costs_at_most_four_kilobytes() {
        // Keys keep a second one for the peer's next key on the heap; a newcomer never has a third.
        const KEY_ON_HEAP: usize = 560;
        let session = size_of::<crate::session::Session>();
        // Slot, routes, send budget and timer, generously.
        const ENTRIES: usize = 256;
        let all = size_of::<Newcomer>() + KEY_ON_HEAP + MAX_EARLY + session + ENTRIES;
        assert!(all <= 4_096, "{all} bytes: newcomer {}, session {session}", size_of::<Newcomer>());
    }
}
