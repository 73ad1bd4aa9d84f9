//! Collects frames into groups, and makes the parity frames of each group.

use super::Put;
use super::copies::Stores;
use crate::error::{Error, Result};
use crate::index::{Link, Protection, Role, Stored};
use crate::key::{Digest, Key, Name};
use crate::wire::frame;
use crate::wire::parity::{self, Parity, Shard};
use crate::wire::{Carrier, write_frame};
use std::collections::HashSet;
use std::thread;

/// Consecutive data frames as each store has them, and the parity that protects them there.
pub(super) struct Batch {
    /// One entry for each frame and store; none where the store has failed.
    pub frames: Vec<Vec<Option<Stored>>>,
    /// One entry for each store.
    pub protection: Option<Vec<Option<Protection>>>,
    /// That of the frames; the one that survives most, if they differ.
    pub carrier: Carrier,
}

impl Batch {
    /// Every frame in order, data before parity: its role, and its link in each store by the store's number.
    pub fn links(&self) -> Vec<(Role, Vec<(usize, &Link)>)> {
        let data = self.frames.iter().map(|frame| {
            let stored = frame.iter().enumerate();
            let links = stored.filter_map(|(at, stored)| Some((at, &stored.as_ref()?.link)));
            (Role::Data, links.collect())
        });
        let protections = self.protection.iter().flatten().enumerate();
        let protections: Vec<_> = protections
            .filter_map(|(at, protection)| Some((at, &protection.as_ref()?.parity)))
            .collect();
        let count = protections.first().map_or(0, |(_, parity)| parity.len());
        let parity = (0..count).map(|number| {
            let links = protections.iter();
            let links = links.map(|(at, parity)| (*at, &parity[number]));
            (Role::Parity, links.collect())
        });
        data.chain(parity).collect()
    }
}

/// Collects the frames of a group.
pub(super) struct Groups {
    parity: Option<Parity>,
    /// That of the frames of the group so far.
    carrier: Carrier,
    /// Number of parity frames to store at once.
    jobs: usize,
    frames: Vec<Vec<Option<Stored>>>,
    digests: HashSet<Digest>,
    shards: Vec<Shard>,
    recovery: Vec<Vec<u8>>,
    /// PNGs of parity frames on their way to the stores.
    pngs: Vec<Vec<u8>>,
    /// Buffers of shards, for reuse.
    spare: Vec<Vec<u8>>,
}

impl Groups {
    pub fn new(parity: Option<Parity>, jobs: usize) -> Self {
        Groups {
            parity,
            carrier: Carrier::Plain,
            jobs: jobs.max(1),
            frames: Vec::new(),
            digests: HashSet::new(),
            shards: Vec::new(),
            recovery: Vec::new(),
            pngs: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Takes the next frame, which is already stored. With parity, also takes its frame bytes, and
    /// leaves another buffer in their place. Returns the batch that the frame completes.
    pub fn add(
        &mut self,
        frame: Put,
        bytes: &mut Vec<u8>,
        stores: &Stores,
    ) -> Result<Option<Batch>> {
        self.frames.push(frame.stored);
        self.carrier = self.carrier.max(frame.carrier);
        let Some(Parity { data, .. }) = self.parity else {
            return self.finish(stores);
        };
        if self.digests.insert(frame.digest) {
            let spare = self.spare.pop().unwrap_or_default();
            self.shards.push(Shard {
                size: Some(frame.size),
                carrier: frame.carrier,
                bytes: std::mem::replace(bytes, spare),
            });
        }
        match self.frames.len() == data {
            true => self.finish(stores),
            false => Ok(None),
        }
    }

    /// Completes the group; none if it has no frame yet.
    pub fn finish(&mut self, stores: &Stores) -> Result<Option<Batch>> {
        let frames = std::mem::take(&mut self.frames);
        if frames.is_empty() {
            return Ok(None);
        }
        let protection = match self.parity {
            None => None,
            Some(parity) => Some(self.protect(parity.parity, frames.len(), stores)?),
        };
        Ok(Some(Batch {
            frames,
            protection,
            carrier: std::mem::take(&mut self.carrier),
        }))
    }

    /// Shards, recovery shards, parity frames, stores.
    fn protect(
        &mut self,
        parity: usize,
        frames: usize,
        stores: &Stores,
    ) -> Result<Vec<Option<Protection>>> {
        self.recovery.resize(parity, Vec::new());
        parity::encode(&self.shards, &mut self.recovery)?;
        let shape = parity::shape_of(&self.shards);
        let shard = self.recovery.first().map_or(0, Vec::len);
        self.digests.clear();
        self.spare
            .extend(self.shards.drain(..).map(|shard| shard.bytes));
        let mut links: Vec<Vec<Option<Link>>> = vec![Vec::new(); stores.count()];
        let numbered: Vec<_> = (frames..).zip(&self.recovery).collect();
        self.pngs.resize(self.jobs.min(parity), Vec::new());
        for some in numbered.chunks(self.jobs) {
            for stored in put_some(some, shape, stores, &mut self.pngs)? {
                for (links, link) in links.iter_mut().zip(stored) {
                    links.push(link);
                }
            }
        }
        let spread = stores.spread();
        let of_store = |links: Vec<Option<Link>>| {
            let parity = links.into_iter().collect::<Option<Vec<Link>>>()?;
            Some(Protection {
                shard,
                parity,
                spread,
            })
        };
        Ok(links.into_iter().map(of_store).collect())
    }
}

/// Puts the parity frames of recovery shards, all at once, each with its position in the group.
fn put_some(
    shards: &[(usize, &Vec<u8>)],
    shape: (Carrier, u32),
    stores: &Stores,
    pngs: &mut [Vec<u8>],
) -> Result<Vec<Vec<Option<Link>>>> {
    thread::scope(|scope| {
        let running: Vec<_> = shards
            .iter()
            .zip(pngs)
            .map(|(&(position, shard), png)| {
                scope.spawn(move || put_one(position, shard, shape, stores, png))
            })
            .collect();
        let done = running
            .into_iter()
            .map(|one| one.join().expect("internal error: a thread panicked"));
        done.collect()
    })
}

/// Shard, frame, PNG, stores.
fn put_one(
    position: usize,
    shard: &[u8],
    shape: (Carrier, u32),
    stores: &Stores,
    png: &mut Vec<u8>,
) -> Result<Vec<Option<Link>>> {
    let (carrier, width) = shape;
    let (trailer, size) = parity::frame_of(shard, carrier, width);
    let digest = digest_of(&trailer, shard, carrier.frame_bytes(size));
    write_frame(&trailer, shard, carrier, size, png);
    let name = Name::from(digest);
    let places = stores.put(position, &name, png);
    let places = places.map_err(|e: Error| e.at("parity frame"))?;
    let link = |place| {
        Link::new(Key {
            location: place,
            digest,
        })
    };
    Ok(places.into_iter().map(|place| place.map(link)).collect())
}

/// The digest of a new frame, without its frame bytes in one piece.
pub(super) fn digest_of(trailer: &frame::Trailer, payload: &[u8], end: usize) -> Digest {
    let mut hasher = blake3::Hasher::new();
    frame::render(trailer, payload, end, &mut |bytes| {
        hasher.update(bytes);
    });
    Digest::from(hasher.finalize())
}
