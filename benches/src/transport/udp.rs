//! Plain UDP, one datagram a message: what the system alone costs. It keeps no promise, so "reliable" is not.
//!
//! A session is a socket on the client and a remote address on the server. The channel is the first byte.

use super::{About, Incoming, Kind, Outgoing, Purpose, Role, Sent, SessionId, Transport};
use crate::socket::bind;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Datagrams taken in one poll at most.
const MOST_AT_ONCE: usize = 4096;

/// Opens one end.
pub fn open(role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    let sockets = match role {
        Role::Server(listen) => vec![bind(listen)?],
        Role::Client => Vec::new(),
    };
    let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    Ok(Box::new(Udp {
        serves: matches!(role, Role::Server(_)),
        sockets,
        waiter,
        events: Vec::with_capacity(1024),
        remotes: Vec::new(),
        sessions: HashMap::new(),
        buffer: vec![0; 1 + purpose.message_bytes.min(65_506)],
    }))
}

struct Udp {
    serves: bool,
    /// The server's one, or one a session.
    sockets: Vec<UdpSocket>,
    /// Watches the sockets of a client.
    waiter: OwnedFd,
    events: Vec<epoll::Event>,
    /// By session; on the server alone.
    remotes: Vec<SocketAddr>,
    sessions: HashMap<SocketAddr, SessionId>,
    buffer: Vec<u8>,
}

fn timespec(wait: Duration) -> Timespec {
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) }
}

/// Nothing to read, or a port that nobody listens on yet: both pass.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused)
}

impl Udp {
    /// Takes what waits at the server's socket.
    fn serve(&mut self, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        for _ in 0..MOST_AT_ONCE {
            let (size, remote) = match self.sockets[0].recv_from(&mut self.buffer) {
                Ok(got) => got,
                Err(error) if passes(&error) => break,
                Err(error) => return Err(error),
            };
            let known = self.remotes.len();
            let session = *self.sessions.entry(remote).or_insert(known);
            if session == known {
                self.remotes.push(remote);
            }
            if let Some((channel, bytes)) = self.buffer[..size].split_first() {
                sink(Incoming { session, channel: *channel, bytes });
            }
        }
        Ok(())
    }

    /// Takes what waits at the socket of a client's session.
    fn take(&mut self, session: SessionId, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        for _ in 0..MOST_AT_ONCE {
            match self.sockets[session].recv(&mut self.buffer) {
                Ok(size) => {
                    if let Some((channel, bytes)) = self.buffer[..size].split_first() {
                        sink(Incoming { session, channel: *channel, bytes });
                    }
                }
                Err(error) if passes(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Transport for Udp {
    fn about(&self) -> About {
        About { name: "udp", encrypted: false, version: "plain UDP, one datagram a message".to_owned() }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.sockets.first().ok_or(ErrorKind::NotConnected)?.local_addr()
    }

    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()> {
        for session in 0..count {
            let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
            socket.connect(server)?;
            epoll::add(&self.waiter, &socket, epoll::EventData::new_u64(session as u64), epoll::EventFlags::IN)?;
            self.sockets.push(socket);
        }
        Ok(())
    }

    fn connected(&self) -> usize {
        if self.serves { self.remotes.len() } else { self.sockets.len() }
    }

    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent> {
        // The trait's other wishes mean nothing here: each message is a datagram and leaves at once.
        let (Kind::Reliable | Kind::Unreliable) = message.kind;
        self.buffer[0] = message.channel;
        self.buffer[1..=message.bytes.len()].copy_from_slice(message.bytes);
        let datagram = &self.buffer[..=message.bytes.len()];
        let sent = if self.serves {
            let remote = self.remotes.get(message.session).ok_or(ErrorKind::NotConnected)?;
            self.sockets[0].send_to(datagram, remote)
        } else {
            self.sockets.get(message.session).ok_or(ErrorKind::NotConnected)?.send(datagram)
        };
        match sent {
            Ok(_) => Ok(Sent::Taken),
            Err(error) if passes(&error) => Ok(Sent::Full),
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) {}

    fn queued(&mut self, _: SessionId, _: u8) -> Option<usize> {
        Some(0)
    }

    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()> {
        let wait = timespec(wait);
        if self.serves {
            poll(&mut [PollFd::new(&self.sockets[0], PollFlags::IN)], Some(&wait)).or_else(interrupted)?;
            return self.serve(sink);
        }
        self.events.clear();
        epoll::wait(&self.waiter, rustix::buffer::spare_capacity(&mut self.events), Some(&wait))
            .or_else(interrupted)?;
        for at in 0..self.events.len() {
            self.take(self.events[at].data.u64() as usize, sink)?;
        }
        Ok(())
    }
}

fn interrupted(error: rustix::io::Errno) -> io::Result<usize> {
    if error == rustix::io::Errno::INTR { Ok(0) } else { Err(error.into()) }
}
