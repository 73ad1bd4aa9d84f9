//! Finds the pictures in a run of bytes: PNGs, one after another, with nothing between them.

use super::frame::Size;
use super::pixels::SIGNATURE;
use crate::error::{Error, Kind, Result};
use std::io::{BufRead, BufReader, ErrorKind, Read};

/// Signature and IHDR: length, type, 13 bytes, CRC.
const HEAD: usize = 8 + 4 + 4 + 13 + 4;
/// Bytes that a PNG may have over an eighth more than its uncompressed samples: what metadata and
/// the division into chunks may take.
const SLACK: usize = 1 << 20;

/// The pictures in what `input` gives.
pub struct Pictures<R> {
    input: BufReader<R>,
    limit: usize,
}

impl<R: Read> Pictures<R> {
    /// Pictures of at most `limit` pixel bytes.
    pub fn new(input: R, limit: usize) -> Self {
        Pictures {
            input: BufReader::with_capacity(1 << 16, input),
            limit,
        }
    }

    /// Reads the next picture into `png`, in place of what it holds: from the signature to the end
    /// of IEND. False at the end of the input.
    ///
    /// Follows the chunks by their lengths; their CRCs are for who decodes them. Memory is taken as
    /// bytes come in, up to what a picture of the size in IHDR may need.
    ///
    /// # Errors
    ///
    /// [`Kind::NotPng`], [`Kind::BadPng`], [`Kind::CutShort`], [`Kind::TooLarge`], [`Kind::Io`].
    pub fn next(&mut self, png: &mut Vec<u8>) -> Result<bool> {
        let start = peek(&mut self.input)?;
        if start.is_empty() {
            return Ok(false);
        }
        // At once, with as little as has come: whoever sends what is no picture may send no more.
        if !SIGNATURE.starts_with(&start[..start.len().min(8)]) {
            return Err(Kind::NotPng(sniff(start)).into());
        }
        let mut picture = Picture { png, length: 0 };
        picture
            .take(&mut self.input, SIGNATURE.len())
            .map_err(|e| no_png(e, picture.bytes()))?;
        if !picture.bytes().starts_with(SIGNATURE) {
            return Err(Kind::NotPng(sniff(picture.bytes())).into());
        }
        picture.take(&mut self.input, HEAD - SIGNATURE.len())?;
        let header = Header::parse(picture.bytes())?;
        Size {
            width: header.width,
            height: header.height,
        }
        .within(self.limit)?;
        let most = header.most_bytes();
        loop {
            let at = picture.length;
            picture.take(&mut self.input, 8)?;
            let length = u32_at(picture.bytes(), at) as usize;
            let is_end = &picture.bytes()[at + 4..] == b"IEND";
            if picture.length + length + 4 > most {
                let size = size(picture.bytes());
                let what = format!("over {most} bytes, expected at most so many for {size} pixels");
                return Err(Error::from(Kind::BadPng).because(what));
            }
            picture.take(&mut self.input, length + 4)?;
            if is_end {
                picture.png.truncate(picture.length);
                return Ok(true);
            }
        }
    }
}

/// A picture that is being read. What `png` holds behind the first `length` bytes is of the one
/// before, and is written over: a buffer that goes round isn't zeroed again.
struct Picture<'a> {
    png: &'a mut Vec<u8>,
    length: usize,
}

impl Picture<'_> {
    fn bytes(&self) -> &[u8] {
        &self.png[..self.length]
    }

    /// Appends exactly `count` bytes of the input. Takes memory for a mebibyte at a time.
    fn take(&mut self, input: &mut impl Read, count: usize) -> Result<()> {
        let end = self.length + count;
        while self.length < end {
            let step = end.min(self.length + (1 << 20));
            if self.png.len() < step {
                self.png.resize(step, 0);
            }
            match input.read(&mut self.png[self.length..step]) {
                Ok(0) => return Err(Kind::CutShort(self.length as u64).into()),
                Ok(got) => self.length += got,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::input(e)),
            }
        }
        Ok(())
    }
}

/// What comes next, as much of it as is there; nothing at the end.
pub(super) fn peek<R: Read>(input: &mut BufReader<R>) -> Result<&[u8]> {
    while let Err(e) = input.fill_buf() {
        if e.kind() != ErrorKind::Interrupted {
            return Err(Error::input(e));
        }
    }
    Ok(input.buffer())
}

/// Reads an input that is one picture of at most `limit` pixel bytes, and nothing else, into `png`.
///
/// # Errors
///
/// As [`Pictures::next`], and [`Kind::BadPng`] for bytes after it.
pub fn single(input: impl Read, limit: usize, png: &mut Vec<u8>) -> Result<()> {
    let mut pictures = Pictures::new(input, limit);
    if !pictures.next(png)? {
        return Err(Kind::NotPng("nothing").into());
    }
    match peek(&mut pictures.input)?.is_empty() {
        true => Ok(()),
        false => Err(Error::from(Kind::BadPng).because("bytes after its end")),
    }
}

/// Width and height of a picture that [`Pictures`] found.
#[must_use]
pub fn size(png: &[u8]) -> Size {
    Size {
        width: u32_at(png, 16),
        height: u32_at(png, 20),
    }
}

/// What is in IHDR, as far as it is needed here.
struct Header {
    width: u32,
    height: u32,
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
        let (width, height) = (u32_at(head, 16), u32_at(head, 20));
        if &head[8..16] != b"\0\0\0\x0dIHDR" || width == 0 || height == 0 {
            return Err(Error::from(Kind::BadPng).because("its header isn't as PNG wants it"));
        }
        Ok(Header {
            width,
            height,
            bits_per_pixel: channels * usize::from(head[24].min(16)),
        })
    }

    /// The most bytes that a PNG of this header may have: its samples uncompressed, a filter byte a
    /// row (and a pass, interlaced), an eighth more, and [`SLACK`].
    fn most_bytes(&self) -> usize {
        let row = (self.width as usize * self.bits_per_pixel).div_ceil(8) + 15;
        let rows = row * self.height as usize;
        rows + rows / 8 + SLACK
    }
}

/// What bytes are that start like the signature and then don't go on so, or end.
fn no_png(error: Error, start: &[u8]) -> Error {
    match SIGNATURE.starts_with(start) {
        true => error,
        false => Kind::NotPng(sniff(start)).into(),
    }
}

/// Names what is likely to be taken for a PNG, by its first bytes.
pub(super) fn sniff(head: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 14] = [
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"RIFF", "a WebP picture or another RIFF file"),
        (b"BM", "a BMP picture"),
        (b"<!", "an HTML or XML page"),
        (b"<?", "an HTML or XML page"),
        (b"<h", "an HTML or XML page"),
        (b"{\"", "JSON text"),
        (b"file:", "a key"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x89PNG\n", "a PNG whose line ends were converted"),
        (b"\x89PNG\r\r\n", "a PNG whose line ends were converted"),
        (b"\0\0\0 ftyp", "an AVIF, HEIC or MP4 file"),
    ];
    let known = KNOWN.iter().find(|(start, _)| head.starts_with(start));
    known.map_or("bytes that are no picture", |(_, name)| name)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(
        bytes[at..at + 4]
            .try_into()
            .expect("internal error: four bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Vec<u8> {
        let mut png = Vec::new();
        let size = Size {
            width: 4,
            height: 4,
        };
        super::super::pixels::render(&[9; 48], size, &mut png);
        png
    }

    #[test]
    fn finds_each() {
        let two = [small(), small()].concat();
        let mut pictures = Pictures::new(&two[..], 1000);
        let mut png = Vec::new();
        for _ in 0..2 {
            assert!(pictures.next(&mut png).unwrap());
            assert_eq!(png, small());
        }
        assert!(!pictures.next(&mut png).unwrap());
    }

    #[test]
    fn cut_at_any_byte() {
        let whole = small();
        for cut in 1..whole.len() {
            let error = Pictures::new(&whole[..cut], 1000)
                .next(&mut Vec::new())
                .unwrap_err();
            assert_eq!(error.kind(), &Kind::CutShort(cut as u64));
        }
    }

    #[test]
    fn a_chunk_that_claims_too_much() {
        let mut png = small();
        png[33..37].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        let error = Pictures::new(&png[..], 1000)
            .next(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.kind(), &Kind::BadPng);
    }
}
