//! What was seen of a world: every call with its answer, every event, every state. The model knows
//! nothing else.

use steamnetmsg::time::Instant;

/// One thing seen at one endpoint.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Instant,
    /// The endpoint, by number.
    pub who: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// What the info tells of a peer; looked at before and after each call, and told when it changed.
    /// `session` counts the sessions with this peer, 0 for none.
    Seen {
        peer: usize,
        state: i32,
        session: u32,
    },
    /// `session` is the one in which the message went.
    Sent {
        to: usize,
        id: usize,
        channel: i32,
        flags: i32,
        size: usize,
        answer: i32,
        session: u32,
    },
    Read {
        channel: i32,
        max: usize,
        got: Vec<Got>,
    },
    Accepted {
        peer: usize,
        answer: bool,
    },
    Closed {
        peer: usize,
        answer: bool,
    },
    ClosedChannel {
        peer: usize,
        channel: i32,
        answer: bool,
    },
    /// Event: somebody wants to talk.
    Requested {
        from: usize,
    },
    /// Event: a session failed.
    Failed {
        peer: usize,
        state: i32,
        reason: i32,
        text: String,
    },
    /// Nothing passes between the two.
    Cut {
        peer: usize,
    },
    Healed {
        peer: usize,
    },
    Killed,
    Started,
    Moved,
    /// What waits inside.
    Waiting {
        messages: usize,
        events: usize,
    },
    /// From here on: no loss, no cut, everybody alive, everything accepted and read, and no other call.
    Quiet,
    /// Enough of that.
    End,
}

/// How much was seen, so that it shows when worlds grow dull.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub worlds: u64,
    pub sent: u64,
    pub refused: u64,
    pub read: u64,
    pub requests: u64,
    pub failures: u64,
    pub connections: u64,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.sent += other.sent;
        self.refused += other.refused;
        self.read += other.read;
        self.requests += other.requests;
        self.failures += other.failures;
        self.connections += other.connections;
    }

    /// Counts one world more.
    pub fn count(&mut self, log: &[Entry]) {
        self.worlds += 1;
        for entry in log {
            match &entry.what {
                What::Sent { answer: 1, .. } => self.sent += 1,
                What::Sent { .. } => self.refused += 1,
                What::Read { got, .. } => self.read += got.len() as u64,
                What::Requested { .. } => self.requests += 1,
                What::Failed { .. } => self.failures += 1,
                What::Seen { state: 3, .. } => self.connections += 1,
                _ => {}
            }
        }
    }
}

/// A message the app got.
#[derive(Clone, Debug)]
pub struct Got {
    pub from: usize,
    /// Which message its bytes say it is; too short ones do not say.
    pub id: Option<usize>,
    /// The bytes are those of that message.
    pub intact: bool,
    pub size: usize,
    pub number: u64,
    pub reliable: bool,
    pub user_data: i64,
    pub received: Instant,
}
