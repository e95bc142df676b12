//! The recipes of `docs/tokens.md`: the page quotes each program as it is, and what they make is accepted.

use crate::kit::{Scratch, is_there, top};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs;
use std::process::{Command, Stdio};

const STEAM_ID: &str = "76561197960265729";

#[test]
fn the_page_quotes_every_recipe_as_it_is() {
    let page = fs::read_to_string(top().join("docs/tokens.md")).expect("the page");
    let mut recipes = 0;
    for entry in fs::read_dir(top().join("docs/tokens")).expect("the recipes") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let language = match path.extension().and_then(|ending| ending.to_str()) {
            Some("mjs") => "js",
            Some("py") => "python",
            Some("go") => "go",
            Some("cs") => "csharp",
            _ => panic!("{} is in no language of the page", path.display()),
        };
        assert!(page.contains(&format!("```{language}\n{text}```\n")), "{} is quoted otherwise", path.display());
        recipes += 1;
    }
    let quoted: usize =
        ["js", "python", "go", "csharp"].map(|l| page.matches(&format!("\n```{l}\n")).count()).iter().sum();
    assert_eq!((recipes, quoted), (4, 4));
}

/// Lets a recipe make a token, and `token check` judge it and what became of it.
fn try_recipe(program: &[&str], recipe: &str) {
    let scratch = Scratch::new();
    let backend = scratch.run("backend new --out {}").good();
    let identity = scratch.run("identity new --out {}").good();
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).arg(top().join("docs/tokens").join(recipe));
    command.args([&scratch.arg("backend.key"), STEAM_ID, "480", &identity]);
    let token = scratch.finish(command, "").good();

    let check = |token: &str, more: &str| scratch.run(&format!("token check {token} --backend {backend} {more}"));
    let said = check(&token, "--app 480").good();
    for part in [&format!("steam id   {STEAM_ID}"), "app        480", &identity] {
        assert!(said.contains(part), "{part}: {said}");
    }
    check(&token, "--app 481").failed(1, &["is for app 480 (aud), not 481"]);
    check(&token, "--app 480 --at 2100-01-01").failed(1, &["expired"]);

    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    let somebody_else = URL_SAFE_NO_PAD.encode(claims.replace(STEAM_ID, "76561197960265730"));
    assert!(claims.contains(STEAM_ID));
    check(&format!("{header}.{somebody_else}.{signature}"), "--app 480").failed(1, &["not signed by any"]);
}

/// Whether `program` runs and ends well with these words.
fn works(program: &str, words: &[&str]) -> bool {
    let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn the_recipe_in_node_makes_good_tokens() {
    assert!(is_there("node"), "node is needed: tools/ensure.sh node");
    try_recipe(&["node"], "token.mjs");
}

#[test]
fn the_recipe_in_python_makes_good_tokens() {
    // Debian's package is for Debian's Python, which need not be the first on the path.
    let pythons = ["python3", "/usr/bin/python3"];
    let python = pythons.into_iter().find(|python| works(python, &["-c", "import cryptography"]));
    let python = python.expect("a Python with cryptography is needed: tools/ensure.sh python3-cryptography");
    try_recipe(&[python], "token.py");
}

#[test]
fn the_recipe_in_go_makes_good_tokens() {
    if works("go", &["version"]) {
        try_recipe(&["go", "run"], "token.go");
    } else {
        assert!(std::env::var_os("SNM_GO").is_none(), "SNM_GO is set, but go is not here");
        eprintln!("go is not here: not run");
    }
}
