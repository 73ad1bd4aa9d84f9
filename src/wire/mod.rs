//! What storagex(5) specifies: pure, no I/O but `Read`.
//!
//! From the bytes up: [`chunk`] cuts a stream and applies the codec, [`frame`] puts a payload
//! between header and trailer, [`plain`] makes a PNG of that, [`pixels`] takes it back out of any PNG,
//! [`pictures`] finds the PNGs in a run of bytes, [`stream`] checks that frames follow one another
//! as they should, [`webp`] makes PNGs of
//! what hosts made of them, [`v1`] knows what storagex 1.0 wrote.

pub mod chunk;
pub mod frame;
pub mod pictures;
pub mod pixels;
pub mod plain;
pub mod stream;
pub mod v1;
pub mod webp;

use crate::error::{Error, Kind, Result};
use frame::{Size, Trailer};

/// The pixel bytes that a frame may have unless the user raises the limit: 64 MiB.
pub const DEFAULT_LIMIT: usize = 64 << 20;

/// The limit can't be raised over this: 1 GiB, so that a PNG's chunk lengths (31 bits) hold it.
pub const MAX_LIMIT: usize = 1 << 30;

/// Makes a frame: lays its PNG into `png`, in place of what that holds. Gives the CRC-32 of the
/// payload.
///
/// Payload and size must be as [`frame::render`] wants them.
pub fn write_frame(trailer: &Trailer, payload: &[u8], size: Size, png: &mut Vec<u8>) -> u32 {
    let mut picture = plain::Writer::new(size, png);
    let crc = frame::render(trailer, payload, size, &mut |bytes| picture.append(bytes));
    picture.finish();
    crc
}

/// Makes a full frame, whose payload is stored, of a PNG in which that stands in its place already.
/// Gives the CRC-32 of the payload.
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

/// Which pixel bytes the first `length` bytes of a payload are.
#[must_use]
pub fn payload_range(length: usize) -> std::ops::Range<usize> {
    frame::HEADER..frame::HEADER + length
}

/// Reads a frame from a PNG that [`pictures`] found: its pixels into `pixels`, in place of what that
/// holds, and its trailer and the CRC-32 of its payload from these. [`frame::payload`] of the pixels
/// is its payload.
///
/// # Errors
///
/// [`Kind::BadPng`]; [`Kind::OldPiece`], [`Kind::Lossy`] or [`Kind::NotFrame`] for a picture of
/// something else; those of [`frame::parse`].
pub fn read_frame(png: &[u8], limit: usize, pixels: &mut Vec<u8>) -> Result<(Trailer, u32)> {
    let picture = pixels::parse(png, pixels)?;
    if !frame::has_magic(pixels) {
        return Err(no_frame(pixels, picture));
    }
    frame::parse(pixels, limit)
}

/// What a picture without the magic is.
fn no_frame(pixels: &[u8], picture: String) -> Error {
    let kind = if v1::parse(pixels).is_some() {
        Kind::OldPiece
    } else if frame::resembles(pixels) {
        Kind::Lossy
    } else {
        Kind::NotFrame(picture)
    };
    kind.into()
}
