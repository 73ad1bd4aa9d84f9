//! A folder. Pictures are named after their digests, `ab/abcd….png`.

use super::Store;
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location};
use crate::output::{Output, sync_folder};
use crate::wire::{self, pictures};
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

/// A folder that keeps pictures, made when the first one is put.
///
/// A picture is written to a file without a name, made durable, and then given its name, so it is
/// there whole or not at all. One that is there already is read and compared by its digest: a file
/// that something else damaged is replaced, not believed.
pub struct Dir {
    root: PathBuf,
    /// The folders in which something was put since they were synced, and those above them: 256, and as
    /// many as the path of the root has components.
    folders: Mutex<BTreeSet<PathBuf>>,
}

impl Dir {
    /// The store in this folder.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] where the path is relative and the current folder isn't known.
    pub fn new(root: &Path) -> Result<Self> {
        let root =
            std::path::absolute(root).map_err(|e| Error::io("cannot use", e).at(root.display()))?;
        Ok(Dir {
            root,
            folders: Mutex::default(),
        })
    }

    /// A store to read from, wherever the location is.
    pub(super) fn reader() -> Self {
        Dir {
            root: PathBuf::from("/"),
            folders: Mutex::default(),
        }
    }
}

impl Store for Dir {
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let path = self.root.join(digest.name());
        match is_good(&path, digest, png) {
            true => make_durable(&path)?, // who put it may not have come to that
            false => write(&path, png)?,
        }
        let mut folders = self
            .folders
            .lock()
            .expect("internal error: a worker panicked");
        folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        Location::from_path(&path)
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

fn write(path: &Path, png: &[u8]) -> Result<()> {
    let folder = path.parent().expect("internal error: a name with a folder");
    fs::create_dir_all(folder)
        .map_err(|e| Error::io("cannot make folder", e).at(folder.display()))?;
    let mut output = Output::new(path)?;
    output.write_all(png).map_err(Error::output)?;
    output.place()
}

fn make_durable(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|e| Error::io("cannot make durable", e).at(path.display()))
}

/// Opens a regular file. Nothing else: a named pipe would keep us waiting.
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
        pictures::single(file, wire::MAX_LIMIT, &mut png).is_ok()
            && wire::pixels::parse(&png, &mut pixels).is_ok()
            && Digest::of(&pixels) == *digest
    })
}
