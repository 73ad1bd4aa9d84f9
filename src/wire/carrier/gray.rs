//! The gray samples of any picture.

use super::container::{self, Format};
use super::{jpeg, pixels, webp};
use crate::error::Result;
use crate::wire::frame::Size;

/// Whether a picture that [`container`] found is in a format that changes samples.
pub(crate) fn is_lossy(picture: &[u8]) -> bool {
    match Format::of(picture) {
        Format::Png => false,
        Format::Jpeg => true,
        Format::Webp => !webp::is_lossless(picture),
    }
}

/// Reads the gray samples of a picture that [`container`] found into `samples`, in place of what that
/// holds, row by row.
///
/// Of a JPEG and a lossy WebP that is their luma, as it is in them; of pixels in red, green and blue
/// it is what luma they have: 0.299, 0.587 and 0.114 of them.
///
/// # Errors
///
/// [`Kind::Unsupported`](crate::Kind::Unsupported), [`Kind::BadPicture`](crate::Kind::BadPicture),
/// [`Kind::Checksum`](crate::Kind::Checksum).
///
/// # Panics
///
/// If [`container`] hasn't found the picture.
pub fn parse(picture: &[u8], samples: &mut Vec<u8>) -> Result<()> {
    match parse_raw(picture, samples)? {
        Range::Full => {}
        Range::Video => samples.iter_mut().for_each(|y| *y = stretched(*y)),
    }
    Ok(())
}

/// What black and white are in gray samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// 0 and 255.
    Full,
    /// 16 and 235, as in the luma of WebP.
    Video,
}

/// As [`parse`], but doesn't stretch the luma of a lossy WebP, which would round it; gives its range.
///
/// # Errors
///
/// As [`parse`].
pub(crate) fn parse_raw(picture: &[u8], samples: &mut Vec<u8>) -> Result<Range> {
    match Format::of(picture) {
        Format::Jpeg => jpeg::luma(picture, samples)?,
        Format::Webp if is_lossy(picture) => {
            webp::luma(picture, container::size(picture), samples)?;
            return Ok(Range::Video);
        }
        Format::Webp | Format::Png => {
            let mut rgb = Vec::new();
            colours(picture, &mut rgb)?;
            pixels::luma(&rgb, samples);
        }
    }
    Ok(Range::Full)
}

#[expect(clippy::cast_possible_truncation)] // at most 255
fn stretched(y: u8) -> u8 {
    ((u32::from(y.clamp(16, 235)) - 16) * 255 + 109).div_euclid(219) as u8
}

/// How a picture that [`container`] found is turned, by its EXIF: 1 to 8, 1 is upright.
pub(crate) fn orientation(picture: &[u8]) -> u8 {
    match Format::of(picture) {
        Format::Jpeg => jpeg::Header::parse(picture).map_or(1, |header| header.orientation),
        _ => 1,
    }
}

/// Turns samples as an orientation of EXIF says that they are to be shown; gives their size then.
///
/// # Panics
///
/// If there are fewer samples than a picture of this size has.
pub fn turn(samples: &mut Vec<u8>, size: Size, orientation: u8) -> Size {
    let (width, height) = (size.width as usize, size.height as usize);
    let (right, bottom) = (width.saturating_sub(1), height.saturating_sub(1));
    let is_swapped = orientation >= 5;
    let (across, down) = if is_swapped {
        (height, width)
    } else {
        (width, height)
    };
    let from = |x: usize, y: usize| match orientation {
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        8 => (right - y, x),
        _ => (x, y),
    };
    let places = (0..down).flat_map(|y| (0..across).map(move |x| (x, y)));
    let turned = places.map(|(x, y)| {
        let (x, y) = from(x, y);
        samples[y * width + x]
    });
    *samples = turned.collect();
    match is_swapped {
        true => Size {
            width: size.height,
            height: size.width,
        },
        false => size,
    }
}

/// Reads the pixels of a picture that [`container`] found into `pixels`, in place of what it holds, as
/// 8-bit RGB. Gives what the picture is, in words for a message.
///
/// # Errors
///
/// As [`parse`].
///
/// # Panics
///
/// As [`parse`].
pub fn colours(picture: &[u8], pixels: &mut Vec<u8>) -> Result<String> {
    match Format::of(picture) {
        Format::Png => return pixels::parse(picture, pixels),
        Format::Jpeg => jpeg::parse(picture, pixels)?,
        Format::Webp => webp::parse(picture, container::size(picture), pixels)?,
    }
    let what = describe(picture);
    Ok(match Format::of(picture) {
        Format::Webp if webp::is_lossless(picture) => what,
        _ => format!("a photo or a drawing, {what}"),
    })
}

/// What a picture that [`container`] found is, in words for a message.
pub(crate) fn describe(picture: &[u8]) -> String {
    let size = container::size(picture);
    match (Format::of(picture), encoding(picture)) {
        (Format::Png, _) => format!("{size} with other pixels"),
        (_, encoding) => format!("a {size} {encoding}"),
    }
}

/// How a picture that [`container`] found is encoded: `PNG`, `JPEG of quality 75`.
pub(crate) fn encoding(picture: &[u8]) -> String {
    match Format::of(picture) {
        Format::Png => "PNG".into(),
        Format::Jpeg => match jpeg::Header::parse(picture).ok().and_then(|h| h.quality()) {
            Some(quality) => format!("JPEG of {quality}"),
            None => "JPEG".into(),
        },
        Format::Webp => match webp::quality(picture) {
            Some(quality) => format!("WebP of about quality {quality}"),
            None => "lossless WebP".into(),
        },
    }
}

/// Whether a picture that [`container`] found was encoded so that little detail is left.
pub(crate) fn is_coarse(picture: &[u8]) -> bool {
    let quality = match Format::of(picture) {
        Format::Png => None,
        Format::Jpeg => jpeg::Header::parse(picture)
            .ok()
            .and_then(|h| h.quality())
            .map(|q| q.value),
        Format::Webp => webp::quality(picture),
    };
    quality.is_some_and(|quality| quality < 30)
}

/// Whether red, green and blue of these pixels are nearly the same, but for one in a hundred, as in a coloured mark.
pub(super) fn is_gray(pixels: &[u8]) -> bool {
    let (pixels, _) = pixels.as_chunks::<3>();
    let is_colour = |[r, g, b]: &&[u8; 3]| r.abs_diff(*g).max(g.abs_diff(*b)) > 8;
    pixels.iter().filter(is_colour).count() <= pixels.len() / 100
}
