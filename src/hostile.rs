//! What comes from outside, given to the functions that read it: the bodies of the fuzz targets.
//!
//! Each function takes any bytes and must return: no panic, no endless loop, no memory but what the
//! limits allow. Where there is more to hold, it asserts that, too. The programs in `tests/fuzz` call
//! these functions, and the test below calls them with every file of `tests/fuzz/corpus`, so that the
//! two can't drift. Users build none of it: it exists for `cargo test` and `cargo fuzz` alone.

use crate::index::{self, Walker};
use crate::key::{Digest, Keys, Location, Name};
use crate::range::ByteRange;
use crate::wire::carrier::container::Format;
use crate::wire::carrier::plain::Color;
use crate::wire::carrier::{container, gray, pixels, plain};
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, Size};
use crate::wire::stream::{Order, StreamCrc};
use crate::wire::{carrier, v1};
use crate::{Error, Kind, decode as verb};
use std::io::Cursor;

pub use crate::put::hostile_journal as journal;
pub use crate::store::hostile::{conf, http, sxcu};

/// Pixel bytes that a picture may have here: enough for every branch, and quick.
const LIMIT: usize = 1 << 18;

/// Splits bytes into the pictures that stand in them one after another.
pub fn split(data: &[u8]) {
    let mut pictures = container::Pictures::new(data, LIMIT);
    let (mut png, mut at) = (Vec::new(), 0);
    while let Ok(true) = pictures.next(&mut png) {
        assert!(data[at..].starts_with(&png));
        at += png.len();
    }
}

/// Reads the pixels of a picture, of whatever type of PNG; once more with its checksums put right, as
/// nothing would get past them otherwise.
pub fn png(data: &[u8]) {
    let mut png = Vec::new();
    if container::single(data, LIMIT, &mut png).is_err() || Format::of(&png) != Format::Png {
        return;
    }
    read_pixels(&png);
    mend_chunks(&mut png);
    read_pixels(&png);
}

fn read_pixels(png: &[u8]) {
    let size = container::size(png);
    let mut bytes = Vec::new();
    let parsed = pixels::parse(png, &mut bytes);
    if let Ok(Some(part)) = container::Part::of(png) {
        assert!(part.offset <= part.size);
    }
    if parsed.is_err() {
        return;
    }
    assert_eq!(bytes.len(), size.pixel_bytes());
    let mut again = Vec::new();
    pixels::render(&bytes, size, &mut again);
    let mut back = Vec::new();
    assert!(plain::parse(&again, Color::Rgb, size, &mut back) && back == bytes);
    // A chunk that means nothing to us keeps `plain` from reading it: the `png` crate does.
    let mut slowly = Vec::new();
    pixels::parse(&container::as_copy(&again, 1), &mut slowly).unwrap();
    assert!(slowly == bytes);
}

/// Puts the CRCs of a PNG's chunks right.
fn mend_chunks(png: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = png.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(chunk) = png.get_mut(at + 4..at + 12 + length) else {
            return;
        };
        let (named, crc) = chunk.split_at_mut(4 + length);
        crc.copy_from_slice(&crc32fast::hash(named).to_be_bytes());
        at += 12 + length;
    }
}

/// Reads the frame that pixel bytes are, once with their CRC put right.
pub fn frame(data: &[u8]) {
    read_frame(data);
    let mut data = data.to_vec();
    mend_frame(&mut data);
    read_frame(&data);
}

fn read_frame(bytes: &[u8]) {
    let _ = frame::resembles(bytes);
    let _ = v1::parse(bytes);
    if !frame::has_magic(bytes) {
        return;
    }
    let Ok((trailer, payload_crc)) = frame::parse(bytes, LIMIT) else {
        return;
    };
    let payload = frame::payload(bytes);
    assert_eq!(payload_crc, crc32fast::hash(payload));
    if bytes.len().is_multiple_of(3) {
        #[expect(clippy::cast_possible_truncation)] // libFuzzer's inputs are small
        let size = Size {
            width: bytes.len() as u32 / 3,
            height: 1,
        };
        assert!(frame::to_pixels(&trailer, payload, size) == bytes);
    }
    let mut raw = payload.to_vec();
    if trailer.codec == Codec::Zstd {
        let length = trailer.raw_length as usize;
        if Unpacker::default()
            .unpack(payload, length, &mut raw)
            .is_err()
        {
            return;
        }
        assert_eq!(raw.len(), length);
    }
    let _ = Order::default().next(&trailer);
    let _ = StreamCrc::default().check(&trailer, crc32fast::hash(&raw));
}

/// Puts magic, version and CRC of a frame right.
fn mend_frame(bytes: &mut [u8]) {
    if bytes.len() < frame::HEADER + frame::TRAILER {
        return;
    }
    let trailer = bytes.len() - frame::TRAILER;
    bytes[trailer..trailer + 5].copy_from_slice(b"SXFR\x02");
    let (covered, crc) = bytes.split_at_mut(trailer + frame::TRAILER - 4);
    crc.copy_from_slice(&crc32fast::hash(covered).to_le_bytes());
}

/// Decodes a run of frames to the bytes of their streams; once with all checksums put right.
pub fn decode(data: &[u8]) {
    decode_frames(data.to_vec());
    let mut pictures = container::Pictures::new(data, LIMIT);
    let (mut mended, mut png) = (Vec::new(), Vec::new());
    while let Ok(true) = pictures.next(&mut png) {
        mend_chunks(&mut png);
        let mut bytes = Vec::new();
        if pixels::parse(&png, &mut bytes).is_ok() {
            mend_frame(&mut bytes);
            pixels::render(&bytes, container::size(&png), &mut png);
            let _ = carrier::read_frame(&png, LIMIT, &mut bytes);
        }
        mended.extend_from_slice(&png);
    }
    decode_frames(mended);
}

fn decode_frames(frames: Vec<u8>) {
    let options = verb::Options {
        limit: LIMIT,
        ..Default::default()
    };
    let mut bytes = Vec::new();
    if let Ok(summary) = verb::decode(Cursor::new(frames), &mut bytes, &options) {
        assert_eq!(summary.bytes, bytes.len() as u64);
    }
}

/// Reads a picture that may be a WebP.
pub fn webp(data: &[u8]) {
    picture(data);
}

/// Reads a picture that may be a JPEG.
pub fn jpeg(data: &[u8]) {
    picture(data);
}

/// Reads a picture in every way that there is.
fn picture(data: &[u8]) {
    let mut picture = Vec::new();
    if container::single(data, LIMIT, &mut picture).is_err() {
        return;
    }
    let size = container::size(&picture);
    let (mut samples, mut bytes) = (Vec::new(), Vec::new());
    if gray::parse(&picture, &mut samples).is_ok() {
        assert_eq!(samples.len(), size.pixel_bytes() / 3);
        let turned = gray::turn(&mut samples, size, gray::orientation(&picture));
        assert_eq!(turned.pixel_bytes(), size.pixel_bytes());
    }
    if gray::colours(&picture, &mut bytes).is_ok() {
        assert_eq!(bytes.len(), size.pixel_bytes());
    }
    assert!(!gray::describe(&picture).is_empty());
    let _ = carrier::read_frame(&picture, LIMIT, &mut bytes);
}

/// Goes through a tree of indexes: texts that a line with a dot separates, in the order in which they
/// are asked for.
pub fn index(data: &[u8]) {
    let texts: Vec<Vec<u8>> = parts(data).map(<[u8]>::to_vec).collect();
    let location: Location = "http://host/store/ab/name.png".parse().unwrap();
    for text in &texts {
        if let Ok(root) = index::root(text, &location) {
            let again = index::root(&index::render(&root), &location).unwrap();
            assert_eq!(again, root);
        }
    }
    let root = index::Link {
        digest: Digest::of(b""),
        places: vec![location.clone()],
    };
    let fetch = |mut texts: std::vec::IntoIter<Vec<u8>>| -> index::Fetch {
        Box::new(move |_| texts.next().ok_or_else(|| Error::from(Kind::NotFound)))
    };
    let first = texts.first().map(|text| index::part(text, &location));
    if let Some(Ok(part)) = first {
        let ends = [part.seq + part.total.0, part.offset + part.total.1];
        assert!(ends.iter().all(|&end| i64::try_from(end).is_ok()));
        walk(Walker::of_part(
            root.clone(),
            &part,
            fetch(texts.clone().into_iter()),
        ));
    }
    walk(Walker::new(root, 0, fetch(texts.into_iter())));
}

/// Goes through what an index covers.
fn walk(mut walker: Walker) {
    while let Ok(Some(found)) = walker.next() {
        if let index::Found::Piece(index::Piece {
            group: Some((group, number)),
            ..
        }) = found
        {
            assert!(number < group.data.len());
            for shard in 0..group.shards() {
                let _ = group.link(shard);
            }
        }
    }
}

/// Reads what storagex 1.0 wrote: an index, or a piece.
pub fn v1(data: &[u8]) {
    if let Ok(index) = v1::Index::parse(data) {
        assert!(i64::try_from(index.size()).is_ok());
    }
    if let Some(payload) = v1::parse(data) {
        assert!(payload.len() < data.len());
    }
}

/// Reads a line of keys, and what an index in the place of the first refers to.
pub fn key(data: &[u8]) {
    let mut parts = parts(data).map(String::from_utf8_lossy);
    let (line, reference) = (parts.next().unwrap_or_default(), parts.next());
    let _ = line.parse::<crate::Source>();
    let Ok(keys) = line.parse::<Keys>() else {
        return;
    };
    assert_eq!(keys.to_string().parse::<Keys>().unwrap(), keys);
    let key = keys.first();
    let (location, name) = (&key.location, Name::from(key.digest));
    match location.scheme() {
        "file" => {
            let path = location.path();
            assert_eq!(Location::from_path(&path).unwrap().path(), path);
        }
        "s3" => {
            let (bucket, object) = (location.bucket(), location.object());
            if let Ok(again) = Location::from_bucket(bucket, &object) {
                assert_eq!(again.object(), object);
            }
        }
        _ => assert_eq!(&Location::from_url(&location.url()).unwrap(), location),
    }
    let own = location.reference(&name);
    if own.starts_with("../") {
        assert_eq!(&location.resolve(&own, &name).unwrap(), location);
    }
    let _ = (
        location.store(),
        location.store_of(&name),
        location.scheme_and_host(),
    );
    if let Some(Ok(place)) = reference.map(|reference| location.resolve(&reference, &name)) {
        assert_eq!(place.to_string().parse::<Location>().unwrap(), place);
    }
}

/// Reads a part of a stream, as the user asks for it.
pub fn range(data: &[u8]) {
    let Ok(range) = String::from_utf8_lossy(data).parse::<ByteRange>() else {
        return;
    };
    assert_eq!(range.to_string().parse::<ByteRange>(), Ok(range));
    for size in [0, 1, 1000, i64::MAX as u64, u64::MAX] {
        if let Ok(bytes) = range.within(size) {
            assert!(bytes.start <= bytes.end && bytes.end <= size);
        }
    }
}

/// The parts of an input that a line with a dot separates.
pub(crate) fn parts(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MARK: &[u8] = b"\n.\n";
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let at = data.windows(MARK.len()).position(|window| window == MARK);
        let (part, rest) = match at {
            Some(at) => (&data[..at], &data[at + MARK.len()..]),
            None => (data, &data[data.len()..]),
        };
        ended = at.is_none();
        data = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    type Target = (&'static str, fn(&[u8]));

    const TARGETS: &[Target] = &[
        ("split", split),
        ("png", png),
        ("frame", frame),
        ("decode", decode),
        ("webp", webp),
        ("jpeg", jpeg),
        ("index", index),
        ("v1", v1),
        ("key", key),
        ("range", range),
        ("journal", journal),
        ("sxcu", sxcu),
        ("http", http),
        ("conf", conf),
    ];

    fn folder(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fuzz")
            .join(name)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_fuzzing_has_found_is_read_without_a_panic() {
        if !folder("").exists() {
            return; // the source package has no tests
        }
        for (name, target) in TARGETS {
            let folder = folder("corpus").join(name);
            let inputs = names(&folder);
            assert!(!inputs.is_empty(), "no corpus of {name}");
            for input in inputs {
                eprintln!("{name}/{input}"); // shown if it panics
                target(&fs::read(folder.join(&input)).unwrap());
            }
        }
    }

    /// Real pictures with bits flipped, cut short, and spliced with one another.
    #[test]
    fn pictures_that_are_mutated_are_read_without_a_panic() {
        if !folder("").exists() {
            return;
        }
        let mut pictures = Vec::new();
        for target in ["jpeg", "webp", "png"] {
            let folder = folder("corpus").join(target);
            let inputs = names(&folder).into_iter();
            pictures.extend(inputs.map(|name| fs::read(folder.join(name)).unwrap()));
        }
        let mut numbers = fastrand::Rng::with_seed(20_261_125);
        for _ in 0..4000 {
            let mut changed = numbers.choice(&pictures).unwrap().clone();
            for _ in 0..numbers.usize(1..4) {
                mutate(
                    &mut changed,
                    numbers.choice(&pictures).unwrap(),
                    &mut numbers,
                );
            }
            if Format::of(&changed) == Format::Png {
                mend_chunks(&mut changed);
            }
            picture(&changed);
        }
    }

    fn mutate(picture: &mut Vec<u8>, other: &[u8], numbers: &mut fastrand::Rng) {
        if picture.is_empty() {
            return;
        }
        let at = numbers.usize(..picture.len());
        match numbers.u8(..8) {
            0..5 => picture[at] ^= 1 << numbers.u8(..8),
            5 => picture[at] = *numbers.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
            6 => picture.truncate(at),
            _ => {
                let from = numbers.usize(..=other.len());
                let end = numbers.usize(from..=other.len());
                picture.splice(at..at, other[from..end].iter().copied());
            }
        }
    }

    #[test]
    fn each_target_is_a_program_and_has_a_corpus() {
        if !folder("").exists() {
            return;
        }
        let mut known: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).into()).collect();
        known.sort();
        assert_eq!(names(&folder("corpus")), known);
        let programs: Vec<String> = known.iter().map(|name| format!("{name}.rs")).collect();
        assert_eq!(names(&folder("targets")), programs);
    }
}
