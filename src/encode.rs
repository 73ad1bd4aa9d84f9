//! Bytes to frames.

use crate::error::{Error, Result};
use crate::pipeline;
use crate::wire::chunk::{Chunks, Packer, Span};
use crate::wire::frame::{Codec, FrameKind, Place, Size, Trailer};
use crate::wire::stream::StreamCrc;
use crate::wire::{DEFAULT_LIMIT, write_frame};
use std::io::{Read, Write};

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
    let buffer_size = chunks.buffer_size();
    let mut stream_crc = StreamCrc::default();
    let mut packer = Packer::default();
    let mut summary = Summary::default();
    pipeline::run(
        options.jobs,
        || Slot::new(buffer_size),
        move |slot| slot.fill(&mut chunks),
        move |slot, packer: &mut Packer| match slot.span.last {
            true => {
                slot.crc = crc32fast::hash(slot.chunk());
                Ok(()) // its trailer needs the CRC of all chunks: see below
            }
            false => slot.frame(Place::At(slot.span.offset), full, level, packer),
        },
        |slot| {
            stream_crc.append(slot.crc, slot.span.length as u64);
            if slot.span.last {
                let place = Place::Last {
                    offset: slot.span.offset,
                    stream_crc: stream_crc.value(),
                    positioned: true,
                };
                slot.frame(place, full, level, &mut packer)?;
            }
            output.write_all(&slot.png).map_err(Error::output)?;
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
    buffer: Vec<u8>,
    span: Span,
    crc: u32,
    png: Vec<u8>,
}

impl Slot {
    fn new(buffer_size: usize) -> Self {
        Slot {
            buffer: vec![0; buffer_size],
            span: Span::default(),
            crc: 0,
            png: Vec::new(),
        }
    }

    fn fill(&mut self, chunks: &mut Chunks<impl Read>) -> Result<bool> {
        let span = chunks.next(&mut self.buffer)?;
        self.span = span.unwrap_or_default();
        Ok(span.is_some())
    }

    fn chunk(&self) -> &[u8] {
        &self.buffer[..self.span.length]
    }

    /// Chunk, payload, pixels, PNG.
    fn frame(&mut self, place: Place, full: Size, level: i32, packer: &mut Packer) -> Result<()> {
        let chunk = &self.buffer[..self.span.length];
        let (codec, payload) = packer.pack(chunk, level)?;
        let trailer = Trailer {
            kind: FrameKind::Data,
            codec,
            place,
            raw_length: u32::try_from(chunk.len()).expect("internal error: a chunk over 4 GiB"),
        };
        let size = full.fit(payload.len());
        let payload_crc = write_frame(&trailer, payload, size, &mut self.png);
        self.crc = match codec {
            Codec::Stored => payload_crc,
            Codec::Zstd => crc32fast::hash(chunk),
        };
        Ok(())
    }
}
