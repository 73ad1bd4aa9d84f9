//! What was done to a sturdy picture that can't be read any more, by its gray samples alone.
//!
//! Whatever a host has done to it, a sturdy picture is noise, all over the same and around the middle
//! of the scale, where a photo has bright and dark parts, and coarse and fine ones. Blocks have nothing
//! to do with their neighbours, so samples differ more across their edges than within. Where these
//! edges are says the rest: at another distance than 8 samples, the picture was resized; elsewhere than
//! at multiples of 8, it was shifted or cropped; where they should be, it was turned, blurred, or changed
//! in another way.
//!
//! All this takes a few passes over the samples, and is done only where no frame was found.

use super::symbols::Coefficients;
use super::{Level, UNIT, find, levels_of};
use crate::wire::carrier::gray::{self, Range};
use crate::wire::frame::Size;
use std::f64::consts::{LN_2, TAU};
use std::fmt;

/// Pictures of less than this a side are too small to tell anything.
const LEAST: u32 = 48;

/// What was done to a sturdy picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// It has another size, and had about this one.
    Resized {
        /// In multiples of [`UNIT`].
        from: Size,
    },
    /// Its size is no multiple of [`UNIT`], or its blocks don't start at its corner: where the first
    /// whole one does.
    Cropped(u8, u8),
    /// Its blocks don't start at its corner, though its size is right.
    Shifted(u8, u8),
    /// It lacks rows or columns of blocks, or was written in a way that isn't known.
    BlocksLost,
    /// It is turned or mirrored, and whole: the orientation of EXIF that undoes it.
    Turned(u8),
    /// It has little contrast between neighbours left.
    Blurred,
    /// It is brighter or darker than it was.
    Tinted,
    /// It is noise as of a sturdy picture, without a trace of its blocks.
    NoBlocks,
    /// None of these.
    Changed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Resized { from } => write!(f, "was resized from about {from}"),
            Damage::Cropped(0, 0) => write!(f, "was cropped on the right or at the bottom"),
            Damage::Cropped(x, y) => write!(f, "was cropped, its blocks start at {x}, {y}"),
            Damage::Shifted(x, y) => write!(f, "was shifted, its blocks start at {x}, {y}"),
            Damage::BlocksLost => {
                write!(f, "was cropped by whole blocks, or is of an unknown kind")
            }
            Damage::Turned(3) => write!(f, "was turned upside down"),
            Damage::Turned(6) => write!(f, "was turned to the left by 90 degrees"),
            Damage::Turned(8) => write!(f, "was turned to the right by 90 degrees"),
            Damage::Turned(5 | 7) => write!(f, "was mirrored, and turned by 90 degrees"),
            Damage::Turned(_) => write!(f, "was mirrored"),
            Damage::Blurred => write!(f, "was blurred"),
            Damage::Tinted => write!(f, "was made brighter or darker"),
            Damage::NoBlocks => write!(f, "may have been shrunk or blurred"),
            Damage::Changed => write!(f, "was changed too much"),
        }
    }
}

/// What was done to the sturdy picture that these gray samples, row by row, come from; none where they
/// are of something else.
#[must_use]
pub fn of(samples: &[u8], size: Size) -> Option<Damage> {
    if size.width < LEAST || size.height < LEAST || samples.len() != size.pixel_bytes() / 3 {
        return None;
    }
    let noise = Noise::of(samples, size)?;
    if let Some(orientation) = turned(samples, size) {
        return Some(Damage::Turned(orientation));
    }
    let edges = Edges::of(samples, size);
    if edges.strength < CLEAR {
        return noise.is_weak().then_some(Damage::NoBlocks);
    }
    Some(match edges.was {
        Some(from) => Damage::Resized { from },
        None => unscaled(samples, size, edges.start, &noise),
    })
}

/// What was done to a picture whose blocks have the right size, and start here.
fn unscaled(samples: &[u8], size: Size, start: (u8, u8), noise: &Noise) -> Damage {
    /// A mean distance from the values of symbols, in steps, at which far less is wrong than can be
    /// corrected; without any relation it is 0.25.
    const FITS: f64 = 0.12;
    let is_whole = size.width.is_multiple_of(UNIT) && size.height.is_multiple_of(UNIT);
    // Where a blur leaves little, the edges may be where differences are smallest.
    let is_near = |start: u8| start == 0 || (start == 4 && noise.is_weak());
    match start {
        (x, y) if is_near(x) && is_near(y) && is_whole => {}
        (x, y) if !is_whole => return Damage::Cropped(x, y),
        // These are the blocks of an encoder, then.
        _ if noise.is_weak() => return Damage::NoBlocks,
        (x, y) => return Damage::Shifted(x, y),
    }
    let coefficients = Coefficients::of(samples, size, Range::Full);
    let fits = |level: &Level| coefficients.misfit(*level) < FITS;
    match () {
        () if Level::ALL.iter().any(fits) => Damage::BlocksLost,
        () if noise.is_weak() => Damage::Blurred,
        () if (noise.mean - 128.0).abs() > 4.0 => Damage::Tinted,
        () => Damage::Changed,
    }
}

/// The orientation in which there is a frame in it.
fn turned(samples: &[u8], size: Size) -> Option<u8> {
    if levels_of(size).is_empty() {
        return None;
    }
    (2..=8).find(|&orientation| {
        let mut turned = samples.to_vec();
        let size = gray::turn(&mut turned, size, orientation);
        let coefficients = Coefficients::of(&turned, size, Range::Full);
        find(&coefficients, size, &levels_of(size)).is_some()
    })
}

/// The multiple of [`UNIT`] that is next to this.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` keeps within the limits
fn whole(side: f64) -> u32 {
    ((side / f64::from(UNIT)).round() as u32).max(1) * UNIT
}

/// Samples that are noise, as those of a sturdy picture.
struct Noise {
    mean: f64,
    /// Standard deviation; 36 in a picture that nobody has changed.
    deviation: f64,
}

impl Noise {
    fn of(samples: &[u8], size: Size) -> Option<Noise> {
        let (mean, variance) = moments(samples.iter().copied());
        let noise = Noise {
            mean,
            deviation: variance.sqrt(),
        };
        let is_likely = (112.0..144.0).contains(&mean) && (5.0..60.0).contains(&noise.deviation);
        let is_noise = is_likely && is_even(samples, size) && is_unrelated(samples, size, &noise);
        is_noise.then_some(noise)
    }

    fn is_weak(&self) -> bool {
        self.deviation < 29.0
    }
}

fn moments(samples: impl Iterator<Item = u8>) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
    for sample in samples.map(u64::from) {
        (count, sum, squares) = (count + 1, sum + sample, squares + sample * sample);
    }
    let count = float(count.max(1));
    let mean = float(sum) / count;
    (mean, float(squares) / count - mean * mean)
}

#[expect(clippy::cast_precision_loss)] // of statistics
fn float(number: u64) -> f64 {
    number as f64
}

/// Tiles in which a picture is compared with itself, in samples a side.
const TILE: usize = 16;

/// Whether all parts have about the same contrast.
fn is_even(samples: &[u8], size: Size) -> bool {
    let width = size.width as usize;
    let strips = samples.chunks_exact(width * TILE);
    let deviations = strips.flat_map(|strip| {
        let lefts = (0..=width - TILE).step_by(TILE);
        lefts.map(move |left| {
            let rows = strip.chunks_exact(width);
            let tile = rows.flat_map(|row| row[left..][..TILE].iter().copied());
            moments(tile).1.max(0.0).sqrt()
        })
    });
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for deviation in deviations {
        count += 1.0;
        sum += deviation;
        squares += deviation * deviation;
    }
    let mean: f64 = sum / count;
    let variance: f64 = squares / count - mean * mean;
    variance < (0.16 * mean).powi(2)
}

/// Whether samples have nothing to do with those some blocks away.
fn is_unrelated(samples: &[u8], size: Size, noise: &Noise) -> bool {
    let (width, height) = (size.width as usize, size.height as usize);
    let tiles = float((width / TILE * (height / TILE)) as u64);
    let most = (0.04 + 0.5 / tiles.sqrt()) * noise.deviation.powi(2);
    let product = |a: &u8, b: &u8| (f64::from(*a) - noise.mean) * (f64::from(*b) - noise.mean);
    let related = |lag: usize, across: bool| {
        let (mut sum, mut count) = (0.0, 0.0);
        let step = if across { 1 } else { width };
        let columns = if across { width - lag } else { width };
        let rows = if across { height } else { height - lag };
        for y in 0..rows {
            let ours = &samples[y * width..][..columns];
            let theirs = &samples[y * width + lag * step..][..columns];
            sum += ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| product(a, b))
                .sum::<f64>();
            count += float(columns as u64);
        }
        let mean: f64 = sum / count;
        mean.abs()
    };
    [24, 40]
        .iter()
        .all(|&lag| related(lag, true) < most && related(lag, false) < most)
}

/// How much each column differs from the one before it, and each row from the one before, from the
/// second one on: the sums.
fn profiles(samples: &[u8], size: Size) -> [Vec<f64>; 2] {
    let width = size.width as usize;
    let mut across = vec![0u64; width - 1];
    for row in samples.chunks_exact(width) {
        for (sum, two) in across.iter_mut().zip(row.windows(2)) {
            *sum += u64::from(two[0].abs_diff(two[1]));
        }
    }
    let rows = samples.chunks_exact(width);
    let down = rows.clone().zip(rows.skip(1)).map(|(above, below)| {
        let pairs = above.iter().zip(below);
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    });
    [
        across.into_iter().map(float).collect(),
        down.map(float).collect(),
    ]
}

/// As strong as this, edges of blocks are no chance.
const CLEAR: f64 = 14.0;

/// Where the edges of blocks are.
struct Edges {
    /// How clear they are: about 2 where there are none.
    strength: f64,
    /// The size that the picture had, if their distance shows that it had another.
    was: Option<Size>,
    /// Where the first whole block starts, if their distance is right.
    start: (u8, u8),
}

impl Edges {
    fn of(samples: &[u8], size: Size) -> Edges {
        /// By so much another distance must be more likely than the right one, as a logarithm.
        const MARGIN: f64 = 3.0;
        let profiles = profiles(samples, size).map(|sums| Profile::of(&sums));
        let side = size.width / UNIT;
        // Blocks of 4.5 to 16 samples: a picture that was from half to 16/9 as large.
        let sides = (side / 2).max(1)..=side * 16 / 9;
        let frequency = |units: u32| f64::from(2 * units) / f64::from(size.width);
        let powers = |profile: &Profile| -> Vec<f64> {
            sides
                .clone()
                .map(|units| profile.power(frequency(units)))
                .collect()
        };
        // In noise, powers are spread exponentially; the median is this part of the mean.
        let [across, down] = profiles.each_ref().map(powers);
        let usual = [&across, &down].map(|powers| median(powers) / LN_2);
        let both = |a: f64, b: f64| a / usual[0] + b / usual[1];
        let sums = across.iter().zip(&down).map(|(a, b)| both(*a, *b));
        let best = sums.zip(sides.clone()).max_by(|a, b| a.0.total_cmp(&b.0));
        let (best, units) = best.unwrap_or_default();
        let [x, y] = profiles.each_ref().map(|profile| profile.power(1.0 / 8.0));
        let own = both(x, y);
        // Edges four samples apart: half the size. Those that are further apart repeat so, too, but no
        // more than at their own distance.
        let [x, y] = profiles.each_ref().map(|profile| profile.power(1.0 / 4.0));
        let half = both(x, y);
        let (best, units) = match half > 3.0 * best.max(own) {
            true => (half, (2 * size.width + UNIT / 2) / UNIT),
            false => (best, units),
        };
        let width = units * UNIT;
        let height = whole(f64::from(size.height) * f64::from(width) / f64::from(size.width));
        Edges {
            strength: best.max(own),
            was: (best > own + MARGIN).then_some(Size { width, height }),
            start: (profiles[0].start(), profiles[1].start()),
        }
    }
}

/// At least the smallest number, so that it can be divided by.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.get(sorted.len() / 2).copied();
    middle.unwrap_or_default().max(f64::MIN_POSITIVE)
}

/// Differences of columns or rows, without their mean.
struct Profile(Vec<f64>);

impl Profile {
    fn of(sums: &[f64]) -> Profile {
        /// More of it says no more, and takes time.
        const MOST: usize = 4096;
        let sums = &sums[..sums.len().min(MOST)];
        let mean = sums.iter().sum::<f64>() / float(sums.len() as u64);
        Profile(sums.iter().map(|sum| sum - mean).collect())
    }

    /// How much of it repeats at this frequency.
    fn power(&self, frequency: f64) -> f64 {
        let (re, im) = self.wave(frequency);
        re * re + im * im
    }

    /// Its part that repeats at this frequency, as a complex number.
    fn wave(&self, frequency: f64) -> (f64, f64) {
        let (sin, cos) = (TAU * frequency).sin_cos();
        let (mut re, mut im) = (0.0, 0.0);
        let (mut x, mut y) = (cos, sin); // the first is of the second column
        for value in &self.0 {
            re += value * x;
            im += value * y;
            (x, y) = (x * cos - y * sin, x * sin + y * cos);
        }
        (re, im)
    }

    /// The place, 0 to 7, around which every eighth is largest.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // less than 8
    fn start(&self) -> u8 {
        let (re, im) = self.wave(1.0 / 8.0);
        let turn = im.atan2(re) / TAU;
        (turn * 8.0).round().rem_euclid(8.0) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::carrier::{Carrier, pixels, read_frame, write_bytes};
    use crate::wire::frame::TRAILER;

    const SIZE: Size = Size {
        width: 256,
        height: 192,
    };

    /// The samples of a sturdy picture with noise in it.
    fn sturdy(level: Level, size: Size) -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(7);
        let length = super::super::frame_bytes(size, level);
        let mut bytes: Vec<u8> = (0..length).map(|_| numbers.u8(..)).collect();
        let end = bytes.len() - TRAILER;
        bytes[end..end + 4].copy_from_slice(b"SXFR");
        let mut png = Vec::new();
        write_bytes(&bytes, Carrier::Sturdy(level), size, &mut png);
        gray_of(&png)
    }

    fn gray_of(picture: &[u8]) -> Vec<u8> {
        let mut samples = Vec::new();
        gray::parse(picture, &mut samples).unwrap();
        samples
    }

    /// A part of a picture of this size.
    fn part(samples: &[u8], size: Size, left: usize, top: usize, part: Size) -> Vec<u8> {
        let rows = samples.chunks(size.width as usize).skip(top);
        let rows = rows.take(part.height as usize);
        let columns = left..left + part.width as usize;
        rows.flat_map(|row| row[columns.clone()].to_vec()).collect()
    }

    /// Resized by linear interpolation.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn scaled(samples: &[u8], from: Size, to: Size) -> Vec<u8> {
        let place = |at: u32, to: u32, from: u32| {
            let at = (f64::from(at) + 0.5) * f64::from(from) / f64::from(to) - 0.5;
            let at = at.clamp(0.0, f64::from(from - 1));
            let next = (at.ceil() as usize).min(from as usize - 1);
            (at.floor() as usize, next, at.fract())
        };
        let sample = |x: usize, y: usize| f64::from(samples[y * from.width as usize + x]);
        let mut scaled = Vec::new();
        for y in 0..to.height {
            let (above, below, down) = place(y, to.height, from.height);
            for x in 0..to.width {
                let (left, right, across) = place(x, to.width, from.width);
                let mix = |y| sample(left, y) * (1.0 - across) + sample(right, y) * across;
                scaled.push((mix(above) * (1.0 - down) + mix(below) * down).round() as u8);
            }
        }
        scaled
    }

    fn blurred(samples: &[u8], size: Size) -> Vec<u8> {
        let at = |x: i64, y: i64| {
            let x = x.clamp(0, i64::from(size.width) - 1);
            let y = y.clamp(0, i64::from(size.height) - 1);
            u32::from(samples[usize::try_from(y * i64::from(size.width) + x).unwrap()])
        };
        let places = (0..i64::from(size.height))
            .flat_map(|y| (0..i64::from(size.width)).map(move |x| (x, y)));
        let mean = |(x, y)| {
            let around = [(0, 0, 4), (-1, 0, 1), (1, 0, 1), (0, -1, 1), (0, 1, 1)];
            let sum: u32 = around.iter().map(|(i, j, n)| at(x + i, y + j) * n).sum();
            u8::try_from(sum / 8).unwrap()
        };
        places.map(mean).collect()
    }

    fn jpeg(samples: &[u8], size: Size, quality: u8) -> Vec<u8> {
        let mut jpeg = Vec::new();
        let side = |side: u32| u16::try_from(side).unwrap();
        let encoder = jpeg_encoder::Encoder::new(&mut jpeg, quality);
        let (width, height) = (side(size.width), side(size.height));
        encoder
            .encode(samples, width, height, jpeg_encoder::ColorType::Luma)
            .unwrap();
        jpeg
    }

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn resized() {
        for level in Level::ALL {
            for (from, to) in [
                (size(512, 384), size(507, 380)),
                (size(512, 384), size(517, 388)),
                (size(1024, 768), size(1023 - 9, 760)),
                (SIZE, size(192, 144)),
                (SIZE, size(512, 384)),
                (SIZE, size(352, 264)),
                (size(1024, 768), size(800, 600)),
                (size(512, 384), size(256, 192)),
            ] {
                let scaled = scaled(&sturdy(level, from), from, to);
                assert_eq!(
                    of(&scaled, to),
                    Some(Damage::Resized { from }),
                    "{level} {to}"
                );
                let scaled = gray_of(&jpeg(&scaled, to, 85));
                assert_eq!(
                    of(&scaled, to),
                    Some(Damage::Resized { from }),
                    "{level} {to} JPEG"
                );
            }
        }
    }

    #[test]
    fn shrunk_beyond_recognition() {
        let half = size(128, 96);
        let scaled = scaled(&sturdy(Level::Two, SIZE), SIZE, half);
        let named = of(&scaled, half);
        let is_shrunk =
            |damage| matches!(damage, Damage::NoBlocks | Damage::Resized { from: SIZE });
        assert!(named.is_some_and(is_shrunk), "{named:?}");
    }

    #[test]
    fn cropped_and_shifted() {
        for level in Level::ALL {
            let whole = sturdy(level, SIZE);
            for (left, top, to, damage) in [
                (1, 0, size(255, 192), Damage::Cropped(7, 0)),
                (0, 1, size(256, 191), Damage::Cropped(0, 7)),
                (0, 0, size(255, 192), Damage::Cropped(0, 0)),
                (3, 5, size(240, 180), Damage::Cropped(5, 3)),
                (3, 5, size(240, 176), Damage::Shifted(5, 3)),
                (0, 0, size(240, 176), Damage::BlocksLost),
                (16, 8, size(240, 176), Damage::BlocksLost),
            ] {
                let cut = part(&whole, SIZE, left, top, to);
                assert_eq!(of(&cut, to), Some(damage), "{level} {to}");
                let cut = gray_of(&jpeg(&cut, to, 90));
                assert_eq!(of(&cut, to), Some(damage), "{level} {to} JPEG");
            }
        }
    }

    #[test]
    fn turned_blurred_and_changed() {
        let names = [
            (2, "was mirrored"),
            (3, "was turned upside down"),
            (6, "was turned to the left by 90 degrees"),
            (7, "was mirrored, and turned by 90 degrees"),
            (8, "was turned to the right by 90 degrees"),
        ];
        for level in Level::ALL {
            let whole = sturdy(level, SIZE);
            let mut soft = blurred(&whole, SIZE);
            if level == Level::Four {
                soft = blurred(&soft, SIZE); // it has less fine detail that could be lost
            }
            assert_eq!(of(&soft, SIZE), Some(Damage::Blurred), "{level}");
            let coarse = gray_of(&jpeg(&whole, SIZE, 25));
            assert_eq!(of(&coarse, SIZE), Some(Damage::Changed), "{level}");
            let bright: Vec<u8> = whole.iter().map(|&v| v / 10 * 9 + 25).collect();
            assert_eq!(of(&bright, SIZE), Some(Damage::Tinted), "{level}");
            for (orientation, name) in names {
                let mut turned = whole.clone();
                // 6 and 8 undo each other.
                let by = 14 - orientation;
                let by = if orientation == 6 || orientation == 8 {
                    by
                } else {
                    orientation
                };
                let size = gray::turn(&mut turned, SIZE, by);
                assert_eq!(of(&turned, size).unwrap().to_string(), name, "{level}");
            }
        }
    }

    /// A photo, smooth and grainy, and noise of other kinds: nothing is said of them.
    #[test]
    fn other_pictures() {
        let mut numbers = fastrand::Rng::with_seed(1);
        let mut noise = |most: u8| -> Vec<u8> {
            (0..SIZE.width * SIZE.height)
                .map(|_| numbers.u8(0..most))
                .collect()
        };
        let (grain, even) = (noise(60), noise(255));
        let places = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
        let slope = |(x, y): (u32, u32)| u8::try_from((x / 4 + y / 3 + x * y / 500) % 200).unwrap();
        let smooth: Vec<u8> = places.map(slope).collect();
        let grainy: Vec<u8> = smooth.iter().zip(&grain).map(|(a, b)| a / 2 + b).collect();
        let dark: Vec<u8> = grain.iter().map(|v| v / 2).collect();
        for samples in [&smooth, &grainy, &even, &dark, &vec![128; even.len()]] {
            assert_eq!(of(samples, SIZE), None);
            for quality in [20, 75] {
                assert_eq!(of(&gray_of(&jpeg(samples, SIZE, quality)), SIZE), None);
            }
        }
        for side in 0..80 {
            let size = size(side, side);
            assert_eq!(of(&even[..size.pixel_bytes() / 3], size), None);
        }
    }

    /// A reader says it of a picture in any format, and only in an error.
    #[test]
    fn what_a_reader_says() {
        let samples = sturdy(Level::Three, SIZE);
        let cut = size(255, 192);
        let part = part(&samples, SIZE, 1, 0, cut);
        let rgb: Vec<u8> = part.iter().flat_map(|&value| [value; 3]).collect();
        let mut png = Vec::new();
        pixels::render(&rgb, cut, &mut png);
        let said = |picture: &[u8]| {
            let error = read_frame(picture, 1 << 20, &mut Vec::new()).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            said(&png),
            "a 255 x 192 PNG, a sturdy picture that was cropped, its blocks start at 7, 0, \
             expected it as it was written"
        );
        assert_eq!(
            said(&jpeg(&samples, SIZE, 12)),
            "a 256 x 192 JPEG of quality 12, a sturdy picture that was changed too much, \
             expected it as it was written"
        );
    }
}
