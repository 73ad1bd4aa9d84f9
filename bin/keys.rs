//! Keys as arguments, and in files.

// Each program uses its part of this file.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use storagex::output::Output;
use storagex::{Error, Keys, Kind, Result, Source, input};

/// The keys that the arguments give: all of them are read before the first one is used.
pub fn read(arguments: &[OsString]) -> Result<Vec<Source>> {
    let named = read_named(arguments)?.into_iter();
    Ok(named.map(|(_, key)| key).collect())
}

/// As [`read`], each key with the name of the file that it is in, if it is in one.
pub fn read_named(arguments: &[OsString]) -> Result<Vec<(Option<String>, Source)>> {
    let unnamed = |keys: Vec<Source>| keys.into_iter().map(|key| (None, key));
    let stdin = || parse("stdin", super::common::stdin()?);
    if arguments.is_empty() {
        return Ok(unnamed(stdin()?).collect());
    }
    let mut keys = Vec::new();
    for argument in arguments {
        match argument.to_str() {
            Some("-") => keys.extend(unnamed(stdin()?)),
            Some(key) if is_key(key) => keys.push((None, before_tab(key).parse()?)),
            _ => {
                let path = Path::new(argument);
                let name = path.display().to_string();
                let found = read_file(path)?.into_iter();
                keys.extend(found.map(|key| (Some(name.clone()), key)));
            }
        }
    }
    Ok(keys)
}

/// As [`read`], and an argument may be a folder: all files of keys below it. Passes over the files in
/// `seen`, whose paths are canonical, and adds those that it reads.
pub fn read_below(arguments: &[OsString], seen: &mut BTreeSet<PathBuf>) -> Result<Vec<Source>> {
    let mut keys = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        let is_path = !argument
            .to_str()
            .is_some_and(|text| text == "-" || is_key(text));
        let is_folder = is_path && path.is_dir();
        for path in if is_folder {
            files(path)?
        } else {
            vec![path.to_owned()]
        } {
            if !is_path {
                keys.extend(read(std::slice::from_ref(argument))?);
            } else if seen.insert(canonical(&path)) {
                keys.extend(read_file(&path)?);
            }
        }
    }
    Ok(keys)
}

/// The keys in files, each once, with its file.
pub fn in_files(arguments: &[OsString]) -> Result<Vec<(PathBuf, Source)>> {
    if arguments.is_empty() {
        return Err(Kind::Usage("--in-place without a file of keys".into()).into());
    }
    let mut all: Vec<(PathBuf, Source)> = Vec::new();
    for argument in arguments {
        if let Some(text) = argument
            .to_str()
            .filter(|text| *text == "-" || is_key(text))
        {
            let text = if text == "-" { "stdin" } else { "a key" };
            return Err(
                Kind::Usage(format!("--in-place with {text}, expected files of keys")).into(),
            );
        }
        let path = PathBuf::from(argument);
        for key in read_file(&path)? {
            if !all.contains(&(path.clone(), key.clone())) {
                all.push((path.clone(), key));
            }
        }
    }
    Ok(all)
}

/// The stores that comments in a file of keys name, as `sx-put --comment` writes them, if one of them is
/// an image host.
pub fn stores_with_a_host(path: &Path) -> Result<Vec<OsString>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read", e))?;
    let stores = text
        .lines()
        .filter_map(|line| line.strip_prefix("# store: "));
    let stores: Vec<&str> = stores.collect();
    let has_host = stores.iter().any(|store| super::common::is_host(store));
    let stores = stores.into_iter().filter(|_| has_host);
    Ok(stores.map(OsString::from).collect())
}

/// Puts new keys in the place of old ones in a file, if they differ; all else in it stays.
pub fn replace(path: &Path, old: &Source, new: &Keys) -> Result<()> {
    let after = new.to_string();
    if old.to_string() == after {
        return Ok(());
    }
    rewrite(path, |line| {
        let key = before_tab(line.trim_ascii());
        let is_old = !key.starts_with('#') && key.parse().is_ok_and(|key: Source| key == *old);
        is_old.then(|| line.replacen(key, &after, 1))
    })
}

/// Writes a file anew, with other lines where `change` gives some.
fn rewrite(path: &Path, change: impl Fn(&str) -> Option<String>) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("cannot read", e))?;
    let mut output = Output::new(path)?;
    let mut changed = false;
    for line in text.split_inclusive('\n') {
        let other = change(line);
        changed |= other.is_some();
        super::common::write(&mut output, other.as_deref().unwrap_or(line))?;
    }
    if !changed {
        let what = "no line with these keys any more, expected the one that was read";
        return Err(Kind::Key(what.into()).into());
    }
    output.replace()
}

/// The keys in a file.
pub fn read_file(path: &Path) -> Result<Vec<Source>> {
    parse(&path.display().to_string(), input::open(path)?)
}

/// All files of keys below a folder: `*.key` and `*.files`. There must be one: a folder without any may
/// be where a disk should be mounted.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        if !seen.insert(canonical(&folder)) {
            continue; // a link has led here
        }
        let unreadable = |e| Error::io("cannot read", e).at(folder.display());
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.as_os_str().as_encoded_bytes();
            let has_keys = name.ends_with(b".key") || name.ends_with(b".files");
            match fs::metadata(&path) {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(_) if has_keys => found.push(path),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::NotFound && !has_keys => {} // a link to nothing
                Err(e) => return Err(Error::io("cannot read", e).at(path.display())),
            }
        }
    }
    found.sort();
    match found.is_empty() {
        true => {
            let what = "no key, expected files *.key or *.files below it";
            Err(Error::from(Kind::Key(what.into())).at(folder.display()))
        }
        false => Ok(found),
    }
}

/// The folder of the store that a key is in, if it isn't there: its disk may not be mounted. None where
/// any key of the line is elsewhere.
pub fn no_folder(key: &Source) -> Option<PathBuf> {
    let Source::Key(keys) = key else { return None };
    let folders = keys.all().iter().map(|key| {
        let is_file = key.location.scheme() == "file";
        let path = key.location.path();
        let folder = path.ancestors().nth(2).filter(|_| is_file)?;
        let found = fs::metadata(folder);
        let is_gone = found.is_err_and(|e| e.kind() == ErrorKind::NotFound);
        is_gone.then(|| folder.to_owned())
    });
    folders.collect::<Option<Vec<_>>>()?.into_iter().next()
}

/// The path of a file without links, as far as that can be told.
pub fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
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
    line.split('\t').next().unwrap_or_default().trim_ascii_end()
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
