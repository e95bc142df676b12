//! What is read, what waits, and what must have come in the end.

use super::{Broken, FLIGHT, Judgement, Message, Model, Side, Stage, hold};
use crate::log::Got;
use crate::play::SHORT_IDLE;
use std::collections::BTreeMap;
use steamnetmsg::time::Instant;

impl Model<'_> {
    pub(super) fn read(&mut self, who: usize, channel: i32, got: &Got) -> Judgement {
        let Got { from, number, reliable, size, received, .. } = *got;
        let what = || format!("message {number} of {from} on channel {channel}, {size} bytes");
        hold(got.intact, "nothing is altered", what)?;
        let id = self.identify(who, channel, got)?;
        let user_data = self.setup.hosts[who].settings.user_data;
        hold(got.user_data == user_data, "the user data is the session's", what)?;
        let Some(message) = self.messages.get_mut(&id) else {
            return hold(false, "nothing is invented", what);
        };
        hold(message.read.is_none(), "nothing comes twice", what)?;
        hold(message.at <= received && received <= self.now, "nothing comes early", what)?;
        hold(message.reliable == reliable, "reliable stays reliable", what)?;
        hold(message.number == number || message.reopened, "numbers count from 1", || {
            format!("{}, which was sent as number {}", what(), message.number)
        })?;
        message.arrived = Some(received);
        message.read = Some(self.now);
        // What moved to a new session may have come in the one before.
        let (session, reopened, begun) = (message.session, message.reopened, message.begun);
        let last = self.last_arrival.insert((who, channel), received).unwrap_or(Instant::ZERO);
        hold(last <= received, "a channel is read in order of arrival", what)?;
        let side = self.side(who, from);
        if who != from {
            let meanwhile = |(start, end): &(Instant, Option<Instant>)| {
                *start <= received && end.is_none_or(|end| end >= received && end >= begun)
            };
            hold(side.engaged.iter().any(meanwhile), "nothing comes before the yes", what)?;
        }
        let dropped = side.closes.last().max(side.channel_closes.get(&channel)).copied();
        hold(dropped.is_none_or(|at| received >= at), "closing gives up what is unread", what)?;
        if reliable {
            let gap = side.gaps.remove(&channel);
            let before = side.last_read.insert(channel, (session, number));
            let (last_session, last_number) = before.unwrap_or((0, 0));
            let first = session != last_session;
            let next = if first { 1 } else { last_number + 1 };
            hold(session >= last_session, "order is kept", what)?;
            let in_order = number == next || (gap && number > next) || reopened;
            hold(in_order, "order is kept", || format!("{} where {next} is next", what()))?;
        }
        if side.stage == Stage::Connected && side.begun <= received {
            side.open.insert(channel);
        }
        Ok(())
    }

    /// Which of the messages sent this is.
    fn identify(&self, who: usize, channel: i32, got: &Got) -> Result<usize, Broken> {
        let what = || format!("message {} of {} on channel {channel}", got.number, got.from);
        if let Some(id) = got.id {
            let right = |m: &Message| (m.from, m.to, m.channel, m.size) == (got.from, who, channel, got.size);
            hold(self.messages.get(&id).is_some_and(right), "nothing is invented", what)?;
            return Ok(id);
        }
        // Too short to say which: the latest that it may be.
        let key = (got.from, who, channel, got.reliable, got.number);
        let same = self.by_number.get(&key).map(Vec::as_slice).unwrap_or_default();
        let fits = |id: &&usize| self.messages[*id].size == got.size && self.messages[*id].at <= got.received;
        let unread = same.iter().rev().filter(fits).find(|id| self.messages[*id].read.is_none());
        // Those that moved to a new session count anew there.
        let moved = |m: &Message| m.reopened && m.read.is_none() && m.size == got.size && m.at <= got.received;
        let ours = |m: &Message| (m.from, m.to, m.channel) == (got.from, who, channel);
        let moved = || self.messages.iter().find(|(_, m)| ours(m) && moved(m)).map(|(id, _)| *id);
        let found = unread.copied().or_else(moved).or(same.iter().rev().find(fits).copied());
        found.ok_or_else(|| Broken { law: "nothing is invented", text: what() })
    }

    pub(super) fn wait(&mut self, who: usize, messages: usize, events: usize) -> Judgement {
        let settings = &self.setup.hosts[who].settings;
        let pending = self.pending(who);
        let most = self.setup.hosts[who].max_pending as usize;
        hold(pending <= most, "pending requests are bounded", || format!("{pending} of {most}"))?;
        hold(events <= 1_024 + most, "events are bounded", || format!("{events} wait"))?;
        // Each session holds so many reliable and so many unreliable ones.
        let sessions = self.sessions.keys().filter(|(_, to, _)| *to == who).count();
        let room = 2 * settings.recv_buffer_messages as usize * (sessions + 1);
        hold(messages <= room, "unread messages are bounded", || format!("{messages} wait, {room} would be many"))
    }

    pub(super) fn end(&mut self) -> Judgement {
        for (id, message) in &self.messages {
            if message.reliable && message.read.is_none() && !self.may_be_lost(message) {
                let text = format!("message {id} was answered 1 and never came: {message:?}");
                return hold(false, "nothing is lost in silence", || text);
            }
        }
        self.check_unread_bounds()?;
        for a in 0..self.setup.len() {
            for b in (0..self.setup.len()).filter(|b| *b != a) {
                let state = |a, b| self.sides.get(&(a, b)).map_or(0, |side: &Side| side.state);
                let (here, there) = (state(a, b), state(b, a));
                let both = || format!("{a} sees {b} in {here}, {b} sees {a} in {there}");
                hold(here != 1, "nothing opens for ever", both)?;
                hold((here == 3) == (there == 3), "both sides agree in the end", both)?;
                let short = |at: usize| self.setup.hosts[at].settings.session_idle_timeout <= SHORT_IDLE;
                let all_short = (0..self.setup.len()).all(short);
                hold(!all_short || here == 0, "an idle session ends", both)?;
            }
        }
        Ok(())
    }

    /// Is there a reason, told to somebody, why this message did not come?
    fn may_be_lost(&self, m: &Message) -> bool {
        let Some((begun, end)) = self.sessions.get(&(m.from, m.to, m.session)) else { return true };
        let ours = &self.sides[&(m.from, m.to)];
        let meanwhile = |at: &Instant| *at + FLIGHT >= *begun && end.is_none_or(|end| end + FLIGHT >= *at);
        // Its sender closed the session, was killed, or was told that it failed.
        let sender_knows = ours.closes.iter().chain(&ours.kills).any(|at| *at >= m.at && Some(*at) == *end)
            || self.failures.contains(&(m.from, m.to, m.session));
        // Its receiver closed the session, or was killed; either gives up what came before and is unread, be it
        // of a session that has ended.
        let Some(theirs) = self.sides.get(&(m.to, m.from)) else { return sender_knows };
        let receiver_ended = theirs.closes.iter().chain(&theirs.kills).any(|at| *at >= m.at || meanwhile(at));
        let gave_up = theirs.channel_closes.get(&m.channel).is_some_and(|at| *at >= m.at);
        sender_knows || receiver_ended || gave_up
    }

    /// Never more unread reliable messages of one session than granted; one alone may be larger.
    fn check_unread_bounds(&self) -> Judgement {
        let mut by_session: BTreeMap<_, Vec<(Instant, bool, usize)>> = BTreeMap::new();
        for m in self.messages.values().filter(|m| m.reliable && m.from != m.to && !m.reopened) {
            if let (Some(arrived), Some(read)) = (m.arrived, m.read) {
                let changes = by_session.entry((m.to, m.from, m.session)).or_default();
                changes.push((arrived, true, m.size));
                changes.push((read, false, m.size));
            }
        }
        for ((who, from, _), mut changes) in by_session {
            changes.sort_by_key(|(at, comes, _)| (*at, *comes));
            let settings = &self.setup.hosts[who].settings;
            let (mut count, mut bytes, mut with_bytes) = (0i64, 0i64, 0i64);
            for (at, comes, size) in changes {
                let sign = if comes { 1 } else { -1 };
                count += sign;
                bytes += sign * size as i64;
                with_bytes += sign * i64::from(size > 0);
                let kept = count <= i64::from(settings.recv_buffer_messages)
                    && (with_bytes <= 1 || bytes <= i64::from(settings.recv_buffer_size));
                hold(kept, "unread messages are bounded", || {
                    format!("{count} of {from} with {bytes} bytes waited at {who} at {at:?}")
                })?;
            }
        }
        Ok(())
    }
}
