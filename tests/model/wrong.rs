//! The model can fail: a right log is right, and each wrong one breaks the law it should.

use crate::contract::judge;
use crate::log::{Entry, Got, What};
use crate::script::{HostSetup, Setup};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::settings::Settings;
use steamnetmsg::time::{Duration, Instant};

fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000) + Duration::from_millis(ms)
}

fn setup() -> Setup {
    let settings = Settings { recv_buffer_messages: 3, early_unreliable: true, ..Settings::default() };
    let host = HostSetup { settings, max_pending: 2, accepts: false, reads: None };
    let link = Direction { lag: Duration::from_millis(25), ..Direction::default() };
    Setup { seed: 1, hosts: vec![host; 4], links: vec![vec![link; 4]; 4], damage: 0.0, restless: false }
}

fn entry(ms: u64, who: usize, what: What) -> Entry {
    Entry { at: at(ms), who, what }
}

fn seen(ms: u64, who: usize, peer: usize, state: i32, session: u32) -> Entry {
    entry(ms, who, What::Seen { peer, state, session })
}

fn sent(ms: u64, who: usize, to: usize, id: usize, flags: i32, answer: i32) -> Entry {
    entry(ms, who, What::Sent { to, id, channel: 0, flags, size: 10, answer, session: 1 })
}

fn got(received: u64, id: usize, number: u64, reliable: bool) -> Got {
    let received = at(received);
    Got { from: 0, id: Some(id), intact: true, size: 10, number, reliable, user_data: 0, received }
}

fn failed(ms: u64, who: usize, peer: usize, state: i32, reason: i32) -> Entry {
    entry(ms, who, What::Failed { peer, state, reason, text: "why".to_owned() })
}

/// Endpoint 0 asks, 1 accepts: connected at 300 ms.
fn meeting() -> Vec<Entry> {
    vec![
        sent(0, 0, 1, 0, 8, 1),
        seen(0, 0, 1, 1, 1),
        entry(100, 1, What::Requested { from: 0 }),
        seen(100, 1, 0, 1, 1),
        entry(200, 1, What::Accepted { peer: 0, answer: true }),
        seen(200, 1, 0, 3, 1),
        seen(300, 0, 1, 3, 1),
    ]
}

/// What endpoint 1 reads in the end: three reliable messages, and an unreliable one.
fn arrivals() -> Vec<Got> {
    vec![got(200, 0, 1, true), got(500, 1, 2, true), got(500, 2, 3, true), got(500, 3, 1, false)]
}

fn talk(got: Vec<Got>) -> Vec<Entry> {
    let mut log = meeting();
    log.extend([sent(400, 0, 1, 1, 8, 1), sent(400, 0, 1, 2, 9, 1), sent(400, 0, 1, 3, 0, 1)]);
    log.push(entry(600, 1, What::Read { channel: 0, max: 100, got }));
    log
}

fn end(mut log: Vec<Entry>) -> Vec<Entry> {
    log.extend([entry(10_000, 0, What::Quiet), entry(60_000, 0, What::End)]);
    log
}

#[track_caller]
fn right(log: Vec<Entry>) {
    assert_eq!(judge(&setup(), &log), Ok(()));
}

#[track_caller]
fn breaks(law: &str, log: Vec<Entry>) {
    let broken = judge(&setup(), &log).expect_err("this log is wrong");
    assert_eq!(broken.law, law, "{}", broken.text);
}

/// The talk, with what was read changed.
#[track_caller]
fn read_breaks(law: &str, change: impl FnOnce(&mut Vec<Got>)) {
    let mut got = arrivals();
    change(&mut got);
    breaks(law, end(talk(got)));
}

/// A meeting, and then these.
fn then(entries: impl IntoIterator<Item = Entry>) -> Vec<Entry> {
    meeting().into_iter().chain(entries).collect()
}

#[test]
fn a_right_log_breaks_no_law() {
    right(end(talk(arrivals())));
    // An unreliable message may be lost.
    let mut got = arrivals();
    got.pop();
    right(end(talk(got)));
}

#[test]
fn a_wrong_delivery_is_found() {
    read_breaks("nothing is lost in silence", |got| {
        got.remove(2);
    });
    read_breaks("order is kept", |got| {
        got.remove(1);
    });
    read_breaks("order is kept", |got| got.swap(1, 2));
    read_breaks("nothing comes twice", |got| got.push(got[1].clone()));
    read_breaks("nothing comes twice", |got| got.push(got[3].clone()));
    read_breaks("nothing comes early", |got| got[1].received = at(399));
    read_breaks("nothing comes early", |got| got[3].received = at(601));
    read_breaks("nothing comes before the yes", |got| got[0].received = at(150));
    read_breaks("nothing is invented", |got| got[1].id = Some(77));
    read_breaks("nothing is invented", |got| got[1].from = 2);
    read_breaks("nothing is altered", |got| got[1].intact = false);
    read_breaks("reliable stays reliable", |got| got[1].reliable = false);
    read_breaks("numbers count from 1", |got| got[0].number = 0);
    read_breaks("the user data is the session's", |got| got[0].user_data = 5);
}

#[test]
fn more_unread_than_granted_is_found() {
    let mut log = talk(Vec::new());
    log.pop();
    log.insert(9, sent(400, 0, 1, 9, 8, 1));
    let mut all = arrivals();
    all.insert(3, got(500, 9, 4, true));
    all[2] = got(500, 9, 3, true);
    all[3] = got(500, 2, 4, true);
    let judged = |all: Vec<Got>| {
        let mut log = log.clone();
        log.push(entry(600, 1, What::Read { channel: 0, max: 100, got: all }));
        end(log)
    };
    all.swap(2, 3);
    (all[2].number, all[3].number) = (3, 4);
    breaks("unread messages are bounded", judged(all));
}

#[test]
fn a_wrong_answer_is_found() {
    let law = "a send answers as its state says";
    for (flags, answer) in [(8, 3), (8, 25), (8, 41), (8, 8), (12, 41)] {
        breaks(law, then([sent(400, 0, 1, 1, flags, answer)]));
    }
    breaks(law, vec![sent(0, 0, 1, 0, 4, 1)]);
    breaks(law, vec![sent(0, 0, 1, 0, 8, 41)]);
    breaks("accept is true for a live session", vec![entry(0, 0, What::Accepted { peer: 1, answer: true })]);
    breaks("accept is true for a live session", then([entry(400, 0, What::Accepted { peer: 1, answer: false })]));
    breaks("close is true for a session", vec![entry(0, 0, What::Closed { peer: 1, answer: true })]);
    breaks("close is true for a session", then([entry(400, 0, What::Closed { peer: 1, answer: false })]));
    let channel = |channel, answer| then([entry(400, 0, What::ClosedChannel { peer: 1, channel, answer })]);
    breaks("closeChannel is true for an open channel", channel(0, false));
    breaks("closeChannel is true for an open channel", channel(7, true));
}

#[test]
fn a_failed_session_answers_3_until_it_is_closed_or_restarted() {
    let failed_at_10 = || {
        let cut = entry(400, 0, What::Cut { peer: 1 });
        then([cut, failed(10_400, 0, 1, 5, 5003), seen(10_400, 0, 1, 5, 1), failed(10_450, 1, 0, 5, 5003)])
    };
    let with = |more: Vec<Entry>| failed_at_10().into_iter().chain(more).collect::<Vec<_>>();
    right(with(vec![sent(11_000, 0, 1, 5, 8, 3), sent(11_000, 0, 1, 6, 8, 3)]));
    breaks("a send answers as its state says", with(vec![sent(11_000, 0, 1, 5, 8, 1)]));
    breaks("a send answers as its state says", with(vec![sent(11_000, 0, 1, 5, 40, 3)]));
    breaks("a session does not vanish", with(vec![seen(11_000, 0, 1, 0, 0)]));
    breaks("accept is true for a live session", with(vec![entry(11_000, 0, What::Accepted { peer: 1, answer: true })]));
    let closed = vec![entry(11_000, 0, What::Closed { peer: 1, answer: true }), sent(11_000, 0, 1, 5, 8, 1)];
    right(with(closed));
}

#[test]
fn a_missing_event_is_found() {
    // Nobody was told that 0 wants to talk.
    breaks("a request is told", vec![sent(0, 0, 1, 0, 8, 1), seen(0, 0, 1, 1, 1), entry(6_000, 0, What::Moved)]);
    // A session that stood is gone, or failed, and nobody says why.
    breaks("a session does not vanish", then([seen(5_000, 0, 1, 0, 0)]));
    breaks("a failure is told", then([seen(5_000, 0, 1, 5, 1)]));
    breaks("a failure is told", then([seen(5_000, 0, 1, 4, 1)]));
    // Nothing passes for long, and nobody notices.
    let cut = entry(400, 0, What::Cut { peer: 1 });
    breaks("silence is noticed", then([cut, entry(15_000, 2, What::Moved)]));
    // The yes went nowhere.
    let mut log = meeting();
    log.pop();
    log.push(entry(6_000, 2, What::Started));
    breaks("a yes connects", log);
}

#[test]
fn an_extra_event_is_found() {
    let request = |ms| entry(ms, 1, What::Requested { from: 0 });
    breaks("a request has somebody who asks", vec![request(0)]);
    breaks("requests are not told too often", then([request(1_000)]));
    breaks("no request while connected", then([request(8_000)]));
    breaks("a failure has somebody who waits", vec![failed(0, 0, 1, 5, 5003)]);
    let asked = meeting()[..4].to_vec();
    breaks("a failure has somebody who waits", [asked, vec![failed(12_000, 1, 0, 5, 5003)]].concat());
    let close = |who, peer| entry(400, who, What::Closed { peer, answer: true });
    breaks("a failure has somebody who waits", then([close(0, 1), failed(11_000, 0, 1, 5, 5003)]));
    breaks("a peer's close of a connected session is no failure", then([close(1, 0), failed(500, 0, 1, 4, 1001)]));
    breaks("a failure has a cause", then([failed(500, 0, 1, 5, 5001)]));
    breaks("a failure has a cause", then([failed(500, 0, 1, 5, 5003)]));
    breaks("a failure has a cause", then([failed(500, 0, 1, 5, 5010)]));
}

#[test]
fn a_wrong_state_is_found() {
    breaks("nothing connects without a yes", [meeting()[..4].to_vec(), vec![seen(150, 1, 0, 3, 1)]].concat());
    breaks("a session has a reason", vec![seen(0, 0, 1, 1, 1)]);
    breaks("states follow from what happened", then([seen(400, 0, 1, 1, 1)]));
    let closed = entry(400, 1, What::Closed { peer: 0, answer: true });
    let read = entry(350, 1, What::Read { channel: 0, max: 1, got: arrivals()[..1].to_vec() });
    breaks("both sides agree in the end", end(then([read, closed])));
    let cut = entry(0, 0, What::Cut { peer: 1 }); // so that nobody expects a request
    breaks("nothing opens for ever", end(vec![cut, sent(0, 0, 1, 0, 0, 1), seen(0, 0, 1, 1, 1)]));
}

#[test]
fn too_many_pending_requests_are_found() {
    let mut log = Vec::new();
    for who in [0, 2, 3] {
        log.push(sent(0, who, 1, who, 8, 1));
    }
    for from in [0, 2, 3] {
        log.extend([entry(100, 1, What::Requested { from }), seen(100, 1, from, 1, 1)]);
    }
    log.push(entry(100, 1, What::Waiting { messages: 0, events: 0 }));
    breaks("pending requests are bounded", log);
    breaks("events are bounded", vec![entry(0, 1, What::Waiting { messages: 0, events: 5_000 })]);
    breaks("unread messages are bounded", vec![entry(0, 1, What::Waiting { messages: 5_000, events: 0 })]);
}
