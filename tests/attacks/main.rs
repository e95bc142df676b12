//! Everybody who wants to be somebody else. Each attack is carried out twice: in the simulated world and over
//! real sockets; each ends refused, with the reason that names it, and nothing delivered.

#[path = "../world/app.rs"]
#[allow(dead_code)] // the kit of the simulated world, of which a part is enough here
mod app;
mod mallory;
#[path = "../world/sim.rs"]
#[allow(dead_code)] // likewise
mod sim;
mod stage;
#[path = "../world/turn.rs"]
#[allow(dead_code)] // likewise
mod turn;

use mallory::{Forger, Middle, Papers, Way, redirect};
use stage::{APP, EXPIRES, ISSUED, Mallory, Real, Simulated, Stage, authority, certificate_of, claims_of, seed_of};
use steamnetmsg::crypto::certificate::Claims;
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg::wire::packet::{Hint, HintCode, Packet, WIRE_VERSION};

const ALICE: u64 = 1;
const BOB: u64 = 2;
/// Mallory is a certified user too.
const MALLORY: u64 = 66;

const BAD_CRYPT: u32 = 4002;
const BAD_CERT: u32 = 4003;
const BAD_VERSION: u32 = 4006;
const TIMEOUT: u32 = 5003;

/// Carries an attack out on both stages.
fn everywhere(attack: impl Fn(&mut dyn Stage)) {
    attack(&mut Simulated::new());
    attack(&mut Real::new());
}

/// False papers in which Mallory claims to be Alice: what is false, the papers, the reason, a part of the text.
fn false_papers() -> Vec<(&'static str, Papers, u32, &'static str)> {
    let mallorys = seed_of(MALLORY);
    let with = |claims: Claims| Papers::new(ALICE, mallorys, authority(1).issue(&claims).as_bytes());
    // As if the authority had certified Mallory's own key: only the named point is wrong.
    let mine = Claims { identity_key: Identity::from_seed(&mallorys).public_key(), ..claims_of(ALICE) };
    let mut forged = *authority(1).issue(&mine).as_bytes();
    forged[100] ^= 1;
    let mut newer = forged;
    newer[0] = 2;
    let alices_key = Identity::from_seed(&seed_of(ALICE)).public_key();
    vec![
        ("no certificate", Papers::new(ALICE, mallorys, &[]), BAD_CERT, "no certificate"),
        (
            "a stolen one",
            Papers::new(ALICE, mallorys, certificate_of(ALICE).as_bytes()),
            BAD_CERT,
            "another identity key",
        ),
        (
            "a stolen one and the key of its owner",
            Papers { key: Some(alices_key), ..Papers::new(ALICE, mallorys, certificate_of(ALICE).as_bytes()) },
            BAD_CRYPT,
            "has not signed",
        ),
        ("its own", Papers::new(ALICE, mallorys, certificate_of(MALLORY).as_bytes()), BAD_CERT, "for steamid:66"),
        ("one of another app", with(Claims { app: AppId(481), ..mine }), BAD_CERT, "for app 481"),
        (
            "an expired one",
            with(Claims { issued_at: ISSUED - 90_000, expires_at: ISSUED - 3_600, ..mine }),
            BAD_CERT,
            "expired 36",
        ),
        ("a forged one", Papers::new(ALICE, mallorys, &forged), BAD_CERT, "not signed by authority"),
        ("a stranger's", Papers::new(ALICE, mallorys, authority(3).issue(&mine).as_bytes()), BAD_CERT, "not trusted"),
        (
            "a revoked authority's",
            Papers::new(ALICE, mallorys, authority(2).issue(&mine).as_bytes()),
            BAD_CERT,
            "revoked",
        ),
        ("one of a later version", Papers::new(ALICE, mallorys, &newer), BAD_VERSION, "version 2"),
        ("rubbish", Papers::new(ALICE, mallorys, &[1, 2, 3]), BAD_CERT, "cannot be read"),
    ]
}

#[test]
fn nobody_enters_under_anothers_name() {
    everywhere(|stage| {
        let bob = stage.add(BOB);
        for (what, papers, reason, text) in false_papers() {
            let mut mallory = Forger::calling(papers, stage.address(bob), BOB);
            stage.play(&mut mallory, |_| false);
            let told = mallory.told.clone().unwrap_or_else(|| panic!("{what}: told nothing"));
            assert_eq!(told.0, reason, "{what}: {}", told.1);
            assert!(told.1.contains(text), "{what}: {}", told.1);
            assert!(!mallory.believed, "{what}");
            stage.assert_untouched(bob);
            assert_eq!(stage.info(bob, ALICE).state, 0, "{what}");
        }
    });
}

#[test]
fn true_papers_open_the_door_that_false_ones_find_closed() {
    everywhere(|stage| {
        let bob = stage.add(BOB);
        let papers = Papers::new(MALLORY, seed_of(MALLORY), certificate_of(MALLORY).as_bytes());
        let mut mallory = Forger::calling(papers, stage.address(bob), BOB);
        assert!(stage.play(&mut mallory, |stage| !stage.events(bob).is_empty()));
        assert_eq!(stage.events(bob), [Event::SessionRequest { from: SteamId(MALLORY) }]);
        assert!(stage.accept(bob, MALLORY));
        let mut heard = Vec::new();
        assert!(stage.play(&mut mallory, |stage| {
            heard.extend(stage.receive(bob));
            !heard.is_empty()
        }));
        assert_eq!(heard, [(MALLORY, mallory::FORGED.to_vec())]);
    });
}

#[test]
fn nobody_answers_under_anothers_name() {
    everywhere(|stage| {
        for (what, papers, reason, text) in false_papers() {
            // Alice's name and papers, as in the list; whoever calls is Bob.
            let bob = stage.add(BOB);
            let evil = stage.evil();
            stage.tell(bob, ALICE, evil);
            stage.send(bob, ALICE, b"secret");
            let mut mallory = Forger::waiting(papers);
            assert!(stage.play(&mut mallory, |stage| stage.info(bob, ALICE).state == 5), "{what}: Bob gives up");
            let info = stage.info(bob, ALICE);
            assert_eq!(info.end_reason as u32, reason, "{what}: {}", info.end_debug);
            assert!(info.end_debug.contains(text), "{what}: {}", info.end_debug);
            assert!(!mallory.believed && mallory.overheard == 0, "{what}: Bob showed neither himself nor the message");
            assert_eq!(stage.events(bob).len(), 1, "{what}: one failure");
        }
    });
}

#[test]
fn whoever_answers_as_somebody_else_is_told_apart_from_whom_was_called() {
    everywhere(|stage| {
        let alice = stage.add(ALICE);
        let evil = stage.evil();
        stage.tell(alice, BOB, evil);
        stage.send(alice, BOB, b"secret");
        let mut mallory = Forger::waiting(Papers::new(MALLORY, seed_of(MALLORY), certificate_of(MALLORY).as_bytes()));
        assert!(stage.play(&mut mallory, |stage| stage.info(alice, BOB).state == 5));
        let info = stage.info(alice, BOB);
        assert_eq!(info.end_reason as u32, BAD_CERT);
        assert!(info.end_debug.contains("answers as steamid:66, not steamid:2"), "{}", info.end_debug);
        assert!(!mallory.believed);
    });
}

#[test]
fn a_victims_own_stolen_keys_open_no_door_to_it_under_anothers_name() {
    // Key compromise impersonation: Mallory holds all of Bob's secrets, and wants Bob to take it for Alice.
    everywhere(|stage| {
        let bob = stage.add(BOB);
        let alices_key = Identity::from_seed(&seed_of(ALICE)).public_key();
        let cases = [
            (Papers::new(ALICE, seed_of(BOB), certificate_of(ALICE).as_bytes()), BAD_CERT),
            (Papers::new(ALICE, seed_of(BOB), certificate_of(BOB).as_bytes()), BAD_CERT),
            (
                Papers { key: Some(alices_key), ..Papers::new(ALICE, seed_of(BOB), certificate_of(ALICE).as_bytes()) },
                BAD_CRYPT,
            ),
        ];
        for (papers, reason) in cases {
            let mut mallory = Forger::calling(papers, stage.address(bob), BOB);
            stage.play(&mut mallory, |_| false);
            assert_eq!(mallory.told.as_ref().map(|told| told.0), Some(reason), "{:?}", mallory.told);
            stage.assert_untouched(bob);
        }
    });
}

/// Alice calls Bob through Mallory.
fn call_through(stage: &mut dyn Stage) -> (usize, usize) {
    let (alice, bob) = (stage.add(ALICE), stage.add(BOB));
    let evil = stage.evil();
    stage.tell(alice, BOB, evil);
    stage.send(alice, BOB, b"hello");
    (alice, bob)
}

/// Plays until Bob has read something and both are connected; Bob accepts whenever he can.
fn until_bob_reads(stage: &mut dyn Stage, mallory: &mut dyn Mallory, alice: usize, bob: usize) -> Vec<(u64, Vec<u8>)> {
    let mut heard = Vec::new();
    assert!(stage.play(mallory, |stage| {
        stage.accept(bob, ALICE);
        heard.extend(stage.receive(bob));
        !heard.is_empty() && stage.is_connected(alice, BOB) && stage.is_connected(bob, ALICE)
    }));
    heard
}

#[test]
fn a_man_in_the_middle_who_changes_nothing_learns_nothing_and_is_no_harm() {
    everywhere(|stage| {
        let (alice, bob) = call_through(stage);
        let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, bytes| vec![(way, bytes)]);
        assert_eq!(until_bob_reads(stage, &mut mallory, alice, bob), [(ALICE, b"hello".to_vec())]);
        let certificates = [certificate_of(ALICE), certificate_of(BOB)].map(|c| c.claims.identity_key);
        for (_, bytes) in &mallory.passed {
            for secret in [&b"hello"[..], &certificates[0], &certificates[1], &ALICE.to_be_bytes()] {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret), "nothing is shown");
            }
        }
    });
}

#[test]
fn every_handshake_message_that_was_tampered_with_is_refused_and_the_true_one_still_counts() {
    // Identities, certificates and transport parameters all travel inside messages 2 and 3.
    everywhere(|stage| {
        for kind in [0xE0u8, 0xE2, 0xE3] {
            let (alice, bob) = call_through(stage);
            let mut tampered = 0;
            let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, mut bytes: Vec<u8>| {
                // The first copies are changed, at another place each; a later one is let through.
                if bytes[0] == kind && tampered < 4 {
                    tampered += 1;
                    let at = bytes.len() * tampered / 5;
                    bytes[at] ^= 0x10;
                }
                vec![(way, bytes)]
            });
            assert_eq!(until_bob_reads(stage, &mut mallory, alice, bob), [(ALICE, b"hello".to_vec())], "kind {kind:x}");
            drop(mallory);
            assert!(tampered > 0, "kind {kind:x} was changed");
        }
    });
}

#[test]
fn a_handshake_that_is_always_tampered_with_ends_in_a_timeout_and_delivers_nothing() {
    everywhere(|stage| {
        for kind in [0xE0u8, 0xE2, 0xE3] {
            let (alice, bob) = call_through(stage);
            let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, mut bytes: Vec<u8>| {
                if bytes[0] == kind {
                    // In a message 3 the data behind it is not looked at before the message itself.
                    let at = bytes.len().min(200) - 1;
                    bytes[at] ^= 1;
                }
                vec![(way, bytes)]
            });
            assert!(stage.play(&mut mallory, |stage| stage.info(alice, BOB).state == 5), "kind {kind:x}");
            assert_eq!(stage.info(alice, BOB).end_reason as u32, TIMEOUT, "kind {kind:x}");
            stage.assert_untouched(bob);
        }
    });
}

#[test]
fn a_replayed_handshake_opens_nothing() {
    everywhere(|stage| {
        let (alice, bob) = call_through(stage);
        let (first, second) = (stage.address(alice), stage.address(bob));
        let mut mallory = Middle::new(first, second, |way, bytes| vec![(way, bytes)]);
        until_bob_reads(stage, &mut mallory, alice, bob);
        let recorded: Vec<Vec<u8>> =
            mallory.passed.iter().filter(|(from, _)| *from == first).map(|(_, bytes)| bytes.clone()).collect();
        assert!(recorded.len() >= 2);
        let before = stage.events(bob);
        // To Bob, who still talks to Alice, and to a Bob who never has.
        let fresh = stage.add(BOB);
        for victim in [second, stage.address(fresh)] {
            for bytes in &recorded {
                stage.carry(vec![(victim, bytes.clone())]);
                stage.play_on(&mut mallory);
            }
        }
        assert_eq!(stage.events(bob), before);
        assert_eq!(stage.receive(bob), []);
        stage.assert_untouched(fresh);
        assert!(stage.is_connected(bob, ALICE) && stage.is_connected(alice, BOB));
    });
}

#[test]
fn a_mirror_is_not_a_peer() {
    everywhere(|stage| {
        let alice = stage.add(ALICE);
        let evil = stage.evil();
        stage.tell(alice, BOB, evil);
        stage.send(alice, BOB, b"hello");
        let address = stage.address(alice);
        let mut mallory = Middle::new(address, address, |_, bytes| vec![(Way::There, bytes)]);
        assert!(stage.play(&mut mallory, |stage| stage.info(alice, BOB).state == 5));
        assert_eq!(stage.info(alice, BOB).end_reason as u32, TIMEOUT);
        assert_eq!(stage.receive(alice), []);
        assert!(matches!(stage.events(alice)[..], [Event::SessionFailed { .. }]), "no request of her own");
        // Her own first message, readdressed to herself, is no stranger's either.
        let own = mallory.passed[0].1.clone();
        stage.carry(vec![(address, redirect(&own, APP, ALICE))]);
        stage.play_on(&mut mallory);
        assert_eq!(stage.events(alice).len(), 1);
    });
}

#[test]
fn nobody_is_made_to_talk_to_another_than_he_means() {
    // Unknown key share: Alice calls Mallory, who passes the call on to Bob and hopes that each takes the
    // other for somebody else.
    everywhere(|stage| {
        let (alice, bob) = (stage.add(ALICE), stage.add(BOB));
        let evil = stage.evil();
        stage.tell(alice, MALLORY, evil);
        stage.send(alice, MALLORY, b"for Mallory alone");
        let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, bytes: Vec<u8>| {
            vec![(way, redirect(&bytes, APP, BOB))]
        });
        assert!(stage.play(&mut mallory, |stage| stage.info(alice, MALLORY).state == 5));
        let info = stage.info(alice, MALLORY);
        assert_eq!(info.end_reason as u32, BAD_CERT);
        assert!(info.end_debug.contains("answers as steamid:2, not steamid:66"), "{}", info.end_debug);
        stage.assert_untouched(bob);
    });
}

#[test]
fn hints_that_speak_of_other_versions_downgrade_nothing() {
    everywhere(|stage| {
        let (alice, bob) = call_through(stage);
        let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, bytes: Vec<u8>| {
            let mut out = vec![];
            if let (Way::There, Ok(Packet::Init { init, .. })) = (way, Packet::decode(&bytes)) {
                for (code, version) in [(HintCode::OtherVersion, WIRE_VERSION ^ 1), (HintCode::OtherApp, WIRE_VERSION)]
                {
                    let mut hint = Vec::new();
                    Hint { destination: init.source, session: init.session, code, version }.encode(&mut hint);
                    out.push((Way::Back, hint));
                }
            }
            out.push((way, bytes));
            out
        });
        assert_eq!(until_bob_reads(stage, &mut mallory, alice, bob), [(ALICE, b"hello".to_vec())]);
    });
}

#[test]
fn another_version_or_app_put_into_the_first_message_is_refused() {
    everywhere(|stage| {
        for (at, reason) in [(1, BAD_VERSION), (5, BAD_CERT)] {
            let (alice, bob) = call_through(stage);
            let mut mallory = Middle::new(stage.address(alice), stage.address(bob), |way, mut bytes: Vec<u8>| {
                if bytes[0] == 0xE0 {
                    bytes[at] ^= 1;
                    // Mallory knows who is called, so it can make the check value fit.
                    let app = AppId(u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]));
                    bytes = redirect(&bytes, app, BOB);
                }
                vec![(way, bytes)]
            });
            assert!(stage.play(&mut mallory, |stage| stage.info(alice, BOB).state == 5));
            assert_eq!(stage.info(alice, BOB).end_reason as u32, reason);
            stage.assert_untouched(bob);
        }
    });
}

#[test]
fn a_certificate_that_has_run_out_for_the_authority_has_run_out_for_everybody() {
    // No clock of this machine matters: the certificates here are of the year 2027. What Bob knows of time he
    // has from what authorities signed.
    everywhere(|stage| {
        let bob = stage.add(BOB);
        let late = Claims { issued_at: EXPIRES + 10, expires_at: EXPIRES + 99, ..claims_of(MALLORY) };
        let newer = authority(1).issue(&late);
        let old = Papers::new(ALICE, seed_of(ALICE), certificate_of(ALICE).as_bytes());
        let mut mallory = Forger::calling(old.clone(), stage.address(bob), BOB);
        assert!(stage.play(&mut mallory, |stage| !stage.events(bob).is_empty()), "Alice may knock");
        let mut mallory =
            Forger::calling(Papers::new(MALLORY, seed_of(MALLORY), newer.as_bytes()), stage.address(bob), BOB);
        assert!(stage.play(&mut mallory, |stage| stage.events(bob).len() == 2), "and who comes later");
        let mut mallory = Forger::calling(old, stage.address(bob), BOB);
        stage.play(&mut mallory, |_| false);
        let told = mallory.told.expect("told something");
        assert_eq!(told.0, BAD_CERT);
        assert!(told.1.contains("expired 1"), "{}", told.1);
    });
}
