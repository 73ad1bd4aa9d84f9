//! The stores that keys name, each of which can be pruned with those that it has to keep.

use super::prune::{self, Options};
use crate::error::Result;
use crate::key::{Key, Keys};
use crate::store::{self, Store};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A store that names pictures after their digests, and that a key names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name, as [`open`](crate::store::open) takes it: a path, or a URL. Of several spellings, the one
    /// that came first.
    pub name: OsString,
    id: Id,
}

/// What two spellings of one store have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Id {
    /// The canonical path of a folder.
    Folder(PathBuf),
    /// Another store, by the text that its locations begin with.
    Other(String),
}

/// The stores that these lines name, each once, in the order in which they come up. Keys of image hosts
/// are passed over.
#[must_use]
pub fn places<'a>(lines: impl IntoIterator<Item = &'a Keys>) -> Vec<Place> {
    let mut ids = Ids::default();
    let mut places: Vec<Place> = Vec::new();
    for key in lines.into_iter().flat_map(Keys::all) {
        let Some(id) = ids.of(key) else { continue };
        if places.iter().all(|place| place.id != id) {
            let name = name(key);
            places.push(Place { name, id });
        }
    }
    places
}

impl Place {
    /// Those of the lines to keep that this store has to keep: lines that name it, and lines that name
    /// another store but whose root is here, because the store was moved or copied.
    ///
    /// # Errors
    ///
    /// That of a root about which the store can't say whether it is there, with its key as the place.
    pub fn kept(
        &self,
        store: &Arc<dyn Store>,
        keys: &[Keys],
        options: &Options,
    ) -> Result<Vec<Keys>> {
        let mut ids = Ids::default();
        let mut has_root = prune::finder(store, options)?;
        let mut kept = Vec::new();
        for keys in keys {
            let own: Vec<Key> = keys
                .all()
                .iter()
                .filter(|key| ids.of(key).is_some())
                .cloned()
                .collect();
            let is_here = own.iter().any(|key| ids.of(key).as_ref() == Some(&self.id));
            // A store is asked for the roots that other stores have, not for those of image hosts.
            let is_here = is_here
                || match Keys::new(own) {
                    Some(own) => has_root(&own)?,
                    None => false,
                };
            if is_here {
                kept.push(keys.clone());
            }
        }
        Ok(kept)
    }
}

/// Asks the file system once for each folder.
#[derive(Default)]
struct Ids(HashMap<PathBuf, Id>);

impl Ids {
    /// The store of a key; none if this is an image host.
    fn of(&mut self, key: &Key) -> Option<Id> {
        let location = &key.location;
        let store = location.store_of(&key.digest.into());
        match location.scheme() {
            "http" | "https" => store.map(|store| Id::Other(store.to_owned())),
            "file" => {
                let folder = folder(&location.path());
                let id = self.0.entry(folder).or_insert_with_key(|folder| {
                    let plain = || folder.components().collect(); // it is gone
                    Id::Folder(fs::canonicalize(folder).unwrap_or_else(|_| plain()))
                });
                Some(id.clone())
            }
            _ => store
                .or(location.store())
                .map(|store| Id::Other(store.to_owned())),
        }
    }
}

/// The folder of a store, from the path of a picture.
fn folder(picture: &Path) -> PathBuf {
    let folder = picture.ancestors().nth(2);
    folder.unwrap_or(Path::new("/")).to_owned()
}

/// How to name the store of this key.
fn name(key: &Key) -> OsString {
    let location = &key.location;
    match location.scheme() {
        "file" => {
            let mut name = folder(&location.path()).into_os_string();
            if name.as_encoded_bytes().ends_with(b".sxcu") {
                name.push("/"); // not the file of an image host
            }
            name
        }
        _ => store::name_of(location.store().unwrap_or_default()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;

    fn key(store: &str) -> Keys {
        let digest = Digest::of(store.as_bytes());
        let line = format!("{store}/{}#blake3={digest}", digest.name());
        line.parse().unwrap()
    }

    fn names(lines: &[Keys]) -> Vec<String> {
        let places = places(lines).into_iter();
        places
            .map(|place| place.name.into_string().unwrap())
            .collect()
    }

    #[test]
    fn names_that_open_the_store() {
        let digest = Digest::of(b"");
        let host: Keys = format!("https://h.example/x7Qk.png#blake3={digest}")
            .parse()
            .unwrap();
        let lines = [
            key("file:///a%20b/c"),
            key("s3://bucket"),
            host,
            key("s3://bucket/two%20words/x"),
            key("https://h.example/u"),
            key("file://"),
            key("file:///x.sxcu"),
            key("s3://bucket"),
        ];
        let expected = [
            "/a b/c",
            "s3://bucket",
            "s3://bucket/two words/x",
            "https://h.example/u/",
            "/",
            "/x.sxcu/",
        ];
        assert_eq!(names(&lines), expected);
        for name in expected {
            let store =
                crate::store::open(name.as_ref(), &crate::store::Config::default()).unwrap();
            let place = store.locate(&digest.into()).unwrap();
            let back = key(place.store_of(&digest.into()).unwrap());
            assert_eq!(names(&[back]), [name]);
        }
    }

    #[test]
    fn two_spellings_are_one_store() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        let lines = ["a", "link", "/a", "link/../a", "a/b"];
        let lines = lines.map(|name| key(&format!("file://{at}/{name}")));
        assert_eq!(names(&lines), [format!("{at}/a"), format!("{at}/a/b")]);
        // One that is gone, too.
        let lines = ["gone", "/gone", "./gone"].map(|name| key(&format!("file://{at}/{name}")));
        assert_eq!(names(&lines), [format!("{at}/gone")]);
    }
}
