//! A part of a stream, as a stream of its own.
//!
//! Only the branches of the index that lead to the part are fetched, and only the frames that hold it.
//! Each frame is made anew, as a plain one: its offset is another, the first and the last are cut, and the last one
//! carries the CRC-32 of the part. The payload of a frame that isn't cut stays as it is, so nothing is
//! compressed again but the two ends.

use super::fetch::Finder;
use super::options::Options;
use super::rebuild::Rebuilder;
use super::trail::Trail;
use super::{Got, Slot};
use crate::error::{Error, Kind, Result};
use crate::key::{Keys, Source};
use crate::pipeline;
use crate::range::ByteRange;
use crate::wire::carrier::container;
use crate::wire::chunk::{Packer, Unpacker};
use crate::wire::frame::{self, Codec, FrameKind, HEADER, Place, Size, TRAILER, Trailer};
use crate::wire::stream::StreamCrc;
use crate::wire::{Carrier, write_frame};
use std::io::Write;
use std::ops::Range;

/// The zstd level of the two ends, if their frames were compressed.
const LEVEL: i32 = 3;

/// Writes frames that hold the bytes of `range`, of all streams of a key, and nothing else. Sealed
/// frames are written as they are, the first one with a mark of where it stands:
/// [`decode_range`](crate::decode::decode_range) cuts the range out of them.
///
/// # Errors
///
/// As [`get`](super::get()) for what is fetched; [`Kind::Range`] where the stream doesn't have the
/// bytes; [`Kind::Usage`] for a key of storagex 1.0.
pub fn get_range(
    source: impl Into<Source>,
    range: ByteRange,
    output: &mut impl Write,
    options: &Options,
) -> Result<Got> {
    let keys = match source.into() {
        Source::Key(keys) => keys,
        Source::V1(_) => {
            let what = "--range of a key of storagex 1.0, expected one of this storagex";
            return Err(Kind::Usage(what.into()).into());
        }
    };
    let size = super::root(&keys, options)?.size;
    let bytes = range.within(size)?;
    let mut part = Part {
        bytes: bytes.clone(),
        size,
        sealed: None,
        crc: StreamCrc::default(),
        done: 0,
        png: Vec::new(),
    };
    if size == 0 {
        return super::get(&keys, output, options); // nothing is all of it
    }
    // A part without bytes takes a frame, too: it may be sealed, and is then the part.
    let looked_at = match bytes.is_empty() {
        true => bytes.start.min(size - 1)..bytes.start.min(size - 1) + 1,
        false => bytes.clone(),
    };
    let mut got = Got::default();
    let progress = &options.store.progress;
    progress.expecting().see(Some(bytes.end - bytes.start));
    walk(&keys, &looked_at, options, |cut| {
        got.frames += 1;
        got.rebuilt += u64::from(cut.slot.rebuilt);
        let before = part.done;
        match cut.is_sealed() {
            true => part.write_sealed(&cut.slot, output)?,
            false if bytes.is_empty() => part.write(&Piece::empty(), output)?,
            false => part.write(&cut.piece, output)?,
        }
        progress.frame(part.done - before);
        Ok(())
    })?;
    part.check().map_err(|e| e.at(&keys.first().location))?;
    output.flush().map_err(Error::output)?;
    Ok(got)
}

/// The part that is written, as one stream.
struct Part {
    bytes: Range<u64>,
    /// Bytes of all streams.
    size: u64,
    /// Whether the frames so far are sealed; none at the start.
    sealed: Option<bool>,
    crc: StreamCrc,
    /// Bytes that have been written.
    done: u64,
    png: Vec<u8>,
}

impl Part {
    /// Writes a sealed frame, which can't be cut without the secret.
    fn write_sealed(&mut self, slot: &Slot, output: &mut impl Write) -> Result<()> {
        let piece = slot.piece();
        let end = (piece.offset + piece.size).min(self.bytes.end);
        self.done += end - piece.offset.max(self.bytes.start);
        let is_first = self.sealed.is_none();
        self.check_seal(true)?;
        let mark = container::Part {
            offset: piece.offset,
            size: self.size,
        };
        let written = match is_first {
            true => output.write_all(&mark.mark(&slot.png)),
            false => output.write_all(&slot.png),
        };
        written.map_err(Error::output)
    }

    /// Checks that all frames are sealed, or none: else they would be no part of one stream.
    fn check_seal(&mut self, sealed: bool) -> Result<()> {
        if *self.sealed.get_or_insert(sealed) == sealed {
            return Ok(());
        }
        let found = "a range of streams that are sealed and of others, expected one kind";
        Err(Kind::WrongKind(found).into())
    }

    fn write(&mut self, piece: &Piece, output: &mut impl Write) -> Result<()> {
        self.check_seal(false)?;
        let length = u64::from(piece.raw_length);
        self.crc.append(piece.crc, length);
        let offset = self.done;
        self.done += length;
        let place = match self.done == self.bytes.end - self.bytes.start {
            false => Place::At(offset),
            true => Place::Last {
                offset,
                stream_crc: self.crc.value(),
                positioned: true,
            },
        };
        let trailer = Trailer {
            kind: FrameKind::Data,
            codec: piece.codec,
            place,
            raw_length: piece.raw_length,
            sealed: None,
        };
        let (payload, size) = (&piece.payload, piece.size);
        write_frame(&trailer, payload, Carrier::Plain, size, &mut self.png);
        output.write_all(&self.png).map_err(Error::output)
    }

    /// Checks that all of it has been written.
    fn check(&self) -> Result<()> {
        match self.bytes.end - self.bytes.start {
            expected if expected == self.done => Ok(()),
            expected => {
                let what = format!("{} bytes of the range, expected {expected}", self.done);
                Err(Kind::Index(what).into())
            }
        }
    }
}

/// What a frame has of the part.
struct Piece {
    codec: Codec,
    payload: Vec<u8>,
    raw_length: u32,
    /// CRC-32 of the bytes.
    crc: u32,
    size: Size,
}

impl Piece {
    /// That of a stream without bytes.
    fn empty() -> Self {
        Piece {
            codec: Codec::Stored,
            payload: Vec::new(),
            raw_length: 0,
            crc: 0,
            size: Size::DEFAULT.fit(0),
        }
    }
}

/// A frame, and what it has of the part.
struct Cut {
    slot: Slot,
    piece: Piece,
}

/// What a worker needs.
#[derive(Default)]
struct Tools {
    bytes: Vec<u8>,
    raw: Vec<u8>,
    unpacker: Unpacker,
    packer: Packer,
}

/// Fetches the frames that hold these bytes, many at once, and cuts them; calls `each` with each of
/// the cuts, in order.
fn walk(
    keys: &Keys,
    bytes: &Range<u64>,
    options: &Options,
    mut each: impl FnMut(&Cut) -> Result<()>,
) -> Result<()> {
    let finder = Finder::new(keys, options)?;
    let mut trail = Trail::within(&finder, bytes.clone())?;
    let rebuilder = Rebuilder::new(&finder, options.jobs, options.limit);
    let (bytes, limit) = (bytes.clone(), options.limit);
    pipeline::run(
        options.jobs,
        || Cut {
            slot: Slot::default(),
            piece: Piece::empty(),
        },
        move |cut: &mut Cut| {
            while cut.slot.find(&mut trail)? {
                if cut.slot.piece().size > 0 {
                    return Ok(true);
                }
            }
            Ok(false)
        },
        move |cut, tools: &mut Tools| {
            let fetched = cut.slot.fetch(&rebuilder, &mut tools.bytes);
            let done = fetched.and_then(|()| cut.cut(&bytes, limit, tools));
            done.map_err(|e| cut.slot.at(e))
        },
        |cut| each(cut),
    )
}

impl Cut {
    fn is_sealed(&self) -> bool {
        self.slot
            .trailer
            .is_some_and(|trailer| trailer.sealed.is_some())
    }

    /// Takes out of the frame what belongs to the part.
    fn cut(&mut self, bytes: &Range<u64>, limit: usize, tools: &mut Tools) -> Result<()> {
        let trailer = self.slot.trailer.expect("internal error: not fetched");
        let (offset, size) = (self.slot.piece().offset, self.slot.piece().size);
        crate::wire::stream::Order::check_kind(&trailer)?;
        if u64::from(trailer.raw_length) != size {
            let found = trailer.raw_length;
            let what = format!("a frame of {found} bytes, expected {size}");
            return Err(Kind::Index(what).into());
        }
        if trailer.sealed.is_some() {
            return Ok(()); // nothing can be cut out of it without the secret
        }
        let packed = frame::payload(&tools.bytes);
        let raw = match trailer.codec {
            Codec::Stored => packed,
            Codec::Zstd => {
                let length = trailer.raw_length as usize;
                tools.unpacker.unpack(packed, length, &mut tools.raw)?;
                &tools.raw
            }
        };
        let within = |at: u64| usize::try_from(at.clamp(offset, offset + size) - offset);
        let (Ok(start), Ok(end)) = (within(bytes.start), within(bytes.end)) else {
            return Err(Kind::Index("a frame that no memory holds".into()).into());
        };
        let is_whole = (start, end) == (0, raw.len());
        let raw = &raw[start..end];
        let (codec, payload) = match (trailer.codec, is_whole) {
            (codec, true) => (codec, packed),
            (Codec::Stored, false) => (Codec::Stored, raw),
            (Codec::Zstd, false) => tools.packer.pack(raw, LEVEL)?,
        };
        self.piece.payload.clear();
        self.piece.payload.extend_from_slice(payload);
        self.piece.codec = codec;
        self.piece.crc = crc32fast::hash(raw);
        self.piece.raw_length = u32::try_from(raw.len()).expect("internal error: over 4 GiB");
        self.piece.size = size_for(payload.len(), container::size(&self.slot.png), limit);
        Ok(())
    }
}

/// The size of a frame for so much payload: as wide as most frames, and as high as it needs; or that
/// of the frame from which it comes, which is within the limit.
fn size_for(payload: usize, own: Size, limit: usize) -> Size {
    let row = Size::DEFAULT.width * 3;
    let rows = (payload + HEADER + TRAILER).div_ceil(row as usize);
    let rows = u32::try_from(rows).expect("internal error: a payload over 4 GiB");
    let full = Size {
        width: Size::DEFAULT.width,
        height: rows.max(Size::DEFAULT.height),
    };
    match full.fit(payload) {
        size if size.pixel_bytes() > limit && payload <= own.capacity() => own,
        size => size,
    }
}
