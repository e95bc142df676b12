//! A conversation written down with its secrets, for a reader who knows the wire from its document alone.
//!
//! `make test-wire` sets `SNM_CONVERSATIONS` to a folder and `SNM_CONVERSATION_SEED` to a number nobody has tried, and
//! lets `tests/wire/check_conversation.py` read what is written there. The secrets are found as their owners drew them:
//! from the seed of their world.

use crate::app::*;
use crate::sim::{Node, Overheard, World};
use ring::digest;
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use std::fmt::Write;
use std::path::PathBuf;
use steamnetmsg::crypto::random::Random;
use steamnetmsg::endpoint::faults::Direction;

/// First bytes of INIT and RESPONSE, and where their ephemeral keys begin.
const EPHEMERALS: [(u8, usize); 2] = [(0xe0, 18), (0xe2, 9)];

/// So far into an endpoint's draws an ephemeral key is looked for, bytes.
const FIRST_DRAWS: usize = 4_096;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("X25519 is built in");
    dh.set(private);
    dh.pubkey().try_into().expect("32 bytes")
}

/// Kind, channel, size and the beginning of the SHA-256 of a message.
fn told(reliable: bool, channel: i32, payload: &[u8]) -> String {
    let kind = if reliable { "reliable" } else { "unreliable" };
    let hash = digest::digest(&digest::SHA256, payload);
    format!("{kind} {channel} {} {}", payload.len(), hex(&hash.as_ref()[..8]))
}

/// The identity seed and the private keys of `node`, whose ephemeral key was seen on the wire.
fn secrets(world: &World, node: Node, ephemeral: &[u8]) -> [[u8; 32]; 3] {
    let mut random = Random::from_seed(world.seed_of(node));
    let (identity, static_key) = (random.bytes(), random.bytes());
    let draws: [u8; FIRST_DRAWS] = random.bytes();
    let mut candidates = draws.windows(32).step_by(4);
    let found = candidates.find_map(|draw| {
        let private = Random::from_seed(draw.try_into().expect("32 bytes")).bytes();
        (public(&private)[..] == *ephemeral).then_some(private)
    });
    [identity, static_key, found.expect("it was drawn early")]
}

struct Talk {
    world: World,
    sides: [Node; 2],
    sent: [Vec<String>; 2],
    received: [Vec<String>; 2],
}

impl Talk {
    fn new(seed: u64) -> Talk {
        let mut world = World::new(seed);
        world.weather = Direction { loss: 4.0, reorder: 3.0, reorder_time: ms(40), dup: 2.0, ..world.weather.clone() };
        world.listen();
        // Small enough that grants have to follow.
        let [alice, bob] = [1_001, 1_002].map(|id| world.add_with(id, |c| c.settings.recv_buffer_size = 64 * 1_024));
        world.introduce(alice, bob);
        world.accept_all(bob);
        Talk { world, sides: [alice, bob], sent: Default::default(), received: Default::default() }
    }

    fn send(&mut self, side: usize, channel: i32, flags: i32, payload: &[u8]) {
        let (from, to) = (self.sides[side], self.sides[1 - side]);
        self.world.send(from, to, channel, flags, payload).expect("there is room for little");
        self.sent[side].push(told(flags == RELIABLE, channel, payload));
    }

    fn send_something(&mut self, side: usize) {
        let dice = &mut self.world.dice;
        let channel = dice.below(5) as i32 - 2;
        let flags = if dice.percent(60.0) { RELIABLE } else { UNRELIABLE };
        let most = [4, 300, 20_000][dice.below(3) as usize];
        let payload: Vec<u8> = (0..dice.below(most)).map(|_| dice.below(256) as u8).collect();
        self.send(side, channel, flags, &payload);
    }

    fn receive(&mut self, side: usize) {
        for channel in -2..3 {
            for message in self.world.receive(self.sides[side], channel) {
                let reliable = message.reliable;
                self.received[side].push(told(reliable, channel, &message.payload));
            }
        }
    }

    /// Everything a reader needs, in the format of the vectors.
    fn write(&mut self) -> String {
        let overheard = self.world.take_overheard();
        let mut text =
            format!("# Two endpoints of the world of seed {}.\n\n[handshake]\napp = 480\n", self.world.seed());
        for (side, name) in ["alice", "bob"].into_iter().enumerate() {
            let (kind, at) = EPHEMERALS[side];
            let shows = |o: &&Overheard| o.from == self.sides[side] && o.bytes[0] == kind;
            let ephemeral = &overheard.iter().find(shows).expect("the handshake was overheard").bytes[at..at + 32];
            let [identity, static_key, ephemeral] = secrets(&self.world, self.sides[side], ephemeral);
            let id = self.world.id(self.sides[side]).0;
            let _ = writeln!(text, "{name}_steam_id = {id}\n{name}_identity_seed = {}", hex(&identity));
            let _ = writeln!(text, "{name}_static_private = {}", hex(&static_key));
            let _ = writeln!(text, "{name}_ephemeral_private = {}", hex(&ephemeral));
        }
        text += "\n[datagrams]\n";
        for (n, datagram) in overheard.iter().enumerate() {
            let name = if datagram.from == self.sides[0] { "alice" } else { "bob" };
            let _ = writeln!(text, "{n}_{name} = {}", hex(&datagram.bytes));
        }
        for (side, name) in ["alice", "bob"].into_iter().enumerate() {
            for (what, messages) in [("sent", &self.sent[side]), ("received", &self.received[side])] {
                let _ = writeln!(text, "\n[{name} {what}]");
                messages.iter().enumerate().for_each(|(n, told)| {
                    let _ = writeln!(text, "{n} = {told}");
                });
            }
        }
        text
    }
}

#[test]
fn a_conversation_is_written_down_for_who_knows_the_wire_from_paper() {
    let seed = crate::number_from("SNM_CONVERSATION_SEED").unwrap_or(1);
    let mut talk = Talk::new(seed);
    talk.send(0, 0, RELIABLE, b"hello");
    let [alice, bob] = talk.sides;
    talk.world
        .wait("both are connected", secs(20), |w| w.state(alice, bob) == CONNECTED && w.state(bob, alice) == CONNECTED);
    for turn in 0..60 {
        for side in [0, 1] {
            for _ in 0..talk.world.dice.below(4) {
                talk.send_something(side);
            }
            talk.receive(side);
        }
        if turn == 30 {
            talk.world.rebind(alice);
        }
        talk.world.run(ms(200));
    }
    talk.world.wait("all that is reliable has arrived", secs(60), |w| {
        let left = |w: &mut World, a, b| w.status(a, b).send_unacknowledged_reliable + w.status(a, b).pending_reliable;
        left(w, alice, bob) + left(w, bob, alice) == 0
    });
    talk.world.run(secs(6)); // Unreliable pieces, qualities and keepalives.
    (0..2).for_each(|side| talk.receive(side));
    assert!(talk.world.close(alice, bob));
    talk.world.run(secs(6));

    let folder = std::env::var_os("SNM_CONVERSATIONS").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let file = PathBuf::from(folder).join(format!("conversation-{seed}.txt"));
    std::fs::write(&file, talk.write()).expect("the conversation can be written");
    let reliable = |told: &&String| told.starts_with("reliable");
    for side in [0, 1] {
        let (sent, received) =
            (talk.sent[side].iter().filter(reliable), talk.received[1 - side].iter().filter(reliable));
        assert_eq!(sent.count(), received.count(), "of side {side}");
    }
}
