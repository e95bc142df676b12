//! Relay ports: which are taken, and by whom. A port is picked at random, so that nobody can guess the next.

use super::client::Client;
use crate::config::RelayAddress;
use crate::config::file::PortRange;
use crate::serve;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::net::UdpSocket;

/// Ports tried before an allocation is refused. With half of the range taken, one in 2^64 is refused in vain.
const TRIES: usize = 64;

/// What the system may hold for one relayed address each way, bytes.
const SOCKET_BUFFER: usize = 256 * 1024;

/// The relayed addresses of this server.
#[derive(Debug)]
pub struct Ports {
    addresses: Vec<RelayAddress>,
    range: PortRange,
    taken: Mutex<HashMap<SocketAddr, Weak<Client>>>,
}

/// A relayed address, as long as this lives.
#[derive(Debug)]
pub struct Lease {
    ports: Arc<Ports>,
    /// As peers see it.
    pub public: SocketAddr,
    /// What it sends and receives with.
    pub socket: Arc<UdpSocket>,
}

impl Ports {
    /// None is taken.
    pub fn new(addresses: Vec<RelayAddress>, range: PortRange) -> Arc<Ports> {
        Arc::new(Ports { addresses, range, taken: Mutex::default() })
    }

    /// Is there an address of this family?
    pub fn has_family(&self, v4: bool) -> bool {
        self.addresses.iter().any(|address| address.public.is_ipv4() == v4)
    }

    /// Takes a port for a client; `None` if none was found.
    pub fn lease(self: &Arc<Ports>, v4: bool, client: &Weak<Client>) -> Option<Lease> {
        let address = self.addresses.iter().find(|address| address.public.is_ipv4() == v4)?;
        let count = u32::from(self.range.last - self.range.first) + 1;
        for _ in 0..TRIES {
            let drawn = u32::from_be_bytes(crate::random().ok()?) % count;
            let port = self.range.first + drawn as u16;
            let public = SocketAddr::new(address.public, port);
            if self.lock().contains_key(&public) {
                continue;
            }
            let Ok(socket) = bind(SocketAddr::new(address.bind, port)) else { continue };
            self.lock().insert(public, client.clone());
            return Some(Lease { ports: self.clone(), public, socket: Arc::new(socket) });
        }
        None
    }

    /// Is this an address of this machine, where only relayed addresses may be reached, and never anything else?
    pub fn is_own(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.public == ip || address.bind == ip)
    }

    /// Whose relayed address this is.
    pub fn owner(&self, address: SocketAddr) -> Option<Arc<Client>> {
        self.lock().get(&address)?.upgrade()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Weak<Client>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ports.lock().remove(&self.public);
    }
}

fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = serve::socket(address, socket2::Type::DGRAM)?;
    if address.is_ipv6() {
        // IPv4 has its own.
        socket.set_only_v6(true)?;
    }
    // More would be better and is not always granted.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}
