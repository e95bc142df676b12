//! STUN and TURN over TCP and TLS: one connection, one client. Frames in and out; everything else is as with datagrams.
//!
//! A frame is a STUN message or ChannelData, and says its own length (RFC 8656, section 12.5).

use super::Relay;
use super::client::{ClientKey, Outlet};
use crate::limits::Places;
use crate::serve::accept;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

/// No frame is longer, bytes.
const MAX_FRAME: usize = super::client::MAX_DATAGRAM + 512;

/// Frames that wait for a slow reader; more are lost, as on a network.
const QUEUE: usize = 256;

/// A connection without an allocation is closed after so much silence, and TLS must stand within it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reader who takes nothing for so long is gone.
const SLOW: Duration = Duration::from_secs(15);

/// Accepts until the server ends.
pub async fn run(
    relay: Arc<Relay>,
    listener: TcpListener,
    listen: SocketAddr,
    tls: Option<TlsAcceptor>,
    places: Arc<Places>,
    mut closing: watch::Receiver<bool>,
) {
    while let Some((stream, from)) = accept(&listener, &mut closing).await {
        let Ok(place) = places.take(from.ip()) else {
            debug!(%from, "too many connections");
            continue;
        };
        let _ = stream.set_nodelay(true);
        let key = ClientKey { stream: true, listen, from: SocketAddr::new(from.ip().to_canonical(), from.port()) };
        let (relay, tls) = (relay.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(&relay, stream, key).await,
                Some(tls) => match timeout(PATIENCE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(&relay, stream, key).await,
                    Ok(Err(e)) => debug!(%from, "no TLS: {e}"),
                    Err(_) => debug!(%from, "no TLS in time"),
                },
            }
            relay.hang_up(key);
            drop(place);
        });
    }
}

async fn serve(relay: &Relay, stream: impl AsyncRead + AsyncWrite + Unpin, key: ClientKey) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (queue, mut waiting) = mpsc::channel(QUEUE);
    let outlet = Outlet::Stream(queue);
    let mut frames = Frames::default();
    let (mut heard, mut ticks) = (Instant::now(), interval(PATIENCE / 6));
    loop {
        tokio::select! {
            read = reader.read(frames.room()) => match read {
                Ok(0) | Err(_) => return,
                Ok(len) => {
                    heard = Instant::now();
                    if !frames.take(len, |frame| relay.handle(key, &outlet, frame)) {
                        relay.counters.turn_garbage.increment(1);
                        return;
                    }
                }
            },
            Some(frame) = waiting.recv() => {
                if !matches!(timeout(SLOW, writer.write_all(&frame)).await, Ok(Ok(()))) {
                    return;
                }
                if waiting.is_empty() && !matches!(timeout(SLOW, writer.flush()).await, Ok(Ok(()))) {
                    return;
                }
            }
            _ = ticks.tick() => {
                if !relay.serves(key) && heard.elapsed() >= PATIENCE {
                    return;
                }
            }
        }
    }
}

/// Bytes in, frames out.
#[derive(Debug)]
struct Frames {
    buffer: Vec<u8>,
    filled: usize,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames { buffer: vec![0; MAX_FRAME], filled: 0 }
    }
}

impl Frames {
    /// Where the next bytes go; never empty.
    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// So many bytes have come. Hands out each frame that is whole; says whether what follows can be one.
    fn take(&mut self, len: usize, mut handle: impl FnMut(&[u8])) -> bool {
        self.filled += len;
        let mut start = 0;
        while let Some(head) = self.buffer[start..self.filled].first_chunk::<4>() {
            let Some((whole, padded)) = length(*head) else { return false };
            if padded > MAX_FRAME {
                return false;
            }
            if self.filled - start < padded {
                break;
            }
            handle(&self.buffer[start..start + whole]);
            start += padded;
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        true
    }
}

/// How long a frame is, without and with its padding; `None` if nothing begins like that.
fn length(head: [u8; 4]) -> Option<(usize, usize)> {
    let said = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] {
        0..=3 if said % 4 == 0 => Some((20 + said, 20 + said)),
        0x40..=0x7f => Some((4 + said, (4 + said).next_multiple_of(4))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames_of(bytes: &[u8], step: usize) -> Option<Vec<Vec<u8>>> {
        let (mut frames, mut seen) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(step) {
            frames.room()[..piece.len()].copy_from_slice(piece);
            if !frames.take(piece.len(), |frame| seen.push(frame.to_vec())) {
                return None;
            }
        }
        Some(seen)
    }

    #[test]
    fn frames_are_found_however_the_bytes_arrive() {
        let message = [&[0, 1, 0, 4][..], &[7; 20]].concat();
        let data = [0x40, 0, 0, 5, 1, 2, 3, 4, 5];
        let stream = [&message[..], &data, &[0; 3], &message, &[0x40, 0, 0, 0]].concat();
        let wanted = vec![message.clone(), data.to_vec(), message, vec![0x40, 0, 0, 0]];
        for step in 1..=stream.len() {
            assert_eq!(frames_of(&stream, step).as_ref(), Some(&wanted), "{step} bytes at a time");
        }
    }

    #[test]
    fn what_is_no_frame_or_too_long_ends_the_stream() {
        for bad in [[0x16, 3, 1, 0], [0x80, 0, 0, 0], [0, 1, 0, 3], [0, 1, 0xff, 0xfc], [0x40, 0, 0xff, 0xff]] {
            assert_eq!(frames_of(&bad, 4), None, "{bad:?}");
        }
    }

    #[test]
    fn the_longest_frame_fits() {
        let len = MAX_FRAME - 20;
        let longest = [&[0, 1][..], &(len as u16).to_be_bytes(), &vec![0; len + 16]].concat();
        assert_eq!(frames_of(&longest, 1_000), Some(vec![longest]));
    }
}
