//! Indexes whose root is lost: the parts of a tree that folders still have.
//!
//! Without the root, only its digest is known. So the indexes below it are found as index frames
//! that no other index lists. One that doesn't begin at the start of a stream is certainly below a
//! lost root. One that begins at the start may be the root of another key, and counts only if
//! another continues exactly where it ends, or if it ends within a stream, which no root does.

use super::fetch::{Finder, Wait, Wanted};
use super::options::Options;
use super::trail::Step;
use crate::error::{Error, Kind, Result};
use crate::index::{self, Found, Link, Lost, Part, Walker};
use crate::key::{Digest, Key, Location, Name};
use crate::pipeline;
use crate::store::Fetched;
use crate::wire::frame::Place;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bytes that may be lost in a row, as a multiple of those that the indexes left cover.
const MOST_GAP: u64 = 1000;

/// An index without its parent.
struct Orphan {
    link: Link,
    part: Part,
    /// The store where it was found.
    home: usize,
}

impl Orphan {
    /// Number and offset of the first data frame after it.
    fn end(&self) -> (u64, u64) {
        let (frames, size) = self.part.total;
        (self.part.seq + frames, self.part.offset + size)
    }

    fn start(&self) -> (u64, u64) {
        (self.part.seq, self.part.offset)
    }

    fn walker(&self, finder: &Arc<Finder>) -> Walker {
        let (finder, home) = (Arc::clone(finder), self.home);
        let fetch: index::Fetch = Box::new(move |link| {
            let text = finder.fetch_index(link, home);
            text.map_err(|e| e.at(&link.places[0]))
        });
        Walker::of_part(self.link.clone(), &self.part, fetch)
    }

    /// Whether the last data frame that it covers exists and isn't the last of its stream.
    fn ends_within_a_stream(&self, finder: &Arc<Finder>) -> bool {
        let mut walker = self.walker(finder);
        let mut last = None;
        while let Ok(Some(found)) = walker.next() {
            if let Found::Piece(piece) = found {
                last = Some(piece);
            }
        }
        let Some(piece) = last.filter(|piece| piece.seq + 1 == self.end().0) else {
            return false;
        };
        let wanted = Wanted {
            link: &piece.link,
            home: self.home,
            turn: None,
            seq: None,
        };
        let trailer = finder.fetch(wanted, Wait::Fully, &mut Fetched::default());
        trailer.is_ok_and(|trailer| !matches!(trailer.place, Place::Last { .. }))
    }
}

/// Walks the indexes of a tree whose root is lost; everything that none of them lists is lost.
pub(super) struct Orphans {
    finder: Arc<Finder>,
    left: VecDeque<Orphan>,
    way: Option<(Walker, usize)>,
    /// Number and offset of the next data frame.
    next: (u64, u64),
    /// Why the root is lost.
    why: Error,
}

impl Orphans {
    /// Searches the folders among the stores to look in first, if the roots of all trees of the
    /// line are lost; none if a root is available, or if there is nothing else.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] if indexes of several streams have lost their roots, or if one begins far behind
    /// the others.
    pub fn find(finder: &Arc<Finder>, options: &Options) -> Result<Option<Self>> {
        let trees = finder.trees();
        let mut lost = Vec::new();
        for number in trees.order() {
            match trees.root(number, Wait::Fully) {
                Ok(_) => return Ok(None),
                Err(e) => lost.push(e.at(&trees.all()[number].root.places[0])),
            }
        }
        let found = in_order(look(finder, options)?, finder)?;
        let why = lost.swap_remove(0);
        Ok((!found.is_empty()).then(|| Orphans {
            finder: Arc::clone(finder),
            left: found.into(),
            way: None,
            next: (0, 0),
            why,
        }))
    }

    /// The next index, data frame or gap.
    pub fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if let Some((walker, home)) = &mut self.way {
                match walker.next()? {
                    Some(Found::Lost(lost)) => return Ok(Some(Step::Lost(lost))),
                    Some(found) => return Ok(Some(Step::Found(found, *home))),
                    None => self.way = None,
                }
            }
            let Some(orphan) = self.left.front() else {
                return Ok(None);
            };
            let (start, next) = (orphan.start(), self.next);
            if start != next {
                self.next = start;
                return Ok(Some(Step::Lost(Lost {
                    link: orphan.link.clone(),
                    seq: next.0,
                    offset: next.1,
                    total: Some((start.0 - next.0, start.1 - next.1)),
                    error: self.why.again(),
                })));
            }
            self.next = orphan.end();
            let walker = orphan.walker(&self.finder);
            let home = orphan.home;
            self.left.pop_front();
            self.way = Some((walker, home));
        }
    }
}

/// A picture in a folder, and the index in it, if it is an index frame.
#[derive(Default)]
struct Slot {
    file: Option<(usize, Name)>,
    part: Option<(Part, Location)>,
}

/// The index frames in the folders to look in first that no other index lists, each once.
fn look(finder: &Arc<Finder>, options: &Options) -> Result<Vec<Orphan>> {
    let mut files = Vec::new();
    for home in finder.first() {
        let any = Name::from(Digest::of(b""));
        let folder = finder
            .locate(home, &any)
            .filter(|place| place.scheme() == "file");
        let Some(path) = folder.map(|place| place.path()) else {
            continue;
        };
        let root = path.ancestors().nth(2).unwrap_or(&path);
        files.extend(names(root).into_iter().map(|name| (home, name)));
    }
    let mut files = files.into_iter();
    let (from, limit) = (Arc::clone(finder), options.limit);
    let mut parts: HashMap<Digest, (Part, Location, usize)> = HashMap::new();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.file = files.next();
            Ok(slot.file.is_some())
        },
        move |slot, fetched: &mut Fetched| {
            let (home, name) = slot.file.as_ref().expect("internal error: no file");
            slot.part = read(&from, *home, name, limit, fetched);
            Ok(())
        },
        |slot| {
            if let (Some((home, name)), Some((part, location))) =
                (slot.file.take(), slot.part.take())
            {
                parts.entry(name.digest).or_insert((part, location, home));
            }
            Ok(())
        },
    )?;
    let listed: HashSet<Digest> = parts
        .values()
        .flat_map(|(part, ..)| part.lists.clone())
        .collect();
    let orphans = parts
        .into_iter()
        .filter(|(digest, _)| !listed.contains(digest));
    let orphan = |(digest, (part, location, home))| Orphan {
        link: Link::new(Key { location, digest }),
        part,
        home,
    };
    Ok(orphans.map(orphan).collect())
}

/// The names of the pictures in a folder; none if the folder can't be read.
fn names(root: &Path) -> Vec<Name> {
    let entries = |folder: &Path| {
        let read = fs::read_dir(folder).into_iter().flatten().flatten();
        read.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let below = entries(root)
        .into_iter()
        .flat_map(|folder| entries(&folder));
    let name = |path: PathBuf| {
        let name = path.strip_prefix(root).ok()?.to_str()?;
        let (digits, _) = name.split_once('/')?.1.split_once('.')?;
        let digest = Digest::from_checksum(&format!("blake3:{digits}"))?;
        let named = |copy: u8| Name { digest, copy };
        (0..=u8::MAX)
            .map(named)
            .find(|known| known.to_string() == name)
    };
    below.filter_map(name).collect()
}

/// Reads the index in a picture, if it is an index frame.
fn read(
    finder: &Finder,
    home: usize,
    name: &Name,
    limit: usize,
    fetched: &mut Fetched,
) -> Option<(Part, Location)> {
    let location = finder.locate(home, name)?;
    let trailer = finder
        .fetch_at(home, &location, &name.digest, limit, fetched)
        .ok()?;
    let text = index::text(&trailer, &fetched.bytes).ok()?;
    Some((index::part(&text, &location).ok()?, location))
}

/// The indexes below one root, in the order of the stream.
fn in_order(orphans: Vec<Orphan>, finder: &Arc<Finder>) -> Result<Vec<Orphan>> {
    let (starts, mut found): (Vec<_>, Vec<_>) = orphans
        .into_iter()
        .partition(|orphan| orphan.start() == (0, 0));
    found.sort_by_key(Orphan::start);
    let second = found.first().map(Orphan::start);
    let fits =
        |orphan: &Orphan| Some(orphan.end()) == second || orphan.ends_within_a_stream(finder);
    found.splice(0..0, starts.into_iter().filter(fits));
    let overlap = |pair: &[Orphan]| {
        let ((seq, offset), next) = (pair[0].end(), pair[1].start());
        next.0 < seq || next.1 < offset
    };
    if found.windows(2).any(overlap) {
        let what = "indexes of several streams whose roots are gone, expected those of one";
        return Err(Kind::Index(what.into()).into());
    }
    check_gaps(&found)?;
    Ok(found)
}

/// Refuses an index that begins far behind the others: zeros up to it would fill the disk, and it is
/// hardly of the same stream.
fn check_gaps(orphans: &[Orphan]) -> Result<()> {
    let sizes = orphans.iter().map(|orphan| orphan.part.total.1);
    let covered = sizes.fold(0, u64::saturating_add);
    let mut end = 0;
    for orphan in orphans {
        let gap = orphan.part.offset.saturating_sub(end);
        if gap > covered.saturating_mul(MOST_GAP) {
            let what = format!(
                "{gap} bytes between it and the index before it, expected at most {MOST_GAP} times \
                 the {covered} bytes that the indexes cover"
            );
            return Err(Error::from(Kind::Index(what)).at(&orphan.link.places[0]));
        }
        end = orphan.end().1;
    }
    Ok(())
}
