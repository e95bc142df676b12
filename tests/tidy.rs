//! The style of the house, as a test, so that nobody has to argue about it.
//!
//! Each rule reads the sources and names every offending line. The floors come from the table in
//! `src/lib.rs`, so that the table cannot lie. The last tests break each rule on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file is no longer than this, its tests not counted, lines.
const MAX_LINES: usize = 600;

/// Files that are longer all the same, with the lines they may have: to be split, never to grow.
const LONGER: &[(&str, usize)] = &[];

/// The only file that reads a clock.
const CLOCK: &str = "src/driver/clock.rs";

/// The only room with `unsafe`.
const DOOR: &str = "src/ffi/";

/// The files of the benches with `unsafe`: they call C libraries, this one among them.
const BENCH_DOORS: &[&str] =
    &["benches/src/transport/ours.rs", "benches/src/transport/gns.rs", "benches/src/transport/enet.rs"];

/// The lowest floor that may name the wall: who writes into its buffers.
const WALL_FROM: u32 = 3;

/// A source file as the rules see it.
struct File {
    /// Its path from the root of the project.
    name: String,
    /// Its lines as they are.
    lines: Vec<String>,
    /// Its lines without comments and without what stands in quotes.
    code: Vec<String>,
    /// Its first line of tests, counted from 0.
    tests: usize,
}

impl File {
    fn new(name: &str, text: &str) -> File {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let opens_tests = |pair: &[String]| pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ");
        let tests = lines.windows(2).position(opens_tests).unwrap_or(lines.len());
        File { name: name.to_owned(), code: code_of(text).lines().map(str::to_owned).collect(), tests, lines }
    }

    fn at(&self, line: usize, says: impl std::fmt::Display) -> String {
        format!("{}:{}: {says}", self.name, line + 1)
    }

    /// Lines of code in which `word` stands as a word of its own.
    fn lines_with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let stands = move |line: &String| {
            line.match_indices(word)
                .any(|(at, _)| !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside))
        };
        self.code.iter().enumerate().filter(move |(_, line)| stands(line)).map(|(at, _)| at)
    }
}

/// The text with comments, and what stands in quotes, replaced by spaces; lines stay lines.
fn code_of(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        let blank = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            'r' if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        let taken = if blank > 0 { blank } else { c.len_utf8() };
        if blank > 0 {
            out.extend(rest[..taken].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push(c);
        }
        rest = &rest[taken..];
    }
    out
}

/// Length of the string literal at the front.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string literal at the front, 0 when there is none.
fn raw(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|b| *b == b'#').count();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |end| open + 1 + end + close.len())
}

/// Length of the character literal at the front, 0 when it is a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(0, |(at, _)| 2 + at + 1),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir` with one of these endings, in order of their names.
fn files_below(dir: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("a readable directory").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> File {
    let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
    File::new(&name, &fs::read_to_string(path).unwrap_or_else(|e| panic!("{name}: {e}")))
}

fn sources() -> Vec<File> {
    files_below("src", &["rs"]).iter().map(|path| read(path)).collect()
}

fn benches() -> Vec<File> {
    files_below("benches/src", &["rs"]).iter().map(|path| read(path)).collect()
}

/// Everything people read: code, papers, scripts.
fn server() -> Vec<File> {
    files_below("server/src", &["rs"]).iter().map(|path| read(path)).collect()
}

fn texts() -> Vec<File> {
    let endings = ["rs", "md", "txt", "h", "c", "sh", "toml", "in", "py", "mjs", "go", "cs", "map"];
    let dirs = ["src", "tests", "docs", "include", "examples-c", "packaging", "tools", "tool", "server", "benches"];
    let mut paths: Vec<PathBuf> = dirs.iter().flat_map(|dir| files_below(dir, &endings)).collect();
    let top = fs::read_dir(root()).expect("the root").map(|entry| entry.expect("readable").path());
    paths.extend(top.filter(|path| path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending))));
    paths.push(root().join("Makefile"));
    paths.iter().map(|path| read(path)).filter(|file| file.name != "tests/tidy.rs").collect()
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

// ---- the rules ----

fn rooms_without_a_word(files: &[File]) -> Vec<String> {
    let mute = files.iter().filter(|f| !f.lines.first().is_some_and(|line| line.starts_with("//! ")));
    mute.map(|f| f.at(0, "a file begins with //! and what the room decides")).collect()
}

/// Rooms by floor, from the table of `lib.rs`; the wall has none.
fn floors(lib: &File) -> BTreeMap<String, Option<u32>> {
    let rows = lib.lines.iter().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let mut floors = BTreeMap::new();
    for cells in cells.filter(|cells| cells.get(1).is_some_and(|rooms| rooms.contains("[`"))) {
        let rooms = cells[1].split('`').skip(1).step_by(2);
        floors.extend(rooms.map(|room| (room.to_owned(), cells[0].parse().ok())));
    }
    floors
}

/// May `from` name `to`? Both are rooms of the table.
fn may_name(floors: &BTreeMap<String, Option<u32>>, from: &str, to: &str) -> bool {
    match (floors[from], floors[to]) {
        _ if from == to => true,
        (Some(0), Some(0)) => true,
        (Some(from), Some(to)) => to < from,
        (Some(from), None) => from >= WALL_FROM,
        (None, to) => to == Some(0),
    }
}

fn rooms_that_look_up(files: &[File]) -> Vec<String> {
    let lib = files.iter().find(|f| f.name == "src/lib.rs").expect("there is a lib.rs");
    let floors = floors(lib);
    let mut faults = Vec::new();
    for (at, line) in lib.code.iter().enumerate() {
        let module = line.trim().strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';'));
        if module.is_some_and(|module| !floors.contains_key(module)) {
            faults.push(lib.at(at, "this room is on no floor of the table above"));
        }
    }
    for file in files.iter().filter(|f| f.name != "src/lib.rs") {
        let path = file.name["src/".len()..].trim_end_matches(".rs").trim_end_matches("/mod");
        let (room, depth) = (path.split('/').next().unwrap_or_default(), path.split('/').count());
        if !floors.contains_key(room) {
            faults.push(file.at(0, format_args!("the room {room} is on no floor of src/lib.rs")));
            continue;
        }
        for (line, to) in rooms_named(file, depth) {
            if floors.contains_key(&to) && !may_name(&floors, room, &to) {
                faults.push(file.at(line, format_args!("{room} must not know {to}: it is not on a lower floor")));
            }
        }
    }
    faults
}

/// The rooms a file names by `crate::…`, or by enough `super::`, and in which line.
fn rooms_named(file: &File, depth: usize) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    let text = file.code.join("\n");
    let mut line = 0;
    let mut after_path = false; // a `::` just before: the word is not the first of its path
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let word: &str = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())];
        if word.is_empty() {
            line += usize::from(rest.starts_with('\n'));
            after_path = rest.starts_with("::") || (after_path && rest.starts_with(':'));
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        at += word.len();
        if after_path || (word != "crate" && word != "super") {
            after_path = false;
            continue;
        }
        let mut tail = &text[at..];
        let mut supers = usize::from(word == "super");
        while let Some(next) = tail.strip_prefix("::super").filter(|_| word == "super") {
            supers += 1;
            tail = next;
        }
        let here = depth + usize::from(line >= file.tests);
        if (word == "crate" || supers == here)
            && let Some(tail) = tail.strip_prefix("::")
        {
            named.extend(first_words(tail).into_iter().map(|word| (line, word)));
        }
        at = text.len() - tail.len();
    }
    named
}

/// The first word of a path, or of each path of a group in braces.
fn first_words(tail: &str) -> Vec<String> {
    let word =
        |text: &str| -> String { text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(group) = tail.strip_prefix('{') else { return vec![word(tail)] };
    let (mut words, mut nesting, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting > 0 => nesting -= 1,
            ',' | '}' if nesting == 0 => {
                words.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    words
}

fn unsafe_outside_the_door(files: &[File]) -> Vec<String> {
    let outside = files.iter().filter(|f| !f.name.starts_with(DOOR) && !BENCH_DOORS.contains(&f.name.as_str()));
    outside.flat_map(|f| f.lines_with("unsafe").map(|at| f.at(at, "unsafe belongs into src/ffi"))).collect()
}

fn clocks(files: &[File]) -> Vec<String> {
    let others = files.iter().filter(|f| f.name != CLOCK);
    let reads = |f: &File, word| f.lines_with(word).map(|at| f.at(at, "only driver/clock.rs reads a clock")).collect();
    others
        .flat_map(|f| ["Instant::now", "SystemTime::now"].map(|word| -> Vec<String> { reads(f, word) }))
        .flatten()
        .collect()
}

fn long_files(files: &[File]) -> Vec<String> {
    let limit = |f: &File| LONGER.iter().find(|(name, _)| *name == f.name).map_or(MAX_LINES, |(_, lines)| *lines);
    let long = files.iter().filter(|f| f.tests > limit(f));
    let mut faults: Vec<String> =
        long.map(|f| f.at(limit(f), format_args!("{} lines are too many", f.tests))).collect();
    for (name, _) in LONGER {
        if files.iter().any(|f| f.name == *name && f.tests <= MAX_LINES) {
            faults.push(format!("{name}:1: short enough now, strike it from the list of this test"));
        }
    }
    faults
}

fn unfinished(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for word in ["todo!", "unimplemented!", "dbg!"] {
        for file in files {
            faults.extend(file.lines_with(word).map(|at| file.at(at, format_args!("{word} is left"))));
        }
    }
    faults
}

fn words_that_say_nothing_here(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (at, line) in file.lines.iter().enumerate() {
            for path in ["/root/", "/home/"] {
                if line.contains(path) {
                    faults.push(file.at(at, format_args!("{path}… is a path of somebody's machine")));
                }
            }
            let low = line.to_lowercase();
            for word in ["fixme", "xxx:", "todo:", "pull request"] {
                if low.contains(word) {
                    faults.push(file.at(at, format_args!("\"{word}\" belongs into a tracker")));
                }
            }
            if followed_by_digit(line, '#') {
                faults.push(file.at(at, "a number of something that is not here"));
            }
        }
    }
    faults
}

/// `mark` and then a number that ends as a word does: no colour, no format, no anchor of a heading.
fn followed_by_digit(line: &str, mark: char) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let digits: &str = &line[at + 1..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        end > 0 && !digits[end..].starts_with(|c: char| c.is_alphanumeric() || c == '-')
    })
}

// ---- held to ----

#[test]
fn every_file_says_first_what_its_room_decides() {
    assert_none(rooms_without_a_word(&sources()));
    assert_none(rooms_without_a_word(&benches()));
    assert_none(rooms_without_a_word(&server()));
}

#[test]
fn no_room_knows_a_floor_that_is_not_below_it() {
    assert_none(rooms_that_look_up(&sources()));
}

#[test]
fn unsafe_code_is_in_the_door_alone() {
    assert_none(unsafe_outside_the_door(&sources()));
    assert_none(unsafe_outside_the_door(&benches()));
    assert_none(unsafe_outside_the_door(&server()));
}

#[test]
fn one_file_reads_the_clock() {
    assert_none(clocks(&sources()));
    assert_none(clocks(&benches()));
}

#[test]
fn no_file_is_too_long() {
    assert_none(long_files(&sources()));
    assert_none(long_files(&benches()));
    assert_none(long_files(&server()));
}

#[test]
fn nothing_is_left_to_be_done() {
    assert_none(unfinished(&sources()));
    assert_none(unfinished(&benches()));
    assert_none(unfinished(&server()));
}

#[test]
fn the_project_speaks_of_itself_alone() {
    assert_none(words_that_say_nothing_here(&texts()));
}

// ---- and able to fail ----

const LIB: &str = "//! | floor | rooms | decides |\n//! | --- | --- | --- |\n//! | 5 | [`driver`] | windows |\n\
    //! | – | [`machine`] | the wall |\n//! | 3 | [`session`] | a peer |\n//! | 2 | [`transport`], [`path`] | ways |\n\
    //! | 0 | [`time`], [`ids`] | words |\npub mod time;\n";

/// The lines `rule` objects to in `text`, as the file of this name.
fn faults(rule: fn(&[File]) -> Vec<String>, name: &str, text: &str) -> Vec<String> {
    let lib = File::new("src/lib.rs", LIB);
    let all = rule(&[lib, File::new(name, text)]);
    all.iter().map(|fault| fault.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")).collect()
}

#[test]
fn the_simple_rules_find_what_they_forbid() {
    let none: [&str; 0] = [];
    assert_eq!(faults(rooms_without_a_word, "src/time.rs", "use a::b;\n//! late"), ["src/time.rs:1"]);
    assert_eq!(faults(rooms_without_a_word, "src/time.rs", "//! early"), none);
    let code =
        "//! unsafe\n/* unsafe */ let s = \"unsafe\"; let r = r#\"unsafe\"#; let c = '\"'; // unsafe\nunsafe {}\n";
    assert_eq!(faults(unsafe_outside_the_door, "src/driver/udp.rs", code), ["src/driver/udp.rs:3"]);
    assert_eq!(faults(unsafe_outside_the_door, "src/ffi/life.rs", code), none);
    let code = "fn f<'a>() { x(Instant::now) }\nlet t = SystemTime::now();\nlet n = MyInstant::now();";
    assert_eq!(faults(clocks, "src/driver/turn.rs", code), ["src/driver/turn.rs:1", "src/driver/turn.rs:2"]);
    assert_eq!(faults(clocks, CLOCK, code), none);
    let code = "todo!()\n// todo!()\nunimplemented!()\ndbg!(x)\nmytodo!()";
    assert_eq!(faults(unfinished, "src/a.rs", code), ["src/a.rs:1", "src/a.rs:3", "src/a.rs:4"]);
    let (long, tests) = ("x\n".repeat(601), "#[cfg(test)]\nmod tests {\n");
    assert_eq!(faults(long_files, "src/a.rs", &long), ["src/a.rs:601"]);
    assert_eq!(faults(long_files, "src/a.rs", &format!("{}{tests}{long}", "x\n".repeat(600))), none);
    for text in ["in /root/x", "see /home/x", "fix #12", "(#7)", "TODO: later"] {
        assert_eq!(faults(words_that_say_nothing_here, "docs/a.md", text), ["docs/a.md:1"], "{text}");
    }
    for text in
        ["the colour #10ff20", "{:#06x}", "work/shop", "two sessions", "](#4-data-packets)", "r#\"raw\"#", "#[test]"]
    {
        assert_eq!(faults(words_that_say_nothing_here, "docs/a.md", text), none, "{text}");
    }
}

#[test]
fn the_rule_of_floors_finds_every_way_of_looking_up() {
    let none: [&str; 0] = [];
    let looks = |name: &str, text: &str| faults(rooms_that_look_up, name, text);
    for text in ["use crate::session::Session;", "fn f(x: crate::driver::Shared) {}", "use crate::path::Paths;"] {
        assert_eq!(looks("src/transport/acks.rs", text), ["src/transport/acks.rs:1"], "{text}");
    }
    let group = "use crate::{\n    time::{self, Instant},\n    session::reason,\n};";
    assert_eq!(looks("src/transport/acks.rs", group), ["src/transport/acks.rs:1"]);
    assert_eq!(looks("src/transport/mod.rs", "use super::path;"), ["src/transport/mod.rs:1"]);
    assert_eq!(looks("src/transport/acks.rs", "use super::super::path::Paths;"), ["src/transport/acks.rs:1"]);
    assert_eq!(looks("src/transport/acks.rs", "use crate::machine::Machine;"), ["src/transport/acks.rs:1"]);
    assert_eq!(looks("src/machine.rs", "use crate::session::Session;"), ["src/machine.rs:1"]);
    assert_eq!(looks("src/attic/mod.rs", ""), ["src/attic/mod.rs:1"]);
    let in_tests = "\n#[cfg(test)]\nmod tests {\n    use super::super::super::session::Session;\n}";
    assert_eq!(looks("src/transport/acks.rs", in_tests), ["src/transport/acks.rs:4"]);
    for (name, text) in [
        ("src/transport/acks.rs", "use crate::{ids, time::Instant};\nuse super::path;\nuse crate::transport::path;"),
        ("src/transport/acks.rs", "// use crate::session;\nlet s = \"crate::session\"; pub(super) fn f() {}"),
        ("src/session/mod.rs", "use crate::machine::Transmit;\nuse crate::transport::Transport;"),
        ("src/driver/mod.rs", "use crate::machine::Machine;\nuse crate::session::Session;"),
        ("src/ids.rs", "use crate::time::Instant;"),
    ] {
        assert_eq!(looks(name, text), none, "{name}: {text}");
    }
    let unlisted = File::new("src/lib.rs", &format!("{LIB}pub mod attic;\n"));
    assert_eq!(rooms_that_look_up(&[unlisted]), ["src/lib.rs:9: this room is on no floor of the table above"]);
}
