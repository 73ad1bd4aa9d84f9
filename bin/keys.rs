//! Keys as arguments, and in files.

// Each program uses its part of this file.
#![allow(dead_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use storagex::{Error, Kind, Result, Source, input};

/// The keys that the arguments give: all of them are read before the first one is used.
pub fn read(arguments: &[OsString]) -> Result<Vec<Source>> {
    let keys = read_named(arguments)?.into_iter();
    Ok(keys.map(|(_, key)| key).collect())
}

/// Likewise, each with the name of the file that it is from, if it is from one.
pub fn read_named(arguments: &[OsString]) -> Result<Vec<(Option<String>, Source)>> {
    let stdin = [OsString::from("-")];
    let arguments = if arguments.is_empty() {
        &stdin
    } else {
        arguments
    };
    let mut keys = Vec::new();
    for argument in arguments {
        match argument.to_str() {
            Some("-") => {
                let found = parse("stdin", super::common::stdin()?)?;
                keys.extend(found.into_iter().map(|key| (None, key)));
            }
            Some(key) if is_key(key) => keys.push((None, before_tab(key).parse()?)),
            _ => {
                let path = Path::new(argument);
                let name = path.display().to_string();
                let found = parse(&name, input::open(path)?)?;
                keys.extend(found.into_iter().map(|key| (Some(name.clone()), key)));
            }
        }
    }
    Ok(keys)
}

/// Whether an argument is a key, or is meant to be one, rather than a file: by its scheme (RFC 3986,
/// 3.1) or its digest. The empty one is no file either.
fn is_key(argument: &str) -> bool {
    argument.is_empty() || argument.contains("#blake3=") || has_scheme(argument)
}

fn has_scheme(argument: &str) -> bool {
    let of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    argument.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(of_scheme)
    })
}

/// A line without what stands behind a tab: what --list, sx-put --keys and --deletions add to a key.
fn before_tab(line: &str) -> &str {
    line.split('\t').next().unwrap_or_default()
}

/// Bytes of a file of keys that are read: some 100,000 keys. More are no keys.
const MOST_KEYS: u64 = 16 << 20;

/// The keys in a file, one a line; there must be one.
fn parse(name: &str, file: File) -> Result<Vec<Source>> {
    let text = std::io::read_to_string(file.take(MOST_KEYS + 1)).map_err(|e| {
        match e.kind() {
            ErrorKind::InvalidData => Error::from(Kind::Key(
                "bytes that aren't text, expected keys, one a line".into(),
            )),
            _ => Error::io("cannot read keys", e),
        }
        .at(name)
    })?;
    if text.len() as u64 > MOST_KEYS {
        let what = format!("over {MOST_KEYS} bytes, expected keys, one a line");
        return Err(Error::from(Kind::Key(what)).at(name));
    }
    let keys: Result<Vec<Source>> = (text.lines().map(str::trim_ascii).zip(1..))
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, n)| {
            before_tab(line)
                .parse()
                .map_err(|e: Error| e.at(format_args!("{name}: line {n}")))
        })
        .collect();
    match keys? {
        keys if keys.is_empty() => {
            Err(Error::from(Kind::Key("no key, expected one a line".into())).at(name))
        }
        keys => Ok(keys),
    }
}
