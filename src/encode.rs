//! Turns bytes into frames.

use crate::error::{Error, Kind, Result};
use crate::pipeline;
use crate::progress::Progress;
use crate::wire::carrier::plain::{self, Pixels};
use crate::wire::chunk::content::{self, Cutter};
use crate::wire::chunk::fixed::{self, Room};
use crate::wire::chunk::{Packer, Span};
use crate::wire::frame::{CHAIN, Codec, FrameKind, NONCE, Place, SEAL, Size, TAG, Trailer};
use crate::wire::seal::{Chain, Mark, Seal, Secret};
use crate::wire::stream::StreamCrc;
use crate::wire::{Carrier, DEFAULT_LIMIT, payload_range, seal_frame, write_frame};
use std::io::{IoSliceMut, Read, Write};
use std::ops::Range;

/// Options for encoding.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a full frame. Default: 1024 x 768.
    pub size: Size,
    /// How frame bytes are laid in pictures. Default: plain.
    pub carrier: Carrier,
    /// 0 stores payloads uncompressed; 1 to 19 are levels of zstd. Default: 3.
    pub level: i32,
    /// Average length of content-defined chunks, whose frames aren't positioned. Default: none, chunks
    /// fill a frame each.
    pub average: Option<usize>,
    /// What frames are sealed with. Default: none, they aren't.
    pub secret: Option<Secret>,
    /// Threads that compress; at least 1. Default: 1. The frames don't depend on it.
    pub jobs: usize,
    /// The most pixel bytes that `size` may have. Default: 64 MiB, as for readers.
    pub limit: usize,
    /// Counts what is done.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            size: Size::DEFAULT,
            carrier: Carrier::Plain,
            level: 3,
            average: None,
            secret: None,
            jobs: 1,
            limit: DEFAULT_LIMIT,
            progress: Progress::default(),
        }
    }
}

impl Options {
    /// The bytes of buffers that encoding takes, whatever the length of the stream: chunks and
    /// PNGs of one frame's size for each slot; a payload for each worker and for the last frame; under
    /// a seal, one more of these. Content-defined chunks take a PNG more for each of these, and two for
    /// what is read ahead. The contexts of zstd, some 1 MiB a worker at level 3 and 30 MiB at
    /// level 19, and the program come on top. Sturdy pictures of this size take less.
    #[must_use]
    pub fn memory(&self) -> usize {
        let frame = self.size.pixel_bytes() + self.size.pixel_bytes() / 64 + 1024;
        let sealed = usize::from(self.secret.is_some());
        let content = usize::from(self.average.is_some());
        pipeline::slots(self.jobs) * 2 * frame
            + (self.jobs + 1) * (1 + sealed + content) * frame
            + 2 * content * frame
    }

    /// Checks that frames can be made so; [`encode`] does it, too.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`].
    pub fn check(&self) -> Result<()> {
        let capacity = self.capacity()?;
        Chunks::new(std::io::empty(), self, capacity).map(drop)
    }

    /// The average length of content-defined chunks where the user names none: 256 KiB, or half of what
    /// a full frame holds if that is less.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`].
    pub fn usual_average(&self) -> Result<usize> {
        Ok(content::DEFAULT_AVERAGE.min(self.capacity()? / 2))
    }

    /// The longest chunk: what a full frame holds, less what a seal adds to the last one.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`].
    fn capacity(&self) -> Result<usize> {
        let full = self.carrier.checked(self.size, self.limit)?;
        let added = self.secret.as_ref().map_or(0, |_| SEAL + CHAIN);
        match self.carrier.capacity(full).checked_sub(added) {
            None | Some(0) => {
                let what = format!("{full} pixels, expected more for sealed frames");
                Err(Kind::Size(what).into())
            }
            Some(capacity) => Ok(capacity),
        }
    }
}

/// The result of encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of the stream.
    pub bytes: u64,
    /// Frames made from it.
    pub frames: u64,
}

/// Writes the stream from `input` to `output` as frames, the last of which is flagged last.
///
/// The same bytes, options and version make the same frames, with any number of jobs. If the input
/// fails, no last frame is written, so readers see that the stream is incomplete. Callers that
/// write several streams one after another write [`CUT`](crate::wire::stream::CUT) after an error.
///
/// ```
/// use std::io::Cursor;
/// use storagex::encode;
///
/// let options = encode::Options { level: 0, ..Default::default() };
/// let mut frames = Vec::new();
/// let summary = encode(Cursor::new(vec![0; 5_000_000]), &mut frames, &options)?;
/// assert_eq!((summary.bytes, summary.frames), (5_000_000, 3));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Size`] for the options, before anything is read; those of reading,
/// compressing and writing.
pub fn encode(
    input: impl Read + Send + 'static,
    output: &mut impl Write,
    options: &Options,
) -> Result<Summary> {
    let capacity = options.capacity()?;
    let mut chunks = Chunks::new(input, options, capacity)?;
    let maker = Maker::new(options);
    let mut end = End::new(&maker);
    let mut scratch = Scratch::default();
    let mut summary = Summary::default();
    let last_maker = maker.clone();
    let (full, in_place) = (options.size, options.is_in_place());
    pipeline::run(
        options.jobs,
        move || Slot::new(full, capacity, in_place),
        move |slot| slot.fill(&mut chunks),
        move |slot, scratch| slot.frames(&maker, scratch),
        |slot| {
            slot.end(&mut end, &last_maker, &mut scratch)?;
            output.write_all(slot.png()).map_err(Error::output)?;
            for span in &slot.spans {
                summary.bytes += span.length as u64;
                options.progress.frame(span.length as u64);
            }
            summary.frames += slot.spans.len() as u64;
            Ok(())
        },
    )?;
    output.flush().map_err(Error::output)?;
    Ok(summary)
}

/// Where chunks come from.
enum Chunks<R> {
    Fixed(fixed::Chunks<R>),
    Content(content::Chunks<R>),
}

impl<R: Read> Chunks<R> {
    fn new(input: R, options: &Options, capacity: usize) -> Result<Self> {
        let Some(average) = options.average else {
            return Ok(Chunks::Fixed(fixed::Chunks::new(input, capacity)));
        };
        let seed = options.secret.as_ref().map_or(0, Secret::boundaries);
        let cutter = Cutter::new(average, capacity, seed)?;
        Ok(Chunks::Content(content::Chunks::new(input, cutter)))
    }
}

/// Some chunks, and the frames that are made of them.
struct Slot {
    full: Size,
    raw: Raw,
    /// The chunks in `raw`, one after another.
    spans: Vec<Span>,
    /// What the end of the stream must know of each.
    made: Vec<Made>,
    /// The PNGs of the frames, where they aren't in `raw`.
    png: Vec<u8>,
}

/// Chunks as they are read.
enum Raw {
    /// In one piece: what is to be compressed, sealed, or divided into several.
    Buffer(Vec<u8>),
    /// A chunk to store, in its place in the PNG of a full frame. This saves a copy, and with it a
    /// quarter of the processor time. Empty until the first chunk arrives.
    Png(Vec<u8>),
}

impl Options {
    /// Whether a chunk is read to where it stands in the PNG.
    fn is_in_place(&self) -> bool {
        self.carrier == Carrier::Plain
            && self.level == 0
            && self.average.is_none()
            && self.secret.is_none()
    }
}

impl Slot {
    fn new(full: Size, capacity: usize, in_place: bool) -> Self {
        Slot {
            full,
            raw: match in_place {
                true => Raw::Png(Vec::new()),
                false => Raw::Buffer(vec![0; capacity]),
            },
            spans: Vec::new(),
            made: Vec::new(),
            png: Vec::new(),
        }
    }

    /// Takes the next chunks; false after the last.
    fn fill(&mut self, chunks: &mut Chunks<impl Read>) -> Result<bool> {
        let size = self.full;
        let chunks = match (chunks, &mut self.raw) {
            (Chunks::Content(chunks), Raw::Buffer(buffer)) => {
                return chunks.next(buffer, &mut self.spans);
            }
            (Chunks::Fixed(chunks), _) => chunks,
            (Chunks::Content(_), Raw::Png(_)) => unreachable!("internal error: chunks in a PNG"),
        };
        let span = match &mut self.raw {
            Raw::Buffer(buffer) => chunks.next(&mut buffer[..])?,
            Raw::Png(png) => {
                if png.is_empty() {
                    *png = plain::blank(size);
                }
                chunks.next(&mut InPlace(Pixels { png, size }))?
            }
        };
        self.spans.clear();
        self.spans.extend(span);
        Ok(span.is_some())
    }

    /// Makes the frames of all chunks but the last one of the stream, whose trailer needs to know all
    /// before it.
    fn frames(&mut self, maker: &Maker, scratch: &mut Scratch) -> Result<()> {
        self.png.clear();
        self.made.clear();
        let mut at = 0;
        for n in 0..self.spans.len() {
            let span = self.spans[n];
            let made = match span.last {
                true => Made {
                    crc: self.crc(at..at + span.length),
                    mark: None,
                },
                false => self.frame(at, span, maker.place(span.offset), None, maker, scratch)?,
            };
            self.made.push(made);
            at += span.length;
        }
        Ok(())
    }

    /// Takes the frames into account, and makes the last one of the stream, if it is here.
    fn end(&mut self, end: &mut End, maker: &Maker, scratch: &mut Scratch) -> Result<()> {
        let mut at = 0;
        for n in 0..self.spans.len() {
            let span = self.spans[n];
            end.append(&self.made[n], span.length as u64);
            if span.last {
                let place = maker.last(span.offset, end);
                self.frame(at, span, place, end.chain().as_ref(), maker, scratch)?;
            }
            at += span.length;
        }
        Ok(())
    }

    fn crc(&mut self, range: Range<usize>) -> u32 {
        let size = self.full;
        match &mut self.raw {
            Raw::Buffer(buffer) => crc32fast::hash(&buffer[range]),
            Raw::Png(png) => {
                let mut crc = crc32fast::Hasher::new();
                let range = payload_range(range.end);
                Pixels { png, size }.read(range, |piece| crc.update(piece));
                crc.finalize()
            }
        }
    }

    /// Makes the frame of the chunk that starts at `at`, and appends its picture.
    fn frame(
        &mut self,
        at: usize,
        span: Span,
        place: Place,
        chain: Option<&[u8; CHAIN]>,
        maker: &Maker,
        scratch: &mut Scratch,
    ) -> Result<Made> {
        let (length, size) = (span.length, self.full);
        match &mut self.raw {
            Raw::Png(png) if length == size.capacity() => {
                let trailer = maker.trailer(place, length);
                let crc = seal_frame(&trailer, &mut Pixels { png, size });
                Ok(Made { crc, mark: None })
            }
            Raw::Png(png) => {
                let mut chunk = std::mem::take(&mut scratch.chunk);
                chunk.clear();
                let gather = |piece: &[u8]| chunk.extend_from_slice(piece);
                Pixels { png, size }.read(payload_range(length), gather);
                let made = maker.frame(&chunk, place, chain, scratch, &mut self.png);
                scratch.chunk = chunk;
                made
            }
            Raw::Buffer(buffer) => {
                let chunk = &buffer[at..at + length];
                maker.frame(chunk, place, chain, scratch, &mut self.png)
            }
        }
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

/// What is made of a chunk, for the end of the stream.
struct Made {
    crc: u32,
    mark: Option<Mark>,
}

/// What a worker needs to make a frame.
#[derive(Default)]
struct Scratch {
    chunk: Vec<u8>,
    packer: Packer,
    sealed: Vec<u8>,
    png: Vec<u8>,
}

/// Makes frames.
#[derive(Clone)]
struct Maker {
    carrier: Carrier,
    full: Size,
    level: i32,
    positioned: bool,
    seal: Option<Seal>,
}

impl Maker {
    fn new(options: &Options) -> Self {
        Maker {
            carrier: options.carrier,
            full: options.size,
            level: options.level,
            positioned: options.average.is_none(),
            seal: options.secret.as_ref().map(Seal::new),
        }
    }

    /// Where a frame belongs that isn't the last.
    fn place(&self, offset: u64) -> Place {
        match self.positioned {
            true => Place::At(offset),
            false => Place::Anywhere,
        }
    }

    fn last(&self, offset: u64, end: &End) -> Place {
        Place::Last {
            offset,
            stream_crc: end.crc(),
            positioned: self.positioned,
        }
    }

    fn trailer(&self, place: Place, length: usize) -> Trailer {
        Trailer {
            kind: FrameKind::Data,
            codec: Codec::Stored,
            place,
            raw_length: u32::try_from(length).expect("internal error: a chunk over 4 GiB"),
            sealed: self.seal.as_ref().map(|_| 0),
        }
    }

    /// Chunk, payload, seal, pixels, PNG, which is appended to `png`.
    fn frame(
        &self,
        chunk: &[u8],
        place: Place,
        chain: Option<&[u8; CHAIN]>,
        scratch: &mut Scratch,
        png: &mut Vec<u8>,
    ) -> Result<Made> {
        let mut trailer = self.trailer(place, chunk.len());
        let (codec, packed) = scratch.packer.pack(chunk, self.level)?;
        trailer.codec = codec;
        let (payload, mark) = match &self.seal {
            None => (packed, None),
            Some(seal) => {
                let sealed = &mut scratch.sealed;
                sealed.clear();
                sealed.extend_from_slice(&[0; NONCE]);
                sealed.extend_from_slice(packed);
                sealed.extend_from_slice(chain.map_or(&[], |chain| &chain[..]));
                sealed.extend_from_slice(&[0; TAG]);
                let mark = seal.close(&mut trailer, sealed);
                (&sealed[..], Some(mark))
            }
        };
        let size = self.carrier.fit(self.full, payload.len());
        let payload_crc = if png.is_empty() {
            write_frame(&trailer, payload, self.carrier, size, png)
        } else {
            let crc = write_frame(&trailer, payload, self.carrier, size, &mut scratch.png);
            png.extend_from_slice(&scratch.png);
            crc
        };
        let crc = match (mark, codec) {
            (None, Codec::Stored) => payload_crc,
            (None, Codec::Zstd) => crc32fast::hash(chunk),
            (Some(_), _) => 0, // it is written nowhere
        };
        Ok(Made { crc, mark })
    }
}

/// What the last frame of a stream says of all before it.
enum End {
    Crc(StreamCrc),
    Chain(Chain),
}

impl End {
    fn new(maker: &Maker) -> Self {
        match &maker.seal {
            None => End::Crc(StreamCrc::default()),
            Some(seal) => End::Chain(seal.chain()),
        }
    }

    /// Appends a chunk; the last one has no mark.
    fn append(&mut self, made: &Made, length: u64) {
        match self {
            End::Crc(crc) => crc.append(made.crc, length),
            End::Chain(chain) => made.mark.iter().for_each(|mark| chain.append(mark)),
        }
    }

    fn crc(&self) -> u32 {
        match self {
            End::Crc(crc) => crc.value(),
            End::Chain(_) => 0,
        }
    }

    fn chain(&self) -> Option<[u8; CHAIN]> {
        match self {
            End::Crc(_) => None,
            End::Chain(chain) => Some(chain.value()),
        }
    }
}
