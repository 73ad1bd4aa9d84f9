//! Checks how much of a stream its stores still have.

pub(super) use super::findings::Findings;
use super::inspect::{self, Picture, State};
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
    pub(super) fn add(&mut self, state: &State) {
        match state {
            State::Good(_) => self.good += 1,
            State::Missing => self.missing += 1,
            State::Damaged(_) => self.damaged += 1,
        }
    }

    /// The number of those that aren't good: damaged, or missing.
    pub(super) fn bad(&mut self, is_damaged: bool) -> &mut u64 {
        match is_damaged {
            true => &mut self.damaged,
            false => &mut self.missing,
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
    let draw = match sample {
        Sample::All => None,
        _ => draw(&finder, sample)?,
    };
    let mut findings = Findings::of_sample(draw.as_ref().map(|draw| (draw.needed, draw.left)));
    for number in 0..finder.trees().all().len() {
        check_tree(number, &finder, draw.clone(), options, &mut findings)?;
        findings.end_tree();
    }
    findings.end()
}

/// Draws the sample, which is the same in all trees of a line; none if no root can be reached.
fn draw(finder: &Finder, sample: Sample) -> Result<Option<Lottery>> {
    let trees = finder.trees();
    for number in trees.order() {
        if let Ok(json) = trees.root(number, Wait::Fully) {
            let root = index::root(&json, &trees.all()[number].root.places[0])?;
            return Ok(Some(Lottery::new(sample, root.frames, root.size)));
        }
    }
    Ok(None)
}

fn check_tree(
    number: usize,
    finder: &Arc<Finder>,
    mut lottery: Option<Lottery>,
    options: &Options,
    findings: &mut Findings,
) -> Result<()> {
    if let Some(lottery) = &lottery {
        options.store.progress.expect(lottery.bytes);
    }
    inspect::run(
        inspect::Whole::new(number, finder),
        finder,
        options,
        move |picture| {
            lottery
                .as_mut()
                .is_none_or(|lottery| lottery.draws(picture))
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
/// the same share of the parity frames. Clones draw the same frames, whichever of them they are asked for.
#[derive(Clone)]
struct Lottery {
    /// Data frames to draw, and their share of all.
    needed: u64,
    share: f64,
    /// About as many bytes as they hold.
    bytes: u64,
    seed: u64,
    random: fastrand::Rng,
    /// The number of the next data frame.
    next: u64,
    left: u64,
    still: u64,
}

/// More data frames in a row than these are passed over without drawing: no stream has so many below a
/// lost index, but an index may claim it.
const FAR: u64 = 1 << 28;

impl Lottery {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation
    )]
    fn new(sample: Sample, all: u64, size: u64) -> Self {
        let needed = match sample {
            Sample::All => all,
            Sample::Frames(frames) => frames.clamp(1, all),
            Sample::Percent(percent) => {
                ((all as f64 * percent / 100.0).ceil() as u64).clamp(1, all)
            }
        };
        let bytes = u128::from(size) * u128::from(needed) / u128::from(all.max(1));
        let seed = fastrand::u64(..);
        Lottery {
            needed,
            share: needed as f64 / all.max(1) as f64,
            bytes: u64::try_from(bytes).unwrap_or(size),
            seed,
            random: fastrand::Rng::with_seed(seed),
            next: 0,
            left: all,
            still: needed,
        }
    }

    fn draws(&mut self, picture: &Picture) -> bool {
        let seq = picture.stands.0;
        match (picture.role, &picture.group) {
            (Role::Index | Role::Copy, _) => true,
            (Role::Data, _) => self.draws_data(seq),
            (Role::Parity, group) => {
                let number = group.as_ref().map_or(0, |(_, number)| *number as u64);
                self.draws_parity(seq, number)
            }
        }
    }

    /// Whether a data frame is drawn, which is behind those before.
    fn draws_data(&mut self, seq: u64) -> bool {
        if seq.saturating_sub(self.next) > FAR {
            self.left = self.left.saturating_sub(seq - self.next);
            self.next = seq;
        }
        let mut drawn = false;
        while self.next <= seq {
            drawn = self.random.u64(0..self.left.max(1)) < self.still;
            self.next += 1;
            self.left = self.left.saturating_sub(1);
            self.still -= u64::from(drawn);
        }
        drawn
    }

    fn draws_parity(&self, group: u64, number: u64) -> bool {
        let seed = fastrand::Rng::with_seed(self.seed ^ group).u64(..);
        fastrand::Rng::with_seed(seed ^ number).f64() < self.share
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
        let mut lottery = Lottery::new(sample, all, 0);
        (0..all).filter(|&seq| lottery.draws_data(seq)).collect()
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

    /// A tree that has lost an index has the same sample as one that hasn't.
    #[test]
    fn what_is_passed_over_changes_nothing() {
        let lottery = Lottery::new(Sample::Frames(300), 1000, 0);
        let (mut whole, mut part) = (lottery.clone(), lottery);
        for seq in 0..1000 {
            let drawn = whole.draws_data(seq);
            assert!((100..400).contains(&seq) || part.draws_data(seq) == drawn);
        }
        assert_eq!(whole.still, 0);
        let parity = |number| whole.draws_parity(7, number);
        let drawn = (0..10_000).filter(|&number| parity(number)).count();
        assert!((2800..3200).contains(&drawn), "{drawn}");
        // No index makes it count for years.
        let mut far = Lottery::new(Sample::Percent(1.0), i64::MAX as u64, 0);
        far.draws_data(i64::MAX as u64 - 1);
        assert_eq!(far.left, 0);
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
