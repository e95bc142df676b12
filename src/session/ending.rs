//! How a session ends: by the app's wish, by the peer's, by a fault, or because the peer was restarted.

use super::cause::Cause;
use super::farewell::Farewell;
use super::newcomer::Newcomer;
use super::{Ending, Outcome, Session, State, reason};
use crate::time::Instant;

impl Session {
    /// The app ends it. The peer is told; queued data is dropped.
    pub fn close(&mut self, now: Instant, reason: i32, text: &str) {
        self.say_farewell(now, Some((reason, text)));
        self.state = State::Ended;
        self.drop_transport();
    }

    /// Leaves a [`Farewell`] with the keys, if there are any: a CLOSE, or the answer to one.
    pub(super) fn say_farewell(&mut self, now: Instant, close: Option<(i32, &str)>) {
        let rtt = self.transport.as_ref().and_then(|t| t.rtt());
        let number = self.transport.as_ref().map_or(0, |t| t.next_number().0);
        let acknowledgement = self.transport.as_mut().map(|t| t.last_acknowledgement(now)).unwrap_or_default();
        let (connection, number) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Opening(opening) => match opening.into_connection() {
                Some(connection) => (connection, number),
                None => return,
            },
            State::Pending(pending) => (pending.newcomer.connection, pending.newcomer.next_number),
            State::Connected(live) => {
                if let Some((challenger, (reason, text))) = live.challenger.zip(close) {
                    self.refuse(now, challenger.newcomer, reason, text);
                }
                (live.connection, number)
            }
            State::Failed { .. } | State::Ended => return,
        };
        let farewell = match close {
            Some((reason, text)) => Farewell::close(now, connection, number, reason, text, rtt),
            None => Farewell::closed(now, connection, number),
        };
        self.farewells.push(farewell.with_acknowledgement(acknowledgement));
    }

    /// Tells a newcomer that it is not let in.
    pub(super) fn refuse(&mut self, now: Instant, newcomer: Box<Newcomer>, reason: i32, text: &str) {
        self.farewells.push(newcomer.turn_away(now, reason, text));
    }

    pub(super) fn drop_transport(&mut self) {
        self.cell.set_open(false);
        self.transport = None;
    }

    /// The session fails, the app is told, the peer as well if there are keys.
    pub fn fail(&mut self, now: Instant, cause: Cause, text: impl Into<String>) {
        self.fail_for(now, cause, cause.reason(), text);
    }

    /// The same, where the cause does not say the reason.
    pub fn fail_for(&mut self, now: Instant, cause: Cause, reason: i32, text: impl Into<String>) {
        self.fail_as(now, Ending::new(5, reason, cause, text));
    }

    fn fail_as(&mut self, now: Instant, mut ending: Ending) {
        ending.evidence = self.diagnose(now, None).evidence;
        let route = self.route();
        let last = self.last(now);
        if !self.is_connected() {
            self.channels.clear(); // nothing was ever carried on them
        }
        self.say_farewell(now, (ending.state == 5).then_some((ending.reason, ending.text.as_str())));
        self.drop_transport();
        self.state = State::Failed { ending: ending.clone(), at: now, once: false, route, last };
        self.outcomes.push(Outcome::Failed(ending));
    }

    /// The peer says it is over.
    pub(super) fn handle_close(&mut self, now: Instant, reason: i32, text: &str) {
        let was_connected = self.is_connected();
        let cause = match reason {
            reason::BAD_CERT if !was_connected => Cause::AuthRequiredThere,
            reason if !reason::is_a_wish(reason) => Cause::RefusedByPeer,
            _ if !was_connected => Cause::RejectedByPeer,
            reason::IDLE => Cause::Idle,
            _ => Cause::ClosedByPeer,
        };
        let ending = Ending::new(4, reason, cause, text);
        if !was_connected || !reason::is_a_wish(reason) {
            self.fail_as(now, ending);
            return;
        }
        let route = self.route();
        let last = self.last(now);
        let mut held = self.transport.as_mut().map(|t| t.take_unacknowledged()).unwrap_or_default();
        self.say_farewell(now, None);
        self.drop_transport();
        if held.is_empty() {
            self.outcomes.push(Outcome::Ended(ending));
        } else if reason == reason::IDLE {
            // Everything held was sent after we agreed to end, and the peer took none of it.
            self.outcomes.push(Outcome::Reopen(std::mem::take(&mut held)));
        } else {
            let ending = Ending { cause: Cause::DataLost, ..ending };
            self.state = State::Failed { ending, at: now, once: true, route, last };
        }
    }

    /// The peer had our session without our hearing so, and it is over there.
    pub fn handle_ended(&mut self, now: Instant, text: &str) {
        self.handle_close(now, reason::NO_CONNECTION, text);
        self.farewells.clear(); // its keys are gone there
    }

    /// The peer proves it has lost the session.
    pub fn handle_reset(&mut self, now: Instant) {
        if let State::Connected(live) = &mut self.state {
            if let Some(challenger) = live.challenger.take() {
                self.replace(challenger.newcomer);
                return;
            }
            self.fail(now, Cause::PeerForgot, "The peer does not know the session any more (restarted?)");
            self.farewells.clear(); // there is nobody to tell
        }
    }

    /// The old incarnation of the peer is dead, a new one knocks.
    pub fn replace(&mut self, newcomer: Box<Newcomer>) {
        let lost_data = self.transport.as_ref().is_some_and(|t| t.holds_reliable());
        self.state = State::Ended;
        self.drop_transport();
        self.outcomes.push(Outcome::Replaced { newcomer, lost_data });
    }
}
