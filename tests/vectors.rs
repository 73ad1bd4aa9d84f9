//! Every file in `tests/vectors` shows a rule of storagex(5); `make.py`, `stores.py` and `records.py` there
//! say what it looks like.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use storagex::key::{Digest, Location, Name};
use storagex::store::{Config, Record, Store, Verify};
use storagex::wire::carrier::container::Pictures;
use storagex::wire::seal::Secret;
use storagex::wire::{Carrier, DEFAULT_LIMIT, frame::Size, read_frame};
use storagex::{Error, Key, Kind, decode, encode, get, put, store};

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

/// The vectors with this suffix.
fn files(suffix: Option<&str>) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().and_then(OsStr::to_str) == suffix)
        .collect()
}

fn vectors() -> Vec<Vector> {
    let files = files(None);
    assert!(files.len() > 80, "only {} vectors", files.len());
    files.iter().map(read).collect()
}

/// Gives the values by their names, and the rest.
fn open(path: &PathBuf) -> (impl Fn(&str) -> Option<String>, Vec<u8>) {
    let file = fs::read(path).unwrap();
    let end = file.windows(2).position(|two| two == b"\n\n").unwrap();
    let head = String::from_utf8(file[..end].to_vec()).unwrap();
    let value = move |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
    };
    assert!(value("rule").is_some(), "{}", path.display());
    (value, file[end + 2..].to_vec())
}

fn wanted(path: &Path, value: &impl Fn(&str) -> Option<String>) -> Wanted {
    match (value("expect"), value("error")) {
        (Some(bytes), None) => Wanted::Bytes(bytes),
        (None, Some(message)) => Wanted::Error(message),
        _ => panic!("{}: expect or error", path.display()),
    }
}

fn read(path: &PathBuf) -> Vector {
    let (value, frames) = open(path);
    Vector {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        secret: value("secret").map(|line| Secret::parse(&line).unwrap()),
        writer: value("writer"),
        wanted: wanted(path, &value),
        frames,
    }
}

/// Compares the bytes that came out, or the message, with what is wanted.
fn check(
    name: &str,
    wanted: &Wanted,
    result: storagex::Result<Vec<u8>>,
    is_as_expected: impl Fn(&str, &str) -> bool,
) {
    match (wanted, result) {
        (Wanted::Bytes(expected), Ok(bytes)) => {
            let found = format!("{:08x} {}", crc32fast::hash(&bytes), bytes.len());
            assert_eq!(&found, expected, "{name}");
        }
        (Wanted::Error(expected), Err(e)) => {
            let found = e.to_string();
            assert!(is_as_expected(&found, expected), "{name}: {e}\n{expected}");
        }
        (Wanted::Bytes(_), Err(e)) => panic!("{name}: {e}"),
        (Wanted::Error(expected), Ok(_)) => panic!("{name}: decoded, expected {expected}"),
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
            let starts = |message: &str, expected: &str| message.starts_with(expected);
            check(&name, &wanted, result.map(|_| bytes), starts);
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

/// A file `.store`: the pictures of a store, and the key of what is in it.
struct Stored {
    name: String,
    key: Digest,
    wanted: Wanted,
    /// The parity that a writer makes these pictures with; `none` is none.
    writer: Option<String>,
    pictures: Vec<(Name, Vec<u8>)>,
}

fn stores() -> Vec<Stored> {
    let files = files(Some("store"));
    assert!(files.len() > 50, "only {} stores", files.len());
    files.iter().map(stored).collect()
}

fn stored(path: &PathBuf) -> Stored {
    let (value, body) = open(path);
    let mut pictures = Vec::new();
    let (mut input, mut picture) = (Pictures::new(&body[..], DEFAULT_LIMIT), Vec::new());
    while input.next(&mut picture).unwrap() {
        let mut bytes = Vec::new();
        read_frame(&picture, DEFAULT_LIMIT, &mut bytes).unwrap();
        let copy = picture.windows(4).position(|four| four == b"sxCp");
        let name = Name {
            digest: Digest::of(&bytes),
            copy: copy.map_or(0, |at| picture[at + 4]),
        };
        pictures.push((name, picture.clone()));
    }
    Stored {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        key: Digest::from_checksum(&format!("blake3:{}", value("key").unwrap())).unwrap(),
        wanted: wanted(path, &value),
        writer: value("writer"),
        pictures,
    }
}

impl Stored {
    /// Puts the pictures into a folder; gives the key.
    fn lay_in(&self, folder: &Path) -> Key {
        for (name, picture) in &self.pictures {
            let path = folder.join(name.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, picture).unwrap();
        }
        let path = folder.join(Name::from(self.key).to_string());
        let line = format!("file://{}#blake3={}", path.display(), self.key);
        line.parse().unwrap()
    }
}

#[test]
fn get_does_what_each_store_expects() {
    for stored in stores() {
        let folder = tempfile::tempdir().unwrap();
        let key = stored.lay_in(folder.path());
        let mut frames = Vec::new();
        let got = get(&key, &mut frames, &get::Options::default());
        let mut bytes = Vec::new();
        let result =
            got.and_then(|_| decode(Cursor::new(frames), &mut bytes, &decode::Options::default()));
        check(
            &stored.name,
            &stored.wanted,
            result.map(|_| bytes),
            |message, expected| message.contains(expected),
        );
    }
}

/// An index may claim a shard of 4 GiB, or a group of 2^31 frames: a reader refuses that in 600 MB of
/// address space.
#[test]
fn get_takes_little_memory_for_any_store() {
    let named = ["parity_shard_4_gib.store", "parity_group_of_2_to_31.store"];
    let mut refused = 0;
    for stored in stores() {
        let folder = tempfile::tempdir().unwrap();
        let key = stored.lay_in(folder.path());
        let run = Command::new("sh")
            .args(["-c", "ulimit -v 600000; exec \"$0\" -j 1 \"$1\" >/dev/null"])
            .args([env!("CARGO_BIN_EXE_sx-get"), &key.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        let name = &stored.name;
        assert!(matches!(run.status.code(), Some(0 | 1)), "{name}: {said}");
        if named.contains(&name.as_str()) {
            let Wanted::Error(expected) = &stored.wanted else {
                panic!("{name}: no error");
            };
            assert!(said.contains(expected), "{name}: {said}");
            refused += 1;
        }
    }
    assert_eq!(refused, named.len());
}

/// The code of parity, the indexes and their names are what the page says.
#[test]
fn put_makes_what_stores_pin() {
    let mut count = 0;
    for stored in stores() {
        let Some(parity) = &stored.writer else {
            continue;
        };
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut frames = Vec::new();
        get(
            &stored.lay_in(from.path()),
            &mut frames,
            &get::Options::default(),
        )
        .unwrap();
        let store = store::open(to.path().as_os_str(), &Config::default()).unwrap();
        let options = put::Options {
            parity: (parity != "none").then(|| parity.parse().unwrap()),
            ..put::Options::default()
        };
        let done = put(Cursor::new(frames), &[store], &options).unwrap();
        assert_eq!(done.keys.first().digest, stored.key, "{}", stored.name);
        for (name, picture) in &stored.pictures {
            let path = to.path().join(name.to_string());
            assert!(
                fs::read(&path).unwrap() == *picture,
                "{}: {name}",
                stored.name
            );
            fs::remove_file(path).unwrap();
        }
        let rest = fs::read_dir(to.path())
            .unwrap()
            .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        assert_eq!(rest.count(), 0, "{}: more pictures", stored.name);
        count += 1;
    }
    assert!(count >= 6, "only {count}");
}

/// A store in memory: an image host if its name is a URL of the web.
struct Memory {
    name: String,
    pictures: Mutex<HashMap<String, Vec<u8>>>,
}

impl Memory {
    fn open(name: &str) -> Arc<dyn Store> {
        Arc::new(Memory {
            name: name.into(),
            pictures: Mutex::default(),
        })
    }
}

impl Store for Memory {
    fn put(&self, name: &Name, png: &[u8]) -> storagex::Result<Location> {
        self.replace(name, png)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> storagex::Result<Location> {
        let mut pictures = self.pictures.lock().unwrap();
        let url = || format!("{}/own/{}.png", self.name, pictures.len()).parse();
        let place: Location = self.locate(name).map_or_else(url, Ok)?;
        pictures.insert(place.to_string(), png.to_vec());
        Ok(place)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        let place = || format!("{}/{name}", self.name).parse().unwrap();
        (!self.name.starts_with("http")).then(place)
    }

    fn id(&self) -> storagex::Result<String> {
        Ok(self.name.clone())
    }

    fn sync(&self) -> storagex::Result<()> {
        Ok(())
    }

    fn get(
        &self,
        at: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> storagex::Result<()>,
    ) -> storagex::Result<()> {
        let png = self.pictures.lock().unwrap().get(&at.to_string()).cloned();
        read(&mut Cursor::new(png.ok_or(Kind::NotFound)?))
    }

    fn made(&self, _: &Location) -> storagex::Result<Option<SystemTime>> {
        Ok(None)
    }
}

/// Checks an error against the part of its message that a vector names.
fn refused(path: &Path, error: &Error, expected: &str) {
    let found = error.to_string();
    assert!(
        found.contains(expected),
        "{}: {found}\n{expected}",
        path.display()
    );
}

/// A writer goes on with the journal of an upload to its store, and leaves all other files alone.
#[test]
fn journals_are_taken_up_or_refused() {
    let files = files(Some("journal"));
    assert!(files.len() > 20, "only {} journals", files.len());
    let mut frames = Vec::new();
    let bytes = Cursor::new(b"hello, world\n");
    encode(bytes, &mut frames, &encode::Options::default()).unwrap();
    for path in files {
        let (value, before) = open(&path);
        let (folder, at) = (tempfile::tempdir().unwrap(), path.display());
        let journal = folder.path().join("journal");
        fs::write(&journal, &before).unwrap();
        let options = put::Options {
            known: Some(put::Sources {
                journals: vec![journal.clone()],
                verify: Verify::None,
                ..put::Sources::default()
            }),
            ..put::Options::default()
        };
        let store = value("store").unwrap_or_else(|| panic!("{at}: no store"));
        let done = put(
            Cursor::new(frames.clone()),
            &[Memory::open(&store)],
            &options,
        );
        let after = fs::read(&journal).unwrap();
        match (value("keep"), value("error"), done) {
            (Some(keep), None, Ok(done)) => {
                let keep = &before[..keep.parse().unwrap()];
                assert!(after.starts_with(keep), "{at}: {}", after.escape_ascii());
                let own = String::from_utf8(after[keep.len()..].to_vec()).unwrap();
                let head = format!("storagex-journal 1 {store} -\n");
                let own = own.strip_prefix(&head).unwrap_or(&own);
                assert_eq!(own.lines().count(), 2, "{at}: {own}"); // a frame and the index
                let key = done.keys.first();
                let last = format!("{} {}\n", key.digest, key.location);
                assert!(own.ends_with(&last), "{at}: {own}");
                assert!(after.starts_with(head.as_bytes()), "{at}");
            }
            (None, Some(expected), Err(e)) => {
                assert!(matches!(e.kind(), Kind::Journal(_)), "{at}: {e}");
                refused(&path, &e, &expected);
                assert!(after == before, "{at}: touched");
            }
            (.., Err(e)) => panic!("{at}: {e}"),
            (.., Ok(_)) => panic!("{at}: taken"),
        }
    }
}

/// A record of prunes is read as it was written, or refused.
#[test]
fn records_of_prunes_are_read_or_refused() {
    let files = files(Some("prunes"));
    assert!(files.len() > 15, "only {} records", files.len());
    for path in files {
        let (value, text) = open(&path);
        let text = String::from_utf8(text).unwrap();
        let at = path.display();
        match (value("error"), Record::parse(&text)) {
            (None, Ok(record)) => {
                assert_eq!(record.render(), text, "{at}");
                assert_eq!(
                    Some(record.batches.len().to_string()),
                    value("batches"),
                    "{at}"
                );
                assert_eq!(
                    Some(record.is_open()),
                    value("open").map(|open| open == "yes"),
                    "{at}"
                );
            }
            (Some(expected), Err(e)) => refused(&path, &e, &expected),
            (None, Err(e)) => panic!("{at}: {e}"),
            (Some(_), Ok(record)) => panic!("{at}: read as {record:?}"),
        }
    }
}

/// A prune reads every line of a file of deletions before it misses the line of the key that it is given.
#[test]
fn files_of_deletions_are_read_or_refused() {
    let files = files(Some("deletions"));
    assert!(files.len() > 15, "only {} files of deletions", files.len());
    let digest = Digest::of(b"");
    let location = "https://host.example/none.png".parse().unwrap();
    let keys = [Key { location, digest }.into()];
    for path in files {
        let (value, before) = open(&path);
        let (folder, at) = (tempfile::tempdir().unwrap(), path.display());
        let file = folder.path().join("deletions");
        fs::write(&file, &before).unwrap();
        let store = Memory::open("https://host.example");
        let options = put::prune::Options::new(SystemTime::now());
        let error = put::prune_deletions(&file, &store, &keys, &options).unwrap_err();
        match (value("lines"), value("error")) {
            (Some(lines), None) => {
                assert_eq!(error.kind(), &Kind::NotFound, "{at}: {error}");
                let found = String::from_utf8_lossy(&before).lines().count();
                assert_eq!(lines, found.to_string(), "{at}");
            }
            (None, Some(expected)) => {
                assert!(matches!(error.kind(), Kind::Journal(_)), "{at}: {error}");
                refused(&path, &error, &expected);
            }
            _ => panic!("{at}: lines or error"),
        }
        assert!(fs::read(&file).unwrap() == before, "{at}: touched");
    }
}
