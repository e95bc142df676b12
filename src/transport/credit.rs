//! Flow control: how much of reliable messages may be started before the receiver's app has read.
//!
//! Grants are cumulative over a session's life, per session and per channel, in bytes and messages.
//! A message starts only when its whole size is granted, so that half-received giants cannot fill the
//! buffer. A message larger than the whole window starts when everything before it has been read.

/// The sender's side of one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendCredit {
    window_bytes: u64,
    granted_bytes: u64,
    granted_messages: u64,
    started_bytes: u64,
    started_messages: u64,
}

impl SendCredit {
    /// The grant every session or channel begins with.
    pub fn new(window_bytes: u64, window_messages: u64) -> SendCredit {
        SendCredit {
            window_bytes,
            granted_bytes: window_bytes,
            granted_messages: window_messages,
            started_bytes: 0,
            started_messages: 0,
        }
    }

    /// May a message of this size start?
    pub fn allows(&self, size: u64) -> bool {
        self.started_messages < self.granted_messages
            && (self.started_bytes + size <= self.granted_bytes
                || self.started_bytes + self.window_bytes <= self.granted_bytes)
    }

    /// A message of this size starts.
    pub fn start(&mut self, size: u64) {
        debug_assert!(self.allows(size));
        self.started_bytes += size;
        self.started_messages += 1;
    }

    /// A grant arrived; an older one changes nothing.
    pub fn grant(&mut self, bytes: u64, messages: u64) {
        self.granted_bytes = self.granted_bytes.max(bytes);
        self.granted_messages = self.granted_messages.max(messages);
    }

    /// The cumulative bytes a message of this size needs.
    pub fn needed(&self, size: u64) -> u64 {
        self.started_bytes + size
    }
}

/// The receiver's side of one grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveCredit {
    window_bytes: u64,
    window_messages: u64,
    received_bytes: u64,
    received_messages: u64,
    consumed_bytes: u64,
    consumed_messages: u64,
    granted_bytes: u64,
    granted_messages: u64,
    /// What the sender said it needs, while it is blocked.
    needed: Option<u64>,
}

impl ReceiveCredit {
    /// The grant every session or channel begins with.
    pub fn new(window_bytes: u64, window_messages: u64) -> ReceiveCredit {
        ReceiveCredit {
            window_bytes,
            window_messages,
            received_bytes: 0,
            received_messages: 0,
            consumed_bytes: 0,
            consumed_messages: 0,
            granted_bytes: window_bytes,
            granted_messages: window_messages,
            needed: None,
        }
    }

    /// May the sender have started a message of this size? False is a violation. An empty one takes no bytes: it may
    /// come late, behind one larger than the window that was started after it.
    pub fn allows(&self, size: u64) -> bool {
        let has_bytes = self.received_bytes + size <= self.granted_bytes || self.received_bytes == self.consumed_bytes;
        self.received_messages < self.granted_messages && (has_bytes || size == 0)
    }

    /// The largest message number that may have been started, counted from 1.
    pub fn granted_messages(&self) -> u64 {
        self.granted_messages
    }

    /// A message of this size was seen for the first time.
    pub fn receive(&mut self, size: u64) {
        self.received_bytes += size;
        self.received_messages += 1;
    }

    /// The app read, or gave up, so much.
    pub fn consume(&mut self, bytes: u64, messages: u64) {
        self.consumed_bytes += bytes;
        self.consumed_messages += messages;
        debug_assert!(self.consumed_bytes <= self.received_bytes);
    }

    /// The sender is held back until it may start `needed` bytes in all.
    pub fn handle_blocked(&mut self, needed: u64) {
        self.needed = Some(self.needed.map_or(needed, |n| n.max(needed)));
    }

    /// Does the sender wait for a grant?
    pub fn is_needed(&self) -> bool {
        self.needed.is_some()
    }

    /// Is a new grant worth a frame? When a quarter of the window was read, or the sender waits for it.
    pub fn wants_grant(&self) -> bool {
        let bytes = self.consumed_bytes + self.window_bytes - self.granted_bytes;
        let messages = self.consumed_messages + self.window_messages - self.granted_messages;
        if bytes * 4 >= self.window_bytes || messages * 4 >= self.window_messages {
            return bytes > 0 || messages > 0;
        }
        let all_read = self.received_bytes == self.consumed_bytes;
        self.needed.is_some_and(|needed| {
            (bytes > 0 || messages > 0) && (all_read || needed <= self.consumed_bytes + self.window_bytes)
        })
    }

    /// The grant to send now: bytes and messages, cumulative.
    pub fn grant(&mut self) -> (u64, u64) {
        self.granted_bytes = self.consumed_bytes + self.window_bytes;
        self.granted_messages = self.consumed_messages + self.window_messages;
        if self.needed.is_some_and(|n| n <= self.granted_bytes || self.received_bytes == self.consumed_bytes) {
            self.needed = None;
        }
        (self.granted_bytes, self.granted_messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        /// Any sizes, windows and reading pace: the sender always gets on, never over the window.
        #[test]
        fn reading_everything_always_lets_the_next_message_start(
            window in 1u64..2_000, messages in 1u64..20, sizes in proptest::collection::vec(0u64..3_000, 1..60), pace in 1usize..7,
        ) {
            let mut sender = SendCredit::new(window, messages);
            let mut receiver = ReceiveCredit::new(window, messages);
            let mut unread: VecDeque<u64> = VecDeque::new();
            let mut held = 0;
            for size in sizes {
                let mut rounds = 0;
                while !sender.allows(size) {
                    receiver.handle_blocked(sender.needed(size));
                    for _ in 0..pace {
                        if let Some(read) = unread.pop_front() {
                            held -= read;
                            receiver.consume(read, 1);
                        }
                    }
                    if receiver.wants_grant() {
                        let (bytes, count) = receiver.grant();
                        sender.grant(bytes, count);
                    }
                    rounds += 1;
                    prop_assert!(rounds < 200, "blocked for ever on {size} of {window}");
                }
                sender.start(size);
                prop_assert!(receiver.allows(size));
                receiver.receive(size);
                unread.push_back(size);
                held += size;
                prop_assert!(held <= window.max(size));
                prop_assert!(unread.len() as u64 <= messages);
            }
        }
    }

    #[test]
    fn a_small_message_read_at_once_costs_no_grant() {
        let mut receiver = ReceiveCredit::new(1_000_000, 1_000);
        receiver.receive(100);
        receiver.consume(100, 1);
        assert!(!receiver.wants_grant());
    }
}
