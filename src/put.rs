//! Frames to a store, and the key that brings them back.

use crate::error::{Error, Kind, Result};
use crate::get;
use crate::index::{self, Builder, Index, Stored};
use crate::key::{Digest, Key};
use crate::pipeline;
use crate::store::Store;
use crate::wire::frame::{self, Codec, FrameKind, Place, Size, Trailer};
use crate::wire::pictures::{self, Pictures};
use crate::wire::stream::Order;
use crate::wire::{DEFAULT_LIMIT, read_frame, write_frame};
use std::io::Read;
use std::sync::Arc;

/// How to put.
#[derive(Debug, Clone)]
pub struct Options {
    /// Frames that are stored at once; at least 1. Default: 8.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
    /// Size of a full index frame. Default: 1024 x 768.
    pub index_size: Size,
    /// The index's filename. Default: none.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 8,
            limit: DEFAULT_LIMIT,
            index_size: Size::DEFAULT,
            name: String::new(),
        }
    }
}

impl Options {
    /// The bytes of buffers that putting takes for frames that full are of size `full`, whatever the
    /// length of the stream: a PNG for each slot, pixels for each worker; entries, text, pixels and
    /// PNG of an index, and entries for each level of the tree above the first.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        let index = self.index_size.pixel_bytes();
        pipeline::slots(self.jobs) * frame + self.jobs * frame + 5 * index
    }
}

/// Stores the frames that `input` gives and an index of them; gives the key, and the root index.
///
/// Frames are checked as [`decode`](crate::decode()) does, but for what is under the codec. The key
/// is given when everything is durable and the root has been read back; a stream that `decode` would
/// refuse for its order or its end has none.
///
/// # Errors
///
/// As `decode`, with `frame N` as the place; those of the store; [`Kind::Size`], [`Kind::Name`].
pub fn put(
    input: impl Read + Send + 'static,
    store: &Arc<dyn Store>,
    options: &Options,
) -> Result<(Key, Index)> {
    let full = options.index_size.checked(options.limit)?;
    let mut builder = Builder::new(full.capacity(), options.name.clone())?;
    let mut store_index = |json: &[u8]| put_index(json, full, store.as_ref());
    put_frames(input, store, options, |stored| {
        builder.add(stored, &mut store_index)
    })?;
    let root = builder.finish(&mut store_index)?;
    store.sync()?;
    let key = store_index(&index::render(&root))?;
    store.sync()?;
    read_back(&key, store.as_ref(), options.limit)?;
    Ok((key, root))
}

/// Stores the frames that `input` gives; calls `each` with every frame's key, in order. Makes no
/// index.
///
/// # Errors
///
/// As [`put`], and those of `each`.
pub fn put_keys(
    input: impl Read + Send + 'static,
    store: &Arc<dyn Store>,
    options: &Options,
    mut each: impl FnMut(&Key) -> Result<()>,
) -> Result<()> {
    put_frames(input, store, options, |stored| each(&stored.key))?;
    store.sync()
}

/// Stores frames, many at once; calls `each` for every one in order.
fn put_frames(
    input: impl Read + Send + 'static,
    store: &Arc<dyn Store>,
    options: &Options,
    mut each: impl FnMut(&Stored) -> Result<()>,
) -> Result<()> {
    let mut pictures = Pictures::new(input, options.limit);
    let limit = options.limit;
    let store = Arc::clone(store);
    let mut seq = 0;
    let mut order = Order::default();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.seq = seq;
            seq += 1;
            pictures.next(&mut slot.png).map_err(|e| slot.at(e))
        },
        move |slot, pixels| {
            slot.put(store.as_ref(), limit, pixels)
                .map_err(|e| slot.at(e))
        },
        |slot| {
            let (trailer, stored) = slot.done.as_ref().expect("internal error: not stored");
            order.next(trailer).map_err(|e| slot.at(e))?;
            each(stored)
        },
    )?;
    order.end()
}

/// A picture, and what has become of it.
#[derive(Default)]
struct Slot {
    seq: u64,
    png: Vec<u8>,
    done: Option<(Trailer, Stored)>,
}

impl Slot {
    /// PNG, pixels, digest, store.
    fn put(&mut self, store: &dyn Store, limit: usize, pixels: &mut Vec<u8>) -> Result<()> {
        let (trailer, _) = read_frame(&self.png, limit, pixels)?;
        if trailer.kind == FrameKind::Index {
            return Err(Kind::WrongKind("a frame of an index, expected data").into());
        }
        let digest = Digest::of(pixels);
        let stored = Stored {
            key: Key {
                location: store.put(&digest, &self.png)?,
                digest,
            },
            bytes: u64::from(trailer.raw_length),
            size: pictures::size(&self.png),
        };
        self.done = Some((trailer, stored));
        Ok(())
    }

    fn at(&self, error: Error) -> Error {
        error.at(format_args!("frame {}", self.seq))
    }
}

/// Makes a frame of the text of an index and stores it.
fn put_index(json: &[u8], full: Size, store: &dyn Store) -> Result<Key> {
    let trailer = Trailer {
        kind: FrameKind::Index,
        codec: Codec::Stored,
        place: Place::Anywhere,
        raw_length: u32::try_from(json.len()).expect("internal error: an index over 4 GiB"),
    };
    let size = full.fit(json.len());
    let digest = Digest::of(&frame::to_pixels(&trailer, json, size));
    let mut png = Vec::new();
    write_frame(&trailer, json, size, &mut png);
    let location = store.put(&digest, &png).map_err(|e| e.at("index"))?;
    Ok(Key { location, digest })
}

/// Checks that the store gives back the root.
fn read_back(key: &Key, store: &dyn Store, limit: usize) -> Result<()> {
    get::fetch(key, store, limit, &mut Vec::new(), &mut Vec::new())
        .map(drop)
        .map_err(|e| e.at(format_args!("reading back {}", key.location)))
}
