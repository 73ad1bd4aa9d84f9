//! Several stores that receive the same stream.

use super::Options;
use crate::error::{Error, Kind, Result};
use crate::index::MOST_STORES;
use crate::key::{Digest, Location, Name};
use crate::store::Store;
use crate::wire::parity::Parity;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// The location of a picture in each store; none where the store has failed.
pub(super) type Places = Vec<Option<Location>>;

/// Stores that receive the same stream, and which of them have failed.
pub(super) struct Stores {
    all: Vec<Arc<dyn Store>>,
    failed: Mutex<Vec<Option<Error>>>,
    /// How many stores must still work at the end.
    least: usize,
    /// Whether frames are spread over the stores in turn.
    spread: bool,
}

impl Stores {
    /// The stores to put into; as many as the options say must still work at the end.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`].
    pub fn new(all: &[Arc<dyn Store>], options: &Options) -> Result<Self> {
        let usage = |what: String| Err(Kind::Usage(what).into());
        let count = all.len();
        if !(1..=MOST_STORES).contains(&count) {
            return usage(format!("{count} stores, expected 1 to {MOST_STORES}"));
        }
        check_different(all)?;
        let least = options.min_copies.unwrap_or(count);
        if !(1..=count).contains(&least) {
            return usage(format!(
                "--min-copies {least} of {count} stores, expected 1 to {count}"
            ));
        }
        if options.spread {
            check_spread(all, options.parity)?;
            if least < count {
                return usage("--spread with --min-copies, expected all stores".into());
            }
        }
        Ok(Stores {
            all: all.to_vec(),
            failed: Mutex::new(all.iter().map(|_| None).collect()),
            least,
            spread: options.spread,
        })
    }

    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The number of stores that frames are spread over, if they are.
    pub fn spread(&self) -> Option<usize> {
        self.spread.then_some(self.all.len())
    }

    /// The only store that gets the frame at this position of a group, if frames are spread.
    pub fn turn(&self, position: usize) -> Option<usize> {
        self.spread().map(|count| position % count)
    }

    pub fn store(&self, at: usize) -> &Arc<dyn Store> {
        &self.all[at]
    }

    /// Numbers of the stores that have not failed.
    pub fn left(&self) -> Vec<usize> {
        let failed = self.lock();
        (0..failed.len())
            .filter(|&at| failed[at].is_none())
            .collect()
    }

    /// Takes out the stores that have failed, and their errors.
    pub fn take_missing(&self) -> Vec<(usize, Error)> {
        let mut failed = self.lock();
        let missing = failed.iter_mut().enumerate();
        missing
            .filter_map(|(at, e)| Some((at, e.take()?)))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Error>>> {
        let failed = self.failed.lock();
        failed.expect("internal error: a worker panicked")
    }

    /// Accepts a result of this store; none if the store fails and enough others still work.
    ///
    /// # Errors
    ///
    /// The error of the store, if too few others still work.
    pub fn take<T>(&self, at: usize, result: Result<T>) -> Result<Option<T>> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        let mut failed = self.lock();
        let others = failed.iter().enumerate();
        let left = others
            .filter(|(other, e)| *other != at && e.is_none())
            .count();
        if left < self.least {
            return Err(error);
        }
        failed[at].get_or_insert(error);
        Ok(None)
    }

    /// Puts a picture into every store that still works, all at once; if frames are spread, only
    /// into the store whose turn it is at `position` of the group.
    pub fn put(&self, position: usize, name: &Name, png: &[u8]) -> Result<Places> {
        if let Some(at) = self.turn(position) {
            self.take(at, self.all[at].put(name, png))?;
            return Ok(self.all.iter().map(|store| store.locate(name)).collect());
        }
        let mut places: Places = vec![None; self.all.len()];
        let left = self.left();
        let Some((&last, others)) = left.split_last() else {
            return Ok(places);
        };
        thread::scope(|scope| {
            let put = |at: usize| self.take(at, self.all[at].put(name, png));
            let running: Vec<_> = others
                .iter()
                .map(|&at| (at, scope.spawn(move || put(at))))
                .collect();
            places[last] = put(last)?;
            for (at, running) in running {
                places[at] = running.join().expect("internal error: a thread panicked")?;
            }
            Ok(places)
        })
    }
}

/// Checks that no store is named twice, as far as their pictures' names tell, or the folders that these are
/// in: two accounts at one image host are two stores.
fn check_different(stores: &[Arc<dyn Store>]) -> Result<()> {
    let name = Name::from(Digest::of(b""));
    let places = stores.iter().filter_map(|store| store.locate(&name));
    let mut seen: Vec<(Location, Option<PathBuf>)> = Vec::new();
    for place in places {
        let path = (place.scheme() == "file").then(|| resolved(&place.path()));
        let is_same = |(other, folder): &&(Location, Option<PathBuf>)| {
            *other == place || (path.is_some() && *folder == path)
        };
        if let Some((other, _)) = seen.iter().find(is_same) {
            let store = |place: &Location| place.store_of(&name).unwrap_or_default().to_owned();
            let (store, other) = (store(&place), store(other));
            let how = match store == other {
                true => "twice".into(),
                false => format!("is in the folder of {other}"),
            };
            let what = format!("store {store} {how}, expected different stores");
            return Err(Kind::Usage(what).into());
        }
        seen.push((place, path));
    }
    Ok(())
}

/// Symbolic links that a path may lead through, as in the system.
const MOST_LINKS: usize = 40;

/// An absolute path without symbolic links and `..`. Unlike [`fs::canonicalize`], this takes paths and links
/// to what isn't there yet: a store is made when the first picture is put.
fn resolved(path: &Path) -> PathBuf {
    let parts = |path: &Path| -> Vec<OsString> {
        let parts = path.components().rev();
        parts.map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut rest, mut done, mut links) = (parts(path), PathBuf::new(), 0);
    while let Some(part) = rest.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(&part);
        if links < MOST_LINKS
            && let Ok(target) = fs::read_link(&done)
        {
            links += 1;
            done.pop();
            rest.extend(parts(&target)); // "/" begins anew
        }
    }
    done
}

/// Whether frames with this parity can be spread over these stores.
pub(crate) fn can_spread(stores: &[Arc<dyn Store>], parity: Option<Parity>) -> bool {
    check_spread(stores, parity).is_ok()
}

/// Checks that frames can be spread over these stores so that losing one store loses no data.
fn check_spread(stores: &[Arc<dyn Store>], parity: Option<Parity>) -> Result<()> {
    let usage = |what: String| Err(Kind::Usage(what).into());
    let count = stores.len();
    let Some(Parity { data, parity }) = parity else {
        return usage("--spread without --parity, expected --parity K+M".into());
    };
    if count < 2 {
        return usage("--spread over 1 store, expected at least 2".into());
    }
    let name = Name::from(Digest::of(b""));
    if stores.iter().any(|store| store.locate(&name).is_none()) {
        let what = "--spread over an image host, expected stores that name pictures by digest";
        return usage(what.into());
    }
    let share = (data + parity).div_ceil(count);
    if share > parity {
        let needed = data.div_ceil(count - 1);
        return usage(format!(
            "--parity {data}+{parity} over {count} stores: each would hold {share} of a group, \
             expected at most {parity}; {data}+{needed} would do"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_resolved_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = fs::canonicalize(folder.path()).unwrap();
        symlink("gone", at.join("link")).unwrap();
        symlink(at.join("link"), at.join("second")).unwrap();
        symlink("loop", at.join("loop")).unwrap();
        fs::create_dir_all(at.join("there/in")).unwrap();
        symlink("there/in", at.join("deep")).unwrap();
        for (path, expected) in [
            ("gone", "gone"),
            ("link", "gone"),
            ("second/x", "gone/x"),
            ("gone/../gone", "gone"),
            ("deep/..", "there"),
            ("deep/../../link/", "gone"),
            ("loop", "loop"),
        ] {
            assert_eq!(resolved(&at.join(path)), at.join(expected), "{path}");
        }
        assert_eq!(resolved(Path::new("/../x")), Path::new("/x"));
    }
}
