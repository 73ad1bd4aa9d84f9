//! Bytes to symbols of coefficients, and back: "The symbols" under "STURDY PICTURES" in storagex(5).
//!
//! The bytes go to one coefficient after another, in zigzag order, and for each to all blocks of the
//! picture, row by row. So each code word has the same share of the coefficients that survive well
//! and of those that don't.

use super::Level;
use super::soft::Doubt;
use super::tables::{CARRYING, MOST_BITS, Table, ZIGZAG};
use super::transform;
use crate::wire::carrier::dct::{GROUP, Lanes, SIDE};
use crate::wire::carrier::gray;
use crate::wire::carrier::jpeg::Luma;
use crate::wire::frame::Size;
use std::array;
use std::ops::Range;

/// Blocks of a picture of this size.
#[must_use]
pub fn blocks(size: Size) -> usize {
    (size.width as usize / SIDE).saturating_mul(size.height as usize / SIDE)
}

/// Gray code of a number of at most [`MOST_BITS`] bits.
fn to_gray(x: u8) -> u8 {
    x ^ x >> 1
}

/// Makes the pixels of a picture of what its symbols carry: calls `row_to` with each row in turn. Gives
/// the places of the bytes of `stream` that a reader gets wrong, each at least once: pixels beyond black
/// and white are cut off, and the symbols of their blocks move.
pub fn write(stream: &[u8], size: Size, level: Level, mut row_to: impl FnMut(&[u8])) -> Vec<usize> {
    let values = values(level);
    let bits = Bits::of(level, blocks(size));
    let slicers = Slicer::all(level);
    // A coefficient moves by at most a quarter of what is cut off. Half of a step is what moves it to
    // another symbol; the other half of that is for what is rounded.
    let most_cut = f32::from(
        level
            .table()
            .steps
            .iter()
            .copied()
            .min()
            .unwrap_or_default(),
    );
    let mut wrong = Vec::new();
    let width = size.width as usize;
    let across = width / SIDE;
    let mut strip = vec![0; width * SIDE];
    for down in 0..size.height as usize / SIDE {
        for left in (0..across).step_by(GROUP) {
            let count = GROUP.min(across - left);
            let mut group = [Lanes::ZERO; 64];
            for ((plane, values), &to) in bits.planes().zip(&values).zip(&ZIGZAG) {
                let symbols = plane.symbols(stream, down * across + left);
                let lanes = &mut group[usize::from(to)].0;
                for (lane, symbol) in lanes.iter_mut().zip(symbols).take(count) {
                    *lane = values[symbol];
                }
            }
            let pixels = count * SIDE;
            let cut = transform::write(&group, |y, row| {
                strip[y * width + left * SIDE..][..pixels].copy_from_slice(&row[..pixels]);
            });
            if cut >= most_cut {
                let back = read_group(&strip, width, left * SIDE);
                let first = down * across + left;
                bits.wrong(stream, first..first + count, &slicers, &back, &mut wrong);
            }
        }
        strip.chunks_exact(width).for_each(&mut row_to);
    }
    wrong
}

/// Twice the value of each symbol of each coefficient.
fn values(level: Level) -> Vec<[f32; 1 << MOST_BITS]> {
    let Table { steps, bits, .. } = level.table();
    let of = |(&step, &bits): (&u8, &u8)| {
        let mut values = [0.0; 1 << MOST_BITS];
        let most = (1i16 << bits) - 1;
        for x in 0..=most {
            let symbol = to_gray(x.to_le_bytes()[0]);
            values[usize::from(symbol)] = f32::from((2 * x - most) * i16::from(step));
        }
        values
    };
    steps.iter().zip(*bits).map(of).collect()
}

/// Where the bits of each coefficient stand in the stream.
struct Bits {
    table: &'static Table,
    blocks: usize,
}

/// The bits of one coefficient.
#[derive(Clone, Copy)]
struct Plane {
    /// The first bit.
    start: usize,
    /// Bits of a symbol.
    bits: usize,
}

impl Bits {
    fn of(level: Level, blocks: usize) -> Self {
        Bits {
            table: level.table(),
            blocks,
        }
    }

    /// Adds the places of the bytes that are wrong in a group of blocks, whose coefficients came back as
    /// `back`.
    #[inline(never)] // it is rare, and would slow down what surrounds it
    fn wrong(
        &self,
        stream: &[u8],
        blocks: Range<usize>,
        slicers: &[Slicer],
        back: &[Lanes; 64],
        wrong: &mut Vec<usize>,
    ) {
        for ((plane, slicer), &from) in self.planes().zip(slicers).zip(&ZIGZAG) {
            let sent = plane.symbols(stream, blocks.start);
            let found = back[usize::from(from)].0;
            let found = found.map(|value| usize::from(slicer.symbol(to_i16(value))));
            if sent == found {
                continue;
            }
            let pairs = sent.into_iter().zip(found);
            for (block, (sent, found)) in blocks.clone().zip(pairs) {
                wrong.extend(plane.bytes(block, sent ^ found));
            }
        }
    }

    fn planes(&self) -> impl Iterator<Item = Plane> {
        let blocks = self.blocks;
        self.table.bits.iter().scan(0, move |at, &bits| {
            let bits = usize::from(bits);
            let start = *at;
            *at += bits * blocks;
            Some(Plane { start, bits })
        })
    }
}

impl Plane {
    /// The bytes of the stream that have the bits which are set in `changed`, of the symbol of a block.
    fn bytes(self, block: usize, changed: usize) -> impl Iterator<Item = usize> {
        let first = self.start + block * self.bits;
        let bits = (0..self.bits).filter(move |bit| changed >> (self.bits - 1 - bit) & 1 == 1);
        bits.map(move |bit| (first + bit) / 8)
    }

    /// The symbols of blocks from `block` on; beyond the stream there are zeros.
    #[inline]
    #[expect(clippy::cast_possible_truncation)] // a symbol has MOST_BITS
    fn symbols(self, stream: &[u8], block: usize) -> [usize; GROUP] {
        let bit = self.start + block * self.bits;
        let mut window = [0; 8];
        let rest = stream.get(bit / 8..).unwrap_or_default();
        match rest.first_chunk() {
            Some(whole) => window = *whole,
            None => window[..rest.len()].copy_from_slice(rest),
        }
        let window = u64::from_be_bytes(window) << (bit % 8);
        let shift = 64 - self.bits;
        array::from_fn(|at| (window << (at * self.bits) >> shift) as usize)
    }
}

/// Coefficients of the blocks of a picture.
pub struct Coefficients {
    blocks: usize,
    /// Sixteen times the value of each block for the first coefficient, then for the next.
    values: Vec<i16>,
}

impl Coefficients {
    /// The coefficients of a picture of gray samples.
    #[must_use]
    pub fn of(samples: &[u8], size: Size, range: gray::Range) -> Self {
        let blocks = blocks(size);
        let mut values = vec![0; blocks * CARRYING];
        let width = size.width as usize;
        let across = width / SIDE;
        for (down, strip) in samples.chunks_exact(width * SIDE).enumerate() {
            for left in (0..across).step_by(GROUP) {
                let mut group = read_group(strip, width, left * SIDE);
                if range == gray::Range::Video {
                    stretch(&mut group);
                }
                let count = GROUP.min(across - left);
                let planes = values.chunks_exact_mut(blocks);
                for (plane, &from) in planes.zip(&ZIGZAG) {
                    let to = &mut plane[down * across + left..][..count];
                    for (to, &value) in to.iter_mut().zip(&group[usize::from(from)].0) {
                        *to = to_i16(value);
                    }
                }
            }
        }
        Coefficients { blocks, values }
    }

    /// The coefficients of the luma of a JPEG of this size.
    #[must_use]
    pub fn of_blocks(luma: &Luma, size: Size) -> Self {
        /// Blocks that are taken at once: they stay in the core's cache.
        const AT_ONCE: usize = 64;
        /// What a larger step is multiplied with is beyond what a coefficient can be, or 0.
        const MOST: u16 = 2048;
        let blocks = blocks(size);
        let mut values = vec![0; blocks * CARRYING];
        let across = size.width as usize / SIDE;
        let rows = luma.rows().take(size.height as usize / SIDE);
        for (down, row) in rows.enumerate() {
            for (number, group) in row[..across].chunks(AT_ONCE).enumerate() {
                let start = down * across + number * AT_ONCE;
                let planes = values.chunks_exact_mut(blocks);
                for (at, (plane, &step)) in planes.zip(luma.steps()).enumerate() {
                    let factor = 16 * i32::from(step.min(MOST));
                    for (to, block) in plane[start..].iter_mut().zip(group) {
                        *to = within_i16(factor * i32::from(block[at]));
                    }
                }
            }
        }
        Coefficients { blocks, values }
    }

    /// All bytes that the symbols carry at this level.
    #[expect(clippy::cast_possible_truncation)] // the low bits are meant
    pub fn bytes(&self, level: Level, stream: &mut Vec<u8>) {
        let slicers = Slicer::all(level);
        let bits = level.table().bits;
        stream.clear();
        let (mut left, mut held) = (0u64, 0);
        let planes = self.values.chunks_exact(self.blocks);
        for ((plane, slicer), &bits) in planes.zip(slicers).zip(bits) {
            for four in plane.chunks(4) {
                for &value in four {
                    left = left << bits | u64::from(slicer.symbol(value));
                    held += u32::from(bits);
                }
                while held >= 8 {
                    held -= 8;
                    stream.push((left >> held) as u8);
                }
            }
        }
        if held > 0 {
            stream.push((left << (8 - held)) as u8);
        }
    }

    /// All bytes that the symbols carry at this level, and what is to be doubted in each, read with more
    /// care than by [`bytes`](Self::bytes): an encoder makes coefficients a little smaller, each by its own
    /// factor, which is estimated and undone; how much noise it adds to each is estimated, too.
    #[must_use]
    pub fn doubts(&self, level: Level) -> (Vec<u8>, Vec<Doubt>) {
        let Table {
            steps, block_bits, ..
        } = level.table();
        let length = (self.blocks * block_bits).div_ceil(8);
        let (mut bytes, mut doubts) = (vec![0; length], vec![Doubt::NONE; length]);
        let planes = Bits::of(level, self.blocks);
        let values = self.values.chunks_exact(self.blocks);
        for ((plane, values), &step) in planes.planes().zip(values).zip(*steps) {
            let fit = Fit::of(values, step, plane.bits);
            for (block, &value) in values.iter().enumerate() {
                let (symbol, bit, sure) = fit.doubt(value);
                let first = plane.start + block * plane.bits;
                for number in 0..plane.bits {
                    let (at, mask) = ((first + number) / 8, 0x80 >> ((first + number) % 8));
                    let shift = plane.bits - 1 - number;
                    if symbol >> shift & 1 == 1 {
                        bytes[at] |= mask;
                    }
                    if bit >> shift & 1 == 1 && sure < doubts[at].sure {
                        doubts[at] = Doubt { bit: mask, sure };
                    }
                }
            }
        }
        (bytes, doubts)
    }

    /// How far the coefficients that survive best are from the values that they have at this level: the
    /// mean, in steps. It is 0 in a perfect picture, and 0.25 where values have nothing to do with it.
    #[must_use]
    pub fn misfit(&self, level: Level) -> f64 {
        /// Those that all levels use.
        const FIRST: usize = 21;
        let planes = self.values.chunks_exact(self.blocks);
        let (mut sum, mut count) = (0.0, 0.0);
        for (plane, &step) in planes.zip(level.table().steps).take(FIRST) {
            // The values are the odd multiples of half a step.
            let (step, half) = (16 * i32::from(step), 8 * i32::from(step));
            for &value in plane {
                let off = i32::from(value).rem_euclid(step).abs_diff(half);
                sum += f64::from(off) / f64::from(step);
                count += 1.0;
            }
        }
        sum / count
    }

    /// The byte at this place of what the symbols carry at this level.
    #[must_use]
    pub fn byte_at(&self, level: Level, at: usize) -> u8 {
        let Table { steps, .. } = level.table();
        (at * 8..at * 8 + 8).fold(0, |byte, bit| {
            let planes = Bits::of(level, self.blocks);
            let mut planes = planes.planes().enumerate();
            let found = planes.find(|(_, plane)| bit < plane.start + plane.bits * self.blocks);
            let Some((number, plane)) = found else {
                return byte << 1;
            };
            let (block, in_symbol) = (
                (bit - plane.start) / plane.bits,
                (bit - plane.start) % plane.bits,
            );
            let value = self.values[number * self.blocks + block];
            let slicer = Slicer::of(steps[number], level.table().bits[number]);
            byte << 1 | slicer.symbol(value) >> (plane.bits - 1 - in_symbol) & 1
        })
    }
}

/// What an encoder has done to one coefficient of all blocks.
struct Fit {
    /// Sixteen times the step.
    step: f32,
    /// The largest symbol.
    most: f32,
    /// What undoes the encoder's factor.
    factor: f32,
    /// Two divided by the variance of the noise.
    weight: f32,
}

impl Fit {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // of statistics
    fn of(values: &[i16], step: u8, bits: usize) -> Fit {
        /// No encoder that leaves anything to read changes a coefficient by more.
        const MOST: f64 = 1.25;
        let mut fit = Fit {
            step: 16.0 * f32::from(step),
            most: f32::from((1u8 << bits) - 1),
            factor: 1.0,
            weight: 0.0,
        };
        let (mut came, mut sent, mut off) = (0.0, 0.0, 0.0);
        for &value in values {
            let level = fit.level(fit.number(f32::from(value)));
            came += f64::from(level) * f64::from(value);
            sent += f64::from(level).powi(2);
            off += f64::from(f32::from(value) - level).powi(2);
        }
        let count = values.len().max(1) as f64;
        fit.factor = (sent / came.max(1.0)).clamp(1.0 / MOST, MOST) as f32;
        fit.weight = (2.0 / (off / count).max(1.0)) as f32;
        fit
    }

    /// The number whose value is next.
    fn number(&self, value: f32) -> f32 {
        let number = (value / self.step + f32::midpoint(self.most, 1.0)).floor();
        number.clamp(0.0, self.most)
    }

    fn level(&self, number: f32) -> f32 {
        (number - self.most / 2.0) * self.step
    }

    /// The symbol of a value, the bit in which the next nearest one differs, and how sure that bit is.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 15
    fn doubt(&self, value: i16) -> (u8, u8, f32) {
        let value = f32::from(value) * self.factor;
        let number = self.number(value);
        let off = value - self.level(number);
        let next = number + off.signum();
        let is_number = (0.0..=self.most).contains(&next);
        // Beyond the last value, it is the one before that is next.
        let (next, off) = match is_number {
            true => (next, off.abs()),
            false => (number - off.signum(), -off.abs()),
        };
        let symbol = to_gray(number as u8);
        let sure = (self.step / 2.0 - off) * self.step * self.weight / 2.0;
        (symbol, symbol ^ to_gray(next as u8), sure)
    }
}

/// The coefficients of a group of blocks of a strip of the picture, from this pixel on; beyond its
/// edge there are zeros.
fn read_group(strip: &[u8], width: usize, left: usize) -> [Lanes; 64] {
    const ROW: usize = GROUP * SIDE;
    let mut edge = [[0; ROW]; SIDE];
    let count = ROW.min(width - left);
    let mut group = [Lanes::ZERO; 64];
    let row = |y: usize| &strip[y * width + left..][..count];
    if count < ROW {
        for (y, edge) in edge.iter_mut().enumerate() {
            edge[..count].copy_from_slice(row(y));
        }
        transform::read(array::from_fn(|y| &edge[y]), &mut group);
    } else {
        let whole = |y: usize| row(y).first_chunk().expect("internal error: a whole row");
        transform::read(array::from_fn(whole), &mut group);
    }
    group
}

/// Makes sixteen times the coefficients of samples from 16 to 235 those of samples from 0 to 255.
fn stretch(group: &mut [Lanes; 64]) {
    const FACTOR: f32 = 255.0 / 219.0;
    /// The middle of one range is not that of the other; the constant term is 8 times the mean.
    const MIDDLE: f32 = 16.0 * 8.0 * ((128.0 - 16.0) * FACTOR - 128.0);
    for lanes in group.iter_mut() {
        *lanes = *lanes * FACTOR;
    }
    group[0] = group[0] + Lanes([MIDDLE; GROUP]);
}

/// The nearest number of 16 bits.
#[inline]
#[expect(clippy::cast_possible_truncation)]
fn within_i16(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// A float of at most 16 bits, rounded.
#[inline]
#[expect(clippy::cast_possible_truncation)]
fn to_i16(value: f32) -> i16 {
    /// 1.5 * 2^23: where a float has no fraction, and its low bits are an integer.
    const WHOLE: f32 = 12_582_912.0;
    (value + WHOLE).to_bits() as i16
}

/// Finds the symbol whose value is next.
#[derive(Clone, Copy)]
struct Slicer {
    /// 2^16 over sixteen steps.
    factor: i32,
    /// Symbols below 0, and the largest one.
    below: i32,
    most: i32,
}

impl Slicer {
    /// Those of all coefficients of a level.
    fn all(level: Level) -> Vec<Slicer> {
        let Table { steps, bits, .. } = level.table();
        let pairs = steps.iter().zip(*bits);
        pairs.map(|(&step, &bits)| Slicer::of(step, bits)).collect()
    }

    fn of(step: u8, bits: u8) -> Self {
        let sixteen = 16 * i32::from(step);
        Slicer {
            factor: ((1 << 16) + sixteen / 2) / sixteen,
            below: 1 << bits >> 1,
            most: (1 << bits) - 1,
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn symbol(self, value: i16) -> u8 {
        let x = ((i32::from(value) * self.factor) >> 16) + self.below;
        to_gray(x.clamp(0, self.most) as u8)
    }
}
