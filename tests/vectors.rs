//! Every file in `tests/vectors` shows a rule of storagex(5); `make.py` there says what it looks like.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use storagex::store::Config;
use storagex::wire::DEFAULT_LIMIT;
use storagex::wire::seal::Secret;
use storagex::wire::{Carrier, frame::Size};
use storagex::{decode, encode, put, store};

struct Vector {
    name: String,
    secret: Option<Secret>,
    wanted: Wanted,
    /// That a writer makes these frames: level, width and height.
    writer: Option<String>,
    frames: Vec<u8>,
}

enum Wanted {
    /// CRC-32 and length of the bytes that come out.
    Bytes(String),
    /// What the message starts with.
    Error(String),
}

fn vectors() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let vectors: Vec<Vector> = files
        .filter(|path| path.extension().is_none())
        .map(|path| read(&path))
        .collect();
    assert!(vectors.len() > 80, "only {} vectors", vectors.len());
    vectors
}

fn read(path: &PathBuf) -> Vector {
    let file = fs::read(path).unwrap();
    let end = file.windows(2).position(|two| two == b"\n\n").unwrap();
    let head = std::str::from_utf8(&file[..end]).unwrap();
    let value = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
    };
    assert!(value("rule").is_some(), "{}", path.display());
    Vector {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        secret: value("secret").map(|line| Secret::parse(&line).unwrap()),
        writer: value("writer"),
        wanted: match (value("expect"), value("error")) {
            (Some(bytes), None) => Wanted::Bytes(bytes),
            (None, Some(message)) => Wanted::Error(message),
            _ => panic!("{}: expect or error", path.display()),
        },
        frames: file[end + 2..].to_vec(),
    }
}

#[test]
fn decode_does_what_each_vector_expects() {
    for Vector {
        name,
        secret,
        wanted,
        frames,
        ..
    } in vectors()
    {
        for jobs in [1, 8] {
            let options = decode::Options {
                jobs,
                limit: DEFAULT_LIMIT,
                secret: secret.clone(),
                ..Default::default()
            };
            let mut bytes = Vec::new();
            let result = decode(Cursor::new(frames.clone()), &mut bytes, &options);
            match (&wanted, result) {
                (Wanted::Bytes(expected), Ok(_)) => {
                    let found = format!("{:08x} {}", crc32fast::hash(&bytes), bytes.len());
                    assert_eq!(&found, expected, "{name}");
                }
                (Wanted::Error(expected), Err(e)) => {
                    assert!(
                        e.to_string().starts_with(expected),
                        "{name}: {e}\n{expected}"
                    );
                }
                (Wanted::Bytes(_), Err(e)) => panic!("{name}: {e}"),
                (Wanted::Error(expected), Ok(_)) => panic!("{name}: decoded, expected {expected}"),
            }
        }
    }
}

/// Vectors of sealed frames that are wrong where only the secret shows it.
const UNDER_SEAL: [&str; 10] = [
    "sealed_no_secret",
    "sealed_other_secret",
    "sealed_nothing",
    "sealed_nonce_changed",
    "sealed_ciphertext_changed",
    "sealed_tag_changed",
    "sealed_offset_changed",
    "sealed_frames_swapped_not_positioned",
    "sealed_frame_of_another_stream",
    "sealed_chain_wrong",
];

/// `put` makes no key of what `decode` refuses, but for what is under the codec and the seal.
#[test]
fn put_refuses_what_decode_refuses() {
    for Vector {
        name,
        wanted,
        frames,
        ..
    } in vectors()
    {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(folder.path().as_os_str(), &Config::default()).unwrap();
        let result = put(Cursor::new(frames), &[store], &put::Options::default());
        let under_codec = name.starts_with("zstd_") || name == "stream_crc_wrong";
        let is_hidden = under_codec || UNDER_SEAL.contains(&&*name);
        match (wanted, result) {
            (Wanted::Error(expected), Err(e)) => {
                assert!(
                    e.to_string().starts_with(&expected),
                    "{name}: {e}\n{expected}"
                );
            }
            (Wanted::Error(_), Ok(_)) => assert!(is_hidden, "{name}: a key"),
            (Wanted::Bytes(_), Err(e)) => panic!("{name}: {e}"),
            (Wanted::Bytes(_), Ok(_)) => {}
        }
    }
}

/// The pixels of sturdy pictures are the same everywhere.
#[test]
fn encode_makes_what_vectors_pin() {
    let pinned = vectors().into_iter().filter_map(|vector| {
        let writer = vector.writer.clone()?;
        Some((vector, writer))
    });
    let mut count = 0;
    for (vector, writer) in pinned {
        let numbers: Vec<u32> = writer.split(' ').map(|n| n.parse().unwrap()).collect();
        let [level, width, height] = numbers[..] else {
            panic!("{}: {writer}", vector.name);
        };
        let mut bytes = Vec::new();
        let frames = Cursor::new(vector.frames.clone());
        decode(frames, &mut bytes, &decode::Options::default()).unwrap();
        let options = encode::Options {
            size: Size { width, height },
            carrier: Carrier::of(level).unwrap(),
            level: 0,
            ..encode::Options::default()
        };
        let mut made = Vec::new();
        encode(Cursor::new(bytes), &mut made, &options).unwrap();
        assert!(made == vector.frames, "{}", vector.name);
        count += 1;
    }
    assert!(count >= 5, "only {count}");
}
