//! What an upload that was interrupted has stored: "Journals" in storagex(5).

use crate::error::{Error, Kind, Result, shown};
use crate::key::{Digest, Location, Name};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a journal begins with.
const MAGIC: &str = "storagex-journal 1";
/// Bytes of a line, at most.
const MOST: u64 = 1 << 16;

/// A journal that is being written, by us alone.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
}

/// The store that a journal is of.
pub(super) struct Head<'a> {
    /// As [`Store::id`](crate::store::Store::id) says.
    pub store: &'a str,
    /// What is known of the prunes of the store.
    pub prunes: &'a str,
}

/// A line of a journal without its end, if that is there.
fn line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    from.take(MOST)
        .read_until(b'\n', &mut line)
        .map_err(|e| Error::io("cannot read", e))?;
    match line.pop() {
        Some(b'\n') if !line.is_ascii() => {
            bad("bytes that aren't ASCII, expected a journal of an upload".into())
        }
        Some(b'\n') => Ok(String::from_utf8(line).ok()),
        Some(_) if line.len() as u64 + 1 == MOST => bad("a line that is too long".into()),
        _ => Ok(None),
    }
}

fn bad<T>(what: String) -> Result<T> {
    Err(Kind::Journal(what).into())
}

/// Locks a file that only one process at a time may write.
///
/// # Errors
///
/// [`Kind::Journal`] where another process writes it; [`Kind::Io`].
pub(super) fn lock(file: &File) -> Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => bad("another process writes it, expected one at a time".into()),
        Err(e) => Err(Error::io("cannot lock", e.into())),
    }
}

impl Journal {
    /// Opens a journal, or makes it; calls `each` with what has been stored, in order. What it lists
    /// is forgotten where the store has been pruned since: gives whether it was.
    ///
    /// # Errors
    ///
    /// [`Kind::Journal`] where another process writes it, where it is of another store, and where it
    /// is something else; [`Kind::Io`]; those of `each`.
    pub fn open(
        path: &Path,
        head: &Head,
        each: impl FnMut(Name, Location) -> Result<()>,
    ) -> Result<(Self, bool)> {
        let at = |e: Error| e.at(path.display());
        let mut options = File::options();
        let opened = options.read(true).append(true).create(true).open(path);
        let mut file = opened.map_err(|e| at(Error::io("cannot open", e)))?;
        lock(&file).map_err(at)?;
        let (keep, pruned) = read(&file, head, each).map_err(at)?;
        let cut = |e| at(Error::io("cannot write", e));
        file.set_len(keep).map_err(cut)?;
        if keep == 0 {
            let first = format!("{MAGIC} {} {}\n", head.store, head.prunes);
            file.write_all(first.as_bytes()).map_err(cut)?;
        }
        let journal = Journal {
            path: path.to_owned(),
            file: Mutex::new(file),
        };
        Ok((journal, pruned))
    }

    /// Notes that a picture has been stored.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`].
    pub fn add(&self, name: &Name, location: &Location) -> Result<()> {
        let mut file = self.file.lock().expect("internal error: a worker panicked");
        let written = file.write_all(format!("{} {location}\n", text(name)).as_bytes());
        written.map_err(|e| Error::io("cannot write", e).at(self.path.display()))
    }
}

/// A name in a journal: the digest, and the number of the copy after a dot.
fn text(name: &Name) -> String {
    match name.copy {
        0 => name.digest.to_string(),
        copy => format!("{}.{copy}", name.digest),
    }
}

fn name(text: &str) -> Option<Name> {
    let (digest, copy) = match text.split_once('.') {
        None => (text, 0),
        Some((digest, copy)) => {
            let is_digits = copy.bytes().all(|c| c.is_ascii_digit());
            let copy = copy.parse().ok().filter(|copy| is_digits && *copy > 0);
            (digest, copy?)
        }
    };
    let digest = Digest::from_checksum(&format!("blake3:{digest}"))?;
    Some(Name { digest, copy })
}

/// Reads a journal; gives how many bytes of it are to be kept, and whether the store was pruned since
/// it was begun.
fn read(
    mut file: &File,
    head: &Head,
    mut each: impl FnMut(Name, Location) -> Result<()>,
) -> Result<(u64, bool)> {
    let unreadable = |e| Error::io("cannot read", e);
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut from = BufReader::new(file);
    let Some(first) = line(&mut from)? else {
        let mut start = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let rest = file.take(MAGIC.len() as u64);
        { rest }.read_to_end(&mut start).map_err(unreadable)?;
        return match MAGIC.as_bytes().starts_with(&start) {
            true => Ok((0, false)),
            false => bad("no journal of an upload, expected one or a new file".into()),
        };
    };
    let words: Vec<&str> = first.split(' ').collect();
    let (store, prunes) = match words[..] {
        ["storagex-journal", "1", store, prunes] => (store, prunes),
        ["storagex-journal", version, ..] if version != "1" => {
            return bad(format!("version {}, expected 1", shown(version)));
        }
        _ => return bad("no journal of an upload, expected one or a new file".into()),
    };
    if store != head.store {
        let (found, expected) = (shown(store), head.store);
        return bad(format!("journal of store {found}, expected {expected}"));
    }
    if prunes != head.prunes {
        return Ok((0, true));
    }
    let mut keep = first.len() as u64 + 1;
    for number in 2u64.. {
        let Some(text) = line(&mut from)? else {
            break; // or it is torn
        };
        let parts = text.split_once(' ');
        let parts = parts.and_then(|(n, location)| Some((name(n)?, location.parse().ok()?)));
        let Some((name, location)) = parts else {
            let found = shown(&text);
            return bad(format!(
                "line {number}: {found}, expected a digest and a location"
            ));
        };
        each(name, location)?;
        keep += text.len() as u64 + 1;
    }
    Ok((keep, false))
}

/// Reads a journal that says anything, once under the head that it has itself: the body of a fuzz
/// target. See [`crate::hostile`].
#[cfg(any(test, fuzzing))]
pub fn hostile(data: &[u8]) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    let first = data.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let mut words = first.split(' ').skip(2);
    let mut word = || words.next().unwrap_or_default();
    let (store, prunes) = (word(), word());
    let mut count = 0;
    let each = |found: Name, _: Location| {
        assert_eq!(name(&text(&found)), Some(found));
        count += 1;
        Ok(())
    };
    if let Ok((keep, _)) = read(&file, &Head { store, prunes }, each) {
        assert!(keep <= data.len() as u64 && count <= data.len());
        assert!(keep == 0 || data[..usize::try_from(keep).unwrap()].ends_with(b"\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        store: "file:///store",
        prunes: "-",
    };

    fn open(path: &Path, head: &Head) -> Result<(Vec<String>, Journal, bool)> {
        let mut lines = Vec::new();
        let (journal, pruned) = Journal::open(path, head, |name, location| {
            lines.push(format!("{} {location}", text(&name)));
            Ok(())
        })?;
        Ok((lines, journal, pruned))
    }

    fn picture(n: u8, copy: u8) -> (Name, Location) {
        let digest = Digest::of(&[n]);
        let name = Name { digest, copy };
        (name, format!("file:///store/{name}").parse().unwrap())
    }

    #[test]
    fn what_was_added_is_read_up_to_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut whole = Vec::new();
        for round in 0..5 {
            let (lines, journal, _) = open(&path, &HEAD).unwrap();
            assert_eq!(lines.len(), round);
            let (name, location) = picture(u8::try_from(round).unwrap(), 3);
            journal.add(&name, &location).unwrap();
            drop(journal);
            whole = std::fs::read(&path).unwrap();
            let mut torn = whole.clone();
            torn.extend_from_slice(&whole[whole.len() - 80..whole.len() - 1]);
            std::fs::write(&path, torn).unwrap();
        }
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (lines, journal, _) = open(&path, &HEAD).unwrap();
            let ends = String::from_utf8_lossy(&whole[..cut]).matches('\n').count();
            assert_eq!(lines.len(), ends.saturating_sub(1), "{cut}");
            let (name, location) = picture(9, 0);
            journal.add(&name, &location).unwrap();
            drop(journal);
            let (again, ..) = open(&path, &HEAD).unwrap();
            assert_eq!(again.len(), lines.len() + 1);
        }
    }

    #[test]
    fn refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (_, journal, _) = open(&path, &HEAD).unwrap();
        let error = |head: &Head| match open(&path, head) {
            Err(e) => {
                assert!(matches!(e.kind(), Kind::Journal(_)), "{e}");
                e.to_string()
            }
            Ok(_) => panic!("taken"),
        };
        assert!(error(&HEAD).contains("another process"));
        drop(journal);
        let other = Head {
            store: "s3://bucket",
            ..HEAD
        };
        assert!(error(&other).contains("journal of store file:///store, expected s3://bucket"));
        let text = std::fs::read_to_string(&path).unwrap();
        for (bad, why) in [
            ("precious".to_owned(), "no journal"),
            ("precious\n".into(), "no journal"),
            ("\u{fffd}".into(), "no journal"),
            (text.replace(" 1 ", " 2 "), "version 2"),
            (format!("{text}abc file:///x\n"), "line 2"),
            (format!("{text}{}\n", Digest::of(b"")), "line 2"),
            (format!("{text}{} /x\n", Digest::of(b"")), "line 2"),
            (format!("{text}{}\n", "x".repeat(70_000)), "too long"),
        ] {
            std::fs::write(&path, &bad).unwrap();
            let said = error(&HEAD);
            assert!(said.contains(why), "{said}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bad, "touched");
        }
        std::fs::write(&path, b"\xff\xfe\0 binary").unwrap();
        assert!(error(&HEAD).contains("no journal"));
    }

    #[test]
    fn of_a_store_that_was_pruned_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (_, journal, _) = open(&path, &HEAD).unwrap();
        let (name, location) = picture(1, 0);
        journal.add(&name, &location).unwrap();
        drop(journal);
        let later = Head {
            prunes: "abcd",
            ..HEAD
        };
        let (lines, journal, pruned) = open(&path, &later).unwrap();
        assert!(lines.is_empty() && pruned);
        journal.add(&name, &location).unwrap();
        drop(journal);
        let (lines, _, pruned) = open(&path, &later).unwrap();
        assert!(lines.len() == 1 && !pruned);
    }
}
