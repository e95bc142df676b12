//! Tokens: issued and checked by the program.

use crate::kit::Scratch;

/// A folder with a backend and an identity; their public keys.
fn house() -> (Scratch, String, String) {
    let scratch = Scratch::new();
    let backend = scratch.run("backend new --out {}").good();
    let identity = scratch.run("identity new --out {}").good();
    (scratch, backend, identity)
}

const ISSUE: &str =
    "token issue --backend {}/backend.key --steam-id 76561197960265729 --app 480 --identity {}/identity.key";

#[test]
fn what_was_issued_is_accepted_and_says_who() {
    let (scratch, backend, identity) = house();
    let token = scratch.run(ISSUE).good();
    let said = scratch.run(&format!("token check {token} --backend {backend} --app 480")).good();
    for part in ["steam id   76561197960265729", "app        480", &identity] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for dash in ["", "-"] {
        let line = format!("token check --backend {backend} --app 480 {dash}");
        assert_eq!(scratch.run_with(&line, &format!("{token}\n")).good(), said);
    }
    scratch.write("backend.txt", backend.as_bytes());
    scratch.run(&format!("token check {token} --backend {{}}/backend.txt --app 480")).good();
}

#[test]
fn every_refusal_says_which_and_ends_with_one() {
    let (scratch, backend, _) = house();
    let token = scratch.run(ISSUE).good();
    let check = |token: &str, more: &str| scratch.run(&format!("token check {token} --backend {backend} {more}"));
    check(&token, "--app 481").failed(1, &["the token is for app 480 (aud), not 481"]);
    check(&token, "--app 480 --at 2020-01-01").failed(1, &["holds only in", "iat"]);
    check(&token, "--app 480 --at 2100-01-01").failed(1, &["expired", "exp"]);
    check(&token, "--app 480 --issuer game").failed(1, &["has no iss"]);
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let other = if signature.starts_with('A') { "B" } else { "A" };
    check(&format!("{message}.{other}{}", &signature[1..]), "--app 480").failed(1, &["not signed by any"]);
    check("hello", "--app 480").failed(1, &["cannot be read"]);
    scratch.run_with(&format!("token check --backend {backend} --app 480"), "").failed(1, &["cannot be read"]);
    let long = "A".repeat(10_000);
    scratch.run_with(&format!("token check --backend {backend} --app 480"), &long).failed(1, &["more than 4096"]);
    let stranger = scratch.run("backend new --out {}/stranger.key").good();
    let said = scratch.run(&format!("token check {token} --backend {stranger} --app 480"));
    said.failed(1, &["not signed by any of the trusted backends (1)"]);
    scratch.run(&format!("token check {token} --backend {stranger},{backend} --app 480")).good();
}

#[test]
fn a_token_holds_an_hour_at_most() {
    let (scratch, backend, _) = house();
    for bad in ["61m", "0s", "forever", "-5m"] {
        scratch.run(&format!("{ISSUE} --lifetime={bad}")).failed(2, &["from 1s to 1h"]);
    }
    let token = scratch.run(&format!("{ISSUE} --lifetime 1h --issuer game")).good();
    scratch.run(&format!("token check {token} --backend {backend} --app 480 --issuer game")).good();
    scratch.run(&format!("token check {token} --backend {backend} --app 480 --issuer mod")).failed(1, &["\"game\""]);
}
