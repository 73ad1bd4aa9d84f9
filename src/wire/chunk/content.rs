//! Chunks that end where the content says so: "Size of a frame" in storagex(5) leaves it to the writer.
//!
//! `FastCDC` rolls a hash over the bytes and cuts where some of its bits are zero. So a chunk ends
//! at the same bytes wherever these stand in the stream, and an insertion changes the chunks around it
//! and none of those behind.

use super::Span;
use super::gear::Gear;
use crate::error::{Error, Kind, Result};
use fastcdc::v2020::{self, Normalization};
use std::io::{ErrorKind, Read};

/// The average where the user names none: 256 KiB.
pub const DEFAULT_AVERAGE: usize = 256 << 10;
/// The smallest average: 16 KiB.
pub const MIN_AVERAGE: usize = 16 << 10;
/// The largest average, whatever the frames hold: 4 MiB, which is what `FastCDC` has masks for.
pub const MAX_AVERAGE: usize = 4 << 20;

/// Where to cut.
pub struct Cutter {
    average: usize,
    max: usize,
    /// The masks that the hash is tested with, below and above the average.
    masks: (u64, u64),
    gear: Gear,
}

impl Cutter {
    /// Chunks of about `average` bytes, a quarter of it at least and `max` at most. Where they end
    /// depends on `seed`; 0 is the one that everybody has.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`] for an average that is too small, or more than half of `max`.
    pub fn new(average: usize, max: usize, seed: u64) -> Result<Cutter> {
        let most = (max / 2).min(MAX_AVERAGE);
        if !(MIN_AVERAGE..=most).contains(&average) {
            let what = match most < MIN_AVERAGE {
                true => format!(
                    "frames of {max} bytes, expected at least {}",
                    2 * MIN_AVERAGE
                ),
                false => format!("average {average}, expected {MIN_AVERAGE} to {most}"),
            };
            return Err(Kind::Size(format!("content-defined chunks: {what}")).into());
        }
        Ok(Cutter {
            average: average & !7, // FastCDC tests pairs of bytes; so does a quarter of this
            max: max & !1,
            masks: v2020::select_masks(average, Normalization::Level2),
            gear: Gear::new(&v2020::get_gear_with_seed(seed).0),
        })
    }

    /// The length of the chunk that `bytes` begins with; all of them where it goes on, as far as they
    /// tell. It is known not to end within the first `clear` bytes.
    fn cut(&self, bytes: &[u8], clear: usize) -> usize {
        let length = bytes.len().min(self.max);
        let min = self.average / 4;
        if length <= min {
            return length;
        }
        let hashed = &bytes[min..length];
        let end = hashed.len() & !1; // of pairs
        let start = clear.saturating_sub(min).min(end);
        let center = (self.average - min).clamp(start, end);
        let (below, above) = self.masks;
        let found = self.gear.find(hashed, start..center, below);
        let found = found.or_else(|| self.gear.find(hashed, center..end, above));
        found.map_or(length, |at| min + at)
    }
}

/// What is read and cut at once, unless a chunk is longer: it is still in the core's cache when its
/// frames are made.
const PORTION: usize = 1 << 20;

/// Cuts what `input` gives.
pub struct Chunks<R> {
    input: R,
    cutter: Cutter,
    offset: u64,
    /// What has been read and belongs to later chunks.
    carry: Vec<u8>,
    /// The number of bytes in it that no chunk ends in.
    clear: usize,
    /// Whether the input has come to its end.
    ended: bool,
    done: bool,
}

impl<R: Read> Chunks<R> {
    /// Chunks that `cutter` cuts.
    pub fn new(input: R, cutter: Cutter) -> Self {
        Chunks {
            input,
            cutter,
            offset: 0,
            carry: Vec::new(),
            clear: 0,
            ended: false,
            done: false,
        }
    }

    /// Fills `buffer`, which has room for the longest chunk, with the next chunks, one after another,
    /// at least one; `spans` tells their lengths. False after the last one. An empty stream is one empty
    /// chunk.
    ///
    /// # Errors
    ///
    /// That of the input. An input that fails at its end has no last chunk.
    pub fn next(&mut self, buffer: &mut [u8], spans: &mut Vec<Span>) -> Result<bool> {
        spans.clear();
        if self.done {
            return Ok(false);
        }
        let (mut filled, mut room) = (0, PORTION.min(buffer.len()));
        while spans.is_empty() {
            filled = self.fill(buffer, filled, room)?;
            self.cut(&buffer[..filled], spans);
            room = (2 * room).min(buffer.len());
        }
        let whole: usize = spans.iter().map(|span| span.length).sum();
        let ahead = self.carry.pop();
        self.carry.extend_from_slice(&buffer[whole..filled]);
        self.carry.extend(ahead);
        Ok(true)
    }

    /// Appends to `spans` the chunks that end in these bytes, which the first one begins with.
    fn cut(&mut self, bytes: &[u8], spans: &mut Vec<Span>) {
        let mut rest = bytes;
        while !rest.is_empty() || (spans.is_empty() && self.ended) {
            let length = self.cutter.cut(rest, self.clear);
            if length == rest.len() && length < self.cutter.max && !self.ended {
                self.clear = length & !1;
                return; // it may go on
            }
            rest = &rest[length..];
            self.clear = 0;
            self.done = self.ended && rest.is_empty();
            spans.push(Span {
                offset: self.offset,
                length,
                last: self.done,
            });
            self.offset += length as u64;
        }
    }

    /// Fills the buffer up to `room` with what was carried over and with more of the input, and reads
    /// one byte ahead, which tells whether there is more. Gives the number of bytes in the buffer.
    fn fill(&mut self, buffer: &mut [u8], mut filled: usize, room: usize) -> Result<usize> {
        let carried = self.carry.len();
        buffer[filled..filled + carried].copy_from_slice(&self.carry);
        filled += carried;
        self.carry.clear();
        while filled < room && !self.ended {
            filled += self.read(&mut buffer[filled..room])?;
        }
        let mut ahead = [0];
        if !self.ended && self.read(&mut ahead)? == 1 {
            self.carry.push(ahead[0]);
        }
        Ok(filled)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::input(e)),
                Ok(count) => {
                    self.ended = count == 0;
                    return Ok(count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVERAGE: usize = MIN_AVERAGE;
    const MAX: usize = 10 * MIN_AVERAGE;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    fn lengths(bytes: &[u8], seed: u64) -> Vec<usize> {
        let mut chunks = Chunks::new(bytes, Cutter::new(AVERAGE, MAX, seed).unwrap());
        let (mut buffer, mut spans, mut all) = (vec![0; MAX], Vec::new(), Vec::new());
        let mut back = Vec::new();
        while chunks.next(&mut buffer, &mut spans).unwrap() {
            let length: usize = spans.iter().map(|span| span.length).sum();
            assert!(!spans.is_empty() && length <= MAX);
            back.extend_from_slice(&buffer[..length]);
            all.extend_from_slice(&spans);
        }
        assert_eq!(back, bytes);
        let mut offset = 0;
        for (n, span) in all.iter().enumerate() {
            assert_eq!((span.offset, span.last), (offset, n + 1 == all.len()));
            offset += span.length as u64;
        }
        all.iter().map(|span| span.length).collect()
    }

    #[test]
    fn as_if_the_stream_were_one_buffer() {
        for bytes in [noise(40 * AVERAGE), vec![0; 25 * AVERAGE]] {
            let cutter = Cutter::new(AVERAGE, MAX, 7).unwrap();
            let (mut whole, mut rest) = (Vec::new(), &bytes[..]);
            while !rest.is_empty() {
                let length = cutter.cut(rest, 0);
                whole.push(length);
                rest = &rest[length..];
            }
            assert_eq!(lengths(&bytes, 7), whole);
            let but_last = &whole[..whole.len() - 1];
            assert!(but_last.iter().all(|l| (AVERAGE / 4..=MAX).contains(l)));
        }
    }

    /// Chunks that go on where a portion ends, and through several.
    #[test]
    fn longer_than_what_is_read_at_once() {
        let max = 4 * PORTION + 12_345;
        let cutter = || Cutter::new(PORTION, max, 5).unwrap();
        let mut bytes = noise(7 * PORTION);
        bytes[3 * PORTION..5 * PORTION].fill(0);
        bytes.extend(vec![7; 9 * PORTION + 1]);
        bytes.extend(noise(2 * PORTION));
        let (mut whole, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let length = library(&cutter(), rest, 5);
            whole.push(length);
            rest = &rest[length..];
        }
        assert!(whole.contains(&(max & !1)), "{whole:?}");
        let mut chunks = Chunks::new(&bytes[..], cutter());
        let (mut buffer, mut spans, mut lengths) = (vec![0; max], Vec::new(), Vec::new());
        let mut at = 0;
        while chunks.next(&mut buffer, &mut spans).unwrap() {
            let length: usize = spans.iter().map(|span| span.length).sum();
            assert!(buffer[..length] == bytes[at..at + length]);
            at += length;
            lengths.extend(spans.iter().map(|span| span.length));
        }
        assert_eq!(lengths, whole);
    }

    /// The cut of the crate.
    fn library(cutter: &Cutter, bytes: &[u8], seed: u64) -> usize {
        let (small, large) = cutter.masks;
        let (gear, shifted) = v2020::get_gear_with_seed(seed);
        let (min, max) = (cutter.average / 4, cutter.max);
        v2020::cut_gear(
            bytes,
            min,
            cutter.average,
            max,
            small,
            large,
            small << 1,
            large << 1,
            &gear,
            &shifted,
        )
        .1
    }

    /// Noise, text of few letters, and runs with noise between; at every length where something may be
    /// off by one, and down a stream.
    #[test]
    fn cuts_as_the_library_does() {
        let noise = noise(60 * AVERAGE);
        let letters: Vec<u8> = noise.iter().map(|byte| b'a' + byte % 3).collect();
        let runs: Vec<u8> = noise
            .iter()
            .zip(0u32..)
            .map(|(&byte, at)| if at >> 13 & 1 == 0 { byte } else { 7 })
            .collect();
        let mut inner = 0;
        for (average, seed) in [(AVERAGE, 0), (AVERAGE, 7), (3 * AVERAGE, u64::MAX)] {
            let cutter = Cutter::new(average, MAX, seed).unwrap();
            for bytes in [&noise, &letters, &runs] {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let length = library(&cutter, rest, seed);
                    assert_eq!(cutter.cut(rest, 0), length);
                    inner += usize::from(length < MAX);
                    for cut in [length - 1, length, length + 1, length + 2] {
                        let part = &rest[..cut.min(rest.len())];
                        assert_eq!(cutter.cut(part, 0), library(&cutter, part, seed));
                    }
                    rest = &rest[length..];
                }
                for length in [average / 4, average, MAX] {
                    for length in length.saturating_sub(70)..length + 70 {
                        let part = &bytes[..length];
                        assert_eq!(
                            cutter.cut(part, 0),
                            library(&cutter, part, seed),
                            "{length}"
                        );
                    }
                }
            }
        }
        assert!(inner > 200, "{inner} cuts in all");
    }

    #[test]
    fn the_edges() {
        let zeros = vec![0; 2 * MAX + 1]; // which are never cut before the most
        assert_eq!(lengths(&zeros[..0], 0), [0]);
        assert_eq!(lengths(&zeros[..1], 0), [1]);
        assert_eq!(lengths(&zeros[..MAX], 0), [MAX]);
        assert_eq!(lengths(&zeros[..=MAX], 0), [MAX, 1]);
        assert_eq!(lengths(&zeros[..2 * MAX], 0), [MAX, MAX]);
        assert_eq!(lengths(&zeros, 0), [MAX, MAX, 1]);
        let cut = lengths(&noise(20 * AVERAGE), 0);
        let two: usize = cut[..2].iter().sum();
        assert_eq!(lengths(&noise(two), 0), cut[..2]); // ends where a chunk does
    }

    #[test]
    fn about_the_average() {
        let cut = lengths(&noise(400 * AVERAGE), 0);
        assert!((300..500).contains(&cut.len()), "{} of 400", cut.len());
    }

    #[test]
    fn another_seed_cuts_elsewhere() {
        let ends = |seed| {
            let mut at = 0;
            let lengths = lengths(&noise(100 * AVERAGE), seed);
            let ends = lengths.into_iter().map(|length| (at += length, at).1);
            ends.collect::<std::collections::BTreeSet<_>>()
        };
        let both = ends(1).intersection(&ends(2)).count();
        assert!(both < 5, "{both} in common, the end among them");
    }

    #[test]
    fn odd_lengths() {
        for (average, max) in [(MIN_AVERAGE + 1, MAX + 1), (MIN_AVERAGE + 7, MAX - 1)] {
            let cutter = Cutter::new(average, max, 3).unwrap();
            assert_eq!(cutter.cut(&vec![0; 2 * MAX], 0), max & !1);
            assert!(cutter.cut(&noise(MAX), 0) < MAX);
        }
    }

    #[test]
    fn averages_that_can_not_be() {
        for (average, max) in [
            (MIN_AVERAGE - 1, MAX),
            (MAX, MAX),
            (MIN_AVERAGE, MIN_AVERAGE),
        ] {
            assert!(Cutter::new(average, max, 0).is_err());
        }
        assert!(Cutter::new(MAX_AVERAGE + 1, 1 << 30, 0).is_err());
    }
}
