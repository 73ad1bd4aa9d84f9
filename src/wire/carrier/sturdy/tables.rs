//! The tables of the four levels: "The tables" under "STURDY PICTURES" in storagex(5) prints them.
//!
//! The steps are 1.3 times those of libjpeg's luminance table at quality 85, 75 and 50, plus 3; at
//! level 4 they are all 44. The bits come from greedy water-filling: a bit goes to the coefficient
//! where it costs the least power, until the picture's standard deviation would exceed 36.

use super::Level;

/// Coefficients that carry anything, at most: those behind them are zeroed by the trellis
/// quantisation of mozjpeg.
pub const CARRYING: usize = 43;

/// What a level does with the coefficients, in zigzag order.
pub struct Table {
    /// The distance between the values of a coefficient.
    pub steps: &'static [u8],
    /// The bits that it carries, at most [`MOST_BITS`].
    pub bits: &'static [u8],
    /// The sum of the bits.
    pub block_bits: usize,
}

/// Bits that one coefficient carries at most.
pub const MOST_BITS: usize = 4;

/// Where the coefficients stand in a block: 8 * vertical frequency + horizontal frequency.
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

impl Level {
    /// The table of this level.
    #[must_use]
    pub fn table(self) -> &'static Table {
        &TABLES[self as usize]
    }
}

static TABLES: [Table; 4] = [
    Table {
        steps: &[
            10, 7, 8, 8, 8, 7, 10, 8, 8, 8, 10, 10, 10, 11, 12, 19, 13, 12, 12, 12, 12, 22, 17, 17,
            15, 19, 25, 22, 26, 26, 25, 22, 25, 25, 28, 32, 39, 33, 28, 29, 37, 30, 25,
        ],
        bits: &[
            4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 2,
            2, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2,
        ],
        block_bits: 137,
    },
    Table {
        steps: &[
            13, 11, 11, 12, 11, 10, 13, 12, 12, 12, 15, 15, 13, 16, 19, 29, 20, 19, 17, 17, 19, 36,
            26, 28, 22, 29, 41, 37, 43, 42, 41, 37, 39, 39, 45, 50, 63, 54, 45, 47, 60, 48, 39,
        ],
        bits: &[
            3, 4, 4, 4, 4, 4, 3, 4, 4, 4, 3, 3, 3, 3, 3, 2, 3, 3, 3, 3, 3, 2, 2, 2, 3, 2, 2, 2, 2,
            2, 2, 2, 2, 2, 2, 2, 1, 1, 2, 2, 1, 2, 2,
        ],
        block_bits: 112,
    },
    Table {
        steps: &[
            24, 17, 19, 21, 19, 16, 24, 21, 20, 21, 26, 25, 24, 28, 34, 55, 37, 34, 32, 32, 34, 67,
            48, 51, 41, 55, 78, 69, 82, 81, 77, 69, 76, 74, 86, 97,
        ],
        bits: &[
            3, 3, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1,
        ],
        block_bits: 76,
    },
    Table {
        steps: &[
            44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44, 44,
        ],
        bits: &[
            3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
        ],
        block_bits: 46,
    },
];
