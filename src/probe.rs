//! What a store makes of pictures: some of them, of growing size, are put and brought back. Plain ones
//! first; where those were changed, sturdy ones from level 1 up, until some survive with half of the
//! correcting power to spare.

use crate::error::Result;
use crate::key::{Digest, Location};
use crate::store::{self, Comparison, Config, Store, Verify, compare};
use crate::wire::Carrier;
use crate::wire::carrier::sturdy::{Corrections, Level, UNIT};
use crate::wire::carrier::write_bytes;
use crate::wire::frame::{self, Codec, FrameKind, Place, Size, Trailer};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server may refuse large pictures with any status, so this waits less than for an upload.
const TRIES: usize = 3;

/// The result of probing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The pictures that were tried, from the smallest up to the first that was refused.
    pub pictures: Vec<Picture>,
    /// Whether each picture that came back did so a second time, after all uploads. If one didn't,
    /// the store keeps none for sure.
    pub keeps: bool,
    /// Rate limit headers and their last values: `RateLimit` and the like, and `Retry-After`.
    pub rate_limits: BTreeMap<String, String>,
}

/// A picture that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// How its frame bytes are laid in it.
    pub carrier: Carrier,
    /// Width and height.
    pub size: Size,
    /// Bytes of the PNG.
    pub bytes: u64,
    /// How long it took to put.
    pub put: Duration,
    /// How long it took to fetch, if it was accepted.
    pub get: Option<Duration>,
    /// Its fate.
    pub fate: Fate,
}

/// The fate of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was accepted, and came back the same or changed.
    Came(Comparison),
    /// It wasn't accepted, or couldn't be fetched: the message.
    Refused(String),
}

impl Report {
    /// The picture that frames had best be like: the largest whose frame came back, of the carrier
    /// that holds most; a sturdy one with half of the correcting power to spare. None if the store
    /// doesn't keep pictures.
    #[must_use]
    pub fn best(&self) -> Option<&Picture> {
        let pictures = self.pictures.iter().filter(|_| self.keeps);
        let good = pictures.filter(|picture| picture.is_good());
        let good = good.filter(|picture| self.holds(picture.carrier));
        good.max_by_key(|picture| picture.carrier.capacity(picture.size))
    }

    /// The size of the [`best`](Self::best) picture.
    #[must_use]
    pub fn largest(&self) -> Option<Size> {
        self.best().map(|picture| picture.size)
    }

    /// Whether a carrier carries its frames through what the store does to pixels: a small sturdy
    /// picture may come back by luck where a larger one, with more code words, doesn't.
    fn holds(&self, carrier: Carrier) -> bool {
        carrier == Carrier::Plain || !self.any(carrier, Picture::is_beyond_correction)
    }

    fn any(&self, carrier: Carrier, is: impl Fn(&Picture) -> bool) -> bool {
        let own = |picture: &&Picture| picture.carrier == carrier;
        self.pictures.iter().filter(own).any(is)
    }
}

impl Picture {
    /// Whether its frame came back, with half of the correcting power to spare.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match &self.fate {
            Fate::Came(Comparison::Corrected { corrections, .. }) => {
                corrections.worst * 2 <= Corrections::MOST
            }
            Fate::Came(comparison) => comparison.is_good(),
            Fate::Refused(_) => false,
        }
    }

    /// Whether its pixels were changed by more than half of what its carrier corrects.
    fn is_beyond_correction(&self) -> bool {
        match self.fate {
            Fate::Came(Comparison::Changed { same_size, .. }) => same_size,
            Fate::Came(_) => !self.is_good(),
            Fate::Refused(_) => false,
        }
    }
}

/// Tries the store of this name with frames of noise, of which the largest of each carrier has the
/// size `full`, and each other half the width and height of the next; `limit` is the most pixel bytes
/// of one. They stay in the store.
///
/// ```
/// use storagex::probe::probe;
/// use storagex::wire::DEFAULT_LIMIT;
/// use storagex::wire::frame::Size;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// let full = Size { width: 64, height: 64 };
/// let report = probe(name.as_os_str(), &Default::default(), full, DEFAULT_LIMIT)?;
/// assert_eq!(report.largest(), Some(full)); // a folder gives back what it was given
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`store::open`], and of the smallest picture; [`Kind::Size`](crate::Kind::Size).
pub fn probe(name: &OsStr, config: &Config, full: Size, limit: usize) -> Result<Report> {
    let full = full.checked(limit)?;
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let rate_limits = Arc::clone(&seen);
    let mut config = Config {
        verify: Verify::None,
        rate_limit: Arc::new(move |name, value| {
            lock(&rate_limits).insert(name.to_owned(), value.to_owned());
        }),
        ..config.clone()
    };
    config.retry.tries = config.retry.tries.min(TRIES);
    let mut trial = Trial {
        store: store::open(name, &config)?,
        report: Report {
            pictures: Vec::new(),
            keeps: true,
            rate_limits: BTreeMap::new(),
        },
        kept: Vec::new(),
    };
    trial.run(full)?;
    trial.look_again();
    trial.report.rate_limits.clone_from(&lock(&seen));
    Ok(trial.report)
}

/// A store that is tried.
struct Trial {
    store: Arc<dyn Store>,
    report: Report,
    /// Those that came back: their numbers, and what they were.
    kept: Vec<(usize, Location, Digest, Vec<u8>)>,
}

impl Trial {
    fn run(&mut self, full: Size) -> Result<()> {
        let is_changed =
            |picture: &Picture| matches!(picture.fate, Fate::Came(Comparison::Changed { .. }));
        self.try_sizes(Carrier::Plain, full)?;
        let plain = Carrier::Plain;
        if self.report.any(plain, Picture::is_good) || !self.report.any(plain, is_changed) {
            return Ok(());
        }
        for level in Level::ALL {
            let sturdy = Carrier::Sturdy(level);
            self.try_sizes(sturdy, full)?;
            if self.report.holds(sturdy) && self.report.any(sturdy, Picture::is_good) {
                break;
            }
        }
        Ok(())
    }

    /// Puts pictures of growing size, up to the first that is refused.
    fn try_sizes(&mut self, carrier: Carrier, full: Size) -> Result<()> {
        for size in sizes(carrier, full) {
            if !self.try_one(carrier, size)? {
                break;
            }
        }
        Ok(())
    }

    /// Puts a picture and brings it back; false if it is refused.
    fn try_one(&mut self, carrier: Carrier, size: Size) -> Result<bool> {
        let store = Arc::clone(&self.store);
        let (digest, png) = noise(carrier, size);
        let (put, location) = timed(|| store.put(&digest.into(), &png));
        let location = match location {
            Err(e) if self.report.pictures.is_empty() => return Err(e),
            other => other,
        };
        let (get, came) = timed(|| match &location {
            Ok(location) => compare(store.as_ref(), location, &digest, &png),
            Err(e) => Err(e.again()),
        });
        let bytes = png.len() as u64;
        if let (Ok(location), true) = (location, came.as_ref().is_ok_and(Comparison::is_good)) {
            let number = self.report.pictures.len();
            self.kept.push((number, location, digest, png));
        }
        let is_taken = came.is_ok();
        self.report.pictures.push(Picture {
            carrier,
            size,
            bytes,
            put,
            get: is_taken.then_some(get),
            fate: came.map_or_else(|e| Fate::Refused(e.to_string()), Fate::Came),
        });
        Ok(is_taken)
    }

    /// Brings back once more what came back.
    fn look_again(&mut self) {
        for (at, location, digest, png) in std::mem::take(&mut self.kept) {
            if let Some(fate) = second_look(self.store.as_ref(), &location, &digest, &png) {
                self.report.pictures[at].fate = fate;
                self.report.keeps = false;
            }
        }
    }
}

/// The fate of a picture that came back once but not again: its link may work only once, or another
/// picture may have replaced it.
fn second_look(
    store: &dyn Store,
    location: &Location,
    digest: &Digest,
    png: &[u8],
) -> Option<Fate> {
    match compare(store, location, digest, png) {
        Ok(Comparison::Changed { what, same_size }) => {
            let what = format!("came back once, and then something else: {what}");
            Some(Fate::Came(Comparison::Changed { what, same_size }))
        }
        Ok(_) => None,
        Err(e) => Some(Fate::Refused(format!("came back once, and then not: {e}"))),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("internal error: a worker panicked")
}

/// A quarter, half and all of width and height, as the carrier takes them; those that are too small
/// for a frame are left out.
fn sizes(carrier: Carrier, full: Size) -> impl Iterator<Item = Size> {
    let side = move |side: u32| match carrier {
        Carrier::Plain => side,
        Carrier::Sturdy(_) => side / UNIT * UNIT,
    };
    let parts = [4, 2, 1].map(|part| Size {
        width: side(full.width / part),
        height: side(full.height / part),
    });
    let sizes = parts.into_iter();
    sizes.filter(move |size| carrier.capacity(*size) > 0)
}

/// Runs `body`; returns how long that took, and its result.
fn timed<T>(body: impl FnOnce() -> Result<T>) -> (Duration, Result<T>) {
    let started = Instant::now();
    let done = body();
    (started.elapsed(), done)
}

/// A frame of this size, full of noise, which shows what a host does to pictures where plain ones
/// might come through; its digest and its PNG.
fn noise(carrier: Carrier, size: Size) -> (Digest, Vec<u8>) {
    let mut payload = vec![0; carrier.capacity(size)];
    fastrand::fill(&mut payload);
    let trailer = Trailer {
        kind: FrameKind::Data,
        codec: Codec::Stored,
        place: Place::Last {
            offset: 0,
            stream_crc: crc32fast::hash(&payload),
            positioned: true,
        },
        raw_length: u32::try_from(payload.len()).expect("internal error: a frame over 4 GiB"),
        sealed: None,
    };
    let mut bytes = Vec::with_capacity(carrier.frame_bytes(size));
    frame::render(
        &trailer,
        &payload,
        carrier.frame_bytes(size),
        &mut |piece| {
            bytes.extend_from_slice(piece);
        },
    );
    let mut png = Vec::new();
    write_bytes(&bytes, carrier, size, &mut png);
    (Digest::of(&bytes), png)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(level: Level, side: u32, fate: Comparison) -> Picture {
        Picture {
            carrier: Carrier::Sturdy(level),
            size: Size {
                width: side,
                height: side,
            },
            bytes: 0,
            put: Duration::ZERO,
            get: None,
            fate: Fate::Came(fate),
        }
    }

    fn corrected(worst: u32) -> Comparison {
        Comparison::Corrected {
            encoding: String::new(),
            corrections: Corrections {
                worst,
                ..Corrections::default()
            },
        }
    }

    fn changed(same_size: bool) -> Comparison {
        let what = String::new();
        Comparison::Changed { what, same_size }
    }

    fn best(pictures: Vec<Picture>) -> Option<(Carrier, u32)> {
        let rate_limits = BTreeMap::new();
        let report = Report {
            pictures,
            keeps: true,
            rate_limits,
        };
        let best = report.best()?;
        Some((best.carrier, best.size.width))
    }

    #[test]
    fn a_small_picture_that_came_back_by_luck_is_no_advice() {
        for beyond in [changed(true), corrected(9)] {
            let lucky = [
                picture(Level::One, 32, corrected(8)),
                picture(Level::One, 64, beyond),
            ];
            assert_eq!(best(lucky.to_vec()), None);
            let next = picture(Level::Two, 32, corrected(2));
            let all = lucky.into_iter().chain([next]).collect();
            assert_eq!(best(all), Some((Carrier::Sturdy(Level::Two), 32)));
        }
    }

    #[test]
    fn where_large_pictures_are_resized_small_ones_are_advice() {
        let pictures = vec![
            picture(Level::One, 32, corrected(8)),
            picture(Level::One, 64, changed(false)),
        ];
        assert_eq!(best(pictures), Some((Carrier::Sturdy(Level::One), 32)));
    }
}
