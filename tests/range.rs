//! sx-get --range: exactly these bytes, of as few pictures as that takes.

mod net;

use net::proxy::{Does, Proxy};
use std::io::Cursor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storagex::get::{self, get_range};
use storagex::index::{self, Builder, Link, Stored};
use storagex::key::{Digest, Key, Keys};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::{Codec, FrameKind, Place, Size, Trailer};
use storagex::wire::{Carrier, write_frame};
use storagex::{ByteRange, Kind, Result, decode, encode, put};

const SIDE: Size = Size {
    width: 16,
    height: 16,
};
const CAPACITY: usize = 16 * 16 * 3 - 36;

fn stream(length: usize) -> Vec<u8> {
    let byte = |at: usize| ((at / 7 * 31) >> 3).to_le_bytes()[0];
    (0..length).map(byte).collect()
}

fn encoded(bytes: &[u8], level: i32) -> Vec<u8> {
    let mut frames = Vec::new();
    let options = encode::Options {
        size: SIDE,
        level,
        ..Default::default()
    };
    encode(Cursor::new(bytes.to_vec()), &mut frames, &options).unwrap();
    frames
}

fn folder(path: &std::path::Path) -> Arc<dyn Store> {
    store::open(path.as_os_str(), &Config::default()).unwrap()
}

fn ask(keys: &Keys, range: &str) -> Result<Vec<u8>> {
    let range: ByteRange = range.parse().unwrap();
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    get_range(keys, range, &mut frames, &get::Options::default())?;
    decode(Cursor::new(frames), &mut bytes, &decode::Options::default())?;
    Ok(bytes)
}

/// Ranges at and around the edges of frames, and some drawn at random.
fn check(keys: &Keys, bytes: &[u8]) {
    let edges = [0, 1, CAPACITY - 1, CAPACITY, CAPACITY + 1, 5 * CAPACITY + 3];
    let size = bytes.len();
    let mut numbers = fastrand::Rng::with_seed(7);
    let drawn = (0..40).map(|_| {
        let start = numbers.usize(..=size);
        (start, numbers.usize(..=size - start))
    });
    let at_edges = edges
        .iter()
        .flat_map(|&start| edges.map(|length| (start, length)));
    for (start, length) in at_edges
        .chain(drawn)
        .filter(|(start, length)| start + length <= size)
    {
        let part = ask(keys, &format!("{start}:{length}")).unwrap();
        assert!(part == bytes[start..start + length], "{start}:{length}");
    }
    assert!(ask(keys, &format!("{}:", size - 9)).unwrap() == bytes[size - 9..]);
    assert!(ask(keys, &format!("{size}:")).unwrap().is_empty());
    assert!(ask(keys, "-1000").unwrap() == bytes[size - 1000..]);
    assert!(ask(keys, "-99999999").unwrap() == bytes);
    assert!(ask(keys, "-0").unwrap().is_empty());
    for beyond in [
        format!("{}:", size + 1),
        format!("{size}:1"),
        format!("0:{}", size + 1),
    ] {
        let error = ask(keys, &beyond).unwrap_err();
        assert!(matches!(error.kind(), Kind::Range { .. }), "{error}");
    }
}

#[test]
fn any_range_is_what_was_put() {
    let keep = tempfile::tempdir().unwrap();
    let bytes = stream(30 * CAPACITY + 11);
    for (level, side) in [(0, 1024), (3, 1024), (3, 40)] {
        let options = put::Options {
            index_size: Size {
                width: side,
                height: side,
            },
            ..Default::default()
        };
        let frames = Cursor::new(encoded(&bytes, level));
        let done = put(frames, &[folder(keep.path())], &options).unwrap();
        check(&done.keys, &bytes);
    }
}

/// The limit that lets a frame in lets the part of it out.
#[test]
fn a_part_of_a_frame_at_the_limit_is_within_it() {
    let keep = tempfile::tempdir().unwrap();
    let (limit, mut frames) = (1 << 20, Vec::new());
    let size = Size {
        width: 1024,
        height: 341,
    };
    let bytes = stream(size.capacity());
    let options = encode::Options {
        size,
        level: 0,
        ..Default::default()
    };
    encode(Cursor::new(bytes.clone()), &mut frames, &options).unwrap();
    let stores = [folder(keep.path())];
    let done = put(Cursor::new(frames), &stores, &put::Options::default()).unwrap();
    for range in ["0:", "1:", "0:1"] {
        let options = get::Options {
            limit,
            ..Default::default()
        };
        let range: ByteRange = range.parse().unwrap();
        let (mut frames, mut part) = (Vec::new(), Vec::new());
        get_range(&done.keys, range, &mut frames, &options).unwrap();
        let options = decode::Options {
            limit,
            ..Default::default()
        };
        decode(Cursor::new(frames), &mut part, &options).unwrap();
        let within = range.within(bytes.len() as u64).unwrap();
        assert!(part == bytes[usize::try_from(within.start).unwrap()..][..part.len()]);
        assert_eq!(part.len() as u64, within.end - within.start);
    }
}

#[test]
fn streams_that_follow_one_another_count_as_one() {
    let keep = tempfile::tempdir().unwrap();
    let (first, second) = (stream(3 * CAPACITY), stream(7 * CAPACITY + 50));
    let frames = [encoded(&first, 0), encoded(b"", 0), encoded(&second, 3)].concat();
    let done = put(
        Cursor::new(frames),
        &[folder(keep.path())],
        &put::Options::default(),
    )
    .unwrap();
    check(&done.keys, &[first, second].concat());
}

#[test]
fn lost_frames_are_rebuilt_and_other_stores_are_asked() {
    let keep = tempfile::tempdir().unwrap();
    let bytes = stream(30 * CAPACITY + 11);
    let stores = ["a", "b"].map(|name| folder(&keep.path().join(name)));
    let options = put::Options {
        parity: Some("4+2".parse().unwrap()),
        index_size: Size {
            width: 80,
            height: 80,
        },
        ..Default::default()
    };
    let done = put(Cursor::new(encoded(&bytes, 0)), &stores, &options).unwrap();
    let mut all = Vec::new();
    get::list(&done.keys, &get::Options::default(), |source, role| {
        all.push((source.location().path(), role));
        Ok(())
    })
    .unwrap();
    let (a, b) = (keep.path().join("a"), keep.path().join("b"));
    let indexes = all.iter().filter(|(_, role)| *role == put::Role::Index);
    for (path, _) in indexes.skip(1) {
        std::fs::remove_file(path).unwrap(); // the branches of the first tree
    }
    let data = all.iter().filter(|(_, role)| *role == put::Role::Data);
    for (number, (path, _)) in data.enumerate().filter(|(number, _)| number % 4 < 2) {
        std::fs::remove_file(path).unwrap();
        if number % 8 < 4 {
            std::fs::remove_file(b.join(path.strip_prefix(&a).unwrap())).unwrap();
        }
    }
    check(&done.keys, &bytes);
}

/// A bucket behind a proxy.
fn bucket(keep: &std::path::Path) -> (Arc<dyn Store>, Proxy, get::Options) {
    let (proxy, config) = net::proxy::bucket(keep);
    let store = store::open("s3://bucket".as_ref(), &config).unwrap();
    let options = get::Options {
        store: config,
        ..Default::default()
    };
    (store, proxy, options)
}

#[test]
fn only_what_is_needed_is_fetched() {
    let keep = tempfile::tempdir().unwrap();
    let (store, proxy, options) = bucket(keep.path());
    let bytes = stream(60 * CAPACITY);
    let small = put::Options {
        index_size: Size {
            width: 40,
            height: 40,
        },
        ..Default::default()
    };
    let done = put(Cursor::new(encoded(&bytes, 0)), &[store], &small).unwrap();
    proxy.does(|_, _| Does::Pass);
    let range = format!("{}:{}", 31 * CAPACITY + 5, CAPACITY)
        .parse()
        .unwrap();
    let mut frames = Vec::new();
    let got = get_range(&done.keys, range, &mut frames, &options).unwrap();
    assert_eq!(got.frames, 2);
    let gets = proxy.seen().len();
    // The root twice, one index on each level below it, or two at an edge, and two frames.
    assert!(gets <= 2 + 2 * 3 + 2, "{gets}");
}

/// A mebibyte out of ten gibibytes: 4552 frames, all but the last of which are one picture, over a
/// line on which each request takes 50 ms.
#[test]
fn a_mebibyte_of_ten_gibibytes_in_three_requests() {
    let keep = tempfile::tempdir().unwrap();
    let (store, proxy, options) = bucket(keep.path());
    let full = Size::DEFAULT;
    let chunk = stream(full.capacity());
    let keep_frame = |trailer: &Trailer, payload: &[u8]| {
        let mut png = Vec::new();
        write_frame(
            trailer,
            payload,
            Carrier::Plain,
            full.fit(payload.len()),
            &mut png,
        );
        let mut pixels = Vec::new();
        storagex::wire::read_frame(&png, 1 << 26, &mut pixels).unwrap();
        let digest = Digest::of(&pixels);
        let location = store.put(&digest.into(), &png).unwrap();
        Link::new(Key { location, digest })
    };
    let length = |payload: &[u8]| u32::try_from(payload.len()).unwrap();
    let data = |place, payload: &[u8]| Stored {
        link: keep_frame(
            &Trailer {
                kind: FrameKind::Data,
                codec: Codec::Stored,
                place,
                raw_length: length(payload),
                sealed: None,
            },
            payload,
        ),
        bytes: payload.len() as u64,
        size: full,
    };
    let count = (10u64 << 30).div_ceil(chunk.len() as u64);
    let middle = data(Place::Anywhere, &chunk);
    let last = data(
        Place::Last {
            offset: count * chunk.len() as u64,
            stream_crc: 0,
            positioned: false,
        },
        b"end",
    );
    let index_trailer = |json: &[u8]| Trailer {
        kind: FrameKind::Index,
        codec: Codec::Stored,
        place: Place::Anywhere,
        raw_length: length(json),
        sealed: None,
    };
    let mut keep_index = |json: &[u8]| Ok(keep_frame(&index_trailer(json), json));
    let mut builder = Builder::new(full.capacity(), String::new(), None).unwrap();
    for _ in 0..count {
        builder
            .add(std::slice::from_ref(&middle), None, &mut keep_index)
            .unwrap();
    }
    builder.add(&[last], None, &mut keep_index).unwrap();
    let root = builder.finish(&mut keep_index).unwrap();
    assert!(root.size > 10 << 30);
    let json = index::render(&root);
    let keys: Keys = keep_frame(&index_trailer(&json), &json).key().into();

    proxy.does(|_, _| {
        std::thread::sleep(Duration::from_millis(50));
        Does::Pass
    });
    let started = Instant::now();
    let offset = 2000 * chunk.len() as u64 + 12345;
    let range = format!("{offset}:1M").parse().unwrap();
    let mut frames = Vec::new();
    get_range(&keys, range, &mut frames, &options).unwrap();
    let took = started.elapsed();
    let mut bytes = Vec::new();
    decode(Cursor::new(frames), &mut bytes, &decode::Options::default()).unwrap();
    assert!(bytes == chunk[12345..12345 + (1 << 20)]);
    let requests = proxy.seen().len();
    println!("{took:?}, {requests} requests");
    // The root twice, and a frame: a fifth of a second, and what a machine that is busy takes.
    assert_eq!(requests, 3);
    assert!(took < Duration::from_secs(3), "{took:?}");
}
