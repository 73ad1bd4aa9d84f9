//! Upload and download in one call each, as in storagex 1.0.

use crate::decode::{self, decode};
use crate::encode::{self, encode};
use crate::error::{Error, Kind, Result};
use crate::get::{self, get};
use crate::index::Index;
use crate::input;
use crate::key::{Keys, Source};
use crate::output::Output;
use crate::put::{self, put};
use crate::store::{Config, Store};
use crate::wire::frame::Size;
use std::io::PipeReader;
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// Keeps files as pictures in a store.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let (path, back) = (folder.path().join("a"), folder.path().join("b"));
/// # std::fs::write(&path, "hello").unwrap();
/// # let name = folder.path().join("store");
/// let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// let storage = storagex::Storage::new(store);
/// let (key, index) = storage.upload(&path)?;
/// assert_eq!((index.filename.as_str(), index.size), ("a", 5));
/// storage.download_file(&key, &back)?;
/// # assert_eq!(std::fs::read(back).unwrap(), b"hello");
/// # Ok::<(), storagex::Error>(())
/// ```
pub struct Storage {
    /// Width of a full frame, in pixels. Default: 1024.
    pub width: u32,
    /// Height of a full frame, in pixels. Default: 768.
    pub height: u32,
    /// The store to put pictures into. They are fetched from wherever the key says.
    pub store: Arc<dyn Store>,
    /// How to reach the stores that keys name. Default: without credentials.
    pub config: Config,
}

impl Storage {
    /// Storage in this store, with frames of 1024 x 768.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let Size { width, height } = Size::DEFAULT;
        Storage {
            width,
            height,
            store,
            config: Config::default(),
        }
    }

    /// Keeps a file; returns its key, and the root index, which has the file's name.
    ///
    /// # Errors
    ///
    /// Those of [`encode()`](crate::encode()) and [`put()`](crate::put()).
    pub fn upload(&self, path: &Path) -> Result<(Keys, Index)> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let size = Size {
            width: self.width,
            height: self.height,
        };
        let encoding = encode::Options {
            size,
            jobs: cores(),
            ..Default::default()
        };
        let putting = put::Options {
            name: name.into_owned(),
            ..Default::default()
        };
        let file = input::open(path)?;
        connect(
            move |mut frames| encode(file, &mut frames, &encoding).map(drop),
            |frames| put(frames, std::slice::from_ref(&self.store), &putting),
        )
        .map(|done| (done.keys, done.root))
    }

    /// Restores the file of a key, which may be one of storagex 1.0, to `path`, replacing an
    /// existing file.
    ///
    /// # Errors
    ///
    /// Those of [`get()`](crate::get()) and [`decode()`](crate::decode()); then `path` is
    /// unchanged.
    pub fn download_file(&self, source: impl Into<Source>, path: &Path) -> Result<()> {
        let decoding = decode::Options {
            jobs: cores(),
            ..Default::default()
        };
        let getting = get::Options {
            store: self.config.clone(),
            ..Default::default()
        };
        let source = source.into();
        let mut output = Output::new(path)?;
        connect(
            move |mut frames| get(&source, &mut frames, &getting).map(drop),
            |frames| decode(frames, &mut output, &decoding),
        )?;
        output.replace()
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `from` and `to` at once, with a pipe between them. Of two errors, the one of `from` is the
/// cause, unless it is that `to` closed the pipe.
fn connect<T>(
    from: impl FnOnce(std::io::PipeWriter) -> Result<()> + Send + 'static,
    to: impl FnOnce(PipeReader) -> Result<T>,
) -> Result<T> {
    let (reader, writer) = std::io::pipe().map_err(|e| Error::io("cannot make a pipe", e))?;
    let from = thread::spawn(move || from(writer));
    let result = to(reader);
    let from = from.join().expect("internal error: a thread panicked");
    match from {
        Err(e) if e.kind() != &Kind::ClosedPipe => Err(e),
        _ => result,
    }
}
