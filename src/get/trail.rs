//! Walks the trees of a line together, as one.

use super::fetch::{Finder, Wait};
use super::trees::Tree;
use crate::error::{Error, Kind, Result};
use crate::index::{self, Found, Index, Lost, Piece, Walker};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// Walks the first tree, and the next ones where an index of it is lost.
pub(super) struct Trail {
    finder: Arc<Finder>,
    /// The numbers of the trees.
    order: Vec<usize>,
    ways: Vec<Way>,
    /// Number and offset of the next data frame, if that is known.
    next: Option<(u64, u64)>,
    /// The frames of which are wanted.
    bytes: Range<u64>,
}

/// A tree to walk, up to where the one before it continues.
struct Way {
    walker: Walker,
    /// Its number in the order.
    place: usize,
    end: u64,
}

/// A step of a [`Trail`].
pub(super) enum Step {
    /// A [`Found`], in the tree whose pictures are in this home.
    Found(Found, usize),
    /// An index that is lost in every tree.
    Lost(Lost),
}

impl Trail {
    /// Starts at the first frame.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] if the keys are of several streams.
    pub fn new(finder: &Arc<Finder>) -> Result<Self> {
        let all = Trail::within(finder, 0..u64::MAX)?;
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
    pub fn within(finder: &Arc<Finder>, bytes: Range<u64>) -> Result<Self> {
        let order = finder.trees().order();
        check_same(&order, finder, &bytes)?;
        let first = Way {
            walker: finder.trees().walker(order[0], 0).within(bytes.clone()),
            place: 0,
            end: u64::MAX,
        };
        Ok(Trail {
            finder: Arc::clone(finder),
            order,
            ways: vec![first],
            next: None,
            bytes,
        })
    }

    /// The trees of the line.
    pub fn trees(&self) -> &[Tree] {
        self.finder.trees().all()
    }

    /// Bytes of the stream, once a root of it has been read.
    pub fn size(&self) -> Option<u64> {
        self.ways.first()?.walker.size()
    }

    /// The next index, data frame or gap.
    pub fn next(&mut self) -> Result<Option<Step>> {
        while let Some(way) = self.ways.last_mut() {
            let home = self.finder.trees().all()[self.order[way.place]].home;
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
        let place = way.place + 1;
        let Some(&tree) = self.order.get(place) else {
            return Some(lost);
        };
        let from = lost.seq.max(self.next.map_or(0, |(seq, _)| seq));
        let end = lost.total.map_or(u64::MAX, |(frames, _)| lost.seq + frames);
        let end = end.min(way.end);
        let walker = self.finder.trees().walker(tree, from);
        self.ways.push(Way {
            walker: walker.within(self.bytes.clone()),
            place,
            end,
        });
        None
    }
}

/// Checks that the trees are of one stream, as far as their indexes are there: that the same data
/// frames stand at the same places in all of them.
fn check_same(numbers: &[usize], finder: &Arc<Finder>, bytes: &Range<u64>) -> Result<()> {
    if numbers.len() < 2 {
        return Ok(());
    }
    let trees = finder.trees();
    let place = |number: usize| &trees.all()[number].root.places[0];
    let mut first: Option<(Index, usize)> = None;
    for &number in numbers {
        let Ok(json) = trees.root(number, Wait::Briefly) else {
            continue;
        };
        let root = index::root(&json, place(number))?;
        let Some((index, other)) = &first else {
            first = Some((root, number));
            continue;
        };
        let [this, that] = [*other, number].map(place);
        if (index.size, index.frames) != (root.size, root.frames) {
            let sizes = format!("{} bytes in {this}, {} in {that}", index.size, root.size);
            return Err(several().because(sizes));
        }
        let [ours, theirs] =
            [*other, number].map(|number| Leaves(trees.walker(number, 0).within(bytes.clone())));
        if let Some(seq) = first_difference(ours, theirs) {
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
