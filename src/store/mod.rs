//! Stores: places that keep pictures. One trait, one file a store, one `match` that opens them.
//!
//! A new store takes a file beside `dir.rs`, a line in [`open`] and in [`at`], and a line in
//! `tests/stores.rs`, which checks the promises below.

mod dir;
pub mod sxcu;

pub use dir::Dir;

use crate::error::{Kind, Result};
use crate::key::{Digest, Location};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A place that keeps pictures, used by many threads at once.
///
/// What every store promises:
///
/// - A picture is there whole or not at all; nobody ever sees half of one, whatever is interrupted.
/// - Putting one twice, even at once, is as good as putting it once.
/// - What is missing is [`Kind::NotFound`], never an empty body.
pub trait Store: Send + Sync {
    /// Keeps a picture, which is a whole PNG whose pixels have this digest; gives where it is.
    ///
    /// One that is there already is not written again, if it is good.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] and whatever the store refuses; then it isn't there, or it is there whole.
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location>;

    /// Waits until everything that has been put is durable: it outlives a power cut.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`].
    fn sync(&self) -> Result<()>;

    /// The bytes of the picture at `location`. Nothing is known about what comes, nor how much: the
    /// caller checks it.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`], [`Kind::Io`].
    fn get(&self, location: &Location) -> Result<Box<dyn Read>>;

    /// When the picture at `location` was put, if the store knows.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`], [`Kind::Io`].
    fn made(&self, location: &Location) -> Result<Option<SystemTime>>;
}

/// Opens the store that a user names: `file:DIR`, a `file://` URL, or a path with a slash.
///
/// # Errors
///
/// [`Kind::Store`] for anything else: an unknown scheme is never taken for a path.
pub fn open(name: &OsStr) -> Result<Arc<dyn Store>> {
    let text = name.to_string_lossy();
    let unknown = |what: String| Err(Kind::Store(format!("{what}, expected {KNOWN}")).into());
    match text.split_once(':') {
        Some(("file", path)) if path.starts_with("//") => {
            open_dir(&text.parse::<Location>()?.to_path())
        }
        Some(("file", "")) => unknown("store 'file:' without a folder".into()),
        Some(("file", _)) => {
            let path = &name.as_bytes()["file:".len()..];
            open_dir(Path::new(OsStr::from_bytes(path)))
        }
        Some((scheme, _)) if !scheme.contains(['/', '.']) => {
            unknown(format!("store of unknown scheme '{scheme}:'"))
        }
        _ if text.contains('/') => open_dir(Path::new(name)),
        _ => unknown(format!("store '{text}'")),
    }
}

/// The names of stores, for messages.
const KNOWN: &str = "file:DIR or a path with a slash";

fn open_dir(path: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Dir::new(path)?))
}

/// The store that keeps what is at `location`, to read from.
#[must_use]
pub fn at(_location: &Location) -> Arc<dyn Store> {
    Arc::new(Dir::reader()) // locations have one scheme
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_never_a_path() {
        for bad in [
            "",
            "backups",
            "ftp://host/x",
            "s3:bucket/x",
            "file:",
            "FILE:/x",
            "c:x/y",
        ] {
            let error = open(bad.as_ref()).err().expect(bad);
            assert!(matches!(error.kind(), Kind::Store(_)), "{bad}: {error}");
        }
        for good in ["file:x", "file:///tmp/x", "./x:y", "a/b:c", "/x", "x/"] {
            assert!(open(good.as_ref()).is_ok(), "{good}");
        }
        assert!(open("file://host/x".as_ref()).is_err());
    }
}
