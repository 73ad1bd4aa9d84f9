//! Pictures that a host made lossless WebP of, which have the same pixels: "What a reader MUST do" in
//! storagex(5).

use super::frame::Size;
use super::{pictures, pixels};
use crate::error::{Error, Kind, Result};
use image_webp::WebPDecoder;
use std::io::{BufReader, Cursor, Read};
use std::sync::{Mutex, PoisonError};

/// `RIFF`, length, `WEBP`, and the head of the first chunk with its width and height.
const HEAD: usize = 30;

/// Held while a WebP is decoded: a small one can make the decoder take many times its size for
/// tables, so that is done one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Reads an input that is one picture of at most `limit` pixel bytes, and nothing else, into `png`: a
/// PNG as it is, and a PNG of the pixels of a lossless WebP. Gives whether it was a WebP.
///
/// # Errors
///
/// Those of [`pictures::single`], also for a WebP.
pub fn single(input: impl Read, limit: usize, png: &mut Vec<u8>) -> Result<bool> {
    let mut input = BufReader::new(input);
    match pictures::peek(&mut input)?.first() {
        Some(b'R') => from_webp(&read(input, limit)?, png).map(|()| true),
        _ => pictures::single(input, limit, png).map(|()| false),
    }
}

/// All bytes of a WebP, of as many as its size may need.
fn read(mut input: impl Read, limit: usize) -> Result<Vec<u8>> {
    let mut webp = Vec::new();
    let mut head = input.by_ref().take(HEAD as u64);
    head.read_to_end(&mut webp).map_err(Error::input)?;
    let pixels = size(&webp)?.within(limit)?.pixel_bytes();
    let most = pixels + pixels / 8 + (1 << 16);
    let rest = input.take(most as u64 + 1).read_to_end(&mut webp);
    rest.map_err(Error::input)?;
    match webp.len() > most {
        true => Err(Kind::TooLarge {
            found: format!("a WebP of over {most} bytes"),
            limit: format!("{most} bytes for its size"),
        }
        .into()),
        false => Ok(webp),
    }
}

/// Width and height, by the head of a WebP that may be lossless.
fn size(head: &[u8]) -> Result<Size> {
    let none = || Error::from(Kind::NotPng(pictures::sniff(head)));
    if head.len() < HEAD || &head[8..12] != b"WEBP" || !head.starts_with(b"RIFF") {
        return Err(none());
    }
    let at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (width, height) = match &head[12..16] {
        b"VP8L" => (at(21) & 0x3fff, at(21) >> 14 & 0x3fff),
        b"VP8X" => (at(24) & 0xff_ffff, at(26) >> 8),
        _ => return Err(none()),
    };
    Ok(Size {
        width: width + 1,
        height: height + 1,
    })
}

fn from_webp(webp: &[u8], png: &mut Vec<u8>) -> Result<()> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let size = size(webp)?;
    let bad = |e: image_webp::DecodingError| {
        let kind = match e {
            image_webp::DecodingError::IoError(_) => Kind::CutShort(webp.len() as u64),
            _ => Kind::BadPng,
        };
        Error::from(kind).because(format!("WebP: {e}"))
    };
    let mut decoder = WebPDecoder::new(Cursor::new(webp)).map_err(bad)?;
    if decoder.is_lossy() || decoder.is_animated() {
        return Err(Kind::NotPng("a lossy or animated WebP picture").into());
    }
    if decoder.dimensions() != (size.width, size.height) {
        return Err(Error::from(Kind::BadPng).because("WebP: two sizes"));
    }
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    let mut bytes = vec![0; size.pixel_bytes() / 3 * samples];
    decoder.read_image(&mut bytes).map_err(bad)?;
    if samples == 4 {
        bytes = bytes
            .chunks_exact(4)
            .flat_map(|rgba| [rgba[0], rgba[1], rgba[2]])
            .collect();
    }
    pixels::render(&bytes, size, png);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_webp::{ColorType, WebPEncoder};

    const SIZE: Size = Size {
        width: 9,
        height: 5,
    };

    fn noise(length: usize) -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(3);
        (0..length).map(|_| numbers.u8(..)).collect()
    }

    fn webp(bytes: &[u8], color: ColorType) -> Vec<u8> {
        let mut webp = Vec::new();
        let encoder = WebPEncoder::new(&mut webp);
        encoder
            .encode(bytes, SIZE.width, SIZE.height, color)
            .unwrap();
        webp
    }

    fn back(picture: &[u8], limit: usize) -> Result<Vec<u8>> {
        let (mut png, mut bytes) = (Vec::new(), Vec::new());
        single(picture, limit, &mut png)?;
        pixels::parse(&png, &mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn the_same_pixels_with_and_without_alpha() {
        let rgb = noise(SIZE.pixel_bytes());
        assert_eq!(back(&webp(&rgb, ColorType::Rgb8), 999).unwrap(), rgb);
        let opaque = |rgb: &[u8]| [rgb[0], rgb[1], rgb[2], 255];
        let rgba: Vec<u8> = rgb.chunks(3).flat_map(opaque).collect();
        assert_eq!(back(&webp(&rgba, ColorType::Rgba8), 999).unwrap(), rgb);
    }

    #[test]
    fn cut_at_any_byte_or_changed_it_is_no_panic() {
        let rgb = noise(SIZE.pixel_bytes());
        let whole = webp(&rgb, ColorType::Rgb8);
        for cut in 0..whole.len() - 1 {
            assert_ne!(back(&whole[..cut], 999).ok(), Some(rgb.clone()), "{cut}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x5a;
            let _ = back(&changed, 999);
        }
    }

    #[test]
    fn one_that_is_too_large_and_what_is_none() {
        let whole = webp(&noise(SIZE.pixel_bytes()), ColorType::Rgb8);
        let error = back(&whole, 100).unwrap_err();
        assert!(matches!(error.kind(), Kind::TooLarge { .. }), "{error}");
        for bad in [&b"R"[..], b"RIFF1234WAVEfmt ", b"Rest"] {
            let error = back(bad, 999).unwrap_err();
            assert!(matches!(error.kind(), Kind::NotPng(_)), "{error}");
        }
    }
}
