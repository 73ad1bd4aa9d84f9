//! Frames to bytes.

use crate::error::{Error, Kind, Result};
use crate::input::Files;
use crate::pipeline;
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, FrameKind, Place, Size, Trailer};
use crate::wire::pictures::{self, Pictures};
use crate::wire::stream::{Order, StreamCrc};
use crate::wire::{DEFAULT_LIMIT, read_frame};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

/// How to decode.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that decompress; at least 1. Default: 1.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 1,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl Options {
    /// The bytes of buffers that decoding takes for frames that full are of size `full`, whatever
    /// the length of the stream: a PNG and a chunk for each slot, pixels for each worker.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        pipeline::slots(self.jobs) * 2 * frame + self.jobs * frame
    }
}

/// What has been decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of all streams.
    pub bytes: u64,
    /// Frames that held them.
    pub frames: u64,
}

/// Writes the streams whose frames `input` gives to `output`, one after another.
///
/// Each frame is checked before its bytes are written, so what has been written is right, up to the
/// frame that the error names; that it is all is known only when this returns without an error.
///
/// # Errors
///
/// What storagex(5) says a reader must refuse, with `frame N` as the place; reading and writing.
pub fn decode(
    input: impl Read + Send + 'static,
    output: &mut impl Write,
    options: &Options,
) -> Result<Summary> {
    let mut pictures = Pictures::new(input, options.limit);
    let limit = options.limit;
    let mut seq = 0;
    let mut order = Order::default();
    let mut stream_crc = StreamCrc::default();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.seq = seq;
            seq += 1;
            pictures.next(&mut slot.png).map_err(|e| slot.at(e))
        },
        move |slot, scratch| slot.open(limit, scratch).map_err(|e| slot.at(e)),
        |slot| {
            let (trailer, chunk) = slot.opened();
            order.next(trailer).map_err(|e| slot.at(e))?;
            stream_crc
                .check(trailer, slot.crc)
                .map_err(|e| slot.at(e))?;
            output.write_all(chunk).map_err(Error::output)
        },
    )?;
    order.end()?;
    output.flush().map_err(Error::output)?;
    Ok(Summary {
        bytes: order.bytes(),
        frames: order.frames(),
    })
}

/// A picture, and the chunk that is in it.
#[derive(Default)]
struct Slot {
    seq: u64,
    png: Vec<u8>,
    /// The chunk is at `start..start + raw_length` of these bytes.
    bytes: Vec<u8>,
    start: usize,
    trailer: Option<Trailer>,
    crc: u32,
}

/// What a worker needs to open a frame.
#[derive(Default)]
struct Scratch {
    unpacker: Unpacker,
    pixels: Vec<u8>,
}

impl Slot {
    /// PNG, pixels, payload, chunk.
    fn open(&mut self, limit: usize, scratch: &mut Scratch) -> Result<()> {
        let (trailer, payload_crc) = read_frame(&self.png, limit, &mut scratch.pixels)?;
        self.trailer = Some(trailer);
        match trailer.codec {
            Codec::Zstd => {
                let length = trailer.raw_length as usize;
                let payload = frame::payload(&scratch.pixels);
                scratch.unpacker.unpack(payload, length, &mut self.bytes)?;
                self.start = 0;
                self.crc = crc32fast::hash(self.opened().1);
            }
            Codec::Stored => {
                std::mem::swap(&mut self.bytes, &mut scratch.pixels);
                self.start = frame::HEADER;
                self.crc = payload_crc;
            }
        }
        Ok(())
    }

    fn opened(&self) -> (&Trailer, &[u8]) {
        let trailer = self.trailer.as_ref().expect("internal error: not opened");
        let end = self.start + trailer.raw_length as usize;
        (trailer, &self.bytes[self.start..end])
    }

    fn at(&self, error: Error) -> Error {
        error.at(format_args!("frame {}", self.seq))
    }
}

/// A frame, as `sx-decode --list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its number among those that came.
    pub seq: u64,
    /// Width and height of the picture.
    pub size: Size,
    /// What its trailer says.
    pub trailer: Trailer,
    /// Bytes of its payload, the codec not undone.
    pub stored: u64,
}

/// Calls `each` for every frame that `input` gives.
///
/// Each frame is checked by itself; frames of an index are shown too, and neither order nor end of
/// a stream are looked at, so that a broken stream can be seen as it is.
///
/// # Errors
///
/// As [`decode`], but for order and content; and those of `each`.
pub fn list(
    input: impl Read + Send + 'static,
    options: &Options,
    mut each: impl FnMut(&Listed) -> Result<()>,
) -> Result<()> {
    let mut pictures = Pictures::new(input, options.limit);
    let limit = options.limit;
    let mut seq = 0;
    let mut any = false;
    pipeline::run(
        options.jobs,
        Default::default,
        move |(at, png, _): &mut (u64, Vec<u8>, Option<Listed>)| {
            *at = seq;
            seq += 1;
            let place = format_args!("frame {at}");
            pictures.next(png).map_err(|e| e.at(place))
        },
        move |(at, png, listed), pixels| {
            let frame = read_frame(png, limit, pixels);
            let (trailer, _) = frame.map_err(|e| e.at(format_args!("frame {at}")))?;
            *listed = Some(Listed {
                seq: *at,
                size: pictures::size(png),
                trailer,
                stored: frame::payload(pixels).len() as u64,
            });
            Ok(())
        },
        |(_, _, listed)| {
            any = true;
            each(listed.as_ref().expect("internal error: not read"))
        },
    )?;
    if any { Ok(()) } else { Err(Kind::Empty.into()) }
}

/// Puts files that hold a frame each in the order of their stream, for [`decode`] to read.
///
/// Doubles count once, and frames of an index are left out: in the folder of a store they lie beside
/// those of the data.
///
/// # Errors
///
/// As [`decode`], with the file as the place; [`Kind::NotPositioned`], [`Kind::Conflict`]; and
/// [`Kind::Offset`] or [`Kind::Truncated`] where one is missing.
pub fn sort(files: Vec<PathBuf>, options: &Options) -> Result<Files> {
    let mut files = files.into_iter();
    let limit = options.limit;
    let mut sorted = BTreeMap::new();
    pipeline::run(
        options.jobs,
        Default::default,
        move |(path, _): &mut (PathBuf, Option<Found>)| {
            let next = files.next();
            let any = next.is_some();
            *path = next.unwrap_or_default();
            Ok(any)
        },
        move |(path, found), scratch| {
            *found = look(path, limit, scratch).map_err(|e| e.at(path.display()))?;
            Ok(())
        },
        |(path, found)| match found.take() {
            Some(found) => insert(&mut sorted, found).map_err(|e| e.at(path.display())),
            None => Ok(()),
        },
    )?;
    check_whole(&sorted)?;
    Ok(Files::new(sorted.into_values().map(|found| found.path)))
}

/// What a worker needs to look at a file.
#[derive(Default)]
struct Look {
    png: Vec<u8>,
    pixels: Vec<u8>,
}

/// A file with a frame of data.
struct Found {
    path: PathBuf,
    digest: blake3::Hash,
    offset: u64,
    length: u64,
    last: bool,
}

fn look(path: &PathBuf, limit: usize, scratch: &mut Look) -> Result<Option<Found>> {
    let Look { png, pixels } = scratch;
    let file = File::open(path).map_err(|e| Error::io("cannot open", e))?;
    pictures::single(file, limit, png)?;
    let (trailer, _) = read_frame(png, limit, pixels)?;
    let (offset, last) = match trailer.place {
        _ if trailer.kind == FrameKind::Index => return Ok(None),
        Place::Anywhere => return Err(Kind::NotPositioned.into()),
        Place::At(offset) => (offset, false),
        Place::Last { offset, .. } => (offset, true),
    };
    Ok(Some(Found {
        path: path.clone(),
        digest: blake3::hash(pixels),
        offset,
        length: u64::from(trailer.raw_length),
        last,
    }))
}

fn insert(sorted: &mut BTreeMap<u64, Found>, found: Found) -> Result<()> {
    match sorted.get(&found.offset) {
        Some(other) if other.digest != found.digest => {
            let other = format!("the other one is {}", other.path.display());
            Err(Error::from(Kind::Conflict(found.offset)).because(other))
        }
        Some(_) => Ok(()),
        None => {
            sorted.insert(found.offset, found);
            Ok(())
        }
    }
}

/// Checks that each frame starts where the one before it ends, and that the last one is there.
fn check_whole(sorted: &BTreeMap<u64, Found>) -> Result<()> {
    let mut expected = 0;
    for Found {
        path,
        offset,
        length,
        ..
    } in sorted.values()
    {
        if *offset != expected {
            let found = *offset;
            return Err(Error::from(Kind::Offset { found, expected }).at(path.display()));
        }
        expected += length;
    }
    match sorted.last_key_value() {
        None => Err(Kind::Empty.into()),
        Some((_, last)) if last.last => Ok(()),
        Some((_, last)) => Err(Error::from(Kind::Truncated).at(last.path.display())),
    }
}
