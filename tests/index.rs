//! Trees of indexes, and indexes that somebody else has written.

use serde_json::{Value, json};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use storagex::get::{self, Options};
use storagex::key::{Digest, Location};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::{Codec, FrameKind, Place, Size, Trailer, to_pixels};
use storagex::wire::{Carrier, write_frame};
use storagex::{Index, Key, Kind, Source, encode, index, put};
use tempfile::TempDir;

/// A folder with a store in it.
struct Fixture {
    folder: TempDir,
    store: Arc<dyn Store>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(folder.path().as_os_str(), &Config::default()).unwrap();
        Fixture { folder, store }
    }

    /// Puts frames; gives the key and the root.
    fn put(&self, frames: Vec<u8>, options: &put::Options) -> storagex::Result<(Key, Index)> {
        let store = std::slice::from_ref(&self.store);
        let done = put(Cursor::new(frames), store, options)?;
        Ok((done.keys.first().clone(), done.root))
    }

    /// Stores an index with this text, as it is.
    fn index(&self, text: &[u8]) -> Key {
        self.frame(text, FrameKind::Index, Place::Anywhere)
    }

    fn data(&self, bytes: &[u8], offset: u64, last: bool) -> Key {
        let place = match last {
            true => Place::Last {
                offset,
                stream_crc: 0,
                positioned: true,
            },
            false => Place::At(offset),
        };
        self.frame(bytes, FrameKind::Data, place)
    }

    fn frame(&self, payload: &[u8], kind: FrameKind, place: Place) -> Key {
        let trailer = Trailer {
            kind,
            codec: Codec::Stored,
            place,
            raw_length: u32::try_from(payload.len()).unwrap(),
            sealed: None,
        };
        let size = Size::DEFAULT.fit(payload.len());
        let digest = Digest::of(&to_pixels(&trailer, payload, size));
        let mut png = Vec::new();
        write_frame(&trailer, payload, Carrier::Plain, size, &mut png);
        let location = self.store.put(&digest.into(), &png).unwrap();
        Key { location, digest }
    }

    fn file(&self, key: &Key) -> std::path::PathBuf {
        self.folder.path().join(key.digest.name())
    }
}

fn key_of(source: &Source) -> Key {
    source.to_string().parse().unwrap()
}

fn entry(key: &Key, seq: u64, offset: u64, size: u64) -> Value {
    let (key, checksum) = (format!("../{}", key.digest.name()), key.digest.checksum());
    json!({"seq": seq, "key": key, "offset": offset, "size": size, "checksum": checksum})
}

fn leaf(frames: u64, size: u64, pieces: &Value) -> Value {
    json!({"protocol_version": 2.0, "filename": "", "piece_width": 16, "piece_height": 16,
           "size": size, "frames": frames, "pieces": pieces})
}

fn checked(key: &Key) -> get::Report {
    get::check(key, get::Sample::All, &Options::default()).unwrap()
}

fn fetched(key: &Key) -> storagex::Result<Vec<u8>> {
    let mut frames = Vec::new();
    storagex::get(key, &mut frames, &Options::default())?;
    Ok(frames)
}

/// Some 400 frames, with 5 to 6 entries an index, make four levels.
#[test]
fn a_tree_of_several_levels_brings_everything_back() {
    let place = Fixture::new();
    let bytes: Vec<u8> = (0..300_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7).to_le_bytes()[0])
        .collect();
    let size = Size {
        width: 16,
        height: 16,
    };
    let mut frames = Vec::new();
    let encoding = encode::Options {
        size,
        level: 0,
        ..Default::default()
    };
    encode(Cursor::new(bytes), &mut frames, &encoding).unwrap();
    for (side, levels) in [(24, 4), (32, 3), (100, 2), (1000, 1)] {
        let putting = put::Options {
            index_size: Size {
                width: side,
                height: side,
            },
            name: "a name".into(),
            ..Default::default()
        };
        let (key, root) = place.put(frames.clone(), &putting).unwrap();
        assert_eq!(
            (root.size, root.frames, root.filename.as_str()),
            (300_000, 410, "a name")
        );
        assert!(fetched(&key).unwrap() == frames);
        assert_eq!(checked(&key).data.good, 410);
        let mut keys = Vec::new();
        get::list(&key, &Options::default(), |source, _| {
            keys.push(key_of(source));
            Ok(())
        })
        .unwrap();
        assert_eq!(keys[0], key);
        assert!(keys.iter().all(|key| place.file(key).exists()));
        assert_eq!(depth(&place, &key), levels, "{side}");
        let indexes = keys.len() - 410;
        assert!(indexes > levels - 1, "{indexes}");
    }
}

/// Levels of the tree under `key`, along its first entries; every index fits its frame.
fn depth(place: &Fixture, key: &Key) -> usize {
    let mut pixels = Vec::new();
    let png = fs::read(place.file(key)).unwrap();
    storagex::wire::carrier::pixels::parse(&png, &mut pixels).unwrap();
    let json = storagex::wire::frame::payload(&pixels);
    let index: storagex::Index = serde_json::from_slice(json).unwrap();
    match index.indexes {
        Some(indexes) => {
            let digest = Digest::from_checksum(&indexes[0].checksum).unwrap();
            let location = key.location.clone();
            1 + depth(place, &Key { location, digest })
        }
        None => 1,
    }
}

#[test]
fn the_same_stream_has_the_same_key() {
    let keys = [1, 8].map(|jobs| {
        let place = Fixture::new();
        let mut frames = Vec::new();
        encode(
            Cursor::new(vec![7; 10_000]),
            &mut frames,
            &encode::Options::default(),
        )
        .unwrap();
        let options = put::Options {
            jobs,
            ..Default::default()
        };
        place.put(frames, &options).unwrap().0.digest
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn index_frames_that_are_too_small() {
    let place = Fixture::new();
    let mut frames = Vec::new();
    encode(Cursor::new(b"x"), &mut frames, &encode::Options::default()).unwrap();
    for (side, name) in [
        (1, ""),
        (10, ""),
        (16, &"x".repeat(300)),
        (30, &"x".repeat(2000)),
    ] {
        let options = put::Options {
            index_size: Size {
                width: side,
                height: side,
            },
            name: name.into(),
            ..Default::default()
        };
        let error = place.put(frames.clone(), &options).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Size(_) | Kind::Name(_)),
            "{side}: {error}"
        );
    }
}

/// What is wrong with an index of two frames, and what the message says of it.
#[test]
#[expect(clippy::too_many_lines)] // a table
fn indexes_that_are_refused() {
    let place = Fixture::new();
    let (a, b) = (place.data(b"aaaa", 0, false), place.data(b"bb", 4, true));
    let good = leaf(2, 6, &json!([entry(&a, 0, 0, 4), entry(&b, 1, 4, 2)]));
    fetched(&place.index(good.to_string().as_bytes())).unwrap();

    let change = |at: &str, value: Value| {
        let mut index = good.clone();
        *index.pointer_mut(at).unwrap() = value;
        index.to_string()
    };
    let without = |member: &str| {
        let mut index = good.clone();
        index.as_object_mut().unwrap().remove(member);
        index.to_string()
    };
    let mut both = good.clone();
    both["indexes"] = both["pieces"].clone();
    let other = place.data(b"cc", 4, true);
    let cases = [
        ("no json", "not JSON".to_owned(), "index: expected"),
        ("cut", good.to_string()[..99].to_owned(), "index: EOF"),
        ("an array", "[]".to_owned(), "index: "),
        (
            "version 1",
            change("/protocol_version", json!(1.0)),
            "protocol_version 1.0, expected 2.0",
        ),
        (
            "version 3",
            change("/protocol_version", json!(3.0)),
            "protocol_version 3.0, expected 2.0",
        ),
        (
            "no pieces",
            without("pieces"),
            "expected either pieces or indexes",
        ),
        (
            "both",
            both.to_string(),
            "expected either pieces or indexes",
        ),
        ("no size", without("size"), "missing field `size`"),
        (
            "empty",
            change("/pieces", json!([])),
            "0 entries don't add up to 2 frames of 6 bytes",
        ),
        ("size", change("/size", json!(7)), "don't add up"),
        ("frames", change("/frames", json!(3)), "don't add up"),
        (
            "negative",
            change("/pieces/0/size", json!(-4)),
            "invalid value",
        ),
        (
            "fraction",
            change("/pieces/0/size", json!(4.5)),
            "invalid type",
        ),
        (
            "huge",
            change("/pieces/1/size", json!(u64::MAX)),
            "number 18446744073709551615, expected one below 2^63",
        ),
        (
            "gap",
            change("/pieces/1/offset", json!(5)),
            "entry 1 with seq 1 and offset 5 is out of place",
        ),
        (
            "seq",
            change("/pieces/1/seq", json!(0)),
            "entry 1 with seq 0 and offset 4 is out of place",
        ),
        (
            "start",
            change("/pieces/0/offset", json!(1)),
            "entry 0 with seq 0 and offset 1 is out of place",
        ),
        (
            "path",
            change("/pieces/0/key", json!("/etc/passwd")),
            "key \"/etc/passwd\", expected \"../",
        ),
        (
            "climbing",
            change("/pieces/0/key", json!("../../../etc/passwd")),
            "key \"../../../etc/passwd\"",
        ),
        (
            "file",
            change("/pieces/0/key", json!("file:///etc/passwd")),
            "key \"file:///etc/passwd\"",
        ),
        (
            "http",
            change("/pieces/0/key", json!("http://127.0.0.1/x.png")),
            "key \"http://127.0.0.1/x.png\"",
        ),
        (
            "control characters",
            change("/pieces/0/key", json!("\u{1b}[2J\n")),
            "key \"\\u{1b}[2J\\n\"",
        ),
        (
            "another's key",
            change("/pieces/0/key", json!(format!("../{}", b.digest.name()))),
            "expected \"../",
        ),
        (
            "no checksum",
            change("/pieces/0/checksum", json!("")),
            "checksum \"\", expected blake3:",
        ),
        (
            "upper case",
            change(
                "/pieces/0/checksum",
                json!(a.digest.checksum().to_uppercase()),
            ),
            "expected blake3:",
        ),
        (
            "other lengths",
            leaf(2, 6, &json!([entry(&a, 0, 0, 3), entry(&b, 1, 3, 3)])).to_string(),
            "a frame of 4 bytes at 0, expected 3 at 0",
        ),
        (
            "swapped",
            leaf(2, 6, &json!([entry(&b, 0, 0, 2), entry(&a, 1, 2, 4)])).to_string(),
            "offset 4, expected 0",
        ),
        (
            "without a last",
            leaf(1, 4, &json!([entry(&a, 0, 0, 4)])).to_string(),
            "expected more frames up to a last one",
        ),
        (
            "another stream's",
            leaf(2, 6, &json!([entry(&other, 0, 0, 2), entry(&a, 1, 2, 4)])).to_string(),
            "offset 4, expected 0",
        ),
        (
            "a null",
            change("/filename", Value::Null),
            "invalid type: null",
        ),
        (
            "a double",
            good.to_string()
                .replacen("\"size\":6", "\"size\":6,\"size\":6", 1),
            "duplicate field `size`",
        ),
    ];
    for (name, text, message) in cases {
        let key = place.index(text.as_bytes());
        let error = fetched(&key).expect_err(name).to_string();
        assert!(error.contains(message), "{name}: {error}");
        assert!(
            !error.contains('\u{1b}') && error.len() < 1000,
            "{name}: {error}"
        );
    }
    let unknown = good.to_string().replacen('{', "{\"new\":[1,{}],", 1);
    fetched(&place.index(unknown.as_bytes())).expect("unknown members are ignored");
}

#[test]
fn a_tree_that_is_too_deep() {
    let place = Fixture::new();
    let mut key = place.data(b"x", 0, true);
    let mut text = leaf(1, 1, &json!([entry(&key, 0, 0, 1)]));
    for level in 1..=index::MAX_LEVELS + 1 {
        key = place.index(text.to_string().as_bytes());
        let result = fetched(&key);
        assert_eq!(result.is_ok(), level <= index::MAX_LEVELS, "{level}");
        if let Err(error) = result {
            assert!(error.to_string().contains("over 8 levels"), "{error}");
        }
        text["indexes"] = json!([entry(&key, 0, 0, 1)]);
        text.as_object_mut().unwrap().remove("pieces");
    }
}

#[test]
fn parents_that_say_something_else() {
    let place = Fixture::new();
    let data = place.data(b"xy", 0, true);
    let child = place.index(
        leaf(1, 2, &json!([entry(&data, 0, 0, 2)]))
            .to_string()
            .as_bytes(),
    );
    for (frames, size, message) in [(2, 2, "frames 1, expected 2"), (1, 3, "size 2, expected 3")] {
        let mut parent = leaf(frames, size, &Value::Null);
        parent.as_object_mut().unwrap().remove("pieces");
        parent["indexes"] = json!([entry(&child, 0, 0, size)]);
        let error = fetched(&place.index(parent.to_string().as_bytes())).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn frames_that_are_not_what_the_index_says() {
    let place = Fixture::new();
    let data = place.data(b"xy", 0, true);
    let other = place.data(b"zz", 0, true);
    let root = place.index(
        leaf(1, 2, &json!([entry(&data, 0, 0, 2)]))
            .to_string()
            .as_bytes(),
    );
    let refuses = |key: &Key, message: &str| {
        let error = fetched(key).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    let good = fs::read(place.file(&data)).unwrap();

    fs::copy(place.file(&other), place.file(&data)).unwrap();
    refuses(&root, "frame 0: file:///");
    refuses(
        &root,
        &format!("digest {}, expected {}", other.digest, data.digest),
    );
    // The index itself in the place of a piece of it: as near to a cycle as digests allow.
    fs::copy(place.file(&root), place.file(&data)).unwrap();
    refuses(
        &root,
        &format!("digest {}, expected {}", root.digest, data.digest),
    );
    fs::write(place.file(&data), &good[..good.len() - 1]).unwrap();
    refuses(&root, "input ends after 851 bytes of a picture");
    fs::write(place.file(&data), [&good[..], b"x"].concat()).unwrap();
    refuses(&root, "bytes after its end");
    fs::write(place.file(&data), "").unwrap();
    refuses(&root, "nothing, expected a PNG, JPEG or WebP picture");
    fs::remove_file(place.file(&data)).unwrap();
    refuses(&root, ".png: not found");
    fs::create_dir(place.file(&data)).unwrap();
    refuses(&root, "cannot read: not a regular file");
    #[cfg(unix)]
    {
        fs::remove_dir(place.file(&data)).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(place.file(&data))
            .status();
        assert!(made.unwrap().success());
        refuses(&root, "cannot read: not a regular file"); // and doesn't wait for a writer
    }

    refuses(&other, "a frame of data, expected an index");
    let nested = place.index(
        leaf(1, 2, &json!([entry(&root, 0, 0, 2)]))
            .to_string()
            .as_bytes(),
    );
    refuses(&nested, "a frame of an index, expected data");
    let wrong = Key {
        digest: other.digest,
        ..root.clone()
    };
    refuses(&wrong, "digest");
    let moved: Location = format!("file://{}", Path::new("/root.png").display())
        .parse()
        .unwrap();
    refuses(
        &Key {
            location: moved,
            ..root
        },
        "not found",
    );
}

/// Another PNG of the same pixels is as good: a store may have been optimised.
#[test]
fn a_frame_that_was_deflated_again() {
    let place = Fixture::new();
    let mut frames = Vec::new();
    encode(
        Cursor::new(b"hello"),
        &mut frames,
        &encode::Options::default(),
    )
    .unwrap();
    let (key, _) = place.put(frames.clone(), &put::Options::default()).unwrap();
    let mut keys = Vec::new();
    get::list(&key, &Options::default(), |source, _| {
        keys.push(key_of(source));
        Ok(())
    })
    .unwrap();
    for key in &keys {
        let mut pixels = Vec::new();
        let png = fs::read(place.file(key)).unwrap();
        storagex::wire::carrier::pixels::parse(&png, &mut pixels).unwrap();
        let size = storagex::wire::carrier::container::size(&png);
        let mut encoder = png::Encoder::new(
            fs::File::create(place.file(key)).unwrap(),
            size.width,
            size.height,
        );
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels)
            .unwrap();
        assert!(fs::metadata(place.file(key)).unwrap().len() < png.len() as u64);
    }
    let mut bytes = Vec::new();
    let back = fetched(&key).unwrap();
    assert!(back.len() < frames.len());
    storagex::decode(
        Cursor::new(back),
        &mut bytes,
        &storagex::decode::Options::default(),
    )
    .unwrap();
    assert_eq!(bytes, b"hello");
    // And put finds them good, and leaves them.
    place.put(frames, &put::Options::default()).unwrap();
    assert!(fetched(&key).unwrap().len() < 852);
}
