//! What is found out about a line of keys, tree after tree. All trees are of one stream, so each data and
//! parity frame counts once, and is good if it is good in any of them.
//!
//! Memory is taken only for frames that aren't good: for each run of equal ones.

use super::check::{Gap, Report};
use super::fetch::Finder;
use super::inspect::{Looked, State};
use crate::error::{Error, Result};
use crate::index::{Lost, Role};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The report on a line, as far as its trees have been looked at.
#[derive(Default)]
pub(super) struct Findings {
    /// All but what the frames below make of it.
    report: Report,
    /// Data frames that are good in no tree.
    data: Faults,
    /// Parity frames that are good in no tree, by their group and their number there; and whether one
    /// of their places has something else.
    parity: HashMap<(u64, usize), bool>,
    /// Whether a tree before this one has parity.
    has_parity: bool,
    /// What no tree before this one lists, because its index is lost; everything, before the first one.
    unlisted: Option<Vec<Gap>>,
    /// What the tree that is looked at doesn't list.
    tree: Vec<Gap>,
    /// Why the root of a tree can't be reached, which may be whole.
    unreached: Option<Error>,
}

impl Findings {
    /// Findings on a sample: this many data frames of all.
    pub fn of_sample(sample: Option<(u64, u64)>) -> Self {
        let mut findings = Findings::default();
        findings.report.sample = sample;
        findings
    }

    /// Takes a picture, or a lost index, of the tree.
    pub fn take(&mut self, looked: &Looked, finder: &Finder) {
        if let Some(lost) = &looked.lost {
            return self.lose_index(lost);
        }
        for place in &looked.places {
            let store = self.report.stores.entry(finder.name(place.home));
            store.or_default().add(&place.state);
            if let State::Good(corrections) = &place.state {
                self.report.corrections.join(corrections);
            }
        }
        match looked.picture().role {
            Role::Data => self.take_data(looked),
            Role::Parity => self.take_parity(looked),
            // Those of another tree are others.
            Role::Index | Role::Copy => match looked.is_good() {
                true => self.report.index.good += 1,
                false => *self.report.index.bad(is_damaged(looked)) += 1,
            },
        }
    }

    fn lose_index(&mut self, lost: &Lost) {
        if lost.total.is_none() && !lost.error.is_loss() {
            self.unreached = Some(lost.error.again());
        }
        let (frames, bytes) = lost.total.unwrap_or((u64::MAX, u64::MAX));
        self.report.index.missing += 1;
        self.tree.push(Gap {
            frames: lost.seq..lost.seq.saturating_add(frames),
            bytes: lost.offset..lost.offset.saturating_add(bytes),
            why: lost.error.to_string(),
        });
    }

    /// Whether no tree before this one lists a data frame.
    fn is_new(&self, seq: u64) -> bool {
        let has = |gaps: &Vec<Gap>| gaps.iter().any(|gap| gap.frames.contains(&seq));
        self.unlisted.as_ref().is_none_or(has)
    }

    fn take_data(&mut self, looked: &Looked) {
        let (seq, offset, size) = looked.picture().stands;
        let (frames, bytes) = (seq..seq + 1, offset..offset.saturating_add(size));
        let before = self.data.take(&frames, &bytes);
        if before.is_none() && !self.is_new(seq) {
            return; // it is good in a tree before
        }
        let count = &mut self.report.data;
        if let Some(before) = &before {
            *count.bad(before.is_damaged) -= 1;
        }
        if looked.is_good() {
            count.good += 1;
            return;
        }
        let mut fault = Fault::of(looked);
        if let Some(before) = before {
            fault.is_damaged |= before.is_damaged;
            fault.can_be_had |= before.can_be_had;
            fault.why = before.why;
        }
        *count.bad(fault.is_damaged) += 1;
        self.data.add(frames, bytes, fault);
    }

    fn take_parity(&mut self, looked: &Looked) {
        let picture = looked.picture();
        let seq = picture.stands.0;
        let key = (seq, picture.group.as_ref().map_or(0, |(_, number)| *number));
        let before = self.parity.remove(&key);
        if before.is_none() && self.has_parity && !self.is_new(seq) {
            return; // it is good in a tree before
        }
        let count = &mut self.report.parity;
        if let Some(before) = before {
            *count.bad(before) -= 1;
        }
        if looked.is_good() {
            count.good += 1;
            return;
        }
        let is_damaged = is_damaged(looked) || before.unwrap_or(false);
        *count.bad(is_damaged) += 1;
        self.parity.insert(key, is_damaged);
    }

    /// Ends a tree.
    pub fn end_tree(&mut self) {
        let tree = std::mem::take(&mut self.tree);
        self.unlisted = Some(match self.unlisted.take() {
            Some(before) => both(&before, &tree),
            None => tree,
        });
        self.has_parity = self.report.parity.total() > 0;
    }

    /// The report on the line.
    ///
    /// # Errors
    ///
    /// Why a root can't be reached, if no other tree shows what is lost.
    pub fn end(self) -> Result<Report> {
        let mut lost = self.data.lost();
        lost.extend(self.unlisted.unwrap_or_default());
        lost.sort_by_key(|gap| gap.frames.start);
        let is_unknown = |gap: &Gap| gap.frames.end == u64::MAX;
        match self.unreached {
            Some(error) if lost.iter().any(is_unknown) => Err(error),
            _ => Ok(Report {
                rebuildable: self.data.rebuildable(),
                lost,
                ..self.report
            }),
        }
    }
}

/// Whether something else is in a place of a picture, or the place is out of reach.
fn is_damaged(looked: &Looked) -> bool {
    let mut states = looked.places.iter().map(|place| &place.state);
    states.any(|state| matches!(state, State::Damaged(_)))
}

/// What is in gaps of both.
fn both(some: &[Gap], others: &[Gap]) -> Vec<Gap> {
    let both = |a: &Range<u64>, b: &Range<u64>| a.start.max(b.start)..a.end.min(b.end);
    let mut gaps = Vec::new();
    for gap in some {
        let pairs = others.iter().map(|other| Gap {
            frames: both(&gap.frames, &other.frames),
            bytes: both(&gap.bytes, &other.bytes),
            why: gap.why.clone(),
        });
        gaps.extend(pairs.filter(|gap| !gap.frames.is_empty()));
    }
    gaps
}

/// Data frames that aren't good, in runs of equal ones, by the number of the first.
#[derive(Default)]
struct Faults(BTreeMap<u64, Run>);

struct Run {
    frames: Range<u64>,
    bytes: Range<u64>,
    fault: Fault,
}

/// Why a data frame isn't good.
#[derive(Clone)]
struct Fault {
    is_damaged: bool,
    /// Whether it can be rebuilt.
    can_be_had: bool,
    /// Its first place, and why it isn't there.
    why: String,
}

impl Fault {
    fn of(looked: &Looked) -> Self {
        let why = looked.places.first().map(|place| match &place.state {
            State::Damaged(e) => format!("{}: {e}", place.location),
            _ => format!("{}: not found", place.location),
        });
        Fault {
            is_damaged: is_damaged(looked),
            can_be_had: looked.can_be_had,
            why: why.unwrap_or_default(),
        }
    }
}

impl Faults {
    /// Adds a frame behind all others, or one that was taken out.
    fn add(&mut self, frames: Range<u64>, bytes: Range<u64>, fault: Fault) {
        let last = self.0.range_mut(..frames.start).next_back();
        let equal = last.map(|(_, run)| run).filter(|run| {
            let (a, b) = (&run.fault, &fault);
            run.frames.end == frames.start
                && (a.is_damaged, a.can_be_had) == (b.is_damaged, b.can_be_had)
        });
        match equal {
            Some(run) => (run.frames.end, run.bytes.end) = (frames.end, bytes.end),
            None => self.insert(frames, bytes, fault),
        }
    }

    fn insert(&mut self, frames: Range<u64>, bytes: Range<u64>, fault: Fault) {
        let run = Run {
            frames,
            bytes,
            fault,
        };
        self.0.insert(run.frames.start, run);
    }

    /// Takes out a frame, if it is there.
    fn take(&mut self, frames: &Range<u64>, bytes: &Range<u64>) -> Option<Fault> {
        let (start, run) = self.0.range(..=frames.start).next_back()?;
        if !run.frames.contains(&frames.start) {
            return None;
        }
        let start = *start;
        let run = self.0.remove(&start)?;
        if run.frames.start < frames.start {
            let before = (run.frames.start..frames.start, run.bytes.start..bytes.start);
            self.insert(before.0, before.1, run.fault.clone());
        }
        if frames.end < run.frames.end {
            let after = (frames.end..run.frames.end, bytes.end..run.bytes.end);
            self.insert(after.0, after.1, run.fault.clone());
        }
        Some(run.fault)
    }

    fn rebuildable(&self) -> u64 {
        let runs = self.0.values().filter(|run| run.fault.can_be_had);
        runs.map(|run| run.frames.end - run.frames.start).sum()
    }

    /// The runs of frames that are lost.
    fn lost(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for run in self.0.values().filter(|run| !run.fault.can_be_had) {
            match gaps.last_mut() {
                Some(gap) if gap.frames.end == run.frames.start => {
                    (gap.frames.end, gap.bytes.end) = (run.frames.end, run.bytes.end);
                }
                _ => gaps.push(Gap {
                    frames: run.frames.clone(),
                    bytes: run.bytes.clone(),
                    why: run.fault.why.clone(),
                }),
            }
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(is_damaged: bool, can_be_had: bool) -> Fault {
        let why = "why".to_owned();
        Fault {
            is_damaged,
            can_be_had,
            why,
        }
    }

    /// Frames of ten bytes each.
    fn frame(seq: u64) -> (Range<u64>, Range<u64>) {
        (seq..seq + 1, seq * 10..seq * 10 + 10)
    }

    #[test]
    fn equal_frames_in_a_row_are_one_run() {
        let mut faults = Faults::default();
        for seq in (0..100).chain(200..300) {
            let (frames, bytes) = frame(seq);
            faults.add(frames, bytes, fault(seq < 50, seq >= 200));
        }
        assert_eq!(faults.0.len(), 3);
        assert_eq!(faults.rebuildable(), 100);
        let lost = faults.lost();
        let ranges: Vec<_> = lost.iter().map(|gap| (&gap.frames, &gap.bytes)).collect();
        assert_eq!(ranges, [(&(0..100), &(0..1000))]);
    }

    #[test]
    fn a_frame_that_is_taken_out_divides_its_run() {
        let mut faults = Faults::default();
        for seq in 0..10 {
            let (frames, bytes) = frame(seq);
            faults.add(frames, bytes, fault(false, false));
        }
        for seq in [0, 4, 9] {
            let (frames, bytes) = frame(seq);
            assert!(faults.take(&frames, &bytes).is_some());
            assert!(faults.take(&frames, &bytes).is_none());
        }
        let lost = faults.lost();
        let ranges: Vec<_> = lost.iter().map(|gap| (&gap.frames, &gap.bytes)).collect();
        assert_eq!(ranges, [(&(1..4), &(10..40)), (&(5..9), &(50..90))]);
        // Put in again, it is between the others.
        let (frames, bytes) = frame(4);
        faults.add(frames, bytes, fault(false, true));
        assert_eq!((faults.lost().len(), faults.rebuildable()), (2, 1));
    }
}
