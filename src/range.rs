//! A part of a stream, as the user asks for it, and sizes as people write them.

use crate::error::{Kind, Result};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A part of a stream: `OFFSET:LENGTH`, `OFFSET:` for all from there on, or `-LENGTH` for the last
/// bytes. Where several streams follow one another, their bytes count as one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `LENGTH` bytes from `OFFSET` on.
    Exact {
        /// Bytes before it.
        offset: u64,
        /// Its bytes.
        length: u64,
    },
    /// All bytes from `OFFSET` on.
    From(u64),
    /// The last `LENGTH` bytes.
    Last(u64),
}

impl ByteRange {
    /// The bytes of this range in a stream of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`Kind::Range`] if the stream doesn't have all of them.
    pub fn within(self, size: u64) -> Result<Range<u64>> {
        let range = match self {
            ByteRange::Exact { offset, length } => offset
                .checked_add(length)
                .filter(|end| *end <= size)
                .map(|end| offset..end),
            ByteRange::From(offset) => (offset <= size).then_some(offset..size),
            ByteRange::Last(length) => Some(size.saturating_sub(length)..size),
        };
        let range_error = || Kind::Range {
            range: self.to_string(),
            size,
        };
        range.ok_or_else(|| range_error().into())
    }
}

impl FromStr for ByteRange {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let range = match (text.strip_prefix('-'), text.split_once(':')) {
            (Some(length), _) => size(length).map(ByteRange::Last),
            (None, Some((offset, ""))) => size(offset).map(ByteRange::From),
            (None, Some((offset, length))) => size(offset).and_then(|offset| {
                let length = size(length)?;
                offset.checked_add(length)?;
                Some(ByteRange::Exact { offset, length })
            }),
            (None, None) => None,
        };
        range.ok_or_else(|| "expected OFFSET:LENGTH, OFFSET: or -LENGTH".into())
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ByteRange::Exact { offset, length } => write!(f, "{offset}:{length}"),
            ByteRange::From(offset) => write!(f, "{offset}:"),
            ByteRange::Last(length) => write!(f, "-{length}"),
        }
    }
}

/// Parses a number of bytes: digits, and `K`, `M`, `G` or `T` for 1024 of the one before.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        b'T' => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None; // `parse` takes a plus sign
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("64K"), Some(65536));
        assert_eq!(size("3T"), Some(3 << 40));
        for wrong in [
            "",
            "K",
            "+1",
            "-1",
            "1k",
            "1 K",
            "1KiB",
            "0x10",
            "16777216T",
            "é",
        ] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges() {
        for (text, of_100) in [
            ("10:20", 10..30),
            ("10:90", 10..100),
            ("100:0", 100..100),
            ("10:", 10..100),
            ("100:", 100..100),
            ("-30", 70..100),
            ("-100", 0..100),
            ("-101", 0..100),
            ("-0", 100..100),
        ] {
            let range: ByteRange = text.parse().unwrap();
            assert_eq!(range.within(100).unwrap(), of_100);
            assert_eq!(range.to_string(), text);
        }
        for text in ["10:91", "101:0", "101:"] {
            let range: ByteRange = text.parse().unwrap();
            let error = range.within(100).unwrap_err();
            let expected = format!("range {text}, expected one within 100 bytes");
            assert_eq!(error.to_string(), expected);
        }
        for wrong in [
            "",
            ":",
            "10",
            ":5",
            "-",
            "--5",
            "-5:",
            "-5:5",
            "5:-5",
            "1:2:3",
            "1T:16777215T",
        ] {
            assert!(wrong.parse::<ByteRange>().is_err(), "{wrong}");
        }
    }
}
