//! Which of a row of backups to keep, by how old they are.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use std::fmt;

/// Rules for keeping backups. Each keeps the newest backup of each of the last days, weeks or months
/// that have one; a backup stays if any rule keeps it. A rule of 0 keeps none.
///
/// ```
/// use storagex::put::forget::{Moment, Rules};
///
/// let backups = ["2026-11-24T03:30:00Z", "2026-11-24T12:00:00Z", "2026-11-25T03:30:00Z"];
/// let backups: Vec<_> = backups.iter().filter_map(|date| Moment::parse(date)).collect();
/// let rules = Rules { daily: 7, ..Rules::default() };
/// assert_eq!(rules.forgotten(&backups), [backups[0]]); // a day has one that is newer
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// The newest backups.
    pub last: u32,
    /// The newest backup of each of so many days, which begin at midnight UTC.
    pub daily: u32,
    /// The newest backup of each of so many weeks, which begin on Monday (ISO 8601).
    pub weekly: u32,
    /// The newest backup of each of so many months.
    pub monthly: u32,
}

/// When a backup was made. Its text has 20 characters, as in 2026-11-24T03:30:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Timestamp);

impl Moment {
    /// Reads the text of a moment: None for any other form of RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = Moment(text.parse().ok()?);
        (text.len() == 20 && moment.to_string() == text).then_some(moment)
    }

    /// Its day in UTC.
    fn day(self) -> Date {
        Offset::UTC.to_datetime(self.0).date()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A rule at work, which sees the newest backup first.
struct Rule<Period> {
    /// Periods whose newest backup it still keeps.
    left: u32,
    /// The period of the backup that it has kept last.
    last: Option<Period>,
}

impl<Period: PartialEq> Rule<Period> {
    fn new(periods: u32) -> Self {
        let (left, last) = (periods, None);
        Rule { left, last }
    }

    fn keeps(&mut self, period: Period) -> bool {
        if self.left == 0 || self.last.as_ref() == Some(&period) {
            return false;
        }
        self.left -= 1;
        self.last = Some(period);
        true
    }
}

impl Rules {
    /// The backups, newest first, that no rule keeps.
    #[must_use]
    pub fn forgotten(&self, backups: &[Moment]) -> Vec<Moment> {
        let mut backups = backups.to_vec();
        backups.sort_unstable_by(|a, b| b.cmp(a));
        let mut last = Rule::new(self.last);
        let mut daily = Rule::new(self.daily);
        let mut weekly = Rule::new(self.weekly);
        let mut monthly = Rule::new(self.monthly);
        backups.retain(|backup| {
            let day = backup.day();
            let week = day.iso_week_date();
            // Every rule sees every backup.
            let kept = [
                last.keeps(*backup),
                daily.keeps(day),
                weekly.keeps((week.year(), week.week())),
                monthly.keeps((day.year(), day.month())),
            ];
            !kept.contains(&true)
        });
        backups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    fn moments(dates: &[&str]) -> Vec<Moment> {
        let parse = |date: &&str| Moment::parse(&format!("{date}T03:30:00Z")).unwrap();
        dates.iter().map(parse).collect()
    }

    /// Backups of the nights that end on a day, the last one first.
    fn nights(count: i32, last: &str) -> Vec<Moment> {
        let last = moments(&[last])[0];
        let night = |n: i32| Moment(last.0 - (24 * n).hours());
        (0..count).map(night).collect()
    }

    /// The days of the backups that stay, oldest first.
    fn kept(rules: Rules, backups: &[Moment]) -> Vec<String> {
        let gone = rules.forgotten(backups);
        let mut kept: Vec<_> = backups.iter().filter(|each| !gone.contains(each)).collect();
        kept.sort();
        kept.into_iter()
            .map(|each| each.day().to_string())
            .collect()
    }

    #[test]
    fn a_year_of_nights() {
        let rules = Rules {
            daily: 7,
            weekly: 5,
            monthly: 12,
            ..Rules::default()
        };
        let mut expected: Vec<_> = [
            "2024-12-31",
            "2025-01-31",
            "2025-02-28",
            "2025-03-31",
            "2025-04-30",
            "2025-05-31",
            "2025-06-30",
            "2025-07-31",
            "2025-08-31",
            "2025-09-30",
            "2025-10-31",
            "2025-11-02",
            "2025-11-09",
            "2025-11-16",
        ]
        .map(str::to_owned)
        .into();
        expected.extend((18..=24).map(|day| format!("2025-11-{day}")));
        assert_eq!(kept(rules, &nights(365, "2025-11-24")), expected);
    }

    #[test]
    fn the_order_of_the_backups_does_not_matter() {
        let rules = Rules {
            last: 2,
            weekly: 3,
            ..Rules::default()
        };
        let mut backups = nights(40, "2026-02-03");
        let forgotten = rules.forgotten(&backups);
        assert_eq!(forgotten.len(), 36);
        assert!(forgotten.is_sorted_by(|a, b| a > b));
        backups.reverse();
        assert_eq!(rules.forgotten(&backups), forgotten);
    }

    /// A week belongs to the year that has its Thursday: the last days of December may be in week 1.
    #[test]
    fn weeks_across_the_end_of_a_year() {
        let weekly = |weekly, backups: &[&str]| {
            let rules = Rules {
                weekly,
                ..Rules::default()
            };
            kept(rules, &moments(backups))
        };
        // Monday to Sunday are one week, in two years.
        assert_eq!(weekly(9, &["2024-12-30", "2025-01-05"]), ["2025-01-05"]);
        assert_eq!(weekly(9, &["2026-12-28", "2027-01-03"]), ["2027-01-03"]);
        // Sunday and Monday are two.
        let two = ["2024-12-29", "2024-12-30"];
        assert_eq!(weekly(9, &two), two);
        let two = ["2027-01-03", "2027-01-04"];
        assert_eq!(weekly(9, &two), two);
        assert_eq!(weekly(1, &two), two[1..]);
        // Week 1 of 2025 and of 2026, with nothing between.
        let two = ["2024-12-30", "2026-01-01"];
        assert_eq!(weekly(9, &two), two);
    }

    #[test]
    fn each_rule_alone() {
        let backups = nights(100, "2026-11-24");
        let all = |rules: Rules| kept(rules, &backups);
        let of = |n: u32| Rules {
            last: n,
            ..Rules::default()
        };
        assert_eq!(all(of(0)), [""; 0]);
        assert_eq!(all(of(1)), ["2026-11-24"]);
        assert_eq!(all(of(100)).len(), 100);
        assert_eq!(all(of(u32::MAX)).len(), 100);
        let monthly = Rules {
            monthly: 3,
            ..Rules::default()
        };
        assert_eq!(all(monthly), ["2026-09-30", "2026-10-31", "2026-11-24"]);
        let daily = Rules {
            daily: 1,
            ..Rules::default()
        };
        let day = ["2026-11-24T00:00:00Z", "2026-11-24T23:59:59Z"];
        let day = day.map(|date| Moment::parse(date).unwrap());
        assert_eq!(daily.forgotten(&day), [day[0]]);
        assert_eq!(daily.forgotten(&[]), []);
    }

    #[test]
    fn a_moment_has_one_text() {
        let text = "2024-02-29T23:59:59Z";
        assert_eq!(Moment::parse(text).unwrap().to_string(), text);
        for bad in [
            "",
            "2024-02-29",
            "2023-02-29T23:59:59Z",
            "2024-02-29T23:59:59",
            "2024-02-29T23:59:59+00:00",
            "2024-02-29T23:59:59.5Z",
            "2024-02-29 23:59:59Z",
            "2024-02-29t23:59:59z",
            "2024-02-29T24:00:00Z",
            "2024-02-29T23:59:60Z",
            "-00024-02-29T23:59:59Z",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }
}
