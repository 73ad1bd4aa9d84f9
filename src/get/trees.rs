//! The trees of indexes that the keys of a line name; all of them are of one stream.
//!
//! Stores that name pictures after their digests share a tree. An image host has a tree of its own, as its
//! indexes give URLs; so a frame that is lost on one host is found on another only by the index there.
//!
//! The roots of several trees are requested at once, and only once. Each tree is read a second time beside
//! the walk, by a cursor that knows where the tree has the frames that are being fetched.

use super::fetch::{Finder, PATIENCE, Wait, silent};
use super::gather::lock;
use crate::error::{Error, Result};
use crate::index::{Fetch, Found, Link, Piece, Walker};
use crate::key::{Digest, Location};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Data frames that a cursor remembers: more than are fetched at once.
const REMEMBERED: usize = 2048;

/// A root, and the home of the pictures that it refers to.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub root: Link,
    pub home: usize,
}

/// All trees of a line, in its order.
pub(super) struct Trees {
    all: Vec<Tree>,
    finder: Weak<Finder>,
    answers: Mutex<Answers>,
    came: Condvar,
    cursors: Vec<Mutex<Cursor>>,
}

/// The texts of the roots, or why they can't be had, as far as that is known.
struct Answers {
    asked: Option<Instant>,
    roots: Vec<Option<Result<Vec<u8>>>>,
}

impl Answers {
    /// Whether the root of any tree has come.
    fn is_any_there(&self) -> bool {
        self.roots.iter().flatten().any(Result::is_ok)
    }
}

impl Trees {
    pub fn new(all: Vec<Tree>, finder: Weak<Finder>) -> Self {
        let roots = all.iter().map(|_| None).collect();
        Trees {
            cursors: all.iter().map(|_| Mutex::default()).collect(),
            answers: Mutex::new(Answers { asked: None, roots }),
            came: Condvar::new(),
            all,
            finder,
        }
    }

    pub fn all(&self) -> &[Tree] {
        &self.all
    }

    fn finder(&self) -> Arc<Finder> {
        let finder = self.finder.upgrade();
        finder.expect("internal error: trees without their finder")
    }

    /// The text of a root. Waits briefly only if another root is there.
    ///
    /// # Errors
    ///
    /// Those of the stores that the root should be in.
    pub fn root(&self, number: usize, wait: Wait) -> Result<Vec<u8>> {
        if let [tree] = &self.all[..] {
            return self.finder().fetch_root(&tree.root);
        }
        match &self.answers(number, wait).roots[number] {
            Some(Ok(json)) => Ok(json.clone()),
            Some(Err(error)) => Err(error.again()),
            None => Err(silent()),
        }
    }

    /// Whether a root is there. Waits as [`Trees::root`] does.
    fn has_root(&self, number: usize, wait: Wait) -> bool {
        matches!(self.answers(number, wait).roots[number], Some(Ok(_)))
    }

    /// The answers, with that for this root, unless it isn't waited for any longer.
    fn answers(&self, number: usize, wait: Wait) -> MutexGuard<'_, Answers> {
        let mut answers = lock(&self.answers);
        let asked = *answers.asked.get_or_insert_with(|| self.ask());
        while answers.roots[number].is_none() {
            let left = match wait == Wait::Briefly && answers.is_any_there() {
                true => PATIENCE.saturating_sub(asked.elapsed()),
                false => Duration::from_secs(3600),
            };
            if left.is_zero() {
                self.finder().was_silent(self.all[number].home);
                break;
            }
            let waited = self.came.wait_timeout(answers, left);
            (answers, _) = waited.expect("internal error: a worker panicked");
        }
        answers
    }

    /// Requests all roots.
    fn ask(&self) -> Instant {
        for (number, tree) in self.all.iter().enumerate() {
            let (finder, root) = (self.finder(), tree.root.clone());
            thread::spawn(move || {
                let answer = finder.fetch_root(&root);
                let trees = finder.trees();
                lock(&trees.answers).roots[number] = Some(answer);
                trees.came.notify_all();
            });
        }
        Instant::now()
    }

    /// The numbers of the trees, those first whose roots are there.
    pub fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        if order.len() > 1 {
            order.sort_by_cached_key(|&number| !self.has_root(number, Wait::Briefly));
        }
        order
    }

    /// A walker through a tree, starting at data frame `from`.
    pub fn walker(&self, number: usize, from: u64) -> Walker {
        let finder = self.finder();
        self.walker_by(number, from, move || Arc::clone(&finder))
    }

    fn walker_by(
        &self,
        number: usize,
        from: u64,
        finder: impl Fn() -> Arc<Finder> + Send + 'static,
    ) -> Walker {
        let Tree { root, home } = self.all[number].clone();
        let digest = root.digest;
        let fetch: Fetch = Box::new(move |link| {
            let text = match link.digest == digest {
                true => finder().trees().root(number, Wait::Fully),
                false => finder().fetch_index(link, home),
            };
            text.map_err(|e: Error| e.at(&link.places[0]))
        });
        Walker::new(root, from, fetch)
    }

    /// Where the trees have a frame, and the homes there: a data frame, by its number, or a parity frame,
    /// by the number of the first data frame of its group. If the wait is brief, a tree that is out of reach,
    /// or that another worker is reading, is left out.
    pub fn places(&self, seq: u64, digest: &Digest, wait: Wait) -> Vec<(usize, Location)> {
        let mut places = Vec::new();
        if self.all.len() == 1 {
            return places;
        }
        for (number, tree) in self.all.iter().enumerate() {
            if !self.has_root(number, wait) {
                continue;
            }
            let cursor = &self.cursors[number];
            let cursor = match wait {
                Wait::Briefly => cursor.try_lock().ok(),
                Wait::Fully => Some(lock(cursor)),
            };
            if cursor.is_none() {
                self.finder().pass_over();
            }
            let begin = || {
                let finder = Weak::clone(&self.finder);
                self.walker_by(number, seq, move || {
                    finder.upgrade().expect("internal error: no finder")
                })
            };
            let found = cursor.and_then(|mut cursor| cursor.find(seq, digest, begin));
            let here = found.into_iter().flat_map(|link| link.places);
            places.extend(here.map(|place| (tree.home, place)));
        }
        places
    }
}

/// Where a tree has the frames that are being fetched.
#[derive(Default)]
struct Cursor {
    walker: Option<Walker>,
    /// The number of the first data frame that is remembered, if the tree has it.
    from: u64,
    passed: VecDeque<Piece>,
}

impl Cursor {
    /// The frame with this digest: data frame `seq`, or a parity frame of its group.
    fn find(&mut self, seq: u64, digest: &Digest, begin: impl FnOnce() -> Walker) -> Option<Link> {
        let piece = self.piece(seq, begin)?;
        if piece.link.digest == *digest {
            return Some(piece.link.clone());
        }
        let (group, _) = piece.group.as_ref()?;
        let mut parity = group.parity.iter();
        parity.find(|link| link.digest == *digest).cloned()
    }

    fn piece(&mut self, seq: u64, begin: impl FnOnce() -> Walker) -> Option<&Piece> {
        if self.walker.is_none() || seq < self.from {
            *self = Cursor {
                walker: Some(begin()),
                from: seq,
                passed: VecDeque::new(),
            };
        }
        let walker = self.walker.as_mut()?;
        while self.passed.back().is_none_or(|last| last.seq < seq) {
            match walker.next() {
                Ok(Some(Found::Piece(piece))) => self.passed.push_back(piece),
                Ok(Some(Found::Index(_) | Found::Lost(_))) => {}
                Ok(None) | Err(_) => break,
            }
            if self.passed.len() > REMEMBERED {
                let oldest = self.passed.pop_front();
                self.from = oldest.map_or(self.from, |piece| piece.seq + 1);
            }
        }
        self.passed.iter().rev().find(|piece| piece.seq == seq)
    }
}
