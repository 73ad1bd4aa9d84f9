//! Frame bytes in gray pictures that survive JPEG and lossy WebP: "STURDY PICTURES" in storagex(5).
//!
//! ```text
//! write   frame bytes -> code words, interleaved, masked -> symbols -> coefficients -> pixels
//! read    pixels -> coefficients -> symbols -> unmasked, code words, corrected -> frame bytes
//! ```
//!
//! Both are pure functions. [`write()`] makes a PNG; [`read()`] takes the gray samples of whatever a host
//! has made of it, as a decoder of PNG, JPEG or WebP gives them.

mod code;
pub mod damage;
mod reed_solomon;
mod soft;
mod symbols;
mod tables;
#[cfg(test)]
mod tests;
mod transform;

use super::gray::Range;
use super::jpeg::Luma;
use super::plain::{self, Color};
use crate::error::{Kind, Result};
use crate::wire::frame::{self, HEADER, Size, TRAILER};
use code::Layout;
use soft::Doubt;
use std::fmt;
use std::str::FromStr;
use symbols::Coefficients;

/// Widths and heights are multiples of this: then JPEG's blocks are whole, with colours at half
/// resolution, too.
pub const UNIT: u32 = 16;

/// How much a picture survives, and how few bytes it carries for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The most bytes: JPEG 85.
    One,
    /// JPEG 75.
    Two,
    /// JPEG 50.
    Three,
    /// The fewest bytes: survives nearly everything.
    Four,
}

impl Level {
    /// All of them, from the one with the most bytes.
    pub const ALL: [Level; 4] = [Level::One, Level::Two, Level::Three, Level::Four];

    /// Its number, 1 to 4.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// The level of this number.
    #[must_use]
    pub fn of(number: u32) -> Option<Level> {
        let at = number.checked_sub(1)?;
        Level::ALL.get(at as usize).copied()
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let level = text.parse().ok().and_then(Level::of);
        level.ok_or("expected a level from 1 to 4")
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// What had to be corrected in a picture, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Corrections {
    /// Code words.
    pub words: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes that were wrong.
    pub wrong: u64,
    /// Bytes that were wrong in the worst word; [`Corrections::MOST`] can always be corrected.
    pub worst: u32,
}

impl Corrections {
    /// Bytes of a word that can be wrong and are always corrected; more are only sometimes.
    pub const MOST: u32 = 16;

    /// The share of bytes that were wrong, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss)]
    pub fn mean(&self) -> f64 {
        self.wrong as f64 / self.bytes.max(1) as f64
    }

    /// Adds those of another picture.
    pub fn join(&mut self, other: &Corrections) {
        self.words += other.words;
        self.bytes += other.bytes;
        self.wrong += other.wrong;
        self.worst = self.worst.max(other.worst);
    }

    /// Adds a word of this length.
    #[expect(clippy::cast_possible_truncation)] // at most 255
    fn add(&mut self, length: usize, wrong: usize) {
        self.words += 1;
        self.bytes += length as u64;
        self.wrong += wrong as u64;
        self.worst = self.worst.max(wrong as u32);
    }
}

/// The frame bytes that a picture of this size carries; none where its sides aren't multiples of
/// [`UNIT`].
#[must_use]
pub fn frame_bytes(size: Size, level: Level) -> usize {
    let whole = |side: u32| side.is_multiple_of(UNIT);
    match whole(size.width) && whole(size.height) {
        true => Layout::of(size, level).frame_bytes(),
        false => 0,
    }
}

/// See [`Carrier::checked`](super::Carrier::checked).
pub(super) fn checked(size: Size, level: Level, limit: usize) -> Result<Size> {
    let size_error = |expected: String| {
        let what = format!("{size} pixels for a sturdy picture, expected {expected}");
        Err(Kind::Size(what).into())
    };
    if !size.width.is_multiple_of(UNIT) || !size.height.is_multiple_of(UNIT) {
        return size_error(format!("multiples of {UNIT}"));
    }
    if frame_bytes(size, level) <= HEADER + TRAILER {
        let needed = units(HEADER + TRAILER + 1, level) * (UNIT * UNIT) as usize;
        return size_error(format!("at least {needed} at level {level}"));
    }
    size.checked(limit)
}

/// See [`Carrier::fit`](super::Carrier::fit).
pub(super) fn fit(full: Size, level: Level, length: usize) -> Size {
    let room = frame_bytes(full, level).saturating_sub(HEADER + TRAILER);
    debug_assert!(length <= room);
    if length == room {
        return full;
    }
    let units = units(length + HEADER + TRAILER, level);
    let (most_wide, most_high) = (full.width / UNIT, full.height / UNIT);
    let side = units.isqrt();
    let side = side + usize::from(side * side < units);
    let mut width = side.min(most_wide as usize);
    let height = units.div_ceil(width).min(most_high as usize);
    if width * height < units {
        width = units.div_ceil(height);
    }
    #[expect(clippy::cast_possible_truncation)] // at most those of `full`, which are u32
    Size {
        width: width as u32 * UNIT,
        height: height as u32 * UNIT,
    }
}

/// See [`Carrier::size_for`](super::Carrier::size_for).
pub(super) fn size_for(frame_bytes: usize, level: Level, width: u32) -> Size {
    let across = width.div_ceil(UNIT).max(1);
    let down = units(frame_bytes, level).div_ceil(across as usize);
    let down = u32::try_from(down).expect("internal error: frame bytes over 4 GiB");
    Size {
        width: across * UNIT,
        height: down * UNIT,
    }
}

/// Squares of [`UNIT`] pixels a side that it takes to carry so many frame bytes.
fn units(frame_bytes: usize, level: Level) -> usize {
    let stream = Layout::stream_for(frame_bytes);
    (2 * stream).div_ceil(level.table().block_bits) // four blocks each
}

/// Wrong bytes in a word of a picture that nobody has changed, at most, if a variant of the mask allows
/// it: a quarter of those that can be corrected.
const GOOD: usize = reed_solomon::MOST / 4;

/// Lays frame bytes, as many as [`frame_bytes`] says, into a gray PNG, in place of what `png` holds.
pub fn write(frame_bytes: &[u8], size: Size, level: Level, png: &mut Vec<u8>) {
    let layout = Layout::of(size, level);
    debug_assert_eq!(frame_bytes.len(), layout.frame_bytes());
    let words = layout.encode(frame_bytes);
    let mut make = |variant| {
        let mut sequence = words.clone();
        code::mask(&mut sequence, variant);
        let mut picture = plain::Writer::of(Color::Gray, size, png);
        let wrong = symbols::write(&sequence, size, level, |row| picture.append(row));
        picture.finish();
        layout.worst(wrong)
    };
    let mut best = (usize::MAX, 0);
    for variant in 0..code::VARIANTS {
        let worst = make(variant);
        if worst <= GOOD {
            return;
        }
        best = best.min((worst, variant));
    }
    make(best.1);
}

/// Takes the frame bytes out of the gray samples of a picture, row by row, into `frame_bytes`, in
/// place of what that holds. Gives the level, and what was corrected; none where it is no sturdy
/// picture: where at no level, with no variant of the mask, the last code word has the trailer's magic.
///
/// # Errors
///
/// [`Kind::Uncorrectable`], where it is one and too much of it is wrong.
pub fn read(
    samples: &[u8],
    size: Size,
    range: Range,
    frame_bytes: &mut Vec<u8>,
) -> Result<Option<(Level, Corrections)>> {
    let levels = levels_of(size);
    if levels.is_empty() || samples.len() != size.pixel_bytes() / 3 {
        return Ok(None);
    }
    let coefficients = Coefficients::of(samples, size, range);
    read_coefficients(&coefficients, size, &levels, frame_bytes)
}

/// As [`read`], of the coefficients of a JPEG, which has the same transform.
///
/// # Errors
///
/// As [`read`].
pub(super) fn read_blocks(
    luma: &Luma,
    size: Size,
    frame_bytes: &mut Vec<u8>,
) -> Result<Option<(Level, Corrections)>> {
    let levels = levels_of(size);
    if levels.is_empty() {
        return Ok(None);
    }
    let coefficients = Coefficients::of_blocks(luma, size);
    read_coefficients(&coefficients, size, &levels, frame_bytes)
}

fn read_coefficients(
    coefficients: &Coefficients,
    size: Size,
    levels: &[Level],
    frame_bytes: &mut Vec<u8>,
) -> Result<Option<(Level, Corrections)>> {
    let found = find(coefficients, size, levels);
    let found = found.or_else(|| find_softly(coefficients, size, levels));
    let Some((level, variant)) = found else {
        return Ok(None);
    };
    let mut sequence = Vec::new();
    coefficients.bytes(level, &mut sequence);
    code::mask(&mut sequence, variant);
    let again = || {
        let (mut sequence, doubts) = coefficients.doubts(level);
        code::mask(&mut sequence, variant);
        (sequence, doubts)
    };
    let corrections = Layout::of(size, level).decode(&sequence, again, frame_bytes)?;
    Ok(Some((level, corrections)))
}

/// The levels that a picture of this size can have.
fn levels_of(size: Size) -> Vec<Level> {
    let can_be = |level: &Level| frame_bytes(size, *level) >= HEADER + TRAILER;
    Level::ALL.into_iter().filter(can_be).collect()
}

/// The level of a picture and the variant of its mask, by its last code word.
fn find(coefficients: &Coefficients, size: Size, levels: &[Level]) -> Option<(Level, u8)> {
    let last_word = |&level: &Level| {
        let places = Layout::of(size, level).last_word();
        let bytes = places.map(|at| coefficients.byte_at(level, at));
        (level, bytes.collect())
    };
    let words: Vec<(Level, Vec<u8>)> = levels.iter().map(last_word).collect();
    let is_it = |level: Level, word: &[u8], variant: u8| {
        let layout = Layout::of(size, level);
        let mask = code::mask_at(layout.last_word(), variant);
        let word = word.iter().zip(mask).map(|(byte, mask)| byte ^ mask);
        let data = layout.data_of(word.collect());
        data.is_some_and(|data| frame::has_magic(&data))
    };
    (0..code::VARIANTS).find_map(|variant| {
        let mut words = words.iter();
        let found = words.find(|(level, word)| is_it(*level, word, variant));
        found.map(|(level, _)| (*level, variant))
    })
}

/// As [`find`], where the last code word has more wrong bytes than the code alone corrects: only at
/// levels to whose values most coefficients are near, as it takes long.
fn find_softly(coefficients: &Coefficients, size: Size, levels: &[Level]) -> Option<(Level, u8)> {
    /// A mean distance from the values of symbols, in steps, of what may be corrected; without any
    /// relation it is 0.25.
    const NEAR: f64 = 0.22;
    let mut levels = levels.iter().copied();
    let level = levels.find(|&level| coefficients.misfit(level) < NEAR)?;
    let layout = Layout::of(size, level);
    let (bytes, doubts) = coefficients.doubts(level);
    let doubts: Vec<Doubt> = layout.last_word().map(|at| doubts[at]).collect();
    let is_it = |variant: &u8| {
        let mask = code::mask_at(layout.last_word(), *variant);
        let places = layout.last_word().zip(mask);
        let mut word: Vec<u8> = places.map(|(at, mask)| bytes[at] ^ mask).collect();
        // The first one serves nearly every picture.
        let changed = if *variant == 0 { 12 } else { 8 };
        let mut tries = soft::tries(changed);
        soft::correct(&mut word, &doubts, changed, 0, &mut tries)
            && frame::has_magic(&word[..word.len() - reed_solomon::CHECK])
    };
    let found = (0..code::VARIANTS).find(is_it)?;
    Some((level, found))
}
