//! Certificates: issued, shown, refused.

use crate::kit::Scratch;
use std::time::{SystemTime, UNIX_EPOCH};
use steamnetmsg::crypto::certificate::{Authority, Certificate, Claims};
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg_tool::keys::{PublicKey, Purpose, SecretKey};

#[allow(clippy::disallowed_methods)] // certificates are judged by the machine's clock here
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A folder with an authority and an identity; their public keys.
fn house() -> (Scratch, String, String) {
    let scratch = Scratch::new();
    let authority = scratch.run("authority new --out {}").good();
    let identity = scratch.run("identity new --out {}").good();
    (scratch, authority, identity)
}

const ISSUE: &str = "cert issue --authority {}/authority.key --steam-id 76561197960265729 --app 480";

/// A certificate of this authority with these times.
fn of(seed: u8, issued_at: u64, expires_at: u64) -> Certificate {
    let claims = Claims { app: AppId(480), steam_id: SteamId(7), identity_key: [9; 32], issued_at, expires_at };
    Authority::from_seed(&[seed; 32]).issue(&claims)
}

fn public(seed: u8) -> String {
    PublicKey(Authority::from_seed(&[seed; 32]).public_key()).to_string()
}

#[test]
fn what_was_issued_is_shown_with_every_field_and_verifies() {
    let (scratch, authority, identity) = house();
    scratch.run(&format!("{ISSUE} --identity {{}}/identity.key --days 30 --out {{}}")).good();
    let bytes = scratch.read("identity.cert");
    let claims = Certificate::decode(&bytes).expect("a certificate").claims;
    assert_eq!((claims.app, claims.steam_id), (AppId(480), SteamId(76_561_197_960_265_729)));
    assert_eq!(PublicKey(claims.identity_key).to_string(), identity);
    assert_eq!(claims.expires_at - claims.issued_at, 30 * 86_400);
    for name in ["authority.key", "identity.key"] {
        let seed = *scratch.read(name).first_chunk::<32>().expect("a seed");
        assert!(!bytes.windows(15).any(|part| part == &seed[..15]), "a certificate holds no secret");
    }

    let shown = scratch.run(&format!("cert show {{}}/identity.cert --authority {authority}")).good();
    let good = format!("signature  good, of {authority}");
    let issued = format!("({})", claims.issued_at);
    for part in ["app        480", "steam id   76561197960265729", &identity, &issued, "in 29 d 23 h", &good] {
        assert!(shown.contains(part) || part == "in 29 d 23 h" && shown.contains("in 30 d 0 h"), "{part}: {shown}");
    }
    let unjudged = scratch.run("cert show {}/identity.cert").good();
    assert!(unjudged.contains("signature  not verified"), "{unjudged}");
}

#[test]
fn an_identity_is_given_as_key_as_file_with_the_key_or_as_key_file() {
    let (scratch, _, identity) = house();
    scratch.write("identity.txt", format!("{identity}\n").as_bytes());
    for (number, given) in [identity.as_str(), "{}/identity.txt", "{}/identity.key"].iter().enumerate() {
        scratch.run(&format!("{ISSUE} --identity {given} --days 1 --out {{}}/{number}.cert")).good();
        let certificate = Certificate::decode(&scratch.read(&format!("{number}.cert"))).expect("a certificate");
        assert_eq!(PublicKey(certificate.claims.identity_key).to_string(), identity);
    }
    let said = scratch.run(&format!("{ISSUE} --identity nobody --days 1 --out {{}}/x"));
    said.failed(3, &["\"nobody\" is no public key", "no file"]);
}

#[test]
fn a_key_that_looks_like_an_option_is_a_key() {
    let (scratch, authority, _) = house();
    let odd = |purpose| {
        let keys = (0..=u8::MAX).map(|seed| SecretKey::from_seed(purpose, &[seed; 32]));
        let mut keys = keys.filter(|key| key.public().to_string().starts_with('-'));
        keys.next().expect("one of 64").public().to_string()
    };
    let identity = odd(Purpose::Identity);
    scratch.run(&format!("{ISSUE} --identity {identity} --days 1 --out {{}}")).good();
    let shown = scratch.run(&format!("cert show {{}}/identity.cert --authority {identity},{authority}")).good();
    assert!(shown.contains(&identity), "{shown}");
    let token = scratch.run(&format!("token check x.y.z --app 480 --backend {identity}"));
    token.failed(1, &["cannot be read"]);
}

#[test]
fn a_certificate_of_another_authority_is_told_from_a_forged_one() {
    let scratch = Scratch::new();
    let good = *of(1, now(), now() + 1_000).as_bytes();
    scratch.write("good", &good);
    let mut forged = good;
    forged[20] ^= 1; // another steam id
    scratch.write("forged", &forged);
    let verify = |name: &str, seed| scratch.run(&format!("cert show {{}}/{name} --authority {}", public(seed)));
    verify("good", 1).good();
    verify("good", 2).failed(1, &["good", "of another authority"]);
    verify("forged", 1).failed(1, &["forged", "did not make it"]);
    scratch.run(&format!("cert show {{}}/good --authority {},{}", public(2), public(1))).good();
}

#[test]
fn an_expired_certificate_is_refused_whether_verified_or_not() {
    let scratch = Scratch::new();
    scratch.write("old", of(1, 1_000, 2_000).as_bytes());
    scratch.run("cert show {}/old").failed(1, &["old expired", "ago"]);
    let said = scratch.run(&format!("cert show {{}}/old --authority {}", public(1)));
    assert!(said.out.contains("1970-01-01T00:33:20Z (2000)"), "{said:?}");
    said.failed(1, &["old expired"]);
    scratch.write("last", of(1, 1_000, u64::MAX).as_bytes());
    let last = scratch.run("cert show {}/last").good();
    assert!(last.contains("18446744073709551615"), "{last}");
}

#[test]
fn what_is_no_certificate_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let good = *of(1, now(), now() + 1_000).as_bytes();
    scratch.write("newer", &[&[2], &good[1..]].concat());
    scratch.write("cut", &good[..132]);
    scratch.write("longer", &[&good[..], &[0]].concat());
    scratch.write("empty", b"");
    scratch.write("huge", &[1; 100_000]);
    scratch.write("never", of(1, 2_000, 2_000).as_bytes());
    for (name, code, reason) in [
        ("newer", 1, "version 2"),
        ("cut", 1, "132 bytes"),
        ("longer", 1, "134 bytes"),
        ("empty", 1, "0 bytes"),
        ("huge", 3, "longer than"),
        ("never", 1, "expires before"),
        ("nothing", 3, "cannot read"),
    ] {
        scratch.run(&format!("cert show {{}}/{name}")).failed(code, &[&scratch.arg(name), reason]);
    }
}

#[test]
fn the_end_of_a_certificate_is_a_number_of_days_or_a_time_to_come() {
    let (scratch, _, identity) = house();
    let issue = |end: &str| scratch.run(&format!("{ISSUE} --identity {identity} --out {{}}/c {end}"));
    issue("").failed(2, &["--days"]);
    issue("--days 1 --expires 2100-01-01").failed(2, &["cannot be used with"]);
    issue("--days 0").failed(2, &["--days"]);
    issue("--days 3651").failed(2, &["--days"]);
    issue("--expires 2020-01-01").failed(2, &["2020-01-01T00:00:00Z has passed"]);
    issue("--expires soon").failed(2, &["2027-01-31"]);
    assert_eq!(scratch.names(), ["authority.key", "identity.key"], "nothing was written");
    issue("--expires 2100-01-01").good();
    assert_eq!(Certificate::decode(&scratch.read("c")).expect("one").claims.expires_at, 4_102_444_800);
    issue("--days 1").failed(3, &["exists already", "--force"]);
    issue("--days 1 --force").good();
    assert!(Certificate::decode(&scratch.read("c")).expect("one").claims.expires_at < 4_102_444_800);
}

#[test]
fn steam_ids_and_apps_are_numbers() {
    let (scratch, _, identity) = house();
    for (id, app) in
        [("0", "480"), ("-1", "480"), ("18446744073709551616", "480"), ("anna", "480"), ("7", "4294967296")]
    {
        let line = format!(
            "cert issue --authority {{}}/authority.key --steam-id={id} --app {app} --identity {identity} --days 1 --out {{}}/c"
        );
        scratch.run(&line).failed(2, &["decimal number"]);
    }
}
