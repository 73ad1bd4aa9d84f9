//! Walks the trees of indexes that the keys of a line name; all of them are of one stream.

use super::fetch::Finder;
use crate::error::{Error, Kind, Result};
use crate::index::{self, Fetch, Found, Index, Link, Lost, Piece, Walker};
use crate::key::Keys;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// A root, and the home of the pictures that it refers to.
#[derive(Clone)]
pub(super) struct Tree {
    pub root: Link,
    pub home: usize,
}

/// Walks the first tree, and the next ones where an index of it is lost.
pub(super) struct Trail {
    finder: Arc<Finder>,
    trees: Vec<Tree>,
    ways: Vec<Way>,
    /// Number and offset of the next data frame, if that is known.
    next: Option<(u64, u64)>,
    /// The frames of which are wanted.
    bytes: Range<u64>,
}

/// A tree to walk, up to where the one before it continues.
struct Way {
    walker: Walker,
    tree: usize,
    end: u64,
}

/// A step of a [`Trail`].
pub(super) enum Step {
    /// A [`Found`], in the tree whose pictures are in this home.
    Found(Found, usize),
    /// An index that is lost in every tree.
    Lost(Lost),
}

/// The trees of a line: keys of the same digest share a tree.
pub(super) fn trees(keys: &Keys, finder: &Finder) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    for key in keys.all() {
        match trees.iter_mut().find(|tree| tree.root.digest == key.digest) {
            Some(tree) => tree.root.places.push(key.location.clone()),
            None => trees.push(Tree {
                root: Link::new(key.clone()),
                home: finder.home_of(key),
            }),
        }
    }
    trees
}

/// A walker through a tree, starting at data frame `from`.
pub(super) fn walker(tree: &Tree, from: u64, finder: &Arc<Finder>) -> Walker {
    let finder = Arc::clone(finder);
    let (root, home) = (tree.root.digest, tree.home);
    let fetch: Fetch = Box::new(move |link| {
        let text = match link.digest == root {
            true => finder.fetch_root(link),
            false => finder.fetch_index(link, home),
        };
        text.map_err(|e| e.at(&link.places[0]))
    });
    Walker::new(tree.root.clone(), from, fetch)
}

impl Trail {
    /// Starts at the first frame.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] if the keys are of several streams.
    pub fn new(keys: &Keys, finder: &Arc<Finder>) -> Result<Self> {
        let all = Trail::within(keys, finder, 0..u64::MAX)?;
        Ok(Trail {
            next: Some((0, 0)),
            ..all
        })
    }

    /// Starts at the first frame that has some of these bytes, and ends after the last one.
    ///
    /// # Errors
    ///
    /// As [`Trail::new`].
    pub fn within(keys: &Keys, finder: &Arc<Finder>, bytes: Range<u64>) -> Result<Self> {
        let trees = trees(keys, finder);
        check_same(&trees, finder, &bytes)?;
        let first = Way {
            walker: walker(&trees[0], 0, finder).within(bytes.clone()),
            tree: 0,
            end: u64::MAX,
        };
        Ok(Trail {
            finder: Arc::clone(finder),
            trees,
            ways: vec![first],
            next: None,
            bytes,
        })
    }

    /// Bytes of the stream, once a root of it has been read.
    pub fn size(&self) -> Option<u64> {
        self.ways.first()?.walker.size()
    }

    /// The next index, data frame or gap.
    pub fn next(&mut self) -> Result<Option<Step>> {
        while let Some(way) = self.ways.last_mut() {
            let home = self.trees[way.tree].home;
            match way.walker.next()? {
                Some(Found::Piece(piece)) if piece.seq >= way.end => drop(self.ways.pop()),
                Some(Found::Piece(piece)) => {
                    let at = (piece.seq, piece.offset);
                    if self.next.is_some_and(|next| next != at) {
                        return Err(several());
                    }
                    self.next = Some((piece.seq + 1, piece.offset + piece.size));
                    return Ok(Some(Step::Found(Found::Piece(piece), home)));
                }
                Some(Found::Lost(lost)) => {
                    if let Some(lost) = self.around(lost) {
                        let (frames, bytes) = lost.total.unwrap_or_default();
                        self.next = Some((lost.seq + frames, lost.offset + bytes));
                        return Ok(Some(Step::Lost(lost)));
                    }
                }
                Some(found) => return Ok(Some(Step::Found(found, home))),
                None => drop(self.ways.pop()),
            }
        }
        Ok(None)
    }

    /// Goes around a lost index, if there is another tree.
    fn around(&mut self, lost: Lost) -> Option<Lost> {
        let way = self.ways.last()?;
        let next = way.tree + 1;
        let Some(tree) = self.trees.get(next) else {
            return Some(lost);
        };
        let from = lost.seq.max(self.next.map_or(0, |(seq, _)| seq));
        let end = lost.total.map_or(u64::MAX, |(frames, _)| lost.seq + frames);
        let end = end.min(way.end);
        self.ways.push(Way {
            walker: walker(tree, from, &self.finder).within(self.bytes.clone()),
            tree: next,
            end,
        });
        None
    }
}

/// Checks that the trees are of one stream, as far as their indexes are there: that the same data
/// frames stand at the same places in all of them.
fn check_same(trees: &[Tree], finder: &Arc<Finder>, bytes: &Range<u64>) -> Result<()> {
    if trees.len() < 2 {
        return Ok(());
    }
    let mut first: Option<(Index, &Tree)> = None;
    for tree in trees {
        let Ok(json) = finder.fetch_root(&tree.root) else {
            continue;
        };
        let root = index::root(&json, &tree.root.places[0])?;
        let Some((index, other)) = &first else {
            first = Some((root, tree));
            continue;
        };
        if (index.size, index.frames) != (root.size, root.frames) {
            let [this, that] = [other, tree].map(|tree| &tree.root.places[0]);
            let sizes = format!("{} bytes in {this}, {} in {that}", index.size, root.size);
            return Err(several().because(sizes));
        }
        let [ours, theirs] =
            [other, tree].map(|tree| Leaves(walker(tree, 0, finder).within(bytes.clone())));
        if let Some(seq) = first_difference(ours, theirs) {
            let [this, that] = [other, tree].map(|tree| &tree.root.places[0]);
            let frames = format!("frame {seq} of {this} is not that of {that}");
            return Err(several().because(frames));
        }
    }
    Ok(())
}

/// The data frames that a tree lists; those below a lost index are left out, and those after an invalid
/// one.
struct Leaves(Walker);

impl Iterator for Leaves {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            match self.0.next().ok()?? {
                Found::Piece(piece) => return Some(piece),
                Found::Index(_) | Found::Lost(_) => {}
            }
        }
    }
}

/// The number of the first data frame that two trees list differently.
fn first_difference(mut ours: Leaves, mut theirs: Leaves) -> Option<u64> {
    let (mut our, mut their) = (ours.next()?, theirs.next()?);
    loop {
        match our.seq.cmp(&their.seq) {
            Ordering::Less => our = ours.next()?,
            Ordering::Greater => their = theirs.next()?,
            Ordering::Equal => {
                let what = |piece: &Piece| (piece.link.digest, piece.offset, piece.size);
                if what(&our) != what(&their) {
                    return Some(our.seq);
                }
                (our, their) = (ours.next()?, theirs.next()?);
            }
        }
    }
}

fn several() -> Error {
    Kind::Index("keys of several streams in one line, expected keys of one".into()).into()
}
