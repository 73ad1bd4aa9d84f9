//! Turns pixel bytes into a plain PNG, and any PNG into pixel bytes.

use super::container::{self, SIGNATURE};
use super::plain::{self, Color};
use crate::error::{Error, Kind, Result};
use crate::wire::frame::Size;
use png::{ColorType, DecodeOptions, Decoder, Transformations};
use std::borrow::Cow;
use std::io::Cursor;

/// Writes a PNG of these pixel bytes into `png`, replacing its contents.
pub fn render(pixels: &[u8], size: Size, png: &mut Vec<u8>) {
    debug_assert_eq!(pixels.len(), size.pixel_bytes());
    let mut writer = plain::Writer::new(size, png);
    writer.append(pixels);
    writer.finish();
}

/// Reads the pixels of one whole PNG into `pixels`, replacing its contents, as 8-bit RGB.
///
/// Accepts any colour type, bit depth, interlacing, filters and chunks; "What a reader MUST do"
/// says how they are converted. Allocates memory for the pixels that the header claims, so the
/// header must have been checked before ([`super::container`] does). Returns a description of the
/// picture for messages: `a 640 x 480 8-bit grayscale picture`.
///
/// # Errors
///
/// [`Kind::Checksum`] for a chunk, else [`Kind::BadPicture`].
///
/// # Panics
///
/// If [`container`] hasn't found the PNG.
pub fn parse(png: &[u8], pixels: &mut Vec<u8>) -> Result<String> {
    let size = container::size(png);
    if plain::parse(png, Color::Rgb, size, pixels) {
        return Ok(format!("a {size} 8-bit RGB picture"));
    }
    let png = essential(png)?;
    decode(&png, pixels).map_err(|e| Error::from(Kind::BadPicture("PNG")).because(readable(&e)))
}

/// Computes the luma of 8-bit RGB `pixels` into `samples`, in place of what that holds, by ITU-R BT.601:
/// 0.299, 0.587 and 0.114 of red, green and blue.
#[expect(clippy::cast_possible_truncation)] // at most 255
pub fn luma(pixels: &[u8], samples: &mut Vec<u8>) {
    let luma = |&[r, g, b]: &[u8; 3]| {
        let (r, g, b) = (u32::from(r), u32::from(g), u32::from(b));
        ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
    };
    samples.clear();
    samples.extend(pixels.as_chunks().0.iter().map(luma));
}

/// The PNG without its ancillary chunks, which aren't needed; all CRCs are checked, including
/// theirs.
fn essential(png: &[u8]) -> Result<Cow<'_, [u8]>> {
    let mut kept = None;
    let mut at = SIGNATURE.len();
    while at < png.len() {
        let chunk = check_chunk(&png[at..])?;
        let is_ancillary = chunk[4].is_ascii_lowercase();
        match &mut kept {
            None if is_ancillary => kept = Some(png[..at].to_vec()),
            Some(kept) if !is_ancillary => kept.extend_from_slice(chunk),
            _ => {}
        }
        at += chunk.len();
    }
    Ok(kept.map_or(Cow::Borrowed(png), Cow::Owned))
}

/// The first chunk of `rest`, from its length to its CRC, which is checked.
fn check_chunk(rest: &[u8]) -> Result<&[u8]> {
    let cut = || Error::from(Kind::BadPicture("PNG")).because("it ends inside a chunk");
    let length = rest.first_chunk().ok_or_else(cut)?;
    let end = 8 + u32::from_be_bytes(*length) as usize;
    let chunk = rest.get(..end + 4).ok_or_else(cut)?;
    let (name, body) = chunk[4..end].split_at(4);
    let found = crc32fast::hash(&chunk[4..end]);
    let expected = u32::from_be_bytes(chunk[end..].try_into().expect("internal error: four bytes"));
    if found != expected {
        let of = format!("PNG chunk {}", name.escape_ascii());
        return Err(Kind::Checksum {
            of,
            found,
            expected,
        }
        .into());
    }
    if name == b"PLTE" && (body.len() % 3 != 0 || body.len() > 768) {
        return Err(Error::from(Kind::BadPicture("PNG"))
            .because("a palette of parts of colours, or of over 256"));
    }
    Ok(chunk)
}

/// A message of the `png` crate, with the names of chunks instead of their details.
fn readable(error: &png::DecodingError) -> String {
    let message = error.to_string();
    let parts = message
        .split("ChunkType { type: ")
        .map(|part| match part.split_once(" }") {
            Some((chunk, rest)) => format!("{}{rest}", chunk.split(',').next().unwrap_or_default()),
            None => part.to_owned(),
        });
    parts.collect()
}

fn decode(png: &[u8], pixels: &mut Vec<u8>) -> std::result::Result<String, png::DecodingError> {
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true); // checked before
    let mut decoder = Decoder::new_with_options(Cursor::new(png), options);
    decoder.set_limits(png::Limits {
        bytes: 4 * png.len() + (1 << 26),
    });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    let (_, color) = (info.bit_depth, info.color_type);
    let picture = format!(
        "a {} x {} {}-bit {} picture",
        info.width,
        info.height,
        info.bit_depth as u8,
        match color {
            ColorType::Grayscale => "grayscale",
            ColorType::Rgb => "RGB",
            ColorType::Indexed => "palette",
            ColorType::GrayscaleAlpha => "grayscale and alpha",
            ColorType::Rgba => "RGBA",
        }
    );
    let length = reader
        .output_buffer_size()
        .ok_or(png::DecodingError::LimitsExceeded)?;
    pixels.resize(length, 0);
    let came_as = reader.next_frame(pixels)?.color_type;
    reader.finish()?;
    match came_as {
        ColorType::Grayscale => *pixels = to_rgb::<1>(pixels, |[gray]| [gray; 3]),
        ColorType::GrayscaleAlpha => *pixels = to_rgb::<2>(pixels, |[gray, _]| [gray; 3]),
        ColorType::Rgba => *pixels = to_rgb::<4>(pixels, |[r, g, b, _]| [r, g, b]),
        ColorType::Rgb | ColorType::Indexed => {}
    }
    Ok(picture)
}

/// Turns pixels of `N` bytes into pixels of three.
fn to_rgb<const N: usize>(pixels: &[u8], convert: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (whole, _) = pixels.as_chunks::<N>();
    whole.iter().flat_map(|&pixel| convert(pixel)).collect()
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(pixels: &[u8], size: Size) {
        let (mut png, mut back) = (Vec::new(), Vec::new());
        render(pixels, size, &mut png);
        parse(&png, &mut back).unwrap();
        assert_eq!(back, pixels);
    }

    #[test]
    fn block_edges() {
        for rows in [1u32, 2, 3] {
            for over in [-1i64, 0, 1] {
                // rows * (3 * width + 1) near a multiple of 65535: at 21845 pixels, 3 * 21845 =
                // 65535
                let width = u32::try_from(21845 + over).unwrap();
                let size = Size {
                    width,
                    height: rows,
                };
                let pixels: Vec<u8> = (0..size.pixel_bytes()).map(|i| (i % 251) as u8).collect();
                round_trip(&pixels, size);
            }
        }
    }

    proptest! {
        #[test]
        fn render_then_parse_gives_the_same(width in 1u32..50, height in 1u32..50, seed in any::<u8>()) {
            let size = Size { width, height };
            let pixels: Vec<u8> = (0..size.pixel_bytes()).map(|i| (i as u8).wrapping_mul(seed)).collect();
            round_trip(&pixels, size);
        }

        #[test]
        fn any_change_is_refused_or_read_but_never_panics(at in 0usize..2000, to in any::<u8>()) {
            let size = Size { width: 20, height: 30 };
            let mut png = Vec::new();
            render(&vec![7; size.pixel_bytes()], size, &mut png);
            let at = at % png.len();
            if !(16..24).contains(&at) { // the size, which is checked before
                png[at] = to;
                let _ = parse(&png, &mut Vec::new());
            }
        }
    }
}
