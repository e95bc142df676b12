//! The header is made from `src/ffi`, and the committed one is what would be made today.
//!
//! cbindgen knows every declaration; the order of the manual, its chapters and the calling convention are
//! put in here. `SNM_WRITE_HEADER=1 cargo test --test header` writes the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// A chapter: its title, its prose (before the declarations), what it declares, and what stands after it.
/// A name that ends in `*` stands for all constants that begin so; they become one `enum`.
struct Chapter {
    title: &'static str,
    prose: &'static str,
    names: &'static [&'static str],
    after: &'static str,
}

const CHAPTERS: &[Chapter] = &[
    Chapter {
        title: "Names",
        prose: "",
        names: &["snm_endpoint", "snm_config", "snm_result", "snm_connection_state", "snm_config_key"],
        after: "typedef struct snm_message snm_message;\n\
                typedef struct snm_connection_info snm_connection_info;\n\
                typedef struct snm_realtime_status snm_realtime_status;\n\
                typedef struct snm_outgoing_message snm_outgoing_message;\n\
                typedef struct snm_event snm_event;\n",
    },
    Chapter {
        title: "Result codes",
        prose: "The numbers are those of Steam's EResult. After anything but SNM_RESULT_OK, snm_last_error() tells more.",
        names: &["SNM_RESULT_*", "snm_last_error", "snm_result_name"],
        after: "",
    },
    Chapter {
        title: "The six calls",
        prose: "",
        names: &[
            "SNM_SEND_*",
            "SNM_STATE_*",
            "snm_send_message_to_user",
            "snm_receive_messages_on_channel",
            "snm_accept_session_with_user",
            "snm_close_session_with_user",
            "snm_close_channel_with_user",
            "snm_get_session_connection_info",
        ],
        after: "",
    },
    Chapter {
        title: "Beside them",
        prose: "",
        names: &[
            "snm_message_release",
            "snm_messages_release",
            "snm_send_messages",
            "snm_flush_messages_to_user",
            "snm_wait",
            "snm_set_channel_priority",
        ],
        after: "",
    },
    Chapter {
        title: "The two events",
        prose: "Set callbacks and call snm_run_callbacks once a frame, or poll; what a callback tells can also be polled.\n\
                Events nobody takes wait: requests are never lost, of failures the oldest go first.",
        names: &[
            "SNM_EVENT_*",
            "SNM_END_*",
            "snm_session_request_fn",
            "snm_session_failed_fn",
            "snm_set_session_request_callback",
            "snm_set_session_failed_callback",
            "snm_run_callbacks",
            "snm_poll_event",
            "snm_end_reason_name",
            "snm_connection_state_name",
        ],
        after: "",
    },
    Chapter {
        title: "Structures",
        prose: "No implicit padding; sizes and offsets never change, fields are only added at the end. Structures the\n\
                library fills start with struct_size: it never writes more than that.",
        names: &[
            "snm_message",
            "SNM_INFO_*",
            "snm_connection_info",
            "snm_realtime_status",
            "snm_outgoing_message",
            "snm_event",
        ],
        after: "/* Initialisers: everything 0, struct_size set. */\n\
                #define SNM_CONNECTION_INFO_INIT \\\n  \
                { (uint32_t)sizeof(snm_connection_info), 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, { 0 }, { 0 }, 0 }\n\
                #define SNM_REALTIME_STATUS_INIT \\\n  \
                { (uint32_t)sizeof(snm_realtime_status), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }\n\
                #define SNM_EVENT_INIT { (uint32_t)sizeof(snm_event), 0, 0, 0, 0, { 0 } }\n",
    },
    Chapter {
        title: "Life of an endpoint",
        prose: "",
        names: &[
            "snm_config_create",
            "snm_config_destroy",
            "snm_config_set_int",
            "snm_config_set_float",
            "snm_config_set_string",
            "snm_config_set_bytes",
            "snm_endpoint_create",
            "snm_endpoint_destroy",
            "snm_endpoint_set_int",
            "snm_endpoint_set_float",
            "snm_endpoint_set_string",
            "snm_endpoint_set_bytes",
            "snm_peer_set_int",
            "snm_peer_set_float",
            "snm_peer_reset",
            "snm_endpoint_local_address",
            "snm_add_peer_address",
            "snm_remove_peer_address",
            "snm_explain_session",
            "snm_identity_public_key",
            "snm_network_changed",
            "snm_time_now",
            "snm_shutdown_all",
            "snm_version",
            "SNM_LOG_*",
            "snm_log_fn",
            "snm_set_log_callback",
        ],
        after: "",
    },
    Chapter {
        title: "Config keys",
        prose: "For snm_config_set_, snm_endpoint_set_ (running endpoints) and snm_peer_set_ (one user alone).",
        names: &["SNM_CONFIG_*"],
        after: "",
    },
    Chapter {
        title: "Your own signaling",
        prose: "How two users that do not know each other's address are introduced by your own service, instead of the\n\
                signaling server of SNM_CONFIG_SIGNALING_URL. Signals are opaque, 4096 bytes at most, best effort; a session\n\
                begins with a few of them and leaves them for the first path that is proven.",
        names: &[
            "snm_send_signal_fn",
            "snm_set_signal_callback",
            "snm_receive_signal",
            "snm_poll_signal",
            "snm_use_own_signaling",
        ],
        after: "",
    },
];

const OVERVIEW: &str = "\
/*
 * steamnetmsg: peer-to-peer messages by steam id.
 *
 * Reliable and unreliable messages on channels, encrypted, over one UDP socket pair; the six calls and two
 * events of Steam's Networking Messages, without Steam.
 *
 *   snm_config *config = snm_config_create();
 *   snm_config_set_int(config, SNM_CONFIG_LOCAL_STEAM_ID, my_steam_id);
 *   snm_endpoint *ep = NULL;
 *   if (snm_endpoint_create(config, &ep) != SNM_RESULT_OK) puts(snm_last_error());
 *   snm_add_peer_address(ep, friend_id, \"203.0.113.5:27015\");
 *   snm_send_message_to_user(ep, friend_id, \"hello\", 5, SNM_SEND_RELIABLE, 0);
 *   ...each frame: snm_run_callbacks(ep); snm_receive_messages_on_channel(ep, 0, messages, 16);
 *
 * Rules that hold everywhere:
 * - Every function may be called from any thread at any time, inside callbacks too. None waits for the
 *   network; only snm_wait, snm_endpoint_destroy and snm_shutdown_all wait at all.
 * - NULL is never a crash: it answers SNM_RESULT_INVALID_PARAM, or 0, or nothing happens (snm_wait: -1).
 *   A handle of something destroyed answers SNM_RESULT_INVALID_STATE, or 0, for the life of the process.
 * - What the library hands out (messages, texts) stays its own; what you hand in is copied before the call
 *   returns. Text is UTF-8 and NUL-terminated.
 * - Numbers from outside the lists below are answered, never undefined behaviour.
 *
 * Generated from the library's source; do not edit.
 */
";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What cbindgen makes of `src/ffi`.
fn declarations() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml is valid");
    let mut builder = cbindgen::Builder::new().with_config(config);
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("src/ffi"))
        .expect("the room exists")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|file| !file.ends_with("mod.rs")); // it would bring its modules along a second time
    files.sort();
    for file in files {
        builder = builder.with_src(file);
    }
    let mut out = Vec::new();
    builder.generate().expect("src/ffi can be read by cbindgen").write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// Cuts the declarations apart: each with its comment, by name, in the order they came.
fn pieces(text: &str) -> Vec<(String, String)> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let (mut in_comment, mut depth) = (false, 0);
    for line in text.lines() {
        if piece.is_empty() && line.trim().is_empty() {
            continue;
        }
        piece += line;
        piece += "\n";
        in_comment |= line.trim_start().starts_with("/*");
        let commented = in_comment;
        in_comment &= !line.contains("*/");
        if commented {
            continue;
        }
        depth += line.matches(['{', '(']).count() as i32 - line.matches(['}', ')']).count() as i32;
        if depth == 0 && (line.ends_with(';') || line.starts_with("#define")) {
            pieces.push((name(&piece), std::mem::take(&mut piece)));
        }
    }
    assert_eq!(piece, "", "a declaration without an end");
    pieces
}

/// The name a piece declares: of a constant or a type what follows the keyword, of a function or a pointer
/// to one what stands before the parenthesis of its arguments.
fn name(piece: &str) -> String {
    let code = piece.rsplit_once(" */\ntypedef struct").map(|(_, code)| format!("typedef struct{code}"));
    let code = code.as_deref().unwrap_or_else(|| piece.rsplit_once(" */\n").map_or(piece, |(_, code)| code));
    let start = ["#define ", "typedef struct ", "typedef int32_t ", "(*"]
        .iter()
        .find_map(|start| Some(code.find(start)? + start.len()));
    let declared = match start {
        Some(start) => &code[start..],
        None => code.split('(').next().and_then(|before| before.rsplit(['*', ' ']).next()).unwrap_or_default(),
    };
    declared.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
}

/// `SNM_CALL` on every function and callback type; structures without a second typedef, short comments.
fn dress(name: &str, piece: &str) -> String {
    const CALL: &str = "SNM_CALL ";
    if piece.contains(&format!("typedef struct {name} {{")) {
        let piece = piece.replace(&format!("typedef struct {name} {{"), &format!("struct {name} {{"));
        return shorten_all(&piece.replace(&format!("}} {name};"), "};"));
    }
    if piece.contains(&format!("typedef struct {name} {name};")) || !piece.contains('(') {
        return shorten_all(piece);
    }
    let (comment, code) = piece.split_once(" */\n").expect("every declaration has its comment");
    let code = code.replace("struct snm_", "snm_");
    let pointer = format!("(*{name})(");
    let code = if code.contains(&pointer) {
        code.replace(&pointer, &format!("({CALL}*{name})("))
    } else {
        code.replace(&format!("{name}("), &format!("{CALL}{name}("))
    };
    // One argument a line would be aligned to where the parenthesis was.
    let words = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let (head, arguments) = match words.rsplit_once(")(") {
        Some((head, arguments)) => (format!("{head})"), arguments),
        None => words.split_once('(').map(|(head, arguments)| (head.to_owned(), arguments)).expect("a function"),
    };
    let mut line = format!("{head}(");
    let indent = " ".repeat(if line.len() > 60 { 4 } else { line.len() });
    let mut lines = Vec::new();
    for argument in arguments.split_inclusive(", ") {
        if line.len() + argument.trim_end().len() > 110 {
            lines.push(std::mem::replace(&mut line, indent.clone()).trim_end().to_owned());
        }
        line += argument;
    }
    lines.push(line);
    format!("{}{}\n", shorten_all(&format!("{comment} */\n")), lines.join("\n"))
}

/// Every comment of one line on one line.
fn shorten_all(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < lines.len() {
        let three = lines.get(at..at + 3).map(|three| three.join("\n"));
        let short = three.as_deref().map(shorten).filter(|short| short.lines().count() == 1);
        at += if short.is_some() { 3 } else { 1 };
        out += &short.unwrap_or_else(|| format!("{}\n", lines[at - 1]));
    }
    out
}

/// One `enum` of all constants with a prefix.
fn enumerate(constants: &[&(String, String)]) -> String {
    let mut out = String::from("enum {\n");
    for (at, (name, piece)) in constants.iter().enumerate() {
        let (comment, define) = piece.split_once("#define ").expect("a constant");
        let value = define.trim().strip_prefix(name.as_str()).expect("its name").trim();
        let comma = if at + 1 < constants.len() { "," } else { "" };
        let comment: String = comment.lines().map(|line| format!("  {line}\n")).collect();
        out += &format!("{}  {name} = {value}{comma}\n", shorten(&comment));
    }
    out + "};\n"
}

/// A comment of one line on one line.
fn shorten(comment: &str) -> String {
    let lines: Vec<&str> = comment.lines().collect();
    match lines[..] {
        [open, text, close] if open.trim().starts_with("/*") && close.trim() == "*/" => {
            let indent = &open[..open.len() - open.trim_start().len()];
            format!("{indent}/** {} */\n", text.trim().trim_start_matches('*').trim())
        }
        _ => comment.to_owned(),
    }
}

/// The whole header.
fn header() -> String {
    let pieces = pieces(&declarations());
    let mut used: BTreeMap<&str, u32> = pieces.iter().map(|(name, _)| (name.as_str(), 0)).collect();
    assert_eq!(used.len(), pieces.len(), "two declarations of one name");
    let mut out = format!(
        "{OVERVIEW}\n#ifndef STEAMNETMSG_H\n#define STEAMNETMSG_H\n\n#include <stdint.h>\n\n\
         /* The calling convention. */\n#if defined(_WIN32) && !defined(_WIN64)\n#define SNM_CALL __cdecl\n#else\n#define SNM_CALL\n#endif\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#endif\n"
    );
    for Chapter { title, prose, names, after } in CHAPTERS {
        out += &format!("\n/* ---- {title} {} */\n", "-".repeat(90 - title.len()));
        if !prose.is_empty() {
            out += &format!("\n/* {} */\n", prose.replace('\n', "\n * "));
        }
        for wanted in *names {
            let found: Vec<&(String, String)> = pieces
                .iter()
                .filter(|(name, _)| wanted.strip_suffix('*').map_or(name == wanted, |prefix| name.starts_with(prefix)))
                .collect();
            assert!(!found.is_empty(), "{wanted} is nowhere in src/ffi");
            for (name, _) in &found {
                *used.entry(name).or_default() += 1;
            }
            out += "\n";
            out += &if wanted.ends_with('*') { enumerate(&found) } else { dress(&found[0].0, &found[0].1) };
        }
        if !after.is_empty() {
            out += &format!("\n{after}");
        }
    }
    for (name, times) in used {
        assert_eq!(times, 1, "{name} must stand in exactly one chapter of tests/header.rs");
        assert!(name.starts_with("snm_") || name.starts_with("SNM_"), "{name} lacks the prefix");
    }
    out + "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* STEAMNETMSG_H */\n"
}

fn committed() -> PathBuf {
    root().join("include/steamnetmsg.h")
}

#[test]
fn the_committed_header_is_what_the_source_says() {
    let made = header();
    if std::env::var_os("SNM_WRITE_HEADER").is_some() {
        fs::write(committed(), &made).expect("include/ can be written");
    }
    let there = fs::read_to_string(committed()).expect("include/steamnetmsg.h is committed");
    for (at, (made, there)) in made.lines().zip(there.lines()).enumerate() {
        assert_eq!(made, there, "line {}: run SNM_WRITE_HEADER=1 cargo test --test header", at + 1);
    }
    assert_eq!(made.len(), there.len(), "run SNM_WRITE_HEADER=1 cargo test --test header");
}

#[test]
fn every_declaration_has_its_comment() {
    for (name, piece) in pieces(&declarations()) {
        assert!(piece.starts_with("/*"), "{name} is undocumented");
    }
}
