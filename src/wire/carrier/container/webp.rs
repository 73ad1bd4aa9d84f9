//! Where a WebP ends, and the chunks in it.

use super::{Format, Picture, most_bytes, sniff, too_long};
use crate::error::{Kind, Result};
use crate::wire::frame::Size;
use std::io::Read;

/// `RIFF`, length, `WEBP`, and the head of the first chunk with its width and height.
const HEAD: usize = 30;

/// Reads what follows `RIFF`, as much as its length says.
pub fn take(picture: &mut Picture, input: &mut impl Read, limit: usize) -> Result<()> {
    let start = picture.take(input, 8);
    if !b"WEBP".starts_with(picture.bytes().get(8..).unwrap_or_default()) {
        return Err(Kind::NotPicture(sniff(picture.bytes())).into());
    }
    start?;
    let length = 8 + u32_at(picture.bytes(), 4) as usize;
    if length < HEAD {
        return Err(Format::Webp.damaged("it has no room for a picture"));
    }
    picture.take(input, HEAD - picture.length)?;
    let Some(size) = size(picture.bytes()) else {
        return Err(Format::Webp.damaged("its first chunk is of no picture"));
    };
    let size = size.within(limit)?;
    let most = most_bytes(size.pixel_bytes() / 3 * 4);
    if length > most {
        return Err(too_long(Format::Webp, most, size));
    }
    picture.take(input, length - HEAD)
}

/// Width and height, by the head of a WebP.
pub fn size(head: &[u8]) -> Option<Size> {
    let head = head.get(..HEAD)?;
    let (width, height) = match &head[12..16] {
        b"VP8 " => (u32_at(head, 26) & 0x3fff, u32_at(head, 26) >> 16 & 0x3fff),
        b"VP8L" => (
            (u32_at(head, 21) & 0x3fff) + 1,
            (u32_at(head, 21) >> 14 & 0x3fff) + 1,
        ),
        b"VP8X" => (
            (u32_at(head, 24) & 0xff_ffff) + 1,
            (u32_at(head, 26) >> 8) + 1,
        ),
        _ => return None,
    };
    (width > 0 && height > 0).then_some(Size { width, height })
}

/// The body of the first chunk of this name.
pub fn chunk(webp: &[u8], name: [u8; 4]) -> Option<&[u8]> {
    let mut rest = webp.get(12..)?;
    loop {
        let (head, body) = rest.split_at_checked(8)?;
        let length = u32_at(head, 4) as usize;
        if head[..4] == name {
            return body.get(..length);
        }
        rest = body.get(length + length % 2..)?;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into();
    u32::from_le_bytes(bytes.expect("internal error: four bytes"))
}
