//! Stand-in until the driver is merged: an endpoint with a thread and no core behind it.

use crate::endpoint::Endpoint;
use crate::endpoint::SendError;
use crate::endpoint::config::{Config, ConfigError};
use crate::endpoint::events::Event;
use crate::endpoint::mailbox::Message;
use crate::ids::{Channel, SteamId};
use crate::time::{Duration, Instant};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One running endpoint.
pub struct Driver {
    closed: Arc<AtomicBool>,
    addresses: Vec<SocketAddr>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// The endpoint panicked earlier.
#[derive(Debug)]
pub struct Gone;

/// Called on the poll thread, outside every lock, when events wait.
pub type EventHook = Box<dyn Fn() + Send + Sync>;

/// Why no endpoint came to be.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address.
    #[error("cannot bind {address}: {source}")]
    #[allow(missing_docs)]
    Bind { address: SocketAddr, source: io::Error },
    /// The poll thread.
    #[error("cannot start the poll thread: {0}")]
    Thread(io::Error),
}

/// Binds the sockets and starts the poll thread.
#[allow(missing_docs)]
pub fn open(config: Config, hook: Option<EventHook>) -> Result<Arc<Driver>, OpenError> {
    config.validate()?;
    let mut addresses = Vec::new();
    for address in &config.bind {
        let socket = std::net::UdpSocket::bind(address).map_err(|source| OpenError::Bind { address: *address, source })?;
        addresses.push(socket.local_addr().map_err(|source| OpenError::Bind { address: *address, source })?);
    }
    let closed = Arc::new(AtomicBool::new(false));
    let seen = closed.clone();
    let thread = std::thread::Builder::new()
        .spawn(move || {
            while !seen.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
                hook.iter().for_each(|hook| hook());
            }
        })
        .map_err(OpenError::Thread)?;
    Ok(Arc::new(Driver { closed, addresses, thread: Mutex::new(Some(thread)) }))
}

#[allow(missing_docs, clippy::missing_errors_doc, unused_variables)]
impl Driver {
    pub fn send(&self, to: SteamId, bytes: &[u8], flags: i32, channel: Channel) -> Result<Result<(), SendError>, Gone> {
        Err(Gone)
    }
    pub fn receive(&self, channel: Channel, max: usize, out: &mut Vec<Message>) -> usize {
        0
    }
    pub fn with_endpoint<R>(&self, f: impl FnOnce(&mut Endpoint, Instant) -> R) -> Result<R, Gone> {
        Err(Gone)
    }
    pub fn poll_event(&self) -> Option<Event> {
        None
    }
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        false
    }
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
    pub fn add_peer_host(&self, peer: SteamId, host: &str, port: u16) -> Result<(), SendError> {
        Ok(())
    }
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().unwrap().take() {
            let _ = thread.join();
        }
    }
}

/// The clock.
pub mod clock {
    use crate::time::Instant;
    /// Now.
    pub fn now() -> Instant {
        Instant::from_nanos(3_000_000_000_000_000)
    }
}

/// Waits for the helper threads that look names up.
pub fn wait_for_lookups() {}
