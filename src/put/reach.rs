//! The pictures that a key reaches in one store.

use crate::error::{Error, Result};
use crate::index::{self, Fetch, Found, Link, Role, Turn, Walker};
use crate::key::{Digest, Keys, Location, Name};
use crate::store::{Fetched, Store, fetch};
use std::collections::VecDeque;
use std::sync::Arc;

/// A picture that an index refers to.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub name: Name,
    pub place: Location,
    pub role: Role,
    /// The store of the line that it was dealt out to, if it was.
    pub turn: Option<Turn>,
}

/// Goes through the pictures of a tree of indexes, an index before what it covers.
pub(super) struct Reach {
    walker: Walker,
    waiting: VecDeque<Picture>,
}

/// Reads the text of an index frame from the first of these places that has it.
pub(super) fn read_index(store: &dyn Store, link: &Link, limit: usize) -> Result<Vec<u8>> {
    let mut failed = None;
    for place in &link.places {
        let mut to = Fetched::default();
        let text = fetch(store, place, &link.digest, limit, &mut to)
            .and_then(|trailer| index::text(&trailer, &to.bytes));
        match text {
            Ok(text) => return Ok(text),
            Err(e) => drop(failed.get_or_insert(e.at(place))),
        }
    }
    Err(failed.expect("internal error: a link without places"))
}

impl Reach {
    /// Starts at this root; `read` gives the text of an index.
    pub fn new(root: Link, read: Fetch) -> Self {
        Reach {
            walker: Walker::new(root, 0, read),
            waiting: VecDeque::new(),
        }
    }

    /// As [`Reach::new`], with indexes from their own places in a store.
    pub fn in_store(root: Link, store: &Arc<dyn Store>, limit: usize) -> Self {
        let store = Arc::clone(store);
        let read = move |link: &Link| read_index(store.as_ref(), link, limit);
        Reach::new(root, Box::new(read))
    }

    /// The next picture.
    ///
    /// # Errors
    ///
    /// As [`Walker::next`], and that of an index that can't be had.
    pub fn next(&mut self) -> Result<Option<Picture>> {
        loop {
            if let Some(picture) = self.waiting.pop_front() {
                return Ok(Some(picture));
            }
            match self.walker.next()? {
                None => return Ok(None),
                Some(Found::Lost(lost)) => return Err(lost.error),
                Some(Found::Index(link)) => self.index(&link),
                Some(Found::Piece(piece)) => {
                    let group = piece.group.as_ref();
                    let turn = group.and_then(|(group, number)| group.link(*number).1);
                    self.add(&piece.link, Role::Data, turn);
                    let Some((group, _)) = group.filter(|(group, _)| group.seq == piece.seq) else {
                        continue;
                    };
                    for number in group.data.len()..group.shards() {
                        let (link, turn) = group.link(number);
                        self.add(link, Role::Parity, turn);
                    }
                }
            }
        }
    }

    /// Passes over what the index covers that came last.
    pub fn pass_over(&mut self) {
        self.walker.pass_over();
    }

    fn index(&mut self, link: &Link) {
        for (place, copy) in link.places.iter().zip(0..) {
            let name = Name {
                digest: link.digest,
                copy,
            };
            self.waiting.push_back(Picture {
                name,
                place: place.clone(),
                role: if copy == 0 { Role::Index } else { Role::Copy },
                turn: None,
            });
        }
    }

    fn add(&mut self, link: &Link, role: Role, turn: Option<Turn>) {
        self.waiting.push_back(Picture {
            name: link.digest.into(),
            place: link.places[0].clone(),
            role,
            turn,
        });
    }
}

/// The roots that a line leads to in a store, each with the number of its key in the line if that
/// is in this very place. A store that names pictures by their digests may have been moved.
pub(super) fn roots(store: &dyn Store, keys: &Keys) -> Vec<(Link, Option<usize>)> {
    let mut roots: Vec<(Link, Option<usize>)> = Vec::new();
    for (number, key) in keys.all().iter().enumerate() {
        let name = Name::from(key.digest);
        let is_url = |location: &Location| {
            let is_web = matches!(location.scheme(), "http" | "https");
            is_web && location.store_of(&name).is_none()
        };
        let digest: Digest = key.digest;
        let place = match store.locate(&name) {
            Some(place) => place,
            None if is_url(&key.location) => key.location.clone(),
            None => continue,
        };
        let number = (place == key.location).then_some(number);
        match roots.iter_mut().find(|(root, _)| root.digest == digest) {
            Some((root, _)) if !root.places.contains(&place) => root.places.push(place),
            Some((_, known)) => *known = known.or(number),
            None => roots.push((
                Link {
                    digest,
                    places: vec![place],
                },
                number,
            )),
        }
    }
    roots
}

/// The same error, with the key that it is of as the place.
pub(super) fn of_key(error: Error, keys: &Keys) -> Error {
    error.at(format_args!("key {}", keys.first().location))
}
