//! The one machine that all four programs run on.
//!
//! A verb hands over three closures: `fill` takes the next item from the input, `work` does what
//! is costly with it, `drain` gives it to the output. They run side by side:
//!
//! ```text
//!            free slots                                     free slots
//!        +---------------<--------------------------------------<-----+
//!        |                                                            |
//!   [ reader ]  -- slot --> [ n workers ] -- slot, in order --> [ caller ]
//!     fill                     work                               drain
//! ```
//!
//! **Who.** One thread of its own fills, `jobs` threads of a rayon pool work, and the thread that
//! called [`run`] drains. So reading, working and writing overlap with any number of jobs; one job
//! is not a special case.
//!
//! **Order.** For every filled slot the reader makes a channel for one result. Its receiving end
//! goes into the queue to the caller, in the order of reading; its sending end goes with the slot
//! to a worker. The caller takes the ends in their order and waits at each for its result. So items
//! are drained in the order in which they were filled, whichever worker is done first, and the
//! output doesn't depend on the number of jobs.
//!
//! **Memory.** Items live in slots: [`slots`]`(jobs)` of them are made at the start and go round.
//! A reader without a free slot waits, which is all there is to back pressure. A slot keeps its
//! buffers from one item to the next: memory is taken once, and touched pages stay touched. What a
//! worker needs only while it works is its scratch: one for each worker, kept likewise. Memory is
//! thus `slots(jobs) * size of a slot + jobs * size of a scratch`, whatever the length of the
//! stream; each verb states its own figure as `memory`.
//!
//! **The end.** `fill` returns false, the reader says so, the caller drains what is queued. An
//! error of `fill` or `work` travels in the queue like a result, so the first error *in order of
//! the stream* is the one that is returned, and everything before it has been drained. Then, and on
//! an error of `drain`, `run` returns at once: it does not wait for the reader, which may be stuck
//! in a read from a producer that says nothing for an hour. The reader ends when that read returns
//! and it finds nobody to hand its slot to; workers end with the item at hand. This is why the
//! closures own what they use.

use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// The number of items that are alive at once with `jobs` workers: one for each worker, one
/// waiting for or behind each, and one that is being read.
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
        let next = results.recv().expect("internal error: the reader panicked");
        let Some(result) = next else {
            return Ok(());
        };
        let mut item = result
            .recv()
            .expect("internal error: a worker hung up without a result")?;
        drain(&mut item)?;
        // Fails only after the reader has come to its end: then nobody needs the slot.
        let _ = free.send(item);
    }
}

/// The end of a channel on which the result for one item will come.
type Pending<S> = mpsc::Receiver<Result<S>>;

/// Starts the reader and the workers; what they will have done comes on the channel, in order.
fn start<S, T, Fill, Work>(
    jobs: usize,
    free_slots: mpsc::Receiver<S>,
    mut fill: Fill,
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
    let scratch: Vec<Mutex<T>> = (0..jobs).map(|_| Mutex::default()).collect();
    let work = move |item: &mut S| {
        let worker = rayon::current_thread_index().expect("internal error: not in the pool");
        let mut mine = scratch[worker]
            .lock()
            .expect("internal error: a worker panicked");
        work(item, &mut mine)
    };
    let work = Arc::new(work);
    let (queue, results) = mpsc::channel();
    let reader = move || {
        for mut item in free_slots {
            let (done, result) = mpsc::sync_channel(1);
            let filled = fill(&mut item);
            if matches!(filled, Ok(false)) {
                let _ = queue.send(None);
                return;
            }
            if queue.send(Some(result)).is_err() {
                return; // nobody drains any more
            }
            if let Err(error) = filled {
                let _ = done.send(Err(error));
                return;
            }
            let work = Arc::clone(&work);
            // Nobody waits for the result any more where an earlier item failed.
            pool.spawn(move || drop(done.send(work(&mut item).map(|()| item))));
        }
    };
    thread::Builder::new()
        .name("reader".into())
        .spawn(reader)
        .map_err(|e| Error::io("cannot start a thread", e))?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::sync::atomic::{AtomicUsize, Ordering};
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
    fn an_error_does_not_wait_for_a_stuck_reader() {
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
