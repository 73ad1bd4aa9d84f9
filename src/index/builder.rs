//! Makes a tree of indexes.

use super::{Entry, GroupEntry, Index, Link, MAX_LEVELS, MAX_TEXT, MOST_STORES, ParityEntry};
use crate::error::{Kind, Result};
use crate::key::{Digest, Name};
use crate::wire::frame::Size;
use crate::wire::parity::{MOST_PARITY, Parity};
use serde::Serialize;

/// A stored picture: the source of an [`Entry`].
#[derive(Debug, Clone)]
pub struct Stored {
    /// The locations of it and its copies, and its digest.
    pub link: Link,
    /// Bytes of stream that it covers.
    pub bytes: u64,
    /// Width and height, or the greatest ones that an index covers.
    pub size: Size,
}

/// The parity of a group of data frames.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Length of the shards, in bytes.
    pub shard: usize,
    /// The stored parity frames.
    pub parity: Vec<Link>,
    /// The number of stores that the group is spread over, if it is.
    pub spread: Option<usize>,
}

/// Stores the text of an index; returns its location.
type Keep<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Link>;

/// Makes the tree of indexes for frames that are added one after another.
///
/// Each level collects the entries of one index. When the next ones don't fit, the index is stored
/// and becomes an entry one level up. So at most one index a level is in memory. A group is never
/// divided.
pub struct Builder {
    /// Bytes of JSON that an index has room for, besides those of an index without entries.
    room: usize,
    filename: String,
    parity: Option<Parity>,
    /// Copies of each index.
    copies: Option<u64>,
    levels: Vec<Level>,
}

/// The index of a level, as it fills.
struct Level {
    index: Index,
    is_leaf: bool,
    entries: Vec<Entry>,
    groups: Vec<GroupEntry>,
    json_length: usize,
    first: (u64, u64),
}

/// Entries that are added to a level at once, and never divided.
struct Unit {
    entries: Vec<Entry>,
    group: Option<(GroupEntry, Option<usize>)>,
    json_length: usize,
    frames: u64,
    size: Size,
}

impl Builder {
    /// A tree of indexes of at most `capacity` bytes each, with this filename in its root, for
    /// groups with this `parity`, if any.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`] if there is no room for two entries, which a tree needs, or for a group;
    /// [`Kind::Name`] if the name leaves no room.
    pub fn new(capacity: usize, filename: String, parity: Option<Parity>) -> Result<Self> {
        let mut builder = Builder {
            room: 0,
            filename,
            parity,
            copies: parity.map(|parity| parity.parity as u64),
            levels: Vec::new(),
        };
        builder.set_capacity(capacity)?;
        Ok(builder)
    }

    /// Whether nothing has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Sets the capacity of an index, before anything is added.
    ///
    /// # Errors
    ///
    /// As [`Builder::new`].
    pub fn set_capacity(&mut self, capacity: usize) -> Result<()> {
        let (parity, filename) = (self.parity, &self.filename);
        let capacity = capacity.min(MAX_TEXT);
        let grouped = if parity.is_some() { GROUPED } else { 0 };
        let room = |name: &str| capacity.saturating_sub(envelope(name) + grouped);
        let needed = needed(parity);
        if room("") < needed {
            let expected = envelope("") + grouped + needed;
            let what = format!("an index frame for {capacity} bytes, expected at least {expected}");
            return Err(Kind::Size(what).into());
        }
        if room(filename) < needed {
            let most = room("") - needed;
            let what = format!(
                "a name of {} bytes, expected at most {most}",
                filename.len()
            );
            return Err(Kind::Name(what).into());
        }
        self.room = room(filename);
        Ok(())
    }

    /// Adds the next data frames: those of a group and its parity, or any number without parity;
    /// `keep` stores an index that is full.
    ///
    /// # Errors
    ///
    /// Those of `keep`; [`Kind::Size`] if index frames are too small for a tree.
    pub fn add(
        &mut self,
        frames: &[Stored],
        protection: Option<&Protection>,
        keep: Keep,
    ) -> Result<()> {
        match protection {
            Some(_) => self.add_at(0, frames, protection, frames.len() as u64, keep),
            None => frames
                .iter()
                .try_for_each(|frame| self.add_at(0, std::slice::from_ref(frame), None, 1, keep)),
        }
    }

    fn add_at(
        &mut self,
        depth: usize,
        children: &[Stored],
        protection: Option<&Protection>,
        frames: u64,
        keep: Keep,
    ) -> Result<()> {
        if self.levels.len() == depth {
            self.push_level(depth)?;
        }
        let unit = self.levels[depth].unit(children, protection, frames);
        if unit.json_length > self.room {
            let (room, length) = (self.room, unit.json_length);
            let what = format!("an index frame with room for {room} bytes, expected {length}");
            return Err(Kind::Size(what).into());
        }
        if self.levels[depth].json_length + unit.json_length > self.room {
            let (index, frames) = self.close(depth, keep)?;
            self.add_at(depth + 1, &[index], None, frames, keep)?;
        }
        self.levels[depth].add(unit);
        Ok(())
    }

    fn push_level(&mut self, depth: usize) -> Result<()> {
        if depth == MAX_LEVELS {
            let what = format!("index frames so small that a tree has over {MAX_LEVELS} levels");
            return Err(Kind::Size(format!("{what}, expected larger ones")).into());
        }
        self.levels.push(Level::new(depth == 0, (0, 0)));
        Ok(())
    }

    /// Stores the index of a level and starts the next one there.
    fn close(&mut self, depth: usize, keep: Keep) -> Result<(Stored, u64)> {
        let end = self.levels[depth].end();
        let next = Level::new(depth == 0, end);
        let index =
            std::mem::replace(&mut self.levels[depth], next).finish(String::new(), self.copies);
        let stored = Stored {
            link: keep(&index.to_json())?,
            bytes: index.size,
            size: Size {
                width: index.piece_width,
                height: index.piece_height,
            },
        };
        Ok((stored, index.frames))
    }

    /// Stores the rest of the tree from the leaves up, except the root, which it returns.
    ///
    /// # Errors
    ///
    /// As [`Builder::add`].
    pub fn finish(mut self, keep: Keep) -> Result<Index> {
        let mut depth = 0;
        while depth + 1 < self.levels.len() {
            let (index, frames) = self.close(depth, keep)?;
            self.add_at(depth + 1, &[index], None, frames, keep)?;
            depth += 1;
        }
        let root = self
            .levels
            .pop()
            .expect("internal error: an index without frames");
        Ok(root.finish(self.filename, self.copies))
    }
}

impl Level {
    fn new(is_leaf: bool, first: (u64, u64)) -> Self {
        Level {
            index: Index {
                protocol_version: 2.0,
                filename: String::new(),
                piece_width: 0,
                piece_height: 0,
                size: 0,
                frames: 0,
                pieces: None,
                indexes: None,
                groups: None,
                copies: None,
                spread: None,
            },
            is_leaf,
            entries: Vec::new(),
            groups: Vec::new(),
            json_length: 0,
            first,
        }
    }

    /// Number and offset of the first data frame after it.
    fn end(&self) -> (u64, u64) {
        (
            self.first.0 + self.index.frames,
            self.first.1 + self.index.size,
        )
    }

    /// The entries of `children` in this index, after those that it has.
    fn unit(&self, children: &[Stored], protection: Option<&Protection>, frames: u64) -> Unit {
        let (mut seq, mut offset) = self.end();
        let mut entries = Vec::with_capacity(children.len());
        let (mut width, mut height) = (0, 0);
        for child in children {
            entries.push(Entry::new(child, seq, offset));
            seq += 1;
            offset += child.bytes;
            width = width.max(child.size.width);
            height = height.max(child.size.height);
        }
        let group = protection.map(|protection| {
            let group = GroupEntry {
                frames,
                shard: protection.shard as u64,
                parity: protection.parity.iter().map(ParityEntry::new).collect(),
            };
            (group, protection.spread)
        });
        let lengths = entries.iter().map(json_length);
        let json_length =
            lengths.sum::<usize>() + group.as_ref().map_or(0, |(group, _)| json_length(group));
        Unit {
            entries,
            group,
            json_length,
            frames,
            size: Size { width, height },
        }
    }

    fn add(&mut self, unit: Unit) {
        self.index.piece_width = self.index.piece_width.max(unit.size.width);
        self.index.piece_height = self.index.piece_height.max(unit.size.height);
        self.index.size += unit.entries.iter().map(|entry| entry.size).sum::<u64>();
        self.index.frames += unit.frames;
        self.json_length += unit.json_length;
        self.entries.extend(unit.entries);
        if let Some((group, spread)) = unit.group {
            self.groups.push(group);
            self.index.spread = spread.map(|stores| stores as u64);
        }
    }

    fn finish(mut self, filename: String, copies: Option<u64>) -> Index {
        self.index.filename = filename;
        self.index.copies = copies;
        match self.is_leaf {
            true => self.index.pieces = Some(self.entries),
            false => self.index.indexes = Some(self.entries),
        }
        self.index.groups = Some(self.groups).filter(|groups| !groups.is_empty());
        self.index
    }
}

impl Entry {
    fn new(child: &Stored, seq: u64, offset: u64) -> Self {
        let mut references = child.link.references();
        Entry {
            seq,
            key: references.next().unwrap_or_default(),
            offset,
            size: child.bytes,
            checksum: child.link.digest.checksum(),
            copies: references.collect(),
        }
    }
}

impl ParityEntry {
    fn new(link: &Link) -> Self {
        ParityEntry {
            key: link.references().next().unwrap_or_default(),
            checksum: link.digest.checksum(),
        }
    }
}

/// Bytes that a member of an array takes in an index, with its comma.
fn json_length(member: &impl Serialize) -> usize {
    let json = serde_json::to_vec(member).expect("internal error: an entry that is no JSON");
    json.len() + 1
}

/// Bytes of the members that only an index with groups has, without their contents.
const GROUPED: usize = r#""groups":[],"copies":64,"spread":16,"#.len();

/// The most bytes of an index without entries.
fn envelope(filename: &str) -> usize {
    let mut index = Level::new(false, (0, 0)).finish(filename.to_owned(), None);
    index.piece_width = u32::MAX;
    index.piece_height = u32::MAX;
    index.size = u64::MAX;
    index.frames = u64::MAX;
    index.to_json().len()
}

/// Bytes that an index must have room for: two entries of indexes, and a whole group, with the
/// longest names of a content-addressed store.
fn needed(parity: Option<Parity>) -> usize {
    let digest = Digest::of(b"");
    let key = format!("../{}", Name::from(digest));
    let copies = parity.map_or(0, |parity| parity.parity);
    let copy = |copy: usize| {
        let copy = u8::try_from(copy.min(MOST_PARITY)).expect("internal error: so few copies");
        format!("../{}", Name { digest, copy })
    };
    let entry = |copies| Entry {
        seq: u64::MAX,
        key: key.clone(),
        offset: u64::MAX,
        size: u64::MAX,
        checksum: digest.checksum(),
        copies: (1..=copies).map(copy).collect(),
    };
    let group = parity.map_or(0, |Parity { data, parity }| {
        let protected = ParityEntry {
            key: key.clone(),
            checksum: digest.checksum(),
        };
        let group = GroupEntry {
            frames: u64::MAX,
            shard: u64::MAX,
            parity: vec![protected; parity],
        };
        data * json_length(&entry(0)) + json_length(&group)
    });
    const { assert!(MOST_STORES < 100) };
    group.max(2 * json_length(&entry(copies)))
}
