//! Sorts frames that are in files of their own.

use super::{Options, Scratch, Slot, unseal};
use crate::error::{Error, Kind, Result};
use crate::input::{self, Files};
use crate::pipeline;
use crate::wire::carrier::container::{self, Pictures};
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, FrameKind, Place};
use crate::wire::read_frame;
use crate::wire::seal::Seal;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Puts files, one frame each, in the order of their stream, for [`decode`](super::decode()) to
/// read.
///
/// Duplicates count once. Index and parity frames are left out: in the folder of a store they lie
/// beside the data frames.
///
/// # Errors
///
/// As [`decode`](super::decode()), with the file as the place; [`Kind::NotPositioned`],
/// [`Kind::Conflict`]; [`Kind::Offset`] or [`Kind::Truncated`] if a frame is missing.
pub fn sort(files: Vec<PathBuf>, options: &Options) -> Result<Files> {
    let sorted = find(files, options, Err)?;
    check_whole(&sorted)?;
    Ok(Files::new(sorted.into_values().map(|found| found.path)))
}

/// Reads files, many at once, and returns the data frames by their offsets. The error of a file
/// goes to `wrong`; if `wrong` returns it, this fails with it.
fn find(
    files: Vec<PathBuf>,
    options: &Options,
    mut wrong: impl FnMut(Error) -> Result<()>,
) -> Result<BTreeMap<u64, Found>> {
    let mut files = files.into_iter();
    let limit = options.limit;
    let mut sorted = BTreeMap::new();
    pipeline::run(
        options.jobs,
        Default::default,
        move |(path, _): &mut (PathBuf, Option<Result<Option<Found>>>)| {
            let next = files.next();
            let any = next.is_some();
            *path = next.unwrap_or_default();
            Ok(any)
        },
        move |(path, found), scratch| {
            *found = Some(look(path, limit, scratch).map_err(|e| e.at(path.display())));
            Ok(())
        },
        |(path, found)| match found.take().transpose().map(Option::flatten) {
            Ok(Some(found)) => insert(&mut sorted, found).map_err(|e| e.at(path.display())),
            Ok(None) => Ok(()),
            Err(error) => wrong(error),
        },
    )?;
    Ok(sorted)
}

/// The result of salvaging.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Bytes of the stream, up to the end of the last available frame.
    pub size: u64,
    /// The missing ones of these bytes, which are zeros now.
    pub gaps: Vec<Range<u64>>,
    /// Whether the last frame of the stream is there, so that nothing is missing after it.
    pub has_end: bool,
    /// The errors of the files or frames that were left out.
    pub left_out: Vec<String>,
    /// How many of them may have bytes that are nowhere else: frames of another stream.
    pub strays: usize,
}

impl Salvaged {
    /// An error that says how much is missing, if anything is.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let lengths = self.gaps.iter().map(|gap| gap.end - gap.start);
        match (lengths.sum(), self.has_end) {
            (0, true) if self.strays == 0 => None,
            (0, true) => Some(Kind::LeftOut(self.strays as u64).into()),
            (bytes, end) => Some(Kind::Missing { bytes, end: !end }.into()),
        }
    }
}

/// Writes the frames of a stream that files have, one frame each, to `output`: each at its offset,
/// with zeros in place of the missing ones.
///
/// Leaves out damaged files and frames without an offset; duplicates count once.
///
/// # Errors
///
/// [`Kind::Empty`] if no frame is left; [`Kind::Conflict`]; those of writing.
pub fn salvage(
    files: Vec<PathBuf>,
    output: &mut impl Write,
    options: &Options,
) -> Result<Salvaged> {
    let mut salvaged = Salvaged::default();
    let sorted = find(files, options, |error| {
        match error.kind() {
            Kind::NotPositioned => salvaged.stray(error.to_string()),
            _ => salvaged.left_out.push(error.to_string()),
        }
        Ok(())
    })?;
    let Some((_, last)) = sorted.last_key_value() else {
        return Err(Kind::Empty.into());
    };
    salvaged.has_end = last.last;
    let (mut scratch, mut unpacker, mut raw) = (Look::default(), Unpacker::default(), Vec::new());
    let seal = options.secret.as_ref().map(Seal::new);
    for (offset, found) in &sorted {
        if *offset < salvaged.size {
            let what = "bytes that another frame has, too";
            salvaged.stray(format!("{}: {what}", found.path.display()));
            continue;
        }
        let seal = seal.as_ref();
        match chunk(
            found,
            options.limit,
            seal,
            &mut scratch,
            &mut unpacker,
            &mut raw,
        ) {
            Ok(()) => {
                salvaged.write(*offset, &raw, output)?;
            }
            Err(e) => salvaged
                .left_out
                .push(e.at(found.path.display()).to_string()),
        }
    }
    salvaged.fill(last.offset + last.length, output)?;
    output.flush().map_err(Error::output)?;
    Ok(salvaged)
}

/// As [`salvage`], for frames that follow one another in the order of their stream, some of them
/// missing: so [`get::salvage`](crate::get::salvage()) writes those that are sealed.
///
/// Leaves out frames that can't be opened, everything after the last whole picture, and another stream
/// that follows: all of these are [`strays`](Salvaged::strays).
///
/// # Errors
///
/// As [`salvage`].
pub fn salvage_stream(
    input: impl Read,
    output: &mut impl Write,
    options: &Options,
) -> Result<Salvaged> {
    let (mut salvaged, mut any) = (Salvaged::default(), false);
    let mut pictures = Pictures::new(input, options.limit);
    let seal = options.secret.as_ref().map(Seal::new);
    let (mut slot, mut scratch) = (Slot::default(), Scratch::default());
    let mut is_over = false;
    loop {
        match pictures.next(&mut slot.png) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                salvaged.stray(slot.at(e).to_string());
                break;
            }
        }
        let opened = slot.open(options.limit, seal.as_ref(), &mut scratch);
        match opened.and_then(|()| salvaged.place(&slot, &mut is_over)) {
            Ok(Some(offset)) => {
                salvaged.write(offset, slot.opened().1, output)?;
                options.progress.frame(slot.opened().1.len() as u64);
                any = true;
            }
            Ok(None) => {}
            Err(e) => salvaged.stray(slot.at(e).to_string()),
        }
        slot.seq += 1;
    }
    output.flush().map_err(Error::output)?;
    match any || !salvaged.left_out.is_empty() {
        true => Ok(salvaged),
        false => Err(Kind::Empty.into()),
    }
}

impl Salvaged {
    /// Leaves out a frame that may be of another stream.
    fn stray(&mut self, error: String) {
        self.left_out.push(error);
        self.strays += 1;
    }

    /// The offset of a frame of the stream; none if it isn't of data. Notes whether it is the last one.
    /// The stream is over before a frame that begins another one, and after its last frame.
    fn place(&mut self, slot: &Slot, is_over: &mut bool) -> Result<Option<u64>> {
        let (trailer, _) = slot.opened();
        let (offset, last) = match trailer.place {
            _ if trailer.kind != FrameKind::Data => return Ok(None),
            Place::Anywhere => return Err(Kind::NotPositioned.into()),
            Place::At(offset) => (offset, false),
            Place::Last { offset, .. } => (offset, true),
        };
        *is_over |= self.has_end || (offset == 0 && self.size > 0);
        if *is_over {
            return Err(Kind::WrongKind("a frame of another stream, expected one stream").into());
        }
        if offset < self.size {
            let (found, expected) = (offset, self.size);
            return Err(Kind::Offset { found, expected }.into());
        }
        self.has_end = last;
        Ok(Some(offset))
    }

    /// Writes a chunk at its offset, with zeros before it where others are missing.
    fn write(&mut self, offset: u64, chunk: &[u8], output: &mut impl Write) -> Result<()> {
        self.fill(offset, output)?;
        output.write_all(chunk).map_err(Error::output)?;
        self.size = offset + chunk.len() as u64;
        Ok(())
    }

    /// Writes zeros up to `offset`.
    fn fill(&mut self, offset: u64, output: &mut impl Write) -> Result<()> {
        if offset > self.size {
            let mut zeros = io::Read::take(io::repeat(0), offset - self.size);
            io::copy(&mut zeros, output).map_err(Error::output)?;
            self.gaps.push(self.size..offset);
            self.size = offset;
        }
        Ok(())
    }
}

/// File, PNG, frame bytes, chunk.
fn chunk(
    found: &Found,
    limit: usize,
    seal: Option<&Seal>,
    scratch: &mut Look,
    unpacker: &mut Unpacker,
    raw: &mut Vec<u8>,
) -> Result<()> {
    let Look { png, pixels } = scratch;
    container::single(input::open(&found.path)?, limit, png)?;
    let trailer = read_frame(png, limit, pixels)?.trailer;
    unseal(&trailer, seal, pixels)?;
    let payload = frame::payload(pixels);
    let payload = &payload[trailer.packed(payload.len())];
    match trailer.codec {
        Codec::Zstd => unpacker.unpack(payload, trailer.raw_length as usize, raw),
        Codec::Stored => {
            raw.clear();
            raw.extend_from_slice(payload);
            Ok(())
        }
    }
}

/// What a worker needs to read a file.
#[derive(Default)]
struct Look {
    png: Vec<u8>,
    pixels: Vec<u8>,
}

/// A file with a data frame.
struct Found {
    path: PathBuf,
    digest: blake3::Hash,
    offset: u64,
    length: u64,
    last: bool,
}

fn look(path: &Path, limit: usize, scratch: &mut Look) -> Result<Option<Found>> {
    let Look { png, pixels } = scratch;
    let file = File::open(path).map_err(|e| Error::io("cannot open", e))?;
    container::single(file, limit, png)?;
    let trailer = read_frame(png, limit, pixels)?.trailer;
    let (offset, last) = match trailer.place {
        _ if trailer.kind != FrameKind::Data => return Ok(None),
        Place::Anywhere => return Err(Kind::NotPositioned.into()),
        Place::At(offset) => (offset, false),
        Place::Last { offset, .. } => (offset, true),
    };
    Ok(Some(Found {
        path: path.to_owned(),
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
