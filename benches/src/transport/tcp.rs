//! Plain TCP: what the system's own reliable stream costs, as a mark to compare with.
//!
//! A session is a connection; a message is its length, its channel and its bytes. Without encryption, and with one
//! order for everything: both channels share it.

use super::{About, Incoming, Outgoing, Purpose, Role, Sent, SessionId, Transport};
use rustix::event::{Timespec, epoll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Bytes a session may have waiting for its socket.
const MOST_WAITING: usize = 256 << 10;

/// Read at once, bytes.
const READ_AT_ONCE: usize = 256 << 10;

const HEADER: usize = 5;
const LISTENER: u64 = u64::MAX;

/// Opens one end.
pub fn open(role: Role, _: &Purpose) -> io::Result<Box<dyn Transport>> {
    let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut listener = None;
    if let Role::Server(listen) = role {
        let socket = TcpListener::bind(listen)?;
        socket.set_nonblocking(true)?;
        epoll::add(&waiter, &socket, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        listener = Some(socket);
    }
    Ok(Box::new(Tcp {
        listener,
        sessions: Vec::new(),
        waiter,
        events: Vec::with_capacity(1024),
        buffer: vec![0; READ_AT_ONCE],
    }))
}

struct Tcp {
    listener: Option<TcpListener>,
    sessions: Vec<Session>,
    waiter: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
}

struct Session {
    stream: TcpStream,
    /// Bytes that wait for room in the socket, from `sent` on.
    waiting: Vec<u8>,
    sent: usize,
    /// The start of a message whose end is not here yet.
    partial: Vec<u8>,
}

impl Tcp {
    fn add(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        // Edge-triggered, so that room in the socket is told once and not all the time.
        let wanted = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.waiter, &stream, epoll::EventData::new_u64(self.sessions.len() as u64), wanted)?;
        self.sessions.push(Session { stream, waiting: Vec::new(), sent: 0, partial: Vec::new() });
        Ok(())
    }

    /// Takes new sessions; connections that broke before they were taken are passed over.
    fn accept(&mut self) -> io::Result<()> {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.add(stream)?;
        }
        Ok(())
    }
}

impl Session {
    /// Writes what waits; true when nothing is left.
    fn drain(&mut self) -> io::Result<bool> {
        while self.sent < self.waiting.len() {
            match self.stream.write(&self.waiting[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.waiting.clear();
        self.sent = 0;
        Ok(true)
    }

    fn read(&mut self, id: SessionId, buffer: &mut [u8], sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                // The other end is done; so is this session.
                Ok(0) => return Ok(()),
                Ok(count) => self.take(id, &buffer[..count], sink),
                Err(error) => {
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        ErrorKind::Interrupted => continue,
                        _ => Err(error),
                    };
                }
            }
        }
    }

    /// Hands over every message that is whole and keeps the rest.
    fn take(&mut self, id: SessionId, fresh: &[u8], sink: &mut dyn FnMut(Incoming<'_>)) {
        let mut joined = std::mem::take(&mut self.partial);
        let mut rest = fresh;
        if !joined.is_empty() {
            joined.extend_from_slice(fresh);
            rest = &joined;
        }
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let Some((bytes, after)) = after.split_at_checked(size) else { break };
            sink(Incoming { session: id, channel: header[4], bytes });
            rest = after;
        }
        self.partial = rest.to_vec();
    }
}

impl Transport for Tcp {
    fn about(&self) -> About {
        About { name: "tcp", encrypted: false, version: "plain TCP, TCP_NODELAY".to_owned() }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        match &self.listener {
            Some(listener) => listener.local_addr(),
            None => self.sessions.first().ok_or(ErrorKind::NotConnected)?.stream.local_addr(),
        }
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        (0..count).try_for_each(|_| self.add(TcpStream::connect(server)?))
    }

    fn connected(&self) -> usize {
        self.sessions.len()
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        let session = self.sessions.get_mut(message.session).ok_or(ErrorKind::NotConnected)?;
        if session.waiting.len() - session.sent > MOST_WAITING && !session.drain()? {
            return Ok(Sent::Full);
        }
        if session.sent > 4 * MOST_WAITING {
            session.waiting.drain(..std::mem::take(&mut session.sent));
        }
        session.waiting.extend_from_slice(&(message.bytes.len() as u32).to_le_bytes());
        session.waiting.push(message.channel);
        session.waiting.extend_from_slice(message.bytes);
        // Small ones share a write, as with any stream, unless they must not wait.
        if message.no_nagle || session.waiting.len() - session.sent > MOST_WAITING / 4 {
            session.drain()?;
        }
        Ok(Sent::Taken)
    }

    fn flush(&mut self) {
        for session in &mut self.sessions {
            // An error shows again at the next send.
            let _ = session.drain();
        }
    }

    fn queued(&mut self, session: SessionId, _: u8) -> Option<usize> {
        self.sessions.get(session).map(|session| session.waiting.len() - session.sent)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        self.sessions.iter_mut().try_for_each(|session| session.drain().map(drop))?;
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let waited = epoll::wait(&self.waiter, rustix::buffer::spare_capacity(&mut events), Some(&wait));
        waited.or_else(|error| if error == rustix::io::Errno::INTR { Ok(0) } else { Err(error) })?;
        for event in &events {
            match event.data.u64() {
                LISTENER => self.accept()?,
                id => {
                    let session = &mut self.sessions[id as usize];
                    session.drain()?;
                    session.read(id as usize, &mut self.buffer, sink)?;
                }
            }
        }
        self.events = events;
        Ok(())
    }
}
