//! What is in a WebP: "JPEG and WebP" in storagex(5).

use super::container::{Format, webp};
use crate::error::{Error, Kind, Result};
use crate::wire::frame::Size;
use image_webp::vp8::Vp8Decoder;
use image_webp::{DecodingError, WebPDecoder};
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

/// Held while a WebP is decoded: a small one can make the decoder take many times its size for
/// tables, so that is done one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Whether it is lossless, if it is a still picture.
#[must_use]
pub fn is_lossless(picture: &[u8]) -> bool {
    webp::chunk(picture, *b"VP8L").is_some()
}

/// Reads the pixels of a whole WebP into `pixels`, in place of what it holds, as 8-bit RGB; alpha
/// is dropped.
///
/// # Errors
///
/// [`Kind::Unsupported`] for an animated one, else [`Kind::BadPicture`].
pub fn parse(picture: &[u8], size: Size, pixels: &mut Vec<u8>) -> Result<()> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut decoder = open(picture, size)?;
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    pixels.resize(size.pixel_bytes() / 3 * samples, 0);
    decoder.read_image(pixels).map_err(|e| damaged(&e))?;
    if samples == 4 {
        *pixels = pixels
            .chunks_exact(4)
            .flat_map(|rgba| [rgba[0], rgba[1], rgba[2]])
            .collect();
    }
    Ok(())
}

/// Reads the luma of a whole lossy WebP into `samples`, in place of what it holds, as it is in it: black
/// is 16, and white 235.
///
/// # Errors
///
/// As [`parse`].
pub fn luma(picture: &[u8], size: Size, samples: &mut Vec<u8>) -> Result<()> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    open(picture, size)?;
    let frame = webp::chunk(picture, *b"VP8 ").ok_or_else(|| Format::Webp.damaged("cut short"))?;
    let frame = Vp8Decoder::decode_frame(Cursor::new(frame)).map_err(|e| damaged(&e))?;
    let (width, height) = (size.width as usize, size.height as usize);
    let row = width.next_multiple_of(16);
    if (u32::from(frame.width), u32::from(frame.height)) != (size.width, size.height)
        || frame.ybuf.len() < row * height
    {
        return Err(Format::Webp.damaged("two sizes"));
    }
    samples.clear();
    for line in frame.ybuf.chunks(row).take(height) {
        samples.extend_from_slice(&line[..width]);
    }
    Ok(())
}

fn open(picture: &[u8], size: Size) -> Result<WebPDecoder<Cursor<&[u8]>>> {
    let decoder = WebPDecoder::new(Cursor::new(picture)).map_err(|e| damaged(&e))?;
    if decoder.is_animated() {
        return Err(
            Kind::Unsupported("an animated WebP picture, expected a still one".into()).into(),
        );
    }
    if decoder.dimensions() != (size.width, size.height) {
        return Err(Format::Webp.damaged("two sizes"));
    }
    Ok(decoder)
}

fn damaged(error: &DecodingError) -> Error {
    Format::Webp.damaged(match error {
        DecodingError::IoError(_) => "it ends inside a chunk".to_owned(),
        other => other.to_string(),
    })
}

/// The quality of a lossy WebP, 0 to 100 on the scale of libwebp, by its quantisers; none for a lossless
/// one. Encoders choose them by what is in the picture, too, so it is about right.
#[must_use]
pub fn quality(picture: &[u8]) -> Option<u8> {
    Some(quality_of(quantiser(webp::chunk(picture, *b"VP8 ")?)?))
}

/// libwebp's quality for a base quantiser, which it makes of it by way of a cube root.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 100
fn quality_of(quantiser: u32) -> u8 {
    let fine = 1.0 - f64::from(quantiser.min(127)) / 127.0;
    let linear = fine.powi(3);
    let share = if linear < 0.5 {
        linear * 1.5
    } else {
        f64::midpoint(linear, 1.0)
    };
    (share * 100.0).round() as u8
}

/// The quantiser, 0 to 127, in the header of a frame, or the mean of those of its segments: RFC 6386,
/// 9.2 to 9.6 and 19.2.
fn quantiser(frame: &[u8]) -> Option<u32> {
    let mut bools = Bools::new(frame.get(10..)?);
    let mut segments = None;
    bools.flags(2); // colours, clamping
    if bools.flag() {
        let (has_map, has_values) = (bools.flag(), bools.flag());
        if has_values {
            let is_absolute = bools.flag();
            let sum: u32 = (0..4).map(|_| bools.optional(7 + 1) >> 1).sum();
            segments = is_absolute.then_some(sum / 4);
            bools.skip_each(4, 6 + 1);
        }
        if has_map {
            bools.skip_each(3, 8);
        }
    }
    bools.flags(1 + 6 + 3); // the loop filter
    if bools.flag() && bools.flag() {
        bools.skip_each(8, 6 + 1);
    }
    bools.flags(2); // partitions
    let base = bools.flags(7);
    Some(segments.unwrap_or(base))
}

/// The flags in the header of a frame: RFC 6386, 7, where zero and one are as likely.
struct Bools<'a> {
    data: &'a [u8],
    value: u32,
    range: u32,
    /// Bits of `value` below the two bytes that are looked at.
    count: u32,
}

impl<'a> Bools<'a> {
    fn new(data: &'a [u8]) -> Self {
        let mut bools = Bools {
            data,
            value: 0,
            range: 255,
            count: 0,
        };
        bools.value = bools.byte() << 8 | bools.byte();
        bools
    }

    fn byte(&mut self) -> u32 {
        match self.data.split_first() {
            Some((&byte, rest)) => {
                self.data = rest;
                u32::from(byte)
            }
            None => 0,
        }
    }

    fn flag(&mut self) -> bool {
        let split = 1 + (((self.range - 1) * 128) >> 8);
        let is_set = self.value >= split << 8;
        if is_set {
            self.range -= split;
            self.value -= split << 8;
        } else {
            self.range = split;
        }
        while self.range < 128 {
            self.value <<= 1;
            self.range <<= 1;
            self.count += 1;
            if self.count == 8 {
                self.count = 0;
                self.value |= self.byte();
            }
        }
        is_set
    }

    /// A number of so many flags.
    fn flags(&mut self, count: u32) -> u32 {
        (0..count).fold(0, |number, _| number << 1 | u32::from(self.flag()))
    }

    fn skip_each(&mut self, times: usize, count: u32) {
        for _ in 0..times {
            self.optional(count);
        }
    }

    /// A number of so many flags, behind one that says that it is there; 0 if it isn't.
    fn optional(&mut self, count: u32) -> u32 {
        match self.flag() {
            true => self.flags(count),
            false => 0,
        }
    }
}
