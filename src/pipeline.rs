//! The pipeline that all four programs run on.
//!
//! A verb passes three closures: `fill` takes the next item from the input, `work` does the
//! expensive part, `drain` passes it to the output. They run in parallel:
//!
//! ```text
//!        +-----------------------<-- free slots --<-------------------+
//!        |                                                            |
//!   [ n workers, one at a time ]  [ n workers ] -- slot, in order --> [ caller ]
//!              fill                   work                              drain
//! ```
//!
//! **Who.** `jobs` threads of a rayon pool fill and work, and the thread that called [`run`]
//! drains. The input has a lock: an idle worker waits for its turn, fills a slot, lets the next
//! worker in, and works on the item while that is still in the cache of its core. So while one
//! reads, others work, and the caller writes at the same time. (A separate reader thread in front
//! of the workers took a quarter more processor time for `sx-encode -0`.)
//!
//! **Order.** Every filled slot gets a channel for one result. Its receiving end goes into the
//! queue to the caller while the input is still locked, so in the order of reading; its sending end
//! stays with the slot. The caller takes the receiving ends in order and waits at each for its
//! result. So items are drained in the order in which they were filled, whichever worker finishes
//! first, and the output doesn't depend on the number of jobs.
//!
//! **Memory.** Items live in slots: [`slots`]`(jobs)` of them are made at the start and reused. A
//! worker without a free slot waits; this is the whole back pressure. The slot that was drained
//! last is filled next, since it is most likely still in a cache. A slot keeps its buffers from one
//! item to the next, so memory is allocated once. What a worker needs only while it works is its
//! scratch: one for each worker, also kept. So the memory is `slots(jobs) * size of a slot + jobs *
//! size of a scratch`, however long the stream is; each verb states its own figure as `memory`.
//!
//! **The end.** When `fill` returns false, its worker says so in the queue, and the caller drains
//! everything before it. An error of `fill` or `work` travels in the queue like a result, so `run`
//! returns the first error *in the order of the stream*, and everything before it has been drained.
//! Then, and on an error of `drain`, `run` returns at once: it doesn't wait for the workers, one of
//! which may be stuck in a read from a producer that is silent for an hour. They end when nobody
//! takes their slots any more. This is why the closures own everything that they use. At the end of
//! the input no worker can be stuck: `run` waits until all have let go of the closures, so that locks
//! and files that these own are free when it returns.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, mpsc};

/// The number of items that are alive at once with `jobs` workers: one with each worker, one
/// waiting after each to be drained, and one being drained.
#[must_use]
pub fn slots(jobs: usize) -> usize {
    2 * jobs + 1
}

/// Fills, works on and drains items in slots made by `slot`, until `fill` returns false. `T` is
/// the scratch of a worker. No jobs count as one.
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
    let jobs = jobs.max(1);
    let (free, free_slots) = mpsc::channel();
    for _ in 0..slots(jobs) {
        free.send(slot()).expect("internal error: receiver is here");
    }
    let (results, workers) = start(jobs, free_slots, fill, work)?;
    loop {
        let next = results.recv().expect("internal error: a worker panicked");
        let Some(result) = next else {
            let _ = workers.recv(); // fails once the last has ended
            return Ok(());
        };
        let mut item = result
            .recv()
            .expect("internal error: a worker hung up without a result")?;
        drain(&mut item)?;
        // Fails only after the end of the input: then nobody needs the slot.
        let _ = free.send(item);
    }
}

/// The receiving end of the channel for the result of one item.
type Pending<S> = mpsc::Receiver<Result<S>>;

/// The receiving end of a channel that nothing is sent on: the workers hold it open.
type Workers = mpsc::Receiver<()>;

/// Starts the workers; their results arrive on the channel, in order.
fn start<S, T, Fill, Work>(
    jobs: usize,
    free: mpsc::Receiver<S>,
    fill: Fill,
    work: Work,
) -> Result<(mpsc::Receiver<Option<Pending<S>>>, Workers)>
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
    let (alive, workers) = mpsc::channel();
    for _ in 0..jobs {
        let (input, work, alive) = (Arc::clone(&input), Arc::clone(&work), alive.clone());
        pool.spawn(move || {
            let mut scratch = T::default();
            while let Some((mut item, done)) = next(&input) {
                // Nobody waits for the result if an earlier item failed.
                let _ = done.send(work(&mut item, &mut scratch).map(|()| item));
            }
            drop((scratch, input, work));
            drop(alive);
        });
    }
    Ok((results, workers))
}

/// The source of items, for one worker at a time.
struct Input<S, Fill> {
    free: mpsc::Receiver<S>,
    /// Free slots, with the one drained last at the end.
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
    /// The next item, and the channel for its result; none if the input has ended, for whatever
    /// reason.
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
        for jobs in [0, 1, 2, 8] {
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
    fn nothing_is_held_after_the_end() {
        let owned = Arc::new(());
        for _ in 0..300 {
            let (by_fill, by_work) = (Arc::clone(&owned), Arc::clone(&owned));
            let mut left = 3;
            let fill = move |(): &mut ()| {
                let _ = &by_fill;
                left -= 1;
                Ok(left > 0)
            };
            let work = move |(): &mut (), (): &mut ()| {
                let _ = &by_work;
                Ok(())
            };
            run(8, || (), fill, work, |()| Ok(())).unwrap();
            assert_eq!(Arc::strong_count(&owned), 1);
        }
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
