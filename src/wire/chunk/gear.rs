//! The rolling hash of `FastCDC`, and where it has zeros: several places of a chunk at a time.
//!
//! The hash is Gear: `hash = (hash << 1) + table[byte]`. Each step needs the result of the one before,
//! so a core that follows one hash mostly waits: the crate `fastcdc` scans 2.2 GB/s of noise where this
//! scans 4.2. What makes it possible is that a byte is shifted out of the hash after [`WINDOW`] steps.
//! So the hash at any place can be had from the [`WINDOW`] bytes up to there, and [`LANES`] runs of
//! [`RUN`] bytes are hashed side by side, of which none waits for another.
//!
//! The tables and the masks are those of the crate, which the tests compare the cuts with.

use std::ops::Range;

/// A byte has no part any more in the hash after so many.
const WINDOW: usize = 64;
/// Runs that are hashed side by side. With 3 or 8 it is a sixth slower: too few to fill the core, or
/// more than it has registers for.
const LANES: usize = 5;
/// The length of a run, even. Each begins with a window that another has hashed, and all end when one
/// of them is where a chunk ends: so neither short nor long.
const RUN: usize = 1024;
const SPAN: usize = LANES * RUN;

/// The table of the hash, and the same shifted left by a bit.
pub struct Gear {
    table: Box<[u64; 256]>,
    shifted: Box<[u64; 256]>,
}

impl Gear {
    pub fn new(table: &[u64]) -> Self {
        let table: Box<[u64; 256]> = Box::new(std::array::from_fn(|byte| table[byte]));
        let shifted = Box::new(table.map(|value| value << 1));
        Gear { table, shifted }
    }

    /// The first place in `range` where the hash of the bytes up to there, and with the one that is
    /// there, has none of the bits of `mask`. The hash begins with `bytes`.
    pub fn find(&self, bytes: &[u8], range: Range<usize>, mask: u64) -> Option<usize> {
        let whole = range.end.min(range.start.max(WINDOW)); // from here on there is a window before
        let first = self.find_one(bytes, range.start..whole, mask);
        if first.is_some() {
            return first;
        }
        let mut at = whole;
        while at + SPAN <= range.end {
            let block = bytes[at - WINDOW..at + SPAN].try_into();
            let block = block.expect("internal error: a block's length");
            if self.has_any(block, mask, mask << 1) {
                break;
            }
            at += SPAN;
        }
        self.find_one(bytes, at..range.end, mask)
    }

    /// As `find`, place by place.
    fn find_one(&self, bytes: &[u8], range: Range<usize>, mask: u64) -> Option<usize> {
        let window = &bytes[range.start.saturating_sub(WINDOW)..range.start];
        let mut hash = 0;
        for &byte in window {
            hash = self.step(hash, byte);
        }
        let found = bytes[range.clone()].iter().position(|&byte| {
            hash = self.step(hash, byte);
            hash & mask == 0
        });
        found.map(|at| range.start + at)
    }

    fn step(&self, hash: u64, byte: u8) -> u64 {
        (hash << 1).wrapping_add(self.table[usize::from(byte)])
    }

    /// Whether there is such a place in a block behind its first window.
    ///
    /// It takes two bytes at a time, as the crate does: after the first of them everything is one bit
    /// further left than it should be, the mask too, which saves a shift. Inlined, the compiler would
    /// compute that mask again and again.
    #[inline(never)]
    fn has_any(&self, block: &[u8; WINDOW + SPAN], mask: u64, mask_shifted: u64) -> bool {
        let (table, shifted) = (&*self.table, &*self.shifted);
        let mut hashes = [0u64; LANES];
        for at in 0..WINDOW {
            for lane in 0..LANES {
                let byte = usize::from(block[lane * RUN + at]);
                hashes[lane] = (hashes[lane] << 1).wrapping_add(table[byte]);
            }
        }
        let mut at = WINDOW;
        while at < WINDOW + RUN {
            for lane in 0..LANES {
                let byte = usize::from(block[lane * RUN + at]);
                hashes[lane] = (hashes[lane] << 2).wrapping_add(shifted[byte]);
                if hashes[lane] & mask_shifted == 0 {
                    return true;
                }
            }
            for lane in 0..LANES {
                let byte = usize::from(block[lane * RUN + at + 1]);
                hashes[lane] = hashes[lane].wrapping_add(table[byte]);
                if hashes[lane] & mask == 0 {
                    return true;
                }
            }
            at += 2;
        }
        false
    }
}
