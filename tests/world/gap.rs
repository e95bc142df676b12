//! The instant at which an idle session ends: whatever is said around it arrives, or its sender learns.

use crate::app::{CONNECTED, NONE, RELIABLE, ms, secs};
use crate::sim::{Node, World};
use steamnetmsg::time::{Duration, Instant};

/// Two whose session is unused since the greeting. The same seed gives the same instants until somebody speaks.
fn idle_pair(seed: u64, loss: f32) -> (World, Node, Node) {
    let mut world = World::new(seed);
    world.weather.loss = loss;
    let (a, b) = world.connected_pair();
    world.accept_all(a);
    world.accept_all(b);
    (world, a, b)
}

/// When the session ends here and there, if nobody speaks.
fn ends(seed: u64, loss: f32) -> [Instant; 2] {
    let (mut world, a, b) = idle_pair(seed, loss);
    world.run(secs(170));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    let mut ends = [None, None];
    world.run_until(secs(30), |w| {
        for (end, (here, there)) in ends.iter_mut().zip([(a, b), (b, a)]) {
            if end.is_none() && w.state(here, there) == NONE {
                *end = Some(w.now());
            }
        }
        ends.iter().all(Option::is_some)
    });
    ends.map(|end| end.expect("the session ends"))
}

/// One of both, or both, speak at `at`: each message arrives once, whole, or its sender is told.
fn speak(seed: u64, loss: f32, at: Instant, speakers: &[bool; 2]) {
    let (mut world, a, b) = idle_pair(seed, loss);
    let rest = at.saturating_since(world.now());
    world.run(rest);
    let pairs = [(a, b), (b, a)];
    for (_, (from, to)) in speakers.iter().zip(pairs).filter(|(speaks, _)| **speaks) {
        world.send(from, to, 7, RELIABLE, b"mind the gap").expect("the old session or a new one takes it");
    }
    let mut heard = [0, 0];
    world.run_until(if loss > 0.0 { secs(25) } else { secs(9) }, |w| {
        for (heard, (from, to)) in heard.iter_mut().zip(pairs) {
            *heard +=
                w.receive(to, 7).iter().filter(|m| &*m.payload == b"mind the gap" && m.from == w.id(from)).count();
        }
        false
    });
    for ((speaks, heard), (from, to)) in speakers.iter().zip(heard).zip(pairs) {
        let told = world.failures(from, to).len();
        let what = format!("seed {seed}, loss {loss}, at {at:?}, {speakers:?}: {from:?} was heard {heard} times");
        assert!(heard == usize::from(*speaks) || (*speaks && heard == 0 && told > 0), "{what}, told {told} times");
        assert!(told == 0 || loss > 0.0, "{what}, told {told} times");
    }
}

const SPEAKERS: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

#[test]
fn in_every_millisecond_around_the_agreement_each_message_arrives() {
    for seed in crate::seeds(2) {
        let [first, last] = {
            let mut e = ends(seed, 0.0);
            e.sort_unstable();
            e
        };
        let mut at = first - ms(120);
        while at < last + ms(80) {
            for speakers in &SPEAKERS {
                speak(seed, 0.0, at, speakers);
            }
            at += ms(1);
        }
    }
}

#[test]
fn around_the_agreement_each_message_arrives_through_loss_too() {
    for seed in crate::seeds(30) {
        let loss = [5.0, 20.0, 30.0][(seed % 3) as usize];
        let [first, last] = {
            let mut e = ends(seed, loss);
            e.sort_unstable();
            e
        };
        let mut at = first - ms(120);
        while at < last + ms(80) {
            speak(seed, loss, at, &SPEAKERS[(at.as_micros() / 1_000 % 3) as usize]);
            at += Duration::from_micros(7_300);
        }
    }
}
