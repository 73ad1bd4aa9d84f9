//! Blocks of 8 x 8 pixels to coefficients and back: "The transform" in storagex(5).
//!
//! Writing is exact, so that a picture has the same pixels on every machine: all values are integers
//! of less than 24 bits, and sums and products of these are exact in `f32`, in whatever order. A test
//! compares it with plain integers. Reading need not be exact: its result is rounded to symbols.

use crate::wire::carrier::dct::{self, Factors, GROUP, Lanes, SIDE, forward8};
use std::array;

/// Pixels of a row of a group.
const ROW: usize = GROUP * SIDE;

/// 2048 times half the cosine of m/16 of a half turn, rounded.
const FACTORS: Factors = [1004.0, 946.0, 851.0, 724.0, 569.0, 392.0, 200.0];

/// 1.5 * 2^23: where a float has no fraction, and its low bits are an integer in two's complement.
const WHOLE: f32 = 12_582_912.0;

/// The integer that a float is, if it has at most 22 bits.
#[inline]
#[expect(clippy::cast_possible_wrap)]
fn integer(value: f32) -> i32 {
    (value + WHOLE).to_bits() as i32 - WHOLE.to_bits() as i32
}

/// Twice the coefficients of a group of blocks, at 8 * vertical + horizontal frequency, to rows of
/// pixels: calls `row_to` with each row of the group. Gives the sum of what is cut off from pixels beyond
/// black and white.
#[expect(clippy::cast_precision_loss)]
pub fn write(coefficients: &[Lanes; 64], mut row_to: impl FnMut(usize, &[u8; ROW])) -> f32 {
    let rounded = |value: f32| (integer(value + 256.0) >> 9) as f32;
    let mut pixels = [[0; ROW]; SIDE];
    let mut cut = Lanes::ZERO;
    dct::inverse(coefficients, &FACTORS, rounded, |start, made| {
        for (lanes, row) in made.iter().zip(&mut pixels) {
            let kept = Lanes(lanes.0.map(dct::within));
            cut = cut + Lanes((*lanes - kept).0.map(f32::abs));
            for (&value, pixel) in kept.0.iter().zip(&mut row[start..]) {
                *pixel = dct::to_pixel(value);
            }
        }
    });
    for (y, row) in pixels.iter().enumerate() {
        row_to(y, row);
    }
    cut.0.iter().sum::<f32>() / 16384.0
}

/// The rows of pixels of a group of blocks to sixteen times their coefficients, at 8 * vertical +
/// horizontal frequency.
pub fn read(rows: [&[u8; ROW]; SIDE], coefficients: &mut [Lanes; 64]) {
    const SCALE: f32 = 16.0 / (2048.0 * 2048.0);
    let mut lines = [[0.0; ROW]; SIDE];
    for start in (0..ROW).step_by(GROUP) {
        let column = |y: usize| Lanes(array::from_fn(|at| f32::from(rows[y][start + at])));
        let made = forward8(array::from_fn(column), &FACTORS);
        for (lanes, line) in made.iter().zip(&mut lines) {
            line[start..start + GROUP].copy_from_slice(&lanes.0);
        }
    }
    let (to, _) = coefficients.as_chunks_mut::<8>();
    for (line, to) in lines.iter().zip(to) {
        let column = |x: usize| Lanes(array::from_fn(|block| line[block * SIDE + x]));
        *to = forward8(array::from_fn(column), &FACTORS).map(|lanes| lanes * SCALE);
    }
    // The pixels were not made less by 128, which is in the constant term alone.
    coefficients[0] = coefficients[0] - Lanes([16.0 * 1024.0; GROUP]);
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // of small numbers
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The cosines times 1024, as the page has them.
    fn cosine(u: usize, x: usize) -> i64 {
        let angle = ((2 * x + 1) * u) as f64 * std::f64::consts::PI / 16.0;
        match u {
            0 => 724,
            _ => (1024.0 * angle.cos()).round() as i64,
        }
    }

    /// The pixels of twice these coefficients, by the page: sums in plain integers.
    fn by_the_page(a: &[i64; 64]) -> [u8; 64] {
        let row = |v: usize, x: usize| {
            let sum: i64 = (0..8).map(|u| cosine(u, x) * a[8 * v + u]).sum();
            (sum + 256).div_euclid(512)
        };
        let rows: [i64; 64] = array::from_fn(|at| row(at / 8, at % 8));
        array::from_fn(|at| {
            let (y, x) = (at / 8, at % 8);
            let sum: i64 = (0..8).map(|v| cosine(v, y) * rows[8 * v + x]).sum();
            let pixel = 128 + (sum + 8192).div_euclid(16384);
            pixel.clamp(0, 255).to_le_bytes()[0]
        })
    }

    /// The pixels of each block of a group.
    fn written(blocks: &[[i64; 64]; GROUP]) -> [[u8; 64]; GROUP] {
        let group = array::from_fn(|at| Lanes(array::from_fn(|block| blocks[block][at] as f32)));
        let mut pixels = [[0; 64]; GROUP];
        write(&group, |y, row| {
            for (block, part) in pixels.iter_mut().zip(row.chunks(SIDE)) {
                block[y * SIDE..][..SIDE].copy_from_slice(part);
            }
        });
        pixels
    }

    proptest! {
        /// Of coefficients as large as any level has, and some that are all as large as can be.
        #[test]
        fn pixels_are_those_of_plain_integers(seed in any::<u64>(), most in 1i64..320) {
            let mut numbers = fastrand::Rng::with_seed(seed);
            let blocks: [[i64; 64]; GROUP] = array::from_fn(|block| {
                array::from_fn(|_| match block {
                    0 => most,
                    1 => [most, -most][numbers.usize(0..2)],
                    _ => numbers.i64(-most..=most),
                })
            });
            for (block, pixels) in blocks.iter().zip(written(&blocks)) {
                prop_assert_eq!(pixels, by_the_page(block));
            }
        }

        /// What is read of pixels that weren't cut off is what was written, to within what rounding
        /// pixels does.
        #[test]
        fn what_is_written_is_read(seed in any::<u64>()) {
            let mut numbers = fastrand::Rng::with_seed(seed);
            let blocks: [[i64; 64]; GROUP] =
                array::from_fn(|_| array::from_fn(|_| numbers.i64(-30..=30)));
            let pixels = written(&blocks);
            let rows: [[u8; ROW]; SIDE] =
                array::from_fn(|y| array::from_fn(|x| pixels[x / SIDE][y * SIDE + x % SIDE]));
            let mut back = [Lanes::ZERO; 64];
            read(array::from_fn(|y| &rows[y]), &mut back);
            for (at, lanes) in back.iter().enumerate() {
                for (block, value) in blocks.iter().zip(lanes.0) {
                    // Sixteen times the coefficient, which is half of what was written.
                    let off = (value / 8.0 - block[at] as f32).abs();
                    prop_assert!(off < 8.0, "{at}: {off}");
                }
            }
        }
    }
}
