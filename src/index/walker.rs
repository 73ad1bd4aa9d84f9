//! Walks a tree of indexes.

use super::{Cover, Entry, GroupEntry, Index, Link, MAX_LEVELS, Part, bad};
use crate::error::{Error, Result};
use crate::key::Location;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// A step of a [`Walker`].
#[derive(Debug)]
pub enum Found {
    /// An index frame, read and checked, before the frames that it covers.
    Index(Link),
    /// A data frame, neither read nor checked.
    Piece(Piece),
    /// A lost index frame, and with it everything that it covers.
    Lost(Lost),
}

/// A data frame in its index.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Its location and digest.
    pub link: Link,
    /// Its number.
    pub seq: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Its raw length.
    pub size: u64,
    /// Its group, if any, and its number among the data frames there.
    pub group: Option<(Arc<Group>, usize)>,
}

/// Data frames and the parity frames that protect them. A frame that occurs several times in a
/// group counts once.
#[derive(Debug)]
pub struct Group {
    /// Number of the first data frame.
    pub seq: u64,
    /// Number of data frames, including duplicates: the number of pieces.
    pub frames: u64,
    /// Its data frames.
    pub data: Vec<Link>,
    /// The position of each among the pieces of the group.
    pub positions: Vec<usize>,
    /// Its parity frames.
    pub parity: Vec<Link>,
    /// Length of its shards, in bytes.
    pub shard: usize,
    /// The number of stores that its frames are spread over in turn, data before parity, if they
    /// are.
    pub spread: Option<usize>,
}

/// Everything below a lost index frame.
#[derive(Debug)]
pub struct Lost {
    /// The index frame.
    pub link: Link,
    /// Number of the first data frame that it covers.
    pub seq: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Data frames and bytes that it covers; unknown for a root.
    pub total: Option<(u64, u64)>,
    /// Why it is lost.
    pub error: Error,
}

impl Group {
    /// Data and parity frames.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.data.len() + self.parity.len()
    }

    /// The frame of shard `number`, and its position if the group is spread over stores; data
    /// frames come before parity frames.
    #[must_use]
    pub fn link(&self, number: usize) -> (&Link, Option<Turn>) {
        let frames = usize::try_from(self.frames).unwrap_or(usize::MAX);
        let (link, position) = match number.checked_sub(self.data.len()) {
            None => (&self.data[number], self.positions[number]),
            Some(parity) => (&self.parity[parity], frames + parity),
        };
        let turn = self.spread.map(|stores| Turn(position % stores));
        (link, turn)
    }
}

/// The store of the line that has a spread frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn(pub usize);

/// Reads the payload of an index frame.
pub type Fetch = Box<dyn FnMut(&Link) -> Result<Vec<u8>> + Send>;

/// Walks a tree of indexes in the order of the stream. Holds one index a level.
pub struct Walker {
    fetch: Fetch,
    /// The start, and what it covers.
    root: Option<(Link, Cover)>,
    /// Data frames before this number are skipped.
    from: u64,
    /// What has none of these bytes is passed over.
    bytes: Range<u64>,
    levels: Vec<Open>,
    /// Bytes of the stream, once the root is known.
    size: Option<u64>,
}

/// An index on the path of a [`Walker`].
struct Open {
    location: Location,
    is_leaf: bool,
    entries: VecDeque<Entry>,
    groups: VecDeque<GroupEntry>,
    spread: Option<usize>,
    /// The group of the next pieces, and how many of them are left.
    group: Option<OpenGroup>,
    /// Number of the first data frame after it.
    end: u64,
}

struct OpenGroup {
    group: Arc<Group>,
    /// Numbers of its data frames, by their checksums.
    numbers: HashMap<String, usize>,
    left: u64,
}

impl Walker {
    /// Starts at this root, and skips the data frames before number `from`.
    #[must_use]
    pub fn new(root: Link, from: u64, fetch: Fetch) -> Self {
        Walker {
            fetch,
            root: Some((root, Cover::ROOT)),
            from,
            bytes: 0..u64::MAX,
            levels: Vec::new(),
            size: None,
        }
    }

    /// Starts at an index that was read without its parent.
    #[must_use]
    pub fn of_part(link: Link, part: &Part, fetch: Fetch) -> Self {
        let cover = Cover {
            seq: part.seq,
            offset: part.offset,
            total: Some(part.total),
        };
        Walker {
            fetch,
            root: Some((link, cover)),
            from: 0,
            bytes: 0..u64::MAX,
            levels: Vec::new(),
            size: None,
        }
    }

    /// The same, passing over what has none of these bytes.
    #[must_use]
    pub fn within(self, bytes: Range<u64>) -> Self {
        Walker { bytes, ..self }
    }

    /// Bytes of the stream; none until its root has been read.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next index or data frame, an index before the frames that it covers; none at the end. After a
    /// lost index, the walk goes on with the frames that follow those it covers.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`](crate::Kind::Index) for an invalid index, with its location as the place.
    pub fn next(&mut self) -> Result<Option<Found>> {
        if let Some((root, cover)) = self.root.take() {
            return self.enter(root, cover).map(Some);
        }
        while let Some(open) = self.levels.last_mut() {
            let Some(entry) = open.entries.pop_front() else {
                self.levels.pop();
                continue;
            };
            let next = open.next_seq(&entry);
            let outside = next <= self.from || is_outside(&self.bytes, &entry);
            let found = open.found(entry, next).map_err(|e| e.at(&open.location))?;
            match found {
                _ if outside => {}
                At::Piece(piece) => return Ok(Some(Found::Piece(piece))),
                At::Index(link, cover) => return self.enter(link, cover).map(Some),
            }
        }
        Ok(None)
    }

    /// Passes over what the index covers that came last.
    pub fn pass_over(&mut self) {
        self.levels.pop();
    }

    fn enter(&mut self, mut link: Link, cover: Cover) -> Result<Found> {
        let location = link.places[0].clone();
        let at = |e: Error| e.at(&location);
        if self.levels.len() == MAX_LEVELS {
            let what = format!("over {MAX_LEVELS} levels, expected no more");
            return Err(at(bad(what)));
        }
        let json = match (self.fetch)(&link) {
            Ok(json) => json,
            Err(error) => {
                return Ok(Found::Lost(Lost {
                    link,
                    seq: cover.seq,
                    offset: cover.offset,
                    total: cover.total,
                    error,
                }));
            }
        };
        let index = Index::parse(&json, cover).map_err(at)?;
        self.size.get_or_insert(index.size);
        if let (Some(copies), None) = (index.copies, cover.total) {
            link.add_copies(copies); // which no index lists for a root
        }
        self.levels.push(Open {
            location,
            is_leaf: index.pieces.is_some(),
            end: cover.seq + index.frames,
            entries: index.pieces.or(index.indexes).unwrap_or_default().into(),
            groups: index.groups.unwrap_or_default().into(),
            spread: index.spread.and_then(|stores| usize::try_from(stores).ok()),
            group: None,
        });
        Ok(Found::Index(link))
    }
}

/// Whether an entry covers none of these bytes.
fn is_outside(bytes: &Range<u64>, entry: &Entry) -> bool {
    let end = entry.offset.saturating_add(entry.size);
    bytes.start > 0 && end <= bytes.start || entry.offset >= bytes.end
}

/// What an entry is of.
enum At {
    Piece(Piece),
    Index(Link, Cover),
}

impl Open {
    /// Number of the first data frame after an entry, which was the next one.
    fn next_seq(&self, entry: &Entry) -> u64 {
        match self.is_leaf {
            true => entry.seq + 1,
            false => self.entries.front().map_or(self.end, |next| next.seq),
        }
    }

    /// Reads an entry that was the next one.
    fn found(&mut self, entry: Entry, next: u64) -> Result<At> {
        if !self.is_leaf {
            let link = entry.link(&self.location)?;
            let total = Some((next - entry.seq, entry.size));
            let (seq, offset) = (entry.seq, entry.offset);
            return Ok(At::Index(link, Cover { seq, offset, total }));
        }
        let group = self.group_of(&entry)?;
        Ok(At::Piece(Piece {
            link: entry.link(&self.location)?,
            seq: entry.seq,
            offset: entry.offset,
            size: entry.size,
            group,
        }))
    }

    /// The group of a piece, and its number there.
    fn group_of(&mut self, piece: &Entry) -> Result<Option<(Arc<Group>, usize)>> {
        if self.group.as_ref().is_none_or(|open| open.left == 0) {
            let Some(group) = self.groups.pop_front() else {
                return Ok(None);
            };
            self.group = Some(self.open_group(piece, group)?);
        }
        let open = self.group.as_mut().expect("internal error: no group");
        open.left -= 1;
        let number = open.numbers[&piece.checksum];
        Ok(Some((Arc::clone(&open.group), number)))
    }

    /// Reads the group that starts with this piece.
    fn open_group(&self, first: &Entry, group: GroupEntry) -> Result<OpenGroup> {
        let rest = usize::try_from(group.frames - 1).unwrap_or(usize::MAX);
        let pieces = std::iter::once(first).chain(self.entries.iter().take(rest));
        let mut numbers = HashMap::new();
        let (mut data, mut positions) = (Vec::new(), Vec::new());
        for (position, piece) in pieces.enumerate() {
            if !numbers.contains_key(&piece.checksum) {
                numbers.insert(piece.checksum.clone(), data.len());
                data.push(piece.link(&self.location)?);
                positions.push(position);
            }
        }
        let parity = group.parity.iter().map(|entry| {
            let references = std::iter::once(&entry.key);
            Link::resolve(&self.location, &entry.checksum, references)
        });
        let read = Group {
            seq: first.seq,
            frames: group.frames,
            data,
            positions,
            parity: parity.collect::<Result<_>>()?,
            shard: usize::try_from(group.shard).unwrap_or(usize::MAX),
            spread: self.spread,
        };
        Ok(OpenGroup {
            group: Arc::new(read),
            numbers,
            left: group.frames,
        })
    }
}

impl Entry {
    /// The picture that this entry, in an index at `base`, refers to.
    fn link(&self, base: &Location) -> Result<Link> {
        let references = std::iter::once(&self.key).chain(&self.copies);
        Link::resolve(base, &self.checksum, references)
    }
}
