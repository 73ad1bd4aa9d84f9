//! How far a verb has come, for anybody who wants to look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a verb that runs. A caller passes it in the options, keeps a clone of it, and reads
/// [`Progress::now`] from another thread as often as it likes. The verb adds to a few numbers for each
/// frame, whether anybody looks or not.
///
/// ```
/// use std::io::Cursor;
/// use storagex::{Progress, encode};
///
/// let progress = Progress::default();
/// let options = encode::Options { progress: progress.clone(), ..Default::default() };
/// let bytes = Cursor::new(vec![0; 5_000_000]);
/// encode(bytes, &mut std::io::sink(), &options)?;
/// let now = progress.now();
/// assert_eq!((now.bytes, now.frames), (5_000_000, 3));
/// # Ok::<(), storagex::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    frames: AtomicU64,
    expected: AtomicU64,
    found: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    retrying: AtomicU64,
}

/// What the counters say at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    /// Bytes of the streams that are done.
    pub bytes: u64,
    /// Data frames that hold them.
    pub frames: u64,
    /// Bytes that there will be in all, if that is known.
    pub expected: Option<u64>,
    /// Pictures that a store had already, those of indexes and parity among them.
    pub found: u64,
    /// Pictures that were stored.
    pub sent: u64,
    /// Bytes of these pictures.
    pub sent_bytes: u64,
    /// Requests that failed and wait for their next try.
    pub retrying: u64,
}

impl Progress {
    /// The counters as they are now.
    #[must_use]
    pub fn now(&self) -> Now {
        let counters = &self.0;
        let expected = counters.expected.load(Relaxed);
        Now {
            bytes: counters.bytes.load(Relaxed),
            frames: counters.frames.load(Relaxed),
            expected: (expected > 0).then_some(expected),
            found: counters.found.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            sent_bytes: counters.sent_bytes.load(Relaxed),
            retrying: counters.retrying.load(Relaxed),
        }
    }

    /// Sets how many more bytes there will be: a caller may know that of a stream before the verb does.
    pub fn expect(&self, more: u64) {
        let done = self.0.bytes.load(Relaxed);
        self.0.expected.store(done + more, Relaxed);
    }

    /// What expects the length of a stream as soon as that is known.
    pub(crate) fn expecting(&self) -> Expecting {
        Expecting(Some(self.clone()))
    }

    /// So many data frames are done, or found to be lost, which hold so many bytes.
    pub(crate) fn frames(&self, frames: u64, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Relaxed);
        self.0.frames.fetch_add(frames, Relaxed);
    }

    /// A data frame that holds so many bytes is done.
    pub(crate) fn frame(&self, bytes: u64) {
        self.frames(1, bytes);
    }

    /// A picture is there already.
    pub(crate) fn found(&self) {
        self.0.found.fetch_add(1, Relaxed);
    }

    /// A picture has been stored.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(1, Relaxed);
        self.0.sent_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A request waits for its next try for as long as what this returns lives.
    pub(crate) fn retrying(&self) -> Retrying {
        self.0.retrying.fetch_add(1, Relaxed);
        Retrying(self.clone())
    }
}

/// Expects the length of a stream, once, unless the caller has said what there will be.
pub(crate) struct Expecting(Option<Progress>);

impl Expecting {
    /// Called with each step, with the length if it is known by now.
    pub fn see(&mut self, length: Option<u64>) {
        let Some(length) = length else { return };
        let Some(progress) = self.0.take() else {
            return;
        };
        let now = progress.now();
        if now.expected.is_none_or(|expected| expected <= now.bytes) {
            progress.expect(length);
        }
    }
}

/// A request that waits for its next try.
pub(crate) struct Retrying(Progress);

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.0.retrying.fetch_sub(1, Relaxed);
    }
}
