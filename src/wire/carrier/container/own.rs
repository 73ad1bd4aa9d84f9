//! Chunks of our own in a PNG.

use super::Format;
use super::png::{HEAD, u32_at};
use crate::error::Result;
use std::borrow::Cow;

/// The PNG with an ancillary chunk that has the number of the copy; copy 0 is the PNG as it is.
///
/// A host that stores equal files once would have one copy of all: so they differ.
#[must_use]
pub fn as_copy(png: &[u8], copy: u8) -> Cow<'_, [u8]> {
    if copy == 0 {
        return Cow::Borrowed(png);
    }
    Cow::Owned(with_chunk(png, *b"sxCp", &[copy]))
}

/// Where a run of frames stands that is part of an input: "Parts" in storagex(5). Over all streams
/// of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Bytes before the first frame of the run.
    pub offset: u64,
    /// Bytes of the whole input.
    pub size: u64,
}

impl Part {
    const CHUNK: [u8; 4] = *b"sxAt";

    /// The PNG of the first frame of a part with an ancillary chunk that says so.
    #[must_use]
    pub fn mark(self, png: &[u8]) -> Vec<u8> {
        let (offset, size) = (self.offset.to_be_bytes(), self.size.to_be_bytes());
        with_chunk(png, Part::CHUNK, &[offset, size].concat())
    }

    /// What [`Part::mark`] wrote into a PNG that [`Pictures`](super::Pictures) found; none if the chunk isn't there,
    /// right after IHDR.
    ///
    /// # Errors
    ///
    /// [`Kind::BadPicture`](crate::Kind::BadPicture) for a chunk that is damaged.
    pub fn of(png: &[u8]) -> Result<Option<Part>> {
        if Format::of(png) != Format::Png {
            return Ok(None);
        }
        let (length, rest) = png[HEAD..].split_at(4);
        if !rest.starts_with(&Part::CHUNK) {
            return Ok(None);
        }
        let bad = |why: &str| Err(Format::Png.damaged(why));
        if length != [0, 0, 0, 16] || rest.len() < 4 + 16 + 4 {
            return bad("a chunk sxAt that hasn't 16 bytes");
        }
        let (named, crc) = rest[..24].split_at(20);
        if crc != crc32fast::hash(named).to_be_bytes() {
            return bad("the CRC of its chunk sxAt");
        }
        let u64_at = |at| u64::from(u32_at(named, at)) << 32 | u64::from(u32_at(named, at + 4));
        let (offset, size) = (u64_at(4), u64_at(12));
        match offset <= size && i64::try_from(size).is_ok() {
            true => Ok(Some(Part { offset, size })),
            false => bad("a chunk sxAt of a place that can't be"),
        }
    }
}

/// The PNG with one more chunk, right after IHDR.
fn with_chunk(png: &[u8], name: [u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&name, data].concat();
    let length = u32::try_from(data.len()).expect("internal error: a chunk over 4 GiB");
    let crc = crc32fast::hash(&named).to_be_bytes();
    let (head, rest) = png.split_at(HEAD);
    [head, &length.to_be_bytes(), &named, &crc, rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::carrier::container::tests::small;

    #[test]
    fn a_part_is_marked() {
        let part = Part {
            offset: 5 << 40,
            size: 6 << 40,
        };
        let marked = part.mark(&small());
        assert_eq!(Part::of(&marked).unwrap(), Some(part));
        assert_eq!(Part::of(&small()).unwrap(), None);
        let mut pixels = Vec::new();
        crate::wire::carrier::pixels::parse(&marked, &mut pixels).unwrap();
        assert_eq!(pixels, [9; 48]);
        for bad in HEAD..HEAD + 28 {
            let mut marked = marked.clone();
            marked[bad] ^= 1;
            let found = Part::of(&marked);
            assert!(!matches!(found, Ok(Some(_))), "byte {bad}: {found:?}");
        }
        let beyond = Part { offset: 2, size: 1 };
        assert!(Part::of(&beyond.mark(&small())).is_err());
    }
}
