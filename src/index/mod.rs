//! The index: "THE INDEX" in storagex(5). [`Index`] is the JSON text, [`Builder`] makes a tree of
//! indexes, and [`Walker`] walks one.

mod builder;
mod walker;

pub use builder::{Builder, Protection, Stored};
pub use walker::{Fetch, Found, Group, Lost, Piece, Turn, Walker};

use crate::error::{Error, Kind, Result, shown};
use crate::key::{Digest, Key, Location, Name};
use crate::object::{self, Object};
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, FrameKind, Trailer};
use crate::wire::parity::{MOST_DATA, MOST_PARITY};
use crate::wire::{MAX_LIMIT, parity};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;

/// The most levels of a tree of indexes.
pub const MAX_LEVELS: usize = 8;

/// The most stores of a stream, and so the most keys in a line, not counting copies.
pub const MOST_STORES: usize = 16;

/// The most bytes of an index's text: 16 MiB.
pub const MAX_TEXT: usize = 16 << 20;

/// An index, from its JSON text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// 2.0.
    pub protocol_version: f64,
    /// A name for people, not a path. Empty except in the root.
    pub filename: String,
    /// Width of the widest frame that it covers.
    pub piece_width: u32,
    /// Height of the highest frame that it covers.
    pub piece_height: u32,
    /// Bytes of stream that it covers.
    pub size: u64,
    /// Data frames that it covers.
    pub frames: u64,
    /// The data frames, in an index that lists these. Exactly one of `pieces` and `indexes` is present.
    #[serde(
        default,
        deserialize_with = "objects",
        skip_serializing_if = "Option::is_none"
    )]
    pub pieces: Option<Vec<Entry>>,
    /// The indexes one level below, in any other index.
    #[serde(
        default,
        deserialize_with = "objects",
        skip_serializing_if = "Option::is_none"
    )]
    pub indexes: Option<Vec<Entry>>,
    /// The groups of the data frames, in order, and the parity of each.
    #[serde(
        default,
        deserialize_with = "objects",
        skip_serializing_if = "Option::is_none"
    )]
    pub groups: Option<Vec<GroupEntry>>,
    /// Copies of each index of the tree, beside the index itself.
    #[serde(
        default,
        deserialize_with = "number",
        skip_serializing_if = "Option::is_none"
    )]
    pub copies: Option<u64>,
    /// The number of stores over which the frames of each group are spread.
    #[serde(
        default,
        deserialize_with = "number",
        skip_serializing_if = "Option::is_none"
    )]
    pub spread: Option<u64>,
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
    /// `blake3:` and the digest of its frame bytes.
    pub checksum: String,
    /// References to its copies, if it is an index that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<String>,
}

/// A group of data frames in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupEntry {
    /// Number of data frames in it: pieces, counted from the end of the group before.
    pub frames: u64,
    /// Length of its shards, in bytes.
    pub shard: u64,
    /// Its parity frames.
    #[serde(deserialize_with = "object::array")]
    pub parity: Vec<ParityEntry>,
}

/// A parity frame in an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityEntry {
    /// Reference to its picture.
    pub key: String,
    /// `blake3:` and the digest of its frame bytes.
    pub checksum: String,
}

/// Reads a number; null is an error.
fn number<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<u64>, D::Error> {
    u64::deserialize(from).map(Some)
}

/// Reads an array of objects; null is an error.
fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> std::result::Result<Option<Vec<T>>, D::Error> {
    object::array(from).map(Some)
}

/// What an index has to cover, according to its parent or to the key.
#[derive(Debug, Clone, Copy)]
struct Cover {
    seq: u64,
    offset: u64,
    /// Data frames and bytes; unknown for the root.
    total: Option<(u64, u64)>,
}

impl Cover {
    const ROOT: Cover = Cover {
        seq: 0,
        offset: 0,
        total: None,
    };
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
        check_numbers([frames, size])?;
        if cover.total.is_some() && !index.filename.is_empty() {
            let found = shown(&index.filename);
            return Err(bad(format!(
                "filename {found} below the root, expected none"
            )));
        }
        if let Some((expected, _)) = cover.total.filter(|&(expected, _)| expected != frames) {
            return Err(bad(format!("frames {frames}, expected {expected}")));
        }
        if let Some((_, expected)) = cover.total.filter(|&(_, expected)| expected != size) {
            return Err(bad(format!("size {size}, expected {expected}")));
        }
        index.check_entries(cover)?;
        index.check_groups()?;
        Ok(index)
    }

    /// Checks that entries start where the ones before them end, and add up.
    fn check_entries(&self, cover: Cover) -> Result<()> {
        let most = MOST_PARITY as u64;
        if let Some(found) = self.copies.filter(|copies| !(1..=most).contains(copies)) {
            return Err(bad(format!("copies {found}, expected 1 to {most}")));
        }
        let (entries, is_leaf) = match (&self.pieces, &self.indexes) {
            (Some(pieces), None) => (pieces, true),
            (None, Some(indexes)) => (indexes, false),
            _ => return Err(bad("expected either pieces or indexes".into())),
        };
        let most = if is_leaf { 0 } else { MOST_PARITY };
        let mut copies = entries.iter().map(|entry| entry.copies.len());
        if let Some(found) = copies.find(|&copies| copies > most) {
            let what = format!("copies of an entry: {found}");
            return Err(bad(format!("{what}, expected at most {most}")));
        }
        // No sum of two numbers below 2^63 overflows.
        let (mut seq, mut offset) = (cover.seq, cover.offset);
        for (i, entry) in entries.iter().enumerate() {
            check_numbers([entry.seq, entry.offset, entry.size])?;
            let seq_is_right = match is_leaf || i == 0 {
                true => entry.seq == seq,
                false => entry.seq > seq,
            };
            if !seq_is_right || entry.offset != offset {
                let (found, at) = (entry.seq, entry.offset);
                return Err(bad(format!(
                    "entry {i} with seq {found} and offset {at} is out of place"
                )));
            }
            seq = if is_leaf { entry.seq + 1 } else { entry.seq };
            offset = entry.offset + entry.size;
        }
        let end = cover.seq + self.frames;
        let seq_fits = if is_leaf { seq == end } else { seq < end };
        if entries.is_empty() || !seq_fits || offset != cover.offset + self.size {
            let (count, frames, size) = (entries.len(), self.frames, self.size);
            return Err(bad(format!(
                "{count} entries don't add up to {frames} frames of {size} bytes"
            )));
        }
        check_numbers([end, offset])
    }

    /// Checks that groups cover the pieces, and that none is too large, before any memory is
    /// allocated.
    fn check_groups(&self) -> Result<()> {
        let Some(groups) = &self.groups else {
            return match self.spread {
                None => Ok(()),
                Some(_) => Err(bad("spread without groups".into())),
            };
        };
        let Some(mut left) = self.pieces.as_deref() else {
            return Err(bad("groups beside indexes".into()));
        };
        for (i, group) in groups.iter().enumerate() {
            let frames = usize::try_from(group.frames).unwrap_or(usize::MAX);
            let Some((pieces, rest)) = left.split_at_checked(frames).filter(|_| frames > 0) else {
                let (found, most) = (group.frames, left.len());
                let expected = format!("expected 1 to {most}");
                return Err(bad(format!("group {i} of {found} frames, {expected}")));
            };
            left = rest;
            group
                .check(pieces)
                .map_err(|what| bad(format!("group {i}: {what}")))?;
        }
        if !left.is_empty() {
            let found = left.len();
            return Err(bad(format!(
                "{found} pieces in no group, expected all in one"
            )));
        }
        match self.spread {
            Some(found) if !(2..=MOST_STORES as u64).contains(&found) => {
                Err(bad(format!("spread {found}, expected 2 to {MOST_STORES}")))
            }
            _ => Ok(()),
        }
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("internal error: an index that is no JSON")
    }
}

impl GroupEntry {
    /// Checks counts and lengths; returns what is wrong.
    fn check(&self, pieces: &[Entry]) -> std::result::Result<(), String> {
        let distinct: HashSet<&str> = pieces.iter().map(|piece| &*piece.checksum).collect();
        let (data, parity) = (distinct.len(), self.parity.len());
        if data > MOST_DATA {
            return Err(format!("{data} data frames, expected at most {MOST_DATA}"));
        }
        if !(1..=MOST_PARITY).contains(&parity) {
            return Err(format!(
                "{parity} parity frames, expected 1 to {MOST_PARITY}"
            ));
        }
        let most = parity::shard_length(MAX_LIMIT) as u64;
        if self.shard == 0 || !self.shard.is_multiple_of(64) || self.shard > most {
            let found = self.shard;
            return Err(format!(
                "shards of {found} bytes, expected a multiple of 64 up to {most}"
            ));
        }
        Ok(())
    }
}

/// Checks that numbers are at most 2^63 - 1.
fn check_numbers(numbers: impl IntoIterator<Item = u64>) -> Result<()> {
    match numbers.into_iter().find(|number| number >> 63 > 0) {
        Some(found) => Err(bad(format!("number {found}, expected one below 2^63"))),
        None => Ok(()),
    }
}

fn bad(what: String) -> Error {
    Kind::Index(what).into()
}

/// The role of a picture in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A data frame.
    Data,
    /// A parity frame.
    Parity,
    /// An index frame.
    Index,
    /// A copy of an index frame.
    Copy,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Data => "data",
            Role::Parity => "parity",
            Role::Index => "index",
            Role::Copy => "copy",
        })
    }
}

/// A picture that an index refers to, and its locations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The digest of its frame bytes.
    pub digest: Digest,
    /// Its location, and those of its copies; at least one.
    pub places: Vec<Location>,
}

impl Link {
    /// A picture without copies.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Link {
            digest: key.digest,
            places: vec![key.location],
        }
    }

    /// The main location of the picture.
    #[must_use]
    pub fn key(&self) -> Key {
        Key {
            location: self.places[0].clone(),
            digest: self.digest,
        }
    }

    /// The references of an index to the picture and its copies.
    fn references(&self) -> impl Iterator<Item = String> {
        self.places.iter().zip(0..).map(|(place, copy)| {
            let digest = self.digest;
            place.reference(&Name { digest, copy })
        })
    }

    /// Adds the locations of this many copies, if they follow from that of the picture.
    fn add_copies(&mut self, copies: u64) {
        let own = Name::from(self.digest);
        let Some(store) = self.places[0].store_of(&own).map(str::to_owned) else {
            return;
        };
        for copy in 1..=u8::try_from(copies).unwrap_or(0) {
            let digest = self.digest;
            let place = Location::in_store(&store, &Name { digest, copy });
            self.places.push(place);
        }
    }

    /// The picture that an index at `base` refers to.
    fn resolve<'a>(
        base: &Location,
        checksum: &str,
        references: impl Iterator<Item = &'a String>,
    ) -> Result<Self> {
        let Some(digest) = Digest::from_checksum(checksum) else {
            let shown = shown(checksum);
            return Err(bad(format!(
                "checksum \"{shown}\", expected blake3: and 64 digits"
            )));
        };
        let places = references
            .zip(0..)
            .map(|(reference, copy)| base.resolve(reference, &Name { digest, copy }));
        Ok(Link {
            digest,
            places: places.collect::<Result<_>>()?,
        })
    }
}

/// The JSON text of an index from [`Builder::finish`].
#[must_use]
pub fn render(root: &Index) -> Vec<u8> {
    root.to_json()
}

/// Reads only the root of a tree.
///
/// # Errors
///
/// As [`Walker::next`].
pub fn root(json: &[u8], location: &Location) -> Result<Index> {
    Index::parse(json, Cover::ROOT).map_err(|e| e.at(location))
}

/// An index that was found without its parent.
#[derive(Debug, Clone)]
pub struct Part {
    /// Number of the first data frame that it covers.
    pub seq: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Data frames and bytes that it covers.
    pub total: (u64, u64),
    /// The digests of the data frames or indexes that it lists.
    pub lists: Vec<Digest>,
}

/// Reads a single index, wherever it is in its tree.
///
/// # Errors
///
/// As [`Walker::next`].
pub fn part(json: &[u8], location: &Location) -> Result<Part> {
    let at = |e: Error| e.at(location);
    let parsed = serde_json::from_slice(json);
    let Object(read): Object<Index> = parsed.map_err(|e| at(bad(shown(&e.to_string()))))?;
    let entries = read.pieces.or(read.indexes).unwrap_or_default();
    let (seq, offset) = entries.first().map_or((0, 0), |e| (e.seq, e.offset));
    let cover = Cover {
        seq,
        offset,
        total: None,
    };
    let index = Index::parse(json, cover).map_err(at)?;
    let digests = entries
        .iter()
        .filter_map(|e| Digest::from_checksum(&e.checksum));
    Ok(Part {
        seq,
        offset,
        total: (index.frames, index.size),
        lists: digests.collect(),
    })
}

/// The text of an index in the bytes of its frame.
pub(crate) fn text(trailer: &Trailer, bytes: &[u8]) -> Result<Vec<u8>> {
    match trailer.kind {
        FrameKind::Index => {}
        FrameKind::Data => {
            return Err(Kind::WrongKind("a frame of data, expected an index").into());
        }
        FrameKind::Parity => {
            return Err(Kind::WrongKind("a frame of parity, expected an index").into());
        }
    }
    if trailer.raw_length as usize > MAX_TEXT {
        let (found, most) = (trailer.raw_length, MAX_TEXT);
        return Err(bad(format!("{found} bytes, expected at most {most}")));
    }
    let payload = frame::payload(bytes);
    match trailer.codec {
        Codec::Stored => Ok(payload.to_vec()),
        Codec::Zstd => {
            let mut json = Vec::new();
            Unpacker::default().unpack(payload, trailer.raw_length as usize, &mut json)?;
            Ok(json)
        }
    }
}
