//! Where a PNG ends.

use super::{Format, Picture, too_long};
use crate::error::Result;
use crate::wire::frame::Size;
use std::io::Read;

/// What every PNG starts with.
pub const SIGNATURE: &[u8; 8] = b"\x89PNG\r\n\x1a\n";
/// Signature and IHDR: length, type, 13 bytes, CRC.
pub const HEAD: usize = 8 + 4 + 4 + 13 + 4;

/// Reads what follows the signature, to the end of IEND.
pub fn take(picture: &mut Picture, input: &mut impl Read, limit: usize) -> Result<()> {
    picture.take(input, HEAD - SIGNATURE.len())?;
    let header = Header::parse(picture.bytes())?;
    let size = size(picture.bytes()).within(limit)?;
    let most = header.most_bytes(size);
    loop {
        let at = picture.length;
        picture.take(input, 8)?;
        let length = u32_at(picture.bytes(), at) as usize;
        let is_end = &picture.bytes()[at + 4..] == b"IEND";
        if picture.length + length + 4 > most {
            return Err(too_long(Format::Png, most, size));
        }
        picture.take(input, length + 4)?;
        if is_end {
            return Ok(());
        }
    }
}

/// Width and height of a PNG.
pub fn size(png: &[u8]) -> Size {
    Size {
        width: u32_at(png, 16),
        height: u32_at(png, 20),
    }
}

/// What is in IHDR, as far as it is needed here.
struct Header {
    bits_per_pixel: usize,
}

impl Header {
    fn parse(head: &[u8]) -> Result<Header> {
        let channels = match head[25] {
            2 => 3,
            4 => 2,
            6 => 4,
            _ => 1,
        };
        let Size { width, height } = size(head);
        if &head[8..16] != b"\0\0\0\x0dIHDR" || width == 0 || height == 0 {
            return Err(Format::Png.damaged("its header isn't as PNG wants it"));
        }
        Ok(Header {
            bits_per_pixel: channels * usize::from(head[24].min(16)),
        })
    }

    /// The most bytes that a PNG of this header may have: for its samples uncompressed, with a
    /// filter byte a row (and a pass, interlaced).
    fn most_bytes(&self, size: Size) -> usize {
        let row = (size.width as usize * self.bits_per_pixel).div_ceil(8) + 15;
        super::most_bytes(row * size.height as usize)
    }
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into();
    u32::from_be_bytes(bytes.expect("internal error: four bytes"))
}
