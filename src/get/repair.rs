//! Stores lost pictures again.
//!
//! In a store that names pictures after their digests, each missing or damaged picture is put back
//! under its name, and the key stays the same. Nothing else changes, so an interrupted repair loses
//! nothing, and can be run again.
//!
//! Otherwise the frames go through [`put`](crate::put()) into another store, with a new index and a
//! new key. An image host keeps the pictures that it still has: [`Keeping`] returns their URLs
//! instead of uploading them again.

use super::check::{Findings, Health, Report};
use super::inspect::{self, Looked, Picture, State};
use super::options::Options;
use super::trail::Trail;
use super::{Finder, check, gather};
use crate::error::{Error, Kind, Result};
use crate::index::Link;
use crate::key::{Digest, Key, Keys, Location, Name, Source};
use crate::put::{self, put};
use crate::store::{self, Prunable, Store};
use crate::wire::carrier::{container, write_bytes};
use crate::wire::parity::Parity;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

/// The result of a repair.
#[derive(Debug)]
pub struct Repaired {
    /// The line of keys that is valid now.
    pub keys: Keys,
    /// Pictures that were stored again.
    pub stored: u64,
    /// The report from before the repair.
    pub report: Report,
}

/// Stores the missing and damaged pictures of a line again, each under its name, if another store
/// has them or they can be rebuilt. The stores to look in first are sources: what they have counts as
/// missing where the line's own stores don't have it.
///
/// ```
/// use storagex::get::{self, repair};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let other = storagex::store::open(folder.path().join("other").as_os_str(), &Default::default())?;
/// # let stores = [store, other];
/// # let keys = storagex::put(frames, &stores, &Default::default())?.keys;
/// // Of two stores, one is lost.
/// std::fs::remove_dir_all(&name).unwrap();
/// let repaired = repair(&keys, &get::Options::default())?;
/// assert_eq!(repaired.stored, 2); // an index and a frame
/// assert_eq!(repaired.keys.to_string(), keys.to_string());
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Usage`] for an image host, which names pictures itself; those of the stores, also where
/// no root can be reached, once everything is stored that can be. Data that is lost for good is not an
/// error: the report has it.
pub fn repair(source: impl Into<Source>, options: &Options) -> Result<Repaired> {
    let keys = keys(source.into())?;
    let finder = Finder::new(&keys, options)?;
    if keys.all().iter().any(is_of_host) {
        let what = "a key of an image host, expected --to and the uploader file to upload with";
        return Err(Kind::Usage(what.into()).into());
    }
    let mut findings = Findings::default();
    let stored = Arc::new(AtomicU64::new(0));
    let mut failed: Option<Error> = None;
    for number in 0..finder.trees().all().len() {
        let shelves = Arc::new(Shelves::open(&finder, options)?);
        let (to, count) = (Arc::clone(&shelves), Arc::clone(&stored));
        inspect::run(
            inspect::Whole::new(number, &finder),
            &finder,
            options,
            |_| true,
            move |inspector, looked| {
                inspector.look_at_home(looked);
                let stored = to.mend(looked);
                inspector.recycle(looked);
                count.fetch_add(stored, Ordering::Relaxed);
                Ok(())
            },
            |looked| {
                findings.take(looked, &finder);
                Ok(())
            },
        )?;
        if let Err(error) = shelves.finish() {
            failed.get_or_insert(error);
        }
        findings.end_tree();
    }
    let report = findings.end()?;
    match failed {
        Some(error) => Err(error),
        None => Ok(Repaired {
            keys,
            stored: stored.load(Ordering::Relaxed),
            report,
        }),
    }
}

fn keys(source: Source) -> Result<Keys> {
    match source {
        Source::Key(keys) => Ok(keys),
        Source::V1(_) => {
            let what = "a key of storagex 1.0, expected one of this storagex: nothing proves what to repair";
            Err(Kind::Usage(what.into()).into())
        }
    }
}

/// Whether a key is on an image host, where pictures can't be put back at their places.
fn is_of_host(key: &Key) -> bool {
    let is_web = matches!(key.location.scheme(), "http" | "https");
    is_web && key.location.store_of(&key.digest.into()).is_none()
}

/// The stores of a line, to write to. What can't be written keeps nothing else from being stored.
struct Shelves {
    stores: HashMap<usize, Arc<dyn Store>>,
    /// The number of pictures that a store didn't take, one after another.
    failures: HashMap<usize, AtomicUsize>,
    /// Why the first one was not taken.
    failed: Mutex<Option<Error>>,
}

/// A store that takes none of so many pictures gets no more.
const ENOUGH: usize = 8;

impl Shelves {
    fn open(finder: &Finder, options: &Options) -> Result<Self> {
        let mut stores = HashMap::new();
        for &home in finder.line() {
            let name = store::name_of(&finder.name(home));
            stores.insert(home, store::open(name.as_ref(), &options.store)?);
        }
        Ok(Shelves {
            failures: stores
                .keys()
                .map(|home| (*home, AtomicUsize::new(0)))
                .collect(),
            stores,
            failed: Mutex::default(),
        })
    }

    /// Puts a picture back where it should be; returns the number of stores.
    fn mend(&self, looked: &Looked) -> u64 {
        let mut stored = 0;
        if !looked.can_be_had {
            return 0;
        }
        let picture = looked.picture();
        let name = picture.name();
        for place in &looked.places {
            if matches!(place.state, State::Good(_)) {
                continue;
            }
            let Some(store) = self.stores.get(&place.home) else {
                continue; // an index that refers to a URL, found in a store to look in first
            };
            let failures = &self.failures[&place.home];
            if failures.load(Ordering::Relaxed) >= ENOUGH {
                continue;
            }
            // Made anew: the fetched PNG may be a copy, or another PNG of the same pixels.
            let mut png = Vec::new();
            let size = container::size(&looked.fetched.png);
            let fetched = &looked.fetched;
            write_bytes(&fetched.bytes, fetched.carrier, size, &mut png);
            match store.replace(&name, &container::as_copy(&png, picture.copy)) {
                Ok(_) => {
                    failures.store(0, Ordering::Relaxed);
                    stored += 1;
                }
                Err(error) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                    gather::lock(&self.failed).get_or_insert(error);
                }
            }
        }
        stored
    }

    /// Makes durable what was stored.
    ///
    /// # Errors
    ///
    /// Why a store didn't take a picture.
    fn finish(&self) -> Result<()> {
        self.stores.values().try_for_each(|store| store.sync())?;
        match gather::lock(&self.failed).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Brings a line's stream into other stores, and returns the line there. Pictures that an image
/// host among these still has are not uploaded again. A stream that is spread stays so if losing one
/// of these stores would lose no data; else each gets a copy.
///
/// # Errors
///
/// Those of [`get`](super::get()) and [`put`](crate::put()); [`Kind::Lost`] if some data is lost.
pub fn repair_to(
    source: impl Into<Source>,
    stores: &[Arc<dyn Store>],
    options: &Options,
) -> Result<Repaired> {
    let keys = keys(source.into())?;
    let report = check(&keys, super::Sample::All, options)?;
    if report.health() == Health::Lost {
        return Err(report.error().expect("internal error: nothing is lost"));
    }
    let hosts = stores
        .iter()
        .filter(|store| is_host(store.as_ref()))
        .count();
    let kept = Kept::new(hosts);
    let stored = Arc::new(AtomicU64::new(0));
    let keeping: Vec<Arc<dyn Store>> = stores
        .iter()
        .map(|store| {
            Arc::new(Keeping {
                store: Arc::clone(store),
                kept: Arc::clone(&kept),
                stored: Arc::clone(&stored),
            }) as Arc<dyn Store>
        })
        .collect();
    let (parity, spread, name) = shape(&keys, options)?;
    let putting = put::Options {
        jobs: options.jobs,
        limit: options.limit,
        name,
        parity,
        spread: spread && put::can_spread(stores, parity),
        ..put::Options::default()
    };
    let (reader, writer) = io::pipe().map_err(|e| Error::io("cannot make a pipe", e))?;
    let (line, getting) = (keys.clone(), options.clone());
    let from = thread::spawn(move || send(&line, writer, &kept, &getting));
    let done = put(reader, &keeping, &putting);
    let sent = from.join().expect("internal error: a thread panicked");
    let done = match sent {
        Err(e) if e.kind() != &Kind::ClosedPipe => return Err(e),
        _ => done?,
    };
    Ok(Repaired {
        keys: done.keys,
        stored: stored.load(Ordering::Relaxed),
        report,
    })
}

/// The parity of a line's stream, whether it is spread, and its name.
fn shape(keys: &Keys, options: &Options) -> Result<(Option<Parity>, bool, String)> {
    let name = super::root(keys, options)?.filename;
    let finder = Finder::new(keys, options)?;
    let mut trail = Trail::new(&finder)?;
    while let Some(step) = trail.next()? {
        let (found, _) = super::found(step)?;
        if let crate::index::Found::Piece(piece) = found {
            let Some((group, _)) = piece.group else {
                return Ok((None, false, name));
            };
            let parity = Parity {
                data: usize::try_from(group.frames).unwrap_or(1),
                parity: group.parity.len(),
            };
            return Ok((Some(parity), group.spread.is_some(), name));
        }
    }
    Ok((None, false, name))
}

/// Whether a store names its pictures itself.
fn is_host(store: &dyn Store) -> bool {
    store.locate(&Digest::of(b"").into()).is_none()
}

/// URLs where good pictures were found.
struct Kept {
    /// The number of image hosts that are put to: so often is looked here for a picture.
    hosts: usize,
    pictures: Mutex<HashMap<Digest, (Vec<Location>, usize)>>,
}

impl Kept {
    fn new(hosts: usize) -> Arc<Self> {
        Arc::new(Kept {
            hosts,
            pictures: Mutex::default(),
        })
    }

    fn note(&self, link: &Link, place: &Location) {
        let is_url = place.store_of(&link.digest.into()).is_none();
        if self.hosts > 0 && is_url && matches!(place.scheme(), "http" | "https") {
            let mut pictures = gather::lock(&self.pictures);
            let (places, _) = pictures.entry(link.digest).or_default();
            places.push(place.clone());
        }
    }

    /// Where a picture is that need not be put on this host. Of several hosts, each keeps its own pictures
    /// only: else what is lost on one would be lost on all.
    fn take(&self, digest: &Digest, host: &dyn Store) -> Option<Location> {
        let mut pictures = gather::lock(&self.pictures);
        let (places, looks) = pictures.get_mut(digest)?;
        *looks += 1;
        let is_last = *looks >= self.hosts;
        let mut places = places.iter();
        let found = places.find(|place| self.hosts == 1 || host.gives(place));
        let found = found.cloned();
        if is_last {
            pictures.remove(digest);
        }
        found
    }
}

/// Writes the data frames of a line, and notes which pictures are good in place.
fn send(keys: &Keys, mut to: impl Write, kept: &Kept, options: &Options) -> Result<()> {
    let finder = Finder::new(keys, options)?;
    // Parity frames of a group arrive after its first data frame, and are put after its last one.
    inspect::run(
        Trail::new(&finder)?,
        &finder,
        options,
        |picture| matches!(picture.role, put::Role::Data | put::Role::Parity),
        |inspector, looked| {
            inspector.look(looked);
            Ok(())
        },
        |looked| {
            if let Some(lost) = looked.lost.take() {
                return Err(lost.error);
            }
            let is_data = looked.picture().role == put::Role::Data;
            if let Some(error) = looked.error.take().filter(|_| is_data) {
                return Err(at(looked.picture(), error));
            }
            let good = looked.places.iter();
            for place in good.filter(|place| matches!(place.state, State::Good(_))) {
                kept.note(&looked.picture().link, &place.location);
            }
            match is_data {
                true => to.write_all(&looked.fetched.png).map_err(Error::output),
                false => Ok(()),
            }
        },
    )
}

/// An error with a data frame.
fn at(frame: &Picture, error: Error) -> Error {
    let (number, ..) = frame.stands;
    let place = format_args!("frame {number}");
    error.at(&frame.link.places[0]).at(place)
}

/// A store that returns the locations of pictures that it already has, and stores the others.
struct Keeping {
    store: Arc<dyn Store>,
    kept: Arc<Kept>,
    /// Pictures that were stored.
    stored: Arc<AtomicU64>,
}

impl Store for Keeping {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        if is_host(self.store.as_ref())
            && name.copy == 0
            && let Some(location) = self.kept.take(&name.digest, self.store.as_ref())
        {
            return Ok(location);
        }
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.store.put(name, png)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.stored.fetch_add(1, Ordering::Relaxed);
        self.store.replace(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.store.locate(name)
    }

    fn id(&self) -> Result<String> {
        self.store.id()
    }

    fn still_has(&self, location: &Location) -> Result<bool> {
        self.store.still_has(location)
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        self.store.prunable()
    }

    fn named(&self, error: Error) -> Error {
        self.store.named(error)
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.store.get(location, read)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        self.store.made(location)
    }
}
