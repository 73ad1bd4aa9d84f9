//! Puts frames into stores, and makes the key that restores them.

mod copies;
mod deletions;
pub mod forget;
mod journal;
mod known;
mod parity;
pub mod places;
pub mod prune;
mod reach;
mod settle;
mod table;

use crate::error::{Error, Kind, Result};
pub use crate::index::Role;
use crate::index::{self, Builder, Index, Link, Stored};
use crate::key::{Digest, Key, Keys, Location, Name};
use crate::pipeline;
use crate::progress::Progress;
use crate::store::{self, Store};
use crate::wire::carrier;
use crate::wire::carrier::container::{self, Pictures};
use crate::wire::frame::{Codec, FrameKind, Place, Size, Trailer};
use crate::wire::parity::{Parity, TABLES};
use crate::wire::stream::Order;
use crate::wire::{Carrier, DEFAULT_LIMIT, read_frame, write_frame};
use copies::Stores;
pub(crate) use copies::can_spread;
pub use deletions::prune_deletions;
#[cfg(any(test, fuzzing))]
pub use journal::hostile as hostile_journal;
pub use known::Sources;
use parity::{Batch, Groups};
use settle::Watch;
use std::io::Read;
use std::sync::Arc;
#[doc(hidden)] // for the tests of its memory
pub use table::{Builder as TableBuilder, Table};

/// Options for putting.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of frames to store at once; at least 1. Default: 8.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
    /// Size of a full index frame. Default: 1024 x 768.
    pub index_size: Size,
    /// The index's filename. Default: none.
    pub name: String,
    /// Parity frames to add to each group of data frames. Default: none.
    pub parity: Option<Parity>,
    /// Whether to spread the frames of a group over the stores in turn, instead of a copy in each.
    /// Default: no.
    pub spread: bool,
    /// How many stores must take everything. Default: all.
    pub min_copies: Option<usize>,
    /// Where to learn what is in the stores already. Default: nowhere.
    pub known: Option<Sources>,
    /// Counts what is done. The stores count what they found and what they were sent, by their own
    /// [`Config`](crate::store::Config).
    pub progress: Progress,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 8,
            limit: DEFAULT_LIMIT,
            index_size: Size::DEFAULT,
            name: String::new(),
            parity: None,
            spread: false,
            min_copies: None,
            known: None,
            progress: Progress::default(),
        }
    }
}

impl Options {
    /// The bytes of buffers that putting takes for frames that full are of size `full`, whatever the
    /// length of the stream: a PNG for each slot, pixels for each worker; entries, text, pixels and
    /// PNG of an index, and entries for each level of the tree above the first; with parity, the
    /// frames of a group, and tables; what is known, while it is sorted.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        let index = self.index_size.pixel_bytes();
        let group = self
            .parity
            .map_or(0, |group| (group.data + group.parity) * frame + TABLES);
        let known = self.known.as_ref().map_or(0, |_| table::MEMORY);
        pipeline::slots(self.jobs) * frame + self.jobs * frame + 5 * index + group + known
    }
}

/// The result of putting.
#[derive(Debug)]
pub struct Done {
    /// The line of keys that restores the stream: of each store one key, or, of an image host, one for each
    /// copy of the root.
    pub keys: Keys,
    /// The keys of this line by the number of their store.
    pub by_store: Vec<(usize, Keys)>,
    /// The root index in the first of these stores.
    pub root: Index,
    /// The stores that failed, by number, and their errors.
    pub missing: Vec<(usize, Error)>,
}

/// Stores the frames from `input` and an index of them in each store; returns the keys and the root
/// index.
///
/// This checks frames as [`decode`](crate::decode()) does, but doesn't decompress them. It returns
/// the keys when everything is durable and it has read the root back. A stream that `decode` would
/// refuse for its order or its end gets no key.
///
/// ```
/// use storagex::wire::parity::Parity;
/// use storagex::{put, store};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let other = folder.path().join("other");
/// let config = store::Config::default();
/// let stores = [
///     store::open(name.as_os_str(), &config)?,
///     store::open(other.as_os_str(), &config)?,
/// ];
/// let options = put::Options {
///     name: "sevens".into(),
///     parity: Some(Parity { data: 20, parity: 2 }),
///     ..Default::default()
/// };
/// let done = put(frames, &stores, &options)?;
/// assert_eq!(done.keys.all().len(), 2); // either of them restores the stream
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// As `decode`, with `frame N` as the place; those of the stores;
/// [`Kind::Size`], [`Kind::Name`],
/// [`Kind::Usage`].
pub fn put(
    input: impl Read + Send + 'static,
    stores: &[Arc<dyn Store>],
    options: &Options,
) -> Result<Done> {
    let full = options.index_size.checked(options.limit)?;
    let (stores, watches) = watched(stores, options)?;
    let stores = Arc::new(Stores::new(&stores, options)?);
    let mut shelves = shelves(&stores, watches, full, options)?;
    put_frames(input, &stores, options, |batch| {
        add(&mut shelves, &batch, &stores, options.limit)
    })?;
    let done = finish(shelves, &stores, options)?;
    Ok(Done {
        missing: stores.take_missing(),
        ..done
    })
}

/// Stores the frames from `input`, and calls `each` with the key of every frame in every store that gets
/// it, in order, a group's parity frames after its data frames. Makes no index. Returns the stores that failed,
/// by number, and their errors.
///
/// # Errors
///
/// As [`put`], and those of `each`; [`Kind::Gone`] if a store was pruned meanwhile.
pub fn put_keys(
    input: impl Read + Send + 'static,
    stores: &[Arc<dyn Store>],
    options: &Options,
    mut each: impl FnMut(&Key, Role) -> Result<()>,
) -> Result<Vec<(usize, Error)>> {
    let (stores, watches) = watched(stores, options)?;
    let stores = Arc::new(Stores::new(&stores, options)?);
    put_frames(input, &stores, options, |batch| {
        for (position, (role, links)) in batch.links().into_iter().enumerate() {
            let turn = stores.turn(position);
            for (at, link) in links {
                if turn.is_none_or(|turn| turn == at) {
                    each(&link.key(), role)?;
                }
            }
        }
        Ok(())
    })?;
    for at in stores.left() {
        let ended = stores.store(at).sync().and_then(|()| watches[at].end());
        stores.take(at, ended)?;
    }
    Ok(stores.take_missing())
}

/// Stores, and for each what is to be looked at before the end.
type Watched = (Vec<Arc<dyn Store>>, Vec<Watch>);

/// The stores, each with what is known of it.
fn watched(stores: &[Arc<dyn Store>], options: &Options) -> Result<Watched> {
    let watches = stores.iter().map(Watch::new);
    let mut watches = watches.collect::<Result<Vec<_>>>()?;
    let Some(sources) = &options.known else {
        return Ok((stores.to_vec(), watches));
    };
    let prunes: Vec<_> = watches.iter().map(Watch::prunes).collect();
    let progress = &options.progress;
    let known = known::with_known(stores, sources, &prunes, options.limit, progress)?;
    for (watch, known) in watches.iter_mut().zip(&known) {
        watch.known = Some(Arc::clone(known));
    }
    let stores = known.into_iter().map(|known| known as Arc<dyn Store>);
    Ok((stores.collect(), watches))
}

/// Stores frames, many at once; calls `each` for every group of them, or every frame, in order.
fn put_frames(
    input: impl Read + Send + 'static,
    stores: &Arc<Stores>,
    options: &Options,
    mut each: impl FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let mut pictures = Pictures::new(input, options.limit);
    let limit = options.limit;
    let group = options.parity.map_or(1, |parity| parity.data as u64);
    let to = Arc::clone(stores);
    let mut seq = 0;
    let mut order = Order::default();
    let mut groups = Groups::new(options.parity, options.jobs);
    let keeps = options.parity.is_some();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.seq = seq;
            seq += 1;
            pictures.next(&mut slot.png).map_err(|e| slot.at(e))
        },
        move |slot, pixels| {
            let position = usize::try_from(slot.seq % group).unwrap_or_default();
            slot.put(&to, position, limit, pixels)
                .map_err(|e| slot.at(e))?;
            if keeps {
                std::mem::swap(&mut slot.png, pixels); // what parity is made of
            }
            Ok(())
        },
        |slot| {
            let done = slot.done.take().expect("internal error: not stored");
            order.next(&done.trailer).map_err(|e| slot.at(e))?;
            options.progress.frame(u64::from(done.trailer.raw_length));
            let batch = groups.add(done, &mut slot.png, stores)?;
            batch.map_or(Ok(()), &mut each)
        },
    )?;
    order.end()?;
    groups.finish(stores)?.map_or(Ok(()), each)
}

/// A picture, and the result of storing it.
#[derive(Default)]
struct Slot {
    seq: u64,
    /// The PNG; then, with parity, the frame bytes.
    png: Vec<u8>,
    done: Option<Put>,
}

struct Put {
    trailer: Trailer,
    digest: Digest,
    size: Size,
    carrier: Carrier,
    stored: Vec<Option<Stored>>,
}

impl Slot {
    /// PNG, pixels, digest, stores.
    fn put(
        &mut self,
        stores: &Stores,
        position: usize,
        limit: usize,
        pixels: &mut Vec<u8>,
    ) -> Result<()> {
        let frame = read_frame(&self.png, limit, pixels)?;
        let trailer = frame.trailer;
        let (carrier, size) = (frame.carrier, frame.size);
        Order::check_kind(&trailer)?;
        let digest = Digest::of(pixels);
        carrier::as_written(&frame, pixels, &mut self.png);
        let places = stores.put(position, &digest.into(), &self.png)?;
        let stored = |location: Location| Stored {
            link: Link::new(Key { location, digest }),
            bytes: u64::from(trailer.raw_length),
            size,
        };
        let stored = places.into_iter().map(|place| place.map(stored)).collect();
        self.done = Some(Put {
            trailer,
            digest,
            size,
            carrier,
            stored,
        });
        Ok(())
    }

    fn at(&self, error: Error) -> Error {
        error.at(format_args!("frame {}", self.seq))
    }
}

/// The index that grows in a store.
struct Shelf {
    /// The store's number.
    at: usize,
    builder: Builder,
    keeper: Keeper,
    watch: Watch,
}

fn shelves(
    stores: &Stores,
    watches: Vec<Watch>,
    full: Size,
    options: &Options,
) -> Result<Vec<Shelf>> {
    let shelf = |(at, watch): (usize, Watch)| {
        Ok(Shelf {
            at,
            watch,
            builder: Builder::new(full.capacity(), options.name.clone(), options.parity)?,
            keeper: Keeper {
                store: Arc::clone(stores.store(at)),
                full,
                carrier: Carrier::Plain,
                copies: options.parity.map_or(0, |parity| parity.parity),
            },
        })
    };
    watches.into_iter().enumerate().map(shelf).collect()
}

/// Adds a batch to the index of each store that still works.
fn add(shelves: &mut Vec<Shelf>, batch: &Batch, stores: &Stores, limit: usize) -> Result<()> {
    let left = stores.left();
    shelves.retain(|shelf| left.contains(&shelf.at));
    for shelf in shelves {
        shelf.take_carrier(batch.carrier, limit)?;
        let added = shelf.add(batch);
        stores.take(shelf.at, added)?;
    }
    Ok(())
}

impl Shelf {
    /// Makes the index frames with the carrier of the data frames, before the first is added.
    fn take_carrier(&mut self, carrier: Carrier, limit: usize) -> Result<()> {
        if carrier == Carrier::Plain || !self.builder.is_empty() {
            return Ok(());
        }
        let full = carrier.checked(carrier.within(self.keeper.full), limit)?;
        (self.keeper.carrier, self.keeper.full) = (carrier, full);
        self.builder.set_capacity(carrier.capacity(full))
    }

    fn add(&mut self, batch: &Batch) -> Result<()> {
        let frames = batch.frames.iter().map(|frame| frame[self.at].clone());
        let Some(frames) = frames.collect::<Option<Vec<Stored>>>() else {
            return Ok(()); // this store fails, which shows next time
        };
        let protection = batch.protection.as_ref().map(|each| each[self.at].as_ref());
        if let Some(None) = protection {
            return Ok(());
        }
        let keeper = &self.keeper;
        let mut keep = |json: &[u8]| keeper.keep(json);
        self.builder.add(&frames, protection.flatten(), &mut keep)
    }

    /// The indexes from the leaves up, then, when all is durable, the root, which is read back; then a
    /// look at what was taken to be there.
    fn finish(self, options: &Options) -> Result<(Link, Index)> {
        let keeper = &self.keeper;
        let root = self.builder.finish(&mut |json| keeper.keep(json))?;
        keeper.store.sync()?;
        let link = keeper.keep(&index::render(&root))?;
        keeper.store.sync()?;
        let read = || read_back(&link, keeper.store.as_ref(), options.limit);
        match read() {
            // A prune doesn't know its key yet.
            Err(e) if e.kind() == &Kind::NotFound && self.watch.bring_back(&link)? => read()?,
            other => other?,
        }
        self.watch.settle(&link, self.at, options)?;
        Ok((link, root))
    }
}

/// Ends the index in each store; gives the keys.
fn finish(shelves: Vec<Shelf>, stores: &Stores, options: &Options) -> Result<Done> {
    let left = stores.left();
    let (mut by_store, mut first) = (Vec::new(), None);
    for shelf in shelves {
        let at = shelf.at;
        if !left.contains(&at) {
            continue;
        }
        let is_named_by_digest = shelf.keeper.is_named_by_digest();
        let Some((link, root)) = stores.take(at, shelf.finish(options))? else {
            continue;
        };
        let shown = if is_named_by_digest { 1 } else { usize::MAX };
        let Link { digest, places } = link;
        let places = places.into_iter().take(shown);
        let keys = places.map(|location| Key { location, digest }).collect();
        let keys = Keys::new(keys).expect("internal error: a root without a place");
        by_store.push((at, keys));
        first.get_or_insert(root);
    }
    let keys = by_store.iter().flat_map(|(_, keys)| keys.all().to_vec());
    Ok(Done {
        keys: Keys::new(keys.collect()).expect("internal error: no store is left"),
        by_store,
        root: first.expect("internal error: no store is left"),
        missing: Vec::new(),
    })
}

/// Stores index frames in one store.
pub(crate) struct Keeper {
    pub store: Arc<dyn Store>,
    /// Size of a full index frame.
    pub full: Size,
    /// Carrier of index frames: that of the first data frames.
    pub carrier: Carrier,
    /// Number of copies to store of each.
    pub copies: usize,
}

impl Keeper {
    fn is_named_by_digest(&self) -> bool {
        let name = Name::from(Digest::of(b""));
        self.store.locate(&name).is_some()
    }

    /// Makes a frame from the text of an index, and stores it and its copies.
    pub fn keep(&self, json: &[u8]) -> Result<Link> {
        let trailer = Trailer {
            kind: FrameKind::Index,
            codec: Codec::Stored,
            place: Place::Anywhere,
            raw_length: u32::try_from(json.len()).expect("internal error: an index over 4 GiB"),
            sealed: None,
        };
        let size = self.carrier.fit(self.full, json.len());
        let digest = parity::digest_of(&trailer, json, self.carrier.frame_bytes(size));
        let mut png = Vec::new();
        write_frame(&trailer, json, self.carrier, size, &mut png);
        let mut places = Vec::new();
        for copy in 0..=self.copies {
            let copy = u8::try_from(copy).expect("internal error: over 255 copies");
            let picture = container::as_copy(&png, copy);
            let place = self.store.put(&Name { digest, copy }, &picture);
            let place = place.map_err(|e| e.at("index"))?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(Link { digest, places })
    }
}

/// Checks that the store returns the root and each of its copies.
fn read_back(link: &Link, store: &dyn Store, limit: usize) -> Result<()> {
    for location in &link.places {
        let key = Key {
            location: location.clone(),
            digest: link.digest,
        };
        store::fetch_key(&key, store, limit)
            .map_err(|e| e.at(format_args!("reading back {location}")))?;
    }
    Ok(())
}
