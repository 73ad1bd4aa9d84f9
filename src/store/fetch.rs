//! Fetches a frame from a store, and checks it against its digest.

use super::Store;
use crate::error::Result;
use crate::key::{Digest, Key, Location};
use crate::wire::carrier::container;
use crate::wire::carrier::sturdy::Corrections;
use crate::wire::frame::Trailer;
use crate::wire::{Carrier, read_frame, write_bytes};

/// A fetched frame.
#[derive(Default)]
pub(crate) struct Fetched {
    pub png: Vec<u8>,
    /// Its frame bytes.
    pub bytes: Vec<u8>,
    pub carrier: Carrier,
    /// What had to be corrected.
    pub corrections: Corrections,
}

/// Fetches the frame with this digest at `location`, and returns its trailer. A sturdy picture that
/// the store has changed is made again, as it was put.
pub(crate) fn fetch(
    store: &dyn Store,
    location: &Location,
    digest: &Digest,
    limit: usize,
    to: &mut Fetched,
) -> Result<Trailer> {
    let mut frame = None;
    store.get(location, &mut |picture| {
        container::single(picture, limit, &mut to.png)?;
        let found = read_frame(&to.png, limit, &mut to.bytes)?;
        (to.carrier, to.corrections) = (found.carrier, found.corrections);
        frame = Some(found);
        Digest::of(&to.bytes).check(digest)
    })?;
    let frame = frame.expect("internal error: a store that gave nothing");
    if !frame.as_is {
        write_bytes(&to.bytes, frame.carrier, frame.size, &mut to.png);
    }
    Ok(frame.trailer)
}

/// Fetches the frame that has this key from one store.
pub(crate) fn fetch_key(key: &Key, store: &dyn Store, limit: usize) -> Result<(Trailer, Fetched)> {
    let mut fetched = Fetched::default();
    let trailer = fetch(store, &key.location, &key.digest, limit, &mut fetched)?;
    Ok((trailer, fetched))
}
