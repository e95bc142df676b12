//! What the tests of the program share: a scratch folder, running a command, and the rule that holds for every run:
//! no secret key of the folder is in anything the program says.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_steamnetmsg");

/// What the program answered.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Its answer, which must be a success.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// It must have failed so, and said these words.
    #[track_caller]
    pub fn failed(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "\"{word}\" is not in {self:?}");
        }
    }
}

/// A folder that goes when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("steamnetmsg-tool-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a scratch folder");
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path as it stands on a command line.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file can be read")
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).expect("the file can be written");
        self.arg(name)
    }

    /// What is there, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs the program with the words of `line`; `{}` stands for the folder.
    #[track_caller]
    pub fn run(&self, line: &str) -> Said {
        self.run_with(line, "")
    }

    /// The same, with something on standard input.
    #[track_caller]
    pub fn run_with(&self, line: &str, input: &str) -> Said {
        let folder = self.0.to_str().expect("UTF-8");
        let mut command = Command::new(PROGRAM);
        command.args(line.split_whitespace().map(|word| word.replace("{}", folder)));
        self.finish(command, input)
    }

    #[track_caller]
    pub fn finish(&self, mut command: Command, input: &str) -> Said {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // A program that does not read has closed its end: no matter.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let said = Said {
            code: output.status.code().expect("no signal ended it"),
            out: text(&output.stdout),
            err: text(&output.stderr),
        };
        self.holds_its_tongue(&said);
        said
    }

    #[track_caller]
    fn holds_its_tongue(&self, said: &Said) {
        for name in self.names().iter().filter(|name| name.ends_with(".key")) {
            let Ok(bytes) = fs::read(self.path(name)) else { continue };
            let Some(seed) = bytes.first_chunk::<32>() else { continue };
            for form in written_forms(seed) {
                assert!(!said.out.contains(&form) && !said.err.contains(&form), "{name} is told: {said:?}");
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Half a seed in every way it might be written.
pub fn written_forms(seed: &[u8; 32]) -> Vec<String> {
    let half = &seed[..15]; // fifteen bytes are twenty characters of base64, whatever follows
    let hex: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{half:?}");
    vec![
        hex.to_uppercase(),
        hex,
        STANDARD.encode(half),
        URL_SAFE.encode(half),
        list.trim_end_matches(']').to_owned(),
        format!("{half:x?}").trim_end_matches(']').to_owned(),
        half.escape_ascii().to_string(),
    ]
}

/// Is this program there?
pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// The top of the project.
pub fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tool is below the project")
}

#[test]
fn a_secret_that_is_told_would_be_noticed() {
    let scratch = Scratch::new();
    let seed: [u8; 32] = std::array::from_fn(|at| (at * 37 + 200) as u8);
    scratch.write("told.key", &seed);
    for form in written_forms(&seed) {
        let said = Said { code: 0, out: format!("the key is {form}…"), err: String::new() };
        let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scratch.holds_its_tongue(&said)));
        assert!(noticed.is_err(), "{form}");
    }
}
