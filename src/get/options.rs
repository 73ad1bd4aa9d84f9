//! Options for getting.

use crate::error::Result;
use crate::pipeline;
use crate::store::{self, Config};
use crate::wire::DEFAULT_LIMIT;
use crate::wire::frame::Size;
use crate::wire::parity::{Parity, TABLES};
use std::ffi::OsString;

/// Options for getting.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of frames to fetch at once; at least 1. Default: 8.
    pub jobs: usize,
    /// The most pixel bytes that a frame may have. Default: 64 MiB.
    pub limit: usize,
    /// How to reach the stores.
    pub store: Config,
    /// Stores to look in first, by the same names. An image host lends the headers of its uploader
    /// file to the URLs of its origin. Default: none.
    pub from: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 8,
            limit: DEFAULT_LIMIT,
            store: Config::default(),
            from: Vec::new(),
        }
    }
}

impl Options {
    /// How to reach the stores of keys: image hosts in `from` lend their headers.
    pub(super) fn lent(&self) -> Result<Config> {
        store::lent(&self.from, &self.store)
    }

    /// The size of all buffers in bytes, for frames of size `full`, however long the stream is: a
    /// PNG for each slot, pixels for each worker; PNG, pixels, text and entries of an index, and
    /// entries for each level of the tree above the first. For keys of storagex 1.0, also pixels
    /// for each slot.
    #[must_use]
    pub fn memory(&self, full: Size) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        pipeline::slots(self.jobs) * frame + self.jobs * frame + 5 * frame
    }

    /// As [`Options::memory`], while groups with this `parity` are rebuilt: also the frames of a
    /// group, and tables. What fetches the group uses the buffers of the workers that wait for it.
    #[must_use]
    pub fn memory_to_rebuild(&self, full: Size, parity: Parity) -> usize {
        let frame = full.pixel_bytes() + full.pixel_bytes() / 64 + 1024;
        self.memory(full) + (parity.data + parity.parity) * frame + TABLES
    }
}
