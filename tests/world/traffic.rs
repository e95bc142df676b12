//! Reliable flows whose every message follows from a seed, so that the receiver knows what must come.

use crate::app::{RELIABLE, ms};
use crate::sim::{Node, World};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::faults::Dice;
use steamnetmsg::endpoint::mailbox::Message;
use steamnetmsg::time::Duration;

/// How big the messages of a flow are.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// 0 to 1,200 bytes, and one in a hundred up to 100 KB.
    Mixed,
    /// 0 up to so many bytes.
    UpTo(u64),
}

/// One side talking on one channel.
pub struct Flow {
    pub from: Node,
    pub to: Node,
    pub channel: i32,
    pub count: u64,
    pub sizes: Sizes,
    pub sent: u64,
    pub received: u64,
    /// Bytes of the messages sent and not received.
    pub under_way: u64,
    /// What was refused for want of room and goes next.
    waiting: Option<Vec<u8>>,
    seed: u64,
}

impl Flow {
    pub fn new(world: &World, from: Node, to: Node, channel: i32, count: u64, sizes: Sizes) -> Flow {
        let mut dice = Dice::new(world.seed() ^ world.id(from).0 << 24 ^ u64::from(channel.cast_unsigned()));
        Flow { from, to, channel, count, sizes, sent: 0, received: 0, under_way: 0, waiting: None, seed: dice.number() }
    }

    /// What the message with this number says. Numbers count from 1.
    pub fn message(&self, number: u64) -> Vec<u8> {
        let mut dice = Dice::new(self.seed ^ number.wrapping_mul(0x9e37_79b9));
        let size = match self.sizes {
            Sizes::Mixed if dice.below(100) == 0 => dice.below(100 * 1024 + 1),
            Sizes::Mixed => dice.below(1_201),
            Sizes::UpTo(most) => dice.below(most + 1),
        };
        let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| dice.number().to_le_bytes()).collect();
        bytes.truncate(size as usize);
        bytes
    }

    /// Sends the next message; false when there is none or no room for it.
    pub fn send_next(&mut self, world: &mut World) -> bool {
        if self.sent == self.count {
            return false;
        }
        let bytes = self.waiting.take().unwrap_or_else(|| self.message(self.sent + 1));
        match world.send(self.from, self.to, self.channel, RELIABLE, &bytes) {
            Ok(()) => {
                self.sent += 1;
                self.under_way += bytes.len() as u64;
                true
            }
            Err(SendError::LimitExceeded(_)) => {
                self.waiting = Some(bytes);
                false
            }
            Err(error) => panic!("message {} of channel {}: {error}", self.sent + 1, self.channel),
        }
    }

    /// Takes what has arrived; each message must be the next one, whole.
    pub fn receive(&mut self, world: &mut World) {
        for message in world.receive(self.to, self.channel) {
            self.check(world, &message);
        }
    }

    /// Checks that this is the next message of the flow.
    pub fn check(&mut self, world: &World, message: &Message) {
        self.received += 1;
        let what = format!("message {} of channel {}", self.received, self.channel);
        assert!(self.received <= self.sent, "{what} was never sent");
        let expected = self.message(self.received);
        self.under_way -= expected.len() as u64;
        assert_eq!(message.payload.len(), expected.len(), "{what} has another length");
        assert!(*message.payload == *expected, "{what} says something else");
        assert_eq!(
            (message.number, message.channel.0, message.reliable),
            (self.received, self.channel, true),
            "{what}"
        );
        assert_eq!(message.from, world.id(self.from), "{what}");
        assert!(message.received <= world.now(), "{what} comes from the future");
    }

    pub fn is_done(&self) -> bool {
        self.received == self.count
    }
}

/// Both ways on each of these channels.
pub fn both_ways(world: &World, a: Node, b: Node, channels: &[i32], count: u64, sizes: Sizes) -> Vec<Flow> {
    let ends = channels.iter().flat_map(|channel| [(a, b, *channel), (b, a, *channel)]);
    ends.map(|(from, to, channel)| Flow::new(world, from, to, channel, count, sizes)).collect()
}

/// Sends as much as there is room for, taking turns; then receives.
pub fn turn(world: &mut World, flows: &mut [Flow]) {
    let mut ready: Vec<usize> = (0..flows.len()).collect();
    while !ready.is_empty() {
        ready.retain(|index| flows[*index].send_next(world));
    }
    for flow in flows {
        flow.receive(world);
    }
}

/// Carries all flows to their end; fails when that takes longer than `limit`.
pub fn carry(world: &mut World, flows: &mut [Flow], limit: Duration) {
    let end = world.now() + limit;
    while !flows.iter().all(Flow::is_done) {
        turn(world, flows);
        world.run(ms(5));
        let state: Vec<_> = flows.iter().map(|flow| (flow.channel, flow.sent, flow.received, flow.count)).collect();
        assert!(world.now() < end, "not done after {limit:?}: (channel, sent, received, of) {state:?}");
    }
}
