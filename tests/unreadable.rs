//! Pictures in folders that can't be read or written, beside those that can: an error with one file says
//! nothing of the others.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storagex::get::{self, Health, Sample, check, get as get_frames, repair, salvage};
use storagex::put::prune::{self, prune};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::Size;
use storagex::{Keys, decode, encode, put};

/// A stream of 60 frames, and the frames.
fn frames() -> (Vec<u8>, Vec<u8>) {
    let mut numbers = fastrand::Rng::with_seed(3);
    let bytes: Vec<u8> = (0..60 * 732).map(|_| numbers.u8(..)).collect();
    let mut frames = Vec::new();
    let options = encode::Options {
        size: Size {
            width: 16,
            height: 16,
        },
        level: 0,
        ..Default::default()
    };
    encode(Cursor::new(bytes.clone()), &mut frames, &options).unwrap();
    (bytes, frames)
}

fn open(folder: &Path, name: &str) -> Arc<dyn Store> {
    store::open(folder.join(name).as_os_str(), &Config::default()).unwrap()
}

fn put_to(stores: &[Arc<dyn Store>], parity: &str) -> Keys {
    let options = put::Options {
        parity: Some(parity.parse().unwrap()),
        ..put::Options::default()
    };
    put(Cursor::new(frames().1), stores, &options).unwrap().keys
}

/// The files of the pictures with a role, in order.
fn files(keys: &Keys, wanted: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    get::list(keys, &get::Options::default(), |source, role| {
        if role.to_string() == wanted {
            files.push(source.location().path());
        }
        Ok(())
    })
    .unwrap();
    files
}

/// Puts a folder in the place of a picture: reading it is an error, and not "not found".
fn spoil(file: &Path) {
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
}

fn comes_back(keys: &Keys) {
    let (mut frames_back, mut bytes) = (Vec::new(), Vec::new());
    get_frames(keys, &mut frames_back, &get::Options::default()).unwrap();
    decode(
        Cursor::new(frames_back),
        &mut bytes,
        &decode::Options::default(),
    )
    .unwrap();
    assert!(bytes == frames().0);
}

/// One of two stores is empty, and one picture of each group can't be read in the other, again and again
/// and by many workers.
#[test]
fn some_of_each_group_beside_an_empty_store() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(folder.path(), "a"), open(folder.path(), "b")];
    let keys = put_to(&stores, "10+2");
    for file in files(&keys, "data").iter().step_by(10) {
        spoil(file);
    }
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    for _ in 0..20 {
        comes_back(&keys);
        let salvaged = salvage(&keys, &mut Vec::new(), &get::Options::default()).unwrap();
        assert!(salvaged.gaps.is_empty(), "{:?}", salvaged.gaps);
    }
}

/// More in a row than a server may fail to give before it isn't asked any more.
#[test]
fn a_folder_is_never_down() {
    let folder = tempfile::tempdir().unwrap();
    let keys = put_to(&[open(folder.path(), "a")], "20+20");
    let data = files(&keys, "data");
    data[20..32].iter().for_each(|file| spoil(file));
    comes_back(&keys);
    let parity = files(&keys, "parity");
    parity[20..40].iter().for_each(|file| spoil(file));
    let salvaged = salvage(&keys, &mut Vec::new(), &get::Options::default()).unwrap();
    let lost: u64 = salvaged
        .gaps
        .iter()
        .map(|gap| gap.frames.end - gap.frames.start)
        .sum();
    assert_eq!(lost, 12, "{:?}", salvaged.gaps);
}

/// A root that can't be read has copies, in every store of the line; the check counts them there, and the
/// repair brings them back.
#[test]
fn a_root_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    for names in [&["a"][..], &["b", "c"]] {
        let stores: Vec<_> = names.iter().map(|name| open(folder.path(), name)).collect();
        let keys = put_to(&stores, "3+2");
        let report = || check(&keys, Sample::All, &get::Options::default()).unwrap();
        let whole = report();
        assert_eq!(whole.health(), Health::Whole);
        assert_eq!(whole.index.good, 3);
        for key in keys.all() {
            spoil(&key.location.path());
        }
        comes_back(&keys);
        assert_eq!(report().index.damaged, 1, "{names:?}");
        assert_eq!(report().health(), Health::Degraded);
        for key in keys.all() {
            fs::remove_dir(key.location.path()).unwrap();
        }
        repair(&keys, &get::Options::default()).unwrap();
        assert_eq!(report(), whole);
        let last = keys.all().last().unwrap().location.path();
        let copy = last.to_str().unwrap().replace(".png", ".2.png");
        fs::remove_file(&copy).unwrap();
        assert_eq!(report().index.good, if names.len() == 1 { 2 } else { 3 });
        assert_eq!(report().health(), Health::Degraded, "{names:?}");
        assert_eq!(repair(&keys, &get::Options::default()).unwrap().stored, 1);
        assert!(Path::new(&copy).exists());
    }
}

/// A store that doesn't take one picture takes the others, and other stores take theirs.
#[test]
fn a_repair_stores_all_that_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(folder.path(), "a"), open(folder.path(), "b")];
    let keys = put_to(&stores, "3+2");
    let data = files(&keys, "data");
    spoil(&data[0]);
    for file in data[3..].iter().step_by(3) {
        fs::remove_file(file).unwrap();
    }
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    let options = get::Options::default();
    let error = repair(&keys, &options).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let report = check(&keys, Sample::All, &options).unwrap();
    let bad = |name: &str| {
        let name = format!("file://{}", folder.path().join(name).display());
        let count = report.stores[&name];
        count.missing + count.damaged
    };
    assert_eq!((bad("a"), bad("b")), (1, 0), "{report:?}");
    // With one store, what can be rebuilt is.
    let keys = put_to(&[open(folder.path(), "c")], "3+2");
    let data = files(&keys, "data");
    spoil(&data[0]);
    fs::remove_file(&data[30]).unwrap();
    assert!(repair(&keys, &options).is_err());
    assert!(data[30].exists());
}

/// Two stores that are both named with --from have to have everything.
#[test]
fn every_store_that_is_named_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(folder.path(), "a"), open(folder.path(), "b")];
    let keys = put_to(&stores, "3+2");
    let options = get::Options {
        from: ["a", "b"]
            .map(|name| folder.path().join(name).into())
            .into(),
        ..get::Options::default()
    };
    let health = || check(&keys, Sample::All, &options).unwrap().health();
    assert_eq!(health(), Health::Whole);
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    assert_eq!(health(), Health::Degraded);
    // What was moved is at home where it is now.
    fs::rename(folder.path().join("a"), folder.path().join("c")).unwrap();
    let moved = get::Options {
        from: vec![folder.path().join("c").into()],
        ..get::Options::default()
    };
    let report = check(&keys, Sample::All, &moved).unwrap();
    assert_eq!(report.health(), Health::Whole, "{report:?}");
}

/// A prune reads all below each root that is there, even if another root of the line leads to as much.
#[test]
fn a_prune_reads_every_root_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "a");
    let keys = put_to(&[Arc::clone(&store)], "3+2");
    let named = put::Options {
        name: "another".into(),
        ..put::Options::default()
    };
    let stores = [Arc::clone(&store)];
    let other = put(Cursor::new(frames().1), &stores, &named).unwrap().keys;
    let line: Keys = format!("{keys} {other}").parse().unwrap();
    let root = other.first().location.path();
    let options = prune::Options {
        dry_run: true,
        ..prune::Options::new(std::time::SystemTime::now())
    };
    prune(&store, std::slice::from_ref(&line), &options).unwrap();
    spoil(&root);
    assert!(prune(&store, std::slice::from_ref(&line), &options).is_err());
    fs::remove_dir(&root).unwrap();
    prune(&store, &[line], &options).unwrap();
}
