//! Turns a key into frames.

mod check;
mod fetch;
mod findings;
mod flights;
mod gather;
mod home;
mod inspect;
mod options;
mod orphans;
mod range;
mod rebuild;
mod repair;
mod salvage;
mod trail;
mod trees;
mod v1;

pub use check::{Count, Gap, Health, Report, Sample, check};
pub use options::Options;
pub use range::get_range;
pub use repair::{Repaired, repair, repair_to};
pub use salvage::{Salvaged, salvage};

use crate::error::{Error, Kind, Result, shown};
pub use crate::index::Role;
use crate::index::{self, Found, Piece};
use crate::key::{Key, Keys, Name, Source};
use crate::pipeline;
use crate::store;
use crate::store::Fetched;
use crate::wire::frame::Trailer;
use crate::wire::stream::{Order, Position};
use fetch::{Finder, Wait};
use rebuild::Rebuilder;
use std::io::Write;
use std::time::SystemTime;
use trail::{Step, Trail};

/// The result of getting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Got {
    /// Data frames.
    pub frames: u64,
    /// Those of them that were rebuilt from the rest of their groups.
    pub rebuilt: u64,
}

/// Writes the frames of a key to `output`, in order.
///
/// Before it writes a frame, this checks its digest and that it stands where the index says; keys
/// of storagex 1.0 have no digests. If a frame is missing or wrong, this looks for it in the other
/// stores of the line, and then rebuilds it from the rest of its group, if it has parity. Callers
/// that write several streams one after another write [`CUT`](crate::wire::stream::CUT) after an
/// error.
///
/// ```
/// use storagex::{Key, get};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let key = storagex::put(frames, &[store], &Default::default())?.keys;
/// let line = key.to_string(); // what the user keeps
/// let key: Key = line.parse()?;
/// let mut frames = Vec::new();
/// let got = get(&key, &mut frames, &get::Options::default())?;
/// assert_eq!((got.frames, got.rebuilt), (1, 0));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// Those of the store, and what storagex(5) says a reader must refuse, with the frame's number and
/// location as the place; writing.
pub fn get(source: impl Into<Source>, output: &mut impl Write, options: &Options) -> Result<Got> {
    let got = walk(&source.into(), options, |png| {
        output.write_all(png).map_err(Error::output)
    })?;
    output.flush().map_err(Error::output)?;
    Ok(got)
}

/// Calls `each` with the key of every frame and index of a line: index frames, including the root,
/// before the frames that they list, and the parity frames of a group before its data frames.
/// Fetches only index frames.
///
/// ```
/// use storagex::get;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let key = storagex::put(frames, &[store], &Default::default())?.keys;
/// let mut pictures = Vec::new();
/// get::list(&key, &get::Options::default(), |source, _role| {
///     pictures.push(source.location().path());
///     Ok(())
/// })?;
/// assert_eq!(pictures.len(), 2); // the index and a frame
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// As [`get`] for index frames, and those of `each`.
pub fn list(
    source: impl Into<Source>,
    options: &Options,
    mut each: impl FnMut(&Source, Role) -> Result<()>,
) -> Result<()> {
    let keys = match source.into() {
        Source::Key(keys) => keys,
        Source::V1(location) => {
            let pieces = v1::Upload::fetch(&location, options)?.pieces;
            each(&Source::V1(location), Role::Index)?;
            let pieces = pieces.into_iter().map(|piece| piece.location);
            return pieces
                .map(Source::V1)
                .try_for_each(|piece| each(&piece, Role::Data));
        }
    };
    let finder = Finder::new(&keys, options)?;
    let mut trail = Trail::new(&finder)?;
    let mut each = |link: &index::Link, place: usize, role| {
        let key = Key {
            location: link.places[place].clone(),
            digest: link.digest,
        };
        each(&Source::from(&key), role)
    };
    while let Some(step) = trail.next()? {
        match found(step)?.0 {
            Found::Index(link) => {
                each(&link, 0, Role::Index)?;
                (1..link.places.len()).try_for_each(|copy| each(&link, copy, Role::Copy))?;
            }
            Found::Piece(piece) => {
                if let Some((group, _)) = &piece.group
                    && group.seq == piece.seq
                {
                    let mut parity = group.parity.iter();
                    parity.try_for_each(|link| each(link, 0, Role::Parity))?;
                }
                each(&piece.link, 0, Role::Data)?;
            }
            Found::Lost(_) => {}
        }
    }
    Ok(())
}

/// What a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The index's filename; may be empty.
    pub name: String,
    /// Bytes of the stream.
    pub size: u64,
    /// Data frames.
    pub frames: u64,
    /// The folder, bucket or host that has the index and its frames.
    pub store: String,
    /// When the index was put, if the store knows.
    pub made: Option<SystemTime>,
}

impl Info {
    /// The last component of the name, for a file in the current folder. The name is somebody else's
    /// text: nothing but a plain name is taken of it.
    ///
    /// # Errors
    ///
    /// [`Kind::NoFileName`] if it is empty, `.` or `..`, or has a control character.
    pub fn file_name(&self) -> Result<&str> {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        match name {
            "" | "." | ".." => Err(Kind::NoFileName(shown(name)).into()),
            _ if name.contains(char::is_control) => Err(Kind::NoFileName(shown(name)).into()),
            _ => Ok(name),
        }
    }
}

/// Describes what a key stands for, from its root index alone.
///
/// ```
/// use storagex::get;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let key = storagex::put(frames, &[store], &Default::default())?.keys;
/// let info = get::info(&key, &get::Options::default())?;
/// assert_eq!((info.size, info.frames), (3000, 1));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// As [`get`] for the root.
pub fn info(source: impl Into<Source>, options: &Options) -> Result<Info> {
    let source = source.into();
    let location = source.location();
    let (name, size, frames) = match &source {
        Source::Key(keys) => {
            let root = root(keys, options)?;
            (root.filename, root.size, root.frames)
        }
        Source::V1(_) => {
            let upload = v1::Upload::fetch(location, options)?;
            let frames = upload.pieces.len().max(1) as u64;
            (upload.filename, upload.size, frames)
        }
    };
    let store = store::at(location, &options.lent()?)?;
    let made = match store.made(location) {
        // A copy was read, or the one in another store.
        Err(e) if e.kind() == &Kind::NotFound => None,
        other => other.map_err(|e| e.at(location))?,
    };
    Ok(Info {
        name,
        size,
        frames,
        store: store_of(&source),
        made,
    })
}

/// The root that a line of keys names.
fn root(keys: &Keys, options: &Options) -> Result<index::Index> {
    let finder = Finder::new(keys, options)?;
    let (trees, mut failed) = (finder.trees(), None);
    for number in trees.order() {
        let location = &trees.all()[number].root.places[0];
        match trees.root(number, Wait::Fully) {
            Ok(json) => return index::root(&json, location),
            Err(e) => drop(failed.get_or_insert(e.at(location))),
        }
    }
    Err(failed.expect("internal error: a line without a tree"))
}

/// The folder that names its pictures by their digests, or else the one that the index is in.
fn store_of(source: &Source) -> String {
    let location = source.location().to_string();
    let by_digest = match source {
        Source::Key(keys) => {
            let name = Name::from(keys.first().digest);
            keys.first().location.store_of(&name).map(str::to_owned)
        }
        Source::V1(_) => None,
    };
    let folder = || {
        let (path, _) = location.split_once('?').unwrap_or((&location, ""));
        path.rsplit_once('/').map(|(folder, _)| folder.to_owned())
    };
    by_digest.or_else(folder).unwrap_or_default()
}

/// Fetches the data frames, many at once; calls `each` with every PNG in order.
fn walk(
    source: &Source,
    options: &Options,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Got> {
    let keys = match source {
        Source::Key(keys) => keys,
        Source::V1(location) => {
            let frames = v1::walk(location, options, each)?;
            return Ok(Got { frames, rebuilt: 0 });
        }
    };
    let finder = Finder::new(keys, options)?;
    let mut trail = Trail::new(&finder)?;
    let rebuilder = Rebuilder::new(&finder, options.jobs, options.limit);
    let (mut order, mut rebuilt) = (Order::default(), 0);
    let progress = &options.store.progress;
    let mut expecting = progress.expecting();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            let found = slot.find(&mut trail)?;
            expecting.see(trail.size());
            Ok(found)
        },
        move |slot, bytes| slot.fetch(&rebuilder, bytes).map_err(|e| slot.at(e)),
        |slot| {
            let trailer = slot.trailer.as_ref().expect("internal error: not fetched");
            let position = order.next(trailer).map_err(|e| slot.at(e))?;
            slot.check(position).map_err(|e| slot.at(e))?;
            rebuilt += u64::from(slot.rebuilt);
            each(&slot.png)?;
            progress.frame(u64::from(trailer.raw_length));
            Ok(())
        },
    )?;
    order.end().map_err(|e| e.at(&keys.first().location))?;
    Ok(Got {
        frames: order.frames(),
        rebuilt,
    })
}

/// The result of a step; an error if an index is lost.
fn found(step: Step) -> Result<(Found, usize)> {
    match step {
        Step::Found(found, home) => Ok((found, home)),
        Step::Lost(lost) => Err(lost.error),
    }
}

/// What the index says about a frame, and the frame.
#[derive(Default)]
struct Slot {
    piece: Option<Piece>,
    /// The home of an index that refers to it.
    home: usize,
    png: Vec<u8>,
    trailer: Option<Trailer>,
    rebuilt: bool,
}

impl Slot {
    /// Takes the next data frame.
    fn find(&mut self, trail: &mut Trail) -> Result<bool> {
        self.piece = None;
        while let Some(step) = trail.next()? {
            if let (Found::Piece(piece), home) = found(step)? {
                (self.piece, self.home) = (Some(piece), home);
                break;
            }
        }
        Ok(self.piece.is_some())
    }

    fn piece(&self) -> &Piece {
        self.piece.as_ref().expect("internal error: not found")
    }

    /// From a store, or from the rest of its group.
    fn fetch(&mut self, rebuilder: &Rebuilder, bytes: &mut Vec<u8>) -> Result<()> {
        let mut to = Fetched {
            png: std::mem::take(&mut self.png),
            bytes: std::mem::take(bytes),
            ..Fetched::default()
        };
        let done = rebuilder.fetch(self.piece(), self.home, &mut to);
        (self.png, *bytes) = (to.png, to.bytes);
        let (trailer, rebuilt) = done?;
        (self.trailer, self.rebuilt) = (Some(trailer), rebuilt);
        Ok(())
    }

    /// Checks the frame against its index.
    fn check(&self, position: Position) -> Result<()> {
        let Piece {
            seq, offset, size, ..
        } = self.piece();
        let raw_length = self.trailer.as_ref().map_or(0, |t| u64::from(t.raw_length));
        let expected = Position {
            seq: *seq,
            offset: *offset,
        };
        match position == expected && raw_length == *size {
            true => Ok(()),
            false => Err(Kind::Index(format!(
                "a frame of {raw_length} bytes at {}, expected {size} at {offset}",
                position.offset
            ))
            .into()),
        }
    }

    fn at(&self, error: Error) -> Error {
        let piece = self.piece();
        error
            .at(&piece.link.places[0])
            .at(format_args!("frame {}", piece.seq))
    }
}
