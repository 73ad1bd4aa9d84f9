//! Which groups the workers are busy with.
//!
//! Memory holds the frames of one group that is rebuilt. The next one takes its place once no worker
//! needs a frame of it any more.

use super::gather::lock;
use crate::index::Group;
use std::sync::{Arc, Condvar, Mutex};

#[derive(Default)]
pub(super) struct Flights {
    board: Mutex<Board>,
    changed: Condvar,
}

#[derive(Default)]
struct Board {
    /// The group of each frame that is being fetched.
    busy: Vec<Id>,
    /// The group that is rebuilt.
    rebuilt: Option<Id>,
    /// Number of the first frame after it, if it has lost frames.
    suspect: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id(usize);

impl Id {
    fn of(group: &Arc<Group>) -> Self {
        Id(Arc::as_ptr(group).addr())
    }
}

/// A frame that is being fetched, until this is dropped.
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    id: Id,
}

impl Flights {
    /// Notes that a frame of a group is being fetched.
    pub fn enter(&self, group: &Arc<Group>) -> Flight<'_> {
        let id = Id::of(group);
        lock(&self.board).busy.push(id);
        Flight { flights: self, id }
    }

    /// Whether the frames of a group should be fetched all together: it is being rebuilt, or the one
    /// before it had lost some.
    pub fn is_suspect(&self, group: &Arc<Group>) -> bool {
        let board = lock(&self.board);
        board.rebuilt == Some(Id::of(group)) || board.suspect == Some(group.seq)
    }

    /// Whether a frame of a group is being fetched.
    pub fn has(&self, group: &Arc<Group>) -> bool {
        lock(&self.board).busy.contains(&Id::of(group))
    }

    /// Waits until no frame of this group is being fetched, or another group is rebuilt. There is
    /// always an end to it: nobody who fetches a frame of the group that is rebuilt waits here.
    pub fn wait_for(&self, group: &Arc<Group>) {
        let id = Id::of(group);
        let board = lock(&self.board);
        let is_needed = |board: &mut Board| board.rebuilt == Some(id) && board.busy.contains(&id);
        let done = self.changed.wait_while(board, is_needed);
        drop(done.expect("internal error: a worker panicked"));
    }

    /// Notes which group is being rebuilt.
    pub fn start(&self, group: &Arc<Group>) {
        lock(&self.board).rebuilt = Some(Id::of(group));
        self.changed.notify_all();
    }

    /// Notes whether the group that was rebuilt had lost frames.
    pub fn finish(&self, group: &Group, had_lost: bool) {
        let next = group.seq + group.frames;
        lock(&self.board).suspect = had_lost.then_some(next);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut board = lock(&self.flights.board);
        let at = board.busy.iter().position(|&id| id == self.id);
        board
            .busy
            .swap_remove(at.expect("internal error: no such frame"));
        drop(board);
        self.flights.changed.notify_all();
    }
}
