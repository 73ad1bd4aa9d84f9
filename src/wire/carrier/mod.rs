//! Turns frame bytes into pictures and back. There are two carriers. Plain: the pixel bytes of the
//! picture are the frame bytes. Sturdy: a gray picture survives JPEG and lossy WebP, and carries less.
//!
//! [`plain`] makes a PNG of frame bytes, [`pixels`] takes them back out of any PNG, [`sturdy`] makes
//! gray pictures and reads them whatever became of them, [`container`] finds the pictures in a run of
//! bytes, and [`gray`], [`jpeg`] and [`webp`] read what hosts made of them.

pub mod container;
mod dct;
pub mod gray;
pub mod jpeg;
pub mod pixels;
pub mod plain;
pub mod sturdy;
pub mod webp;

use super::frame::{self, HEADER, Size, TRAILER, Trailer};
use super::v1;
use crate::error::{Error, Kind, Result};
use container::Format;
use gray::Range;
use plain::Color;
use std::fmt;
use sturdy::damage::Damage;
use sturdy::{Corrections, Level};

/// How frame bytes are laid in a picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// The pixel bytes are the frame bytes.
    #[default]
    Plain,
    /// A gray picture that survives lossy re-encoding.
    Sturdy(Level),
}

impl Carrier {
    /// Frame bytes that a picture of this size carries; none where it can't be one.
    #[must_use]
    pub fn frame_bytes(self, size: Size) -> usize {
        match self {
            Carrier::Plain => size.pixel_bytes(),
            Carrier::Sturdy(level) => sturdy::frame_bytes(size, level),
        }
    }

    /// Bytes of payload that a frame of this size holds; none where it can't be one.
    #[must_use]
    pub fn capacity(self, size: Size) -> usize {
        self.frame_bytes(size).saturating_sub(HEADER + TRAILER)
    }

    /// This size, if full frames can have it.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`] where it holds no payload, or has more than `limit` pixel bytes.
    pub fn checked(self, size: Size, limit: usize) -> Result<Size> {
        match self {
            Carrier::Plain => size.checked(limit),
            Carrier::Sturdy(level) => sturdy::checked(size, level, limit),
        }
    }

    /// The largest size within this one that a picture can have.
    #[must_use]
    pub fn within(self, size: Size) -> Size {
        match self {
            Carrier::Plain => size,
            Carrier::Sturdy(_) => Size {
                width: size.width / sturdy::UNIT * sturdy::UNIT,
                height: size.height / sturdy::UNIT * sturdy::UNIT,
            },
        }
    }

    /// The size of a frame with a payload of `length` bytes, where full ones have the size `full`:
    /// that one if it is full, else smaller and close to square. "Size of a frame" and "STURDY
    /// PICTURES" in storagex(5) have the formulas.
    #[must_use]
    pub fn fit(self, full: Size, length: usize) -> Size {
        match self {
            Carrier::Plain => full.fit(length),
            Carrier::Sturdy(level) => sturdy::fit(full, level, length),
        }
    }

    /// The size of a picture of this width, or the next that can be, and as few rows as carry so many
    /// frame bytes.
    #[must_use]
    pub fn size_for(self, frame_bytes: usize, width: u32) -> Size {
        match self {
            Carrier::Plain => {
                let pixels = frame_bytes.div_ceil(3);
                let height = pixels.div_ceil(width.max(1) as usize);
                let height = u32::try_from(height).expect("internal error: frame bytes over 4 GiB");
                Size { width, height }
            }
            Carrier::Sturdy(level) => sturdy::size_for(frame_bytes, level, width),
        }
    }

    /// Its number in a shard: "PARITY" in storagex(5).
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Carrier::Plain => 0,
            Carrier::Sturdy(level) => u32::from(level.number()),
        }
    }

    /// The carrier of this number.
    #[must_use]
    pub fn of(number: u32) -> Option<Carrier> {
        match number {
            0 => Some(Carrier::Plain),
            _ => Level::of(number).map(Carrier::Sturdy),
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Carrier::Plain => write!(f, "plain"),
            Carrier::Sturdy(level) => write!(f, "sturdy {level}"),
        }
    }
}

/// Makes a frame: writes its PNG into `png`, replacing its contents. Returns the CRC-32 of the
/// payload.
///
/// Payload and size must be as [`frame::render`] wants them, for the frame bytes that the carrier has
/// at this size.
pub fn write_frame(
    trailer: &Trailer,
    payload: &[u8],
    carrier: Carrier,
    size: Size,
    png: &mut Vec<u8>,
) -> u32 {
    let end = carrier.frame_bytes(size);
    match carrier {
        Carrier::Plain => {
            let mut picture = plain::Writer::new(size, png);
            let crc = frame::render(trailer, payload, end, &mut |bytes| picture.append(bytes));
            picture.finish();
            crc
        }
        Carrier::Sturdy(level) => {
            let mut all = Vec::with_capacity(end);
            let crc = frame::render(trailer, payload, end, &mut |bytes| {
                all.extend_from_slice(bytes);
            });
            sturdy::write(&all, size, level, png);
            crc
        }
    }
}

/// Lays frame bytes into `png`, replacing its contents: as many as the carrier has at this size.
pub fn write_bytes(frame_bytes: &[u8], carrier: Carrier, size: Size, png: &mut Vec<u8>) {
    match carrier {
        Carrier::Plain => pixels::render(frame_bytes, size, png),
        Carrier::Sturdy(level) => sturdy::write(frame_bytes, size, level, png),
    }
}

/// Completes a full frame whose stored payload is already in place in the PNG. Returns the CRC-32
/// of the payload.
pub fn seal_frame(trailer: &Trailer, pixels: &mut plain::Pixels) -> u32 {
    let size = pixels.size;
    let mut crc = crc32fast::Hasher::new();
    pixels.read(payload_range(size.capacity()), |piece| crc.update(piece));
    let crc = crc.finalize();
    let (header, end) = frame::around(trailer, size, crc);
    pixels.write(0, &header);
    pixels.write(size.pixel_bytes() - frame::TRAILER, &end);
    pixels.seal();
    crc
}

/// The range of pixel bytes of the first `length` bytes of a payload.
#[must_use]
pub fn payload_range(length: usize) -> std::ops::Range<usize> {
    frame::HEADER..frame::HEADER + length
}

/// What a picture turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What its trailer says.
    pub trailer: Trailer,
    /// CRC-32 of its payload.
    pub payload_crc: u32,
    /// How its frame bytes were laid in it.
    pub carrier: Carrier,
    /// Width and height of the picture.
    pub size: Size,
    /// What had to be corrected; nothing in a plain one.
    pub corrections: Corrections,
    /// Whether the PNG can be handed on as it is: any plain one can, and a sturdy one that nobody has
    /// changed. Else [`write_bytes`] makes it again.
    pub as_is: bool,
}

/// Reads a frame from a picture that [`container`] found: its frame bytes into `bytes`, in place of
/// what that holds, of which [`frame::payload`] is its payload; and what else there is to know of it.
///
/// # Errors
///
/// [`Kind::BadPicture`], [`Kind::Unsupported`]; [`Kind::Uncorrectable`]; [`Kind::OldPiece`],
/// [`Kind::Lossy`], [`Kind::Harmed`] or [`Kind::NotFrame`] for a picture of something else, whose pixel
/// bytes are in `bytes` then; those of [`frame::parse`].
pub fn read_frame(picture: &[u8], limit: usize, bytes: &mut Vec<u8>) -> Result<Frame> {
    let size = container::size(picture);
    let mut samples = Vec::new();
    let is_png = Format::of(picture) == Format::Png;
    if is_png
        && plain::parse(picture, Color::Gray, size, &mut samples)
        && let Some(frame) = read_samples(&samples, size, Range::Full, limit, bytes)?
    {
        let as_is = frame.corrections.wrong == 0;
        return Ok(Frame { as_is, ..frame });
    }
    let is_lossy = gray::is_lossy(picture);
    if is_lossy {
        let luma = match Format::of(picture) {
            Format::Jpeg => jpeg::Luma::parse(picture)?,
            _ => None,
        };
        let range = match luma {
            Some(luma) => {
                let found = sturdy::read_blocks(&luma, size, bytes)?;
                if let Some(frame) = sturdy_frame(found, size, limit, bytes)? {
                    return Ok(frame);
                }
                luma.samples(&mut samples);
                Range::Full
            }
            None => gray::parse_raw(picture, &mut samples)?,
        };
        if let Some(frame) = read_turned(picture, &mut samples, range, limit, bytes)? {
            return Ok(frame);
        }
    }
    let what = gray::colours(picture, bytes)?;
    if frame::has_magic(bytes) {
        let (trailer, payload_crc) = frame::parse(bytes, limit)?;
        return Ok(Frame {
            trailer,
            payload_crc,
            carrier: Carrier::Plain,
            size,
            corrections: Corrections::default(),
            as_is: is_png,
        });
    }
    if !is_lossy {
        pixels::luma(bytes, &mut samples);
        let mut found = Vec::new();
        if let Some(frame) = read_samples(&samples, size, Range::Full, limit, &mut found)? {
            *bytes = found;
            return Ok(frame);
        }
    }
    Err(no_frame(bytes, picture, what))
}

/// Reads the frame bytes of a picture as [`read_frame`] does, or the pixel bytes of one that is no
/// frame.
///
/// # Errors
///
/// As [`read_frame`], but for pictures of something else.
pub fn read_any(picture: &[u8], limit: usize, bytes: &mut Vec<u8>) -> Result<Option<Frame>> {
    match read_frame(picture, limit, bytes) {
        Ok(frame) => Ok(Some(frame)),
        Err(e) => match e.kind() {
            Kind::OldPiece | Kind::Lossy | Kind::Harmed(_) | Kind::NotFrame(_) => Ok(None),
            _ => Err(e),
        },
    }
}

/// Reads a frame from the gray samples of a picture as they are in it, and, where EXIF says that it
/// is turned, as it is shown.
fn read_turned(
    picture: &[u8],
    samples: &mut Vec<u8>,
    range: Range,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> Result<Option<Frame>> {
    let size = container::size(picture);
    let found = read_samples(samples, size, range, limit, bytes)?;
    match gray::orientation(picture) {
        1 => Ok(found),
        _ if found.is_some() => Ok(found),
        orientation => {
            let size = gray::turn(samples, size, orientation);
            read_samples(samples, size, range, limit, bytes)
        }
    }
}

/// Makes the PNG of a frame as it was written, of its frame bytes, where `picture`, from which they
/// were read, isn't it.
pub fn as_written(frame: &Frame, bytes: &[u8], picture: &mut Vec<u8>) {
    if !frame.as_is {
        write_bytes(bytes, frame.carrier, frame.size, picture);
    }
}

/// Reads a frame from the gray samples of a picture, row by row, as [`read_frame`] does; none where
/// it is no sturdy one. For a picture in colour these are the luma of JPEG.
///
/// # Errors
///
/// [`Kind::Uncorrectable`]; those of [`frame::parse`].
pub fn read_samples(
    samples: &[u8],
    size: Size,
    range: Range,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> Result<Option<Frame>> {
    let found = sturdy::read(samples, size, range, bytes)?;
    sturdy_frame(found, size, limit, bytes)
}

/// The frame that was found in a sturdy picture, whose frame bytes these are.
fn sturdy_frame(
    found: Option<(Level, Corrections)>,
    size: Size,
    limit: usize,
    bytes: &[u8],
) -> Result<Option<Frame>> {
    let Some((level, corrections)) = found else {
        return Ok(None);
    };
    let (trailer, payload_crc) = frame::parse(bytes, limit)?;
    Ok(Some(Frame {
        trailer,
        payload_crc,
        carrier: Carrier::Sturdy(level),
        size,
        corrections,
        as_is: false,
    }))
}

/// What a picture without a frame is.
fn no_frame(pixels: &[u8], picture: &[u8], what: String) -> Error {
    let kind = if v1::parse(pixels).is_some() {
        Kind::OldPiece
    } else if frame::resembles(pixels) {
        Kind::Lossy
    } else if let Some(damage) = damage(pixels, picture) {
        let (size, encoding) = (container::size(picture), gray::encoding(picture));
        Kind::Harmed(format!(
            "a {size} {encoding}, a sturdy picture that {damage}"
        ))
    } else {
        Kind::NotFrame(what)
    };
    kind.into()
}

/// What was done to the sturdy picture that has these pixels; none where they aren't gray, or are of
/// something else.
fn damage(pixels: &[u8], picture: &[u8]) -> Option<Damage> {
    if !gray::is_gray(pixels) {
        return None;
    }
    let mut samples = Vec::new();
    pixels::luma(pixels, &mut samples);
    match sturdy::damage::of(&samples, container::size(picture))? {
        // What is as coarse as this has as little contrast.
        Damage::Blurred if gray::is_coarse(picture) => Some(Damage::Changed),
        damage => Some(damage),
    }
}
