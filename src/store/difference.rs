//! What happened to a picture, by what was sent and what came back.

use super::tones;
use crate::error::Result;
use crate::wire::carrier::container::{self, Format};
use crate::wire::carrier::gray;
use crate::wire::frame::Size;
use std::ops::Range;

/// Pixels of a side of the parts in which pictures are compared.
const BLOCK: usize = 8;
/// Samples of such a part.
const SAMPLES: u32 = 64;

/// What a picture became, in words: how it is encoded now, and what else was done to it.
pub(super) fn describe(sent: &[u8], came: &[u8]) -> Result<String> {
    let what = gray::describe(came);
    let (before, after) = (Samples::read(sent)?, Samples::read(came)?);
    if before.size != after.size {
        let is_turned = (before.width(), before.height()) == (after.height(), after.width());
        let how = match before.find(&after) {
            Some((x, y)) => format!("cropped, its first pixel from {x}, {y}"),
            None if is_turned => "turned on its side".to_owned(),
            None => format!("resized from {}", before.size),
        };
        let is_png = Format::of(came) == Format::Png;
        let what = if is_png {
            format!("{} PNG", after.size)
        } else {
            what
        };
        return Ok(format!("{what}, {how}"));
    }
    let (sent, came_pixels) = (pixels_of(sent)?, pixels_of(came)?);
    if is_gray(&came_pixels) && !is_gray(&sent) {
        return Ok(format!("{what}, converted to gray"));
    }
    if let Some((across, down)) = before.mark(&after) {
        return Ok(format!(
            "{what}, with a watermark or the like from {}, {} to {}, {}",
            across.start, down.start, across.end, down.end
        ));
    }
    let is_coarse = gray::is_coarse(came);
    let tones = tones::describe(&sent, &came_pixels, before.width(), is_coarse);
    Ok([vec![what], tones].concat().join(", "))
}

/// Red, green and blue of the pixels of a picture.
fn pixels_of(picture: &[u8]) -> Result<Vec<u8>> {
    let mut pixels = Vec::new();
    gray::colours(picture, &mut pixels)?;
    Ok(pixels)
}

/// Whether red, green and blue are the same everywhere.
fn is_gray(pixels: &[u8]) -> bool {
    let (pixels, _) = pixels.as_chunks::<3>();
    let differ = |[r, g, b]: &[u8; 3]| r.abs_diff(*g).max(g.abs_diff(*b)) > 2;
    !pixels.iter().any(differ)
}

/// The gray samples of a picture.
struct Samples {
    size: Size,
    samples: Vec<u8>,
}

impl Samples {
    fn read(picture: &[u8]) -> Result<Samples> {
        let mut samples = Vec::new();
        gray::parse(picture, &mut samples)?;
        let size = container::size(picture);
        Ok(Samples { size, samples })
    }

    fn width(&self) -> usize {
        self.size.width as usize
    }

    fn height(&self) -> usize {
        self.size.height as usize
    }

    /// How much a block of another picture differs from what is here at `here`: the sum over its
    /// samples.
    fn distance(&self, here: (usize, usize), other: &Samples, there: (usize, usize)) -> u32 {
        let rows = 0..BLOCK;
        let row = |of: &Samples, (x, y): (usize, usize), row: usize| (y + row) * of.width() + x;
        rows.map(|y| {
            let ours = &self.samples[row(self, here, y)..][..BLOCK];
            let theirs = &other.samples[row(other, there, y)..][..BLOCK];
            let pairs = ours.iter().zip(theirs);
            pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
        })
        .sum()
    }

    /// Where a smaller picture was cut out of this one, if it was, and fits in one place only.
    fn find(&self, part: &Samples) -> Option<(usize, usize)> {
        /// The sum for a block that is the same but for what a lossy encoder does to noise.
        const NEAR: u32 = 24 * SAMPLES;
        let room = (
            self.width().checked_sub(part.width())?,
            self.height().checked_sub(part.height())?,
        );
        let (right, bottom) = (
            part.width().checked_sub(BLOCK)?,
            part.height().checked_sub(BLOCK)?,
        );
        let samples = [(0, 0), (right / 2, bottom / 2), (right, bottom)];
        let is_here = |&(x, y): &(usize, usize)| {
            let near =
                |&(i, j): &(usize, usize)| self.distance((x + i, y + j), part, (i, j)) < NEAR;
            samples.iter().all(near)
        };
        let places = (0..=room.1).flat_map(|y| (0..=room.0).map(move |x| (x, y)));
        let mut found = places.into_iter().filter(is_here);
        let first = found.next()?;
        found.next().is_none().then_some(first) // what fits anywhere shows nothing
    }

    /// The columns and rows of a part where another picture of this size differs far more than
    /// elsewhere.
    fn mark(&self, other: &Samples) -> Option<(Range<usize>, Range<usize>)> {
        let (across, down) = (self.width() / BLOCK, self.height() / BLOCK);
        let places = (0..down).flat_map(|y| (0..across).map(move |x| (x, y)));
        let place = |&(x, y): &(usize, usize)| (x * BLOCK, y * BLOCK);
        let far = |at: &(usize, usize)| self.distance(place(at), other, place(at));
        let distances: Vec<((usize, usize), u32)> = places.map(|at| (at, far(&at))).collect();
        let mut sorted: Vec<u32> = distances.iter().map(|(_, far)| *far).collect();
        sorted.sort_unstable();
        let usual = *sorted.get(sorted.len() / 2)?;
        let most = usual * 2 + 6 * SAMPLES;
        let outliers = distances.iter().filter(|(_, far)| *far > most);
        let outliers: Vec<(usize, usize)> = outliers.map(|(at, _)| *at).collect();
        let columns = range(outliers.iter().map(|at| at.0))?;
        let rows = range(outliers.iter().map(|at| at.1))?;
        let area = columns.len() * rows.len();
        let is_one_place = outliers.len() * 3 > area && area * 2 < across * down;
        let pixels = |range: Range<usize>| range.start * BLOCK..range.end * BLOCK;
        is_one_place.then(|| (pixels(columns), pixels(rows)))
    }
}

/// From the least to the greatest of these.
fn range(numbers: impl Iterator<Item = usize> + Clone) -> Option<Range<usize>> {
    Some(numbers.clone().min()?..numbers.max()? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::carrier::pixels;

    const SIZE: Size = Size {
        width: 64,
        height: 48,
    };

    fn noise() -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(7);
        (0..SIZE.pixel_bytes()).map(|_| numbers.u8(..)).collect()
    }

    fn png(bytes: &[u8], size: Size) -> Vec<u8> {
        let mut png = Vec::new();
        pixels::render(bytes, size, &mut png);
        png
    }

    fn part(bytes: &[u8], x: usize, y: usize, size: Size) -> Vec<u8> {
        let rows = bytes.chunks(SIZE.width as usize * 3).skip(y);
        let rows = rows.take(size.height as usize);
        rows.flat_map(|row| &row[x * 3..][..size.width as usize * 3])
            .copied()
            .collect()
    }

    #[test]
    fn what_is_done_to_pictures() {
        let sent = noise();
        let described = |came: &[u8], size| describe(&png(&sent, SIZE), &png(came, size)).unwrap();
        let smaller = Size {
            width: 50,
            height: 40,
        };
        assert_eq!(
            described(&part(&sent, 9, 3, smaller), smaller),
            "50 x 40 PNG, cropped, its first pixel from 9, 3"
        );
        let other = vec![128; smaller.pixel_bytes()];
        assert_eq!(
            described(&other, smaller),
            "50 x 40 PNG, resized from 64 x 48"
        );
        let mut gray = Vec::new();
        gray::parse(&png(&sent, SIZE), &mut gray).unwrap();
        let gray: Vec<u8> = gray.iter().flat_map(|&value| [value; 3]).collect();
        assert_eq!(
            described(&gray, SIZE),
            "64 x 48 with other pixels, converted to gray"
        );
        let mut marked: Vec<u8> = sent.iter().map(|value| value ^ 1).collect();
        for row in marked.chunks_mut(SIZE.width as usize * 3).skip(32).take(8) {
            row[40 * 3..64 * 3].fill(255);
        }
        assert_eq!(
            described(&marked, SIZE),
            "64 x 48 with other pixels, with a watermark or the like from 40, 32 to 64, 40"
        );
    }
}
