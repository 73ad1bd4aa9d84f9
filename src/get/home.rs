//! A store that pictures may be in, and what is known of how it answers.

use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Key, Location, Name};
use crate::store::{self, Batch, Fetched, Store, fetch};
use crate::wire::frame::Trailer;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A store that can't be reached for so many pictures one after another, each after all tries, isn't
/// asked again: it would take a minute each time.
const DOWN: usize = 8;
/// How long a record of prunes that was read counts.
const FRESH: Duration = Duration::from_secs(3);

/// A store that pictures may be in.
pub(super) struct Home {
    store: Arc<dyn Store>,
    names: Names,
    /// For messages.
    pub name: String,
    /// It was silent or out of reach when it was last asked: others are asked before it.
    slow: AtomicBool,
    /// Pictures for which it was out of reach since it last answered.
    failures: AtomicUsize,
    /// The batches of fossils that there are, and when that was read.
    batches: Mutex<Option<(Instant, Vec<Batch>)>>,
}

/// Where a home has a picture of a name.
pub(super) enum Names {
    /// The user named the store.
    Opened,
    /// A key is in this store, whose pictures are named after their digests.
    Store(String),
    /// A key is there, on an image host; only URLs lead to its pictures.
    Urls,
}

impl Names {
    /// How pictures are named where this key is.
    pub fn of(key: &Key) -> Self {
        let by_digest = key.location.store_of(&key.digest.into());
        let is_web = matches!(key.location.scheme(), "http" | "https");
        let folder = || key.location.store().filter(|_| !is_web);
        match by_digest.or_else(folder) {
            Some(store) => Names::Store(store.to_owned()),
            None => Names::Urls,
        }
    }
}

impl Home {
    pub fn new(store: Arc<dyn Store>, names: Names, name: String) -> Arc<Self> {
        Arc::new(Home {
            store,
            names,
            name,
            slow: AtomicBool::new(false),
            failures: AtomicUsize::new(0),
            batches: Mutex::new(None),
        })
    }

    pub fn locate(&self, name: &Name) -> Option<Location> {
        match &self.names {
            Names::Opened => self.store.locate(name),
            Names::Store(store) => Some(Location::in_store(store, name)),
            Names::Urls => None,
        }
    }

    /// The batches of fossils that there are, by the record of prunes, which is read at most every few
    /// seconds.
    pub fn batches(&self, place: &Location, name: &Name) -> Vec<Batch> {
        let lock = self.batches.lock();
        let mut known = lock.expect("internal error: a worker panicked");
        match &*known {
            Some((read, batches)) if read.elapsed() < FRESH => batches.clone(),
            _ => {
                let batches = store::batches(self.store.as_ref(), place, name);
                *known = Some((Instant::now(), batches.clone()));
                batches
            }
        }
    }

    /// Whether its pictures are named after their digests, as its key is.
    pub fn is_store(&self) -> bool {
        matches!(self.names, Names::Store(_))
    }

    /// Whether only URLs lead to its pictures.
    pub fn is_urls(&self) -> bool {
        matches!(self.names, Names::Urls)
    }

    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Notes that it was silent.
    pub fn was_silent(&self) {
        self.slow.store(true, Ordering::Relaxed);
    }

    /// Fetches the frame of this digest; gives its trailer.
    pub fn fetch(
        &self,
        location: &Location,
        digest: &Digest,
        limit: usize,
        to: &mut Fetched,
    ) -> Result<Trailer> {
        if self.failures.load(Ordering::Relaxed) >= DOWN {
            let cause = format!("{DOWN} pictures before it could not be reached, either");
            return Err(Error::from(Kind::Io("not asked for")).because(cause));
        }
        let done = fetch(self.store.as_ref(), location, digest, limit, to);
        match &done {
            // An error of one file says nothing of the other files.
            Err(e) if !e.is_loss() && location.scheme() != "file" => {
                self.slow.store(true, Ordering::Relaxed);
                self.failures.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => self.failures.store(0, Ordering::Relaxed),
            Ok(_) => {
                self.slow.store(false, Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
            }
        }
        done
    }
}
