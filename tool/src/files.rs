//! How keys and certificates lie on disk.
//!
//! A new file is made with O_EXCL, so nothing is overwritten unless asked, and then the old content is there until the
//! new one is whole. A secret is made readable by its owner alone (mode 0600), and one that others may read is refused.
//! Windows has no such modes in Rust's standard library: there a file gets the rights of its directory, and nothing is
//! checked; keep keys below the user's profile.

use crate::keys::{MAX_FILE, NotAKey, PublicKey, Purpose, SecretKey};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a file could not be used. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused to read it.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to write it.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a public key nor a file.
    #[error("\"{text}\" is no public key (43 characters of base64url), and no file has that name")]
    Neither {
        /// What was given.
        text: String,
    },
    /// It would be overwritten.
    #[error("{} exists already and stays as it is; choose another name, or --force to replace it", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error(
        "{} may be read by others than its owner (mode {mode:04o}): `chmod 600` it, or --allow-open-permissions if that \
         is meant",
        path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("{} {why}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        why: NotAKey,
    },
    /// It holds more than it should.
    #[error("{} is longer than {limit} bytes, so it is not what is needed here", path.display())]
    Long {
        /// Which file.
        path: PathBuf,
        /// What it may hold, bytes.
        limit: usize,
    },
}

/// Whether a new file is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Its owner alone may read it.
    Secret,
    /// As other files of this user.
    Public,
}

/// The file that `out` means: itself, or `name` in it if it is a directory.
pub fn file_for(out: &Path, name: &str) -> PathBuf {
    if out.is_dir() { out.join(name) } else { out.to_owned() }
}

/// Makes a new file, in one piece or not at all.
///
/// # Errors
/// [`FileError::Exists`] unless `force`; [`FileError::Write`].
pub fn write_new(path: &Path, bytes: &[u8], secrecy: Secrecy, force: bool) -> Result<(), FileError> {
    let failed = |source| FileError::Write { path: path.to_owned(), source };
    if force {
        let mut name = path.file_name().ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?.to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let fresh = path.with_file_name(name);
        create(&fresh, bytes, secrecy).map_err(failed)?;
        return fs::rename(&fresh, path).map_err(|source| {
            let _ = fs::remove_file(&fresh); // the rename's failure is what matters
            failed(source)
        });
    }
    create(path, bytes, secrecy).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => FileError::Exists { path: path.to_owned() },
        _ => failed(source),
    })
}

fn create(path: &Path, bytes: &[u8], secrecy: Secrecy) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    restrict(&mut options, secrecy);
    let mut file = options.open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        let _ = fs::remove_file(path); // half a file helps nobody
    })
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, secrecy: Secrecy) {
    use std::os::unix::fs::OpenOptionsExt;
    if secrecy == Secrecy::Secret {
        options.mode(0o600);
    }
}

#[cfg(not(unix))]
fn restrict(_options: &mut OpenOptions, _secrecy: Secrecy) {}

/// Reads a small file that is no secret, `limit` bytes at most.
///
/// # Errors
/// [`FileError::Read`], [`FileError::Long`].
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    if bytes.len() > limit {
        return Err(FileError::Long { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Reads a secret key, of a file that its owner alone may read unless `allow_open`.
///
/// # Errors
/// See [`FileError`].
pub fn read_secret(path: &Path, purpose: Purpose, allow_open: bool) -> Result<SecretKey, FileError> {
    let mut file = open(path)?;
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    if !allow_open && let Some(mode) = open_mode(&file).map_err(failed)? {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    // Straight into memory that is wiped.
    let mut bytes = Zeroizing::new([0; MAX_FILE]);
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    SecretKey::decode(&bytes[..len], purpose).map_err(|why| FileError::Key { path: path.to_owned(), why })
}

/// Takes a public key as it is written on a command line: itself, or a file that holds it in text, or the secret key's.
///
/// # Errors
/// See [`FileError`].
pub fn public_key(text: &str, purpose: Purpose, allow_open: bool) -> Result<PublicKey, FileError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = Path::new(text);
    let bytes = Zeroizing::new(read(path, MAX_FILE).map_err(|error| match error {
        FileError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
            FileError::Neither { text: text.escape_debug().to_string() }
        }
        other => other,
    })?);
    match std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()) {
        Some(key) => Ok(key),
        None => read_secret(path, purpose, allow_open).map(|key| key.public()),
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::new(ErrorKind::IsADirectory, "it is a directory")));
    }
    Ok(file)
}

/// The permission bits, if somebody else may read or change the file.
#[cfg(unix)]
fn open_mode(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    Ok((mode & 0o077 != 0).then_some(mode))
}

#[cfg(not(unix))]
fn open_mode(_file: &File) -> io::Result<Option<u32>> {
    Ok(None)
}
