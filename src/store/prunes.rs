//! Fossils: pictures that no key reached when their store was pruned, set aside until a later prune
//! removes them; and the record of prunes. "FOSSILS" in storagex(5).

use super::Store;
use crate::error::{Error, Kind, Result};
use crate::key::{Location, Name};
use std::fmt;
use std::fs::File;
use std::io::Read;

/// Where the record of prunes is, below the folder of a store.
pub const RECORD: &str = "fossils/prunes";
/// Bytes of a record, at most.
const MOST: u64 = 1 << 20;
/// What a record begins with.
const MAGIC: &str = "storagex-prunes 1 ";

/// Where in a store a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Where keys lead to.
    Pictures,
    /// Among the fossils that one prune has made.
    Fossils(Batch),
}

impl Shelf {
    /// What stands before the names of its pictures, below the folder of the store.
    #[must_use]
    pub fn prefix(self) -> String {
        match self {
            Shelf::Pictures => String::new(),
            Shelf::Fossils(batch) => format!("fossils/{batch}/"),
        }
    }
}

/// What one prune has made fossils. Shown as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch(pub u64);

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What prunes have done to a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Another number after each change.
    pub change: u64,
    /// The batches of fossils that there are; when the prune was done, in seconds since 1970, or
    /// nothing while it is under way.
    pub batches: Vec<(Batch, Option<u64>)>,
}

impl Record {
    /// Reads its text.
    ///
    /// # Errors
    ///
    /// [`Kind::Host`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: String| Error::from(Kind::Host(what)).at(RECORD);
        let hex = |text: &str| {
            let mut bytes = text.bytes();
            let digits = text.len() == 16 && bytes.all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
            digits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        let whole = text.strip_suffix('\n');
        let mut lines = whole.unwrap_or_default().split('\n');
        let first = lines.next().and_then(|line| line.strip_prefix(MAGIC));
        let Some(change) = first.and_then(hex) else {
            return Err(bad("no record of prunes, expected one".into()));
        };
        let batch = |line: &str| {
            let (batch, done) = line.split_once(' ')?;
            let done = match done {
                "-" => None,
                seconds if seconds.bytes().all(|c| c.is_ascii_digit()) => {
                    Some(seconds.parse().ok()?)
                }
                _ => return None,
            };
            Some((Batch(hex(batch)?), done))
        };
        let batches = lines.map(|line| {
            batch(line).ok_or_else(|| bad("a line that is no batch of fossils".into()))
        });
        Ok(Record {
            change,
            batches: batches.collect::<Result<_>>()?,
        })
    }

    /// Its text.
    #[must_use]
    pub fn render(&self) -> String {
        let batches = self.batches.iter().map(|(batch, done)| match done {
            Some(seconds) => format!("{batch} {seconds}\n"),
            None => format!("{batch} -\n"),
        });
        format!(
            "{MAGIC}{:016x}\n{}",
            self.change,
            batches.collect::<String>()
        )
    }

    /// Whether a prune is under way, or was interrupted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.batches.iter().any(|(_, done)| done.is_none())
    }
}

/// A store that can be pruned.
///
/// What it promises, besides what [`Store`] does:
///
/// - A picture that is moved is in at least one of the two places all the while, and whole.
/// - `list` gives every picture that is there from the beginning of the call to its end.
/// - What is missing is [`Kind::NotFound`] for `relocate`, and nothing to complain about for `remove`.
pub trait Prunable: Send + Sync {
    /// Keeps other prunes out until what this returns is dropped, if the store is able to; else none.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] while another prune runs.
    fn lock(&self) -> Result<Option<File>> {
        Ok(None)
    }

    /// The text of the record of prunes, if there is one, or none that we may read.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] and whatever the store refuses.
    fn record(&self) -> Result<Option<String>>;

    /// Keeps the text of the record, in place of the old one; durable when this returns.
    ///
    /// # Errors
    ///
    /// As [`Prunable::record`].
    fn set_record(&self, text: &str) -> Result<()>;

    /// Calls `each` with name and bytes of every picture on a shelf whose digest begins with `first`.
    ///
    /// # Errors
    ///
    /// As [`Prunable::record`], and those of `each`.
    fn list(
        &self,
        shelf: Shelf,
        first: u8,
        each: &mut dyn FnMut(Name, u64) -> Result<()>,
    ) -> Result<()>;

    /// Moves a picture from one shelf to another.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`], and as [`Prunable::record`].
    fn relocate(&self, name: &Name, from: Shelf, to: Shelf) -> Result<()>;

    /// Removes a picture for good, if it is there.
    ///
    /// # Errors
    ///
    /// As [`Prunable::record`].
    fn remove(&self, name: &Name, from: Shelf) -> Result<()>;

    /// Tidies up after a batch that has no fossils left. Never removes a picture.
    ///
    /// # Errors
    ///
    /// As [`Prunable::record`].
    fn tidy(&self, _batch: Batch) -> Result<()> {
        Ok(())
    }
}

/// Reads the text of a record.
pub(super) fn read_text(from: &mut dyn Read) -> Result<String> {
    let mut text = String::new();
    let read = from.take(MOST).read_to_string(&mut text);
    read.map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Kind::Host("no record of prunes".into()).into(),
        _ => Error::io("cannot read", e),
    })?;
    Ok(text)
}

/// Where the fossils of a picture may be, whose place in this store would be `place`, by the record
/// there. None where there is no record.
pub(crate) fn batches(store: &dyn Store, place: &Location, name: &Name) -> Vec<Batch> {
    let Some(folder) = place.store_of(name) else {
        return Vec::new();
    };
    let mut text = String::new();
    let read = store.get(&Location::below(folder, RECORD), &mut |from| {
        text = read_text(from)?;
        Ok(())
    });
    let record = read.and_then(|()| Record::parse(&text));
    let batches = record.map(|record| record.batches).unwrap_or_default();
    batches.into_iter().map(|(batch, _)| batch).collect()
}

/// The place of a fossil of a picture whose own place is `place`.
pub(crate) fn fossil(place: &Location, name: &Name, batch: Batch) -> Option<Location> {
    let folder = place.store_of(name)?;
    let prefix = Shelf::Fossils(batch).prefix();
    Some(Location::below(folder, &format!("{prefix}{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            change: 7,
            batches: vec![(Batch(1), Some(1_790_000_000)), (Batch(u64::MAX), None)],
        };
        let text = record.render();
        assert_eq!(
            text,
            "storagex-prunes 1 0000000000000007\n0000000000000001 1790000000\nffffffffffffffff -\n"
        );
        assert_eq!(Record::parse(&text).unwrap(), record);
        assert!(record.is_open());
        for bad in [
            "",
            "x",
            "storagex-prunes 2 0000000000000007\n",
            "storagex-prunes 1 7\n",
            "storagex-prunes 1 0000000000000007\nx\n",
            "storagex-prunes 1 0000000000000007\n0000000000000001 x\n",
            "storagex-prunes 1 0000000000000007\n+000000000000001 1\n",
        ] {
            assert!(Record::parse(bad).is_err(), "{bad}");
        }
    }
}
