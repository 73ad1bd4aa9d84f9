//! What is in a JPEG: its header, and its samples.
//!
//! This is a decoder of our own, as it takes less than others: luma alone, whatever the colours take,
//! without a way through red, green and blue; in bounded memory and time; and nothing but JPEG as
//! hosts make it, Huffman-coded, of 8 bits, baseline or progressive. (`zune-jpeg` 0.5 gives wrong
//! luma of progressive files that are subsampled downwards only.)

mod huffman;
mod samples;
mod scan;

use super::container::{Format, jpeg};
use crate::error::{Error, Kind, Result};
use crate::wire::frame::Size;

/// Markers.
const DQT: u8 = 0xdb;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;

/// A quantisation table, in zigzag order.
pub type Table = [u16; 64];

/// What the segments before the first scan say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width and height.
    pub size: Size,
    /// Bits of a sample.
    pub precision: u8,
    /// The marker: which of the processes of JPEG it is.
    pub process: u8,
    /// Its components, luma first.
    pub components: Vec<Component>,
    /// The transform that Adobe's segment names: 0 none, 1 YCbCr, 2 YCCK.
    pub adobe: Option<u8>,
    /// How the picture is turned, by EXIF: 1 to 8, 1 is upright.
    pub orientation: u8,
    tables: [Option<Table>; 4],
}

/// A component of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub id: u8,
    /// Samples across and down in each unit.
    pub sampling: (u8, u8),
    table: u8,
}

impl Header {
    /// Reads the header of a whole JPEG.
    ///
    /// # Errors
    ///
    /// [`Kind::BadPicture`].
    pub fn parse(picture: &[u8]) -> Result<Header> {
        let mut header = None;
        let mut tables = [None; 4];
        let (mut adobe, mut orientation) = (None, 1);
        for (marker, body) in jpeg::segments(picture) {
            match marker {
                DQT => read_tables(body, &mut tables)?,
                APP1 => orientation = body.strip_prefix(b"Exif\0\0").map_or(orientation, turned),
                APP14 if body.starts_with(b"Adobe") => adobe = body.get(11).copied(),
                _ if jpeg::is_frame_header(marker) => header = Some((marker, body)),
                _ => {}
            }
        }
        let (process, body) = header.ok_or_else(|| damaged("no header"))?;
        let (parts, _) = body.get(6..).unwrap_or_default().as_chunks::<3>();
        if parts.len() != usize::from(body[5]) || parts.is_empty() {
            return Err(damaged("its header is of another length"));
        }
        let component = |&[id, sampling, table]: &[u8; 3]| Component {
            id,
            sampling: (sampling >> 4, sampling & 15),
            table,
        };
        Ok(Header {
            size: jpeg::size(picture).ok_or_else(|| damaged("no header"))?,
            precision: body[0],
            process,
            components: parts.iter().map(component).collect(),
            adobe,
            orientation,
            tables,
        })
    }

    /// The quantisation table of luma.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        let table = usize::from(self.components.first()?.table);
        self.tables.get(table)?.as_ref()
    }

    /// Whether its components are red, green and blue.
    fn is_rgb(&self) -> bool {
        let names = self.components.iter().map(|component| component.id);
        self.components.len() == 3 && (self.adobe == Some(0) || names.eq(*b"RGB"))
    }

    /// Checks that it is of a kind that is read.
    fn check(&self) -> Result<()> {
        let found = match (self.process, self.precision, self.components.len()) {
            (0xc3 | 0xc7 | 0xcb | 0xcf, ..) => "a lossless JPEG picture, expected a lossy one",
            (0xc9.., ..) => "an arithmetic-coded JPEG picture, expected a Huffman-coded one",
            (0xc5..=0xc6, ..) => "a hierarchical JPEG picture, expected one of a single size",
            (_, 12 | 16, _) => "a 12-bit JPEG picture, expected one of 8 bits",
            (_, 8, 1 | 3) => return Ok(()),
            (_, 8, 4) => "a CMYK JPEG picture, expected a gray one or one in colour",
            (_, 8, _) => "a JPEG picture of a strange number of colours, expected 1 or 3",
            _ => return Err(damaged("samples of no known size")),
        };
        Err(Kind::Unsupported(found.into()).into())
    }
}

fn damaged(why: &str) -> Error {
    Format::Jpeg.damaged(why)
}

/// Reads the tables of a DQT segment.
fn read_tables(mut body: &[u8], tables: &mut [Option<Table>; 4]) -> Result<()> {
    let cut = || damaged("a quantisation table is cut short");
    while let Some((&head, rest)) = body.split_first() {
        let bytes = if head >> 4 == 0 { 1 } else { 2 };
        let (values, rest) = rest.split_at_checked(64 * bytes).ok_or_else(cut)?;
        let table = tables.get_mut(usize::from(head & 15)).ok_or_else(cut)?;
        let values = values.chunks(bytes);
        let mut values = values.map(|value| value.iter().fold(0, |n, &b| n << 8 | u16::from(b)));
        *table = Some(std::array::from_fn(|_| values.next().unwrap_or_default()));
        body = rest;
    }
    Ok(())
}

/// The orientation in an EXIF segment, 1 to 8; 1 if there is none.
fn turned(tiff: &[u8]) -> u8 {
    orientation(tiff).unwrap_or(1)
}

fn orientation(tiff: &[u8]) -> Option<u8> {
    const TAG: u16 = 0x0112;
    let little = tiff.starts_with(b"II*\0");
    let u16_at = |at: usize| {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match little {
            true => u16::from_le_bytes(bytes),
            false => u16::from_be_bytes(bytes),
        })
    };
    let high = usize::from(u16_at(if little { 6 } else { 4 })?);
    let low = usize::from(u16_at(if little { 4 } else { 6 })?);
    let start = high << 16 | low;
    let entries = usize::from(u16_at(start)?);
    let mut places = (0..entries).map(|entry| start + 2 + entry * 12);
    let place = places.find(|&at| u16_at(at) == Some(TAG))?;
    let value = u8::try_from(u16_at(place + 8)?).ok()?;
    (1..=8).contains(&value).then_some(value)
}

/// Reads the luma of a whole JPEG into `luma`, in place of what it holds; of one in red, green and
/// blue, what luma they have.
///
/// # Errors
///
/// [`Kind::Unsupported`] for a kind of JPEG that is not read, else [`Kind::BadPicture`].
pub fn luma(picture: &[u8], luma: &mut Vec<u8>) -> Result<()> {
    let header = Header::parse(picture)?;
    header.check()?;
    if header.is_rgb() {
        let mut pixels = Vec::new();
        colours(picture, &header, &mut pixels)?;
        super::pixels::luma(&pixels, luma);
        return Ok(());
    }
    let planes = scan::read(picture, &header, 1)?;
    samples::render(&planes[0], header.size, luma);
    Ok(())
}

/// The luma of a JPEG as it is in it: as coefficients of blocks.
pub(super) struct Luma {
    plane: scan::Plane,
    size: Size,
}

impl Luma {
    /// Reads that of a whole JPEG; none where it isn't a luma sample for each pixel.
    ///
    /// # Errors
    ///
    /// As [`luma`].
    pub fn parse(picture: &[u8]) -> Result<Option<Luma>> {
        let header = Header::parse(picture)?;
        header.check()?;
        if header.is_rgb() {
            return Ok(None);
        }
        let size = header.size;
        let plane = scan::read(picture, &header, 1)?.swap_remove(0);
        Ok((plane.scale == (1, 1)).then_some(Luma { plane, size }))
    }

    /// Its samples, as [`luma`] gives them.
    pub fn samples(&self, samples: &mut Vec<u8>) {
        samples::render(&self.plane, self.size, samples);
    }

    /// Rows of blocks, each block of 64 numbers in zigzag order. Rows may be longer than the picture.
    pub fn rows(&self) -> impl Iterator<Item = &[[i16; 64]]> {
        let (blocks, _) = self.plane.coefficients.as_chunks();
        blocks.chunks(self.plane.across.max(1))
    }

    /// What the numbers are multiplied by to be coefficients of the orthonormal DCT.
    pub fn steps(&self) -> &Table {
        &self.plane.table
    }
}

/// Reads the pixels of a whole JPEG into `pixels`, in place of what it holds, as 8-bit RGB.
///
/// # Errors
///
/// As [`luma`].
pub fn parse(picture: &[u8], pixels: &mut Vec<u8>) -> Result<()> {
    let header = Header::parse(picture)?;
    header.check()?;
    colours(picture, &header, pixels)
}

fn colours(picture: &[u8], header: &Header, pixels: &mut Vec<u8>) -> Result<()> {
    let planes = scan::read(picture, header, 3)?;
    let sampled = planes.iter().map(|plane| {
        let mut sampled = Vec::new();
        samples::render(plane, header.size, &mut sampled);
        sampled
    });
    let sampled: Vec<Vec<u8>> = sampled.collect();
    pixels.clear();
    match &sampled[..] {
        [first, second, third] => {
            let parts = first.iter().zip(second).zip(third);
            let is_rgb = header.is_rgb();
            pixels.extend(parts.flat_map(|((&a, &b), &c)| match is_rgb {
                true => [a, b, c],
                false => to_rgb(a, b, c),
            }));
        }
        _ => pixels.extend(sampled[0].iter().flat_map(|&gray| [gray; 3])),
    }
    Ok(())
}

/// JFIF's colours, in 1/65536.
fn to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let part = |sum: i32| u8::try_from(((sum + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(255);
    [
        part(y + 91_881 * cr),
        part(y - 22_554 * cb - 46_802 * cr),
        part(y + 116_130 * cb),
    ]
}

/// Luma at quality 50 of the tables that the standard gives as an example, and nearly every encoder
/// scales; in zigzag order.
const STANDARD: Table = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37,
    29, 40, 58, 51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81,
    87, 95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
];

/// How coarse an encoder was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// 1 to 100, on the scale of libjpeg.
    pub value: u8,
    /// Whether the tables are those of libjpeg at this quality, and not just about as coarse.
    pub exact: bool,
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let about = if self.exact { "" } else { "about " };
        write!(f, "{about}quality {}", self.value)
    }
}

impl Header {
    /// The quality, by the quantisation table of luma; none without a table.
    #[must_use]
    pub fn quality(&self) -> Option<Quality> {
        let found = self.table()?;
        let distance = |quality: u8| -> u32 {
            let pairs = found.iter().zip(scaled(quality));
            // In 1/64 of what is expected: coarse steps count no more than fine ones.
            pairs
                .map(|(&a, b)| u32::from(a.abs_diff(b)) * 64 / u32::from(b))
                .sum()
        };
        let value = (1..=100).min_by_key(|&quality| distance(quality))?;
        let exact = scaled(value) == *found;
        Some(Quality { value, exact })
    }
}

/// The standard table as libjpeg scales it.
fn scaled(quality: u8) -> Table {
    let quality = u32::from(quality);
    let scale = if quality < 50 {
        5000 / quality
    } else {
        200 - 2 * quality
    };
    STANDARD.map(|step| {
        let step = (u32::from(step) * scale + 50) / 100;
        u16::try_from(step.clamp(1, 255)).unwrap_or(255)
    })
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    /// A picture with slopes and edges.
    fn rgb(width: u16, height: u16) -> Vec<u8> {
        let (across, down) = (0..u32::from(width), 0..u32::from(height));
        let pixel = |x: u32, y: u32| {
            let edge = if (x / 9 + y / 7).is_multiple_of(2) {
                60
            } else {
                0
            };
            [(x * 3 + edge) as u8, (y * 2 + edge) as u8, 90]
        };
        down.flat_map(|y| across.clone().flat_map(move |x| pixel(x % 60, y % 70)))
            .collect()
    }

    fn encode(quality: u8, change: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, quality);
        change(&mut encoder);
        encoder
            .encode(&rgb(75, 53), 75, 53, ColorType::Rgb)
            .unwrap();
        jpeg
    }

    #[test]
    fn luma_of_any_subsampling_baseline_and_progressive() {
        use SamplingFactor as F;
        let mut expected = Vec::new();
        crate::wire::carrier::pixels::luma(&rgb(75, 53), &mut expected);
        for factor in [
            F::R_4_4_4,
            F::R_4_4_0,
            F::R_4_4_1,
            F::R_4_2_2,
            F::R_4_2_0,
            F::R_4_1_1,
            F::R_4_1_0,
        ] {
            for progressive in [false, true] {
                for interval in [0, 3] {
                    let jpeg = encode(95, |encoder| {
                        encoder.set_sampling_factor(factor);
                        encoder.set_progressive(progressive);
                        if interval > 0 {
                            encoder.set_restart_interval(interval);
                        }
                    });
                    let mut found = Vec::new();
                    luma(&jpeg, &mut found).unwrap();
                    assert_eq!(found.len(), expected.len());
                    let worst = found
                        .iter()
                        .zip(&expected)
                        .map(|(a, b)| a.abs_diff(*b))
                        .max();
                    assert!(
                        worst < Some(16),
                        "{factor:?} {progressive} {interval}: {worst:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn quality_by_the_tables() {
        for value in [10, 50, 75, 92] {
            let header = Header::parse(&encode(value, |_| {})).unwrap();
            assert_eq!(header.quality().unwrap().value, value);
        }
    }

    #[test]
    fn orientation_of_exif() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0";
        assert_eq!((orientation(little), orientation(big)), (Some(6), Some(3)));
        for cut in 0..20 {
            assert_eq!(orientation(&little[..cut]), None);
        }
    }

    #[test]
    fn kinds_that_are_not_read_are_named() {
        let jpeg = encode(90, |_| {});
        let at = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
        let changed = |offset: usize, to: u8| {
            let mut jpeg = jpeg.clone();
            jpeg[at + offset] = to;
            luma(&jpeg, &mut Vec::new()).unwrap_err().to_string()
        };
        assert!(changed(4, 12).starts_with("a 12-bit JPEG picture"));
        assert!(changed(1, 0xc9).starts_with("an arithmetic-coded JPEG picture"));
        assert!(changed(1, 0xc3).starts_with("a lossless JPEG picture"));
        assert!(changed(9, 7).starts_with("damaged JPEG"));
    }
}
