//! Sturdy pictures through the whole pipe: encoded, decoded, put with parity, lost, rebuilt, and got
//! back as they were put.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use storagex::wire::Carrier;
use storagex::wire::carrier::container::{self, Pictures};
use storagex::wire::carrier::gray;
use storagex::wire::carrier::sturdy::Level;
use storagex::wire::frame::Size;
use storagex::wire::{DEFAULT_LIMIT, read_frame};
use storagex::{decode, encode, get, put, store};

const SIZE: Size = Size {
    width: 320,
    height: 240,
};

fn noise(length: usize) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(7);
    (0..length).map(|_| numbers.u8(..)).collect()
}

fn encoded(bytes: &[u8], level: Level, zstd: i32, jobs: usize) -> Vec<u8> {
    let options = encode::Options {
        size: SIZE,
        carrier: Carrier::Sturdy(level),
        level: zstd,
        jobs,
        ..encode::Options::default()
    };
    let mut frames = Vec::new();
    encode(Cursor::new(bytes.to_vec()), &mut frames, &options).unwrap();
    frames
}

fn decoded(frames: &[u8]) -> storagex::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = decode::Options {
        jobs: 2,
        ..decode::Options::default()
    };
    decode(Cursor::new(frames.to_vec()), &mut bytes, &options)?;
    Ok(bytes)
}

#[test]
fn lengths_around_the_capacity_with_any_number_of_jobs() {
    for level in Level::ALL {
        let capacity = Carrier::Sturdy(level).capacity(SIZE);
        for length in [
            0,
            1,
            capacity - 1,
            capacity,
            capacity + 1,
            2 * capacity + 99,
        ] {
            let bytes = noise(length);
            for zstd in [0, 3] {
                let frames = encoded(&bytes, level, zstd, 1);
                assert!(
                    frames == encoded(&bytes, level, zstd, 8),
                    "{level} {length}"
                );
                assert!(
                    decoded(&frames).unwrap() == bytes,
                    "{level} {length} {zstd}"
                );
            }
        }
    }
}

/// Every picture of a store.
fn pictures(folder: &Path) -> Vec<std::path::PathBuf> {
    let folders = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = folders.filter(|path| path.is_dir());
    let files = files.flat_map(|folder| fs::read_dir(folder).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "png"))
        .collect()
}

#[test]
fn put_with_parity_lost_and_got_back_as_it_was_put() {
    let level = Level::Two;
    let bytes = noise(5 * Carrier::Sturdy(level).capacity(SIZE) + 100);
    let frames = encoded(&bytes, level, 0, 2);
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(folder.path().as_os_str(), &store::Config::default()).unwrap();
    let options = put::Options {
        parity: Some("3+1".parse().unwrap()),
        ..put::Options::default()
    };
    let keys = put(Cursor::new(frames.clone()), &[store], &options)
        .unwrap()
        .keys;

    let (mut all, mut data) = (0, Vec::new());
    for path in pictures(folder.path()) {
        let (mut png, mut bytes) = (Vec::new(), Vec::new());
        container::single(&fs::read(&path).unwrap()[..], DEFAULT_LIMIT, &mut png).unwrap();
        let frame = read_frame(&png, DEFAULT_LIMIT, &mut bytes).unwrap();
        assert_eq!(frame.carrier, Carrier::Sturdy(level), "{}", path.display());
        all += 1;
        if frame.trailer.kind == storagex::wire::frame::FrameKind::Data {
            data.push(path);
        }
    }
    assert_eq!(
        (data.len(), all),
        (6, 6 + 2 + 2),
        "data, parity, index and its copy"
    );

    let mut first = Vec::new();
    Pictures::new(&frames[..], DEFAULT_LIMIT)
        .next(&mut first)
        .unwrap();
    let lost = data.iter().find(|path| fs::read(path).unwrap() == first);
    fs::remove_file(lost.unwrap()).unwrap();
    let mut back = Vec::new();
    let got = get(&keys, &mut back, &get::Options::default()).unwrap();
    assert_eq!(got.rebuilt, 1);
    assert!(back == frames);
}

/// A host that changes the pixels a little gives back another picture; what is got is the one that
/// was put.
#[test]
fn a_changed_picture_is_corrected_and_made_again() {
    let bytes = noise(500);
    let frames = encoded(&bytes, Level::Three, 0, 1);
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(folder.path().as_os_str(), &store::Config::default()).unwrap();
    let keys = put(
        Cursor::new(frames.clone()),
        &[store],
        &put::Options::default(),
    )
    .unwrap()
    .keys;
    for path in pictures(folder.path()) {
        let (mut png, mut rgb) = (Vec::new(), Vec::new());
        container::single(&fs::read(&path).unwrap()[..], DEFAULT_LIMIT, &mut png).unwrap();
        let size = container::size(&png);
        storagex::wire::carrier::pixels::parse(&png, &mut rgb).unwrap();
        let mut numbers = fastrand::Rng::with_seed(1);
        for pixel in rgb.chunks_exact_mut(3) {
            let (more, less) = (numbers.u8(0..5), numbers.u8(0..5));
            pixel.fill(pixel[0].saturating_add(more).saturating_sub(less));
        }
        storagex::wire::carrier::pixels::render(&rgb, size, &mut png);
        fs::write(&path, &png).unwrap();
    }
    let mut back = Vec::new();
    get(&keys, &mut back, &get::Options::default()).unwrap();
    assert!(back == frames);
    assert_eq!(decoded(&back).unwrap(), bytes);
}

/// A host that turns pictures and says so in EXIF, or leaves it to EXIF to turn them: either is read.
#[test]
fn pictures_that_exif_turns_are_read() {
    let bytes = noise(Carrier::Sturdy(Level::Two).capacity(SIZE));
    let png = encoded(&bytes, Level::Two, 0, 1);
    let mut upright = Vec::new();
    gray::parse(&png, &mut upright).unwrap();
    for orientation in 1..=8 {
        let mut turned = upright.clone();
        let undo = match orientation {
            6 => 8,
            8 => 6,
            other => other,
        };
        let size = gray::turn(&mut turned, SIZE, undo);
        for (samples, size) in [(&turned, size), (&upright, SIZE)] {
            let mut jpeg = Vec::new();
            let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 85);
            let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
            let exif = [&exif[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
            encoder.add_app_segment(1, exif).unwrap();
            let side = |side: u32| u16::try_from(side).unwrap();
            let gray = jpeg_encoder::ColorType::Luma;
            encoder
                .encode(samples, side(size.width), side(size.height), gray)
                .unwrap();
            assert!(decoded(&jpeg).unwrap() == bytes, "{orientation} {size}");
        }
    }
}
