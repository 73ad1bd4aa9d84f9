//! Fetches enough frames of a group to rebuild the others.

use super::fetch::{Finder, Wait, Wanted};
use crate::error::{Kind, Result};
use crate::index::Group;
use crate::store::Fetched;
use crate::wire::carrier::container;
use crate::wire::frame::{FrameKind, Trailer};
use crate::wire::parity::Shard;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

/// The most frames of a group to fetch at once to rebuild others: each takes a PNG beside the frame
/// bytes.
const AT_ONCE: usize = 4;

/// How long to wait for a worker that lends its buffers. Meanwhile it makes the picture of a frame.
const SOON: Duration = Duration::from_millis(20);

/// The shards of a group, by number.
pub(super) struct Shards {
    /// Data frames, fetched or made, and parity frames.
    pub all: Vec<Option<Shard>>,
    pub states: Vec<State>,
}

/// What became of the request for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// None, or no answer yet: enough others came before.
    Unknown,
    Fetched(Trailer),
    Lost,
}

/// Buffers for reuse: those of the last group, and of the workers that wait for this one. None of these
/// is freed, as a thread may keep the memory that it has allocated. More than these come where shards are
/// made that replace no other buffer, such as lost parity frames: they are freed.
#[derive(Default)]
pub(super) struct Spare {
    buffers: Mutex<Buffers>,
    came: Condvar,
    /// The most buffers of a kind.
    most: AtomicUsize,
}

#[derive(Default)]
struct Buffers {
    bytes: Vec<Vec<u8>>,
    pngs: Vec<Vec<u8>>,
}

impl Spare {
    /// Sets the number of buffers to keep: for the shards of a group, and for the workers.
    pub fn keep(&self, shards: usize, workers: usize) {
        self.most.fetch_max(shards + workers, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.buffers).bytes.pop().unwrap_or_default()
    }

    pub fn png(&self) -> Vec<u8> {
        lock(&self.buffers).pngs.pop().unwrap_or_default()
    }

    /// Takes the buffers of a worker that waits for a group: those who fetch it use them meanwhile.
    pub fn lend(&self, from: &mut Fetched) {
        self.recycle(std::mem::take(&mut from.bytes));
        self.recycle_png(std::mem::take(&mut from.png));
    }

    /// Buffers of a worker that waits for a group; new ones if none does so soon.
    fn borrow(&self) -> Fetched {
        let is_none = |buffers: &mut Buffers| buffers.pngs.is_empty();
        let waited = self
            .came
            .wait_timeout_while(lock(&self.buffers), SOON, is_none);
        let (mut buffers, _) = waited.expect("internal error: a worker panicked");
        Fetched {
            png: buffers.pngs.pop().unwrap_or_default(),
            bytes: buffers.bytes.pop().unwrap_or_default(),
            ..Fetched::default()
        }
    }

    pub fn recycle(&self, bytes: Vec<u8>) {
        let mut buffers = lock(&self.buffers);
        if bytes.capacity() > 0 && buffers.bytes.len() < self.most.load(Ordering::Relaxed) {
            buffers.bytes.push(bytes);
        }
    }

    fn recycle_png(&self, png: Vec<u8>) {
        let mut buffers = lock(&self.buffers);
        if png.capacity() > 0 && buffers.pngs.len() < self.most.load(Ordering::Relaxed) {
            buffers.pngs.push(png);
            self.came.notify_one();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("internal error: a worker panicked")
}

/// Fetches as many shards of a group as it has data frames, except `without`, `jobs` at once. The
/// first to arrive are enough, so nobody waits for slow answers of a host.
///
/// # Errors
///
/// [`Kind::TooFew`], which names the lost ones.
pub(super) fn gather(
    finder: &Arc<Finder>,
    group: &Arc<Group>,
    without: Option<usize>,
    (home, wait): (usize, Wait),
    jobs: usize,
    spare: &Arc<Spare>,
) -> Result<Shards> {
    let needed = group.data.len();
    let numbers = (0..group.shards()).filter(|&number| Some(number) != without);
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_by_key(|&number| finder.is_slow(group.link(number).1));
    let queue: Arc<Mutex<VecDeque<usize>>> = Arc::new(Mutex::new(numbers.into()));
    let enough = Arc::new(AtomicBool::new(false));
    let (sender, came) = mpsc::channel();
    for _ in 0..jobs.clamp(1, AT_ONCE) {
        let (queue, enough) = (Arc::clone(&queue), Arc::clone(&enough));
        let (finder, group) = (Arc::clone(finder), Arc::clone(group));
        let (sender, spare) = (sender.clone(), Arc::clone(spare));
        thread::spawn(move || {
            let mut fetched = spare.borrow();
            let next = || queue.lock().ok()?.pop_front();
            while let Some(number) = next().filter(|_| !enough.load(Ordering::Relaxed)) {
                if fetched.bytes.capacity() == 0 {
                    fetched.bytes = spare.bytes();
                }
                let shard = fetch(&finder, &group, number, home, wait, &mut fetched);
                // The receiver is gone: it has enough.
                if let Err(mpsc::SendError((_, Ok((shard, _))))) = sender.send((number, shard)) {
                    spare.recycle(shard.bytes);
                }
            }
            spare.lend(&mut fetched);
        });
    }
    drop(sender);
    let mut shards = Shards::new(group.shards());
    if let Some(without) = without {
        shards.states[without] = State::Lost;
    }
    let mut good = 0;
    while good < needed {
        let Ok((number, answer)) = came.recv() else {
            return Err(Kind::TooFew {
                first: group.seq,
                last: group.seq + group.frames - 1,
                found: good,
                needed,
                lost: lost(group, &shards.all),
            }
            .into());
        };
        good += usize::from(answer.is_ok());
        shards.take(number, answer);
    }
    enough.store(true, Ordering::Relaxed);
    for (number, answer) in came.try_iter() {
        shards.take(number, answer);
    }
    Ok(shards)
}

impl Shards {
    fn new(count: usize) -> Self {
        Shards {
            all: vec![None; count],
            states: vec![State::Unknown; count],
        }
    }

    fn take(&mut self, number: usize, answer: Result<(Shard, Trailer)>) {
        match answer {
            Ok((shard, trailer)) => {
                self.all[number] = Some(shard);
                self.states[number] = State::Fetched(trailer);
            }
            Err(_) => self.states[number] = State::Lost,
        }
    }
}

/// Fetches shard `number` of a group; the shard of a parity frame is its frame bytes.
fn fetch(
    finder: &Finder,
    group: &Group,
    number: usize,
    home: usize,
    wait: Wait,
    fetched: &mut Fetched,
) -> Result<(Shard, Trailer)> {
    let (link, turn) = group.link(number);
    let position = group.positions.get(number).copied().unwrap_or_default();
    let wanted = Wanted {
        link,
        home,
        turn,
        seq: Some(group.seq + position as u64),
    };
    let trailer = finder.fetch(wanted, wait, fetched)?;
    let is_parity = number >= group.data.len();
    let fits = match is_parity {
        true => trailer.kind == FrameKind::Parity && trailer.raw_length as usize == group.shard,
        false => trailer.kind == FrameKind::Data,
    };
    if !fits {
        return Err(Kind::Index("a frame of another kind in a group".into()).into());
    }
    let shard = Shard {
        size: Some(container::size(&fetched.png)),
        carrier: fetched.carrier,
        bytes: std::mem::take(&mut fetched.bytes),
    };
    Ok((shard, trailer))
}

/// Names the lost frames of a group, by their numbers in the stream and in the group's parity:
/// `frames 4, 6 to 7 and parity frame 0`.
fn lost(group: &Group, shards: &[Option<Shard>]) -> String {
    let lost = shards
        .iter()
        .enumerate()
        .filter(|(_, shard)| shard.is_none());
    let (data, parity): (Vec<usize>, Vec<usize>) = lost
        .map(|(number, _)| number)
        .partition(|&number| number < group.data.len());
    let data = data
        .iter()
        .map(|&at| group.seq + group.positions[at] as u64);
    let parity = parity.iter().map(|&at| (at - group.data.len()) as u64);
    let kinds = [numbered("frame", data), numbered("parity frame", parity)];
    let kinds: Vec<String> = kinds.into_iter().flatten().collect();
    kinds.join(" and ")
}

/// Lists numbers, with runs joined: `frames 4, 6 to 7`; none if there are none.
fn numbered(thing: &str, numbers: impl Iterator<Item = u64>) -> Option<String> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let is_one = matches!(runs[..], [(first, last)] if first == last);
    let runs: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        })
        .collect();
    let s = if is_one { "" } else { "s" };
    (!runs.is_empty()).then(|| format!("{thing}{s} {}", runs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_runs() {
        let said = |numbers: &[u64]| numbered("frame", numbers.iter().copied());
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[4]).unwrap(), "frame 4");
        assert_eq!(said(&[4, 6, 7, 8, 10]).unwrap(), "frames 4, 6 to 8, 10");
        assert_eq!(said(&[0, 1]).unwrap(), "frames 0 to 1");
    }
}
