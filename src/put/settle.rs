//! What was taken to be in a store, looked for once more before the key is given, where there is a
//! reason: a source that was wrong, or a prune meanwhile.

use super::Options;
use super::known::Known;
use super::reach::{self, Picture, Reach};
use crate::error::{Error, Kind, Result};
use crate::index::Link;
use crate::key::{Digest, Name};
use crate::pipeline;
use crate::store::{Fetched, Prunable, Record, Shelf, Store, fetch};
use std::sync::Arc;

/// How often everything is looked for, at most.
const LOOKS: usize = 10;

/// Watches over what is taken to be in a store.
pub(super) struct Watch {
    store: Arc<dyn Store>,
    pub known: Option<Arc<Known>>,
    /// The record of prunes, before anything was looked for.
    record: Option<String>,
}

impl Watch {
    /// Begins, before anything is looked for or put.
    pub fn new(store: &Arc<dyn Store>) -> Result<Self> {
        Ok(Watch {
            store: Arc::clone(store),
            known: None,
            record: record(store.as_ref())?,
        })
    }

    /// The digest of the record of prunes, as a journal has it.
    pub fn prunes(&self) -> String {
        let record = self.record.as_ref();
        let digest = record.map(|text| Digest::of(text.as_bytes()).to_string());
        digest.unwrap_or_else(|| "-".into())
    }

    /// Whether a prune may have moved pictures since the beginning, by the record as it is now.
    fn is_pruned(&self, record: Option<&str>) -> bool {
        let is_open = |text: &str| Record::parse(text).map_or(true, |record| record.is_open());
        record != self.record.as_deref() || record.is_some_and(is_open)
    }

    fn has_doubt(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.has_doubt())
    }

    /// Moves a root and its copies back, as far as a prune has made them fossils; gives whether any was.
    pub fn bring_back(&self, root: &Link) -> Result<bool> {
        let mut is_back = false;
        for copy in (0..=root.places.len()).filter_map(|copy| u8::try_from(copy).ok()) {
            let digest = root.digest;
            match revive(self.store.as_ref(), &Name { digest, copy }) {
                Err(e) if e.kind() == &Kind::NotFound => {}
                other => {
                    other?;
                    is_back = true;
                }
            }
        }
        Ok(is_back)
    }

    /// Looks for everything that a root leads to in this store, which is number `at`, if anything gives
    /// reason to doubt that it is there.
    ///
    /// # Errors
    ///
    /// [`Kind::Gone`], with the location as the place.
    pub fn settle(&self, root: &Link, at: usize, options: &Options) -> Result<()> {
        let mut seen = record(self.store.as_ref())?;
        if !self.is_pruned(seen.as_deref()) && !self.has_doubt() {
            return Ok(());
        }
        // Until no prune begins or ends while we look.
        for _ in 0..LOOKS {
            self.look_for_all(root, at, options)?;
            let now = record(self.store.as_ref())?;
            if now == seen {
                return Ok(());
            }
            seen = now;
        }
        Err(Error::from(Kind::Gone).because("the store was pruned again and again"))
    }

    /// Looks for everything that a root leads to, and moves back what is a fossil.
    fn look_for_all(&self, root: &Link, at: usize, options: &Options) -> Result<()> {
        let (own, most) = (Arc::clone(&self.store), options.limit);
        // An index that is a fossil is moved back before what it covers is looked for.
        let read = move |link: &Link| match reach::read_index(own.as_ref(), link, most) {
            Err(e) if e.kind() == &Kind::NotFound => {
                revive(own.as_ref(), &link.digest.into()).map_err(gone)?;
                reach::read_index(own.as_ref(), link, most)
            }
            other => other,
        };
        let mut reach = Reach::new(root.clone(), Box::new(read));
        let (store, limit) = (Arc::clone(&self.store), options.limit);
        pipeline::run(
            options.jobs,
            || None,
            move |slot: &mut Option<Picture>| {
                *slot = loop {
                    match reach.next()? {
                        Some(picture) if picture.turn.is_some_and(|turn| turn.0 != at) => {}
                        other => break other,
                    }
                };
                Ok(slot.is_some())
            },
            move |slot, fetched: &mut Fetched| {
                let picture = slot.as_ref().expect("internal error: no picture");
                look(store.as_ref(), picture, limit, fetched)
            },
            |_| Ok(()),
        )?;
        self.store.sync()
    }

    /// Ends where no index is made, so that nothing can be looked for.
    ///
    /// # Errors
    ///
    /// [`Kind::Gone`] if anything gives reason to doubt that everything is there.
    pub fn end(&self) -> Result<()> {
        if self.has_doubt() {
            return Err(Kind::Gone.into());
        }
        match self.is_pruned(record(self.store.as_ref())?.as_deref()) {
            true => Err(Error::from(Kind::Gone).because("a prune may have set it aside meanwhile")),
            false => Ok(()),
        }
    }
}

/// Looks for a picture: by its name, or, on an image host, by reading it.
fn look(store: &dyn Store, picture: &Picture, limit: usize, fetched: &mut Fetched) -> Result<()> {
    let Picture { name, place, .. } = picture;
    let found = match store.locate(name) {
        Some(_) => match store.made(place) {
            Err(e) if e.kind() == &Kind::NotFound => revive(store, name),
            other => other.map(drop),
        },
        None => fetch(store, place, &name.digest, limit, fetched).map(drop),
    };
    found.map_err(|e| gone(e).at(place))
}

/// The error where something isn't found, unless it is just out of reach.
fn gone(error: Error) -> Error {
    match error.is_loss() {
        true => Kind::Gone.into(),
        false => error,
    }
}

/// The record of prunes of a store that can be pruned.
fn record(store: &dyn Store) -> Result<Option<String>> {
    store.prunable().map_or(Ok(None), Prunable::record)
}

/// Moves a picture back that a prune has made a fossil, if nobody else has.
fn revive(store: &dyn Store, name: &Name) -> Result<()> {
    let missing = || Error::from(Kind::NotFound);
    let shelves = store.prunable().ok_or_else(missing)?;
    let text = shelves.record()?.ok_or_else(missing)?;
    for (batch, _) in Record::parse(&text)?.batches {
        match shelves.relocate(name, Shelf::Fossils(batch), Shelf::Pictures) {
            Err(e) if e.kind() == &Kind::NotFound => {}
            other => return other,
        }
    }
    let place = store.locate(name).ok_or_else(missing)?;
    store.made(&place).map(drop)
}
