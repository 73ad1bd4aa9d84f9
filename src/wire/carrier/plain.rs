//! Writes and reads plain PNGs: "The PNG that a writer makes" in storagex(5).
//!
//! One IDAT chunk holds a zlib stream (RFC 1950) of stored deflate blocks (RFC 1951, 3.2.4) of
//! 65535 bytes, the last one shorter, with the rows after their filter bytes 0. Both directions go
//! block by block, so that the copied bytes are still in the core's cache when their checksums are
//! computed: encoding takes half the user time of a version with a buffer of pixels, and decoding
//! two thirds of that of the `png` crate.

use super::container::SIGNATURE;
use crate::wire::frame::Size;
use crc32fast::Hasher;
use simd_adler32::Adler32;
use std::io::IoSliceMut;
use std::ops::Range;

/// The most that a stored deflate block holds.
const BLOCK: usize = 65535;
/// Size of the head, before the data of IDAT: signature, IHDR, and the length and name of IDAT.
const START: usize = 8 + 25 + 8;
/// Size of the tail, after the zlib stream: the CRC of IDAT, and IEND.
const END: usize = 4 + 12;
/// The header of the zlib stream.
const ZLIB: [u8; 2] = [0x78, 0x01];
/// IEND as a whole.
const IEND: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// What a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// One sample of 8 bits.
    Gray,
    /// Three.
    Rgb,
}

impl Color {
    /// Bytes of a pixel.
    fn bytes(self) -> usize {
        match self {
            Color::Gray => 1,
            Color::Rgb => 3,
        }
    }

    /// The colour type in IHDR.
    fn number(self) -> u8 {
        match self {
            Color::Gray => 0,
            Color::Rgb => 2,
        }
    }
}

/// Writes a PNG of pixel bytes that arrive piece by piece.
pub struct Writer<'a> {
    png: &'a mut Vec<u8>,
    /// Bytes in a row, and the number that the open row still takes.
    row: usize,
    row_left: usize,
    /// Bytes that no block has room for yet, and the room in the open block.
    left: usize,
    room: usize,
    /// Where the open block's data starts.
    block: usize,
    /// The CRC of IDAT so far, and how far into `png` it goes.
    crc: Hasher,
    summed: usize,
    adler: Adler32,
}

impl<'a> Writer<'a> {
    /// Begins an RGB PNG of this size in `png`, replacing its contents.
    pub fn new(size: Size, png: &'a mut Vec<u8>) -> Self {
        Writer::of(Color::Rgb, size, png)
    }

    /// Begins a PNG of this size in `png`, replacing its contents.
    pub fn of(color: Color, size: Size, png: &'a mut Vec<u8>) -> Self {
        let Lengths { row, rows, zlib } = Lengths::of(color, size);
        png.clear();
        png.reserve_exact(START + zlib + END);
        png.extend_from_slice(&start(color, size, zlib));
        png.extend_from_slice(&ZLIB);
        Writer {
            png,
            row,
            row_left: 0,
            left: rows,
            room: 0,
            block: 0,
            crc: Hasher::new(),
            summed: START - 4,
            adler: Adler32::new(),
        }
    }

    /// Appends pixel bytes; in total there must be as many as the size requires.
    pub fn append(&mut self, mut pixels: &[u8]) {
        while !pixels.is_empty() {
            if self.row_left == 0 {
                self.row_left = self.row;
                self.store(&[0]);
            }
            let (now, later) = pixels.split_at(pixels.len().min(self.row_left));
            self.store(now);
            self.row_left -= now.len();
            pixels = later;
        }
    }

    /// Ends the PNG.
    pub fn finish(mut self) {
        debug_assert_eq!((self.left, self.room), (0, 0), "pixels are missing");
        self.png
            .extend_from_slice(&self.adler.finish().to_be_bytes());
        self.crc.update(&self.png[self.summed..]);
        self.png
            .extend_from_slice(&self.crc.finalize().to_be_bytes());
        self.png.extend_from_slice(&IEND);
    }

    /// Appends bytes of rows to stored blocks.
    fn store(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.room == 0 {
                self.open();
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room));
            self.png.extend_from_slice(now);
            self.room -= now.len();
            if self.room == 0 {
                self.sum();
            }
            bytes = later;
        }
    }

    fn open(&mut self) {
        self.room = self.left.min(BLOCK);
        self.left -= self.room;
        let header = block_header(self.room, self.left == 0);
        self.png.extend_from_slice(&header);
        self.block = self.png.len();
    }

    /// Updates the checksums with a full block.
    fn sum(&mut self) {
        self.adler.write(&self.png[self.block..]);
        self.crc.update(&self.png[self.summed..]);
        self.summed = self.png.len();
    }
}

/// A PNG of this size with zeros for pixels and checksums, for [`Pixels`].
#[must_use]
pub fn blank(size: Size) -> Vec<u8> {
    let Lengths { rows, zlib, .. } = Lengths::of(Color::Rgb, size);
    let mut png = vec![0; START + zlib + END]; // no more of it is touched than has to be
    png[..START].copy_from_slice(&start(Color::Rgb, size, zlib));
    png[START..START + ZLIB.len()].copy_from_slice(&ZLIB);
    let (mut at, mut left) = (START + ZLIB.len(), rows);
    while left > 0 {
        let length = left.min(BLOCK);
        left -= length;
        png[at..at + 5].copy_from_slice(&block_header(length, left == 0));
        at += 5 + length;
    }
    let end = png.len() - IEND.len();
    png[end..].copy_from_slice(&IEND);
    png
}

/// The pixel bytes of a PNG, to be written in place.
///
/// Each step goes to the end of a row or of a block.
pub struct Pixels<'a> {
    /// The PNG: one that was [`blank`].
    pub png: &'a mut [u8],
    /// Its size.
    pub size: Size,
}

impl Pixels<'_> {
    /// The position of pixel bytes `range`.
    fn runs(&self, mut range: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let row = self.size.width as usize * 3;
        std::iter::from_fn(move || {
            let in_row = range.start % row;
            let at = range.start / row * (row + 1) + 1 + in_row; // in the rows with filter bytes
            let length = (row - in_row).min(BLOCK - at % BLOCK).min(range.len());
            let start = START + ZLIB.len() + (at / BLOCK + 1) * 5 + at;
            range.start += length;
            (length > 0).then_some(start..start + length)
        })
    }

    /// Writes pixel bytes, from number `at` on.
    pub fn write(&mut self, at: usize, mut bytes: &[u8]) {
        for run in self.runs(at..at + bytes.len()) {
            let (now, later) = bytes.split_at(run.len());
            self.png[run].copy_from_slice(now);
            bytes = later;
        }
    }

    /// Passes pixel bytes to `sink`, piece by piece.
    pub fn read(&self, range: Range<usize>, mut sink: impl FnMut(&[u8])) {
        self.runs(range).for_each(|run| sink(&self.png[run]));
    }

    /// Places of pixel bytes, for a vectored read: at most `MOST` of them.
    pub fn places(&mut self, range: Range<usize>) -> Vec<IoSliceMut<'_>> {
        /// With one more for the byte ahead: the limit of one system call.
        const MOST: usize = 1023;
        let mut places = Vec::with_capacity(MOST + 1);
        let runs = self.runs(range);
        let (mut rest, mut at) = (&mut *self.png, 0);
        for run in runs.take(MOST) {
            let (_, from) = rest.split_at_mut(run.start - at);
            let (place, later) = from.split_at_mut(run.len());
            places.push(IoSliceMut::new(place));
            (rest, at) = (later, run.end);
        }
        places
    }

    /// Computes the checksums anew.
    pub fn seal(&mut self) {
        let Lengths { zlib, .. } = Lengths::of(Color::Rgb, self.size);
        let (stream, end) = self.png[START - 4..].split_at_mut(4 + zlib);
        let (blocks, adler_bytes) = stream.split_at_mut(zlib);
        let mut adler = Adler32::new();
        let mut crc = Hasher::new();
        crc.update(&blocks[..4 + ZLIB.len()]);
        for block in blocks[4 + ZLIB.len()..].chunks(5 + BLOCK) {
            adler.write(&block[5..]);
            crc.update(block);
        }
        adler_bytes.copy_from_slice(&adler.finish().to_be_bytes());
        crc.update(adler_bytes);
        end[..4].copy_from_slice(&crc.finalize().to_be_bytes());
    }
}

/// Lengths of the zlib stream of a PNG.
struct Lengths {
    /// Of a row.
    row: usize,
    /// Of the rows with their filter bytes.
    rows: usize,
    /// Of the whole stream.
    zlib: usize,
}

impl Lengths {
    fn of(color: Color, size: Size) -> Self {
        let row = size.width as usize * color.bytes();
        let rows = (row + 1) * size.height as usize;
        let zlib = ZLIB.len() + rows.div_ceil(BLOCK) * 5 + rows + 4;
        Lengths { row, rows, zlib }
    }
}

/// Everything before the data of IDAT.
fn start(color: Color, size: Size, zlib: usize) -> [u8; START] {
    let mut start = [0; START];
    start[..8].copy_from_slice(SIGNATURE);
    start[8..16].copy_from_slice(b"\0\0\0\x0dIHDR");
    start[16..20].copy_from_slice(&size.width.to_be_bytes());
    start[20..24].copy_from_slice(&size.height.to_be_bytes());
    start[24..29].copy_from_slice(&[8, color.number(), 0, 0, 0]);
    let crc = crc32fast::hash(&start[12..29]);
    start[29..33].copy_from_slice(&crc.to_be_bytes());
    let length = u32::try_from(zlib).expect("internal error: a chunk over 4 GiB");
    start[33..37].copy_from_slice(&length.to_be_bytes());
    start[37..].copy_from_slice(b"IDAT");
    start
}

#[expect(clippy::cast_possible_truncation)] // at most BLOCK
fn block_header(length: usize, last: bool) -> [u8; 5] {
    let [low, high] = (length as u16).to_le_bytes();
    [u8::from(last), low, high, !low, !high]
}

/// Reads the pixel bytes of a PNG of this size into `pixels`, replacing its contents, if the PNG is
/// exactly what a [`Writer`] makes, except for the Adler-32, which the CRC covers.
///
/// If it isn't, for whatever reason, the contents of `pixels` must not be used.
pub fn parse(png: &[u8], color: Color, size: Size, pixels: &mut Vec<u8>) -> bool {
    read(png, color, size, pixels).is_some()
}

fn read(png: &[u8], color: Color, size: Size, pixels: &mut Vec<u8>) -> Option<()> {
    let length = size.pixel_bytes() / 3 * color.bytes();
    if size.width == 0 || size.height == 0 || length > png.len() {
        return None;
    }
    let Lengths { row, rows, zlib } = Lengths::of(color, size);
    if png.len() != START + zlib + END || !png.ends_with(&IEND) {
        return None;
    }
    let mut rest = png
        .strip_prefix(&start(color, size, zlib))?
        .strip_prefix(&ZLIB)?;
    pixels.resize(length, 0);
    let mut crc = Hasher::new();
    crc.update(b"IDAT");
    crc.update(&ZLIB);
    let mut reader = Rows {
        row,
        row_left: 0,
        room: pixels,
    };
    let mut left = rows;
    while left > 0 {
        let length = left.min(BLOCK);
        left -= length;
        let (block, later) = rest.split_at(5 + length);
        crc.update(block);
        reader.append(block.strip_prefix(&block_header(length, left == 0))?)?;
        rest = later;
    }
    let (adler, rest) = rest.split_at(4);
    crc.update(adler);
    rest.starts_with(&crc.finalize().to_be_bytes())
        .then_some(())
}

/// Takes rows out of their blocks.
struct Rows<'a> {
    row: usize,
    row_left: usize,
    /// Where the next pixel bytes go.
    room: &'a mut [u8],
}

impl Rows<'_> {
    /// Takes the data of a block; none if a filter byte isn't 0.
    fn append(&mut self, mut block: &[u8]) -> Option<()> {
        while !block.is_empty() {
            if self.row_left == 0 {
                self.row_left = self.row;
                block = block.strip_prefix(&[0])?;
            }
            let (now, later) = block.split_at(block.len().min(self.row_left));
            let room = std::mem::take(&mut self.room);
            let (to, room) = room.split_at_mut(now.len());
            to.copy_from_slice(now);
            self.room = room;
            self.row_left -= now.len();
            block = later;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::carrier::pixels;
    use proptest::prelude::*;
    use std::io::Read;

    fn noise(size: Size) -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(5);
        (0..size.pixel_bytes()).map(|_| numbers.u8(..)).collect()
    }

    fn written(pixels: &[u8], size: Size, piece: usize) -> Vec<u8> {
        let mut png = Vec::new();
        let mut writer = Writer::new(size, &mut png);
        pixels.chunks(piece).for_each(|piece| writer.append(piece));
        writer.finish();
        png
    }

    /// What the `png` crate makes of it.
    fn decoded(png: &[u8]) -> Option<Vec<u8>> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .ok()?;
        let mut pixels = vec![0; reader.output_buffer_size()?];
        reader.next_frame(&mut pixels).ok()?;
        reader.finish().ok()?;
        Some(pixels)
    }

    #[test]
    fn comes_back_at_the_edges_of_blocks() {
        // rows * (3 * width + 1) near a multiple of 65535: at 21845 pixels, 3 * 21845 = 65535
        for width in [1, 21843, 21844, 21845, 21846] {
            for height in [1, 2, 3] {
                let size = Size { width, height };
                let pixels = noise(size);
                let png = written(&pixels, size, 1000);
                let mut back = vec![9; 7];
                assert!(parse(&png, Color::Rgb, size, &mut back), "{size}");
                assert!(back == pixels, "{size}");
                assert!(decoded(&png).unwrap() == pixels, "{size}");
            }
        }
    }

    /// Every bit, of a PNG of two blocks where blocks and rows don't end together.
    #[test]
    fn any_change_is_seen() {
        let size = Size {
            width: 100,
            height: 219,
        };
        let pixels = noise(size);
        let mut png = written(&pixels, size, 65536);
        let mut back = Vec::new();
        for at in (0..400)
            .chain(65530..65700)
            .chain(png.len() - 400..png.len())
        {
            for bit in 0..8 {
                png[at] ^= 1 << bit;
                assert!(!parse(&png, Color::Rgb, size, &mut back), "{at}: {bit}");
                png[at] ^= 1 << bit;
            }
        }
        assert!(parse(&png, Color::Rgb, size, &mut back) && back == pixels);
    }

    #[test]
    fn written_in_place_it_is_the_same() {
        for (width, height) in [(1, 9), (100, 219), (700, 40), (21845, 3), (30000, 3)] {
            let size = Size { width, height };
            let bytes = noise(size);
            let whole = written(&bytes, size, 777);
            let mut png = blank(size);
            let mut pixels = Pixels {
                png: &mut png,
                size,
            };
            let (first, second) = bytes.split_at(bytes.len() / 3);
            pixels.write(0, first);
            let mut left = second;
            while !left.is_empty() {
                let at = bytes.len() - left.len();
                let places = &mut pixels.places(at..bytes.len());
                assert!(left.read_vectored(places).unwrap() > 0);
            }
            pixels.seal();
            let mut back = Vec::new();
            pixels.read(0..bytes.len(), |piece| back.extend_from_slice(piece));
            assert!(back == bytes && png == whole, "{size}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Whatever is read is what the `png` crate reads.
        #[test]
        fn reads_what_the_png_crate_reads(
            width in 1u32..60, height in 1u32..60, piece in 1usize..500,
            at in any::<prop::sample::Index>(), to in any::<u8>(), fix in any::<bool>(),
        ) {
            let size = Size { width, height };
            let pixels = noise(size);
            let mut png = written(&pixels, size, piece);
            prop_assert!(decoded(&png).as_ref() == Some(&pixels));
            png[at.index(pixels.len())] = to;
            if fix {
                let end = png.len() - 16;
                let crc = crc32fast::hash(&png[37..end]).to_be_bytes();
                png[end..end + 4].copy_from_slice(&crc);
            }
            let mut back = Vec::new();
            if parse(&png, Color::Rgb, size, &mut back) {
                prop_assert!(decoded(&png).is_none_or(|pixels| pixels == back));
                let mut slowly = Vec::new();
                prop_assert!(pixels::parse(&png, &mut slowly).is_ok());
            }
        }
    }
}
