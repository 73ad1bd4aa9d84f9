//! Every file in `tests/vectors` shows a rule of storagex(5); `make.py` there says what it looks like.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use storagex::store::Config;
use storagex::wire::DEFAULT_LIMIT;
use storagex::{decode, put, store};

struct Vector {
    name: String,
    wanted: Wanted,
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
        wanted,
        frames,
    } in vectors()
    {
        for jobs in [1, 8] {
            let options = decode::Options {
                jobs,
                limit: DEFAULT_LIMIT,
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

/// `put` makes no key of what `decode` refuses, but for what is under the codec.
#[test]
fn put_refuses_what_decode_refuses() {
    for Vector {
        name,
        wanted,
        frames,
    } in vectors()
    {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(folder.path().as_os_str(), &Config::default()).unwrap();
        let result = put(Cursor::new(frames), &store, &put::Options::default());
        let under_codec = name.starts_with("zstd_") || name == "stream_crc_wrong";
        match (wanted, result) {
            (Wanted::Error(expected), Err(e)) => {
                assert!(
                    e.to_string().starts_with(&expected),
                    "{name}: {e}\n{expected}"
                );
            }
            (Wanted::Error(_), Ok(_)) => assert!(under_codec, "{name}: a key"),
            (Wanted::Bytes(_), Err(e)) => panic!("{name}: {e}"),
            (Wanted::Bytes(_), Ok(_)) => {}
        }
    }
}
