//! Parity of a group of frames: "PARITY" in storagex(5).
//!
//! Each frame of a group is a shard: carrier, size and frame bytes, and zeros up to the common
//! length of the group's shards. The recovery shards are linear combinations of these, 16-bit word
//! by 16-bit word, by a Reed-Solomon code over GF(2^16): any `data` of all the shards restore the
//! others.
//!
//! The code works on each word of the shards by itself, so many threads work at once on slices that
//! fit a core's cache: for 20+2 frames of 2.4 MB a core makes recovery shards of 15 GB/s, where one
//! call for the whole shards makes 2.

use super::carrier::Carrier;
use super::frame::{self, Codec, FrameKind, HEADER, Place, Size, TRAILER, Trailer};
use crate::error::{Error, Kind, Result};
use rayon::prelude::*;
use reed_solomon_simd::engine::tables::get_exp_log;
use reed_solomon_simd::engine::utils::xor;
use reed_solomon_simd::engine::{DefaultEngine, Engine, GfElement};
use reed_solomon_simd::rate::{
    DecoderWork, EncoderWork, HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder,
};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The most data frames of a group.
pub const MOST_DATA: usize = 128;
/// The most parity frames of a group.
pub const MOST_PARITY: usize = 64;
/// Size of the head of a shard, before the frame bytes: carrier, width and height, 4 bytes each.
pub const HEAD: usize = 12;
/// Size of the code's tables of products and logarithms, once in a process.
pub const TABLES: usize = 9 << 20;
/// The length of a shard is a multiple of this.
const UNIT: usize = 64;
/// Approximate size of a slice of all shards, for making recovery shards: it fits a core's cache.
const CACHE: usize = 1 << 20;
/// Up to this many missing shards are faster to solve for than to transform.
const FEW: usize = 8;
/// Approximate size of a slice of each shard for transforms: the fixed cost of a slice stays small,
/// and 8 MiB are enough for the largest group. A quarter faster than four times as much.
const SLICE: usize = 1 << 15;

/// `K+M`: M parity frames after every K data frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parity {
    /// Data frames in a group, 1 to [`MOST_DATA`].
    pub data: usize,
    /// Parity frames in a group, 1 to [`MOST_PARITY`].
    pub parity: usize,
}

impl FromStr for Parity {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text.split_once('+').and_then(|(data, parity)| {
            let parity = Parity {
                data: data.parse().ok()?,
                parity: parity.parse().ok()?,
            };
            let fits = (1..=MOST_DATA).contains(&parity.data)
                && (1..=MOST_PARITY).contains(&parity.parity);
            fits.then_some(parity)
        });
        parsed.ok_or_else(|| format!("expected K+M, from 1+1 to {MOST_DATA}+{MOST_PARITY}"))
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

/// A frame in its group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shard {
    /// Width and height of its picture.
    pub size: Option<Size>,
    /// How its frame bytes are laid in it.
    pub carrier: Carrier,
    /// Its frame bytes.
    pub bytes: Vec<u8>,
}

/// The length of the shards of a group whose longest frame has this many frame bytes.
#[must_use]
pub fn shard_length(longest: usize) -> usize {
    (HEAD + longest).next_multiple_of(UNIT)
}

impl Shard {
    fn head(&self) -> [u8; HEAD] {
        let size = self.size.expect("internal error: a shard without a size");
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&self.carrier.number().to_le_bytes());
        head[4..8].copy_from_slice(&size.width.to_le_bytes());
        head[8..].copy_from_slice(&size.height.to_le_bytes());
        head
    }

    /// These bytes of the shard, including its zeros at the end.
    fn slice(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        if range.start >= HEAD && range.end <= HEAD + self.bytes.len() {
            return Cow::Borrowed(&self.bytes[range.start - HEAD..range.end - HEAD]);
        }
        let head = self.head();
        let byte = |at: usize| match at.checked_sub(HEAD) {
            None => head[at],
            Some(at) => self.bytes.get(at).copied().unwrap_or_default(),
        };
        Cow::Owned(range.map(byte).collect())
    }

    /// Reads a rebuilt shard.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] if it isn't that of a frame: then the index describes another group.
    fn parse(mut shard: Vec<u8>) -> Result<Shard> {
        let at = |at: usize| u32::from_le_bytes(shard[at..at + 4].try_into().expect("four bytes"));
        let size = Size {
            width: at(4),
            height: at(8),
        };
        let carrier = Carrier::of(at(0));
        let end = carrier.and_then(|carrier| carrier.frame_bytes(size).checked_add(HEAD));
        let (Some(carrier), Some(end)) = (carrier, end.filter(|&end| end <= shard.len())) else {
            return Err(Kind::Index("parity of other frames".into()).into());
        };
        shard.truncate(end);
        shard.drain(..HEAD);
        Ok(Shard {
            size: Some(size),
            carrier,
            bytes: shard,
        })
    }
}

/// Slices of shards of this length, each about `step` bytes.
fn slices(length: usize, step: usize) -> Vec<Range<usize>> {
    let step = step.next_multiple_of(UNIT).clamp(UNIT, length);
    let starts = (0..length).step_by(step);
    starts
        .map(|start| start..(start + step).min(length))
        .collect()
}

/// Works on slices of about `step` bytes of buffers of equal length, side by side: calls `work` with the
/// place of each slice, and that part of each buffer. Each thread has a `Room` of its own.
fn in_slices<Room: Default>(
    buffers: &mut [Vec<u8>],
    length: usize,
    step: usize,
    work: impl Fn(&mut Room, Range<usize>, Vec<&mut [u8]>) -> Coded<()> + Sync,
) -> Coded<()> {
    let slices = slices(length, step);
    let mut parts: Vec<Vec<&mut [u8]>> = slices.iter().map(|_| Vec::new()).collect();
    for buffer in buffers {
        let mut rest = buffer.as_mut_slice();
        for (range, part) in slices.iter().zip(&mut parts) {
            let (now, later) = rest.split_at_mut(range.len());
            part.push(now);
            rest = later;
        }
    }
    let parts: Vec<_> = slices.into_iter().zip(parts).collect();
    parts
        .into_par_iter()
        .try_for_each_init(Room::default, |room, (range, part)| work(room, range, part))
}

/// What the library gives.
type Coded<T> = std::result::Result<T, reed_solomon_simd::Error>;

fn code(error: reed_solomon_simd::Error) -> Error {
    Error::from(Kind::Index("parity".into())).because(error.to_string())
}

/// Makes the recovery shards of a group, one for each buffer in `recovery`, replacing its contents.
///
/// # Errors
///
/// None that a caller of up to [`MOST_DATA`] and [`MOST_PARITY`] sees.
pub fn encode(data: &[Shard], recovery: &mut [Vec<u8>]) -> Result<()> {
    let longest = data.iter().map(|shard| shard.bytes.len()).max();
    let length = shard_length(longest.unwrap_or_default());
    let parity = recovery.len();
    for shard in &mut *recovery {
        shard.resize(length, 0);
    }
    let step = CACHE / (data.len() + parity);
    let encoded = in_slices(recovery, length, step, |room, range, mut to| {
        let slices = data.iter().map(|shard| shard.slice(range.clone()));
        encode_slice(slices, parity, range.len(), room, |at, made| {
            to[at].copy_from_slice(made);
        })
    });
    encoded.map_err(code)
}

/// Makes the recovery shards of a slice of all data shards; calls `each` with the number and bytes of
/// every one.
fn encode_slice<'a>(
    data: impl ExactSizeIterator<Item = Cow<'a, [u8]>>,
    parity: usize,
    length: usize,
    room: &mut EncoderWork,
    mut each: impl FnMut(usize, &[u8]),
) -> Coded<()> {
    let (engine, kept) = (DefaultEngine::new(), std::mem::take(room));
    let mut encoder = HighRateEncoder::new(data.len(), parity, length, engine, Some(kept))?;
    for shard in data {
        encoder.add_original_shard(shard)?;
    }
    let made = encoder.encode()?;
    made.recovery_iter()
        .enumerate()
        .for_each(|(at, shard)| each(at, shard));
    drop(made);
    *room = encoder.into_parts().1;
    Ok(())
}

/// Rebuilds the missing data frames from the others and from recovery shards: together there must
/// be as many as there are data frames. Returns them with their numbers; `buffer` gives a buffer for
/// each, which may be empty.
///
/// # Errors
///
/// [`Kind::Index`] if the shards aren't of one group of this length.
pub fn rebuild(
    data: &[Option<Shard>],
    recovery: &[Option<&[u8]>],
    length: usize,
    mut buffer: impl FnMut() -> Vec<u8>,
) -> Result<Vec<(usize, Shard)>> {
    let numbers = (0..data.len()).filter(|&at| data[at].is_none());
    let missing: Vec<usize> = numbers.collect();
    let fits = |shard: &Shard| HEAD + shard.bytes.len() <= length;
    let is_good = data.iter().flatten().all(fits)
        && recovery.iter().flatten().all(|shard| shard.len() == length)
        && length.is_multiple_of(UNIT);
    if !is_good {
        return Err(Kind::Index("shards of other lengths than the group's".into()).into());
    }
    let there = recovery.iter().flatten().count();
    let zeros = |_| {
        let mut shard = buffer();
        shard.clear();
        shard.reserve_exact(length);
        shard.resize(length, 0);
        shard
    };
    let mut made: Vec<Vec<u8>> = missing.iter().map(zeros).collect();
    if made.is_empty() {
        return Ok(Vec::new());
    }
    match missing.len() <= FEW.min(there) {
        true => solve(data, recovery, &missing, &mut made),
        false => transform(data, recovery, &missing, &mut made), // an error if too few are there
    }
    .map_err(code)?;
    let shards = made.into_iter().map(Shard::parse);
    missing
        .iter()
        .copied()
        .zip(shards)
        .map(|(at, shard)| Ok((at, shard?)))
        .collect()
}

/// Rebuilds shards, from zeros, as the library does, by Fourier transforms: the time doesn't depend on
/// their number.
fn transform(
    data: &[Option<Shard>],
    recovery: &[Option<&[u8]>],
    missing: &[usize],
    made: &mut [Vec<u8>],
) -> Coded<()> {
    let length = made[0].len();
    in_slices(
        made,
        length,
        SLICE,
        |kept: &mut DecoderWork, range, mut to| {
            let (engine, room) = (DefaultEngine::new(), std::mem::take(kept));
            let (data_count, parity) = (data.len(), recovery.len());
            let mut decoder =
                HighRateDecoder::new(data_count, parity, range.len(), engine, Some(room))?;
            for (at, shard) in data.iter().enumerate() {
                if let Some(shard) = shard {
                    decoder.add_original_shard(at, shard.slice(range.clone()))?;
                }
            }
            for (at, shard) in recovery.iter().enumerate() {
                if let Some(shard) = shard {
                    decoder.add_recovery_shard(at, &shard[range.clone()])?;
                }
            }
            let made = decoder.decode()?;
            for (to, at) in to.iter_mut().zip(missing) {
                let made = made.restored_original(*at);
                to.copy_from_slice(made.expect("internal error: not restored"));
            }
            drop(made);
            *kept = decoder.into_parts().1;
            Ok(())
        },
    )
}

/// Rebuilds a few shards, from zeros: makes the recovery shards anew with zeros for the missing data. The code is
/// linear, so the difference to each true one is a sum of multiples of the missing shards, and these are
/// sums of multiples of as many differences.
fn solve(
    data: &[Option<Shard>],
    recovery: &[Option<&[u8]>],
    missing: &[usize],
    made: &mut [Vec<u8>],
) -> Coded<()> {
    let there = (0..recovery.len()).filter(|&at| recovery[at].is_some());
    let used: Vec<usize> = there.take(missing.len()).collect();
    let factors = factors(data.len(), recovery.len(), missing, &used)?;
    let length = made[0].len();
    let step = CACHE / (data.len() + recovery.len());
    let zeros = vec![0; length.min(step.next_multiple_of(UNIT))];
    in_slices(made, length, step, |room: &mut Room, range, mut to| {
        let slices = data.iter().map(|shard| match shard {
            Some(shard) => shard.slice(range.clone()),
            None => Cow::Borrowed(&zeros[..range.len()]),
        });
        let (encoder, parity) = (&mut room.encoder, recovery.len());
        let differences = &mut room.differences;
        differences.clear();
        encode_slice(slices, parity, range.len(), encoder, |at, made| {
            if let Some(found) = recovery[at].filter(|_| used.contains(&at)) {
                let mut difference = made.to_vec();
                add(&mut difference, &found[range.clone()]);
                differences.push(difference);
            }
        })?;
        for (to, factors) in to.iter_mut().zip(&factors) {
            for (difference, &factor) in differences.iter().zip(factors) {
                add_multiple(to, difference, factor, &mut room.product);
            }
        }
        Ok(())
    })
}

/// What a thread needs to solve a slice.
#[derive(Default)]
struct Room {
    encoder: EncoderWork,
    differences: Vec<Vec<u8>>,
    product: Vec<u8>,
}

/// For each missing shard, the factor of each of the recovery shards `used`, if all other data is zero:
/// what one word of 1 comes to.
fn factors(
    data: usize,
    parity: usize,
    missing: &[usize],
    used: &[usize],
) -> Coded<Vec<Vec<GfElement>>> {
    let (zero, mut one) = ([0; UNIT], [0; UNIT]);
    one[0] = 1;
    let mut factors = vec![Vec::new(); missing.len()];
    for this in used {
        let engine = DefaultEngine::new();
        let mut decoder = HighRateDecoder::new(data, parity, UNIT, engine, None)?;
        for at in (0..data).filter(|at| !missing.contains(at)) {
            decoder.add_original_shard(at, zero)?;
        }
        for at in used {
            decoder.add_recovery_shard(*at, if at == this { one } else { zero })?;
        }
        let made = decoder.decode()?;
        for (factors, &at) in factors.iter_mut().zip(missing) {
            let made = made.restored_original(at);
            let word = made.expect("internal error: not restored");
            factors.push(GfElement::from_le_bytes([word[0], word[UNIT / 2]]));
        }
    }
    Ok(factors)
}

/// Adds, in the field, bytes to others.
fn add(to: &mut [u8], from: &[u8]) {
    let (to, from) = (to.as_chunks_mut::<UNIT>().0, from.as_chunks::<UNIT>().0);
    xor(to, from);
}

/// Adds words, each times a factor, to others; `product` is room for as many.
fn add_multiple(to: &mut [u8], from: &[u8], factor: GfElement, product: &mut Vec<u8>) {
    if factor == 0 {
        return; // has no logarithm
    }
    product.clear();
    product.extend_from_slice(from);
    let logarithm = get_exp_log().log[usize::from(factor)];
    DefaultEngine::new().mul(product.as_chunks_mut::<UNIT>().0, logarithm);
    add(to, product);
}

/// The trailer and size of the parity frame for a recovery shard, with this carrier, if the
/// widest data frame of the group has this width.
#[must_use]
pub fn frame_of(shard: &[u8], carrier: Carrier, width: u32) -> (Trailer, Size) {
    let trailer = Trailer {
        kind: FrameKind::Parity,
        codec: Codec::Stored,
        place: Place::Anywhere,
        raw_length: u32::try_from(shard.len()).expect("internal error: a shard over 4 GiB"),
        sealed: None,
    };
    let bytes = HEADER + shard.len() + TRAILER;
    (trailer, carrier.size_for(bytes, width))
}

/// Width of the widest of these shards, and the carrier that survives most.
#[must_use]
pub fn shape_of(data: &[Shard]) -> (Carrier, u32) {
    let widths = data.iter().filter_map(|shard| shard.size);
    let width = widths.map(|size| size.width).max().unwrap_or_default();
    let carrier = data.iter().map(|shard| shard.carrier).max();
    (carrier.unwrap_or_default(), width)
}

/// The recovery shard in the frame bytes of a parity frame.
#[must_use]
pub fn shard_of(bytes: &[u8]) -> &[u8] {
    frame::payload(bytes)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    /// GF(2^16) as the format page has it: words are sums of the basis, of which the product of two
    /// is taken modulo the polynomial.
    const BASIS: [u32; 16] = [
        0x0001, 0xacca, 0x3c0e, 0x163e, 0xc582, 0xed2e, 0x914c, 0x4012, 0x6c98, 0x10d8, 0x6a72,
        0xb900, 0xfdb8, 0xfb34, 0xff38, 0x991e,
    ];

    struct Field {
        word_of: Vec<u16>,
    }

    impl Field {
        fn new() -> Self {
            let mut word_of = vec![0; 1 << 16];
            for word in 0..=u16::MAX {
                word_of[Field::element(word) as usize] = word;
            }
            Field { word_of }
        }

        fn element(word: u16) -> u32 {
            (0..16)
                .filter(|bit| word >> bit & 1 == 1)
                .fold(0, |sum, bit| sum ^ BASIS[bit])
        }

        fn times(&self, a: u16, b: u16) -> u16 {
            let (mut a, b) = (Field::element(a), Field::element(b));
            let mut product = 0;
            for bit in 0..16 {
                if b >> bit & 1 == 1 {
                    product ^= a;
                }
                a <<= 1;
                if a >> 16 == 1 {
                    a ^= 0x1_002d;
                }
            }
            self.word_of[product as usize]
        }

        fn over(&self, a: u16, b: u16) -> u16 {
            let mut inverse = 1; // b to the power of 2^16 - 2
            let mut square = b;
            for _ in 1..16 {
                square = self.times(square, square);
                inverse = self.times(inverse, square);
            }
            self.times(a, inverse)
        }

        /// The factor of data shard `j` in recovery shard `i`, by the formula of the format page.
        fn factor(&self, i: u16, j: u16, parity: u16) -> u16 {
            let span = parity.next_power_of_two();
            let point = span + j;
            let (mut above, mut below) = (1, i ^ point);
            for root in 0..span {
                above = self.times(above, point ^ root);
                if root > 0 {
                    below = self.times(below, root);
                }
            }
            self.over(above, below)
        }
    }

    fn shards(count: usize, side: u32) -> Vec<Shard> {
        let mut numbers = fastrand::Rng::with_seed(7);
        let mut shard = |at: usize| {
            let size = Size {
                width: side,
                height: if at + 1 == count { side / 2 } else { side },
            };
            Shard {
                carrier: Carrier::Plain,
                size: Some(size),
                bytes: (0..size.pixel_bytes()).map(|_| numbers.u8(..)).collect(),
            }
        };
        (0..count).map(&mut shard).collect()
    }

    fn made(shards: &[Shard], parity: usize) -> Vec<Vec<u8>> {
        let mut recovery = vec![vec![1; 9]; parity];
        encode(shards, &mut recovery).unwrap();
        recovery
    }

    fn words(shard: &[u8]) -> impl Iterator<Item = u16> {
        let blocks = shard.chunks(UNIT);
        blocks.flat_map(|block| (0..32).map(|t| u16::from_le_bytes([block[t], block[32 + t]])))
    }

    #[test]
    fn the_code_is_that_of_the_format_page() {
        let field = Field::new();
        for (data, parity) in [(1, 1), (2, 1), (4, 2), (5, 3), (3, 7), (20, 2), (9, 64)] {
            let shards = shards(data, 6);
            let recovery = made(&shards, parity);
            let length = recovery[0].len();
            for (i, made) in recovery.iter().enumerate() {
                let mut expected = vec![0; length / 2];
                for (j, shard) in shards.iter().enumerate() {
                    let factor = field.factor(i as u16, j as u16, parity as u16);
                    for (sum, word) in expected.iter_mut().zip(words(&shard.slice(0..length))) {
                        *sum ^= field.times(factor, word);
                    }
                }
                assert_eq!(
                    words(made).collect::<Vec<_>>(),
                    expected,
                    "{data}+{parity}: {i}"
                );
            }
        }
    }

    #[test]
    fn any_data_of_all_bring_back_the_others() {
        for (data, parity) in [(1, 1), (4, 2), (3, 5), (20, 2), (128, 64)] {
            let shards = shards(data, 20);
            let recovery = made(&shards, parity);
            let mut numbers = fastrand::Rng::with_seed(5);
            for _ in 0..20 {
                let mut all: Vec<usize> = (0..data + parity).collect();
                numbers.shuffle(&mut all);
                let there = |at: &usize| all[..data].contains(at);
                let some: Vec<_> = (0..data)
                    .map(|at| there(&at).then(|| shards[at].clone()))
                    .collect();
                let more: Vec<_> = (0..parity)
                    .map(|at| there(&(data + at)).then_some(recovery[at].as_slice()))
                    .collect();
                for (at, shard) in rebuild(&some, &more, recovery[0].len(), Vec::new).unwrap() {
                    assert_eq!(shard, shards[at]);
                }
            }
        }
    }

    /// Around the number from which on another way is taken, and with the shards that are lost at any
    /// place.
    #[test]
    fn few_and_many_missing() {
        for (data, parity) in [(20, 12), (9, 9), (128, 12)] {
            let shards = shards(data, 40);
            let recovery = made(&shards, parity);
            let mut numbers = fastrand::Rng::with_seed(6);
            for lost in [1, 2, FEW - 1, FEW, FEW + 1] {
                let mut order: Vec<usize> = (0..data).collect();
                numbers.shuffle(&mut order);
                let gone = &order[..lost];
                let some: Vec<_> = (0..data)
                    .map(|at| (!gone.contains(&at)).then(|| shards[at].clone()))
                    .collect();
                let spare = parity - lost;
                let more: Vec<_> = (0..parity)
                    .map(|at| (at >= spare / 2).then_some(recovery[at].as_slice()))
                    .collect();
                let made = rebuild(&some, &more, recovery[0].len(), Vec::new).unwrap();
                assert_eq!(made.len(), lost);
                for (at, shard) in made {
                    assert_eq!(shard, shards[at], "{data}+{parity}, {lost} lost: {at}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_shard_of_the_group() {
        let shards = shards(3, 8);
        let recovery = made(&shards, 1);
        let some = [Some(shards[0].clone()), None, Some(shards[2].clone())];
        let other = vec![0xaa; recovery[0].len()];
        assert!(rebuild(&some, &[Some(&other)], other.len(), Vec::new).is_err());
        assert!(rebuild(&some, &[Some(&other[..64])], other.len(), Vec::new).is_err());
        assert!(rebuild(&some, &[None], other.len(), Vec::new).is_err());
        assert!(rebuild(&some, &[Some(&recovery[0][..64])], 64, Vec::new).is_err());
    }

    #[test]
    fn a_parity_frame_holds_its_shard() {
        for (longest, width) in [(768, 16), (1024 * 768 * 3, 1024), (48, 16), (111, 37)] {
            let shard = vec![0; shard_length(longest)];
            let (_, size) = frame_of(&shard, Carrier::Plain, width);
            assert!(size.capacity() >= shard.len(), "{size}");
        }
    }

    #[test]
    fn k_and_m() {
        for good in ["1+1", "20+2", "128+64"] {
            assert_eq!(good.parse::<Parity>().unwrap().to_string(), good);
        }
        for bad in [
            "", "20", "20+", "0+1", "1+0", "129+1", "1+65", "-1+2", "1+1+1",
        ] {
            assert!(bad.parse::<Parity>().is_err(), "{bad}");
        }
    }
}
