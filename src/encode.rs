//! Bytes to frames.

use crate::error::{Error, Result};
use crate::pipeline;
use crate::wire::chunk::{Chunks, Packer, Room, Span};
use crate::wire::frame::{Codec, FrameKind, Place, Size, Trailer};
use crate::wire::plain::{self, Pixels};
use crate::wire::stream::StreamCrc;
use crate::wire::{DEFAULT_LIMIT, payload_range, seal_frame, write_frame};
use std::io::{IoSliceMut, Read, Write};

/// How to encode.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a full frame. Default: 1024 x 768.
    pub size: Size,
    /// 0: payloads are stored. 1 to 19: levels of zstd. Default: 3.
    pub level: i32,
    /// Threads that compress; at least 1. Default: 1. The frames don't depend on it.
    pub jobs: usize,
    /// The most pixel bytes that `size` may have. Default: 64 MiB, which is what readers take.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            size: Size::DEFAULT,
            level: 3,
            jobs: 1,
            limit: DEFAULT_LIMIT,
        }
    }
}

impl Options {
    /// The bytes of buffers that encoding takes, whatever the length of the stream: a chunk and a
    /// PNG for each slot; a payload for each worker and for the last frame. The contexts of zstd, some 1 MiB a worker at level 3 and 30 MiB at level 19, and the program come on top.
    #[must_use]
    pub fn memory(&self) -> usize {
        let frame = self.size.pixel_bytes() + self.size.pixel_bytes() / 64 + 1024;
        pipeline::slots(self.jobs) * 2 * frame + (self.jobs + 1) * frame
    }
}

/// What has been encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Frames made of it.
    pub frames: u64,
}

/// Writes the stream that `input` gives as frames to `output`, the last one flagged so.
///
/// The same bytes, options and version give the same frames, with any number of jobs. An input that
/// ends in an error has no last frame, so that nobody takes what was written for the whole. Where
/// streams follow one another, who calls writes [`CUT`](crate::wire::stream::CUT) after an error.
///
/// # Errors
///
/// [`Kind::Size`](crate::Kind::Size) for the options, before anything is read; then those of reading, compressing and writing.
pub fn encode(
    input: impl Read + Send + 'static,
    output: &mut impl Write,
    options: &Options,
) -> Result<Summary> {
    let full = options.size.checked(options.limit)?;
    let level = options.level;
    let mut chunks = Chunks::new(input, full.capacity());
    let mut stream_crc = StreamCrc::default();
    let mut scratch = Scratch::default();
    let mut summary = Summary::default();
    pipeline::run(
        options.jobs,
        move || Slot::new(full, level),
        move |slot| slot.fill(&mut chunks),
        move |slot, scratch: &mut Scratch| match slot.span.last {
            true => {
                slot.crc = slot.chunk_crc();
                Ok(()) // its trailer needs the CRC of all chunks: see below
            }
            false => slot.frame(Place::At(slot.span.offset), level, scratch),
        },
        |slot| {
            stream_crc.append(slot.crc, slot.span.length as u64);
            if slot.span.last {
                let place = Place::Last {
                    offset: slot.span.offset,
                    stream_crc: stream_crc.value(),
                    positioned: true,
                };
                slot.frame(place, level, &mut scratch)?;
            }
            output.write_all(slot.png()).map_err(Error::output)?;
            summary.bytes += slot.span.length as u64;
            summary.frames += 1;
            Ok(())
        },
    )?;
    output.flush().map_err(Error::output)?;
    Ok(summary)
}

/// A chunk, and the frame that is made of it.
struct Slot {
    full: Size,
    raw: Raw,
    span: Span,
    crc: u32,
    /// The PNG of a frame, where it isn't in `raw`.
    png: Vec<u8>,
}

/// A chunk as it is read.
enum Raw {
    /// What is to be compressed, in one piece.
    Buffer(Vec<u8>),
    /// What isn't, where it stands in the PNG of a full frame, so that it isn't copied once: that takes
    /// a quarter less processor time than a buffer. Empty until the first chunk comes.
    Png(Vec<u8>),
}

/// What a worker needs to make a frame.
#[derive(Default)]
struct Scratch {
    chunk: Vec<u8>,
    packer: Packer,
}

impl Slot {
    fn new(full: Size, level: i32) -> Self {
        Slot {
            full,
            raw: match level {
                0 => Raw::Png(Vec::new()),
                _ => Raw::Buffer(vec![0; full.capacity()]),
            },
            span: Span::default(),
            crc: 0,
            png: Vec::new(),
        }
    }

    fn fill(&mut self, chunks: &mut Chunks<impl Read>) -> Result<bool> {
        let size = self.full;
        let span = match &mut self.raw {
            Raw::Buffer(buffer) => chunks.next(&mut buffer[..])?,
            Raw::Png(png) => {
                if png.is_empty() {
                    *png = plain::blank(size);
                }
                chunks.next(&mut InPlace(Pixels { png, size }))?
            }
        };
        self.span = span.unwrap_or_default();
        Ok(span.is_some())
    }

    /// Gives the chunk to `sink`, piece by piece.
    fn chunk(&mut self, mut sink: impl FnMut(&[u8])) {
        let (length, size) = (self.span.length, self.full);
        match &mut self.raw {
            Raw::Buffer(buffer) => sink(&buffer[..length]),
            Raw::Png(png) => Pixels { png, size }.read(payload_range(length), sink),
        }
    }

    fn chunk_crc(&mut self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        self.chunk(|piece| crc.update(piece));
        crc.finalize()
    }

    /// Chunk, payload, pixels, PNG.
    fn frame(&mut self, place: Place, level: i32, scratch: &mut Scratch) -> Result<()> {
        let (length, size) = (self.span.length, self.full);
        let mut trailer = Trailer {
            kind: FrameKind::Data,
            codec: Codec::Stored,
            place,
            raw_length: u32::try_from(length).expect("internal error: a chunk over 4 GiB"),
        };
        let chunk = match &mut self.raw {
            Raw::Png(png) if length == size.capacity() => {
                self.png.clear();
                self.crc = seal_frame(&trailer, &mut Pixels { png, size });
                return Ok(());
            }
            Raw::Png(png) => {
                scratch.chunk.clear();
                let gather = |piece: &[u8]| scratch.chunk.extend_from_slice(piece);
                Pixels { png, size }.read(payload_range(length), gather);
                &scratch.chunk
            }
            Raw::Buffer(buffer) => &buffer[..length],
        };
        let (codec, payload) = scratch.packer.pack(chunk, level)?;
        trailer.codec = codec;
        let payload_crc = write_frame(&trailer, payload, size.fit(payload.len()), &mut self.png);
        self.crc = match codec {
            Codec::Stored => payload_crc,
            Codec::Zstd => crc32fast::hash(chunk),
        };
        Ok(())
    }

    fn png(&self) -> &[u8] {
        match &self.raw {
            Raw::Png(png) if self.png.is_empty() => png,
            _ => &self.png,
        }
    }
}

/// The room for a chunk in the PNG of a full frame.
struct InPlace<'a>(Pixels<'a>);

impl Room for InPlace<'_> {
    fn from(&mut self, from: usize) -> Vec<IoSliceMut<'_>> {
        let payload = payload_range(self.0.size.capacity());
        self.0.places(payload.start + from..payload.end)
    }
}
