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
    /// Bit position before (0 in a first scan), and of this one.
    high: u8,
    low: u8,
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
        let scan = Scan {
            parts: parts
                .chunks(2)
                .map(part)
                .collect::<Option<_>>()
                .ok_or_else(bad)?,
            band: (usize::from(first), usize::from(last)),
            high: bits >> 4,
            low: bits & 15,
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
            false => scan.band == (0, 63) && scan.high == 0 && scan.low == 0,
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
        let mut bits = Bits::new(data);
        let mut state = State::default();
        let single = <[_; 1]>::try_from(&scan.parts[..]).ok();
        let (across, down) = match single {
            Some([(number, ..)]) => self.planes[number].used,
            None => self.units,
        };
        for unit in 0..across * down {
            if self.interval > 0 && unit > 0 && unit % self.interval == 0 {
                bits = restart(&bits)?;
                state = State::default();
            }
            let place = (unit % across, unit / across);
            match single {
                Some([part]) => self.block(&scan, part, place, &mut state, &mut bits)?,
                None => self.unit(&scan, place, &mut state, &mut bits)?,
            }
            if bits.is_over() {
                return Err(damaged("a scan ends early"));
            }
        }
        Ok(skip(bits.rest()))
    }

    /// Reads the blocks of a unit, of each component in turn.
    fn unit(
        &mut self,
        scan: &Scan,
        (x, y): (usize, usize),
        state: &mut State,
        bits: &mut Bits,
    ) -> Result<()> {
        for &part in &scan.parts {
            let (across, down) = self.planes[part.0].sampling;
            for j in 0..down {
                for i in 0..across {
                    let place = (x * across + i, y * down + j);
                    self.block(scan, part, place, state, bits)?;
                }
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        scan: &Scan,
        (number, dc, ac): (usize, usize, usize),
        (x, y): (usize, usize),
        state: &mut State,
        bits: &mut Bits,
    ) -> Result<()> {
        let plane = &mut self.planes[number];
        let at = (y * plane.across + x) * 64;
        let mut unwanted = [0; 64];
        let block = match number < self.keep {
            true => plane.coefficients[at..].first_chunk_mut(),
            false => Some(&mut unwanted),
        };
        let block = block.expect("internal error: a block outside of its plane");
        let none = || damaged("a table of codes is missing");
        let dc = || self.dc[dc].as_ref().ok_or_else(none);
        let ac = || self.ac[ac].as_ref().ok_or_else(none);
        let previous = &mut state.previous[number];
        match (self.header.process == SOF2, scan.band.0, scan.high) {
            (false, ..) => sequential(block, dc()?, ac()?, previous, bits),
            (true, 0, 0) => {
                difference(dc()?, previous, bits)?;
                block[0] = narrow(*previous << scan.low);
                Ok(())
            }
            (true, 0, _) => {
                block[0] |= narrow(i32::from(bits.bits(1) == 1) << scan.low);
                Ok(())
            }
            (true, _, 0) => first(block, scan, ac()?, &mut state.run, bits),
            (true, ..) => refine(block, scan, ac()?, &mut state.run, bits),
        }
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
    dc: &huffman::Table,
    ac: &huffman::Table,
    previous: &mut i32,
    bits: &mut Bits,
) -> Result<()> {
    difference(dc, previous, bits)?;
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
fn first(
    block: &mut [i16; 64],
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
fn refine(
    block: &mut [i16; 64],
    scan: &Scan,
    ac: &huffman::Table,
    run: &mut u32,
    bits: &mut Bits,
) -> Result<()> {
    let bit = 1i16 << scan.low;
    let (mut at, last) = scan.band;
    if *run == 0 {
        while at <= last {
            let symbol = bits.symbol(ac)?;
            let (zeros, size) = (symbol >> 4, symbol & 15);
            let value = match (size, zeros) {
                (0, 15) => 0,
                (0, _) => {
                    *run = end_of_bands(zeros, bits);
                    break;
                }
                (1, _) if bits.bits(1) == 1 => bit,
                (1, _) => -bit,
                _ => return Err(damaged("a coefficient that begins with more than a bit")),
            };
            at = refine_run(block, (at, last), usize::from(zeros), bit, bits);
            if value != 0 {
                if at > last {
                    return Err(too_many());
                }
                block[at] = value;
            }
            at += 1;
        }
    }
    if *run > 0 {
        refine_run(block, (at, last), usize::MAX, bit, bits);
        *run -= 1;
    }
    Ok(())
}

/// Gives those coefficients a further bit that have some, up to the zero after `zeros` of them, whose
/// place is given.
fn refine_run(
    block: &mut [i16; 64],
    (first, last): (usize, usize),
    mut zeros: usize,
    bit: i16,
    bits: &mut Bits,
) -> usize {
    for (at, coefficient) in block.iter_mut().enumerate().take(last + 1).skip(first) {
        if *coefficient == 0 {
            if zeros == 0 {
                return at;
            }
            zeros -= 1;
        } else if bits.bits(1) == 1 && *coefficient & bit == 0 {
            let sign = coefficient.signum();
            *coefficient = coefficient.wrapping_add(sign * bit);
        }
    }
    last + 1
}
