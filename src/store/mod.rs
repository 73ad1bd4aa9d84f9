//! Stores: places that keep pictures. One trait, one file a store, one `match` that opens them.
//!
//! A new store takes a file beside `dir.rs`, a line in [`open`] and in [`at`], and a line in
//! `tests/stores.rs`, which checks the promises below.

mod aws;
mod comparison;
mod config;
mod difference;
mod dir;
mod fetch;
mod gate;
mod host;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod http;
mod netrc;
mod proof;
mod proxy;
mod prunes;
mod route;
mod s3;
pub mod sxcu;
mod tls;
mod tones;
mod verified;
mod web;

pub use comparison::{Comparison, compare};
pub use config::{Config, RateLimit, Retry, Timeouts};
pub use dir::Dir;
pub(crate) use fetch::{Fetched, fetch, fetch_key};
pub use host::Host;
pub use prunes::{Batch, Prunable, Record, Shelf};
pub(crate) use prunes::{batches, fossil};
pub use s3::S3;
pub use verified::{Verified, Verify};
pub use web::Web;

use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Key, Location, Name};
use percent_encoding::percent_decode_str;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A place that keeps pictures, used by many threads at once.
///
/// What every store promises:
///
/// - When `put` returns, the picture is there whole; before that, it is there whole or not at all,
///   whatever is interrupted. (A plain web server may show a part of it meanwhile: see [`Web`].)
/// - Putting a picture twice, even at the same time, is as good as putting it once.
/// - A missing picture is [`Kind::NotFound`], never an empty body.
///
/// # A store of one's own
///
/// [`own`](field@Config::own) of [`Config`] names it, for putting and for getting. This one keeps pictures in memory:
///
/// ```
/// use std::collections::HashMap;
/// use std::io::{Cursor, Read};
/// use std::sync::{Arc, Mutex};
/// use std::time::SystemTime;
/// use storagex::key::{Location, Name};
/// use storagex::store::{Config, Store};
/// use storagex::{Kind, Result, get, put, store};
///
/// #[derive(Default)]
/// struct Memory(Mutex<HashMap<String, Vec<u8>>>);
///
/// impl Store for Memory {
///     fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
///         self.replace(name, png)
///     }
///
///     fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
///         let location: Location = format!("s3://memory/{name}").parse()?;
///         self.0.lock().unwrap().insert(location.to_string(), png.to_vec());
///         Ok(location)
///     }
///
///     fn locate(&self, name: &Name) -> Option<Location> {
///         format!("s3://memory/{name}").parse().ok()
///     }
///
///     fn sync(&self) -> Result<()> {
///         Ok(())
///     }
///
///     fn get(&self, at: &Location, read: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
///         let png = self.0.lock().unwrap().get(&at.to_string()).cloned();
///         read(&mut Cursor::new(png.ok_or(Kind::NotFound)?))
///     }
///
///     fn made(&self, _: &Location) -> Result<Option<SystemTime>> {
///         Ok(None)
///     }
/// }
///
/// let memory: Arc<dyn Store> = Arc::new(Memory::default());
/// let config = Config { own: vec![("s3://memory".into(), memory)], ..Default::default() };
/// # let mut frames = Vec::new();
/// # storagex::encode(Cursor::new(b"hello"), &mut frames, &Default::default())?;
/// # let expected = frames.clone();
/// # let frames = Cursor::new(frames);
/// let store = store::open("s3://memory".as_ref(), &config)?;
/// let key = put(frames, &[store], &put::Options::default())?.keys;
///
/// let options = get::Options { store: config, ..Default::default() };
/// let mut frames = Vec::new();
/// get(&key, &mut frames, &options)?;
/// # assert_eq!(frames, expected);
/// # Ok::<(), storagex::Error>(())
/// ```
pub trait Store: Send + Sync {
    /// Keeps a picture, a whole PNG, and returns its location. The store uses this name, unless it
    /// names pictures itself.
    ///
    /// A good picture that is already there is not written again.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] and all refusals of the store; then the picture is there whole or not at all.
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location>;

    /// As [`put`](Store::put), but replaces a picture that is already there: it was found to be
    /// damaged.
    ///
    /// # Errors
    ///
    /// As `put`.
    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location>;

    /// The location of a picture of this name, if the store has it. None if the store names its
    /// pictures itself, as image hosts do.
    fn locate(&self, name: &Name) -> Option<Location>;

    /// What a journal calls this store: the location of the folder of its pictures, or the origin of
    /// an image host. Has no spaces.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] where it has no name; those of an uploader file.
    fn id(&self) -> Result<String> {
        let name = Name::from(Digest::of(b""));
        let place = self.locate(&name);
        let store = place.as_ref().and_then(|place| place.store_of(&name));
        let nameless = || Kind::Usage("a journal of a store without a name".into()).into();
        store.map(str::to_owned).ok_or_else(nameless)
    }

    /// Whether a picture that is known to be at `location` can still be there, as far as the store
    /// can tell without a request; if it can, it is durable after [`sync`](Store::sync).
    ///
    /// # Errors
    ///
    /// [`Kind::Io`].
    fn still_has(&self, _location: &Location) -> Result<bool> {
        Ok(true)
    }

    /// Whether this store can have given this location of a picture, as far as it can tell without a
    /// request: an image host by its origin, if it takes uploads there, or has given a URL there since it
    /// was opened.
    fn gives(&self, _location: &Location) -> bool {
        true
    }

    /// Whether the picture with this key can be read only with headers of the uploader file of an
    /// image host. Asks the host once without them, if the file has any.
    fn needs_headers(&self, _key: &Key) -> bool {
        false
    }

    /// Calls the URL that deletes a picture of an image host; one that is gone already is deleted.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] where the store is none, [`Kind::Io`] and whatever the host refuses.
    fn delete(&self, _url: &str) -> Result<()> {
        Err(Kind::Usage("a URL that deletes a picture, expected an image host".into()).into())
    }

    /// What lists, moves and removes its pictures. None where the store can't be pruned.
    fn prunable(&self) -> Option<&dyn Prunable> {
        None
    }

    /// Waits until everything that has been put is durable: it outlives a power cut.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`].
    fn sync(&self) -> Result<()>;

    /// Passes the bytes of the picture at `location` to `read`. They can be anything, of any
    /// length: `read` checks them. If `read` fails and another transfer may fix that, it gets the
    /// bytes anew.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]; [`Kind::Io`] and all refusals of the store; those of `read`.
    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()>;

    /// The same error, with the name of the store if locations don't show it.
    fn named(&self, error: Error) -> Error {
        error
    }

    /// When the picture at `location` was put, if the store knows.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`], [`Kind::Io`].
    fn made(&self, location: &Location) -> Result<Option<SystemTime>>;
}

/// The names of stores, for messages.
const KNOWN: &str =
    "file:DIR, a path with a slash, s3://BUCKET, http:// or https://, host:NAME or FILE.sxcu";

/// Opens the store that a user names: `file:DIR`, a `file://` URL, or a path with a slash;
/// `s3://BUCKET` or `s3://BUCKET/PREFIX`; `http://` or `https://` and a folder, with a slash at its
/// end; a path that ends in `.sxcu`, or `host:NAME` for a file in
/// `$XDG_CONFIG_HOME/storagex/hosts`, or else for a built-in host.
///
/// # Errors
///
/// [`Kind::Store`] for anything else: an unknown scheme is never taken for a path, nor is `~/` for a folder
/// named `~`.
pub fn open(name: &OsStr, config: &Config) -> Result<Arc<dyn Store>> {
    let store = open_plain(name, config)?;
    Ok(Arc::new(Verified::new(store, config.verify)))
}

/// The name that [`open`] takes of the store whose locations begin with this URL.
pub(crate) fn name_of(url: &str) -> String {
    match url.split_once("://") {
        Some(("http" | "https", _)) => format!("{url}/"),
        Some(("s3", path)) => format!("s3://{}", percent_decode_str(path).decode_utf8_lossy()),
        _ => url.to_owned(),
    }
}

fn open_plain(name: &OsStr, config: &Config) -> Result<Arc<dyn Store>> {
    let text = name.to_string_lossy();
    if let Some(own) = config.own(&text) {
        return Ok(own);
    }
    let unknown = |what: String| Err(Kind::Store(format!("{what}, expected {KNOWN}")).into());
    if text
        .strip_prefix("file:")
        .unwrap_or(&text)
        .starts_with("~/")
    {
        let what = format!("store '{text}', expected a path whose ~ the shell has expanded");
        return Err(Kind::Store(what).into());
    }
    match text.split_once(':') {
        Some(("host", name)) => open_host(name, config),
        _ if text.ends_with(".sxcu") => Ok(Arc::new(Host::new(Path::new(name), config)?)),
        Some(("file", path)) if path.starts_with("//") => {
            let bad = |e: Error| Error::from(Kind::Store("store".into())).because(e);
            open_dir(&text.parse::<Location>().map_err(bad)?.path(), config)
        }
        Some(("file", "")) => unknown("store 'file:' without a folder".into()),
        Some(("file", _)) => {
            let path = &name.as_bytes()["file:".len()..];
            open_dir(Path::new(OsStr::from_bytes(path)), config)
        }
        Some(("s3", path)) if path.starts_with("//") => open_s3(&path[2..], config),
        Some(("http" | "https", path)) if path.starts_with("//") => open_web(&text, config),
        Some((scheme, _)) if !scheme.contains(['/', '.']) => {
            unknown(format!("store of unknown scheme '{scheme}:'"))
        }
        _ if text.contains('/') => open_dir(Path::new(name), config),
        _ => unknown(format!("store '{text}'")),
    }
}

/// The store of the picture at `location`, to read from.
///
/// # Errors
///
/// [`Kind::Store`] if it isn't configured.
pub fn at(location: &Location, config: &Config) -> Result<Arc<dyn Store>> {
    if let Some(own) = config.own(&location.to_string()) {
        return Ok(own);
    }
    Ok(match location.scheme() {
        "file" => Arc::new(Dir::reader()),
        "s3" => Arc::new(S3::new(location.bucket(), "", config)?),
        _ => Arc::new(Web::new(location.url(), config)?),
    })
}

/// These settings, where each image host among `names` reads the pictures of its origin: it has the
/// headers of its uploader file.
///
/// # Errors
///
/// Those of [`open`].
pub(crate) fn lent(names: &[OsString], config: &Config) -> Result<Config> {
    let mut lent = config.clone();
    for name in names {
        let store = open(name, config)?;
        if store.locate(&Digest::of(b"").into()).is_none() {
            let origin = store.id().map_err(|e| store.named(e))?;
            lent.own.push((format!("{origin}/"), store));
        }
    }
    Ok(lent)
}

fn open_dir(path: &Path, config: &Config) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Dir::new(path)?.counting(config.progress.clone())))
}

fn open_s3(path: &str, config: &Config) -> Result<Arc<dyn Store>> {
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let prefix = prefix.trim_matches('/');
    let bad = |e: Error| Error::from(Kind::Store("store".into())).because(e);
    Location::from_bucket(bucket, prefix).map_err(bad)?;
    Ok(Arc::new(S3::new(bucket, prefix, config)?))
}

fn open_host(name: &str, config: &Config) -> Result<Arc<dyn Store>> {
    let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
    let folder = config.file("XDG_CONFIG_HOME", ".config");
    let own = folder.map(|folder| folder.join(format!("storagex/hosts/{name}.sxcu")));
    match (own.filter(|_| is_name), Host::built_in(name, config)) {
        (Some(file), None) => Ok(Arc::new(Host::new(&file, config)?)),
        (Some(file), Some(_)) if file.exists() => Ok(Arc::new(Host::new(&file, config)?)),
        (_, Some(known)) => Ok(Arc::new(known?)),
        (None, None) => {
            let what = "expected host:NAME for a file NAME.sxcu in ~/.config/storagex/hosts";
            Err(Kind::Store(format!("store 'host:{name}', {what}")).into())
        }
    }
}

fn open_web(url: &str, config: &Config) -> Result<Arc<dyn Store>> {
    let bad = |e: Error| Error::from(Kind::Store("store".into())).because(e);
    let location: Location = url.parse().map_err(bad)?;
    if !location.to_string().ends_with('/') {
        let what =
            format!("store {location}, expected a folder with a slash at its end: {location}/");
        return Err(Kind::Store(what).into());
    }
    Ok(Arc::new(Web::new(location.url(), config)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_never_a_path() {
        for bad in [
            "",
            "backups",
            "ftp://host/x",
            "s3:bucket/x",
            "file:",
            "FILE:/x",
            "c:x/y",
            "s3://",
            "s3:///x",
            "http://",
            "http://host/x",
            "~/x",
            "file:~/x",
            "~/x.sxcu",
        ] {
            let error = open(bad.as_ref(), &Config::default()).err().expect(bad);
            assert!(matches!(error.kind(), Kind::Store(_)), "{bad}: {error}");
        }
        for good in [
            "file:x",
            "file:///tmp/x",
            "./x:y",
            "a/b:c",
            "/x",
            "x/",
            "./~/x",
        ] {
            assert!(open(good.as_ref(), &Config::default()).is_ok(), "{good}");
        }
        assert!(open("file://host/x".as_ref(), &Config::default()).is_err());
    }
}
