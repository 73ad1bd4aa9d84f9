//! A table of pictures that outgrows memory: names, sorted, each with a number, in a temporary file
//! that has no name.
//!
//! Entries are collected in memory, sorted, and written as a run when there are [`MOST`]; the runs are
//! merged at the end. What is held in memory of a table is a fence: the start of every [`BLOCK`]th
//! name. A look-up finds its block there, and reads that from the file. So the pages of the file
//! belong to the cache of the system, and never to the process.

use crate::error::{Error, Result};
use crate::key::{Digest, Name};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of memory that a table takes while it is made, at most: entries, what sorts them, and
/// buffers. To these comes an eighth of a byte for each entry: the fence.
pub const MEMORY: usize = 32 << 20;

/// Digest, number of the copy, value.
const ENTRY: usize = KEY + 8;
const KEY: usize = 33;
/// Entries that are sorted in memory.
const MOST: usize = (8 << 20) / ENTRY;
/// Entries that a look-up reads.
const BLOCK: u64 = 64;
/// Bytes of buffers to merge with, and the least that a run has of them.
const BUFFERS: usize = 8 << 20;
const LEAST: usize = 100 * ENTRY;

type Entry = [u8; ENTRY];

fn entry(name: &Name, value: u64) -> Entry {
    let mut entry = [0; ENTRY];
    entry[..32].copy_from_slice(name.digest.bytes());
    entry[32] = name.copy;
    entry[KEY..].copy_from_slice(&value.to_le_bytes());
    entry
}

fn parts(entry: &[u8]) -> (Name, u64) {
    let (mut digest, mut value) = ([0; 32], [0; 8]);
    digest.copy_from_slice(&entry[..32]);
    value.copy_from_slice(&entry[KEY..]);
    let name = Name {
        digest: Digest::from_bytes(digest),
        copy: entry[32],
    };
    (name, u64::from_le_bytes(value))
}

fn failed(error: io::Error) -> Error {
    Error::io("cannot use a temporary file", error)
}

/// Makes a [`Table`].
pub struct Builder {
    /// Sorted runs, one after another.
    file: File,
    /// Where each ends.
    ends: Vec<u64>,
    entries: Vec<Entry>,
    /// How many are sorted in memory.
    most: usize,
}

impl Builder {
    /// A table without entries, with its files in `folder`.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io).
    pub fn new(folder: &Path) -> Result<Self> {
        Ok(Builder {
            file: tempfile::tempfile_in(folder).map_err(|e| failed(e).at(folder.display()))?,
            ends: Vec::new(),
            entries: Vec::new(),
            most: MOST,
        })
    }

    /// Adds an entry; of several for one name, the last one counts.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io).
    pub fn add(&mut self, name: &Name, value: u64) -> Result<()> {
        if self.entries.len() == self.most {
            self.spill()?;
        }
        self.entries.push(entry(name, value));
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        // Stable: the last one of a name stays the last.
        self.entries.sort_by(|a, b| a[..KEY].cmp(&b[..KEY]));
        let mut end = self.ends.last().copied().unwrap_or_default();
        for entries in self.entries.chunks(4096) {
            let bytes = entries.as_flattened();
            self.file.write_all_at(bytes, end).map_err(failed)?;
            end += bytes.len() as u64;
        }
        self.ends.push(end);
        self.entries.clear();
        Ok(())
    }

    /// Merges the runs.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io).
    pub fn finish(mut self, folder: &Path) -> Result<Table> {
        self.spill()?;
        self.entries = Vec::new();
        let file = tempfile::tempfile_in(folder).map_err(|e| failed(e).at(folder.display()))?;
        let mut table = Table {
            file,
            count: 0,
            fence: Vec::new(),
        };
        let mut output = BufWriter::with_capacity(1 << 16, table.file.try_clone().map_err(failed)?);
        let mut runs = self.runs();
        let mut heads = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next(&self.file)?.map(|entry| head(entry, at)));
        }
        let mut last: Option<Entry> = None;
        loop {
            let next = heads.pop();
            let same = |last: &Entry| {
                let next = next.as_ref();
                next.is_some_and(|Reverse((key, ..))| key[..] == last[..KEY])
            };
            if let Some(entry) = last.filter(|last| !same(last)) {
                table.note(&entry);
                output.write_all(&entry).map_err(failed)?;
            }
            let Some(Reverse((_, at, entry))) = next else {
                break;
            };
            last = Some(entry);
            heads.extend(runs[at].next(&self.file)?.map(|entry| head(entry, at)));
        }
        output.flush().map_err(failed)?;
        Ok(table)
    }

    fn runs(&self) -> Vec<Run> {
        let size = (BUFFERS / self.ends.len().max(1)).max(LEAST);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let runs = starts.zip(self.ends.iter().copied());
        runs.map(|(at, end)| Run {
            at,
            end,
            size: size - size % ENTRY,
            buffer: Vec::new(),
            used: 0,
        })
        .collect()
    }
}

/// The first entry of a run, in the order in which runs are merged: of those of one name, that of the
/// last run comes last.
fn head(entry: Entry, run: usize) -> Reverse<([u8; KEY], usize, Entry)> {
    let mut key = [0; KEY];
    key.copy_from_slice(&entry[..KEY]);
    Reverse((key, run, entry))
}

/// A sorted run that is read.
struct Run {
    at: u64,
    end: u64,
    /// Bytes that are read at once.
    size: usize,
    buffer: Vec<u8>,
    used: usize,
}

impl Run {
    fn next(&mut self, file: &File) -> Result<Option<Entry>> {
        if self.used == self.buffer.len() {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(left.min(self.size), 0);
            file.read_exact_at(&mut self.buffer, self.at)
                .map_err(failed)?;
            self.at += self.buffer.len() as u64;
            self.used = 0;
        }
        let entry = self.buffer[self.used..].first_chunk().copied();
        self.used += entry.map_or(0, |_| ENTRY);
        Ok(entry)
    }
}

/// Names of pictures, and a number for each.
pub struct Table {
    file: File,
    count: u64,
    /// What the first name of each block starts with.
    fence: Vec<u64>,
}

/// What a name starts with, in the order of names.
fn start(key: &[u8]) -> u64 {
    let start = key.first_chunk().copied();
    u64::from_be_bytes(start.unwrap_or_default())
}

impl Table {
    /// Takes note of an entry that is written behind the others.
    fn note(&mut self, entry: &Entry) {
        if self.count.is_multiple_of(BLOCK) {
            self.fence.push(start(entry));
        }
        self.count += 1;
    }

    /// The number of names.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The number of this name, if it is there.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io).
    pub fn get(&self, name: &Name) -> Result<Option<u64>> {
        let wanted = entry(name, 0);
        let key = &wanted[..KEY];
        // The blocks that it may be in: more than two only where names start alike.
        let mut first = self.fence.partition_point(|first| *first < start(key));
        let mut end = self.fence.partition_point(|first| *first <= start(key));
        first = first.saturating_sub(1);
        let mut block = Vec::new();
        while end - first > 1 {
            let middle = usize::midpoint(first, end);
            self.read(middle as u64 * BLOCK, 1, &mut block)?;
            match &block[..KEY] <= key {
                true => first = middle,
                false => end = middle,
            }
        }
        if first == end {
            return Ok(None);
        }
        self.read(first as u64 * BLOCK, BLOCK, &mut block)?;
        let (entries, _) = block.as_chunks::<ENTRY>();
        let found = entries.binary_search_by(|entry| entry[..KEY].cmp(key));
        Ok(found.ok().map(|at| parts(&entries[at]).1))
    }

    /// Reads so many entries from number `at` on, or what there is.
    fn read(&self, at: u64, entries: u64, to: &mut Vec<u8>) -> Result<()> {
        let entries = entries.min(self.count.saturating_sub(at));
        let bytes = usize::try_from(entries).unwrap_or(usize::MAX) * ENTRY;
        to.resize(bytes, 0);
        let read = self.file.read_exact_at(to, at * ENTRY as u64);
        read.map_err(failed)
    }

    /// Calls `each` with so many names from number `at` on, or those that there are.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io).
    pub fn some(&self, at: u64, names: usize, mut each: impl FnMut(Name)) -> Result<()> {
        let mut block = Vec::new();
        self.read(at, names as u64, &mut block)?;
        let (entries, _) = block.as_chunks::<ENTRY>();
        for entry in entries {
            each(parts(entry).0);
        }
        Ok(())
    }

    /// Calls `each` with all entries, in the order of the names.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`](crate::Kind::Io), and those of `each`.
    pub fn each(&self, mut each: impl FnMut(Name, u64) -> Result<()>) -> Result<()> {
        let (mut at, mut block) = (0, Vec::new());
        while at < self.count {
            self.read(at, BLOCK, &mut block)?;
            let (entries, _) = block.as_chunks::<ENTRY>();
            for entry in entries {
                let (name, value) = parts(entry);
                each(name, value)?;
            }
            at += BLOCK;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(number: u64, copy: u8) -> Name {
        let digest = Digest::of(&number.to_le_bytes());
        Name { digest, copy }
    }

    #[test]
    fn of_nothing() {
        let folder = std::env::temp_dir();
        let table = Builder::new(&folder).unwrap().finish(&folder).unwrap();
        assert_eq!(table.count(), 0);
        assert_eq!(table.get(&name(0, 0)).unwrap(), None);
    }

    #[test]
    fn names_that_start_alike_over_many_blocks() {
        let folder = std::env::temp_dir();
        let mut builder = Builder::new(&folder).unwrap();
        let alike = |number: u64| {
            let mut bytes = [7; 32];
            bytes[24..].copy_from_slice(&number.to_be_bytes());
            Name::from(Digest::from_bytes(bytes))
        };
        for number in 0..2000 {
            builder.add(&alike(number), number).unwrap();
        }
        let table = builder.finish(&folder).unwrap();
        for number in 0..2000 {
            assert_eq!(table.get(&alike(number)).unwrap(), Some(number));
        }
        assert_eq!(table.get(&alike(2000)).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn as_a_map_in_memory(
            added in proptest::collection::vec((0u64..700, 0u8..3, any::<u64>()), 0..2000),
            most in 1usize..900,
        ) {
            let folder = std::env::temp_dir();
            let mut builder = Builder { most, ..Builder::new(&folder).unwrap() };
            let mut map = BTreeMap::new();
            for &(number, copy, value) in &added {
                builder.add(&name(number, copy), value).unwrap();
                map.insert((*name(number, copy).digest.bytes(), copy), value);
            }
            let table = builder.finish(&folder).unwrap();
            prop_assert_eq!(table.count(), map.len() as u64);
            for number in 0..701 {
                for copy in 0..3 {
                    let expected = map.get(&(*name(number, copy).digest.bytes(), copy)).copied();
                    prop_assert_eq!(table.get(&name(number, copy)).unwrap(), expected);
                }
            }
            let mut all = Vec::new();
            table.each(|name, value| { all.push(((*name.digest.bytes(), name.copy), value)); Ok(()) }).unwrap();
            prop_assert_eq!(all, map.into_iter().collect::<Vec<_>>());
        }
    }
}
