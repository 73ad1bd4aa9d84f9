//! A folder. Pictures are named after their digests, `ab/abcd….png`.

use super::prunes::{RECORD, read_text};
use super::{Batch, Prunable, Shelf, Store};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location, Name};
use crate::output::{Output, sync_folder};
use crate::progress::Progress;
use crate::wire::{self, carrier::container};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// A folder that keeps pictures, created when the first one is put.
///
/// A picture is written to a file without a name, made durable, and then given its name, so it is
/// there whole or not at all. A picture that is already there is read and compared by its digest:
/// if something has damaged the file, it is replaced.
pub struct Dir {
    root: PathBuf,
    /// The folders that need a sync since something was put into them, and those above them: at
    /// most 256, and as many as the path of the root has components.
    folders: Mutex<BTreeSet<PathBuf>>,
    progress: Progress,
}

impl Dir {
    /// The store in this folder.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] if the path is relative and the current folder isn't known.
    pub fn new(root: &Path) -> Result<Self> {
        let root =
            std::path::absolute(root).map_err(|e| Error::io("cannot use", e).at(root.display()))?;
        Ok(Dir {
            root,
            folders: Mutex::default(),
            progress: Progress::default(),
        })
    }

    /// A store to read from, wherever the location is.
    pub(super) fn reader() -> Self {
        Dir {
            root: PathBuf::from("/"),
            folders: Mutex::default(),
            progress: Progress::default(),
        }
    }

    /// The same store, which counts what it finds and is sent.
    pub(super) fn counting(self, progress: Progress) -> Self {
        Dir { progress, ..self }
    }
}

impl Dir {
    /// Notes that the folders of a new file need a sync; returns the file's location.
    fn to_sync(&self, path: &Path) -> Result<Location> {
        let mut folders = self
            .folders
            .lock()
            .expect("internal error: a worker panicked");
        folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        Location::from_path(path)
    }
}

impl Store for Dir {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let path = self.root.join(name.to_string());
        if is_good(&path, &name.digest, png) {
            make_durable(&path)?; // who put it may not have come to that
            self.progress.found();
        } else {
            write(&path, png)?;
            self.progress.sent(png.len());
        }
        self.to_sync(&path)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let path = self.root.join(name.to_string());
        write(&path, png)?;
        self.progress.sent(png.len());
        self.to_sync(&path)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        Location::from_path(&self.root.join(name.to_string())).ok()
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        Some(self)
    }

    fn still_has(&self, location: &Location) -> Result<bool> {
        let path = location.path();
        let there = fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() > 0);
        if there {
            self.to_sync(&path)?; // who put it may not have come to that
        }
        Ok(there)
    }

    fn sync(&self) -> Result<()> {
        let mut folders = self
            .folders
            .lock()
            .expect("internal error: a worker panicked");
        folders.iter().try_for_each(|folder| sync_folder(folder))?;
        folders.clear();
        Ok(())
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut file = open_file(&location.path()).map_err(unreadable)?;
        read(&mut file)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        let metadata = fs::metadata(location.path()).map_err(unreadable)?;
        Ok(metadata.modified().ok())
    }
}

impl Dir {
    fn on(&self, shelf: Shelf, name: &Name) -> PathBuf {
        self.root.join(shelf.prefix()).join(name.to_string())
    }
}

impl Prunable for Dir {
    fn lock(&self) -> Result<Option<File>> {
        let Ok(folder) = File::open(&self.root) else {
            return Ok(None); // there is nothing to prune
        };
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(folder)),
            Err(Errno::WOULDBLOCK) => {
                let what = "another prune is running, expected one at a time";
                Err(Error::from(Kind::Io(what)).at(self.root.display()))
            }
            Err(_) => Ok(None), // a file system without locks
        }
    }

    fn record(&self) -> Result<Option<String>> {
        match open_file(&self.root.join(RECORD)) {
            Ok(mut file) => read_text(&mut file).map(Some),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(e) => Err(unreadable(e).at(RECORD)),
        }
    }

    fn set_record(&self, text: &str) -> Result<()> {
        let path = self.root.join(RECORD);
        write(&path, text.as_bytes())?;
        path.ancestors().skip(1).take(2).try_for_each(sync_folder)
    }

    fn list(
        &self,
        shelf: Shelf,
        first: u8,
        each: &mut dyn FnMut(Name, u64) -> Result<()>,
    ) -> Result<()> {
        let folder = self.root.join(shelf.prefix()).join(format!("{first:02x}"));
        let failed = |e| Error::io("cannot read", e).at(folder.display());
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let file = entry.file_name();
            let name = file.to_str().and_then(Name::from_file);
            let Some(name) = name.filter(|name| name.digest.bytes()[0] == first) else {
                continue; // not ours
            };
            match entry.metadata() {
                Ok(file) if file.is_file() => each(name, file.len())?,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {} // moved meanwhile
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(())
    }

    fn relocate(&self, name: &Name, from: Shelf, to: Shelf) -> Result<()> {
        let (from, to) = (self.on(from, name), self.on(to, name));
        let failed = |e: io::Error| match e.kind() {
            ErrorKind::NotFound => Error::from(Kind::NotFound),
            _ => Error::io("cannot move", e).at(from.display()),
        };
        match fs::rename(&from, &to) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                make_folder(&to)?;
                fs::rename(&from, &to).map_err(failed)?;
            }
            other => other.map_err(failed)?,
        }
        self.to_sync(&to).map(drop) // if it is still at the old place after a power cut, no harm is done
    }

    fn remove(&self, name: &Name, from: Shelf) -> Result<()> {
        let path = self.on(from, name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(Error::io("cannot remove", e).at(path.display()))
            }
            _ => Ok(()),
        }
    }

    fn tidy(&self, batch: Batch) -> Result<()> {
        let folder = self.root.join(Shelf::Fossils(batch).prefix());
        let below = (0..=u8::MAX).map(|first| folder.join(format!("{first:02x}")));
        // A folder that isn't empty stays.
        below
            .chain([folder.clone()])
            .for_each(|folder| drop(fs::remove_dir(folder)));
        let gone = |folder: &PathBuf| !folder.starts_with(self.root.join("fossils"));
        let folders = self.folders.lock();
        folders
            .expect("internal error: a worker panicked")
            .retain(gone);
        Ok(())
    }
}

fn make_folder(path: &Path) -> Result<()> {
    let folder = path.parent().expect("internal error: a name with a folder");
    let made = fs::create_dir_all(folder);
    made.map_err(|e| Error::io("cannot make folder", e).at(folder.display()))
}

fn write(path: &Path, png: &[u8]) -> Result<()> {
    make_folder(path)?;
    let mut output = Output::new(path)?;
    output.write_all(png).map_err(Error::output)?;
    output.place()
}

fn make_durable(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("cannot make durable", e).at(path.display()))
}

/// Opens a regular file and nothing else: a named pipe would block.
fn open_file(path: &Path) -> io::Result<File> {
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options()
        .read(true)
        .custom_flags(without_waiting)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Kind::NotFound.into(),
        _ => Error::io("cannot read", error),
    }
}

/// Whether a good picture is at `path`: this one to the byte, or another PNG of the same pixels.
fn is_good(path: &Path, digest: &Digest, png: &[u8]) -> bool {
    let Ok(mut file) = open_file(path) else {
        return false;
    };
    holds(&mut file, png).unwrap_or(false) || has_digest(path, digest)
}

/// Whether a file holds exactly these bytes; reads it piece by piece.
fn holds(file: &mut File, mut bytes: &[u8]) -> io::Result<bool> {
    let mut piece = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(bytes.is_empty());
        }
        match bytes.strip_prefix(&piece[..count]) {
            Some(rest) => bytes = rest,
            None => return Ok(false),
        }
    }
}

fn has_digest(path: &Path, digest: &Digest) -> bool {
    let (mut png, mut pixels) = (Vec::new(), Vec::new());
    open_file(path).is_ok_and(|file| {
        container::single(file, wire::MAX_LIMIT, &mut png).is_ok()
            && wire::carrier::pixels::parse(&png, &mut pixels).is_ok()
            && Digest::of(&pixels) == *digest
    })
}
