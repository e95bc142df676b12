//! quinn, QUIC over tokio on the caller's thread.
//!
//! A reliable message goes on one unidirectional stream a channel, behind its length; an unreliable one is a datagram
//! that ends with its channel. Tasks read, one a session and one a stream, and put what they read in one inbox;
//! they and the library's own tasks run while [`Transport::poll`] blocks, and only then.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::quinn::{
    Connecting, Connection, ConnectionError, Endpoint, EndpointConfig, RecvStream, SendStream, TokioRuntime,
};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::runtime::{Builder, Runtime};

use self::framing::Framing;
use super::{About, Incoming, Kind, Outgoing, Purpose, Role, Sent, SessionId, Transport};

mod config;
mod framing;

/// The names it is opened by.
pub const NAMES: &[&str] = &["quinn", "quinn-tuned", "quinn-bbr", "quinn-0rtt"];

/// Channels a session has.
const CHANNELS: usize = 2;

/// Chunks read from a stream at once.
const CHUNKS: usize = 32;

/// Connections begun and not yet made: more at once than a socket's buffer holds would only wait for each other's
/// repeats.
const DIALS_AT_ONCE: usize = 64;

/// How long a closing end waits for the others to know.
const CLOSE_WAIT: Duration = Duration::from_millis(200);

/// What the tasks leave for the caller.
#[derive(Default)]
struct Shared {
    inbox: VecDeque<Arrived>,
    opened: Vec<(SessionId, Connection)>,
    /// Sessions a server has numbered.
    numbered: usize,
    failed: Option<String>,
    waker: Option<Waker>,
}

struct Arrived {
    session: SessionId,
    channel: u8,
    bytes: Bytes,
}

impl Shared {
    fn has_news(&self) -> bool {
        !self.inbox.is_empty() || !self.opened.is_empty() || self.failed.is_some()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

type Desk = Arc<Mutex<Shared>>;

fn lock(desk: &Desk) -> MutexGuard<'_, Shared> {
    // One thread runs everything: a poisoned lock is a panic that is on its way up already.
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How sessions come into being.
#[derive(Clone, Copy)]
struct Manner {
    /// First messages travel with the first packet.
    zero_rtt: bool,
    message_bytes: usize,
}

struct Session {
    connection: Connection,
    streams: [Option<SendStream>; CHANNELS],
    /// Of the last message on each stream, what the library has not taken.
    rest: [Bytes; CHANNELS],
}

struct Quinn {
    name: &'static str,
    runtime: Rc<Runtime>,
    endpoint: Endpoint,
    manner: Manner,
    desk: Desk,
    sessions: Vec<Option<Session>>,
    connected: usize,
    /// Streams with a rest.
    blocked: Vec<(SessionId, usize)>,
    /// A datagram found no room.
    full: bool,
    /// No task waits to run.
    idle: bool,
    /// Where outgoing messages are put together.
    arena: BytesMut,
    /// What is being handed over; kept for its memory.
    arrived: VecDeque<Arrived>,
}

/// Opens one of [`NAMES`].
pub fn open(name: &'static str, role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    let manner = Manner { zero_rtt: name == "quinn-0rtt", message_bytes: purpose.message_bytes };
    let address = match role {
        Role::Server(address) => address,
        Role::Client => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
    };
    let socket = UdpSocket::bind(address)?;
    config::size_buffers(name, &socket)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let inside = runtime.enter();
    let server = if role == Role::Client { None } else { Some(config::server(name)?) };
    let mut endpoint = Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(config::client(name)?);
    let desk = Desk::default();
    if role != Role::Client {
        runtime.spawn(accept(endpoint.clone(), manner, desk.clone()));
    }
    drop(inside);
    Ok(Box::new(Quinn {
        name,
        runtime: Rc::new(runtime),
        endpoint,
        manner,
        desk,
        sessions: Vec::new(),
        connected: 0,
        blocked: Vec::new(),
        full: false,
        idle: true,
        arena: BytesMut::new(),
        arrived: VecDeque::new(),
    }))
}

async fn accept(endpoint: Endpoint, manner: Manner, desk: Desk) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connecting) = incoming.accept() else { continue };
        let desk = desk.clone();
        tokio::spawn(async move {
            // Who fails to connect is no session.
            if let Ok(connection) = establish(connecting, manner).await {
                serve(number(&desk), connection, manner, desk).await;
            }
        });
    }
}

/// Opens one session after the other until there are no more numbers.
async fn dial(
    endpoint: Endpoint,
    server: SocketAddr,
    numbers: Arc<Mutex<Range<SessionId>>>,
    manner: Manner,
    desk: Desk,
) {
    let next = || numbers.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some(session) = next() {
        let connection = match endpoint.connect(server, config::SERVER_NAME) {
            Ok(connecting) => establish(connecting, manner).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match connection {
            Ok(connection) => drop(tokio::spawn(serve(session, connection, manner, desk.clone()))),
            Err(error) => fail(&desk, format!("quinn: {error}")),
        }
    }
}

/// Waits for a connection, unless it may be used before it stands.
async fn establish(mut connecting: Connecting, manner: Manner) -> Result<Connection, ConnectionError> {
    if manner.zero_rtt {
        match connecting.into_0rtt() {
            Ok((connection, _)) => return Ok(connection),
            // The client has no ticket yet.
            Err(again) => connecting = again,
        }
    }
    connecting.await
}

fn number(desk: &Desk) -> SessionId {
    let mut shared = lock(desk);
    shared.numbered += 1;
    shared.numbered - 1
}

/// Announces a connection and reads it until it ends.
async fn serve(session: SessionId, connection: Connection, manner: Manner, desk: Desk) {
    {
        let mut shared = lock(&desk);
        shared.opened.push((session, connection.clone()));
        shared.wake();
    }
    tokio::spawn(accept_streams(session, connection.clone(), manner, desk.clone()));
    let end = loop {
        match connection.read_datagram().await {
            Ok(mut bytes) => {
                let Some(channel) = bytes.last().copied() else { continue };
                bytes.truncate(bytes.len() - 1);
                let mut shared = lock(&desk);
                shared.inbox.push_back(Arrived { session, channel, bytes });
                shared.wake();
            }
            Err(end) => break end,
        }
    };
    if !is_closed(&end) {
        fail(&desk, format!("quinn: {end}"));
    }
}

/// Did one of the ends want it to end?
fn is_closed(end: &ConnectionError) -> bool {
    matches!(end, ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed)
}

async fn accept_streams(session: SessionId, connection: Connection, manner: Manner, desk: Desk) {
    while let Ok(stream) = connection.accept_uni().await {
        tokio::spawn(read_stream(session, stream, manner, desk.clone()));
    }
}

async fn read_stream(session: SessionId, mut stream: RecvStream, manner: Manner, desk: Desk) {
    let mut framing = Framing::new(manner.message_bytes);
    let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
    while let Ok(Some(count)) = stream.read_chunks(&mut chunks).await {
        let mut shared = lock(&desk);
        for chunk in &mut chunks[..count] {
            let taken = framing.handle_chunk(std::mem::take(chunk), |channel, bytes| {
                shared.inbox.push_back(Arrived { session, channel, bytes });
            });
            if let Err(error) = taken {
                shared.failed = Some(format!("quinn: {error}"));
            }
        }
        shared.wake();
    }
}

fn fail(desk: &Desk, reason: String) {
    let mut shared = lock(desk);
    shared.failed.get_or_insert(reason);
    shared.wake();
}

/// The future's outcome if it has one already.
fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

impl Session {
    fn new(connection: Connection) -> Session {
        Session { connection, streams: [None, None], rest: [Bytes::new(), Bytes::new()] }
    }

    /// Opens the channel's stream. False: the other end allows none yet.
    fn open(&mut self, channel: usize) -> io::Result<bool> {
        let Some(opened) = now(self.connection.open_uni()) else { return Ok(false) };
        let stream = opened?;
        // Channel 0 goes before channel 1.
        stream.set_priority(-(channel as i32)).map_err(io::Error::other)?;
        self.streams[channel] = Some(stream);
        Ok(true)
    }

    /// Gives the stream what it takes of the rest. Ready when nothing is left.
    fn poll_rest(&mut self, channel: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.streams[channel] else { return Poll::Ready(Ok(())) };
        while !self.rest[channel].is_empty() {
            match pin!(stream.write_chunks(std::slice::from_mut(&mut self.rest[channel]))).poll(cx) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Quinn {
    fn take_news(&mut self) -> io::Result<()> {
        let mut shared = lock(&self.desk);
        for (session, connection) in shared.opened.drain(..) {
            if self.sessions.len() <= session {
                self.sessions.resize_with(session + 1, || None);
            }
            self.sessions[session] = Some(Session::new(connection));
            self.connected += 1;
        }
        std::mem::swap(&mut shared.inbox, &mut self.arrived);
        match &shared.failed {
            Some(reason) if self.arrived.is_empty() => {
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason.clone()))
            }
            _ => Ok(()),
        }
    }

    fn send_now(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        match message.kind {
            Kind::Unreliable => self.send_datagram(message),
            Kind::Reliable => self.send_on_stream(message),
        }
    }

    fn send_datagram(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let Some(Some(session)) = self.sessions.get_mut(message.session) else { return Ok(Sent::Full) };
        if session.connection.datagram_send_buffer_space() <= message.bytes.len() {
            self.full = true;
            return Ok(Sent::Full);
        }
        self.arena.put_slice(message.bytes);
        self.arena.put_u8(message.channel);
        session.connection.send_datagram(self.arena.split().freeze()).map_err(io::Error::other)?;
        Ok(Sent::Taken)
    }

    fn send_on_stream(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let Some(Some(session)) = self.sessions.get_mut(message.session) else { return Ok(Sent::Full) };
        let channel = usize::from(message.channel);
        let first = session.streams[channel].is_none();
        if first && !session.open(channel)? || !session.rest[channel].is_empty() {
            return Ok(Sent::Full);
        }
        if first {
            self.arena.put_u8(message.channel);
        }
        framing::put(message.bytes, &mut self.arena);
        session.rest[channel] = self.arena.split().freeze();
        match session.poll_rest(channel, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => self.blocked.push((message.session, channel)),
        }
        Ok(Sent::Taken)
    }
}

/// Goes on with streams that were full. Ready when one takes messages again, or never will.
fn poll_blocked(
    sessions: &mut [Option<Session>],
    blocked: &mut Vec<(SessionId, usize)>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let before = blocked.len();
    blocked.retain(|&(session, channel)| {
        let session = sessions[session].as_mut().expect("blocked by a message that it was given");
        // What went wrong is told by the task that reads the connection.
        session.poll_rest(channel, cx).is_pending()
    });
    if blocked.len() < before { Poll::Ready(()) } else { Poll::Pending }
}

impl Transport for Quinn {
    fn about(&self) -> About {
        let version = format!("quinn 0.11, {}", config::about(self.name));
        About { name: self.name, encrypted: true, version }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        let _inside = self.runtime.enter();
        let numbers = Arc::new(Mutex::new(0..count));
        for _ in 0..count.min(DIALS_AT_ONCE) {
            tokio::spawn(dial(self.endpoint.clone(), server, numbers.clone(), self.manner, self.desk.clone()));
        }
        Ok(())
    }

    fn connected(&self) -> usize {
        self.connected
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let sent = if std::mem::take(&mut self.idle) {
            // This will wake a task: a system call when it is done from outside of the runtime.
            let runtime = self.runtime.clone();
            runtime.block_on(async { self.send_now(message) })
        } else {
            self.send_now(message)
        };
        let connection = || self.sessions.get(message.session)?.as_ref().map(|session| &session.connection);
        // Whom the other end has closed can be sent anything.
        let closed = || connection().and_then(Connection::close_reason).is_some_and(|end| is_closed(&end));
        if sent.is_err() && closed() { Ok(Sent::Taken) } else { sent }
    }

    fn flush(&mut self) {
        // The task that sends runs when the runtime does.
        self.runtime.block_on(tokio::task::yield_now());
    }

    fn queued(&mut self, _session: SessionId, _channel: u8) -> Option<usize> {
        None
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        let Quinn { runtime, sessions, blocked, desk, full, .. } = self;
        runtime.block_on(async {
            if wait.is_zero() || std::mem::take(full) {
                // The first looks at the socket, in the second the tasks run that it woke.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                let _ = poll_blocked(sessions, blocked, &mut Context::from_waker(Waker::noop()));
                return;
            }
            let something = poll_fn(|cx| {
                let room = poll_blocked(sessions, blocked, cx);
                let mut shared = lock(desk);
                if room.is_ready() || shared.has_news() {
                    return Poll::Ready(());
                }
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            });
            // Nothing came in time: as good.
            let _ = tokio::time::timeout(wait, something).await;
        });
        self.idle = true;
        self.take_news()?;
        for Arrived { session, channel, bytes } in self.arrived.drain(..) {
            sink(Incoming { session, channel, bytes: &bytes });
        }
        Ok(())
    }
}

impl Drop for Quinn {
    fn drop(&mut self) {
        self.endpoint.close(0u32.into(), b"");
        let endpoint = self.endpoint.clone();
        self.runtime.block_on(async {
            // A peer that is gone already does not answer: it is not waited for long.
            let _ = tokio::time::timeout(CLOSE_WAIT, endpoint.wait_idle()).await;
        });
    }
}
