//! Many who ask at once: what they may cost is bounded, and friends notice nothing.

use crate::app::{CONNECTED, CONNECTING, NONE, RELIABLE, ms, secs};
use crate::sim::{Node, World};
use crate::traffic::{Flow, Sizes};
use steamnetmsg::drops::Dropped;

fn pending(world: &mut World, at: Node, strangers: &[Node]) -> usize {
    strangers.iter().filter(|stranger| world.state(at, **stranger) == CONNECTING).count()
}

#[test]
fn a_thousand_strangers_leave_a_bounded_number_of_requests_and_a_session_unharmed() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let strangers: Vec<Node> = (0..1_000).map(|n| world.add(10_000 + n)).collect();
    let mut flow = Flow::new(&world, a, b, 1, 400, Sizes::UpTo(1_000));
    for (n, stranger) in strangers.iter().enumerate() {
        let address = world.address(b);
        world.tell_address(*stranger, b, address);
        world.send(*stranger, b, 1, RELIABLE, &[3; 1_000]).expect("queued");
        if n % 5 == 0 {
            flow.send_next(&mut world);
            world.run(ms(10));
            flow.receive(&mut world);
        }
        if n % 100 == 99 {
            let pending = pending(&mut world, b, &strangers);
            assert!(pending <= 64, "{pending} requests are pending");
        }
    }
    assert!(pending(&mut world, b, &strangers) >= 32, "there is room for many all the same");
    for _ in 0..200 {
        flow.send_next(&mut world);
        world.run(ms(10));
        flow.receive(&mut world);
    }
    world.run(secs(1));
    flow.receive(&mut world);
    assert!(flow.is_done(), "{} of 400 arrived", flow.received);
    assert_eq!(world.machine(b).mailbox().waiting(), 0, "nothing of a stranger is delivered");
    assert!(
        world.machine(b).drops().of(Dropped::TooManyStrangers) + world.machine(b).drops().of(Dropped::CookieNeeded) > 0
    );
    world.run(secs(25));
    assert_eq!(pending(&mut world, b, &strangers), 0, "requests expire");
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    for stranger in strangers {
        assert!(world.failures(b, stranger).is_empty(), "who ignores is not bothered");
        assert_eq!(world.failures(stranger, b).len(), 1, "who is ignored is told");
    }
}

#[test]
fn events_nobody_takes_are_bounded() {
    let mut world = World::new(1);
    let b = world.add(1_002);
    world.host(b).keeps_events = true;
    let address = world.address(b);
    for n in 0..300 {
        let stranger = world.add(10_000 + n);
        world.tell_address(stranger, b, address);
        world.send(stranger, b, 1, RELIABLE, b"x").expect("queued");
        world.run(ms(200));
    }
    world.run(secs(5));
    let waiting = world.machine(b).events_waiting();
    assert!((1..=4_096).contains(&waiting), "{waiting} events wait");
}

#[test]
fn a_pending_stranger_grows_with_nothing_it_sends() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    let mut flow = Flow::new(&world, a, b, 1, 100_000, Sizes::UpTo(1_000));
    world.listen();
    for _ in 0..400 {
        while flow.send_next(&mut world) {}
        world.run(ms(20));
    }
    assert_eq!(world.state(b, a), CONNECTING);
    assert_eq!(world.machine(b).mailbox().waiting(), 0);
    let status = world.status(a, b);
    assert!(
        status.pending_reliable + status.send_unacknowledged_reliable >= 500_000,
        "it waits at the sender: {status:?}"
    );
    // Told to hold, the requester does not go on sending.
    let sent: usize = world.take_overheard().iter().filter(|d| d.from == a).map(|d| d.bytes.len()).sum();
    assert!(sent <= 60_000, "{sent} bytes for one request in 8 s");
}

#[test]
fn room_freed_by_an_answer_is_room_for_the_next_stranger() {
    let mut world = World::new(1);
    let b = world.add_with(1_002, |config| config.max_pending_requests = 2);
    let address = world.address(b);
    let strangers: Vec<Node> = (0..3).map(|n| world.add(10_000 + n)).collect();
    for stranger in &strangers {
        world.tell_address(*stranger, b, address);
        world.send(*stranger, b, 1, RELIABLE, b"x").expect("queued");
        world.run(ms(300));
    }
    assert_eq!(strangers.iter().filter(|s| !world.requests(b, **s).is_empty()).count(), 2);
    assert!(world.accept(b, strangers[0]));
    assert!(world.close(b, strangers[1]));
    world.wait("the third one is announced", secs(5), |w| !w.requests(b, strangers[2]).is_empty());
    assert_eq!(world.state(b, strangers[0]), CONNECTED);
    assert_eq!(world.state(b, strangers[1]), NONE);
    // What one asks for oneself is not a stranger's request.
    let friend = world.add(1_003);
    world.introduce(b, friend);
    world.connect(b, friend);
}
