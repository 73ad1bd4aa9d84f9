//! Pictures that a host made lossless WebP of, which have the same pixels: "What a reader MUST do" in
//! storagex(5).

use super::frame::Size;
use super::{pictures, pixels};
use crate::error::{Error, Kind, Result};
use image_webp::WebPDecoder;
use std::io::{BufReader, Cursor, Read};

/// Reads an input that is one picture of at most `limit` pixel bytes, and nothing else, into `png`: a
/// PNG as it is, and a PNG of the pixels of a lossless WebP.
///
/// # Errors
///
/// Those of [`pictures::single`], also for a WebP.
pub fn single(input: impl Read, limit: usize, png: &mut Vec<u8>) -> Result<()> {
    let mut input = BufReader::new(input);
    match pictures::peek(&mut input)?.first() {
        Some(b'R') => from_webp(&read(input, limit)?, limit, png),
        _ => pictures::single(input, limit, png),
    }
}

/// All bytes of a picture: no WebP needs many more than its pixels have.
fn read(input: impl Read, limit: usize) -> Result<Vec<u8>> {
    let most = limit + limit / 8 + (1 << 20);
    let mut webp = Vec::new();
    let read = input.take(most as u64 + 1).read_to_end(&mut webp);
    read.map_err(Error::input)?;
    match webp.len() > most {
        true => Err(Kind::TooLarge {
            found: format!("a picture of over {most} bytes"),
            limit: format!("{most} bytes"),
        }
        .into()),
        false => Ok(webp),
    }
}

fn from_webp(webp: &[u8], limit: usize, png: &mut Vec<u8>) -> Result<()> {
    let is_webp = webp.get(8..12) == Some(b"WEBP");
    if !(webp.starts_with(b"RIFF") && is_webp) {
        return Err(Kind::NotPng(pictures::sniff(webp)).into());
    }
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
    let (width, height) = decoder.dimensions();
    let size = Size { width, height }.within(limit)?;
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
