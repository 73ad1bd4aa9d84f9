//! Checks how much of a stream its stores still have.

use super::inspect::{self, Looked, State};
use super::options::Options;
use super::{Finder, Wait, v1};
use crate::error::{Error, Result};
use crate::index::{self, Role};
use crate::key::Source;
use crate::wire::carrier::sturdy::Corrections;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// How much to check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// Everything.
    All,
    /// This many data frames, drawn at random, and about the same share of the parity frames.
    Frames(u64),
    /// This share of the data frames, in percent.
    Percent(f64),
}

/// Numbers of pictures of one kind, or in one store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Present and right.
    pub good: u64,
    /// Missing.
    pub missing: u64,
    /// Present but wrong, or out of reach.
    pub damaged: u64,
}

impl Count {
    fn add(&mut self, state: &State) {
        match state {
            State::Good(_) => self.good += 1,
            State::Missing => self.missing += 1,
            State::Damaged(_) => self.damaged += 1,
        }
    }

    /// The total.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.good + self.missing + self.damaged
    }
}

/// A run of lost data frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Their numbers; up to `u64::MAX` if nobody knows how many there were.
    pub frames: Range<u64>,
    /// Their bytes in the stream; likewise.
    pub bytes: Range<u64>,
    /// Why the first of them is lost.
    pub why: String,
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Data frames, each counted once however many stores have it.
    pub data: Count,
    /// Parity frames, likewise.
    pub parity: Count,
    /// Index frames and their copies, likewise.
    pub index: Count,
    /// Data frames that no store has intact, but that can be rebuilt.
    pub rebuildable: u64,
    /// Pictures in each store, by its name.
    pub stores: BTreeMap<String, Count>,
    /// Runs of lost data frames.
    pub lost: Vec<Gap>,
    /// For a sample: the number of data frames checked, and of all data frames.
    pub sample: Option<(u64, u64)>,
    /// What had to be corrected in sturdy pictures.
    pub corrections: Corrections,
}

/// The verdict of a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Everything is as it should be.
    Whole,
    /// All data can be restored, but some redundancy is lost.
    Degraded,
    /// Data is lost.
    Lost,
}

impl Report {
    /// The verdict.
    #[must_use]
    pub fn health(&self) -> Health {
        let counts = [&self.data, &self.parity, &self.index];
        let mut all = self.stores.values().chain(counts);
        let is_whole = all.all(|count| count.good == count.total());
        match (self.lost.is_empty(), is_whole) {
            (false, _) => Health::Lost,
            (true, true) => Health::Whole,
            (true, false) => Health::Degraded,
        }
    }

    /// The probability that the sample includes a bad frame if one in a hundred is bad.
    #[must_use]
    #[expect(clippy::cast_precision_loss)]
    pub fn confidence(&self) -> f64 {
        let Some((drawn, all)) = self.sample else {
            return 1.0;
        };
        let bad = all.div_ceil(100);
        if drawn + bad > all {
            return 1.0;
        }
        // None of `drawn` is bad: without replacement, from the smaller of two equal products.
        let (few, many) = (drawn.min(bad), drawn.max(bad));
        let missed: f64 = (0..few)
            .map(|i| 1.0 - many as f64 / (all - i) as f64)
            .product();
        1.0 - missed
    }

    /// Counts a picture, or a lost index.
    fn take(&mut self, looked: &Looked, finder: &Finder) {
        match &looked.lost {
            Some(lost) => self.lose_index(lost),
            None => self.add(looked, finder),
        }
    }

    fn add(&mut self, looked: &Looked, finder: &Finder) {
        let picture = looked.picture();
        for place in &looked.places {
            let store = self.stores.entry(finder.name(place.home)).or_default();
            store.add(&place.state);
            if let State::Good(corrections) = &place.state {
                self.corrections.join(corrections);
            }
        }
        let count = match picture.role {
            Role::Data => &mut self.data,
            Role::Parity => &mut self.parity,
            Role::Index | Role::Copy => &mut self.index,
        };
        let is_damaged = |place: &&inspect::Place| matches!(place.state, State::Damaged(_));
        if looked.is_good() {
            count.good += 1;
        } else if looked.places.iter().any(|place| is_damaged(&place)) {
            count.damaged += 1;
        } else {
            count.missing += 1;
        }
        if picture.role == Role::Data && !looked.is_good() {
            match looked.can_be_had {
                true => self.rebuildable += 1,
                false => self.lose(looked),
            }
        }
    }

    fn lose(&mut self, looked: &Looked) {
        let (seq, offset, size) = looked.picture().stands;
        let why = looked.places.first().map(|place| match &place.state {
            State::Damaged(e) => format!("{}: {e}", place.location),
            _ => format!("{}: not found", place.location),
        });
        let end = offset.saturating_add(size);
        match self.lost.last_mut() {
            Some(gap) if gap.frames.end == seq => (gap.frames.end, gap.bytes.end) = (seq + 1, end),
            _ => self.lost.push(Gap {
                frames: seq..seq + 1,
                bytes: offset..end,
                why: why.unwrap_or_default(),
            }),
        }
    }

    fn lose_index(&mut self, lost: &index::Lost) {
        let (frames, bytes) = lost.total.unwrap_or((u64::MAX, u64::MAX));
        self.index.missing += 1;
        self.lost.push(Gap {
            frames: lost.seq..lost.seq.saturating_add(frames),
            bytes: lost.offset..lost.offset.saturating_add(bytes),
            why: lost.error.to_string(),
        });
    }

    /// Adds the report on another tree of the same line: only what both have lost is lost.
    fn join(&mut self, other: Report) {
        for (to, from) in [
            (&mut self.data, other.data),
            (&mut self.parity, other.parity),
            (&mut self.index, other.index),
        ] {
            to.good += from.good;
            to.missing += from.missing;
            to.damaged += from.damaged;
        }
        self.rebuildable += other.rebuildable;
        self.corrections.join(&other.corrections);
        for (store, count) in other.stores {
            let sum = self.stores.entry(store).or_default();
            sum.good += count.good;
            sum.missing += count.missing;
            sum.damaged += count.damaged;
        }
        let both = |a: &Range<u64>, b: &Range<u64>| a.start.max(b.start)..a.end.min(b.end);
        let lost = std::mem::take(&mut self.lost);
        for gap in &lost {
            for other in &other.lost {
                let frames = both(&gap.frames, &other.frames);
                if !frames.is_empty() {
                    self.lost.push(Gap {
                        frames,
                        bytes: both(&gap.bytes, &other.bytes),
                        why: gap.why.clone(),
                    });
                }
            }
        }
    }
}

/// What is found out about a line of keys, tree after tree.
#[derive(Default)]
pub(super) struct Findings {
    /// On the tree that is looked at.
    tree: Report,
    /// On those before it.
    line: Option<Report>,
    /// Why the root of a tree can't be reached, which may be whole.
    unreached: Option<Error>,
}

impl Findings {
    /// Takes a picture, or a lost index, of the tree.
    pub fn take(&mut self, looked: &Looked, finder: &Finder) {
        if let Some(lost) = &looked.lost
            && lost.total.is_none()
            && !lost.error.is_loss()
        {
            self.unreached = Some(lost.error.again());
        }
        self.tree.take(looked, finder);
    }

    /// Ends a tree.
    pub fn end_tree(&mut self) {
        let tree = std::mem::take(&mut self.tree);
        match &mut self.line {
            Some(line) => line.join(tree),
            None => self.line = Some(tree),
        }
    }

    /// The report on the line.
    ///
    /// # Errors
    ///
    /// Why a root can't be reached, if no other tree shows what is lost.
    pub fn end(self) -> Result<Report> {
        let report = self.line.expect("internal error: a line without a tree");
        let is_unknown = |gap: &Gap| gap.frames.end == u64::MAX;
        match self.unreached {
            Some(error) if report.lost.iter().any(is_unknown) => Err(error),
            _ => Ok(report),
        }
    }
}

/// Fetches and checks everything that a line of keys refers to, or a sample, in each of its stores.
///
/// ```
/// use storagex::get::{self, Health, Sample, check};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let key = storagex::put(frames, &[store], &Default::default())?.keys;
/// let report = check(&key, Sample::All, &get::Options::default())?;
/// assert_eq!(report.health(), Health::Whole);
/// assert_eq!((report.data.good, report.index.good), (1, 1));
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// As [`get`](super::get()) for an invalid index, and for a root that can't be reached; lost frames
/// are not an error here.
pub fn check(source: impl Into<Source>, sample: Sample, options: &Options) -> Result<Report> {
    let keys = match source.into() {
        Source::Key(keys) => keys,
        Source::V1(location) => {
            let frames = v1::walk(&location, options, |_| Ok(()))?;
            let data = Count {
                good: frames,
                ..Count::default()
            };
            return Ok(Report {
                data,
                ..Report::default()
            });
        }
    };
    let finder = Finder::new(&keys, options)?;
    let mut findings = Findings::default();
    for number in 0..finder.trees().all().len() {
        check_tree(number, &finder, sample, options, &mut findings)?;
        findings.end_tree();
    }
    findings.end()
}

fn check_tree(
    number: usize,
    finder: &Arc<Finder>,
    sample: Sample,
    options: &Options,
    findings: &mut Findings,
) -> Result<()> {
    let mut lottery = None;
    if sample != Sample::All
        && let Ok(json) = finder.trees().root(number, Wait::Fully)
    {
        let place = &finder.trees().all()[number].root.places[0];
        let root = index::root(&json, place)?;
        let all = root.frames;
        let draw = Lottery::new(sample, all);
        findings.tree.sample = Some((draw.needed, all));
        let share = u128::from(root.size) * u128::from(draw.needed) / u128::from(all.max(1));
        let about = u64::try_from(share).unwrap_or(root.size);
        options.store.progress.expect(about);
        lottery = Some(draw);
    }
    inspect::run(
        inspect::Whole::new(number, finder),
        finder,
        options,
        move |picture| {
            lottery
                .as_mut()
                .is_none_or(|lottery| lottery.draws(picture.role))
        },
        |inspector, looked| {
            inspector.look_everywhere(looked);
            inspector.recycle(looked);
            Ok(())
        },
        |looked| {
            findings.take(looked, finder);
            Ok(())
        },
    )
}

/// Draws data frames without replacement (selection sampling: Knuth, TAOCP 3.4.2, algorithm S), and
/// the same share of the parity frames.
struct Lottery {
    left: u64,
    needed: u64,
    share: f64,
    still: u64,
}

impl Lottery {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation
    )]
    fn new(sample: Sample, all: u64) -> Self {
        let needed = match sample {
            Sample::All => all,
            Sample::Frames(frames) => frames.clamp(1, all),
            Sample::Percent(percent) => {
                ((all as f64 * percent / 100.0).ceil() as u64).clamp(1, all)
            }
        };
        Lottery {
            left: all,
            needed,
            share: needed as f64 / all.max(1) as f64,
            still: needed,
        }
    }

    fn draws(&mut self, role: Role) -> bool {
        match role {
            Role::Index | Role::Copy => true,
            Role::Parity => fastrand::f64() < self.share,
            Role::Data => {
                let drawn = fastrand::u64(0..self.left.max(1)) < self.still;
                self.left = self.left.saturating_sub(1);
                self.still -= u64::from(drawn);
                drawn
            }
        }
    }
}

/// An error that says how much is lost, for callers that need everything.
pub(super) fn lost(gaps: &[Gap]) -> Option<Error> {
    let first = gaps.first()?;
    let sum = |ranges: &mut dyn Iterator<Item = &Range<u64>>| {
        ranges.fold(0u64, |sum, range| {
            sum.saturating_add(range.end - range.start)
        })
    };
    let frames = sum(&mut gaps.iter().map(|gap| &gap.frames));
    let bytes = sum(&mut gaps.iter().map(|gap| &gap.bytes));
    let error = Error::from(crate::Kind::Lost { frames, bytes });
    let (frame, why) = (first.frames.start, &first.why);
    Some(error.because(format!("frame {frame}: {why}")))
}

impl Report {
    /// An error that says how much is lost, if anything is.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        lost(&self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the data frames that are drawn of `all`.
    fn drawn(sample: Sample, all: u64) -> Vec<u64> {
        let mut lottery = Lottery::new(sample, all);
        (0..all).filter(|_| lottery.draws(Role::Data)).collect()
    }

    #[test]
    fn each_frame_is_drawn_as_often_as_any_other() {
        fastrand::seed(3);
        let mut times = [0; 40];
        for _ in 0..4000 {
            let drawn = drawn(Sample::Frames(10), 40);
            assert_eq!(drawn.len(), 10);
            for frame in drawn {
                times[usize::try_from(frame).unwrap()] += 1;
            }
        }
        // 1000 are expected, with a standard deviation of 27.
        assert!(
            times.iter().all(|times| (870..1130).contains(times)),
            "{times:?}"
        );
    }

    #[test]
    fn a_sample_is_as_large_as_it_was_to_be() {
        for (sample, expected) in [
            (Sample::All, 1000),
            (Sample::Frames(1), 1),
            (Sample::Frames(2000), 1000),
            (Sample::Percent(0.01), 1),
            (Sample::Percent(12.5), 125),
            (Sample::Percent(100.0), 1000),
        ] {
            assert_eq!(drawn(sample, 1000).len(), expected, "{sample:?}");
        }
    }

    fn confidence(drawn: u64, all: u64) -> f64 {
        let sample = Some((drawn, all));
        let report = Report {
            sample,
            ..Report::default()
        };
        report.confidence()
    }

    /// One in a hundred is bad: it is found as often as the report says.
    #[test]
    fn the_chance_is_that_of_the_draw() {
        fastrand::seed(4);
        for (count, all) in [(100, 1000), (300, 1000), (10, 300)] {
            let bad = all / 100;
            let found = |_: &u32| drawn(Sample::Frames(count), all).first() < Some(&bad);
            let share = f64::from(u32::try_from((0..2000).filter(found).count()).unwrap()) / 2000.0;
            let chance = confidence(count, all);
            assert!(
                (share - chance).abs() < 0.04,
                "{count} of {all}: {share}, said {chance}"
            );
        }
        // As sx-get(1) has it: 300 of very many.
        assert!((confidence(300, 10_000_000) - 0.951).abs() < 0.001);
    }
}
