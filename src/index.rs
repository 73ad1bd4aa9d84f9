//! The index: "THE INDEX" in storagex(5). [`Index`] is the JSON text, [`Builder`] makes a tree of
//! them, [`Walker`] goes through one.

use crate::error::{Error, Kind, Result, shown};
use crate::key::{Digest, Key, Location};
use crate::wire::frame::Size;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::iter::Peekable;
use std::marker::PhantomData;

/// Levels that a tree of indexes may have.
pub const MAX_LEVELS: usize = 8;

/// Bytes that the text of an index may have: 16 MiB.
pub const MAX_TEXT: usize = 16 << 20;

/// An index, as its JSON text has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// 2.0.
    pub protocol_version: f64,
    /// A name for people; no path. Empty in all but the root.
    pub filename: String,
    /// Width of the widest frame that it covers.
    pub piece_width: u32,
    /// Height of the highest frame that it covers.
    pub piece_height: u32,
    /// Bytes of stream that it covers.
    pub size: u64,
    /// Data frames that it covers.
    pub frames: u64,
    /// The data frames; or
    #[serde(
        default,
        deserialize_with = "entries",
        skip_serializing_if = "Option::is_none"
    )]
    pub pieces: Option<Vec<Entry>>,
    /// the indexes one level below.
    #[serde(
        default,
        deserialize_with = "entries",
        skip_serializing_if = "Option::is_none"
    )]
    pub indexes: Option<Vec<Entry>>,
}

/// A data frame, or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Number of the first data frame that it covers.
    pub seq: u64,
    /// Reference to its picture.
    pub key: String,
    /// Bytes before it.
    pub offset: u64,
    /// Bytes of stream that it covers.
    pub size: u64,
    /// `blake3:` and the digest of its pixels.
    pub checksum: String,
}

/// A value that is written as an object: serde would take an array of its members, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(Members(PhantomData)).map(Object)
    }
}

/// Reads entries; null is none.
fn entries<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Option<Vec<Entry>>, D::Error> {
    let entries = Vec::<Object<Entry>>::deserialize(from)?;
    Ok(Some(
        entries.into_iter().map(|Object(entry)| entry).collect(),
    ))
}

/// What an index is to cover, as its parent, or the key, says.
#[derive(Debug, Clone, Copy)]
struct Cover {
    seq: u64,
    offset: u64,
    /// Data frames and bytes; nobody says them for the root.
    total: Option<(u64, u64)>,
}

impl Index {
    /// Reads the JSON text of an index that covers `cover`.
    fn parse(json: &[u8], cover: Cover) -> Result<Index> {
        let parsed = serde_json::from_slice(json);
        let Object(index): Object<Index> = parsed.map_err(|e| bad(shown(&e.to_string())))?;
        if !(2.0..3.0).contains(&index.protocol_version) {
            let found = serde_json::json!(index.protocol_version);
            return Err(bad(format!("protocol_version {found}, expected 2.0")));
        }
        let (frames, size) = (index.frames, index.size);
        if let Some((expected, _)) = cover.total.filter(|&(expected, _)| expected != frames) {
            return Err(bad(format!("frames {frames}, expected {expected}")));
        }
        if let Some((_, expected)) = cover.total.filter(|&(_, expected)| expected != size) {
            return Err(bad(format!("size {size}, expected {expected}")));
        }
        index.check_entries(cover)?;
        Ok(index)
    }

    /// Checks that entries start where the ones before them end, and add up.
    fn check_entries(&self, cover: Cover) -> Result<()> {
        let (entries, is_leaf) = match (&self.pieces, &self.indexes) {
            (Some(pieces), None) => (pieces, true),
            (None, Some(indexes)) => (indexes, false),
            _ => return Err(bad("expected either pieces or indexes".into())),
        };
        let (mut seq, mut offset) = (Some(cover.seq), Some(cover.offset));
        for (i, entry) in entries.iter().enumerate() {
            let seq_is_right = match is_leaf || i == 0 {
                true => Some(entry.seq) == seq,
                false => Some(entry.seq) > seq,
            };
            if !seq_is_right || Some(entry.offset) != offset {
                let (found, at) = (entry.seq, entry.offset);
                return Err(bad(format!(
                    "entry {i} with seq {found} and offset {at} is out of place"
                )));
            }
            seq = if is_leaf {
                entry.seq.checked_add(1)
            } else {
                Some(entry.seq)
            };
            offset = entry.offset.checked_add(entry.size);
        }
        let end = cover.seq.checked_add(self.frames);
        let seq_fits = if is_leaf { seq == end } else { seq < end };
        if entries.is_empty() || !seq_fits || offset != cover.offset.checked_add(self.size) {
            let (count, frames, size) = (entries.len(), self.frames, self.size);
            return Err(bad(format!(
                "{count} entries don't add up to {frames} frames of {size} bytes"
            )));
        }
        Ok(())
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("internal error: an index that is no JSON")
    }
}

fn bad(what: String) -> Error {
    Kind::Index(what).into()
}

/// A picture that has been stored: what an [`Entry`] is made of.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where it is, and its digest.
    pub key: Key,
    /// Bytes of stream that it covers.
    pub bytes: u64,
    /// Width and height, or the greatest of what an index covers.
    pub size: Size,
}

/// Makes the tree of indexes for frames that are added one after another.
///
/// Each level collects the entries of one index. When the next entry would not fit, the index is
/// stored and becomes an entry one level up. So at most one index a level is held in memory.
pub struct Builder {
    /// Bytes of JSON that an index has room for, besides what it has without entries.
    room: usize,
    filename: String,
    levels: Vec<Level>,
}

/// The index of a level that is being filled.
struct Level {
    index: Index,
    is_leaf: bool,
    entries: Vec<Entry>,
    json_length: usize,
    first: (u64, u64),
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
            },
            is_leaf,
            entries: Vec::new(),
            json_length: 0,
            first,
        }
    }

    fn add(&mut self, entry: Entry, length: usize, frames: u64, size: Size) {
        self.index.piece_width = self.index.piece_width.max(size.width);
        self.index.piece_height = self.index.piece_height.max(size.height);
        self.index.size += entry.size;
        self.index.frames += frames;
        self.json_length += length;
        self.entries.push(entry);
    }

    fn finish(mut self, filename: String) -> Index {
        self.index.filename = filename;
        match self.is_leaf {
            true => self.index.pieces = Some(self.entries),
            false => self.index.indexes = Some(self.entries),
        }
        self.index
    }
}

impl Builder {
    /// A tree of indexes of at most `capacity` bytes each, with this filename in its root.
    ///
    /// # Errors
    ///
    /// [`Kind::Size`] where there is no room for two entries, of which a tree can be made;
    /// [`Kind::Name`] where the name leaves none.
    pub fn new(capacity: usize, filename: String) -> Result<Self> {
        let capacity = capacity.min(MAX_TEXT);
        let room = |name: &str| capacity.saturating_sub(envelope(name));
        let needed = 2 * longest_entry();
        if room("") < needed {
            let expected = envelope("") + needed;
            let what = format!("an index frame for {capacity} bytes, expected at least {expected}");
            return Err(Kind::Size(what).into());
        }
        if room(&filename) < needed {
            let most = room("") - needed;
            let what = format!(
                "a name of {} bytes, expected at most {most}",
                filename.len()
            );
            return Err(Kind::Name(what).into());
        }
        Ok(Builder {
            room: room(&filename),
            filename,
            levels: Vec::new(),
        })
    }

    /// Adds the next data frame; `store` keeps an index that is full.
    ///
    /// # Errors
    ///
    /// Those of `store`; [`Kind::Size`] where index frames are too small for a tree.
    pub fn add(
        &mut self,
        frame: &Stored,
        store: &mut dyn FnMut(&[u8]) -> Result<Key>,
    ) -> Result<()> {
        self.add_at(0, frame, 1, store)
    }

    fn add_at(
        &mut self,
        depth: usize,
        child: &Stored,
        frames: u64,
        store: &mut dyn FnMut(&[u8]) -> Result<Key>,
    ) -> Result<()> {
        if self.levels.len() == depth {
            self.push_level(depth)?;
        }
        let entry = self.levels[depth].entry_for(child);
        let length = entry.json_length();
        if length > self.room {
            let room = self.room;
            let what = format!("an index frame with room for {room} bytes, expected {length}");
            return Err(Kind::Size(what).into());
        }
        if self.levels[depth].json_length + length > self.room {
            let (index, frames) = self.close(depth, store)?;
            self.add_at(depth + 1, &index, frames, store)?;
        }
        self.levels[depth].add(entry, length, frames, child.size);
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
    fn close(
        &mut self,
        depth: usize,
        store: &mut dyn FnMut(&[u8]) -> Result<Key>,
    ) -> Result<(Stored, u64)> {
        let (seq, offset) = self.levels[depth].end();
        let next = Level::new(depth == 0, (seq, offset));
        let index = std::mem::replace(&mut self.levels[depth], next).finish(String::new());
        let stored = Stored {
            key: store(&index.to_json())?,
            bytes: index.size,
            size: Size {
                width: index.piece_width,
                height: index.piece_height,
            },
        };
        Ok((stored, index.frames))
    }

    /// Stores what is left of the tree from the leaves up, all but the root, which it gives.
    ///
    /// # Errors
    ///
    /// As [`Builder::add`].
    pub fn finish(mut self, store: &mut dyn FnMut(&[u8]) -> Result<Key>) -> Result<Index> {
        let mut depth = 0;
        while depth + 1 < self.levels.len() {
            let (index, frames) = self.close(depth, store)?;
            self.add_at(depth + 1, &index, frames, store)?;
            depth += 1;
        }
        let root = self
            .levels
            .pop()
            .expect("internal error: an index without frames");
        Ok(root.finish(self.filename))
    }
}

/// Bytes of an index without entries, at most.
fn envelope(filename: &str) -> usize {
    let mut index = Level::new(false, (0, 0)).finish(filename.to_owned());
    index.piece_width = u32::MAX;
    index.piece_height = u32::MAX;
    index.size = u64::MAX;
    index.frames = u64::MAX;
    index.to_json().len()
}

/// Bytes of the longest entry that a content-addressed store has.
fn longest_entry() -> usize {
    let digest = Digest::of(b"");
    let entry = Entry {
        seq: u64::MAX,
        key: format!("../{}", digest.name()),
        offset: u64::MAX,
        size: u64::MAX,
        checksum: digest.checksum(),
    };
    entry.json_length()
}

impl Level {
    /// Number and offset of the data frame after those that it covers.
    fn end(&self) -> (u64, u64) {
        (
            self.first.0 + self.index.frames,
            self.first.1 + self.index.size,
        )
    }

    fn entry_for(&self, child: &Stored) -> Entry {
        let (seq, offset) = self.end();
        Entry {
            seq,
            key: child.key.location.reference(&child.key.digest),
            offset,
            size: child.bytes,
            checksum: child.key.digest.checksum(),
        }
    }
}

/// The JSON text of an index that [`Builder::finish`] gave.
#[must_use]
pub fn render(root: &Index) -> Vec<u8> {
    root.to_json()
}

/// What a [`Walker`] comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An index frame, which has been read and checked.
    Index(Key),
    /// A data frame, which has not.
    Piece {
        /// Where it is.
        key: Key,
        /// Its number.
        seq: u64,
        /// Bytes before it.
        offset: u64,
        /// Its raw length.
        size: u64,
    },
}

/// Reads the payload of the index frame that has this key.
pub type Fetch = Box<dyn FnMut(&Key) -> Result<Vec<u8>> + Send>;

/// Goes through a tree of indexes in the order of the stream. Holds one index a level.
pub struct Walker {
    fetch: Fetch,
    root: Option<Key>,
    levels: Vec<Open>,
}

/// An index that a [`Walker`] is in.
struct Open {
    location: Location,
    is_leaf: bool,
    entries: Peekable<std::vec::IntoIter<Entry>>,
    /// Number of the data frame after those that it covers.
    end: u64,
}

impl Walker {
    /// Starts at the root that has this key.
    #[must_use]
    pub fn new(root: Key, fetch: Fetch) -> Self {
        Walker {
            fetch,
            root: Some(root),
            levels: Vec::new(),
        }
    }

    /// The next index or data frame, an index before what it covers; none at the end.
    ///
    /// # Errors
    ///
    /// Those of fetching, and [`Kind::Index`], with the location of the index as the place.
    pub fn next(&mut self) -> Result<Option<Found>> {
        if let Some(root) = self.root.take() {
            let cover = Cover {
                seq: 0,
                offset: 0,
                total: None,
            };
            self.enter(&root, cover)?;
            return Ok(Some(Found::Index(root)));
        }
        while let Some(open) = self.levels.last_mut() {
            let Some(entry) = open.entries.next() else {
                self.levels.pop();
                continue;
            };
            let key = entry
                .key(&open.location)
                .map_err(|e| e.at(&open.location))?;
            let Entry {
                seq, offset, size, ..
            } = entry;
            if open.is_leaf {
                return Ok(Some(Found::Piece {
                    key,
                    seq,
                    offset,
                    size,
                }));
            }
            let next = open.entries.peek().map_or(open.end, |next| next.seq);
            let total = Some((next - seq, size));
            self.enter(&key, Cover { seq, offset, total })?;
            return Ok(Some(Found::Index(key)));
        }
        Ok(None)
    }

    fn enter(&mut self, key: &Key, cover: Cover) -> Result<()> {
        if self.levels.len() == MAX_LEVELS {
            let error = bad(format!(
                "over {MAX_LEVELS} levels, expected at most so many"
            ));
            return Err(error.at(&key.location));
        }
        let json = (self.fetch)(key)?;
        let index = Index::parse(&json, cover).map_err(|e| e.at(&key.location))?;
        self.levels.push(Open {
            location: key.location.clone(),
            is_leaf: index.pieces.is_some(),
            end: cover.seq + index.frames,
            entries: index
                .pieces
                .or(index.indexes)
                .unwrap_or_default()
                .into_iter()
                .peekable(),
        });
        Ok(())
    }
}

impl Entry {
    /// Bytes that it has in an index, with the comma after it.
    fn json_length(&self) -> usize {
        let json = serde_json::to_vec(self).expect("internal error: an entry that is no JSON");
        json.len() + 1
    }

    /// The key of what this entry, in an index at `base`, refers to.
    fn key(&self, base: &Location) -> Result<Key> {
        let Some(digest) = Digest::from_checksum(&self.checksum) else {
            let shown = shown(&self.checksum);
            return Err(bad(format!(
                "checksum \"{shown}\", expected blake3: and 64 digits"
            )));
        };
        let location = base.resolve(&self.key, &digest)?;
        Ok(Key { location, digest })
    }
}

/// Reads the root of a tree alone.
///
/// # Errors
///
/// As [`Walker::next`].
pub fn root(json: &[u8], location: &Location) -> Result<Index> {
    let cover = Cover {
        seq: 0,
        offset: 0,
        total: None,
    };
    Index::parse(json, cover).map_err(|e| e.at(location))
}
