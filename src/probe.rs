//! What a store makes of pictures: three of them, of growing size, are put and brought back.

use crate::error::Result;
use crate::key::Digest;
use crate::store::{self, Comparison, Config, Verify, compare};
use crate::wire::frame::{self, Codec, FrameKind, Place, Size, Trailer};
use crate::wire::write_frame;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server that fails on large pictures may do so with any status: it isn't waited for as long as
/// for an upload.
const TRIES: usize = 3;

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The pictures that were tried, from the smallest up, to the first that was refused.
    pub pictures: Vec<Picture>,
    /// Headers that say how much the server allows, and their last values: `RateLimit` and its like,
    /// and `Retry-After`.
    pub rate_limits: BTreeMap<String, String>,
}

/// A picture that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width and height.
    pub size: Size,
    /// Bytes of the PNG.
    pub bytes: u64,
    /// How long it took to put.
    pub put: Duration,
    /// How long it took to bring back, where it was accepted.
    pub get: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was accepted, and came back as it was or as something else.
    Came(Comparison),
    /// It wasn't accepted, or couldn't be brought back: the message.
    Refused(String),
}

impl Report {
    /// The size of the largest picture whose pixels came back.
    #[must_use]
    pub fn largest(&self) -> Option<Size> {
        let is_good = |picture: &&Picture| {
            use Comparison::{SameBytes, SamePixels};
            matches!(picture.fate, Fate::Came(SameBytes | SamePixels))
        };
        let good = self.pictures.iter().filter(is_good);
        good.map(|picture| picture.size).next_back()
    }
}

/// Tries the store of this name with frames of noise, of which the largest has the size `full`, and
/// each other half the width and height of the next; `limit` is the most pixel bytes of one. They stay in the store.
///
/// # Errors
///
/// Those of [`store::open`], and of the smallest one; [`Kind::Size`](crate::Kind::Size).
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
    let store = store::open(name, &config)?;
    let mut pictures = Vec::new();
    for size in sizes(full) {
        let (digest, png) = noise(size);
        let (put, location) = timed(|| store.put(&digest, &png));
        let location = match location {
            Err(e) if pictures.is_empty() => return Err(e),
            other => other,
        };
        let (get, came) = timed(|| compare(store.as_ref(), &location?, &digest, &png));
        let refused = came.is_err();
        pictures.push(Picture {
            size,
            bytes: png.len() as u64,
            put,
            get: (!refused).then_some(get),
            fate: came.map_or_else(|e| Fate::Refused(e.to_string()), Fate::Came),
        });
        if refused {
            break;
        }
    }
    let rate_limits = lock(&seen).clone();
    Ok(Report {
        pictures,
        rate_limits,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("internal error: a worker panicked")
}

/// A quarter, half and all of width and height; those that are too small for a frame are left out.
fn sizes(full: Size) -> impl Iterator<Item = Size> {
    let parts = [4, 2, 1].map(|part| Size {
        width: full.width / part,
        height: full.height / part,
    });
    parts.into_iter().filter(|size| size.capacity() > 0)
}

/// Runs `body`; gives how long that took, and what came of it.
fn timed<T>(body: impl FnOnce() -> Result<T>) -> (Duration, Result<T>) {
    let started = Instant::now();
    let done = body();
    (started.elapsed(), done)
}

/// A frame of this size, full of noise, which shows what a host does to pictures where plain ones
/// might come through; its digest and its PNG.
fn noise(size: Size) -> (Digest, Vec<u8>) {
    let mut payload = vec![0; size.capacity()];
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
    };
    let digest = Digest::of(&frame::to_pixels(&trailer, &payload, size));
    let mut png = Vec::new();
    write_frame(&trailer, &payload, size, &mut png);
    (digest, png)
}
