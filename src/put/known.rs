//! What is known to be in a store: from the indexes of earlier keys, and from a journal.
//!
//! A picture that is known is not put, and the store isn't asked for it. But each source is checked: the
//! first picture that it knows is read back before any of it is passed over, then one in a hundred, and
//! every copy of an index, since no key is given while a copy of the root is damaged. Where one is
//! missing or damaged it is put again, and from then on everything that this source knows is read back
//! first. What was passed over unread until then is looked for before the key is given: see
//! [`Known::has_doubt`].
//!
//! An index says by URLs where pictures are on image hosts, which may be any hosts. What an index lists is
//! believed only of URLs that this host can have given, by their origin. Many hosts give URLs of another
//! origin than the one that takes uploads. So a picture at a URL of unknown origin is put again, while the
//! others wait: the URL that the host gives for it shows whether they are there.

use super::journal::{Head, Journal};
use super::reach::{self, Reach};
use super::table::{Builder, Table};
use crate::error::{Error, Kind, Result};
use crate::key::{Keys, Location, Name};
use crate::progress::Progress;
use crate::store::{Prunable, Store, Verify, compare};
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Where to learn what is in the stores already.
#[derive(Clone)]
pub struct Sources {
    /// Lines of keys whose indexes list it. Default: none.
    pub keys: Vec<Keys>,
    /// A journal for each store, in their order; or none. Default: none.
    pub journals: Vec<PathBuf>,
    /// Which of it is read back. Default: the first, and one in a hundred.
    pub verify: Verify,
    /// The folder for temporary files. Default: `/tmp`.
    pub folder: PathBuf,
    /// Called with what a user may want to know. Default: nothing is done with it.
    pub note: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for Sources {
    fn default() -> Self {
        Sources {
            keys: Vec::new(),
            journals: Vec::new(),
            verify: Verify::First,
            folder: "/tmp".into(),
            note: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Sources");
        fields
            .field("keys", &self.keys)
            .field("journals", &self.journals);
        fields.finish_non_exhaustive()
    }
}

/// A way to put: [`Store::put`] or [`Store::replace`].
type Put = fn(&(dyn Store + 'static), &Name, &[u8]) -> Result<Location>;

/// In percent: how many of the pictures that are known are read back.
const SHARE: u8 = 1;
/// Bits of a value in the table that say where the text of a location is; the others, which source it
/// comes from.
const PLACE: u32 = 44;
/// Sources of a store, at most.
const MOST: usize = 1 << (64 - PLACE);

/// What a look at a picture that is known has found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The picture, or no reason to doubt that it is there.
    There,
    /// Nothing, or a page that says so.
    Missing,
    /// Something else in its place.
    Damaged,
}

/// A store, of which it is known what is there.
pub(super) struct Known {
    store: Arc<dyn Store>,
    table: Table,
    /// Locations, each after its length, where the store names its pictures itself.
    places: File,
    sources: Vec<Source>,
    verify: Verify,
    journal: Option<Journal>,
    /// Whether a picture was put to learn where the host keeps its pictures.
    learned: Mutex<bool>,
    note: Arc<dyn Fn(&str) + Send + Sync>,
    progress: Progress,
}

/// What says that pictures are there.
struct Source {
    name: String,
    trust: Mutex<Trust>,
    /// Whether it lists only pictures that were put into this store.
    is_journal: bool,
    /// Whether a picture was passed over that was not read back.
    believed: AtomicBool,
    /// Whether the user knows that not all of it is there.
    told: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Nothing that it knows has been read back yet.
    Unproved,
    Proved,
    /// A picture was not as this source has it.
    Refuted,
}

/// Collects what is known of a store.
struct Collector {
    builder: Builder,
    places: BufWriter<File>,
    end: u64,
    by_digest: bool,
    sources: Vec<Source>,
}

impl Collector {
    fn new(store: &dyn Store, folder: &std::path::Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder);
        let file = file.map_err(|e| unusable(e).at(folder.display()))?;
        let name = Name::from(crate::key::Digest::of(b""));
        Ok(Collector {
            builder: Builder::new(folder)?,
            places: BufWriter::new(file),
            end: 0,
            by_digest: store.locate(&name).is_some(),
            sources: Vec::new(),
        })
    }

    /// Starts with the next source.
    fn source(&mut self, name: String, is_journal: bool) -> Result<()> {
        if self.sources.len() == MOST {
            let what = format!("over {MOST} keys to reuse, expected at most so many");
            return Err(Kind::Usage(what).into());
        }
        self.sources.push(Source {
            name,
            trust: Mutex::new(Trust::Unproved),
            is_journal,
            believed: AtomicBool::new(false),
            told: AtomicBool::new(false),
        });
        Ok(())
    }

    /// Adds what the last source knows.
    fn add(&mut self, name: &Name, place: &Location) -> Result<()> {
        let source = (self.sources.len() as u64 - 1) << PLACE;
        self.builder.add(name, source | self.end)?;
        if !self.by_digest {
            let text = place.to_string();
            let length = u32::try_from(text.len()).expect("internal error: a URL over 4 GiB");
            let mut write = |bytes: &[u8]| self.places.write_all(bytes).map_err(unusable);
            write(&length.to_le_bytes())?;
            write(text.as_bytes())?;
            self.end += 4 + u64::from(length);
        }
        Ok(())
    }

    /// Adds what the index of a line lists in this store.
    fn add_key(&mut self, keys: &Keys, store: &Arc<dyn Store>, limit: usize) -> Result<Reused> {
        let (mut failed, mut lost) = (None, None);
        for (root, number) in reach::roots(store.as_ref(), keys) {
            let own = number.map(|number| keys.all()[number].location.clone());
            let mut reach = Reach::in_store(root, store, limit);
            match reach.next() {
                Ok(picture) => {
                    let mut next = picture;
                    while let Some(picture) = next {
                        if picture.turn.is_none_or(|turn| Some(turn.0) == number) {
                            self.add(&picture.name, &picture.place)?;
                        }
                        next = reach.next()?;
                    }
                    return Ok(Reused::Listed);
                }
                Err(e) if e.kind() == &Kind::NotFound => lost = lost.or(own),
                Err(e) => failed = Some(e),
            }
        }
        let lost = lost.map_or(Reused::Elsewhere, Reused::Lost);
        failed.map_or(Ok(lost), Err)
    }
}

/// What a store has of a line to reuse.
enum Reused {
    /// Its index.
    Listed,
    /// Nothing, though a key of the line names this place in the store.
    Lost(Location),
    /// Nothing.
    Elsewhere,
}

/// What to say where a store has lost the indexes of so many lines, one of them at this place.
fn lost_note(place: &Location, count: usize) -> String {
    let others = match count {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let why = match place.scheme() {
        "file" => "; is the store mounted?",
        _ => "",
    };
    format!(
        "{place}: not found, expected the index of a key to reuse{others}: what only it lists is \
         stored again{why}"
    )
}

fn unusable(error: std::io::Error) -> Error {
    Error::io("cannot use a temporary file", error)
}

/// Wraps each store with what is known of it. `prunes` has the digest of the record of prunes of each
/// store.
pub(super) fn with_known(
    stores: &[Arc<dyn Store>],
    sources: &Sources,
    prunes: &[String],
    limit: usize,
    progress: &Progress,
) -> Result<Vec<Arc<Known>>> {
    if !sources.journals.is_empty() && sources.journals.len() != stores.len() {
        let (found, expected) = (sources.journals.len(), stores.len());
        let what = format!("{found} journals, expected one for each of {expected} stores");
        return Err(Kind::Usage(what).into());
    }
    let mut is_reused = vec![false; sources.keys.len()];
    let known = stores.iter().enumerate().map(|(at, store)| {
        let journal = sources.journals.get(at);
        let journal = journal.map(|path| (path, prunes[at].clone()));
        let known = Known::new(store, journal, sources, &mut is_reused, limit)?;
        let progress = progress.clone();
        Ok(Arc::new(Known { progress, ..known }))
    });
    let known = known.collect::<Result<Vec<_>>>()?;
    for (keys, _) in (sources.keys.iter().zip(is_reused)).filter(|(_, reused)| !reused) {
        let location = &keys.first().location;
        (sources.note)(&format!(
            "no store has the index of {location}: nothing of it is reused"
        ));
    }
    Ok(known)
}

impl Known {
    fn new(
        store: &Arc<dyn Store>,
        journal: Option<(&PathBuf, String)>,
        sources: &Sources,
        is_reused: &mut [bool],
        limit: usize,
    ) -> Result<Self> {
        let mut collector = Collector::new(store.as_ref(), &sources.folder)?;
        let mut lost = Vec::new();
        for (keys, is_reused) in sources.keys.iter().zip(is_reused) {
            collector.source(format!("the index of {}", keys.first().location), false)?;
            match collector.add_key(keys, store, limit) {
                Ok(Reused::Listed) => *is_reused = true,
                Ok(Reused::Elsewhere) => {}
                Ok(Reused::Lost(place)) => {
                    *is_reused = true;
                    lost.push(place);
                }
                Err(e) => {
                    *is_reused = true;
                    let error = reach::of_key(e, keys);
                    (sources.note)(&format!("not all of it is reused: {error}"));
                }
            }
        }
        if let Some(place) = lost.first() {
            (sources.note)(&lost_note(place, lost.len()));
        }
        let journal = match journal {
            None => None,
            Some((path, prunes)) => {
                collector.source(format!("the journal {}", path.display()), true)?;
                let id = store.id()?;
                let head = Head {
                    store: &id,
                    prunes: &prunes,
                };
                let by_digest = collector.by_digest;
                let (journal, pruned) = Journal::open(path, &head, |name, place| {
                    if by_digest && store.locate(&name).as_ref() != Some(&place) {
                        let what = format!("{place}, expected the place of {}", name.digest);
                        return Err(Kind::Journal(what).into());
                    }
                    collector.add(&name, &place)
                })?;
                if pruned {
                    let path = path.display();
                    (sources.note)(&format!("{path}: the store was pruned since: begun anew"));
                }
                Some(journal)
            }
        };
        let places = collector.places.into_inner();
        Ok(Known {
            store: Arc::clone(store),
            table: collector.builder.finish(&sources.folder)?,
            places: places.map_err(|e| unusable(e.into_error()))?,
            sources: collector.sources,
            verify: sources.verify,
            journal,
            learned: Mutex::new(false),
            note: Arc::clone(&sources.note),
            progress: Progress::default(),
        })
    }

    /// Whether pictures were passed over because of a source that has turned out to be wrong: the key
    /// must not be given before all of it has been looked for.
    pub fn has_doubt(&self) -> bool {
        let doubt = |source: &Source| {
            let trust = source.trust.lock();
            let trust = *trust.expect("internal error: a worker panicked");
            trust == Trust::Refuted && source.believed.load(Ordering::Relaxed)
        };
        self.sources.iter().any(doubt)
    }

    /// Where a picture is known to be, and what says so.
    fn find(&self, name: &Name) -> Result<Option<(&Source, Location)>> {
        let Some(value) = self.table.get(name)? else {
            return Ok(None);
        };
        let (source, at) = (value >> PLACE, value & ((1 << PLACE) - 1));
        let source = &self.sources[usize::try_from(source).unwrap_or_default()];
        if let Some(place) = self.store.locate(name) {
            return Ok(Some((source, place)));
        }
        let mut length = [0; 4];
        let read = |to: &mut [u8], at| self.places.read_exact_at(to, at).map_err(unusable);
        read(&mut length, at)?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        read(&mut text, at + 4)?;
        let place = String::from_utf8_lossy(&text).parse()?;
        Ok(Some((source, place)))
    }

    /// Where a picture is that need not be put. One that is damaged is replaced first.
    fn pass(&self, name: &Name, png: &[u8]) -> Result<Option<Location>> {
        let Some((source, place)) = self.find(name)? else {
            return Ok(None);
        };
        if self.is_foreign(source, &place) {
            return Ok(None);
        }
        if !self.store.still_has(&place)? {
            let source_name = &source.name;
            self.tell(source, &format!(
                "{place}: not found, expected it by {source_name}: what is missing is stored again"
            ));
            return Ok(None);
        }
        match self.admits(source, name, &place, png)? {
            Look::There => {
                self.progress.found();
                Ok(Some(place))
            }
            Look::Missing => Ok(None),
            // A store that only asks for the length may take it for the picture.
            Look::Damaged => self.send(name, png, Store::replace).map(Some),
        }
    }

    /// Whether a place may be on another host.
    fn is_foreign(&self, source: &Source, place: &Location) -> bool {
        !source.is_journal && !self.store.gives(place)
    }

    /// Puts a picture at a place that may be on another host, and so learns where this host keeps its
    /// pictures. None where another picture has shown that by now.
    fn learn(&self, name: &Name, png: &[u8]) -> Result<Option<Location>> {
        let Some((source, place)) = self.find(name)? else {
            return Ok(None);
        };
        if !self.is_foreign(source, &place) {
            return Ok(None);
        }
        // Locked all the while: the others wait for what this one shows.
        let lock = self.learned.lock();
        let mut learned = lock.expect("internal error: a worker panicked");
        let sent = match *learned {
            false => Some(self.send(name, png, Store::put)?),
            true => None,
        };
        *learned = true;
        if self.is_foreign(source, &place) {
            let source_name = &source.name;
            self.tell(
                source,
                &format!(
                    "{place}: on another host, by {source_name}: what is there is stored again"
                ),
            );
        }
        Ok(sent)
    }

    /// Puts or replaces a picture, and notes it in the journal.
    fn send(&self, name: &Name, png: &[u8], put: Put) -> Result<Location> {
        let place = put(self.store.as_ref(), name, png)?;
        if let Some(journal) = &self.journal {
            journal.add(name, &place)?;
        }
        Ok(place)
    }

    /// Tells the user once that not all is there that a source lists.
    fn tell(&self, source: &Source, what: &str) {
        if !source.told.swap(true, Ordering::Relaxed) {
            (self.note)(what);
        }
    }

    /// Whether a picture is taken to be there: without a look, or with one.
    fn admits(&self, source: &Source, name: &Name, place: &Location, png: &[u8]) -> Result<Look> {
        let is_drawn = match self.verify {
            _ if name.copy > 0 => true,
            Verify::All => true,
            Verify::First => fastrand::u8(0..100) < SHARE,
            Verify::Share(percent) => fastrand::u8(0..100) < percent,
            Verify::None => false,
        };
        let lock = source.trust.lock();
        let mut trust = lock.expect("internal error: a worker panicked");
        match *trust {
            Trust::Unproved if self.verify == Verify::None && !is_drawn => {}
            // Locked all the while: none is passed over before this one has been read.
            Trust::Unproved => {
                let found = self.look(name, place, png)?;
                *trust = self.judge(source, place, found);
                return Ok(found);
            }
            Trust::Proved if !is_drawn => {}
            Trust::Proved | Trust::Refuted => {
                drop(trust);
                let found = self.look(name, place, png)?;
                if found != Look::There {
                    let lock = source.trust.lock();
                    let mut trust = lock.expect("internal error: a worker panicked");
                    if *trust != Trust::Refuted {
                        *trust = self.judge(source, place, found);
                    }
                }
                return Ok(found);
            }
        }
        source.believed.store(true, Ordering::Relaxed);
        Ok(Look::There)
    }

    fn judge(&self, source: &Source, place: &Location, found: Look) -> Trust {
        if found == Look::There {
            return Trust::Proved;
        }
        let name = &source.name;
        (self.note)(&format!(
            "{place} isn't there as {name} has it: all that it lists is read back"
        ));
        Trust::Refuted
    }

    /// Reads a picture back.
    fn look(&self, name: &Name, place: &Location, png: &[u8]) -> Result<Look> {
        match compare(self.store.as_ref(), place, &name.digest, png) {
            Ok(comparison) if comparison.is_good() => Ok(Look::There),
            Ok(_) => Ok(Look::Damaged),
            // A page, or a redirect that leads nowhere: to send the picture again does no harm.
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Host(_)) => Ok(Look::Missing),
            Err(e) if e.is_loss() => Ok(Look::Damaged),
            Err(e) => Err(e.at(place)),
        }
    }
}

impl Store for Known {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let mut known = self.pass(name, png)?;
        if known.is_none() {
            if let Some(place) = self.learn(name, png)? {
                return Ok(place);
            }
            known = self.pass(name, png)?;
        }
        match known {
            Some(place) => Ok(place),
            None => self.send(name, png, Store::put),
        }
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store.replace(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.store.locate(name)
    }

    fn named(&self, error: Error) -> Error {
        self.store.named(error)
    }

    fn id(&self) -> Result<String> {
        self.store.id()
    }

    fn gives(&self, place: &Location) -> bool {
        self.store.gives(place)
    }

    fn still_has(&self, place: &Location) -> Result<bool> {
        self.store.still_has(place)
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        self.store.prunable()
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
