//! The sockets and the clock of `linksim`: a UDP proxy that does to each datagram what a [`Line`] says.
//!
//! Every client address gets a socket of its own towards the target, as behind a NAT. `rebind` gives all of them new
//! ones, as a NAT does that lost its bindings.

use super::line::Line;
use crate::clock;
use crate::socket::bind;
use rustix::event::{Timespec, epoll};
use serde_json::json;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

/// Datagrams taken from one socket before the others have a turn.
const MOST_AT_ONCE: usize = 256;

const FRONT: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From clients to the target.
    Up,
    /// From the target to clients.
    Down,
}

/// A proxy with its two lines, up and down.
pub struct Proxy {
    front: UdpSocket,
    target: SocketAddr,
    flows: Vec<(SocketAddr, UdpSocket)>,
    by_client: HashMap<SocketAddr, usize>,
    waiter: OwnedFd,
    up: Line,
    down: Line,
    commands: Vec<u8>,
}

impl Proxy {
    /// Listens; nothing is passed before [`Proxy::run`].
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn new(listen: SocketAddr, target: SocketAddr, up: Line, down: Line) -> io::Result<Proxy> {
        let front = bind(listen)?;
        let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&waiter, &front, FRONT)?;
        Ok(Proxy {
            front,
            target,
            flows: Vec::new(),
            by_client: HashMap::new(),
            waiter,
            up,
            down,
            commands: Vec::new(),
        })
    }

    /// Where clients send to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.front.local_addr()
    }

    /// Passes datagrams on until standard input ends or says `quit`, then prints the counters as a line of JSON.
    /// Other commands, a line each: `reset` the counters, `rebind`, `set KEY VALUE`.
    ///
    /// # Errors
    /// The system refuses a socket.
    pub fn run(&mut self) -> io::Result<()> {
        let stdin = io::stdin();
        rustix::io::ioctl_fionbio(&stdin, true)?;
        watch(&self.waiter, &stdin, STDIN)?;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        let mut buffer = vec![0; 65_536];
        loop {
            let next = [&self.up, &self.down].into_iter().filter_map(Line::poll_timeout).min();
            let wait = next.map(|due| due.saturating_sub(clock::now_ns()));
            let wait =
                wait.map(|ns| Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as _ });
            events.clear();
            match epoll::wait(&self.waiter, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    FRONT => self.take_from_clients(&mut buffer)?,
                    STDIN => {
                        if !self.obey(&stdin)? {
                            self.report();
                            return Ok(());
                        }
                    }
                    flow => self.take_from_target(flow as usize, &mut buffer)?,
                }
            }
            self.pass_on()?;
        }
    }

    fn take_from_clients(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..MOST_AT_ONCE {
            let Some((size, client)) = taken(self.front.recv_from(buffer))? else { break };
            let flow = match self.by_client.get(&client) {
                Some(flow) => *flow,
                None => {
                    let flow = self.flows.len();
                    self.flows.push((client, self.upstream(flow)?));
                    self.by_client.insert(client, flow);
                    flow
                }
            };
            self.up.push(clock::now_ns(), flow, &buffer[..size]);
        }
        Ok(())
    }

    fn take_from_target(&mut self, flow: usize, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..MOST_AT_ONCE {
            let Some(size) = taken(self.flows[flow].1.recv(buffer))? else { break };
            self.down.push(clock::now_ns(), flow, &buffer[..size]);
        }
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let now = clock::now_ns();
        // A full or refused socket loses the datagram, as any hop may.
        while let Some((flow, bytes)) = self.up.poll(now) {
            taken(self.flows[flow].1.send(&bytes))?;
        }
        while let Some((flow, bytes)) = self.down.poll(now) {
            taken(self.front.send_to(&bytes, self.flows[flow].0))?;
        }
        Ok(())
    }

    fn upstream(&self, flow: usize) -> io::Result<UdpSocket> {
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into())?;
        socket.connect(self.target)?;
        watch(&self.waiter, &socket, flow as u64)?;
        Ok(socket)
    }

    /// Does what standard input says; false when it is time to end.
    fn obey(&mut self, mut stdin: &io::Stdin) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        match taken(stdin.read(&mut buffer))? {
            None => return Ok(true),
            Some(0) => return Ok(false),
            Some(size) => self.commands.extend_from_slice(&buffer[..size]),
        }
        while let Some(end) = self.commands.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.commands.drain(..=end).collect();
            match String::from_utf8_lossy(&line).split_whitespace().collect::<Vec<_>>()[..] {
                ["quit"] => return Ok(false),
                ["reset"] => {
                    let now = clock::now_ns();
                    self.up.reset(now);
                    self.down.reset(now);
                }
                ["rebind"] => {
                    for flow in 0..self.flows.len() {
                        self.flows[flow].1 = self.upstream(flow)?;
                    }
                }
                ["set", key, value] => {
                    if let Err(fault) = self.set(key, value) {
                        eprintln!("linksim: {fault}");
                    }
                }
                _ => eprintln!("linksim: the commands are reset, rebind, set KEY VALUE and quit"),
            }
        }
        Ok(true)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key.split_once('-') {
            Some(("up", key)) => self.up.faults.set(key, value),
            Some(("down", key)) => self.down.faults.set(key, value),
            _ => self.up.faults.set(key, value).and_then(|()| self.down.faults.set(key, value)),
        }
    }

    fn report(&mut self) {
        let now = clock::now_ns();
        self.up.probe(now);
        self.down.probe(now);
        let (up, down) = (self.up.counters.json(), self.down.counters.json());
        println!("{}", json!({ "flows": self.flows.len(), "up": up, "down": down }));
    }
}

fn watch(waiter: &OwnedFd, what: impl std::os::fd::AsFd, data: u64) -> io::Result<()> {
    Ok(epoll::add(waiter, what, epoll::EventData::new_u64(data), epoll::EventFlags::IN)?)
}

/// Nothing to take, or nobody at the other end just now, is no error.
fn taken<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}
