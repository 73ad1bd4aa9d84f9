//! Turns frames back into bytes.

mod range;
mod sort;

pub use range::decode_range;
pub use sort::{Salvaged, salvage, salvage_stream, sort};

use crate::error::{Error, Kind, Result};
use crate::pipeline;
use crate::progress::Progress;
use crate::wire::carrier::Carrier;
use crate::wire::carrier::container::Pictures;
use crate::wire::carrier::sturdy::Corrections;
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, CHAIN, Codec, HEADER, Size, Trailer};
use crate::wire::seal::{Chain, Mark, Seal, Secret};
use crate::wire::stream::{Order, StreamCrc};
use crate::wire::{DEFAULT_LIMIT, read_frame};
use std::io::{Read, Write};

/// Options for decoding.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of decompression threads; at least 1. Default: 1.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
    /// What opens sealed frames; with one, frames that aren't sealed are refused. Default: none.
    pub secret: Option<Secret>,
    /// Counts what is done.
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 1,
            limit: DEFAULT_LIMIT,
            secret: None,
            progress: Progress::default(),
        }
    }
}

impl Options {
    /// The size of all buffers in bytes, for frames of size `full`, however long the stream is: a
    /// PNG and a chunk for each slot, pixels for each worker. Sturdy pictures of this size take less,
    /// whatever format they have come to be in.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        pipeline::slots(self.jobs) * 2 * frame + self.jobs * frame
    }
}

/// The result of decoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of all streams.
    pub bytes: u64,
    /// Frames that held them.
    pub frames: u64,
}

/// Writes the bytes of the streams in `input` to `output`, one after another.
///
/// This checks each frame before it writes its bytes. So after an error the output is right up to
/// the frame that the error names, but it is complete only if this returns without an error.
///
/// ```
/// use std::io::Cursor;
/// use storagex::{decode, encode};
///
/// let mut frames = Vec::new();
/// encode(Cursor::new(b"hello"), &mut frames, &encode::Options::default())?;
/// let whole = frames.clone();
/// let mut bytes = Vec::new();
/// decode(Cursor::new(whole), &mut bytes, &decode::Options::default())?;
/// assert_eq!(bytes, b"hello");
///
/// frames.pop();
/// let error = decode(Cursor::new(frames), &mut bytes, &decode::Options::default()).unwrap_err();
/// assert_eq!(error.to_string().split(": ").next(), Some("frame 0"));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// What storagex(5) says a reader must refuse, with `frame N` as the place; reading and writing.
pub fn decode(
    input: impl Read + Send + 'static,
    output: &mut impl Write,
    options: &Options,
) -> Result<Summary> {
    let mut order = Order::default();
    let mut end = End::new(options);
    open_frames(input, options, |slot| {
        let (trailer, chunk) = slot.opened();
        order.next(trailer).map_err(|e| slot.at(e))?;
        end.check(trailer, slot).map_err(|e| slot.at(e))?;
        output.write_all(chunk).map_err(Error::output)?;
        options.progress.frame(chunk.len() as u64);
        Ok(())
    })?;
    order.end()?;
    output.flush().map_err(Error::output)?;
    Ok(Summary {
        bytes: order.bytes(),
        frames: order.frames(),
    })
}

/// Opens the frames from `input`, many at once; calls `each` for every one of them, in order.
fn open_frames(
    input: impl Read + Send + 'static,
    options: &Options,
    each: impl FnMut(&mut Slot) -> Result<()>,
) -> Result<()> {
    let mut pictures = Pictures::new(input, options.limit);
    let limit = options.limit;
    let mut seq = 0;
    let seal = options.secret.as_ref().map(Seal::new);
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.seq = seq;
            seq += 1;
            pictures.next(&mut slot.png).map_err(|e| slot.at(e))
        },
        move |slot, scratch| {
            let opened = slot.open(limit, seal.as_ref(), scratch);
            opened.map_err(|e| slot.at(e))
        },
        each,
    )
}

/// A picture, and the chunk in it.
#[derive(Default)]
struct Slot {
    seq: u64,
    png: Vec<u8>,
    /// The chunk is at `start..start + raw_length` of these bytes.
    bytes: Vec<u8>,
    start: usize,
    trailer: Option<Trailer>,
    /// Of a chunk that wasn't sealed.
    crc: u32,
    /// Of one that was; and what the last frame says of those before it.
    mark: Mark,
    chain: [u8; CHAIN],
}

/// What is known of a stream so far, which its last frame must confirm.
enum End {
    Crc(StreamCrc),
    Chain(Chain),
}

impl End {
    fn new(options: &Options) -> Self {
        match &options.secret {
            None => End::Crc(StreamCrc::default()),
            Some(secret) => End::Chain(Seal::new(secret).chain()),
        }
    }

    /// Takes a frame; at the last one, checks what it says and starts anew.
    fn check(&mut self, trailer: &Trailer, slot: &Slot) -> Result<()> {
        match self {
            End::Crc(crc) => crc.check(trailer, slot.crc),
            End::Chain(chain) if trailer.is_last() => chain.check(&slot.chain),
            End::Chain(chain) => {
                chain.append(&slot.mark);
                Ok(())
            }
        }
    }
}

/// What a worker needs to open a frame.
#[derive(Default)]
struct Scratch {
    unpacker: Unpacker,
    pixels: Vec<u8>,
}

impl Slot {
    /// PNG, pixels, payload, chunk.
    fn open(&mut self, limit: usize, seal: Option<&Seal>, scratch: &mut Scratch) -> Result<()> {
        let frame = read_frame(&self.png, limit, &mut scratch.pixels)?;
        let trailer = frame.trailer;
        self.trailer = Some(trailer);
        let opened = unseal(&trailer, seal, &mut scratch.pixels)?;
        (self.mark, self.chain) = opened.unwrap_or_default();
        let packed = trailer.packed(frame::payload(&scratch.pixels).len());
        match trailer.codec {
            Codec::Zstd => {
                let length = trailer.raw_length as usize;
                let payload = &frame::payload(&scratch.pixels)[packed];
                scratch.unpacker.unpack(payload, length, &mut self.bytes)?;
                self.start = 0;
                self.crc = match seal {
                    None => crc32fast::hash(self.opened().1),
                    Some(_) => 0,
                };
            }
            Codec::Stored => {
                std::mem::swap(&mut self.bytes, &mut scratch.pixels);
                self.start = HEADER + packed.start;
                self.crc = frame.payload_crc;
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

/// Opens the payload in the pixels of a frame, if it is sealed; a frame must be as the secret, or its
/// absence, says. Gives its mark, and what it says of the frames before it if it is the last.
fn unseal(
    trailer: &Trailer,
    seal: Option<&Seal>,
    pixels: &mut [u8],
) -> Result<Option<(Mark, [u8; CHAIN])>> {
    let seal = match (trailer.sealed, seal) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(Kind::Sealed.into()),
        (None, Some(_)) => {
            Order::check_kind(trailer)?;
            return Err(Kind::NotSealed.into());
        }
        (Some(_), Some(seal)) => seal,
    };
    let payload = frame::payload_mut(pixels);
    let mark = seal.open(trailer, payload)?;
    let mut chain = [0; CHAIN];
    if trailer.is_last() {
        let end = trailer.packed(payload.len()).end;
        chain.copy_from_slice(&payload[end..end + CHAIN]);
    }
    Ok(Some((mark, chain)))
}

/// A frame, as `sx-decode --list` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Its number in the input.
    pub seq: u64,
    /// Width and height of the picture.
    pub size: Size,
    /// Its trailer.
    pub trailer: Trailer,
    /// How its frame bytes are laid in it.
    pub carrier: Carrier,
    /// What had to be corrected.
    pub corrections: Corrections,
    /// Size of its payload, without decompression.
    pub stored: u64,
}

/// Calls `each` for every frame in `input`.
///
/// This checks each frame by itself, but neither the order of the frames nor the end of the stream,
/// so it can show a broken stream as it is. It shows index and parity frames, too.
///
/// # Errors
///
/// As [`decode`], except for order and content; those of `each`.
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
            let frame = frame.map_err(|e| e.at(format_args!("frame {at}")))?;
            *listed = Some(Listed {
                seq: *at,
                size: frame.size,
                trailer: frame.trailer,
                carrier: frame.carrier,
                corrections: frame.corrections,
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
