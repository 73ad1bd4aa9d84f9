//! The one machine that all four programs run on.
//!
//! A verb hands over three closures: `fill` takes the next item from the input, `work` does what
//! is costly with it, `drain` gives it to the output. They run side by side:
//!
//! ```text
//!        +-----------------------<-- free slots --<-------------------+
//!        |                                                            |
//!   [ n workers, one at a time ]  [ n workers ] -- slot, in order --> [ caller ]
//!              fill                   work                              drain
//! ```
//!
//! **Who.** `jobs` threads of a rayon pool fill and work, and the thread that called [`run`] drains.
//! The input has a lock: a worker that has nothing to do waits for its turn, fills a slot, lets the
//! next one in, and works on what it has read, which is still in the cache of its core. So while one
//! reads, others work, and writing goes on beside both. (A reader thread of its own in front of the
//! workers took a quarter more processor time for `sx-encode -0`.)
//!
//! **Order.** For every filled slot a channel for one result is made. Its receiving end goes into
//! the queue to the caller while the input is still locked, so in the order of reading; its sending
//! end stays with the slot. The caller takes the ends in their order and waits at each for its
//! result. So items are drained in the order in which they were filled, whichever worker is done
//! first, and the output doesn't depend on the number of jobs.
//!
//! **Memory.** Items live in slots: [`slots`]`(jobs)` of them are made at the start and go round.
//! A worker without a free slot waits, which is all there is to back pressure. The slot that was
//! drained last is filled next, as it is likeliest to be in a cache. A slot keeps its buffers from one
//! item to the next: memory is taken once, and touched pages stay touched. What a worker needs only
//! while it works is its scratch: one for each worker, kept likewise. Memory is thus
//! `slots(jobs) * size of a slot + jobs * size of a scratch`, whatever the length of the stream; each
//! verb states its own figure as `memory`.
//!
//! **The end.** `fill` returns false, its worker says so in the queue, and the caller drains what is
//! before it. An error of `fill` or `work` travels in the queue like a result, so the first error
//! *in order of the stream* is the one that is returned, and everything before it has been drained.
//! Then, and on an error of `drain`, `run` returns at once: it does not wait for the workers, one of
//! which may be stuck in a read from a producer that says nothing for an hour. They end when they
//! find nobody to hand their slots to. This is why the closures own what they use.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, mpsc};

/// The number of items that are alive at once with `jobs` workers: one with each worker, one waiting
/// behind each to be drained, and one that is being drained.
#[must_use]
pub fn slots(jobs: usize) -> usize {
    2 * jobs + 1
}

/// Fills, works on and drains items in slots made by `slot`, until `fill` returns false. `T` is
/// the scratch of a worker.
///
/// # Errors
///
/// The first error in the order of the items, from any of the closures; or that of starting the
/// threads.
pub fn run<S, T, Fill, Work, Drain>(
    jobs: usize,
    slot: impl Fn() -> S,
    fill: Fill,
    work: Work,
    mut drain: Drain,
) -> Result<()>
where
    S: Send + 'static,
    Fill: FnMut(&mut S) -> Result<bool> + Send + 'static,
    T: Default + Send + 'static,
    Work: Fn(&mut S, &mut T) -> Result<()> + Send + Sync + 'static,
    Drain: FnMut(&mut S) -> Result<()>,
{
    assert!(jobs > 0, "internal error: no jobs");
    let (free, free_slots) = mpsc::channel();
    for _ in 0..slots(jobs) {
        free.send(slot()).expect("internal error: receiver is here");
    }
    let results = start(jobs, free_slots, fill, work)?;
    loop {
        let next = results.recv().expect("internal error: a worker panicked");
        let Some(result) = next else {
            return Ok(());
        };
        let mut item = result
            .recv()
            .expect("internal error: a worker hung up without a result")?;
        drain(&mut item)?;
        // Fails only after the input has come to its end: then nobody needs the slot.
        let _ = free.send(item);
    }
}

/// The end of a channel on which the result for one item will come.
type Pending<S> = mpsc::Receiver<Result<S>>;

/// Starts the workers; what they will have done comes on the channel, in order.
fn start<S, T, Fill, Work>(
    jobs: usize,
    free: mpsc::Receiver<S>,
    fill: Fill,
    work: Work,
) -> Result<mpsc::Receiver<Option<Pending<S>>>>
where
    S: Send + 'static,
    Fill: FnMut(&mut S) -> Result<bool> + Send + 'static,
    T: Default + Send + 'static,
    Work: Fn(&mut S, &mut T) -> Result<()> + Send + Sync + 'static,
{
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(jobs)
        .build()
        .map_err(|e| Error::io("cannot start threads", std::io::Error::other(e)))?;
    let (queue, results) = mpsc::channel();
    let input = Arc::new(Mutex::new(Input {
        free,
        drained: Vec::new(),
        fill,
        queue,
        ended: false,
    }));
    let work = Arc::new(work);
    for _ in 0..jobs {
        let (input, work) = (Arc::clone(&input), Arc::clone(&work));
        pool.spawn(move || {
            let mut scratch = T::default();
            while let Some((mut item, done)) = next(&input) {
                // Nobody waits for the result any more where an earlier item failed.
                let _ = done.send(work(&mut item, &mut scratch).map(|()| item));
            }
        });
    }
    Ok(results)
}

/// What the workers take their items from, one at a time.
struct Input<S, Fill> {
    free: mpsc::Receiver<S>,
    /// Slots that are free, the one that was drained last at the end.
    drained: Vec<S>,
    fill: Fill,
    queue: mpsc::Sender<Option<Pending<S>>>,
    ended: bool,
}

fn next<S, Fill>(input: &Mutex<Input<S, Fill>>) -> Option<(S, mpsc::SyncSender<Result<S>>)>
where
    Fill: FnMut(&mut S) -> Result<bool>,
{
    let mut input = input.lock().expect("internal error: a worker panicked");
    input.next()
}

impl<S, Fill: FnMut(&mut S) -> Result<bool>> Input<S, Fill> {
    /// The next item, and where its result is to go; none when the input has ended, in whatever way.
    fn next(&mut self) -> Option<(S, mpsc::SyncSender<Result<S>>)> {
        if self.ended {
            return None;
        }
        self.ended = true; // unless all goes well
        self.drained.extend(self.free.try_iter());
        let mut item = self.drained.pop().or_else(|| self.free.recv().ok())?;
        let filled = (self.fill)(&mut item);
        if matches!(filled, Ok(false)) {
            let _ = self.queue.send(None);
            return None;
        }
        let (done, result) = mpsc::sync_channel(1);
        self.queue.send(Some(result)).ok()?; // or nobody drains any more
        if let Err(error) = filled {
            let _ = done.send(Err(error));
            return None;
        }
        self.ended = false;
        Some((item, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Counts to `n` through the pipeline; item `bad` fails in the worker.
    fn count(jobs: usize, n: usize, bad: Option<usize>) -> (Result<()>, Vec<usize>) {
        let mut next = 0;
        let mut out = Vec::new();
        let fill = move |slot: &mut usize| {
            *slot = next;
            next += 1;
            Ok(*slot < n)
        };
        let work = move |slot: &mut usize, (): &mut ()| {
            thread::sleep(Duration::from_micros((*slot as u64 * 7919) % 300));
            match Some(*slot) == bad {
                true => Err(Kind::Payload.into()),
                false => Ok(()),
            }
        };
        let result = run(
            jobs,
            || 0,
            fill,
            work,
            |slot| {
                out.push(*slot);
                Ok(())
            },
        );
        (result, out)
    }

    #[test]
    fn keeps_the_order_with_any_number_of_jobs() {
        for jobs in [1, 2, 8] {
            let (result, out) = count(jobs, 200, None);
            result.unwrap();
            assert_eq!(out, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn first_error_in_order_ends_it_after_all_before_it() {
        for jobs in [1, 8] {
            let (result, out) = count(jobs, 200, Some(50));
            assert_eq!(result.unwrap_err().kind(), &Kind::Payload);
            assert_eq!(out, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_does_not_wait_for_a_stuck_input() {
        let (stay, stuck) = mpsc::channel::<()>();
        let stuck = std::sync::Mutex::new(stuck);
        let mut first = true;
        let fill = move |(): &mut ()| {
            if !std::mem::take(&mut first) {
                let _ = stuck.lock().unwrap().recv();
            }
            Ok(true)
        };
        let result = run(
            1,
            || (),
            fill,
            |(), ()| Ok(()),
            |()| Err(Kind::ClosedPipe.into()),
        );
        assert_eq!(result.unwrap_err().kind(), &Kind::ClosedPipe);
        drop(stay);
    }

    #[test]
    fn never_more_alive_than_slots() {
        static ALIVE: AtomicUsize = AtomicUsize::new(0);
        struct Slot;
        let made = || {
            ALIVE.fetch_add(1, Ordering::SeqCst);
            Slot
        };
        let mut left = 1000;
        let fill = move |_: &mut Slot| {
            left -= 1;
            Ok(left > 0)
        };
        run(3, made, fill, |_, ()| Ok(()), |_| Ok(())).unwrap();
        assert_eq!(ALIVE.load(Ordering::SeqCst), slots(3));
    }
}
