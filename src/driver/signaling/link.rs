//! The connection under the client: a name looked up, addresses tried in turn, TLS, and a WebSocket.
//!
//! It does what the client asks and tells it what comes, in bounded bites, without ever waiting.

use super::client::{Client, Frame};
use super::protocol::{MAX_CONTROL, SUBPROTOCOL};
use crate::driver::resolve::{Asked, Ring};
use crate::driver::stream::{Proof, Stream};
use crate::driver::tls;
use crate::endpoint::servers::SignalingUrl;
use crate::time::{Duration, Instant};
use mio::{Registry, Token};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tungstenite::client::{ClientRequestBuilder, client_with_config};
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, HandshakeRole, MidHandshake};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

/// Frames read in one bite.
const BITE: usize = 64;
/// For one address to answer, while there are others to try.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the connection stands.
enum Phase {
    Resolving(Asked),
    Connecting {
        stream: Stream,
        others: Vec<SocketAddr>,
        until: Instant,
    },
    Upgrading(Box<MidHandshake<ClientHandshake<Stream>>>),
    Open(Box<WebSocket<Stream>>),
    /// While it is being worked on, and when it is over.
    Over,
}

type Handshake =
    Result<<ClientHandshake<Stream> as HandshakeRole>::FinalResult, HandshakeError<ClientHandshake<Stream>>>;

/// One connection to the signaling server.
pub(super) struct Link {
    phase: Phase,
    /// The system spoke of it, or not everything was read.
    ready: bool,
    /// What was written waits for room.
    full: bool,
    token: Token,
    ca: String,
    remote: Option<SocketAddr>,
}

/// What working on a phase has come to.
enum Step {
    /// On with this phase.
    To(Phase),
    /// This phase waits.
    Stay(Phase),
    /// It is over; why.
    Lost(String),
}

impl Link {
    /// Begins to connect to the server of `url`. `ring` is called when a name has been looked up.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn start(url: &SignalingUrl, ca: &str, token: Token, ring: &Ring) -> Result<Link, String> {
        let asked = Asked::start(&url.place.host, url.place.port, ring);
        let asked = asked.ok_or("too many host names are being looked up")?;
        Ok(Link { phase: Phase::Resolving(asked), ready: true, full: false, token, ca: ca.to_owned(), remote: None })
    }

    /// The system says that the connection became readable or writable.
    pub(super) fn handle_readiness(&mut self) {
        self.ready = true;
    }

    /// The server's address, once it is connected.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// When to come back though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Connecting { others, until, .. } if !others.is_empty() => Some(*until),
            _ => None,
        }
    }

    /// Takes the connection as far as it goes now: writes the client's frames, hands it what came. True when more may
    /// be there.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub(super) fn exchange(
        &mut self,
        now: Instant,
        url: &SignalingUrl,
        client: &mut Client,
        registry: &Registry,
    ) -> Result<bool, String> {
        loop {
            let step = match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Resolving(asked) => self.resolve(now, url, asked, registry),
                Phase::Connecting { stream, others, until } => {
                    self.connect(now, url, stream, others, until, (registry, client))
                }
                Phase::Upgrading(handshake) if !self.ready => Step::Stay(Phase::Upgrading(handshake)),
                Phase::Upgrading(handshake) => self.settle(now, handshake.handshake(), client),
                Phase::Open(mut socket) => {
                    let more = self.talk(now, &mut socket, client)?;
                    self.phase = Phase::Open(socket);
                    return Ok(more);
                }
                Phase::Over => Step::Lost("the connection is over".to_owned()),
            };
            match step {
                Step::To(phase) => self.phase = phase,
                Step::Stay(phase) => {
                    self.phase = phase;
                    self.ready = false;
                    return Ok(false);
                }
                Step::Lost(why) => return Err(why),
            }
        }
    }

    fn resolve(&mut self, now: Instant, url: &SignalingUrl, asked: Asked, registry: &Registry) -> Step {
        match asked.take() {
            None => Step::Stay(Phase::Resolving(asked)),
            Some(addresses) if addresses.is_empty() => {
                Step::Lost(format!("the name {} is unknown, or no name server answers", url.place.host))
            }
            Some(addresses) => self.try_next(now, url, addresses, registry, None),
        }
    }

    /// Connects to the first of `addresses`.
    fn try_next(
        &mut self,
        now: Instant,
        url: &SignalingUrl,
        mut addresses: Vec<SocketAddr>,
        registry: &Registry,
        mut last: Option<String>,
    ) -> Step {
        let proof = url.secure.then_some(Proof { host: &url.place.host, ca: &self.ca });
        while !addresses.is_empty() {
            match Stream::connect(addresses.remove(0), proof, registry, self.token) {
                Ok(stream) => return Step::To(Phase::Connecting { stream, others: addresses, until: now + PATIENCE }),
                Err(why) => last = Some(why),
            }
        }
        Step::Lost(last.unwrap_or_else(|| "the signaling server has no address".to_owned()))
    }

    fn connect(
        &mut self,
        now: Instant,
        url: &SignalingUrl,
        mut stream: Stream,
        others: Vec<SocketAddr>,
        until: Instant,
        around: (&Registry, &mut Client),
    ) -> Step {
        let (registry, client) = around;
        match stream.poll_open() {
            Ok(Some(_)) => {
                self.remote = Some(stream.remote());
                let builder = url.to_string().parse().map(ClientRequestBuilder::new);
                let Ok(request) = builder.map(|builder| builder.with_sub_protocol(SUBPROTOCOL)) else {
                    return Step::Lost(format!("{url} cannot be asked for")); // its form was checked before
                };
                let config = WebSocketConfig::default()
                    .read_buffer_size(MAX_CONTROL)
                    .write_buffer_size(0)
                    .max_write_buffer_size(8 * MAX_CONTROL)
                    .max_message_size(Some(MAX_CONTROL))
                    .max_frame_size(Some(MAX_CONTROL));
                self.settle(now, client_with_config(request, stream, Some(config)), client)
            }
            Ok(None) if now >= until && !others.is_empty() => self.try_next(now, url, others, registry, None),
            Ok(None) => Step::Stay(Phase::Connecting { stream, others, until }),
            Err(why) if !others.is_empty() => self.try_next(now, url, others, registry, Some(why)),
            Err(why) => Step::Lost(why),
        }
    }

    fn settle(&mut self, now: Instant, handshake: Handshake, client: &mut Client) -> Step {
        match handshake {
            Ok((socket, _)) => {
                client.handle_open(now);
                Step::To(Phase::Open(Box::new(socket)))
            }
            Err(HandshakeError::Interrupted(handshake)) => Step::Stay(Phase::Upgrading(Box::new(handshake))),
            Err(HandshakeError::Failure(error)) => Step::Lost(describe(&error)),
        }
    }

    /// Writes and reads a bite. True when more may be there to read.
    fn talk(&mut self, now: Instant, socket: &mut WebSocket<Stream>, client: &mut Client) -> Result<bool, String> {
        if self.ready || !self.full {
            self.full = would_block(socket.flush())?;
        }
        while !self.full
            && let Some(frame) = client.poll_frame()
        {
            let message = match frame {
                Frame::Text(text) => Message::text(text),
                Frame::Binary(bytes) => Message::binary(bytes),
                Frame::Ping => Message::Ping(Default::default()),
            };
            // A frame that blocks is queued all the same.
            self.full = would_block(socket.write(message).and_then(|()| socket.flush()))?;
        }
        for _ in 0..BITE {
            if !self.ready {
                return Ok(false);
            }
            match socket.read() {
                Ok(message) => {
                    client.handle_alive(now);
                    match message {
                        Message::Text(text) => client.handle_text(now, text.as_str()),
                        Message::Binary(bytes) => client.handle_binary(&bytes),
                        Message::Close(frame) => {
                            // Its answer is on its way already; whether it arrives matters to nobody.
                            let _ = socket.flush();
                            return Err(goodbye(frame.as_ref()));
                        }
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => self.ready = false,
                Err(error) => return Err(describe(&error)),
            }
        }
        Ok(self.ready)
    }

    /// Says goodbye, as far as that goes without waiting.
    pub(super) fn close(mut self) {
        if let Phase::Open(socket) = &mut self.phase {
            let frame = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
            let _ = socket.close(Some(frame)).and_then(|()| socket.flush());
        }
    }
}

/// Did it block?
fn would_block(result: tungstenite::Result<()>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(false),
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(describe(&error)),
    }
}

fn goodbye(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(CloseFrame { code: CloseCode::Away | CloseCode::Restart, .. }) => {
            "the signaling server is going away".to_owned()
        }
        Some(CloseFrame { reason, .. }) if !reason.is_empty() => {
            format!("the signaling server closed the connection: {reason}")
        }
        _ => "the signaling server closed the connection".to_owned(),
    }
}

/// What an error means, for people.
fn describe(error: &Error) -> String {
    match error {
        Error::Io(error) => tls::describe(error),
        Error::Http(response) if matches!(response.status().as_u16(), 429 | 503) => {
            format!("the signaling server is full for now (HTTP status {})", response.status().as_u16())
        }
        Error::Http(response) => format!(
            "the server answered with HTTP status {} instead of a WebSocket; is SIGNALING_URL right?",
            response.status().as_u16()
        ),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            format!("the server does not speak {SUBPROTOCOL}; is it a signaling server of ours?")
        }
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            format!("the server sent a message of {size} bytes; at most {MAX_CONTROL} are read")
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            "the signaling server closed the connection".to_owned()
        }
        other => format!("the server is no WebSocket: {other}"),
    }
}
