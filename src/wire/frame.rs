//! Lays out header, payload, padding and trailer in pixel bytes: "THE FRAME" in storagex(5).

use crate::error::{Error, Kind, Result};
use crc32fast::Hasher;
use std::fmt;
use std::ops::Range;

/// Size of the header, the length of the payload.
pub const HEADER: usize = 4;
/// Size of the trailer.
pub const TRAILER: usize = 32;
/// Bytes of a trailer that a seal covers: up to the offset.
pub const HEAD: usize = 20;
/// Bytes that a sealed payload begins with.
pub const NONCE: usize = 12;
/// Bytes that a sealed payload ends with.
pub const TAG: usize = 16;
/// Bytes that a seal adds to a payload.
pub const SEAL: usize = NONCE + TAG;
/// Bytes that follow the payload of the last frame, under the seal.
pub const CHAIN: usize = 32;
/// Bytes to work on at once, so that they are still in the cache the second time.
const PIECE: usize = 1 << 14;

const MAGIC: &[u8; 4] = b"SXFR";
const VERSION: u8 = 2;
const LAST: u8 = 1;
const POSITIONED: u8 = 2;
const SEALED: u8 = 4;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// A chunk of a stream.
    Data = 0,
    /// An index.
    Index = 1,
    /// Parity of a group of data frames.
    Parity = 2,
}

/// How the payload is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Stored = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// The place of a frame in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Given only by the order of the frames.
    Anywhere,
    /// At this offset; not the last one.
    At(u64),
    /// At this offset, and the end of the stream.
    Last {
        /// Bytes before it.
        offset: u64,
        /// CRC-32 of the whole stream.
        stream_crc: u32,
        /// Whether the flag `positioned` is set too.
        positioned: bool,
    },
}

/// The trailer of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Data, index or parity.
    pub kind: FrameKind,
    /// How the payload is encoded.
    pub codec: Codec,
    /// The place in its stream. An index frame is [`Place::Anywhere`].
    pub place: Place,
    /// Bytes of the payload once seal and codec are undone.
    pub raw_length: u32,
    /// For a sealed frame, the check of its secret: see [`seal`](super::seal).
    pub sealed: Option<u32>,
}

impl Trailer {
    /// The part of the trailer that a seal covers: its first [`HEAD`] bytes.
    #[must_use]
    pub fn head(&self) -> [u8; HEAD] {
        let (mut flags, offset) = match self.place {
            Place::Anywhere => (0, 0),
            Place::At(offset) => (POSITIONED, offset),
            Place::Last {
                offset, positioned, ..
            } => (LAST | if positioned { POSITIONED } else { 0 }, offset),
        };
        flags |= if self.sealed.is_some() { SEALED } else { 0 };
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&[VERSION, self.kind as u8, self.codec as u8, flags]);
        bytes[8..12].copy_from_slice(&self.raw_length.to_le_bytes());
        bytes[12..].copy_from_slice(&offset.to_le_bytes());
        bytes
    }

    /// Whether it ends its stream.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self.place, Place::Last { .. })
    }

    /// The bytes of a payload of `length` bytes that the codec has made: all of them, or those that are
    /// under the seal.
    #[must_use]
    pub fn packed(&self, length: usize) -> Range<usize> {
        match self.sealed {
            None => 0..length,
            Some(_) => NONCE..length - self.added() + NONCE,
        }
    }

    /// Bytes that a seal adds to the payload.
    #[must_use]
    pub fn added(&self) -> usize {
        match (self.sealed, self.is_last()) {
            (None, _) => 0,
            (Some(_), false) => SEAL,
            (Some(_), true) => SEAL + CHAIN,
        }
    }
}

/// Width and height of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// What storagex 1.0 used: 1024 x 768.
    pub const DEFAULT: Size = Size {
        width: 1024,
        height: 768,
    };

    /// Number of pixel bytes, 3 for each pixel; saturates.
    #[must_use]
    pub fn pixel_bytes(self) -> usize {
        (self.width as usize)
            .saturating_mul(self.height as usize)
            .saturating_mul(3)
    }

    /// The capacity in bytes of a frame of this size; none if this is too small for a frame.
    #[must_use]
    pub fn capacity(self) -> usize {
        self.pixel_bytes().saturating_sub(HEADER + TRAILER)
    }

    /// This size, if full frames can have it.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`] if it holds no payload, or has more than `limit` pixel bytes.
    pub fn checked(self, limit: usize) -> Result<Size> {
        if self.capacity() == 0 {
            let needed = (HEADER + TRAILER) / 3 + 1;
            return Err(Kind::Size(format!("{self} pixels, expected at least {needed}")).into());
        }
        if self.pixel_bytes() > limit {
            let most = limit / 3;
            return Err(Kind::Size(format!("{self} pixels, expected at most {most}")).into());
        }
        Ok(self)
    }

    /// This size, if it has at most `limit` pixel bytes.
    pub(crate) fn within(self, limit: usize) -> Result<Size> {
        if self.pixel_bytes() > limit {
            return Err(Error::from(Kind::TooLarge {
                found: format!("{self} pixels"),
                limit: format!("{} pixels", limit / 3),
            }));
        }
        Ok(self)
    }

    /// The size of a frame with a payload of `length` bytes if full frames have this size: this
    /// size if the frame is full, or else smaller, close to square, and at least 16 pixels a side
    /// where this size allows it. "Size of a frame" in storagex(5) has the formula.
    #[must_use]
    pub fn fit(self, length: usize) -> Size {
        debug_assert!(length <= self.capacity());
        if length == self.capacity() {
            return self;
        }
        let pixels = (length + HEADER + TRAILER).div_ceil(3);
        let (most_wide, most_high) = (self.width as usize, self.height as usize);
        let side = pixels.isqrt();
        let side = side + usize::from(side * side < pixels);
        let mut width = most_wide.min(side.max(16));
        let height = most_high.min(pixels.div_ceil(width).max(16));
        if width * height < pixels {
            width = pixels.div_ceil(height);
        }
        #[expect(clippy::cast_possible_truncation)] // at most self's, which are u32
        Size {
            width: width as u32,
            height: height as u32,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

/// Passes the `end` frame bytes of a frame to `sink`, in pieces that fit a core's cache. Returns the
/// CRC-32 of the payload, from which that of the frame bytes is derived without reading the payload
/// twice.
///
/// `payload` must fit, and `trailer.raw_length` must be its length after decompression.
pub fn render(trailer: &Trailer, payload: &[u8], end: usize, sink: &mut impl FnMut(&[u8])) -> u32 {
    let header = length32(payload).to_le_bytes();
    let mut payload_crc = Hasher::new();
    sink(&header);
    for piece in payload.chunks(PIECE) {
        payload_crc.update(piece);
        sink(piece);
    }
    let mut crc = Hasher::new();
    crc.update(&header);
    crc.combine(&payload_crc);
    let mut padding = end - HEADER - payload.len() - TRAILER;
    while padding > 0 {
        let zeros = &[0; 256][..padding.min(256)];
        crc.update(zeros);
        sink(zeros);
        padding -= zeros.len();
    }
    sink(&render_trailer(trailer, crc));
    payload_crc.finalize()
}

/// The header of a full frame, and its trailer, around a payload that has this CRC-32.
#[must_use]
pub fn around(trailer: &Trailer, full: Size, payload_crc: u32) -> ([u8; HEADER], [u8; TRAILER]) {
    let length = full.capacity();
    let header = u32::try_from(length).expect("internal error: a payload over 4 GiB");
    let header = header.to_le_bytes();
    let mut crc = Hasher::new();
    crc.update(&header);
    crc.combine(&Hasher::new_with_initial_len(payload_crc, length as u64));
    (header, render_trailer(trailer, crc))
}

/// The trailer behind pixel bytes that have this CRC.
fn render_trailer(trailer: &Trailer, mut crc: Hasher) -> [u8; TRAILER] {
    let field = match (trailer.sealed, trailer.place) {
        (Some(check), _) => check,
        (None, Place::Last { stream_crc, .. }) => stream_crc,
        (None, _) => 0,
    };
    let mut bytes = [0; TRAILER];
    bytes[..HEAD].copy_from_slice(&trailer.head());
    bytes[HEAD..24].copy_from_slice(&field.to_le_bytes());
    crc.update(&bytes[..TRAILER - 4]);
    bytes[TRAILER - 4..].copy_from_slice(&crc.finalize().to_le_bytes());
    bytes
}

/// The frame bytes of a plain frame in one piece: see [`render`].
#[must_use]
pub fn to_pixels(trailer: &Trailer, payload: &[u8], size: Size) -> Vec<u8> {
    to_bytes(trailer, payload, size.pixel_bytes())
}

/// The `end` frame bytes of a frame in one piece: see [`render`].
#[must_use]
pub fn to_bytes(trailer: &Trailer, payload: &[u8], end: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(end);
    render(trailer, payload, end, &mut |bytes: &[u8]| {
        all.extend_from_slice(bytes);
    });
    all
}

/// The length of the payload, from the header.
fn length32(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).expect("internal error: a payload over 4 GiB")
}

/// Whether these pixel bytes end in a trailer of any version: whether the magic is there.
#[must_use]
pub fn has_magic(pixels: &[u8]) -> bool {
    pixels.len() >= HEADER + TRAILER && pixels[pixels.len() - TRAILER..].starts_with(MAGIC)
}

/// Whether pixels without the magic end in something close to a trailer, as after lossy encoding.
///
/// Looks at the bytes that all trailers have in common. JPEG at qualities 50 to 100, with colours
/// at full and at half resolution, of noise, text and zeros, moved those of the magic by up to 28
/// on average, and the others by up to 33; a plain picture that is dark enough for the others is
/// too dark for the magic, by 40 or more.
#[must_use]
pub fn resembles(pixels: &[u8]) -> bool {
    /// Kind, codec, the high byte of the offset, the zero field.
    const ZEROS: [usize; 7] = [5, 6, 19, 24, 25, 26, 27];
    if pixels.len() < HEADER + TRAILER {
        return false;
    }
    let trailer = &pixels[pixels.len() - TRAILER..];
    let off = |at: usize, byte: u8| u32::from(trailer[at].abs_diff(byte));
    let magic: u32 = MAGIC.iter().zip(0..).map(|(&byte, at)| off(at, byte)).sum();
    let others = off(4, VERSION) + ZEROS.iter().map(|&at| off(at, 0)).sum::<u32>();
    magic < 4 * 40 && others < 8 * 36
}

/// Reads the trailer of a frame, and the CRC-32 of its payload, which [`payload`] returns.
///
/// Checks everything that "What a reader MUST do" lists from the magic on. `limit` is the greatest raw
/// length allowed.
///
/// # Errors
///
/// [`Kind::NotFrame`] without the magic; [`Kind::Checksum`], [`Kind::Version`] or [`Kind::Field`].
pub fn parse(pixels: &[u8], limit: usize) -> Result<(Trailer, u32)> {
    if !has_magic(pixels) {
        return Err(Kind::NotFrame("bytes without the magic".into()).into());
    }
    let (body, trailer) = pixels.split_at(pixels.len() - TRAILER);
    let expected = u32_at(trailer, 28);
    let (found, payload_crc) = checksums(&pixels[..pixels.len() - 4]);
    if found != expected {
        return Err(Error::from(Kind::Checksum {
            of: "frame".into(),
            found,
            expected,
        }));
    }
    if trailer[4] != VERSION {
        return Err(Kind::Version(trailer[4]).into());
    }
    let trailer = parse_trailer(trailer)?;
    check_body(body)?;
    check_length(&trailer, payload(pixels), limit)?;
    Ok((trailer, payload_crc))
}

/// The CRC-32 of these pixels, and of the payload at their start, if there is one.
fn checksums(pixels: &[u8]) -> (u32, u32) {
    let (header, room) = pixels.split_at(HEADER);
    let length = (u32_at(header, 0) as usize).min(room.len());
    let (payload, rest) = room.split_at(length);
    let payload_crc = crc32fast::hash(payload);
    let mut crc = Hasher::new();
    crc.update(header);
    crc.combine(&Hasher::new_with_initial_len(payload_crc, length as u64));
    crc.update(rest);
    (crc.finalize(), payload_crc)
}

/// The payload, still compressed, of pixels that [`parse`] has accepted.
///
/// # Panics
///
/// If `parse` hasn't accepted them.
#[must_use]
pub fn payload(pixels: &[u8]) -> &[u8] {
    &pixels[HEADER..][..u32_at(pixels, 0) as usize]
}

/// As [`payload`], to open a seal in place.
///
/// # Panics
///
/// As [`payload`].
#[must_use]
pub fn payload_mut(pixels: &mut [u8]) -> &mut [u8] {
    let length = u32_at(pixels, 0) as usize;
    &mut pixels[HEADER..][..length]
}

fn parse_trailer(bytes: &[u8]) -> Result<Trailer> {
    let kind = match bytes[5] {
        0 => FrameKind::Data,
        1 => FrameKind::Index,
        2 => FrameKind::Parity,
        other => return Err(field("kind", other, "0, 1 or 2")),
    };
    let codec = match bytes[6] {
        0 => Codec::Stored,
        1 => Codec::Zstd,
        other => return Err(field("codec", other, "0 or 1")),
    };
    let raw_length = u32_at(bytes, 8);
    let place = parse_place(bytes)?;
    let is_sealed = bytes[7] & SEALED != 0;
    if kind != FrameKind::Data && bytes[7] != 0 {
        return Err(field("flags of an index or parity frame", bytes[7], "0"));
    }
    if kind == FrameKind::Parity && codec != Codec::Stored {
        return Err(field("codec of a parity frame", bytes[6], "0"));
    }
    let is_last = matches!(place, Place::Last { .. });
    if raw_length == 0 && kind != FrameKind::Index && !is_last {
        return Err(field(
            "raw length",
            0u32,
            "at least 1 where it isn't the last frame",
        ));
    }
    Ok(Trailer {
        kind,
        codec,
        place,
        raw_length,
        sealed: is_sealed.then(|| u32_at(bytes, HEAD)),
    })
}

fn parse_place(bytes: &[u8]) -> Result<Place> {
    let flags = bytes[7];
    let offset = u64::from(u32_at(bytes, 12)) | u64::from(u32_at(bytes, 16)) << 32;
    let is_sealed = flags & SEALED != 0;
    let stream_crc = if is_sealed { 0 } else { u32_at(bytes, HEAD) };
    let reserved = u32_at(bytes, 24);
    let positioned = flags & POSITIONED != 0;
    let last = flags & LAST != 0;
    if flags & !(LAST | POSITIONED | SEALED) != 0 {
        return Err(field("flags", flags, "at most 7"));
    }
    if reserved != 0 {
        return Err(field("reserved field", reserved, "0"));
    }
    if !positioned && !last && offset != 0 {
        return Err(field("offset of a frame that has none", offset, "0"));
    }
    if !last && stream_crc != 0 {
        return Err(field(
            "stream CRC of a frame that isn't last",
            stream_crc,
            "0",
        ));
    }
    let most = i64::MAX as u64 - u64::from(u32_at(bytes, 8));
    if offset > most {
        return Err(field("offset", offset, &format!("at most {most}")));
    }
    Ok(match (last, positioned) {
        (true, positioned) => Place::Last {
            offset,
            stream_crc,
            positioned,
        },
        (false, true) => Place::At(offset),
        (false, false) => Place::Anywhere,
    })
}

/// Checks payload length and padding in `body`, which is everything before the trailer.
fn check_body(body: &[u8]) -> Result<()> {
    let length = u32_at(body, 0);
    let room = &body[HEADER..];
    if length as usize > room.len() {
        return Err(field(
            "payload length",
            length,
            &format!("at most {}", room.len()),
        ));
    }
    match room[length as usize..].iter().find(|&&byte| byte != 0) {
        Some(&byte) => Err(field("padding", byte, "0")),
        None => Ok(()),
    }
}

fn check_length(trailer: &Trailer, payload: &[u8], limit: usize) -> Result<()> {
    if payload.len() < trailer.added() {
        let found = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let expected = format!("at least {}, the length of a seal", trailer.added());
        return Err(field("payload length", found, &expected));
    }
    let packed = payload.len() - trailer.added();
    let raw_length = trailer.raw_length as usize;
    let expected = match trailer.codec {
        Codec::Stored if raw_length != packed => {
            format!("{packed}, the length of the stored payload")
        }
        Codec::Zstd if raw_length <= packed => {
            format!("more than {packed}, the length of the packed payload")
        }
        Codec::Zstd if raw_length > limit => format!("at most {limit}"),
        _ => return Ok(()),
    };
    Err(field("raw length", trailer.raw_length, &expected))
}

fn field(name: &'static str, found: impl Into<u64>, expected: &str) -> Error {
    Error::from(Kind::Field {
        name,
        found: found.into(),
        expected: expected.to_owned(),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(
        bytes[at..at + 4]
            .try_into()
            .expect("internal error: four bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_frame_is_as_the_page_says() {
        let trailer = Trailer {
            kind: FrameKind::Data,
            codec: Codec::Stored,
            place: Place::Last {
                offset: 0,
                stream_crc: 0,
                positioned: true,
            },
            raw_length: 0,
            sealed: None,
        };
        let size = Size::DEFAULT.fit(0);
        let pixels = to_pixels(&trailer, b"", size);
        assert_eq!((size.width, size.height, pixels.len()), (16, 16, 768));
        assert_eq!(
            blake3::hash(&pixels).to_hex().as_str(),
            "a220d39a9abe8d4bd0e6aa57f1498a9a5e35a5ccb00ba0425f1f2651ba978ff7"
        );
        assert_eq!(parse(&pixels, 768).unwrap(), (trailer, 0));
        assert_eq!(payload(&pixels), b"");
    }

    #[test]
    fn full_frames_have_the_full_size() {
        assert_eq!(Size::DEFAULT.capacity(), 2_359_260);
        assert_eq!(Size::DEFAULT.fit(2_359_260), Size::DEFAULT);
    }

    proptest! {
        #[test]
        fn any_payload_fits(width in 1u32..200, height in 1u32..200, part in 0usize..=100) {
            let full = Size { width, height };
            prop_assume!(full.capacity() > 0);
            let length = full.capacity() * part / 100;
            let size = full.fit(length);
            prop_assert!(size.capacity() >= length);
            prop_assert!(size.width <= width && size.height <= height);
            prop_assert!(size.width >= width.min(16) && size.height >= height.min(16));
        }

        #[test]
        fn render_then_parse_gives_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 1..500),
            offset in 0u64..1 << 62,
            last in any::<bool>(),
        ) {
            let place = match last {
                true => Place::Last { offset, stream_crc: 7, positioned: true },
                false => Place::At(offset),
            };
            let trailer = Trailer {
                kind: FrameKind::Data,
                codec: Codec::Stored,
                place,
                raw_length: length32(&bytes),
                sealed: None,
            };
            let pixels = to_pixels(&trailer, &bytes, Size::DEFAULT.fit(bytes.len()));
            prop_assert_eq!(parse(&pixels, 1000).unwrap(), (trailer, crc32fast::hash(&bytes)));
            prop_assert_eq!(payload(&pixels), bytes);
        }

        #[test]
        fn any_bytes_are_refused_or_read_but_never_panic(mut pixels in proptest::collection::vec(any::<u8>(), 36..200)) {
            let end = pixels.len();
            pixels[end - TRAILER..end - TRAILER + 5].copy_from_slice(b"SXFR\x02");
            let crc = crc32fast::hash(&pixels[..end - 4]);
            pixels[end - 4..].copy_from_slice(&crc.to_le_bytes());
            let _ = parse(&pixels, 100);
        }
    }
}
