//! A relay over a stream: when it is opened and closed, and the datagrams in its bytes.
//!
//! Whoever owns the socket opens and closes it as [`Relay::poll_stream`] says; TLS is its business. Nothing
//! of a stream is to be handed in after it was told to close it.

use super::framing::Reassembly;
use super::{Relay, State, explain};
use crate::drops::Dropped;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Bytes that wait to be taken apart; a server cannot send more before they are, for it has to be read
/// from.
const MAX_WAITING: usize = 1 << 20;

/// What is to be done with the stream to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamNeed {
    /// Connect; then [`Relay::handle_stream_opened`] or [`Relay::handle_stream_closed`].
    Open,
    /// Close it, open or not, and forget it.
    Close,
}

/// What became of the stream; idle in a relay over UDP.
#[derive(Debug, Default)]
pub struct Stream {
    wanted: bool,
    open: bool,
    needs: VecDeque<StreamNeed>,
    reassembly: Reassembly,
}

impl Stream {
    /// Whether bytes can be written.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A new one is needed.
    pub fn open(&mut self) {
        self.wanted = true;
        self.needs.push_back(StreamNeed::Open);
    }

    /// The one there is, is not.
    pub fn close(&mut self) {
        if std::mem::take(&mut self.wanted) {
            match self.needs.back() {
                // Nobody has begun to open it.
                Some(StreamNeed::Open) => drop(self.needs.pop_back()),
                _ => self.needs.push_back(StreamNeed::Close),
            }
        }
        self.open = false;
        self.reassembly.clear();
    }
}

impl Relay {
    /// What is to be done with the stream now; after [`Relay::poll_transmit`] has nothing more.
    pub fn poll_stream(&mut self) -> Option<StreamNeed> {
        self.stream.needs.pop_front()
    }

    /// The stream that [`StreamNeed::Open`] asked for is open.
    pub fn handle_stream_opened(&mut self, now: Instant) {
        if self.stream.wanted && !self.stream.open && self.state == State::Allocating {
            self.stream.open = true;
            self.ask_to_allocate(now);
        }
    }

    /// The stream could not be opened, or has ended, because of `why`.
    pub fn handle_stream_closed(&mut self, now: Instant, why: &str) {
        if !self.stream.wanted {
            return;
        }
        let text = explain::stream_ended(&self.server, self.stream.open, why);
        (self.stream.wanted, self.stream.open) = (false, false); // so that nobody is told to close it
        self.stream.reassembly.clear();
        if self.is_allocated() { self.lose(now, text) } else { self.fail(now, text) }
    }

    /// Bytes of the stream came; [`Relay::poll_inner`] takes them apart.
    pub fn handle_stream_bytes(&mut self, now: Instant, bytes: &[u8]) {
        if !self.stream.open {
            return;
        }
        self.stream.reassembly.push(bytes);
        if self.stream.reassembly.waiting() > MAX_WAITING {
            self.handle_garbled(now);
        }
    }

    /// The next datagram of a peer that the bytes of the stream hold; `None` if there is none for now.
    /// An error is a message that was dropped; there may be more after it.
    pub fn poll_inner(&mut self, now: Instant) -> Option<Result<(SocketAddr, &mut [u8]), Dropped>> {
        loop {
            let place = match self.stream.reassembly.next() {
                Ok(place) => place?,
                Err(_) => {
                    self.handle_garbled(now);
                    return Some(Err(Dropped::UnknownProtocol));
                }
            };
            // Taken out for the while, because the message may change the relay around it.
            let mut reassembly = std::mem::take(&mut self.stream.reassembly);
            let inner = self.handle_datagram(now, reassembly.bytes(place.clone()));
            if !self.stream.open {
                return None; // it was the last word
            }
            self.stream.reassembly = reassembly;
            match inner {
                Ok(None) => {}
                Err(reason) => return Some(Err(reason)),
                Ok(Some(inner)) => {
                    let bytes = self.stream.reassembly.bytes(place);
                    return Some(Ok((inner.peer, &mut bytes[inner.data])));
                }
            }
        }
    }

    fn handle_garbled(&mut self, now: Instant) {
        let text = explain::garbled(&self.server);
        if self.is_allocated() { self.lose(now, text) } else { self.fail(now, text) }
    }
}
