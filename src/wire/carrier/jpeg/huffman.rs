//! Huffman codes, and the bits of a scan: ITU-T T.81, annexes C and F.2.2.

use crate::error::Result;

/// Bits that are looked up at once; longer codes are rare.
const FAST: u32 = 10;

/// A table of Huffman codes.
pub struct Table {
    /// For each value of the next [`FAST`] bits the length of the code, and what it stands for; length
    /// 0 for longer codes.
    fast: [(u8, u8); 1 << FAST],
    /// For each length the first code that is longer, in 16 bits.
    ends: [u32; 17],
    /// For each length what to subtract from a code to have its number.
    starts: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// The table of a DHT segment with so many codes of each length; none where codes don't fit.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Table> {
        let mut table = Table {
            fast: [(0, 0); 1 << FAST],
            ends: [0; 17],
            starts: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut number) = (0u32, 0usize);
        for length in 1..=16u8 {
            let bits = u32::from(length);
            let count = usize::from(counts[usize::from(length) - 1]);
            table.starts[usize::from(length)] =
                i32::try_from(code).ok()? - i32::try_from(number).ok()?;
            for _ in 0..count {
                let symbol = *symbols.get(number)?;
                if code >> bits != 0 {
                    return None;
                }
                if bits <= FAST {
                    let first = (code << (FAST - bits)) as usize;
                    table.fast[first..first + (1 << (FAST - bits))].fill((length, symbol));
                }
                code += 1;
                number += 1;
            }
            table.ends[usize::from(length)] = code << (16 - bits);
            code <<= 1;
        }
        (number == symbols.len()).then_some(table)
    }
}

/// The bits of a scan. Behind its end there are zeros; that they were read is seen afterwards.
pub struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits are the highest of these.
    window: u64,
    count: u32,
    /// How many of them aren't there.
    missing: u32,
}

impl<'a> Bits<'a> {
    /// The bits of what begins here, up to a marker.
    pub fn new(data: &'a [u8]) -> Self {
        Bits {
            data,
            at: 0,
            window: 0,
            count: 0,
            missing: 0,
        }
    }

    /// Whether more bits have been read than there are.
    pub fn is_over(&self) -> bool {
        self.count < self.missing
    }

    /// The bytes from the marker on that ends what has been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.data[self.at..]
    }

    /// Has at least 48 bits in the window.
    #[inline]
    fn fill(&mut self) {
        if self.count >= 48 {
            return;
        }
        if let Some(next) = self.data.get(self.at..self.at + 8) {
            let next = u64::from_be_bytes(next.try_into().expect("internal error: eight bytes"));
            let zeros = !next; // where there is 0xff
            let is_plain = zeros.wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080;
            if is_plain == 0 {
                let bytes = (64 - self.count) / 8;
                self.window |= next >> self.count;
                self.count += bytes * 8;
                self.at += bytes as usize;
                // Bits below `count` may be set by what was not taken: they come again.
                if self.count < 64 {
                    self.window &= !0 << (64 - self.count);
                }
                return;
            }
        }
        self.fill_slowly();
    }

    fn fill_slowly(&mut self) {
        while self.count <= 56 {
            let byte = match self.data.get(self.at) {
                Some(0xff) if self.data.get(self.at + 1) == Some(&0) => {
                    self.at += 2;
                    0xff
                }
                Some(&byte) if byte != 0xff => {
                    self.at += 1;
                    byte
                }
                _ => {
                    self.missing += 8;
                    0
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Takes `count` bits, at most 32, of those that [`fill`](Self::fill) has seen to.
    #[inline]
    fn take(&mut self, count: u32) -> u32 {
        debug_assert!(count <= 32);
        let bits = (self.window >> 32 >> (32 - count)) as u32;
        self.window <<= count;
        self.count -= count;
        bits
    }

    /// The next `count` bits, at most 32.
    #[inline]
    pub fn bits(&mut self, count: u32) -> u32 {
        self.fill();
        self.take(count)
    }

    /// The next symbol of a table.
    #[inline]
    pub fn symbol(&mut self, table: &Table) -> Result<u8> {
        self.fill();
        let (length, symbol) = table.fast[(self.window >> (64 - FAST)) as usize];
        if length > 0 {
            self.take(u32::from(length));
            return Ok(symbol);
        }
        self.long_symbol(table)
    }

    #[cold]
    fn long_symbol(&mut self, table: &Table) -> Result<u8> {
        let next = u32::try_from(self.window >> 48).unwrap_or_default();
        let none = || super::damaged("a code that stands for nothing");
        let length = (FAST + 1..=16).find(|&length| next < table.ends[length as usize]);
        let length = length.ok_or_else(none)?;
        let code = i32::try_from(next >> (16 - length)).unwrap_or_default();
        let number = usize::try_from(code - table.starts[length as usize]).ok();
        let symbol = number.and_then(|number| table.symbols.get(number));
        self.take(length);
        symbol.copied().ok_or_else(none)
    }

    /// A number of `size` bits, at most 15, as differences and coefficients are coded: right after the
    /// [`symbol`](Self::symbol) that has told the size, so that the bits are there.
    #[inline]
    #[expect(clippy::cast_possible_wrap)] // at most 15 bits
    pub fn number(&mut self, size: u8) -> i32 {
        let size = u32::from(size);
        let is_negative = -i32::from(self.window >> 63 == 0); // all bits, or none
        self.take(size) as i32 + ((1 - (1 << size)) & is_negative)
    }
}
