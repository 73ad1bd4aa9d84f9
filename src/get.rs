//! A key to frames.

use crate::error::{Error, Kind, Result};
use crate::index::{self, Found, Walker};
use crate::key::{Digest, Key, Source};
use crate::pipeline;
use crate::store::{self, Config, Store};
use crate::v1;
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, FrameKind, Size, Trailer};
use crate::wire::stream::{Order, Position};
use crate::wire::{DEFAULT_LIMIT, read_frame, webp};
use std::io::Write;
use std::time::SystemTime;

/// How to get.
#[derive(Debug, Clone)]
pub struct Options {
    /// Frames that are fetched at once; at least 1. Default: 8.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
    /// How the store is reached.
    pub store: Config,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 8,
            limit: DEFAULT_LIMIT,
            store: Config::default(),
        }
    }
}

impl Options {
    /// The bytes of buffers that getting takes for frames that full are of size `full`, whatever the
    /// length of the stream: a PNG for each slot, pixels for each worker; PNG, pixels, text
    /// and entries of an index, and entries for each level of the tree above the first. For what
    /// storagex 1.0 uploaded, there are pixels for each slot, too.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        pipeline::slots(self.jobs) * frame + self.jobs * frame + 5 * frame
    }
}

/// Writes the frames that a key brings back to `output`, in order. Gives their number.
///
/// Each frame has been checked against its digest before it is written, and stands where the index
/// says; what storagex 1.0 uploaded has no digests. Where streams follow one another, who calls
/// writes [`CUT`](crate::wire::stream::CUT) after an error.
///
/// # Errors
///
/// Those of the store, and what storagex(5) says a reader must refuse, with the frame's number and
/// location as the place; writing.
pub fn get(source: impl Into<Source>, output: &mut impl Write, options: &Options) -> Result<u64> {
    let frames = walk(&source.into(), options, |png| {
        output.write_all(png).map_err(Error::output)
    })?;
    output.flush().map_err(Error::output)?;
    Ok(frames)
}

/// Fetches and checks everything that a key brings back. Gives the number of data frames.
///
/// # Errors
///
/// As [`get`].
pub fn check(source: impl Into<Source>, options: &Options) -> Result<u64> {
    walk(&source.into(), options, |_| Ok(()))
}

/// Calls `each` with the keys of everything that a key reaches: index frames, its own among them,
/// before what they cover. Fetches nothing but these.
///
/// # Errors
///
/// As [`get`] for index frames, and those of `each`.
pub fn list(
    source: impl Into<Source>,
    options: &Options,
    mut each: impl FnMut(&Source) -> Result<()>,
) -> Result<()> {
    let key = match source.into() {
        Source::Key(key) => key,
        Source::V1(location) => {
            let pieces = v1::Upload::fetch(&location, options)?.pieces;
            let below = pieces.into_iter().map(|piece| piece.location);
            return std::iter::once(location)
                .chain(below)
                .try_for_each(|location| each(&Source::V1(location)));
        }
    };
    let mut walker = walker(&key, options)?;
    while let Some(found) = walker.next()? {
        match found {
            Found::Index(key) | Found::Piece { key, .. } => each(&Source::Key(key))?,
        }
    }
    Ok(())
}

/// What [`Kind::NotPiece`] says of a frame: its key has lost its digest.
pub const OWN_FRAME: &str = "a frame of this storagex";

/// What a key is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The index's filename; may be empty.
    pub name: String,
    /// Bytes of the stream.
    pub size: u64,
    /// Data frames.
    pub frames: u64,
    /// The folder, or its like, that the index and what it refers to are in.
    pub store: String,
    /// When that was put, if the store knows.
    pub made: Option<SystemTime>,
}

/// Tells what a key is of, by its root index alone.
///
/// # Errors
///
/// As [`get`] for the root.
pub fn info(source: impl Into<Source>, options: &Options) -> Result<Info> {
    let source = source.into();
    let location = source.location();
    let store = store::at(location, &options.store)?;
    let (name, size, frames) = match &source {
        Source::Key(key) => {
            let json = fetch_index(key, store.as_ref(), options.limit)?;
            let root = index::root(&json, location)?;
            (root.filename, root.size, root.frames)
        }
        Source::V1(_) => {
            let upload = v1::Upload::fetch(location, options)?;
            let frames = upload.pieces.len().max(1) as u64;
            (upload.filename, upload.size, frames)
        }
    };
    Ok(Info {
        name,
        size,
        frames,
        store: store_of(&source),
        made: store.made(location).map_err(|e| e.at(location))?,
    })
}

/// The folder that names its pictures by their digests, or else the one that the index is in.
fn store_of(source: &Source) -> String {
    let location = source.location().to_string();
    let by_digest = match source {
        Source::Key(key) => location.strip_suffix(&format!("/{}", key.digest.name())),
        Source::V1(_) => None,
    };
    let folder = || {
        let (path, _) = location.split_once('?').unwrap_or((&location, ""));
        path.rsplit_once('/').map(|(folder, _)| folder)
    };
    by_digest.or_else(folder).unwrap_or_default().to_owned()
}

/// Fetches the data frames, many at once; calls `each` with every PNG in order. Gives their number.
fn walk(
    source: &Source,
    options: &Options,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let key = match source {
        Source::Key(key) => key,
        Source::V1(location) => return v1::walk(location, options, each),
    };
    let mut order = Order::default();
    let mut walker = walker(key, options)?;
    let store = store::at(&key.location, &options.store)?;
    let limit = options.limit;
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| slot.find(&mut walker),
        move |slot, pixels| {
            slot.fetch(store.as_ref(), limit, pixels)
                .map_err(|e| slot.at(e))
        },
        |slot| {
            let trailer = slot.trailer.as_ref().expect("internal error: not fetched");
            let position = order.next(trailer).map_err(|e| slot.at(e))?;
            slot.check(position).map_err(|e| slot.at(e))?;
            each(&slot.png)
        },
    )?;
    order.end().map_err(|e| e.at(&key.location))?;
    Ok(order.frames())
}

fn walker(key: &Key, options: &Options) -> Result<Walker> {
    let store = store::at(&key.location, &options.store)?;
    let limit = options.limit;
    let fetch = move |key: &Key| fetch_index(key, store.as_ref(), limit);
    Ok(Walker::new(key.clone(), Box::new(fetch)))
}

/// What the index says of a frame, and the frame.
#[derive(Default)]
struct Slot {
    piece: Option<Piece>,
    png: Vec<u8>,
    trailer: Option<Trailer>,
}

struct Piece {
    key: Key,
    position: Position,
    size: u64,
}

impl Slot {
    /// The next data frame of the index.
    fn find(&mut self, walker: &mut Walker) -> Result<bool> {
        self.piece = loop {
            match walker.next()? {
                Some(Found::Index(_)) => {}
                Some(Found::Piece {
                    key,
                    seq,
                    offset,
                    size,
                }) => {
                    let position = Position { seq, offset };
                    break Some(Piece {
                        key,
                        position,
                        size,
                    });
                }
                None => break None,
            }
        };
        Ok(self.piece.is_some())
    }

    fn piece(&self) -> &Piece {
        self.piece.as_ref().expect("internal error: not found")
    }

    fn fetch(&mut self, store: &dyn Store, limit: usize, pixels: &mut Vec<u8>) -> Result<()> {
        let piece = self.piece.as_ref().expect("internal error: not found");
        self.trailer = Some(fetch(&piece.key, store, limit, &mut self.png, pixels)?);
        Ok(())
    }

    /// Checks that the frame is what its index says.
    fn check(&self, position: Position) -> Result<()> {
        let Piece {
            position: expected,
            size,
            ..
        } = self.piece();
        let raw_length = self.trailer.as_ref().map_or(0, |t| u64::from(t.raw_length));
        match position == *expected && raw_length == *size {
            true => Ok(()),
            false => Err(Kind::Index(format!(
                "a frame of {raw_length} bytes at {}, expected {size} at {}",
                position.offset, expected.offset
            ))
            .into()),
        }
    }

    fn at(&self, error: Error) -> Error {
        let piece = self.piece();
        error
            .at(&piece.key.location)
            .at(format_args!("frame {}", piece.position.seq))
    }
}

/// Fetches the frame that has this key: its PNG, its pixels, and its trailer.
pub(crate) fn fetch(
    key: &Key,
    store: &dyn Store,
    limit: usize,
    png: &mut Vec<u8>,
    pixels: &mut Vec<u8>,
) -> Result<Trailer> {
    let mut trailer = None;
    store.get(&key.location, &mut |bytes| {
        webp::single(bytes, limit, png)?;
        trailer = Some(read_frame(png, limit, pixels)?.0);
        Digest::of(pixels).check(&key.digest)
    })?;
    Ok(trailer.expect("internal error: a store that gave nothing"))
}

/// The text of the index that has this key.
fn fetch_index(key: &Key, store: &dyn Store, limit: usize) -> Result<Vec<u8>> {
    read_index(key, store, limit).map_err(|e| e.at(&key.location))
}

fn read_index(key: &Key, store: &dyn Store, limit: usize) -> Result<Vec<u8>> {
    let (mut png, mut pixels) = (Vec::new(), Vec::new());
    let trailer = fetch(key, store, limit, &mut png, &mut pixels)?;
    if trailer.kind == FrameKind::Data {
        return Err(Kind::WrongKind("a frame of data, expected an index").into());
    }
    if trailer.raw_length as usize > index::MAX_TEXT {
        let (found, most) = (trailer.raw_length, index::MAX_TEXT);
        return Err(Kind::Index(format!("{found} bytes, expected at most {most}")).into());
    }
    let payload = frame::payload(&pixels);
    match trailer.codec {
        Codec::Stored => Ok(payload.to_vec()),
        Codec::Zstd => {
            let mut json = Vec::new();
            Unpacker::default().unpack(payload, trailer.raw_length as usize, &mut json)?;
            Ok(json)
        }
    }
}
