//! Finds the pictures in a run of bytes, one after another, with nothing between them: PNG, JPEG and
//! WebP files, each by how its own format says where it ends.

pub(super) mod jpeg;
mod own;
mod png;
pub(super) mod webp;

use crate::error::{Error, Kind, Result};
use crate::wire::frame::Size;
pub use own::{Part, as_copy};
use std::io::{BufRead, BufReader, ErrorKind, Read};

/// What every PNG starts with.
pub(in crate::wire) const SIGNATURE: &[u8; 8] = png::SIGNATURE;
/// Bytes that a picture may have over an eighth more than its uncompressed samples: what metadata
/// and the division into parts may take.
const SLACK: usize = 1 << 20;

/// What a picture's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP, lossless or not.
    Webp,
}

impl Format {
    /// What the file of a picture that [`Pictures`] found is.
    #[must_use]
    pub fn of(picture: &[u8]) -> Format {
        match picture.first() {
            Some(0xff) => Format::Jpeg,
            Some(b'R') => Format::Webp,
            _ => Format::Png,
        }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Webp => "WebP",
        }
    }

    /// What its files start with.
    fn magic(self) -> &'static [u8] {
        match self {
            Format::Png => SIGNATURE,
            Format::Jpeg => &jpeg::START,
            Format::Webp => b"RIFF",
        }
    }

    pub(super) fn damaged(self, why: impl Into<String>) -> Error {
        Error::from(Kind::BadPicture(self.name())).because(why.into())
    }
}

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

    /// Reads the next picture into `picture`, in place of what it holds: from its first byte to the
    /// last one that its format says is its own. False at the end of the input.
    ///
    /// Follows chunks, segments and lengths, and leaves their contents to the decoders. Memory is
    /// taken as bytes come in, up to what a picture of the size in its header may need.
    ///
    /// # Errors
    ///
    /// [`Kind::NotPicture`], [`Kind::BadPicture`], [`Kind::CutShort`], [`Kind::TooLarge`],
    /// [`Kind::Io`].
    pub fn next(&mut self, picture: &mut Vec<u8>) -> Result<bool> {
        let start = peek(&mut self.input)?;
        if start.is_empty() {
            return Ok(false);
        }
        let format = Format::of(start);
        let magic = format.magic();
        // At once, with as little as has come: whoever sends what is no picture may send no more.
        if !magic.starts_with(&start[..start.len().min(magic.len())]) {
            return Err(Kind::NotPicture(sniff(start)).into());
        }
        let mut picture = Picture {
            file: picture,
            length: 0,
        };
        let started = picture.take(&mut self.input, magic.len());
        if !magic.starts_with(picture.bytes()) {
            return Err(Kind::NotPicture(sniff(picture.bytes())).into());
        }
        started?;
        match format {
            Format::Png => png::take(&mut picture, &mut self.input, self.limit)?,
            Format::Jpeg => jpeg::take(&mut picture, &mut self.input, self.limit)?,
            Format::Webp => webp::take(&mut picture, &mut self.input, self.limit)?,
        }
        let Picture { file, length } = picture;
        file.truncate(length);
        Ok(true)
    }
}

/// A picture that is being read. What `file` holds behind the first `length` bytes is of the one
/// before, and is written over: a buffer that goes round isn't zeroed again.
pub(super) struct Picture<'a> {
    file: &'a mut Vec<u8>,
    length: usize,
}

impl Picture<'_> {
    fn bytes(&self) -> &[u8] {
        &self.file[..self.length]
    }

    /// Appends exactly `count` bytes of the input. Takes memory for a mebibyte at a time.
    fn take(&mut self, input: &mut impl Read, count: usize) -> Result<()> {
        let end = self.length + count;
        while self.length < end {
            let step = end.min(self.length + (1 << 20));
            if self.file.len() < step {
                self.file.reserve_exact(step - self.file.len());
                self.file.resize(step, 0);
            }
            match input.read(&mut self.file[self.length..step]) {
                Ok(0) => return Err(Kind::CutShort(self.length as u64).into()),
                Ok(got) => self.length += got,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::input(e)),
            }
        }
        Ok(())
    }

    /// Appends bytes of the input up to one that is `last`, that one included, or to the first
    /// that is more than `most`.
    fn take_until<R: Read>(
        &mut self,
        input: &mut BufReader<R>,
        last: u8,
        most: usize,
    ) -> Result<()> {
        loop {
            let buffer = peek(input)?;
            if buffer.is_empty() {
                return Err(Kind::CutShort(self.length as u64).into());
            }
            let room = (most + 1).saturating_sub(self.length);
            let buffer = &buffer[..buffer.len().min(room)];
            let found = buffer.iter().position(|&byte| byte == last);
            let count = found.map_or(buffer.len(), |at| at + 1);
            self.file.truncate(self.length);
            self.file.extend_from_slice(&buffer[..count]);
            self.length += count;
            input.consume(count);
            if found.is_some() || self.length > most {
                return Ok(());
            }
        }
    }
}

/// The most bytes that the file of a picture with these uncompressed samples may have.
fn most_bytes(samples: usize) -> usize {
    samples + samples / 8 + SLACK
}

/// The error for a file that is longer than its size allows.
fn too_long(format: Format, most: usize, size: Size) -> Error {
    format.damaged(format!(
        "over {most} bytes, expected at most so many for {size} pixels"
    ))
}

/// What comes next, as much of it as is there; nothing at the end.
fn peek<R: Read>(input: &mut BufReader<R>) -> Result<&[u8]> {
    while let Err(e) = input.fill_buf() {
        if e.kind() != ErrorKind::Interrupted {
            return Err(Error::input(e));
        }
    }
    Ok(input.buffer())
}

/// Reads an input that is one picture of at most `limit` pixel bytes, and nothing else, into
/// `picture`.
///
/// # Errors
///
/// As [`Pictures::next`], and [`Kind::BadPicture`] for bytes after it.
pub fn single(input: impl Read, limit: usize, picture: &mut Vec<u8>) -> Result<()> {
    let mut pictures = Pictures::new(input, limit);
    if !pictures.next(picture)? {
        return Err(Kind::NotPicture("nothing").into());
    }
    match peek(&mut pictures.input)?.is_empty() {
        true => Ok(()),
        false => Err(Format::of(picture).damaged("bytes after its end")),
    }
}

/// Width and height of a picture that [`Pictures`] found.
///
/// # Panics
///
/// If [`Pictures`] hasn't found it.
#[must_use]
pub fn size(picture: &[u8]) -> Size {
    let size = match Format::of(picture) {
        Format::Png => Some(png::size(picture)),
        Format::Jpeg => jpeg::size(picture),
        Format::Webp => webp::size(picture),
    };
    size.expect("internal error: a picture that was not found")
}

/// Names what is likely to be taken for a picture that can be read, by its first bytes.
fn sniff(head: &[u8]) -> &'static str {
    const KNOWN: [(usize, &[u8], &str); 18] = [
        (0, b"\xff\xd8", "a JPEG picture without its first segment"),
        (0, b"GIF8", "a GIF picture"),
        (0, b"RIFF", "a RIFF file that is no WebP"),
        (0, b"BM", "a BMP picture"),
        (0, b"<!", "an HTML or XML page"),
        (0, b"<?", "an HTML or XML page"),
        (0, b"<h", "an HTML or XML page"),
        (0, b"{\"", "JSON text"),
        (0, b"file:", "a key"),
        (0, b"\x28\xb5\x2f\xfd", "zstd data"),
        (0, b"\x1f\x8b", "gzip data"),
        (0, b"\x89PNG\n", "a PNG whose line ends were converted"),
        (0, b"\x89PNG\r\r\n", "a PNG whose line ends were converted"),
        (0, b"\xff\x0a", "a JPEG XL picture"),
        (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (4, b"ftypavi", "an AVIF picture"),
        (4, b"ftyphei", "a HEIC picture"),
        (4, b"ftyp", "an AVIF, HEIC or MP4 file"),
    ];
    let is_there = |(at, start, _): &&(usize, &[u8], _)| {
        head.get(*at..).is_some_and(|rest| rest.starts_with(start))
    };
    let known = KNOWN.iter().find(is_there);
    known.map_or("bytes that aren't a picture", |(.., name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn small() -> Vec<u8> {
        let mut png = Vec::new();
        let size = Size {
            width: 4,
            height: 4,
        };
        crate::wire::carrier::pixels::render(&[9; 48], size, &mut png);
        png
    }

    fn small_jpeg() -> Vec<u8> {
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
        encoder.set_progressive(true);
        encoder.set_restart_interval(1);
        let noise: Vec<u8> = (0..24 * 24 * 3u32).map(|i| (i * i % 251) as u8).collect();
        encoder
            .encode(&noise, 24, 24, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        jpeg
    }

    fn small_webp() -> Vec<u8> {
        let mut webp = Vec::new();
        let encoder = image_webp::WebPEncoder::new(&mut webp);
        encoder
            .encode(&[9; 48], 4, 4, image_webp::ColorType::Rgb8)
            .unwrap();
        webp
    }

    #[test]
    fn finds_each_in_a_run_of_all_kinds() {
        let files = [small(), small_jpeg(), small_webp(), small_jpeg(), small()];
        let run = files.concat();
        for step in [1, 7, 1 << 20] {
            let mut pictures = Pictures::new(Slow(&run, step), 10_000);
            let mut picture = Vec::new();
            for file in &files {
                assert!(pictures.next(&mut picture).unwrap());
                assert!(&picture == file);
            }
            assert!(!pictures.next(&mut picture).unwrap());
        }
    }

    /// Gives at most so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let count = to.len().min(self.1);
            self.0.read(&mut to[..count])
        }
    }

    #[test]
    fn sizes() {
        let size = |file: &[u8]| size(file).to_string();
        assert_eq!(size(&small()), "4 x 4");
        assert_eq!(size(&small_jpeg()), "24 x 24");
        assert_eq!(size(&small_webp()), "4 x 4");
    }

    #[test]
    fn cut_at_any_byte() {
        for whole in [small(), small_jpeg(), small_webp()] {
            for cut in 1..whole.len() {
                let error = Pictures::new(&whole[..cut], 10_000)
                    .next(&mut Vec::new())
                    .unwrap_err();
                assert_eq!(error.kind(), &Kind::CutShort(cut as u64));
            }
        }
    }

    #[test]
    fn bytes_after_one() {
        for whole in [small(), small_jpeg(), small_webp()] {
            single(&whole[..], 10_000, &mut Vec::new()).unwrap();
            let more = [&whole[..], b"\n"].concat();
            let error = single(&more[..], 10_000, &mut Vec::new()).unwrap_err();
            assert!(matches!(error.kind(), Kind::BadPicture(_)), "{error}");
        }
    }

    #[test]
    fn too_many_pixels() {
        for whole in [small(), small_jpeg(), small_webp()] {
            let error = single(&whole[..], 47, &mut Vec::new()).unwrap_err();
            assert!(matches!(error.kind(), Kind::TooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn a_chunk_that_claims_too_much() {
        let mut png = small();
        png[33..37].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        let error = Pictures::new(&png[..], 1000)
            .next(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.kind(), &Kind::BadPicture("PNG"));
    }

    #[test]
    fn a_webp_that_claims_too_much() {
        let mut webp = small_webp();
        webp[4..8].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff]);
        let error = single(&webp[..], 1000, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), &Kind::BadPicture("WebP"));
    }

    #[test]
    fn a_jpeg_that_never_ends() {
        let start = small_jpeg();
        let start = &start[..start.len() - 2];
        let scan = std::io::repeat(7);
        let error = single(start.chain(scan), 10_000, &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("expected at most so many"),
            "{error}"
        );
        // Scans without data, too.
        let scans = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0".repeat(65);
        let error = single(start.chain(&scans[..]), 10_000, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("over 64 scans"), "{error}");
    }

    #[test]
    fn what_is_none() {
        for (bytes, name) in [
            (&b"R"[..], "no"),
            (
                b"RIFF1234WAVEfmt 1234567890123456",
                "a RIFF file that is no WebP",
            ),
            (b"Rest", "bytes that aren't a picture"),
            (b"\xff\xd8", "no"),
            (b"\0\0\0 ftypavif\0\0", "an AVIF picture"),
        ] {
            let error = single(bytes, 1000, &mut Vec::new()).unwrap_err();
            match error.kind() {
                Kind::NotPicture(found) => assert_eq!(found, &name),
                Kind::CutShort(_) => assert_eq!(name, "no"),
                _ => panic!("{error}"),
            }
        }
    }
}
