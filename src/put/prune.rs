//! Removing what no key reaches, while others put: in two steps, and without locks.
//!
//! A picture that none of the keys reaches becomes a fossil: it is moved aside, where readers still
//! find it and writers don't. A later prune, at least the grace period after, removes fossils that
//! still nobody reaches, and moves back those that a new key does.
//!
//! **Why this is safe.** Take a writer that finds a picture in the store at `t1`, so that it doesn't put
//! it, and whose key is among those that a prune has read at `t4`. A prune that doesn't know the key
//! makes the picture a fossil at `t2`. If `t2` is before `t1`, the writer doesn't find the picture, and
//! puts it. If it is after, a later prune removes the fossil only if it was `t2 + grace` or later when
//! that one began to read keys. So where the writer needs less than the grace period from `t1` to `t4`,
//! its key is among them, and the picture is moved back. A fossil is as old as its batch, whose time is
//! written down when all of it has been moved, so never too early; a batch without a time, of a prune
//! that was killed, or with one in the future, of a clock that was wrong, is as old as the prune that
//! finds it so.
//!
//! A writer that takes longer, or whose clock and ours disagree, is on its own guard: the record of
//! prunes changes before a picture is moved. A writer reads it before it looks for the first picture,
//! and again when it has put the last; if it has changed, or a prune is under way, the writer looks for
//! everything again, moves back what has become a fossil, and gives no key if something is gone:
//! `settle`. From then on only the time until the key is given to a prune counts.

use super::reach::{self, Reach};
use super::table::{Builder, Table};
use crate::error::{Error, Kind, Result};
use crate::index::{Fetch, Link, Role};
use crate::key::{Keys, Name};
use crate::pipeline;
use crate::store::{Batch, Prunable, Record, Shelf, Store, fossil};
use crate::wire::parity::MOST_PARITY;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

/// How to prune.
#[derive(Clone)]
pub struct Options {
    /// A moment before the keys were read.
    pub started: SystemTime,
    /// Tells the time.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// How old a fossil must be to be removed. Default: 7 days.
    pub grace: Duration,
    /// Whether nothing is done, and only told. Default: no.
    pub dry_run: bool,
    /// Requests at once; at least 1. Default: 8.
    pub jobs: usize,
    /// The most pixel bytes that an index frame may have. Default: 64 MiB.
    pub limit: usize,
    /// The folder for temporary files. Default: `/tmp`.
    pub folder: PathBuf,
}

impl Options {
    /// The defaults, for a prune that started at this moment, before its keys were read.
    #[must_use]
    pub fn new(started: SystemTime) -> Self {
        Options {
            started,
            clock: Arc::new(SystemTime::now),
            grace: Duration::from_secs(7 * 86400),
            dry_run: false,
            jobs: 8,
            limit: crate::wire::DEFAULT_LIMIT,
            folder: "/tmp".into(),
        }
    }
}

/// Pictures, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pictures.
    pub pictures: u64,
    /// Bytes of their PNGs.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.pictures += 1;
        self.bytes += bytes;
    }
}

/// What has become of the pictures of a store, or would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Reached by a key.
    pub kept: Tally,
    /// Of these, fossils that were moved back.
    pub revived: Tally,
    /// Fossils, old and new.
    pub fossils: Tally,
    /// Removed for good.
    pub removed: Tally,
}

/// Prunes a store: makes fossils of the pictures that none of these lines of keys reaches, removes old
/// fossils, and moves back those that a key reaches.
///
/// ```
/// use std::time::SystemTime;
/// use storagex::put::prune::{self, prune};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let old = storagex::put(frames, std::slice::from_ref(&store), &Default::default())?.keys;
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![8; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let new = storagex::put(frames, std::slice::from_ref(&store), &Default::default())?.keys;
/// let options = prune::Options::new(SystemTime::now()); // then read all keys that are to be kept
/// let pruned = prune(&store, &[new], &options)?;
/// // The index and the frame of another key are set aside, and removed in a week at the earliest.
/// assert_eq!((pruned.kept.pictures, pruned.fossils.pictures, pruned.removed.pictures), (2, 2, 0));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// Before anything is changed: [`Kind::Usage`] without keys, and for a store that can't be pruned;
/// [`Kind::Io`] while another prune of the same folder runs; that
/// of an index, with its key as the place, which can't be had in this store. Those of the store.
pub fn prune(store: &Arc<dyn Store>, keys: &[Keys], options: &Options) -> Result<Pruned> {
    if keys.is_empty() {
        return Err(Kind::Usage("no key, expected all that are to be kept".into()).into());
    }
    let shelves = prunable(store.as_ref())?;
    let _lock = match options.dry_run {
        true => None,
        false => shelves.lock()?,
    };
    let record = read(shelves)?;
    let reached = reach_all(store, keys, &record, options)?;
    let plan = survey(store, &reached, &record, options)?;
    if !options.dry_run {
        plan.carry_out(store, options)?;
    }
    Ok(plan.pruned)
}

/// The store, to prune.
fn prunable(store: &dyn Store) -> Result<&dyn Prunable> {
    let what = "a store that can't be pruned, expected a folder, S3 or WebDAV; an image host \
                needs --deletions";
    let other = || Error::from(Kind::Usage(what.into()));
    store.prunable().ok_or_else(other)
}

fn read(shelves: &dyn Prunable) -> Result<Record> {
    match shelves.record()? {
        None => Ok(Record::default()),
        Some(text) => Record::parse(&text),
    }
}

/// What tells whether a store has a root of a line, wherever in it.
pub(super) fn finder(
    store: &Arc<dyn Store>,
    options: &Options,
) -> Result<impl FnMut(&Keys) -> Result<bool> + use<>> {
    let record = read(prunable(store.as_ref())?)?;
    let mut read = anywhere(store, &record, options.limit);
    let store = Arc::clone(store);
    Ok(move |keys: &Keys| {
        for (root, _) in reach::roots(store.as_ref(), keys) {
            match read(&root) {
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == &Kind::NotFound => {}
                Err(e) => return Err(reach::of_key(e, keys)),
            }
        }
        Ok(false)
    })
}

/// The names of all that the keys reach in this store. Of a line, a root may be missing where another one
/// is there: it may be in another store. But everything below a root that is there has to be read.
fn reach_all(
    store: &Arc<dyn Store>,
    keys: &[Keys],
    record: &Record,
    options: &Options,
) -> Result<Table> {
    let mut reached = Builder::new(&options.folder)?;
    let mut indexes = HashSet::new();
    for keys in keys {
        let mut missing: Option<Error> = None;
        let mut found = false;
        for (root, _) in reach::roots(store.as_ref(), keys) {
            let read = anywhere(store, record, options.limit);
            match reach_one(Reach::new(root, read), &mut indexes, &mut reached) {
                Ok(None) => found = true,
                Ok(Some(error)) => drop(missing.get_or_insert(error)),
                Err(error) => return Err(reach::of_key(error, keys)),
            }
        }
        if !found {
            let nowhere = || Error::from(Kind::NotFound).at("index");
            return Err(reach::of_key(missing.unwrap_or_else(nowhere), keys));
        }
    }
    reached.finish(&options.folder)
}

/// Adds what one root leads to; gives the error of a root that is missing. An index that was met before
/// leads to nothing new.
fn reach_one(
    mut reach: Reach,
    indexes: &mut HashSet<[u8; 32]>,
    reached: &mut Builder,
) -> Result<Option<Error>> {
    let mut entered = Vec::new();
    let mut next = reach.next();
    if let Err(error) = &next
        && error.kind() == &Kind::NotFound
    {
        return Ok(next.err());
    }
    while let Some(picture) = next? {
        let name = Name::from(picture.name.digest);
        if picture.role == Role::Index {
            if indexes.contains(name.digest.bytes()) {
                reach.pass_over();
            }
            entered.push(*name.digest.bytes());
        }
        // Copies have the digest of their index.
        if picture.role != Role::Copy {
            reached.add(&name, 0)?;
        }
        next = reach.next();
    }
    indexes.extend(entered); // all that is below them has been reached
    Ok(None)
}

/// Reads indexes from wherever they are in a store: their own places, those of their copies, and those
/// of fossils.
fn anywhere(store: &Arc<dyn Store>, record: &Record, limit: usize) -> Fetch {
    let store = Arc::clone(store);
    let batches: Vec<Batch> = record.batches.iter().map(|(batch, _)| *batch).collect();
    Box::new(move |link: &Link| {
        let own = reach::read_index(store.as_ref(), link, limit);
        let Err(error) = own else { return own };
        if !error.is_loss() {
            return Err(error);
        }
        let digest = link.digest;
        let copies = (0..=MOST_PARITY).filter_map(|copy| u8::try_from(copy).ok());
        for name in copies.map(|copy| Name { digest, copy }) {
            let Some(place) = store.locate(&name) else {
                break;
            };
            let fossils = batches
                .iter()
                .filter_map(|batch| fossil(&place, &name, *batch));
            let mut places: Vec<_> = fossils.collect();
            places.insert(0, place);
            if let Ok(text) = reach::read_index(store.as_ref(), &Link { digest, places }, limit) {
                return Ok(text);
            }
        }
        Err(error)
    })
}

/// What is to be done.
struct Plan {
    pruned: Pruned,
    /// To become fossils, with their bytes.
    loose: Arc<Table>,
    /// By their batches: fossils to be moved back, and those to be removed.
    batches: Vec<Fossils>,
}

struct Fossils {
    batch: Batch,
    back: Arc<Table>,
    old: Arc<Table>,
    /// Whether all of them go.
    all: bool,
}

/// Looks at every picture of the store.
fn survey(
    store: &Arc<dyn Store>,
    reached: &Table,
    record: &Record,
    options: &Options,
) -> Result<Plan> {
    let mut pruned = Pruned::default();
    let mut loose = Builder::new(&options.folder)?;
    list(store, Shelf::Pictures, options.jobs, |name, bytes| {
        if reached.get(&name.digest.into())?.is_some() {
            pruned.kept.add(bytes);
            return Ok(());
        }
        pruned.fossils.add(bytes);
        loose.add(&name, bytes)
    })?;
    let mut batches = Vec::new();
    for (batch, done) in &record.batches {
        let is_old = done.is_some_and(|done| is_old(done, options));
        let (mut back, mut old) = (
            Builder::new(&options.folder)?,
            Builder::new(&options.folder)?,
        );
        let mut all = true;
        list(
            store,
            Shelf::Fossils(*batch),
            options.jobs,
            |name, bytes| {
                let place = store.locate(&name);
                let is_missing = || match place.map(|place| store.made(&place)) {
                    Some(Err(e)) if e.kind() == &Kind::NotFound => Ok(true),
                    Some(Err(e)) => Err(e),
                    _ => Ok(false),
                };
                if reached.get(&name.digest.into())?.is_some() && is_missing()? {
                    pruned.kept.add(bytes);
                    pruned.revived.add(bytes);
                    back.add(&name, bytes)
                } else if is_old {
                    pruned.removed.add(bytes);
                    old.add(&name, bytes)
                } else {
                    pruned.fossils.add(bytes);
                    all = false;
                    Ok(())
                }
            },
        )?;
        batches.push(Fossils {
            batch: *batch,
            back: Arc::new(back.finish(&options.folder)?),
            old: Arc::new(old.finish(&options.folder)?),
            all,
        });
    }
    Ok(Plan {
        pruned,
        loose: Arc::new(loose.finish(&options.folder)?),
        batches,
    })
}

/// Whether a batch of fossils may be removed.
fn is_old(done: u64, options: &Options) -> bool {
    let done = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(done));
    let age = done.and_then(|done| options.started.duration_since(done).ok());
    age.is_some_and(|age| age >= options.grace)
}

/// Whether a batch has a time, and one that isn't in the future.
fn is_past(done: Option<u64>, options: &Options) -> bool {
    let now = options.started.duration_since(SystemTime::UNIX_EPOCH);
    done.is_some_and(|done| now.is_ok_and(|now| done <= now.as_secs() + 1))
}

/// Calls `each` with every picture on a shelf; lists several of its folders at once.
fn list(
    store: &Arc<dyn Store>,
    shelf: Shelf,
    jobs: usize,
    each: impl FnMut(Name, u64) -> Result<()> + Send,
) -> Result<()> {
    let shelves = prunable(store.as_ref())?;
    let each = Mutex::new(each);
    let next = AtomicU64::new(0);
    let work = || -> Result<()> {
        while let Ok(first) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
            shelves.list(shelf, first, &mut |name, bytes| {
                let mut each = each.lock().expect("internal error: a worker panicked");
                each(name, bytes)
            })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..jobs.min(8)).map(|_| scope.spawn(work)).collect();
        let done = running.into_iter();
        let mut done = done.map(|one| one.join().expect("internal error: a thread panicked"));
        done.try_for_each(|done| done)
    })
}

impl Plan {
    fn is_nothing(&self) -> bool {
        let still = |fossils: &Fossils| fossils.back.count() + fossils.old.count() == 0;
        self.loose.count() == 0 && self.batches.iter().all(still)
    }

    /// The record before the first picture; what a key reaches before what none does.
    fn carry_out(&self, store: &Arc<dyn Store>, options: &Options) -> Result<()> {
        let shelves = prunable(store.as_ref())?;
        let jobs = options.jobs;
        let record = read(shelves)?;
        if self.is_nothing()
            && record
                .batches
                .iter()
                .all(|(_, done)| is_past(*done, options))
        {
            return Ok(());
        }
        let own = Batch(fastrand::u64(..));
        change(shelves, |batches| batches.push((own, None)))?;
        for Fossils { batch, back, .. } in &self.batches {
            let (from, to) = (Shelf::Fossils(*batch), Shelf::Pictures);
            relocate_all(store, back, from, to, jobs)?;
        }
        let (from, to) = (Shelf::Pictures, Shelf::Fossils(own));
        relocate_all(store, &self.loose, from, to, jobs)?;
        store.sync()?;
        let now = (options.clock)().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs() + 1); // rounded up
        change(shelves, |batches| {
            for (batch, done) in batches.iter_mut() {
                // Ours, one that was interrupted, and one of a clock that was ahead.
                if *batch == own || done.is_none_or(|done| done > now) {
                    *done = Some(now);
                }
            }
            if self.loose.count() == 0 {
                batches.retain(|(batch, _)| *batch != own);
            }
        })?;
        for Fossils { batch, old, .. } in &self.batches {
            each(old, jobs, remover(store, Shelf::Fossils(*batch)))?;
        }
        let gone = |batch: &Batch| {
            let mut gone = self.batches.iter().filter(|fossils| fossils.all);
            gone.any(|fossils| fossils.batch == *batch)
        };
        if self.batches.iter().any(|fossils| fossils.all) {
            for fossils in self.batches.iter().filter(|fossils| fossils.all) {
                shelves.tidy(fossils.batch)?;
            }
            change(shelves, |batches| batches.retain(|(batch, _)| !gone(batch)))?;
        }
        store.sync()
    }
}

/// Changes the record as it is now.
fn change(
    shelves: &dyn Prunable,
    change: impl FnOnce(&mut Vec<(Batch, Option<u64>)>),
) -> Result<()> {
    let mut record = read(shelves)?;
    record.change = fastrand::u64(..);
    change(&mut record.batches);
    shelves.set_record(&record.render())
}

fn relocate_all(
    store: &Arc<dyn Store>,
    table: &Arc<Table>,
    from: Shelf,
    to: Shelf,
    jobs: usize,
) -> Result<()> {
    let store = Arc::clone(store);
    each(table, jobs, move |name| {
        match prunable(store.as_ref())?.relocate(name, from, to) {
            Err(e) if e.kind() == &Kind::NotFound => Ok(()), // another one was faster
            other => other,
        }
    })
}

fn remover(store: &Arc<dyn Store>, from: Shelf) -> impl Fn(&Name) -> Result<()> + use<> {
    let store = Arc::clone(store);
    move |name| prunable(store.as_ref())?.remove(name, from)
}

/// Does something with each name in a table, many at once.
fn each(
    table: &Arc<Table>,
    jobs: usize,
    work: impl Fn(&Name) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    /// Names that a worker takes at once.
    const SOME: usize = 64;
    let table = Arc::clone(table);
    let mut at = 0;
    pipeline::run(
        jobs,
        VecDeque::new,
        move |names: &mut VecDeque<Name>| {
            names.clear();
            table.some(at, SOME, |name| names.push_back(name))?;
            at += names.len() as u64;
            Ok(!names.is_empty())
        },
        move |names, (): &mut ()| names.iter().try_for_each(&work),
        |_| Ok(()),
    )
}
