//! Round trips, with and without damage, and what pins the pixels.

use super::*;
use crate::wire::carrier::pixels;
use proptest::prelude::*;

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| numbers.u8(..)).collect()
}

/// Frame bytes of noise that end like a frame does.
fn frame_like(size: Size, level: Level, seed: u64) -> Vec<u8> {
    let mut bytes = noise(frame_bytes(size, level), seed);
    let magic = bytes.len() - TRAILER;
    bytes[magic..magic + 4].copy_from_slice(b"SXFR");
    bytes
}

fn samples(png: &[u8], size: Size) -> Vec<u8> {
    let mut samples = Vec::new();
    assert!(plain::parse(png, Color::Gray, size, &mut samples));
    samples
}

#[test]
fn capacities_of_the_default_size() {
    let found = Level::ALL.map(|level| frame_bytes(Size::DEFAULT, level));
    assert_eq!(found, [183_975, 150_302, 101_911, 61_771]);
}

#[test]
fn the_size_of_a_frame_fits_and_is_no_larger_than_it_must_be() {
    for level in Level::ALL {
        let full = Size {
            width: 320,
            height: 208,
        };
        let room = frame_bytes(full, level) - HEADER - TRAILER;
        for length in 0..=room {
            let size = fit(full, level, length);
            assert!(
                frame_bytes(size, level) >= length + HEADER + TRAILER,
                "{level} {length} {size}"
            );
            assert!(size.width <= full.width && size.height <= full.height);
            if size != full {
                let units = |size: Size| size.width * size.height / (UNIT * UNIT);
                let needed = super::units(length + HEADER + TRAILER, level);
                let side = (1..=needed).find(|side| side * side >= needed).unwrap();
                assert!(
                    units(size) as usize <= needed + side,
                    "{level} {length} {size}"
                );
            }
        }
    }
}

/// Small pictures, and those whose coefficients have bytes in a multiple of the code words: what pixels
/// at their limits harm stays far from what can be corrected.
#[test]
fn untouched_pictures_have_power_to_spare() {
    let sizes = [
        (32, 32),
        (48, 32),
        (80, 128),
        (96, 64),
        (160, 128),
        (256, 192),
    ];
    for (width, height) in sizes {
        let size = Size { width, height };
        for level in Level::ALL {
            for seed in 0..24 {
                let bytes = frame_like(size, level, seed);
                let mut png = Vec::new();
                write(&bytes, size, level, &mut png);
                let mut back = Vec::new();
                let read = read(&samples(&png, size), size, Range::Full, &mut back).unwrap();
                let (found, corrections) = read.unwrap();
                assert_eq!(found, level);
                assert!(back == bytes);
                let worst = corrections.worst as usize;
                assert!(worst <= GOOD, "{size} at level {level}: {worst}");
            }
        }
    }
}

/// What a writer takes for wrong is what a reader finds wrong.
#[test]
fn wrong_bytes_are_those_that_a_reader_corrects() {
    let size = Size {
        width: 256,
        height: 192,
    };
    for seed in 0..20 {
        let layout = Layout::of(size, Level::One);
        let mut sequence = layout.encode(&frame_like(size, Level::One, seed));
        code::mask(&mut sequence, 0);
        let mut pixels = Vec::new();
        let row_to = |row: &[u8]| pixels.extend_from_slice(row);
        let mut wrong = symbols::write(&sequence, size, Level::One, row_to);
        wrong.sort_unstable();
        wrong.dedup();
        let mut back = Vec::new();
        Coefficients::of(&pixels, size, Range::Full).bytes(Level::One, &mut back);
        let differ = |at: &usize| back[*at] != sequence[*at];
        let found: Vec<usize> = (0..sequence.len()).filter(differ).collect();
        assert_eq!(wrong, found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_is_written_is_read(
        across in 2u32..20, down in 4u32..9, level in 0usize..4, seed in any::<u64>(), noisy in any::<bool>(),
    ) {
        let (level, size) = (Level::ALL[level], Size { width: across * UNIT, height: down * UNIT });
        let bytes = frame_like(size, level, seed);
        let mut png = Vec::new();
        write(&bytes, size, level, &mut png);
        let mut pixels = samples(&png, size);
        if noisy {
            let mut numbers = fastrand::Rng::with_seed(seed);
            for pixel in &mut pixels {
                *pixel = pixel.saturating_add(numbers.u8(0..3)).saturating_sub(1);
            }
        }
        let mut back = Vec::new();
        let (found, corrections) = read(&pixels, size, Range::Full, &mut back).unwrap().unwrap();
        prop_assert_eq!(found, level);
        prop_assert!(back == bytes);
        prop_assert!(noisy || corrections.worst * 2 < Corrections::MOST, "{:?}", corrections);
    }

    #[test]
    fn other_pictures_are_none(across in 1u32..9, down in 1u32..9, seed in any::<u64>()) {
        let size = Size { width: across * UNIT, height: down * UNIT };
        let pixels = noise(size.pixel_bytes() / 3, seed);
        prop_assert!(read(&pixels, size, Range::Full, &mut Vec::new()).unwrap().is_none());
    }
}

/// Noise as lossy WebP at quality 90 makes it, in all coefficients alike: some words have more wrong bytes
/// than the code alone corrects, the last one of a small picture among them. With more noise, all is
/// lost, and that is soon known.
#[test]
fn noise_beyond_what_the_code_corrects() {
    let mut numbers = fastrand::Rng::with_seed(3);
    let mut noisy = |pixels: &[u8], most: f64| -> Vec<u8> {
        // Nearly normal, with a deviation of 1.
        let mut normal = || (0..12).map(|_| numbers.f64()).sum::<f64>() - 6.0;
        let moved = |&pixel: &u8| f64::from(pixel) + normal() * most;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` cuts off
        pixels
            .iter()
            .map(moved)
            .map(|it| it.round() as u8)
            .collect()
    };
    let mut beyond = 0;
    for (width, height, count) in [(640, 480, 2), (48, 48, 30)] {
        let size = Size { width, height };
        for seed in 0..count {
            let bytes = frame_like(size, Level::One, seed);
            let (mut png, mut back) = (Vec::new(), Vec::new());
            write(&bytes, size, Level::One, &mut png);
            let pixels = noisy(&samples(&png, size), 2.1);
            let found = read(&pixels, size, Range::Full, &mut back).unwrap();
            let (level, corrections) = found.expect("a sturdy picture");
            assert!(level == Level::One && back == bytes, "{size} {seed}");
            beyond += u32::from(corrections.worst > Corrections::MOST);
        }
        let mut png = Vec::new();
        write(&frame_like(size, Level::One, 1), size, Level::One, &mut png);
        let pixels = noisy(&samples(&png, size), 3.0);
        let lost = read(&pixels, size, Range::Full, &mut Vec::new());
        assert!(!lost.is_ok_and(|found| found.is_some()), "{size}");
    }
    assert!(beyond >= 2, "{beyond}");
}

#[test]
fn any_form_of_the_same_pixels() {
    let size = Size {
        width: 64,
        height: 48,
    };
    let bytes = frame_like(size, Level::Three, 1);
    let (mut png, mut rgb) = (Vec::new(), Vec::new());
    write(&bytes, size, Level::Three, &mut png);
    let picture = pixels::parse(&png, &mut rgb).unwrap();
    assert_eq!(picture, "a 64 x 48 8-bit grayscale picture");
    let gray: Vec<u8> = rgb.chunks(3).map(|pixel| pixel[0]).collect();
    assert_eq!(gray, samples(&png, size));
}
