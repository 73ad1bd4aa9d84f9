//! Coefficients of a JPEG: ITU-T T.81, annexes F and G.

use super::huffman::{self, Bits};
use super::{Component, Header, Table, damaged, read_tables};
use crate::error::Result;
use crate::wire::carrier::container::jpeg::SOS;

/// Markers.
const DHT: u8 = 0xc4;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const EOI: u8 = 0xd9;
/// Progressive, Huffman.
const SOF2: u8 = 0xc2;

/// The coefficients of a component.
pub struct Plane {
    /// Blocks in a row, those included that only fill up the last unit.
    pub across: usize,
    /// Samples of the whole picture for one of this component, across and down.
    pub scale: (usize, usize),
    /// Blocks in a row, and rows of them, that have a part in the picture.
    pub used: (usize, usize),
    /// 64 for each block, in zigzag order, not multiplied by the steps of the table; nothing if it
    /// wasn't asked for.
    pub coefficients: Vec<i16>,
    /// The quantisation table.
    pub table: Table,
    /// Blocks of a unit, across and down.
    pub sampling: (usize, usize),
    /// Of each block of a progressive JPEG the coefficients that aren't zero, but the first: bit n for
    /// the nth. So what refines them goes from one to the next, and finds the nth zero at once.
    pub nonzero: Vec<u64>,
}

/// Reads the coefficients of a whole JPEG: of the first `keep` components.
pub fn read(jpeg: &[u8], header: &Header, keep: usize) -> Result<Vec<Plane>> {
    let mut decoder = Decoder::new(header, keep)?;
    let mut rest = jpeg.get(2..).unwrap_or_default();
    loop {
        while rest.starts_with(&[0xff, 0xff]) {
            rest = &rest[1..];
        }
        let cut = || damaged("it ends before its end");
        let marker = *rest.get(1).ok_or_else(cut)?;
        if marker == EOI {
            return decoder.finish();
        }
        let length = rest.get(2..4).ok_or_else(cut)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let body = rest.get(4..2 + length).ok_or_else(cut)?;
        rest = &rest[2 + length..];
        match marker {
            DQT => read_tables(body, &mut decoder.quantisation)?,
            DHT => decoder.read_codes(body)?,
            DRI => {
                let interval = body.first_chunk().ok_or_else(cut)?;
                decoder.interval = usize::from(u16::from_be_bytes(*interval));
            }
            SOS => rest = decoder.scan(body, rest)?,
            _ => {}
        }
    }
}

struct Decoder<'a> {
    header: &'a Header,
    planes: Vec<Plane>,
    keep: usize,
    units: (usize, usize),
    quantisation: [Option<Table>; 4],
    dc: [Option<huffman::Table>; 4],
    ac: [Option<huffman::Table>; 4],
    /// Units between restarts; 0 for none.
    interval: usize,
}

/// What the head of a scan says.
struct Scan {
    /// Numbers of components, and of their tables.
    parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    band: (usize, usize),
    /// The bit position of this scan.
    low: u8,
    step: Step,
}

/// What a scan has of each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// All coefficients, as in a baseline JPEG.
    All,
    /// The first coefficient.
    First,
    /// A further bit of it.
    RefineFirst,
    /// A band of other coefficients.
    Band,
    /// A further bit of each.
    RefineBand,
}

/// What goes on from one block to the next.
#[derive(Default)]
struct State {
    previous: [i32; 4],
    /// Blocks left that have no more coefficients in this band.
    run: u32,
}

impl<'a> Decoder<'a> {
    fn new(header: &'a Header, keep: usize) -> Result<Self> {
        let sampling = |component: &Component| {
            let (across, down) = component.sampling;
            (usize::from(across), usize::from(down))
        };
        let samplings: Vec<_> = header.components.iter().map(sampling).collect();
        if samplings
            .iter()
            .any(|&(across, down)| !(1..=4).contains(&across) || !(1..=4).contains(&down))
        {
            return Err(damaged("a sampling factor that isn't 1 to 4"));
        }
        let most = |pick: fn(&(usize, usize)) -> usize| samplings.iter().map(pick).max();
        let most = (most(|s| s.0).unwrap_or(1), most(|s| s.1).unwrap_or(1));
        let (width, height) = (header.size.width as usize, header.size.height as usize);
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let plane = |(number, &sampling): (usize, &(usize, usize))| {
            let across = units.0 * sampling.0;
            let blocks = if number < keep {
                across * units.1 * sampling.1
            } else {
                0
            };
            if most.0 % sampling.0 != 0 || most.1 % sampling.1 != 0 {
                return Err(damaged("sampling factors that don't divide one another"));
            }
            Ok(Plane {
                across,
                scale: (most.0 / sampling.0, most.1 / sampling.1),
                used: (
                    (width * sampling.0).div_ceil(8 * most.0),
                    (height * sampling.1).div_ceil(8 * most.1),
                ),
                coefficients: vec![0; blocks * 64],
                table: [1; 64],
                sampling,
                nonzero: match header.process {
                    SOF2 => vec![0; blocks],
                    _ => Vec::new(),
                },
            })
        };
        Ok(Decoder {
            header,
            planes: samplings
                .iter()
                .enumerate()
                .map(plane)
                .collect::<Result<_>>()?,
            keep,
            units,
            quantisation: [None; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            interval: 0,
        })
    }

    fn finish(mut self) -> Result<Vec<Plane>> {
        self.planes.truncate(self.keep);
        for (plane, component) in self.planes.iter_mut().zip(&self.header.components) {
            let table = self.quantisation.get(usize::from(component.table));
            let none = || damaged("a quantisation table is missing");
            plane.table = table.copied().flatten().ok_or_else(none)?;
        }
        Ok(self.planes)
    }

    /// Reads the tables of a DHT segment.
    fn read_codes(&mut self, mut body: &[u8]) -> Result<()> {
        let bad = || damaged("a table of codes that can't be");
        while let Some((&head, rest)) = body.split_first() {
            let counts: &[u8; 16] = rest.first_chunk().ok_or_else(bad)?;
            let count: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = rest.get(16..16 + count).ok_or_else(bad)?;
            let tables = if head >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            let table = tables.get_mut(usize::from(head & 15)).ok_or_else(bad)?;
            *table = Some(huffman::Table::new(counts, symbols).ok_or_else(bad)?);
            body = &rest[16 + count..];
        }
        Ok(())
    }

    fn parse_scan(&self, body: &[u8]) -> Result<Scan> {
        let bad = || damaged("the header of a scan that can't be");
        let (&count, rest) = body.split_first().ok_or_else(bad)?;
        let (parts, end) = rest
            .split_at_checked(2 * usize::from(count))
            .ok_or_else(bad)?;
        let &[first, last, bits] = end.first_chunk().ok_or_else(bad)?;
        let part = |part: &[u8]| {
            let mut components = self.header.components.iter();
            let number = components.position(|component| component.id == part[0]);
            let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            number
                .filter(|_| dc < 4 && ac < 4)
                .map(|number| (number, dc, ac))
        };
        let high = bits >> 4;
        let scan = Scan {
            parts: parts
                .chunks(2)
                .map(part)
                .collect::<Option<_>>()
                .ok_or_else(bad)?,
            band: (usize::from(first), usize::from(last)),
            low: bits & 15,
            step: match (self.header.process == SOF2, first, high) {
                (false, ..) => Step::All,
                (true, 0, 0) => Step::First,
                (true, 0, _) => Step::RefineFirst,
                (true, _, 0) => Step::Band,
                (true, ..) => Step::RefineBand,
            },
        };
        let is_good = match self.header.process == SOF2 {
            true => {
                let (first, last) = scan.band;
                let one_kind = if first == 0 {
                    last == 0
                } else {
                    scan.parts.len() == 1
                };
                one_kind && first <= last && last < 64 && scan.low < 14
            }
            false => scan.band == (0, 63) && high == 0 && scan.low == 0,
        };
        let is_good = is_good && !scan.parts.is_empty() && scan.parts.len() <= 4;
        if is_good { Ok(scan) } else { Err(bad()) }
    }

    /// Reads a scan; gives what follows it.
    fn scan<'d>(&mut self, head: &[u8], data: &'d [u8]) -> Result<&'d [u8]> {
        let scan = self.parse_scan(head)?;
        let wanted = scan.parts.iter().any(|part| part.0 < self.keep);
        if !wanted {
            return Ok(skip(data));
        }
        let Decoder { planes, dc, ac, .. } = self;
        let tables = |&(number, of_dc, of_ac): &(usize, usize, usize)| Part {
            number,
            dc: dc[of_dc].as_ref(),
            ac: ac[of_ac].as_ref(),
        };
        let parts: Vec<Part> = scan.parts.iter().map(tables).collect();
        let (is_single, interval) = (parts.len() == 1, self.interval);
        let (across, down) = match is_single {
            true => planes[parts[0].number].used,
            false => self.units,
        };
        let mut bits = Bits::new(data);
        let mut state = State::default();
        for unit in 0..across * down {
            if interval > 0 && unit > 0 && unit % interval == 0 {
                bits = restart(&bits)?;
                state = State::default();
            }
            let (x, y) = (unit % across, unit / across);
            for part in &parts {
                let plane = &mut planes[part.number];
                let (wide, high) = if is_single { (1, 1) } else { plane.sampling };
                for j in 0..high {
                    for i in 0..wide {
                        let at = (y * high + j) * plane.across + x * wide + i;
                        read_block(&scan, part, plane, at, &mut state, &mut bits)?;
                    }
                }
            }
            if bits.is_over() {
                return Err(damaged("a scan ends early"));
            }
        }
        Ok(skip(bits.rest()))
    }
}

/// A component of a scan, and its tables.
struct Part<'a> {
    number: usize,
    dc: Option<&'a huffman::Table>,
    ac: Option<&'a huffman::Table>,
}

impl<'a> Part<'a> {
    fn dc(&self) -> Result<&'a huffman::Table> {
        self.dc.ok_or_else(no_table)
    }

    fn ac(&self) -> Result<&'a huffman::Table> {
        self.ac.ok_or_else(no_table)
    }
}

#[cold]
fn no_table() -> crate::error::Error {
    damaged("a table of codes is missing")
}

/// Reads the coefficients of block `at` of a plane from a scan. Those of a plane that isn't kept are read
/// and dropped.
#[inline]
fn read_block(
    scan: &Scan,
    part: &Part,
    plane: &mut Plane,
    at: usize,
    state: &mut State,
    bits: &mut Bits,
) -> Result<()> {
    let previous = &mut state.previous[part.number];
    let (blocks, _) = plane.coefficients.as_chunks_mut();
    let block: Option<&mut [i16; 64]> = blocks.get_mut(at);
    let nonzero = plane.nonzero.get_mut(at);
    match (scan.step, block, nonzero) {
        (Step::All, Some(block), _) => sequential(block, part, previous, bits),
        (Step::All, None, _) => sequential(&mut [0; 64], part, previous, bits),
        (Step::First, block, _) => {
            difference(part.dc()?, previous, bits)?;
            if let Some(block) = block {
                block[0] = narrow(*previous << scan.low);
            }
            Ok(())
        }
        (Step::RefineFirst, block, _) => {
            let bit = narrow(i32::from(bits.bits(1) == 1) << scan.low);
            if let Some(block) = block {
                block[0] |= bit;
            }
            Ok(())
        }
        (Step::Band, Some(block), Some(nonzero)) => {
            band(block, nonzero, scan, part.ac()?, &mut state.run, bits)
        }
        (Step::RefineBand, Some(block), Some(nonzero)) => {
            refine(block, nonzero, scan, part.ac()?, &mut state.run, bits)
        }
        // Scans of a band have a single component, and are skipped if it isn't kept.
        (Step::Band | Step::RefineBand, ..) => Ok(()),
    }
}

/// What is damaged may overflow: it becomes another number.
#[expect(clippy::cast_possible_truncation)]
fn narrow(number: i32) -> i16 {
    number as i16
}

/// What follows the data of a scan that has been read: from the next marker on that isn't in data.
fn skip(mut data: &[u8]) -> &[u8] {
    while let Some(at) = data.iter().position(|&byte| byte == 0xff) {
        data = &data[at..];
        match data.get(1) {
            Some(0 | 0xd0..=0xd7) => data = &data[2..],
            _ => break,
        }
    }
    data
}

/// The bits after a restart marker.
fn restart<'a>(bits: &Bits<'a>) -> Result<Bits<'a>> {
    let mut rest = bits.rest();
    while rest.starts_with(&[0xff, 0xff]) {
        rest = &rest[1..];
    }
    match rest {
        [0xff, 0xd0..=0xd7, rest @ ..] => Ok(Bits::new(rest)),
        _ => Err(damaged("a restart marker is missing")),
    }
}

/// Reads what the first coefficient is more than that of the block before.
fn difference(table: &huffman::Table, previous: &mut i32, bits: &mut Bits) -> Result<()> {
    let size = bits.symbol(table)?;
    if size > 15 {
        return Err(damaged("a difference of over 15 bits"));
    }
    *previous = previous.wrapping_add(bits.number(size));
    Ok(())
}

/// All coefficients of a block.
fn sequential(
    block: &mut [i16; 64],
    part: &Part,
    previous: &mut i32,
    bits: &mut Bits,
) -> Result<()> {
    let ac = part.ac()?;
    difference(part.dc()?, previous, bits)?;
    block[0] = narrow(*previous);
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 {
            if zeros < 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += zeros;
        *block.get_mut(at).ok_or_else(too_many)? = narrow(bits.number(size));
        at += 1;
    }
    Ok(())
}

fn too_many() -> crate::error::Error {
    damaged("more coefficients than a block has")
}

/// The first bits of a band of coefficients.
fn band(
    block: &mut [i16; 64],
    nonzero: &mut u64,
    scan: &Scan,
    ac: &huffman::Table,
    run: &mut u32,
    bits: &mut Bits,
) -> Result<()> {
    if *run > 0 {
        *run -= 1;
        return Ok(());
    }
    let (mut at, last) = scan.band;
    while at <= last {
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (symbol >> 4, symbol & 15);
        match (size, zeros) {
            (0, 15) => at += 16,
            (0, _) => {
                *run = end_of_bands(zeros, bits) - 1;
                break;
            }
            _ => {
                at += usize::from(zeros);
                if at > last {
                    return Err(too_many());
                }
                block[at] = narrow(bits.number(size) << scan.low);
                *nonzero |= 1 << at;
                at += 1;
            }
        }
    }
    Ok(())
}

/// How many blocks end here, this one included.
fn end_of_bands(size: u8, bits: &mut Bits) -> u32 {
    (1 << size) + bits.bits(u32::from(size))
}

/// A further bit of a band of coefficients.
#[expect(clippy::cast_possible_wrap)] // of a single bit
fn refine(
    block: &mut [i16; 64],
    nonzero: &mut u64,
    scan: &Scan,
    ac: &huffman::Table,
    run: &mut u32,
    bits: &mut Bits,
) -> Result<()> {
    let (bit, old) = (1i16 << scan.low, *nonzero);
    let (first, last) = scan.band;
    let mut further = Further::default();
    // The coefficients of the band that are still to come.
    let mut left = !0 << first & !0 >> (63 - last);
    while *run == 0 && left != 0 {
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (symbol >> 4, symbol & 15);
        if size > 1 {
            return Err(damaged("a coefficient that begins with more than a bit"));
        }
        if size == 0 && zeros < 15 {
            *run = end_of_bands(zeros, bits);
            break;
        }
        let is_negative = if size == 1 {
            narrow(bits.bits(1) as i32) - 1
        } else {
            0
        };
        let mut free = left & !old;
        for _ in 0..zeros {
            free &= free.wrapping_sub(1);
        }
        // The zero after so many others, and those before it; without one, all.
        let place = free & free.wrapping_neg();
        let before = left & place.wrapping_sub(1);
        further.take(before & old, bits);
        left &= !(before | place);
        if size == 1 {
            if place == 0 {
                return Err(too_many());
            }
            block[place.trailing_zeros() as usize & 63] = (bit ^ is_negative) - is_negative;
            *nonzero |= place;
        }
    }
    if *run > 0 {
        further.take(left & old, bits);
        *run -= 1;
    }
    further.add(block, bit);
    Ok(())
}

/// The further bits of coefficients of a block, which come in their order, but not all at once.
#[derive(Default)]
struct Further {
    coefficients: u64,
    /// The last one lowest.
    bits: u64,
    count: u32,
}

impl Further {
    /// Takes those of these coefficients.
    #[inline]
    fn take(&mut self, these: u64, bits: &mut Bits) {
        self.coefficients |= these;
        let mut count = these.count_ones();
        self.count += count;
        if count > 32 {
            self.bits = self.bits << 32 | u64::from(bits.bits(32));
            count -= 32;
        }
        self.bits = self.bits << count | u64::from(bits.bits(count));
    }

    /// Gives them to the coefficients.
    #[inline]
    fn add(mut self, block: &mut [i16; 64], bit: i16) {
        self.bits = self.bits.rotate_right(self.count);
        while self.coefficients != 0 {
            let coefficient = &mut block[self.coefficients.trailing_zeros() as usize & 63];
            self.coefficients &= self.coefficients - 1;
            self.bits = self.bits.rotate_left(1);
            // All bits or none: whether there is a bit to add, and whether it is negative. Which of these
            // it is can't be foreseen, so there are no branches.
            let is_one = -narrow((self.bits & 1) as i32);
            let is_negative = *coefficient >> 15;
            let more = bit & !*coefficient & is_one;
            *coefficient = coefficient.wrapping_add((more ^ is_negative) - is_negative);
        }
    }
}
