//! Removing from an image host what no key reaches, by the file of URLs that delete pictures.
//!
//! A host moves nothing, so its fossils are lines of the file: one whose picture no key reaches gets the
//! time as a third field. A later prune, at least the grace period after, calls the URL of a picture
//! that still nobody reaches, and takes out the line; it takes the time off one that a key reaches.

use super::journal::lock;
use super::prune::{Options, Pruned};
use super::reach::{self, Reach};
use super::table::{Builder, Table};
use crate::error::{Error, Kind, Result, shown};
use crate::index::Link;
use crate::key::{Digest, Key, Keys, Name};
use crate::output::Output;
use crate::store::{Fetched, Store, fetch};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes of a line, at most.
const MOST: u64 = 1 << 20;

/// Prunes an image host by the file that [`Config::deletions`](crate::store::Config) named when its
/// pictures were put.
///
/// # Errors
///
/// Before anything is changed: [`Kind::Usage`] without keys, and for a store that is no image host;
/// [`Kind::Journal`] where the file is in use, or something else; [`Kind::NotFound`] for a key whose index
/// has no line in the file, because it is of another host; that of an index that can't be had. That of a
/// URL that doesn't delete its picture, or says so and doesn't, when all others have been called.
pub fn prune_deletions(
    path: &Path,
    store: &Arc<dyn Store>,
    keys: &[Keys],
    options: &Options,
) -> Result<Pruned> {
    let at = |e: Error| e.at(path.display());
    if keys.is_empty() {
        return Err(Kind::Usage("no key, expected all that are to be kept".into()).into());
    }
    if store.locate(&Digest::of(b"").into()).is_some() {
        let what = "a store that needs no URLs to delete pictures, expected an image host";
        return Err(Kind::Usage(what.into()).into());
    }
    let file = open_alone(path).map_err(at)?;
    let roots = roots(store, keys, &listed(&file, keys).map_err(at)?).map_err(at)?;
    let reached = reach_all(store, keys, roots, options)?;
    let mut pruned = Pruned::default();
    let mut failed = None;
    let mut output = Output::new(path)?;
    each_line(&file, |number, line| {
        let (line, error) = line.judge(store, &reached, options, &mut pruned)?;
        if let Some(error) = error {
            failed.get_or_insert(at(error.at(format_args!("line {number}"))));
        }
        let text = line.map(|line| line.render()).unwrap_or_default();
        output.write_all(text.as_bytes()).map_err(Error::output)
    })?;
    if !options.dry_run {
        output.replace()?;
    }
    failed.map_or(Ok(pruned), Err)
}

/// Opens the file, if nobody else writes it.
fn open_alone(path: &Path) -> Result<File> {
    let opened = File::options().read(true).write(true).open(path);
    let file = opened.map_err(|e| Error::io("cannot open", e))?;
    lock(&file).map(|()| file)
}

/// Calls a function with the number and the contents of each line.
fn each_line(mut file: &File, mut each: impl FnMut(u64, Line) -> Result<()>) -> Result<()> {
    file.rewind().map_err(|e| Error::io("cannot read", e))?;
    let mut from = BufReader::new(file);
    for number in 1.. {
        let read = Line::read(&mut from);
        match read.map_err(|e| e.at(format_args!("line {number}")))? {
            Some(line) => each(number, line)?,
            None => break,
        }
    }
    Ok(())
}

/// Reads all lines; gives those of these keys that one of them is of.
fn listed(file: &File, keys: &[Keys]) -> Result<HashSet<String>> {
    let texts = keys.iter().flat_map(Keys::all).map(Key::to_string);
    let wanted: HashSet<String> = texts.collect();
    let mut listed = HashSet::new();
    each_line(file, |_, line| {
        listed.extend(wanted.get(&line.key.to_string()).cloned());
        Ok(())
    })?;
    Ok(listed)
}

/// The roots of each line of keys on this host. A root of another host has no line in the file, and
/// nothing here is kept by it.
fn roots(
    store: &Arc<dyn Store>,
    keys: &[Keys],
    listed: &HashSet<String>,
) -> Result<Vec<Vec<Link>>> {
    let own = |keys: &Keys| {
        let is_listed = |link: &Link| {
            let digest = link.digest;
            let mut keys = link
                .places
                .iter()
                .cloned()
                .map(|location| Key { location, digest });
            keys.any(|key| listed.contains(&key.to_string()))
        };
        let roots = reach::roots(store.as_ref(), keys).into_iter();
        let own: Vec<Link> = roots.map(|(root, _)| root).filter(is_listed).collect();
        let none = || reach::of_key(Error::from(Kind::NotFound).at("a line of its index"), keys);
        (!own.is_empty()).then_some(own).ok_or_else(none)
    };
    keys.iter().map(own).collect()
}

/// What the roots of each line of keys reach, by the digests of the texts of their keys: a host may have a
/// picture twice.
fn reach_all(
    store: &Arc<dyn Store>,
    keys: &[Keys],
    roots: Vec<Vec<Link>>,
    options: &Options,
) -> Result<Table> {
    let mut reached = Builder::new(&options.folder)?;
    for (keys, roots) in keys.iter().zip(roots) {
        for root in roots {
            let mut reach = Reach::in_store(root, store, options.limit);
            while let Some(picture) = reach.next().map_err(|e| reach::of_key(e, keys))? {
                let key = Key {
                    location: picture.place,
                    digest: picture.name.digest,
                };
                reached.add(&name_of(&key), 0)?;
            }
        }
        // Copies of the root that another key of the line names.
        for key in keys.all() {
            reached.add(&name_of(key), 0)?;
        }
    }
    reached.finish(&options.folder)
}

fn name_of(key: &Key) -> Name {
    Name::from(Digest::of(key.to_string().as_bytes()))
}

/// A line of the file: "DELETIONS" in storagex(5).
struct Line {
    key: Key,
    url: String,
    /// When no key reached it first, in seconds since 1970.
    since: Option<u64>,
}

impl Line {
    fn read(from: &mut impl BufRead) -> Result<Option<Line>> {
        let mut text = String::new();
        let bad = |text: &str| {
            let found = shown(text.split('\t').next().unwrap_or_default());
            let what = format!("{found}, expected a key, a tab and a URL");
            Error::from(Kind::Journal(what))
        };
        let read = from.take(MOST).read_line(&mut text);
        if read.map_err(|e| Error::io("cannot read", e))? == 0 {
            return Ok(None);
        }
        let line = text.strip_suffix('\n').ok_or_else(|| bad(&text))?;
        let mut fields = line.split('\t');
        let (key, url) = (fields.next().unwrap_or_default(), fields.next());
        let key = key.parse().map_err(|_| bad(line))?;
        let seconds = |since: &str| {
            let is_digits = since.bytes().all(|c| c.is_ascii_digit());
            let since = since.parse().ok().filter(|_| is_digits);
            since.ok_or_else(|| bad(line))
        };
        let since = fields.next().map(seconds);
        if fields.next().is_some() {
            return Err(bad(line));
        }
        let url = url.filter(|url| !url.is_empty());
        Ok(Some(Line {
            key,
            url: url.ok_or_else(|| bad(line))?.to_owned(),
            since: since.transpose()?,
        }))
    }

    fn render(&self) -> String {
        let Line { key, url, since } = self;
        match since {
            None => format!("{key}\t{url}\n"),
            Some(since) => format!("{key}\t{url}\t{since}\n"),
        }
    }

    /// What is left of the line, and why its picture could not be deleted.
    fn judge(
        mut self,
        store: &Arc<dyn Store>,
        reached: &Table,
        options: &Options,
        pruned: &mut Pruned,
    ) -> Result<(Option<Line>, Option<Error>)> {
        let now = options.started.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        if reached.get(&name_of(&self.key))?.is_some() {
            pruned.kept.add(0);
            if self.since.take().is_some() {
                pruned.revived.add(0);
            }
            return Ok((Some(self), None));
        }
        let since = self.since.filter(|since| *since <= now).unwrap_or(now);
        let age = Duration::from_secs(now - since);
        if self.since.is_none() || age < options.grace {
            self.since = Some(since);
            pruned.fossils.add(0);
            return Ok((Some(self), None));
        }
        if options.dry_run {
            pruned.removed.add(0);
            return Ok((None, None));
        }
        match self.delete(store, options.limit) {
            Ok(()) => {
                pruned.removed.add(0);
                Ok((None, None))
            }
            Err(e) => {
                pruned.fossils.add(0);
                Ok((Some(self), Some(e)))
            }
        }
    }

    /// Calls the URL, and asks for the picture then: a page with a button answers as well as a host that
    /// has deleted it.
    fn delete(&self, store: &Arc<dyn Store>, limit: usize) -> Result<()> {
        store.delete(&self.url)?;
        let Key { location, digest } = &self.key;
        match fetch(
            store.as_ref(),
            location,
            digest,
            limit,
            &mut Fetched::default(),
        ) {
            Ok(_) => {
                let what = "the picture after its URL to delete it was called, expected none";
                Err(Error::from(Kind::Host(what.into())).at(location))
            }
            Err(e) if is_gone(e.kind()) => Ok(()),
            Err(e) => Err(e.at(location)),
        }
    }
}

/// Whether this is the answer of a host that has deleted a picture: none, or another picture.
fn is_gone(answer: &Kind) -> bool {
    matches!(
        answer,
        Kind::NotFound | Kind::NotFrame(_) | Kind::Digest { .. }
    )
}
