//! What calls answer in each state, and what they change.

use super::{Due, EARLY_ROOM, FLIGHT, Judgement, Message, Model, NO_DELAY, RELIABLE, RESTART, SOON, Side, Stage, hold};
use crate::script::INVALID;

impl Model<'_> {
    pub(super) fn accept(&mut self, who: usize, peer: usize, answer: bool) -> Judgement {
        let now = self.now;
        let side = self.side(who, peer);
        let live = matches!(side.stage, Stage::Opened | Stage::Asked | Stage::Connected);
        hold(answer == live, "accept is true for a live session", || format!("{:?}: {answer}", side.stage))?;
        side.uses.extend(live.then_some(now));
        if side.stage == Stage::Asked {
            self.say_yes(who, peer);
        }
        Ok(())
    }

    fn say_yes(&mut self, who: usize, peer: usize) {
        let now = self.now;
        let side = self.side(who, peer);
        side.stage = Stage::Connected;
        side.stood = true;
        side.engaged.push((now, None));
        if !side.asked_anew {
            side.state = 3;
        }
        let initial = self.setup.hosts[peer].settings.timeout_initial;
        // Whoever moves in the middle of a handshake may have to ask again.
        let moved = self.moved.get(&who).max(self.moved.get(&peer)).copied();
        let asker = self.side(peer, who);
        // Its time may be nearly up, and what was accepted the request of a session that has just ended.
        let is_this = asker.ends.last().is_none_or(|at| *at + FLIGHT * 2 < now);
        if asker.stage == Stage::Opened
            && is_this
            && moved.is_none_or(|at| at < asker.begun)
            && asker.begun + initial >= now + SOON
        {
            let session = asker.session;
            self.promise(Due::Connected, peer, who, session);
        }
    }

    pub(super) fn close(&mut self, who: usize, peer: usize, answer: bool) -> Judgement {
        let side = self.side(who, peer);
        hold(answer == (side.stage != Stage::Nothing), "close is true for a session", || {
            format!("{:?}: {answer}", side.stage)
        })?;
        if answer {
            self.close_now(who, peer);
        }
        Ok(())
    }

    pub(super) fn close_now(&mut self, who: usize, peer: usize) {
        let now = self.now;
        let side = self.side(who, peer);
        side.closes.push(now);
        side.asked_anew = false;
        let read: Vec<i32> = side.last_read.keys().copied().collect();
        side.gaps.extend(read);
        self.disturb(who, Some(peer));
        self.finish(who, peer, Stage::Nothing);
    }

    pub(super) fn close_channel(&mut self, who: usize, peer: usize, channel: i32, answer: bool) -> Judgement {
        let sent_to_us = |m: &Message| (m.from, m.to, m.channel) == (peer, who, channel);
        let may_have_come = self.messages.values().any(sent_to_us);
        let others_may_have_come =
            self.messages.values().any(|m| (m.from, m.to) == (peer, who) && m.channel != channel);
        let side = self.side(who, peer);
        // A failed session that once stood keeps its channels until the last is closed.
        let failed = matches!(side.stage, Stage::Failed(_) | Stage::Lost(_));
        let live = failed || matches!(side.stage, Stage::Opened | Stage::Connected);
        let is_open = live && (side.stood || !failed) && side.open.contains(&channel);
        let law = "closeChannel is true for an open channel";
        hold(!is_open || answer, law, || format!("channel {channel} is open in {:?}", side.stage))?;
        let may_be_open =
            live && (side.open.contains(&channel) || side.may_be_open.contains(&channel) || may_have_come);
        hold(!answer || may_be_open, law, || format!("channel {channel} was never open"))?;
        if !answer {
            return Ok(());
        }
        side.open.remove(&channel);
        side.may_be_open.remove(&channel);
        side.gaps.insert(channel);
        let was_last = side.open.is_empty();
        let others_may_be_open = others_may_have_come || !side.may_be_open.is_empty();
        let now = self.now;
        let side = self.side(who, peer);
        side.channel_closes.insert(channel, now);
        if was_last && !others_may_be_open {
            self.close_now(who, peer);
        } else if was_last {
            side.closing = Some(now); // an unread message of another channel keeps the session
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one call of the app, as it was")]
    pub(super) fn send(
        &mut self,
        who: usize,
        to: usize,
        id: usize,
        channel: i32,
        flags: i32,
        size: usize,
        answer: i32,
        session: u32,
    ) -> Judgement {
        let (allowed, why) = self.answers(who, to, flags, size);
        hold(allowed.contains(&answer), "a send answers as its state says", || {
            format!("{answer} where {allowed:?} would be right: {why}")
        })?;
        let now = self.now;
        let side = self.side(who, to);
        let stage = side.stage;
        if answer == 3 && matches!(stage, Stage::Lost(_)) {
            self.finish(who, to, Stage::Nothing);
            return Ok(());
        }
        // Even a refused send says yes.
        if stage == Stage::Asked && to != INVALID && size <= 524_288 {
            self.say_yes(who, to);
        }
        if answer != 1 {
            return Ok(());
        }
        let mut reliable = flags & RELIABLE != 0;
        match stage {
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) => {
                self.begin(who, to, session, if to == who { Stage::Connected } else { Stage::Opened });
                let there = self.sides.get(&(to, who)).map_or(Stage::Nothing, |side| side.stage);
                let has_room = to < self.setup.len() && self.pending(to) < self.setup.hosts[to].max_pending as usize;
                if to != who && there == Stage::Nothing && has_room {
                    self.promise(Due::Request, to, who, session);
                }
            }
            _ => {}
        }
        if to != who && matches!(self.side(who, to).stage, Stage::Opened) {
            reliable |= !self.setup.hosts[who].settings.early_unreliable;
            // The peer wants to talk as well: nobody needs to be asked.
            self.promises.retain(|p| !(p.what == Due::Request && (p.at, p.of) == (who, to)));
        }
        let side = self.side(who, to);
        side.uses.push(now);
        side.charged += charge(size);
        side.open.insert(channel);
        let number = side.numbers.entry((channel, reliable)).or_default();
        *number += 1;
        let number = *number;
        let (reopened, begun) = (side.reopened, side.begun);
        let message = Message {
            from: who,
            to,
            session,
            channel,
            reliable,
            number,
            size,
            at: now,
            begun,
            arrived: None,
            read: None,
            reopened,
        };
        self.by_number.entry((who, to, channel, reliable, number)).or_default().push(id);
        self.messages.insert(id, message);
        Ok(())
    }

    /// What a send may answer now, and why.
    fn answers(&self, who: usize, to: usize, flags: i32, size: usize) -> (Vec<i32>, &'static str) {
        let nothing = Side::default();
        let side = self.sides.get(&(who, to)).unwrap_or(&nothing);
        let settings = &self.setup.hosts[who].settings;
        let no_delay = flags & NO_DELAY != 0 && flags & RELIABLE == 0;
        let buffer = u64::from(settings.send_buffer_size);
        let fits_alone = charge(size) <= buffer;
        let may_be_full = side.reopened || side.charged + charge(size) > buffer;
        let most = if to < self.setup.len() { self.setup.hosts[to].settings.recv_max_message_size } else { u32::MAX };
        if to == INVALID || size > 524_288 {
            return (vec![8], "nobody, or too large");
        }
        if to == who {
            return (self.answers_to_oneself(who, flags, size), "to oneself");
        }
        let may_be_too_large = size > most as usize;
        match side.stage {
            Stage::Opened if may_be_too_large && no_delay => (vec![8, 41], "the handshake may have told the limit"),
            Stage::Opened if may_be_too_large => (vec![1, 8, 25], "the handshake may have told the limit"),
            Stage::Failed(_) | Stage::Lost(_) if flags & RESTART == 0 => (vec![3], "the session failed"),
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) | Stage::Opened if no_delay => {
                (vec![41], "NO_DELAY, and not connected")
            }
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) if fits_alone => (vec![1], "a new session"),
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) => (vec![25], "larger than the send buffer"),
            Stage::Opened if !may_be_full => (vec![1], "room in the send buffer"),
            Stage::Opened if !side.reopened && side.charged + charge(size) > buffer + EARLY_ROOM => {
                (vec![25], "no room in the send buffer")
            }
            Stage::Opened => (vec![1, 25], "the first packet may have made room"),
            _ if may_be_too_large => (vec![8], "larger than the peer takes"),
            Stage::Asked if no_delay && fits_alone => (vec![1], "the first message after the yes"),
            Stage::Asked if fits_alone => (vec![1], "the first message after the yes"),
            Stage::Asked => (vec![25], "larger than the send buffer"),
            Stage::Connected => {
                let mut allowed = vec![1];
                allowed.extend(may_be_full.then_some(25));
                allowed.extend((no_delay && side.charged > 0).then_some(41));
                if !fits_alone {
                    allowed.retain(|answer| *answer != 1);
                }
                (allowed, "connected")
            }
        }
    }

    fn answers_to_oneself(&self, who: usize, flags: i32, size: usize) -> Vec<i32> {
        let settings = &self.setup.hosts[who].settings;
        let unread = |m: &&Message| (m.from, m.to) == (who, who) && m.read.is_none();
        let (count, bytes) =
            self.messages.values().filter(unread).fold((0, 0), |(count, bytes), m| (count + 1, bytes + m.size));
        let (most, room) = (settings.recv_buffer_messages as usize, settings.recv_buffer_size as usize);
        match (count >= most || bytes + size > room.max(size), flags & RELIABLE != 0) {
            (true, true) => vec![1, 25], // given up, or pushed out, ones may be counted
            _ => vec![1],
        }
    }
}

/// What the send buffer is charged for a message.
fn charge(size: usize) -> u64 {
    (size as u64).max(32)
}
