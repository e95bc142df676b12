//! One endpoint's place on its poll thread, and its turn: receive a bite, think under the lock, send a
//! bite, tell the app, say when to come back.

use super::clock;
use super::poll_thread::MAX_UDP_SOCKETS;
use super::ports::{Inbound, Ports};
use super::servers::Servers;
use super::shared::Shared;
use crate::machine::Machine;
use crate::time::{Deadline, Duration, Instant};
use mio::Registry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How soon to look again at deadlines that passed while a full socket holds everything back.
const FULL_SOCKET_PATIENCE: Duration = Duration::from_millis(5);

/// What a seat wants after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn at once.
    Again,
    /// A turn at that time, or when something happens.
    Sleep(Option<Instant>),
    /// To be gone.
    Leave,
}

pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    /// `None` once the endpoint is poisoned.
    ports: Option<Ports>,
    servers: Servers,
    /// The first of the tokens of our sockets.
    first_token: usize,
    next: Next,
}

impl Seat {
    /// A place for `ports`; the tokens of our sockets begin with `first_token`.
    pub(super) fn new(shared: Arc<Shared>, ports: Ports, first_token: usize) -> Seat {
        let home = Arc::downgrade(&shared);
        let ring = Arc::new(move || {
            if let Some(shared) = home.upgrade() {
                shared.doorbell.ring();
            }
        });
        let servers = Servers::new(first_token + MAX_UDP_SOCKETS, ring, &shared.local_addresses);
        Seat { shared, ports: Some(ports), servers, first_token, next: Next::Again }
    }

    /// The system says that a socket became readable or writable.
    pub(super) fn handle_readiness(&mut self, socket: usize, readable: bool, writable: bool) {
        if socket >= MAX_UDP_SOCKETS {
            self.servers.handle_readiness(self.first_token + socket);
            self.next = Next::Again;
        } else if let Some(socket) = self.ports.as_mut().and_then(|ports| ports.sockets.get_mut(socket)) {
            socket.readable |= readable;
            socket.writable |= writable;
            self.next = Next::Again;
        }
    }

    /// Takes a turn if there is reason to; says what it wants next.
    pub(super) fn visit(&mut self, inbound: &mut Inbound, registry: &Registry) -> Next {
        let due = match self.next {
            Next::Again | Next::Leave => true,
            Next::Sleep(at) => at.is_some_and(|at| at <= clock::now()),
        };
        // The doorbell is answered before its reason is looked for, so a later ring is not swallowed.
        if self.shared.doorbell.answer() || due {
            let turn = catch_unwind(AssertUnwindSafe(|| self.turn(inbound, registry)));
            self.next = turn.unwrap_or_else(|_| {
                self.shared.poison();
                Next::Again
            });
        }
        self.next
    }

    fn turn(&mut self, inbound: &mut Inbound, registry: &Registry) -> Next {
        let closing = self.shared.closing_until();
        let Some(ports) = self.ports.as_mut().filter(|_| !self.shared.is_poisoned()) else {
            self.ports = None;
            self.servers.log_out();
            let more_events = self.shared.call_hook();
            return match closing {
                Some(_) => Next::Leave,
                None if more_events => Next::Again,
                None => Next::Sleep(None),
            };
        };
        if ports.is_full() {
            ports.flush();
        }
        let more_to_receive = ports.receive(inbound);
        let now = clock::now();
        let (shared, servers) = (&self.shared, &mut self.servers);
        if shared.network_changed.swap(false, Ordering::AcqRel) {
            servers.handle_network_change(now);
        }
        servers.exchange(now, registry);
        let thought = shared.visit(|endpoint| {
            shared.drain_lane(endpoint, now);
            endpoint.handle_reads(now);
            for remote in ports.take_unreachable() {
                endpoint.handle_send_error(now, remote);
            }
            Ports::hand_over(inbound, endpoint, now);
            servers.deliver(now, endpoint);
            if endpoint.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                endpoint.handle_timeout(now);
            }
            let more_to_send = ports.collect(endpoint, now);
            let exchange = servers.collect(now, endpoint, shared.has_own_signaling(), registry);
            (more_to_send, endpoint.poll_timeout(), endpoint.is_drained(), exchange)
        });
        let Ok((more_to_send, deadline, drained, exchange)) = thought else {
            return Next::Again;
        };
        ports.flush();
        if exchange {
            servers.exchange(now, registry);
        }
        ports.sockets.iter_mut().for_each(|socket| socket.settle_interest(registry));
        shared.announce();
        let more_events = shared.call_hook();
        let full = ports.is_full();
        if let Some(until) = closing
            && ((drained && !more_to_send && !full) || now >= until)
        {
            servers.log_out();
            return Next::Leave;
        }
        let again =
            more_events || more_to_receive || servers.is_busy() || ports.has_unreachable() || (more_to_send && !full);
        let until = [closing, servers.poll_timeout()].into_iter().flatten().min();
        if again { Next::Again } else { sleep(now, deadline, until, full) }
    }
}

/// When to come back if nothing happens: at the core's deadline, or at one of our own.
fn sleep(now: Instant, deadline: Option<Deadline>, until: Option<Instant>, full: bool) -> Next {
    let mut at = deadline.map(|deadline| deadline.at);
    if full {
        at = at.map(|at| at.max(now + FULL_SOCKET_PATIENCE));
    }
    at = match (at, until) {
        (Some(at), Some(until)) => Some(at.min(until)),
        (at, until) => at.or(until),
    };
    Next::Sleep(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Why;

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    fn at(ms: u64) -> Instant {
        NOW + Duration::from_millis(ms)
    }

    #[test]
    fn the_earlier_of_deadline_and_end_of_closing_wakes_the_seat() {
        let deadline = Some(Deadline::new(at(20), Why::Ack));
        assert_eq!(sleep(NOW, None, None, false), Next::Sleep(None));
        assert_eq!(sleep(NOW, deadline, None, false), Next::Sleep(Some(at(20))));
        assert_eq!(sleep(NOW, deadline, Some(at(10)), false), Next::Sleep(Some(at(10))));
        assert_eq!(sleep(NOW, None, Some(at(10)), false), Next::Sleep(Some(at(10))));
    }

    #[test]
    fn a_full_socket_does_not_make_a_passed_deadline_spin() {
        let passed = Some(Deadline::new(NOW, Why::Transmit));
        assert_eq!(sleep(NOW, passed, None, true), Next::Sleep(Some(at(5))));
    }
}
