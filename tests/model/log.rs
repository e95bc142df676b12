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
    Seen { peer: usize, state: i32, session: u32 },
    /// `session` is the one in which the message went.
    Sent { to: usize, id: usize, channel: i32, flags: i32, size: usize, answer: i32, session: u32 },
    Read { channel: i32, max: usize, got: Vec<Got> },
    Accepted { peer: usize, answer: bool },
    Closed { peer: usize, answer: bool },
    ClosedChannel { peer: usize, channel: i32, answer: bool },
    /// Event: somebody wants to talk.
    Requested { from: usize },
    /// Event: a session failed.
    Failed { peer: usize, state: i32, reason: i32, text: String },
    /// Nothing passes between the two.
    Cut { peer: usize },
    Healed { peer: usize },
    Killed,
    Started,
    Moved,
    /// What waits inside.
    Waiting { messages: usize, events: usize },
    /// From here on: no loss, no cut, everybody alive, everything accepted and read, and no other call.
    Quiet,
    /// Enough of that.
    End,
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
