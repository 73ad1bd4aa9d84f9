//! A store that reads pictures back after it has put them.

use super::{Comparison, Prunable, Store, compare};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Key, Location, Name};
use crate::wire::MAX_LIMIT;
use crate::wire::carrier::{self, container};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

/// Which pictures to read back after they have been put, or if they were already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Each.
    All,
    /// On an image host, the first of a run, before the second is sent, and each that is larger
    /// than all before, to detect at once a host that shrinks or re-encodes pictures; and the first
    /// and the last once more at each [`Store::sync`], to detect one that overwrites or forgets
    /// them. In other stores, none: these report length and, if they can, checksum of each picture.
    #[default]
    First,
    /// This share, in percent, drawn at random; and the first.
    Share(u8),
    /// None.
    None,
}

impl FromStr for Verify {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match (text, text.strip_suffix('%').map(str::parse)) {
            ("all", _) => Ok(Verify::All),
            ("first", _) => Ok(Verify::First),
            ("none", _) => Ok(Verify::None),
            (_, Some(Ok(percent @ 1..=100))) => Ok(Verify::Share(percent)),
            _ => Err("expected all, first, none or a share from 1% to 100%"),
        }
    }
}

/// A store, and which of its pictures have come back.
///
/// It detects a host that returns one URL for two pictures. If the store names pictures itself,
/// this takes 16 bytes for each, about 50 MB for a million pictures.
pub struct Verified {
    store: Arc<dyn Store>,
    verify: Verify,
    /// The pictures that have come back intact in this run, or the error of one that hasn't.
    proved: Mutex<Result<Proved>>,
    seen: Mutex<Seen>,
}

/// The largest picture that has come back.
#[derive(Default)]
struct Proved {
    width: u32,
    height: u32,
    bytes: usize,
}

impl Proved {
    fn covers(&self, png: &[u8]) -> bool {
        let size = container::size(png);
        size.width <= self.width && size.height <= self.height && png.len() <= self.bytes
    }

    fn add(&mut self, png: &[u8]) {
        let size = container::size(png);
        self.width = self.width.max(size.width);
        self.height = self.height.max(size.height);
        self.bytes = self.bytes.max(png.len());
    }
}

/// The URLs that a host has returned, and their pictures.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    digests: HashMap<u64, u64>,
    /// The first and the last since the last check; the same if there is only one.
    ends: Option<(Uploaded, Uploaded)>,
}

/// The location of a picture.
type Uploaded = (Location, Digest);

impl Seen {
    /// Notes the location of a picture.
    fn add(&mut self, location: &Location, digest: &Digest) -> Result<()> {
        let url = self.hasher.hash_one(location.to_string());
        let own = self.hasher.hash_one(digest);
        let place = (location.clone(), *digest);
        let first = self.ends.take().map_or(place.clone(), |(first, _)| first);
        self.ends = Some((first, place));
        match self.digests.insert(url, own) {
            Some(other) if other != own => {
                let what = "the URL of another picture, expected a URL of its own";
                Err(Error::from(Kind::Host(what.into())).at(location))
            }
            _ => Ok(()),
        }
    }
}

impl Verified {
    /// This store, reading back the pictures that `verify` says.
    pub fn new(store: Arc<dyn Store>, verify: Verify) -> Self {
        Verified {
            store,
            verify,
            proved: Mutex::new(Ok(Proved::default())),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("internal error: a worker panicked")
    }

    fn is_host(&self, name: &Name) -> bool {
        self.store.locate(name).is_none()
    }

    /// Puts a picture, and verifies it.
    fn prove(&self, name: &Name, png: &[u8], put: Put) -> Result<Location> {
        let location = self.put_one(name, png, put)?;
        let mut came = self.comes_back(&location, name, png);
        if came.is_err() && !self.is_host(name) {
            self.store.replace(name, png)?;
            came = self.comes_back(&location, name, png);
        }
        came.map_err(|e| e.at(&location))?;
        Ok(location)
    }

    /// Checks that the returned picture has the same frame bytes as the one sent.
    fn comes_back(&self, location: &Location, name: &Name, png: &[u8]) -> Result<()> {
        match compare(self.store.as_ref(), location, &name.digest, png)? {
            Comparison::Changed { what, .. } => Err(Kind::Altered(what).into()),
            _ => Ok(()),
        }
    }

    fn put_one(&self, name: &Name, png: &[u8], put: Put) -> Result<Location> {
        let location = put(self.store.as_ref(), name, png)?;
        if self.is_host(name) {
            self.seen().add(&location, &name.digest)?;
        }
        Ok(location)
    }

    /// Puts a picture, and verifies it if it is larger than all verified so far. Holds the lock
    /// meanwhile, so that no other picture is sent before.
    fn prove_larger(&self, name: &Name, png: &[u8], put: Put) -> Result<Location> {
        let lock = self.proved.lock();
        let mut proved = lock.expect("internal error: a worker panicked");
        match &mut *proved {
            Err(e) => Err(e.again()),
            Ok(so_far) if so_far.covers(png) => {
                drop(proved);
                self.put_one(name, png, put)
            }
            Ok(so_far) => {
                let done = self.prove(name, png, put);
                match &done {
                    Ok(_) => so_far.add(png),
                    Err(e) if self.is_host(name) => *proved = Err(e.again()),
                    Err(_) => {}
                }
                done
            }
        }
    }

    fn put_verified(&self, name: &Name, png: &[u8], put: Put) -> Result<Location> {
        let is_drawn = |percent| fastrand::u8(0..100) < percent;
        match self.verify {
            Verify::None => self.put_one(name, png, put),
            Verify::All => self.prove(name, png, put),
            Verify::First if !self.is_host(name) => self.put_one(name, png, put),
            Verify::Share(percent) if is_drawn(percent) => self.prove(name, png, put),
            Verify::First | Verify::Share(_) => self.prove_larger(name, png, put),
        }
    }

    /// Checks that a host still has the first and the last of the pictures that it has received
    /// since the last check.
    fn prove_ends(&self) -> Result<()> {
        let Some((first, last)) = self.seen().ends.take() else {
            return Ok(());
        };
        if first != last {
            self.read_back(&first)?;
        }
        self.read_back(&last)
    }

    fn read_back(&self, (location, digest): &Uploaded) -> Result<()> {
        let (mut png, mut bytes) = (Vec::new(), Vec::new());
        let came = self.store.get(location, &mut |picture| {
            container::single(picture, MAX_LIMIT, &mut png)?;
            carrier::read_any(&png, MAX_LIMIT, &mut bytes)?;
            Digest::of(&bytes).check(digest)
        });
        came.map_err(|e| e.at(location).at("reading back"))
    }
}

/// A way to put: [`Store::put`] or [`Store::replace`].
type Put = fn(&dyn Store, &Name, &[u8]) -> Result<Location>;

impl Store for Verified {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let done = self.put_verified(name, png, |store, name, png| store.put(name, png));
        done.map_err(|e| self.store.named(e))
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let done = self.put_verified(name, png, |store, name, png| store.replace(name, png));
        done.map_err(|e| self.store.named(e))
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.store.locate(name)
    }

    fn delete(&self, url: &str) -> Result<()> {
        self.store.delete(url).map_err(|e| self.store.named(e))
    }

    fn gives(&self, location: &Location) -> bool {
        self.store.gives(location)
    }

    fn needs_headers(&self, key: &Key) -> bool {
        self.store.needs_headers(key)
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        self.store.prunable()
    }

    fn id(&self) -> Result<String> {
        self.store.id()
    }

    fn still_has(&self, location: &Location) -> Result<bool> {
        self.store.still_has(location)
    }

    fn sync(&self) -> Result<()> {
        if self.verify != Verify::None {
            self.prove_ends().map_err(|e| self.store.named(e))?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_are_read_back() {
        assert_eq!("all".parse(), Ok(Verify::All));
        assert_eq!("5%".parse(), Ok(Verify::Share(5)));
        for bad in ["", "0%", "101%", "5", "some", "%"] {
            assert!(bad.parse::<Verify>().is_err(), "{bad}");
        }
    }
}
