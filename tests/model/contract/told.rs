//! What an app is told: states, requests, failures. Each must have a reason.

use super::{Due, FLIGHT, Judgement, Model, REQUEST_AGAIN, REQUESTER_HEARD, Stage, hold};
use crate::play::LOOK_EVERY;
use crate::script::NOBODY;
use steamnetmsg::time::Duration;

impl Model<'_> {
    /// What the info tells has changed: was there a reason?
    pub(super) fn see(&mut self, who: usize, peer: usize, state: i32, session: u32) -> Judgement {
        hold((0..=5).contains(&state), "states are 0 to 5", || format!("{state}"))?;
        hold((state == 0) == (session == 0), "state 0 is no session", || format!("{state}, {session}"))?;
        if session != self.side(who, peer).session {
            return self.see_other_session(who, peer, state, session);
        }
        self.side(who, peer).asked_anew = false;
        let (closed, now) = (self.closed_there(who, peer) || self.crossed(who, peer), self.now);
        let side = self.side(who, peer);
        let before = std::mem::replace(&mut side.state, state);
        match (side.stage, state) {
            (_, state) if state == before => Ok(()),
            (Stage::Opened, 3) => {
                side.stage = Stage::Connected;
                side.stood = true;
                let session = side.session;
                self.promises.retain(|p| !(p.what == Due::Connected && p.at == who && p.session == session));
                self.promises.retain(|p| !(p.what == Due::Request && (p.of, p.at) == (who, peer)));
                Ok(())
            }
            (Stage::Asked, 3) => hold(false, "nothing connects without a yes", String::new),
            (Stage::Connected, 3) if before == 1 => Ok(()),
            (Stage::Failed(_), 4 | 5) if before < 4 => Ok(()),
            (Stage::Opened | Stage::Connected, 4) => {
                hold(closed, "a failure is told", || format!("{who} sees {peer} closed, who did not close"))?;
                side.state = 4;
                self.finish(who, peer, Stage::Lost(now));
                self.side(who, peer).state = 4;
                Ok(())
            }
            (_, 4 | 5) => hold(false, "a failure is told", || format!("state {state} without an event")),
            (stage, _) => hold(false, "states follow from what happened", || format!("{stage:?}: {before} to {state}")),
        }
    }

    fn see_other_session(&mut self, who: usize, peer: usize, state: i32, session: u32) -> Judgement {
        let now = self.now;
        let closed = self.closed_there(who, peer) || self.crossed(who, peer);
        let idle = self.may_be_idle(who, peer);
        let keeps = self.setup.hosts[who].settings.session_idle_timeout;
        // A restarted peer ends the session it lost, even if its own request finds no room.
        let is_full = self.pending(who) >= self.setup.hosts[who].max_pending as usize;
        let displaced = is_full && self.ended_there(who, peer, |side| &side.ends);
        // A request takes the place of a failure, and may be taken back before anybody was told of it.
        let there = self.sides.get(&(peer, who)).and_then(|side| side.closes.last());
        let asked_unseen = there.is_some_and(|at| *at + FLIGHT + LOOK_EVERY >= now);
        let side = self.side(who, peer);
        let stage = side.stage;
        if session == 0 && side.closing == Some(now) {
            self.close_now(who, peer);
            return Ok(());
        }
        if side.asked_anew {
            // The request told why. A yes in the same instant is in the stage already.
            if session == 0 {
                hold(stage == Stage::Asked || closed, "a session does not vanish", || format!("{stage:?}"))?;
                self.finish(who, peer, Stage::Nothing);
                self.side(who, peer).asked_anew = false;
                return Ok(());
            }
            let right = match stage {
                Stage::Asked => state == 1,
                _ => matches!(state, 3 | 4),
            };
            hold(right, "a request is state 1 until the yes", || format!("{stage:?}, state {state}"))?;
            self.begin(who, peer, session, stage);
            return Ok(());
        }
        if session == 0 {
            let right = match stage {
                Stage::Nothing | Stage::Asked => true,
                Stage::Opened | Stage::Connected => closed || idle || displaced,
                Stage::Failed(at) => at + keeps <= now || displaced || asked_unseen,
                // Seen only when somebody looked.
                Stage::Lost(at) => at + keeps <= now + LOOK_EVERY,
            };
            hold(right, "a session does not vanish", || {
                format!("{stage:?}, nobody closed it, nobody had time to idle")
            })?;
            self.finish(who, peer, Stage::Nothing);
            return Ok(());
        }
        let was_engaged = matches!(stage, Stage::Opened | Stage::Connected);
        hold(was_engaged && idle, "a session has a reason", || format!("state {state} after {stage:?}"))?;
        let old = side.session;
        let open = std::mem::take(&mut side.open);
        self.finish(who, peer, Stage::Nothing);
        self.begin(who, peer, session, if state == 3 { Stage::Connected } else { Stage::Opened });
        let side = self.side(who, peer);
        (side.reopened, side.may_be_open) = (true, open);
        for message in self.messages.values_mut() {
            if (message.from, message.to, message.session) == (who, peer, old) && message.read.is_none() {
                message.reopened = true;
                message.session = session;
            }
        }
        Ok(())
    }

    pub(super) fn request(&mut self, who: usize, from: usize) -> Judgement {
        let law = "a request has somebody who asks";
        let opened = self.sides.get(&(from, who)).is_some_and(|side| {
            let patience = Duration::from_secs(8) + FLIGHT;
            side.stage == Stage::Opened
                || side.stage == Stage::Connected
                || side.ends.last().is_some_and(|at| *at + patience >= self.now)
        });
        hold(opened, law, || format!("{from} does not ask {who}"))?;
        let session = self.sides.get(&(from, who)).map_or(0, |side| side.session);
        let replaced = self.ended_there(who, from, |side| &side.ends);
        let now = self.now;
        // The first one may have been the request of the session before.
        let ended = self.sides.get(&(from, who)).and_then(|side| side.ends.last().copied());
        let side = self.side(who, from);
        if let Some((at, of)) = side.requested {
            hold(
                of != session
                    || ended.is_some_and(|ended| ended + REQUESTER_HEARD + FLIGHT >= at)
                    || at + REQUEST_AGAIN <= now,
                "requests are not told too often",
                || format!("again after {:?}", now.saturating_since(at)),
            )?;
        }
        side.requested = Some((now, session));
        match side.stage {
            Stage::Opened | Stage::Connected => {
                hold(replaced, "no request while connected", || format!("{from} never lost the session"))?;
                self.finish(who, from, Stage::Asked);
            }
            Stage::Failed(_) | Stage::Lost(_) | Stage::Nothing | Stage::Asked => {}
        }
        let side = self.side(who, from);
        side.stage = Stage::Asked;
        side.asked_anew = true;
        let pending = self.pending(who);
        let is_full = pending >= self.setup.hosts[who].max_pending as usize;
        self.promises.retain(|p| !(p.what == Due::Request && p.at == who && (p.of == from || is_full)));
        Ok(())
    }

    pub(super) fn fail(&mut self, who: usize, peer: usize, state: i32, reason: i32, text: &str) -> Judgement {
        let now = self.now;
        let closed = self.closed_there(who, peer);
        let gone = self.ended_there(who, peer, |side| &side.ends);
        let gone_here = self.sides.get(&(who, peer)).is_some_and(|side| !side.ends.is_empty());
        let settings = self.setup.hosts[who].settings;
        let side = self.side(who, peer);
        let (stage, begun) = (side.stage, side.begun);
        let engaged = matches!(stage, Stage::Opened | Stage::Connected);
        hold(engaged, "a failure has somebody who waits", || format!("{stage:?}: {state} {reason} {text}"))?;
        let what =
            || format!("{stage:?}: state {state}, reason {reason}, {text:?}, {:?} old", now.saturating_since(begun));
        let late = Duration::from_millis(10);
        // A session that follows an idle one is seen only when somebody looks.
        let unseen = if side.reopened { LOOK_EVERY } else { Duration::ZERO };
        let waited = |span: Duration| begun + span <= now + unseen;
        let right = match (state, reason) {
            (5, 5003) if peer != NOBODY => waited(settings.timeout_initial.min(settings.timeout_connected)),
            (5, 5008) if peer == NOBODY => {
                waited(settings.timeout_initial) && now <= begun + settings.timeout_initial + late
            }
            // The peer says no.
            (4, 1001) => {
                hold(stage == Stage::Opened, "a peer's close of a connected session is no failure", what)?;
                closed
            }
            // It gave up, or does not remember.
            (4, 5003) | (5, 5010) => gone,
            // It had the session without our knowing, and it is over there.
            (4, 5010) => stage == Stage::Opened && gone,
            // It was told to wait as a restarted peer, and the table of requests was full.
            (4, 5001) if text.contains("Too many requests") => stage == Stage::Opened && gone_here,
            (_, 5001) if text.contains("larger than the peer takes") => peer != NOBODY,
            _ => false,
        };
        hold(right, "a failure has a cause", what)?;
        let session = self.side(who, peer).session;
        self.failures.insert((who, peer, session));
        self.finish(who, peer, Stage::Failed(now));
        Ok(())
    }
}
