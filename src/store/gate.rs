//! Opens connections, a few at a time.
//!
//! A server takes connections from a queue. If the queue is full (many small servers, such as
//! Python's `http.server`, have one of 5), the system drops new connections, and the client waits a
//! second before it tries again, then two. A connection has left the queue when its first byte
//! arrives: until then it counts as opening, and only a few may be opening at once. A connection
//! that is kept open, or has TLS, counts for its first exchange only, so this slows down only
//! servers that close each connection, and only as much as they need.
//!
//! The limit grows by one after many connections without a loss. A loss lowers it by one, and then
//! it never grows again: running into the limit again and again is slower than staying below it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, NextTimeout, TcpConnector, Transport,
};

/// The initial number of connections that may be opening at once.
const FEW: usize = 4;
/// The limit grows after this many connections without a loss.
const MANY: usize = 512;
/// The system waits at least this long before it tries to connect again.
const LOSS: Duration = Duration::from_millis(900);

/// Opens TCP connections for one store.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

struct State {
    opening: usize,
    limit: usize,
    /// Connections since the limit last changed.
    count: usize,
    /// Whether a loss has been seen.
    is_fixed: bool,
    /// The time of the fastest connection.
    fastest: Duration,
}

impl Default for State {
    fn default() -> Self {
        State {
            opening: 0,
            limit: FEW,
            count: 0,
            is_fixed: false,
            fastest: Duration::MAX,
        }
    }
}

impl State {
    /// Learns from the time that a connection took. If one took a second where others take a
    /// fraction of it, it was lost once.
    fn learn(&mut self, took: Duration) {
        self.fastest = self.fastest.min(took);
        self.count += 1;
        if took >= LOSS && self.fastest < took / 3 {
            self.limit = (self.limit - 1).max(1);
            self.is_fixed = true;
        } else if self.count >= MANY && !self.is_fixed {
            self.limit += 1;
            self.count = 0;
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.0.0.lock();
        state.expect("internal error: a worker panicked")
    }

    /// Waits until one more connection may open, but no longer than the time that a connection may
    /// take: a silent server must not block all others.
    fn enter(&self, most: Duration) -> Pass {
        let full = |state: &mut State| state.opening >= state.limit;
        let waited = self.0.1.wait_timeout_while(self.lock(), most, full);
        let (mut state, _) = waited.expect("internal error: a worker panicked");
        state.opening += 1;
        drop(state);
        Pass(self.clone())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// A connection that is opening.
struct Pass(Gate);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
        self.0.0.1.notify_one();
    }
}

impl<In: Transport> Connector<In> for Gate {
    type Out = Either<In, Opened<<TcpConnector as Connector<In>>::Out>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained))); // that of a proxy
        }
        let pass = self.enter(*details.timeout.after);
        let details = ConnectionDetails {
            addrs: details.addrs.clone(),
            now: (details.current_time)(),
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
            ..*details
        };
        let started = Instant::now();
        let opened = TcpConnector::default().connect(&details, None::<In>)?;
        self.lock().learn(started.elapsed());
        Ok(opened.map(|below| {
            Either::B(Opened {
                below,
                pass: Some(pass),
            })
        }))
    }
}

/// A connection, and its pass until its first byte arrives.
pub struct Opened<T> {
    below: T,
    pass: Option<Pass>,
}

impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

impl<T: Transport> Transport for Opened<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.below.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.below.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = self.below.await_input(timeout);
        self.pass = None;
        came
    }

    fn is_open(&mut self) -> bool {
        self.below.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_limits_for_good() {
        let fast = Duration::from_millis(1);
        let mut state = State::default();
        for _ in 0..MANY {
            state.learn(fast);
        }
        assert_eq!(state.limit, FEW + 1);
        state.learn(Duration::from_millis(1003));
        assert_eq!(state.limit, FEW);
        for _ in 0..3 * MANY {
            state.learn(fast);
        }
        assert_eq!(state.limit, FEW);
    }

    #[test]
    fn a_slow_line_is_no_loss() {
        let mut state = State::default();
        for _ in 0..10 {
            state.learn(Duration::from_secs(1));
        }
        assert_eq!(state.limit, FEW);
    }

    #[test]
    fn no_more_than_the_limit_at_once() {
        let gate = Gate::default();
        let passes: Vec<_> = (0..FEW)
            .map(|_| gate.enter(Duration::from_secs(9)))
            .collect();
        let started = Instant::now();
        drop(gate.enter(Duration::from_millis(50)));
        assert!(started.elapsed() >= Duration::from_millis(50));
        drop(passes);
        assert_eq!(gate.lock().opening, 0);
    }
}
