//! Where the members of a tar archive are, from the list that GNU tar prints with `-R`.
//!
//! Each line of the list is `block N: NAME`: the member begins at block `N`, of 512 bytes, with its
//! header. Names are escaped as `--quoting-style=escape` does (GNU tar manual, "Quoting Member Names");
//! those of folders end in `/`. The last line is of the blocks of zeros at the end of the archive.

use crate::error::{Error, Kind, Result, shown};
use crate::range::ByteRange;
use std::io::{self, Write};

/// Bytes of a block of a tar archive.
const BLOCK: u64 = 512;

/// The most bytes of a line. A path of 4096 bytes, `PATH_MAX` of Linux, is at most four times as long
/// with escapes.
const MOST_LINE: usize = 1 << 20;

/// Takes a list, as output of [`decode`](crate::decode()) for instance, and gives the bytes of the archive
/// that hold some of its members.
///
/// ```
/// use std::io::Write;
/// use storagex::members::Members;
///
/// let mut members = Members::of(["docs/b"]);
/// members.write_all(b"block 0: docs/\nblock 1: docs/a\nblock 5: docs/b\nblock 8: docs/c\n")?;
/// let ranges = members.finish()?;
/// assert_eq!(ranges[0].to_string(), "2560:1536");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Members {
    /// What is looked for, without `./` before it and `/` after it, and whether it was found.
    paths: Vec<(Vec<u8>, bool)>,
    ranges: Vec<ByteRange>,
    /// Where the run of wanted members began that goes on.
    run: Option<u64>,
    /// Where the last member began.
    at: u64,
    /// The first name of the list.
    top: Vec<u8>,
    /// The start of a line.
    line: Vec<u8>,
    /// Lines so far.
    lines: u64,
    failed: Option<Error>,
}

impl Members {
    /// Looks for the members with these names, and for all that are below them.
    pub fn of(paths: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let paths = paths.into_iter();
        Members {
            paths: paths
                .map(|path| (bare(path.as_ref()).to_vec(), false))
                .collect(),
            ranges: Vec::new(),
            run: None,
            at: 0,
            top: Vec::new(),
            line: Vec::new(),
            lines: 0,
            failed: None,
        }
    }

    /// The ranges of bytes that hold the members, in order; those that follow one another are one range.
    ///
    /// # Errors
    ///
    /// [`Kind::NotMembers`] for a list that isn't one, [`Kind::NoMember`] for a path that it doesn't have.
    pub fn finish(mut self) -> Result<Vec<ByteRange>> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.keep(&line);
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(start) = self.run {
            self.ranges.push(ByteRange::From(start));
        }
        let text = |name: &[u8]| shown(&String::from_utf8_lossy(name));
        match self.paths.iter().find(|(_, found)| !found) {
            None => Ok(self.ranges),
            Some((path, _)) => Err(Kind::NoMember {
                path: text(path),
                top: text(
                    self.top
                        .split(|byte| *byte == b'/')
                        .next()
                        .unwrap_or_default(),
                ),
            }
            .into()),
        }
    }

    /// Takes a line, unless one before it was wrong.
    fn keep(&mut self, line: &[u8]) {
        self.lines += 1;
        if self.failed.is_some() {
            return;
        }
        if let Some((at, name)) = parse(line).filter(|(at, _)| *at >= self.at) {
            self.next(at, bare(&name));
        } else {
            let found = shown(&String::from_utf8_lossy(line));
            let place = format!("line {}", self.lines);
            self.failed = Some(Error::from(Kind::NotMembers(found)).at(place));
        }
    }

    /// Takes a member, which begins at this byte of the archive.
    fn next(&mut self, at: u64, name: &[u8]) {
        self.at = at;
        if self.lines == 1 {
            self.top = name.to_vec();
        }
        match (self.is_wanted(name), self.run) {
            (true, None) => self.run = Some(at),
            (false, Some(offset)) => {
                let length = at - offset;
                self.ranges.push(ByteRange::Exact { offset, length });
                self.run = None;
            }
            _ => {}
        }
    }

    fn is_wanted(&mut self, name: &[u8]) -> bool {
        let mut wanted = false;
        for (path, found) in &mut self.paths {
            let rest = name.strip_prefix(path.as_slice());
            if rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/') {
                *found = true;
                wanted = true;
            }
        }
        wanted
    }
}

impl Write for Members {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    let mut line = std::mem::take(&mut self.line);
                    line.extend_from_slice(end);
                    self.keep(&line);
                    line.clear();
                    self.line = line;
                }
                None => self.line.extend_from_slice(piece),
            }
            if self.line.len() > MOST_LINE {
                let line = std::mem::take(&mut self.line);
                self.keep(&line[..100]); // no line of a list, whatever follows
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path without `./` before it and `/` after it.
fn bare(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

/// The byte of the archive where a member begins, and its name.
fn parse(line: &[u8]) -> Option<(u64, Vec<u8>)> {
    let rest = line.strip_prefix(b"block ")?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let block: u64 = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    let name = rest[end..].strip_prefix(b": ")?;
    Some((block.checked_mul(BLOCK)?, unescaped(name)))
}

/// A name without the escapes of `--quoting-style=escape`: a letter of C's, or three octal digits.
fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    while let [first, rest @ ..] = text {
        let (byte, rest) = match (*first, rest) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..]) => {
                (((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'), rest)
            }
            (b'\\', [letter, rest @ ..]) => (escape(*letter), rest),
            (byte, rest) => (byte, rest),
        };
        name.push(byte);
        text = rest;
    }
    name
}

fn escape(letter: u8) -> u8 {
    match letter {
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        itself => itself,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(list: &[u8], paths: &[&str]) -> Result<String> {
        let mut members = Members::of(paths);
        members.write_all(list).unwrap();
        let ranges = members.finish()?;
        let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        Ok(ranges.join(" "))
    }

    const LIST: &[u8] =
        b"block 0: d/\nblock 1: d/a\nblock 3: d/ab\nblock 6: d/a/\nblock 7: d/a/x\n\
        block 9: d/z\nblock 11: ** Block of NULs **\n";

    #[test]
    fn runs_of_members_are_ranges() {
        for (paths, expected) in [
            (&["d"][..], "0:5632"),
            (&["d/ab"], "1536:1536"),
            (&["d/a"], "512:1024 3072:1536"),
            (&["./d/a/", "d/ab"], "512:4096"),
            (&["d/z"], "4608:1024"),
            (&["d/a/x", "d/z"], "3584:2048"),
        ] {
            assert_eq!(ranges(LIST, paths).unwrap(), expected, "{paths:?}");
        }
        assert_eq!(ranges(b"block 2: x", &["x"]).unwrap(), "1024:"); // cut at the end
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        for path in ["x", "d/", "d/a/xx", "e", ""] {
            let found = ranges(b"block 0: ./top/d\n", &[path]).unwrap_err();
            assert!(
                matches!(found.kind(), Kind::NoMember { top, .. } if top == "top"),
                "{path}: {found}"
            );
        }
    }

    #[test]
    fn names_are_unescaped() {
        for (escaped, name) in [
            (&b"a b"[..], &b"a b"[..]),
            (br"back\\slash", br"back\slash"),
            (br"x\ny\t\a\b\v\f\r", b"x\ny\t\x07\x08\x0b\x0c\r"),
            (br"caf\351\\351", b"caf\xe9\\351"),
            (br"\777\", b"777\\"),
        ] {
            assert_eq!(unescaped(escaped), name);
        }
    }

    #[test]
    fn what_is_no_list_is_refused_at_its_line() {
        for (list, line) in [
            (&b"hello\n"[..], 1),
            (b"block 0: a\nblock x: b\n", 2),
            (b"block 0: a\nblock 5:b\n", 2),
            (b"block 3: a\nblock 2: b\n", 2),
            (b"block 0: a\n\n", 2),
            (b"block 99999999999999999999: a\n", 1),
            (b"block 18446744073709551615: a\n", 1),
        ] {
            let error = ranges(list, &["a"]).unwrap_err();
            assert!(matches!(error.kind(), Kind::NotMembers(_)), "{error}");
            assert!(
                error.to_string().starts_with(&format!("line {line}: ")),
                "{error}"
            );
        }
        let mut members = Members::of(["a"]);
        for _ in 0..40 {
            members.write_all(&vec![b'x'; 100_000]).unwrap();
            assert!(members.line.capacity() < 4 * MOST_LINE);
        }
        assert!(matches!(
            members.finish().unwrap_err().kind(),
            Kind::NotMembers(_)
        ));
    }

    proptest! {
        #[test]
        fn a_list_may_come_in_any_pieces(list: Vec<u8>, pieces in 1..9_usize) {
            let list = [LIST, &list].concat();
            let mut members = Members::of(["d/a"]);
            for piece in list.chunks(pieces) {
                members.write_all(piece).unwrap();
            }
            let in_pieces = members.finish().map_err(|e| e.to_string());
            let whole = ranges(&list, &["d/a"]).map_err(|e| e.to_string());
            let in_pieces = in_pieces.map(|ranges| ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            prop_assert_eq!(in_pieces, whole);
        }
    }
}
