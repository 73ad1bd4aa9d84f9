//! The contract that every store keeps: the promises of [`Store`], in small checks. A store takes a
//! line in `STORES`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storagex::key::{Digest, Location};
use storagex::store::{self, Store};
use storagex::wire::frame::Size;
use storagex::wire::pixels;
use storagex::{Kind, Result};
use tempfile::TempDir;

/// What makes a store for a check, empty and its own.
type Make = fn() -> Subject;

const STORES: [(&str, Make); 1] = [("dir", dir)];

/// A store, and the ways to look behind it.
struct Subject {
    store: Arc<dyn Store>,
    /// A second one of the same pictures, as another process has it.
    other: Arc<dyn Store>,
    /// The folder that the pictures end up in.
    folder: PathBuf,
    _keep: TempDir,
}

fn dir() -> Subject {
    let keep = tempfile::tempdir().unwrap();
    let folder = keep.path().join("new/store");
    let open = || store::open(folder.as_os_str()).unwrap();
    Subject {
        store: open(),
        other: open(),
        folder: folder.clone(),
        _keep: keep,
    }
}

/// A picture of pixels that begin with these, and its digest.
fn picture(start: &[u8]) -> (Digest, Vec<u8>) {
    let size = Size {
        width: 100,
        height: 100,
    };
    let mut bytes = vec![0; size.pixel_bytes()];
    bytes[..start.len()].copy_from_slice(start);
    let mut png = Vec::new();
    pixels::render(&bytes, size, &mut png);
    (Digest::of(&bytes), png)
}

fn read(store: &dyn Store, location: &Location) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.get(location)?.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn every_file(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                every_file(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Runs a check on every store.
fn each(check: impl Fn(&Subject)) {
    for (name, make) in STORES {
        println!("{name}");
        check(&make());
    }
}

#[test]
fn put_then_get_gives_the_same() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        subject.store.sync().unwrap();
        assert_eq!(read(subject.store.as_ref(), &location).unwrap(), png);
        assert_eq!(read(subject.other.as_ref(), &location).unwrap(), png);
        assert_eq!(read(store::at(&location).as_ref(), &location).unwrap(), png);
    });
}

#[test]
fn a_location_names_the_digest() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        assert!(location.to_string().ends_with(&digest.name()), "{location}");
        assert_eq!(location.reference(&digest), format!("../{}", digest.name()));
        assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
    });
}

#[test]
fn put_twice_is_as_good_as_once() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let first = subject.store.put(&digest, &png).unwrap();
        let again = subject.other.put(&digest, &png).unwrap();
        assert_eq!(first, again);
        assert_eq!(read(subject.store.as_ref(), &first).unwrap(), png);
        assert_eq!(every_file(&subject.folder).len(), 1);
    });
}

#[test]
fn what_is_there_and_good_is_not_written_again() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        subject.store.put(&digest, &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        let before = fs::metadata(file).unwrap();
        subject.other.put(&digest, &png).unwrap();
        let after = fs::metadata(file).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    });
}

#[test]
fn what_is_there_and_damaged_is_replaced() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        let (_, other) = picture(b"other");
        for bad in [&png[..png.len() / 2], b"", &other] {
            fs::write(file, bad).unwrap();
            subject.store.put(&digest, &png).unwrap();
            assert_eq!(read(subject.store.as_ref(), &location).unwrap(), png);
        }
    });
}

#[test]
fn many_at_once_and_the_same_at_once() {
    each(|subject| {
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                scope.spawn(move || {
                    for i in 0..40 {
                        let (digest, png) = picture(&[i, thread % 2]);
                        let location = subject.store.put(&digest, &png).unwrap();
                        assert_eq!(read(subject.other.as_ref(), &location).unwrap(), png);
                    }
                });
            }
        });
        assert_eq!(every_file(&subject.folder).len(), 80);
    });
}

/// While one writes a picture over and over, others see it whole or not at all.
#[test]
fn nobody_sees_half_a_picture() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        let file = subject.folder.join(digest.name());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..200 {
                    fs::remove_file(&file).unwrap();
                    subject.store.put(&digest, &png).unwrap();
                }
            });
            while !writer.is_finished() {
                match read(subject.other.as_ref(), &location) {
                    Ok(bytes) => assert!(bytes == png, "{} bytes", bytes.len()),
                    Err(e) => assert_eq!(e.kind(), &Kind::NotFound),
                }
            }
        });
    });
}

#[test]
fn what_is_missing_is_not_found() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let there = subject.store.put(&digest, &png).unwrap();
        let (missing, _) = picture(b"missing");
        let location = there.to_string().replace(&digest.name(), &missing.name());
        let location: Location = location.parse().unwrap();
        let error = subject.store.get(&location).err().unwrap();
        assert_eq!(error.kind(), &Kind::NotFound);
        let error = subject.store.made(&location).unwrap_err();
        assert_eq!(error.kind(), &Kind::NotFound);
    });
}

#[test]
fn when_it_was_put_is_known_or_not() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        if let Some(made) = subject.store.made(&location).unwrap() {
            assert!(made.elapsed().unwrap_or_default().as_secs() < 3600);
        }
    });
}

/// A store in a place that can't be written: here below a file.
#[test]
fn a_folder_that_can_not_be_written() {
    let keep = tempfile::tempdir().unwrap();
    fs::write(keep.path().join("file"), "").unwrap();
    let store = store::open(keep.path().join("file/store").as_os_str()).unwrap();
    let (digest, png) = picture(b"hello");
    let error = store.put(&digest, &png).unwrap_err();
    assert_eq!(error.kind(), &Kind::Io("cannot make folder"));
    assert!(error.to_string().contains("file/store"), "{error}");
}
