//! The discrete cosine transform of blocks of 8 x 8 pixels.
//!
//! Several blocks that stand side by side are transformed at once: a [`Lanes`] has the same value of
//! each, so that what works on it is compiled to SIMD instructions.

use std::array;
use std::ops::{Add, Mul, Sub};

/// Blocks that are transformed at once.
pub const GROUP: usize = 8;
/// Pixels of a side of a block.
pub const SIDE: usize = 8;
/// Pixels of a row of a group.
const ROW: usize = GROUP * SIDE;

/// Half the cosine of m/16 of a half turn, for m = 1 to 7, or multiples of these; the fourth also serves
/// the constant term.
pub type Factors = [f32; 7];

/// These cosines themselves.
pub const COSINES: Factors = [
    0.490_392_64,
    0.461_939_77,
    0.415_734_8,
    0.353_553_4,
    0.277_785_12,
    0.191_341_72,
    0.097_545_16,
];

/// The same value of each block of a group.
#[derive(Debug, Clone, Copy)]
pub struct Lanes(pub [f32; GROUP]);

impl Lanes {
    /// Zero in each.
    pub const ZERO: Lanes = Lanes([0.0; GROUP]);
}

impl Add for Lanes {
    type Output = Lanes;
    #[inline]
    fn add(self, other: Lanes) -> Lanes {
        Lanes(array::from_fn(|at| self.0[at] + other.0[at]))
    }
}

impl Sub for Lanes {
    type Output = Lanes;
    #[inline]
    fn sub(self, other: Lanes) -> Lanes {
        Lanes(array::from_fn(|at| self.0[at] - other.0[at]))
    }
}

impl Mul<f32> for Lanes {
    type Output = Lanes;
    #[inline]
    fn mul(self, factor: f32) -> Lanes {
        Lanes(self.0.map(|value| value * factor))
    }
}

/// The inverse of an 8-point DCT-II.
#[inline]
fn inverse8(a: [Lanes; 8], k: &Factors) -> [Lanes; 8] {
    let (sum, difference) = ((a[0] + a[4]) * k[3], (a[0] - a[4]) * k[3]);
    let (high, low) = (a[2] * k[1] + a[6] * k[5], a[2] * k[5] - a[6] * k[1]);
    let even = [sum + high, difference + low, difference - low, sum - high];
    let odd = [
        a[1] * k[0] + a[3] * k[2] + a[5] * k[4] + a[7] * k[6],
        a[1] * k[2] - a[3] * k[6] - a[5] * k[0] - a[7] * k[4],
        a[1] * k[4] - a[3] * k[0] + a[5] * k[6] + a[7] * k[2],
        a[1] * k[6] - a[3] * k[4] + a[5] * k[2] - a[7] * k[0],
    ];
    array::from_fn(|at| match at {
        0..4 => even[at] + odd[at],
        _ => even[7 - at] - odd[7 - at],
    })
}

/// An 8-point DCT-II.
#[inline]
pub fn forward8(p: [Lanes; 8], k: &Factors) -> [Lanes; 8] {
    let sum: [Lanes; 4] = array::from_fn(|at| p[at] + p[7 - at]);
    let odd: [Lanes; 4] = array::from_fn(|at| p[at] - p[7 - at]);
    let (outer, inner) = (sum[0] + sum[3], sum[1] + sum[2]);
    let (a, b) = (sum[0] - sum[3], sum[1] - sum[2]);
    [
        (outer + inner) * k[3],
        odd[0] * k[0] + odd[1] * k[2] + odd[2] * k[4] + odd[3] * k[6],
        a * k[1] + b * k[5],
        odd[0] * k[2] - odd[1] * k[6] - odd[2] * k[0] - odd[3] * k[4],
        (outer - inner) * k[3],
        odd[0] * k[4] - odd[1] * k[0] + odd[2] * k[6] + odd[3] * k[2],
        a * k[5] - b * k[1],
        odd[0] * k[6] - odd[1] * k[4] + odd[2] * k[2] - odd[3] * k[0],
    ]
}

/// The inverse of the transform of a group of blocks, whose coefficients stand at 8 * vertical +
/// horizontal frequency. `middle` is applied to what has been transformed once. Calls `each` with the
/// places of 8 pixels in the rows of the group, and their values in each of the 8 rows.
#[inline]
pub fn inverse(
    coefficients: &[Lanes; 64],
    factors: &Factors,
    middle: impl Fn(f32) -> f32,
    mut each: impl FnMut(usize, [Lanes; 8]),
) {
    let mut lines = [[0.0; ROW]; SIDE];
    let (rows, _) = coefficients.as_chunks::<8>();
    for (row, line) in rows.iter().zip(&mut lines) {
        let made = inverse8(*row, factors);
        for (x, lanes) in made.iter().enumerate() {
            for (block, &value) in lanes.0.iter().enumerate() {
                line[block * SIDE + x] = middle(value);
            }
        }
    }
    for start in (0..ROW).step_by(GROUP) {
        let column = |v: usize| Lanes(array::from_fn(|at| lines[v][start + at]));
        each(start, inverse8(array::from_fn(column), factors));
    }
}

/// Parts of a step between two shades of gray in which [`within`] and [`to_pixel`] count: 2^14.
pub const UNIT: f32 = 16_384.0;

/// A pixel's deviation from 128 in parts of 2^14, cut off so that the pixel is in 0 to 255 when it is
/// rounded.
#[inline]
pub fn within(value: f32) -> f32 {
    const LEAST: f32 = -2_105_344.0; // -128.5 * 2^14
    const MOST: f32 = 2_088_959.0; // 127.5 * 2^14 - 1
    let value = if value > LEAST { value } else { LEAST };
    if value < MOST { value } else { MOST }
}

/// 128 and a pixel's deviation from it in parts of 2^14, rounded.
#[inline]
#[expect(clippy::cast_possible_truncation)]
pub fn to_pixel(value: f32) -> u8 {
    // 128.5 * 2^14, and 2^23: the low 23 bits are the value.
    ((value + (2_105_344.0 + 8_388_608.0)).to_bits() >> 14) as u8
}
