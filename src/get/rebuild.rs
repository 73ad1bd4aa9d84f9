//! Rebuilds lost frames from the rest of their groups.
//!
//! When the first frame of a group is found to be lost, the rest of the group is fetched at once,
//! the lost frames are made, and all frames of the group are handed out from there, so that nothing
//! is fetched twice. After a group with losses, the next one is fetched like that from its start.
//!
//! Memory holds the frames of one group: workers that need other frames of it wait for them, and a
//! worker that needs another group waits until nobody needs this one any more.

use super::fetch::{Finder, Wait, Wanted};
use super::flights::Flights;
use super::gather::{Shards, Spare, State, gather, lock};
use crate::error::{Kind, Result};
use crate::index::{Group, Piece};
use crate::key::Digest;
use crate::store::Fetched;
use crate::wire::carrier::write_bytes;
use crate::wire::frame::{self, Trailer};
use crate::wire::parity::{self, Shard};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// Rebuilds the frames of groups.
pub(super) struct Rebuilder {
    finder: Arc<Finder>,
    /// Number of frames to fetch at once.
    jobs: usize,
    limit: usize,
    last: Mutex<Option<Rebuilt>>,
    flights: Flights,
    spare: Arc<Spare>,
}

/// A group that has been rebuilt.
struct Rebuilt {
    group: Arc<Group>,
    wait: Wait,
    /// All data frames but those that were handed out, and the parity frame that was asked for.
    made: Result<Shards>,
}

impl Rebuilt {
    /// Whether this is what rebuilding the group would give, with shard `needed`.
    fn is_of(&self, group: &Arc<Group>, needed: Option<usize>, wait: Wait) -> bool {
        Arc::ptr_eq(&self.group, group)
            && match &self.made {
                Ok(shards) => needed.is_none_or(|number| shards.all[number].is_some()),
                Err(_) => self.wait == wait,
            }
    }
}

impl Rebuilder {
    pub fn new(finder: &Arc<Finder>, jobs: usize, limit: usize) -> Self {
        Rebuilder {
            finder: Arc::clone(finder),
            jobs,
            limit,
            last: Mutex::new(None),
            flights: Flights::default(),
            spare: Arc::default(),
        }
    }

    /// Fetches a data frame, or makes it again from the rest of its group; gives its trailer, and
    /// whether it was made. A store that is silent or out of reach is waited for only where there is no
    /// other way.
    ///
    /// # Errors
    ///
    /// As [`Rebuilder::rebuild`]; without a group, those of the store.
    pub fn fetch(&self, piece: &Piece, home: usize, to: &mut Fetched) -> Result<(Trailer, bool)> {
        let mut wanted = Wanted {
            link: &piece.link,
            home,
            turn: None,
            seq: Some(piece.seq),
        };
        let Some((group, number)) = &piece.group else {
            let trailer = self.finder.fetch(wanted, Wait::Fully, to)?;
            return Ok((trailer, false));
        };
        let _flight = self.flights.enter(group);
        wanted.turn = group.link(*number).1;
        let mut attempt = |wait| {
            if self.flights.is_suspect(group)
                && let Some(done) = self.fetch_with_group(group, *number, (home, wait), to)?
            {
                return Ok(done);
            }
            if let Ok(trailer) = self.finder.fetch(wanted, wait, to) {
                return Ok((trailer, false));
            }
            let made = self.rebuild(group, *number, home, wait, to);
            made.map(|trailer| (trailer, true))
        };
        match attempt(Wait::Briefly) {
            Err(_) if self.finder.has_passed_over() => attempt(Wait::Fully),
            done => done,
        }
    }

    /// Takes a data frame from its group, fetched as a whole; gives its trailer, and whether it was
    /// made because it is lost. None if it has to be fetched by itself.
    fn fetch_with_group(
        &self,
        group: &Arc<Group>,
        number: usize,
        from: (usize, Wait),
        to: &mut Fetched,
    ) -> Result<Option<(Trailer, bool)>> {
        self.lend(group, to);
        let mut last = self.rebuilt(group, None, from);
        let rebuilt = last.as_mut().expect("internal error: just made");
        let Ok(shards) = &mut rebuilt.made else {
            return Ok(None);
        };
        let state = shards.states[number];
        if state == State::Unknown {
            return Ok(None);
        }
        let Some(shard) = self.hand_out(group, shards, number, to) else {
            return Ok(None);
        };
        drop(last);
        let trailer = self.finish(shard, state, to)?;
        Ok(Some((trailer, state == State::Lost)))
    }

    /// Makes shard `number` of a group again, data or parity; gives its trailer.
    ///
    /// # Errors
    ///
    /// [`Kind::TooFew`] if too many others are lost, too; [`Kind::Index`] if the parity belongs to
    /// other frames.
    pub fn rebuild(
        &self,
        group: &Arc<Group>,
        number: usize,
        home: usize,
        wait: Wait,
        to: &mut Fetched,
    ) -> Result<Trailer> {
        self.lend(group, to);
        let mut last = self.rebuilt(group, Some(number), (home, wait));
        let rebuilt = last.as_mut().expect("internal error: just made");
        let shards = rebuilt.made.as_mut().map_err(|e| e.again())?;
        let shard = self.hand_out(group, shards, number, to);
        let state = shards.states[number];
        drop(last);
        self.finish(shard.expect("internal error: not made"), state, to)
    }

    /// Lends the buffers of a worker to those who fetch a group.
    fn lend(&self, group: &Group, to: &mut Fetched) {
        self.spare.keep(group.shards(), 2 * self.jobs);
        self.spare.lend(to);
    }

    /// Moves the bytes of a shard to `to`, or copies them if the group has its frame several times;
    /// returns the shard without them.
    fn hand_out(
        &self,
        group: &Group,
        shards: &mut Shards,
        number: usize,
        to: &mut Fetched,
    ) -> Option<Shard> {
        let is_needed_once = group.frames == group.data.len() as u64;
        if !is_needed_once {
            let shard = shards.all[number].as_ref()?;
            to.bytes.clone_from(&shard.bytes);
            return Some(Shard {
                bytes: Vec::new(),
                ..*shard
            });
        }
        let mut shard = shards.all[number].take()?;
        let free = std::mem::replace(&mut to.bytes, std::mem::take(&mut shard.bytes));
        self.spare.recycle(free);
        Some(shard)
    }

    /// Makes the picture of a shard whose bytes were handed out; gives its trailer.
    fn finish(&self, shard: Shard, state: State, to: &mut Fetched) -> Result<Trailer> {
        let size = shard.size.expect("internal error: a shard without a size");
        to.png = self.spare.png();
        write_bytes(&to.bytes, shard.carrier, size, &mut to.png);
        to.carrier = shard.carrier;
        match state {
            State::Fetched(trailer) => Ok(trailer),
            State::Unknown | State::Lost => Ok(frame::parse(&to.bytes, self.limit)?.0),
        }
    }

    /// The group, rebuilt, with shard `needed`, which is lost.
    fn rebuilt(
        &self,
        group: &Arc<Group>,
        needed: Option<usize>,
        (home, wait): (usize, Wait),
    ) -> MutexGuard<'_, Option<Rebuilt>> {
        loop {
            let mut last = lock(&self.last);
            match &*last {
                Some(rebuilt) if rebuilt.is_of(group, needed, wait) => return last,
                Some(Rebuilt { group: other, .. })
                    if !Arc::ptr_eq(other, group) && self.flights.has(other) =>
                {
                    let other = Arc::clone(other);
                    drop(last);
                    self.flights.wait_for(&other);
                }
                _ => {
                    if let Some(Rebuilt { made: Ok(old), .. }) = last.take() {
                        self.recycle(old.all.into_iter());
                    }
                    self.flights.start(group);
                    let made = self.rebuild_group(group, needed, (home, wait));
                    let states = made
                        .as_ref()
                        .map(|shards| shards.states.contains(&State::Lost));
                    self.flights.finish(group, states.unwrap_or(true));
                    let group = Arc::clone(group);
                    *last = Some(Rebuilt { group, wait, made });
                    return last;
                }
            }
        }
    }

    fn recycle(&self, shards: impl Iterator<Item = Option<Shard>>) {
        shards
            .flatten()
            .for_each(|shard| self.spare.recycle(shard.bytes));
    }

    /// Fetches enough of a group, and makes the data frames that are missing, and shard `needed`.
    fn rebuild_group(
        &self,
        group: &Arc<Group>,
        needed: Option<usize>,
        from: (usize, Wait),
    ) -> Result<Shards> {
        if group.shard > parity::shard_length(self.limit) {
            let (found, most) = (group.shard, parity::shard_length(self.limit));
            let what = format!("shards of {found} bytes, expected at most {most}");
            return Err(Kind::Index(what).into());
        }
        let mut shards = gather(&self.finder, group, needed, from, self.jobs, &self.spare)?;
        restore(group, &mut shards, &self.spare)?;
        let (data, parity) = shards.all.split_at_mut(group.data.len());
        self.recycle(parity.iter_mut().map(Option::take));
        if let Some(number) = needed.and_then(|needed| needed.checked_sub(data.len())) {
            parity[number] = Some(protect(data, number, group)?);
        }
        for (at, shard) in shards.all.iter().enumerate() {
            if let (Some(shard), State::Lost | State::Unknown) = (shard, shards.states[at]) {
                let is_right = Digest::of(&shard.bytes) == group.link(at).0.digest;
                if !is_right || !frame::has_magic(&shard.bytes) {
                    return Err(Kind::Index("parity of other frames".into()).into());
                }
            }
        }
        Ok(shards)
    }
}

/// Makes the missing data frames of a group.
fn restore(group: &Group, shards: &mut Shards, spare: &Spare) -> Result<()> {
    let (data, parity) = shards.all.split_at(group.data.len());
    if data.iter().all(Option::is_some) {
        return Ok(());
    }
    let recovery = parity.iter().map(Option::as_ref);
    let recovery = recovery.map(|shard| Some(parity::shard_of(&shard?.bytes)));
    let recovery: Vec<_> = recovery.collect();
    // All workers of the pipeline's pool are busy or wait for this. A thread that is not among them
    // shares its work with those of the global pool.
    let made = thread::scope(|scope| {
        let made = scope.spawn(|| parity::rebuild(data, &recovery, group.shard, || spare.bytes()));
        made.join().expect("internal error: a thread panicked")
    })?;
    for (at, shard) in made {
        shards.all[at] = Some(shard);
    }
    Ok(())
}

/// Makes parity frame `number` of a group anew from all its data frames.
fn protect(data: &mut [Option<Shard>], number: usize, group: &Group) -> Result<Shard> {
    let all: Vec<Shard> = data.iter_mut().filter_map(Option::take).collect();
    let mut recovery = vec![Vec::new(); group.parity.len()];
    parity::encode(&all, &mut recovery)?;
    let (carrier, width) = parity::shape_of(&all);
    for (data, shard) in data.iter_mut().zip(all) {
        *data = Some(shard);
    }
    let (trailer, size) = parity::frame_of(&recovery[number], carrier, width);
    Ok(Shard {
        size: Some(size),
        carrier,
        bytes: frame::to_bytes(&trailer, &recovery[number], carrier.frame_bytes(size)),
    })
}
