//! Where a JPEG ends, and the segments in it: ITU-T T.81, annex B.

use super::{Format, Picture, SLACK, most_bytes, too_long};
use crate::error::{Error, Result};
use crate::wire::frame::Size;
use std::io::{BufReader, Read};

/// What every JPEG starts with: SOI, and the first byte of the marker after it.
pub const START: [u8; 3] = [0xff, 0xd8, 0xff];
/// More scans than encoders make; a progressive file of the usual ones has ten.
pub const SCANS: usize = 64;

/// Markers.
pub const SOS: u8 = 0xda;
const EOI: u8 = 0xd9;

/// Reads what follows [`START`], to the end of EOI.
pub fn take<R: Read>(picture: &mut Picture, input: &mut BufReader<R>, limit: usize) -> Result<()> {
    let (mut scans, mut size, mut most) = (0, None, SLACK);
    picture.take(input, 1)?;
    loop {
        let marker = take_code(picture, input, most)?;
        check_length(picture, most, size)?;
        if marker == EOI {
            return size.map(drop).ok_or_else(|| damaged("it has no header"));
        }
        if is_alone(marker) {
            return Err(damaged(format!("marker {marker:02x} outside of a scan")));
        }
        let at = picture.length;
        picture.take(input, 2)?;
        let length = u16_at(picture.bytes(), at);
        if length < 2 {
            return Err(damaged("a segment of no length"));
        }
        picture.take(input, length - 2)?;
        if is_frame_header(marker) {
            if size.is_some() {
                return Err(damaged("two pictures in one"));
            }
            let found = frame_size(&picture.bytes()[at + 2..])?.within(limit)?;
            most = most_bytes(found.pixel_bytes());
            size = Some(found);
        }
        if marker == SOS {
            scans += 1;
            if size.is_none() {
                return Err(damaged("a scan before the header"));
            }
            if scans > SCANS {
                return Err(damaged(format!(
                    "over {SCANS} scans, expected at most so many"
                )));
            }
            take_scan(picture, input, most)?;
        } else {
            picture.take(input, 2)?;
        }
        check_length(picture, most, size)?;
        if picture.bytes()[picture.length - 2] != 0xff {
            return Err(damaged("bytes between its segments"));
        }
    }
}

/// Checks that no more than `most` bytes have been read, before the header that has the size or for
/// a picture of this size.
fn check_length(picture: &Picture, most: usize, size: Option<Size>) -> Result<()> {
    if picture.length <= most {
        return Ok(());
    }
    let none = || damaged(format!("over {most} bytes before its size"));
    Err(size.map_or_else(none, |size| too_long(Format::Jpeg, most, size)))
}

/// The code of the marker whose first bytes have been read, at least two; fill bytes are skipped, up
/// to the first byte that is more than `most`.
fn take_code(picture: &mut Picture, input: &mut impl Read, most: usize) -> Result<u8> {
    while picture.bytes().last() == Some(&0xff) && picture.length <= most {
        picture.take(input, 1)?;
    }
    Ok(*picture
        .bytes()
        .last()
        .expect("internal error: nothing read"))
}

/// Reads the data of a scan, and the marker that ends it.
fn take_scan<R: Read>(picture: &mut Picture, input: &mut BufReader<R>, most: usize) -> Result<()> {
    loop {
        picture.take_until(input, 0xff, most)?;
        if picture.length > most {
            return Ok(()); // which is an error of the caller's
        }
        picture.take(input, 1)?;
        let code = picture.bytes()[picture.length - 1];
        let is_data = matches!(code, 0x00 | 0xd0..=0xd7);
        if !is_data {
            return Ok(());
        }
    }
}

/// A marker without a segment: TEM, restarts, SOI.
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x00..=0x01 | 0xd0..=0xd8 | 0xff)
}

/// SOF0 to SOF15, but for DHT, JPG and DAC.
pub fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn frame_size(body: &[u8]) -> Result<Size> {
    let size = Some(body).filter(|body| body.len() >= 6).map(|body| Size {
        height: u16_at(body, 1).try_into().unwrap_or_default(),
        width: u16_at(body, 3).try_into().unwrap_or_default(),
    });
    match size {
        Some(size) if size.width > 0 && size.height > 0 => Ok(size),
        _ => Err(damaged("its header has no size")),
    }
}

fn damaged(why: impl Into<String>) -> Error {
    Format::Jpeg.damaged(why)
}

/// The segments before the first scan: marker and body; the last one is that of the scan.
pub fn segments(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = jpeg.get(2..).unwrap_or_default();
    let mut ended = false;
    std::iter::from_fn(move || {
        while rest.starts_with(&[0xff, 0xff]) {
            rest = &rest[1..];
        }
        let marker = *rest.get(1).filter(|_| !ended && rest[0] == 0xff)?;
        let length = u16_at(rest.get(..4)?, 2);
        let body = rest.get(4..2 + length)?;
        rest = &rest[2 + length..];
        ended = marker == SOS;
        Some((marker, body))
    })
}

/// Width and height of a JPEG.
pub fn size(jpeg: &[u8]) -> Option<Size> {
    let mut headers = segments(jpeg).filter(|(marker, _)| is_frame_header(*marker));
    frame_size(headers.next()?.1).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}
