//! Stores: places that keep pictures. One trait, one file a store, one `match` that opens them.
//!
//! A new store takes a file beside `dir.rs`, a line in [`open`] and in [`at`], and a line in
//! `tests/stores.rs`, which checks the promises below.

mod aws;
mod comparison;
mod config;
mod dir;
mod host;
mod http;
mod netrc;
mod route;
mod s3;
pub mod sxcu;
mod web;

pub use comparison::{Comparison, compare};
pub use config::{Config, RateLimit, Retry, Timeouts};
pub use dir::Dir;
pub use host::{Host, Verify};
pub use s3::S3;
pub use web::Web;

use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A place that keeps pictures, used by many threads at once.
///
/// What every store promises:
///
/// - When `put` returns, the picture is there whole; before, it is there whole or not at all, whatever
///   is interrupted. (A plain web server may show a part of it meanwhile: see [`Web`].)
/// - Putting one twice, even at once, is as good as putting it once.
/// - What is missing is [`Kind::NotFound`], never an empty body.
pub trait Store: Send + Sync {
    /// Keeps a picture, which is a whole PNG whose pixels have this digest; gives where it is.
    ///
    /// One that is there already is not written again, if it is good.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] and whatever the store refuses; then it isn't there, or it is there whole.
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location>;

    /// Waits until everything that has been put is durable: it outlives a power cut.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`].
    fn sync(&self) -> Result<()>;

    /// Gives `read` the bytes of the picture at `location`. Nothing is known about what comes, nor
    /// how much: `read` checks it. Where it fails, and another transfer may mend that, it is given
    /// the bytes anew.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`]; [`Kind::Io`] and whatever the store refuses; those of `read`.
    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()>;

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
/// `s3://BUCKET` or `s3://BUCKET/PREFIX`; `http://` or `https://` and a folder, with its slash;
/// a path that ends in `.sxcu`, or `host:NAME` for one in `$XDG_CONFIG_HOME/storagex/hosts`, or else
/// for one that is built in.
///
/// # Errors
///
/// [`Kind::Store`] for anything else: an unknown scheme is never taken for a path.
pub fn open(name: &OsStr, config: &Config) -> Result<Arc<dyn Store>> {
    let text = name.to_string_lossy();
    let unknown = |what: String| Err(Kind::Store(format!("{what}, expected {KNOWN}")).into());
    match text.split_once(':') {
        Some(("host", name)) => open_host(name, config),
        _ if text.ends_with(".sxcu") => Ok(Arc::new(Host::new(Path::new(name), config)?)),
        Some(("file", path)) if path.starts_with("//") => {
            let bad = |e: Error| Error::from(Kind::Store("store".into())).because(e);
            open_dir(&text.parse::<Location>().map_err(bad)?.path())
        }
        Some(("file", "")) => unknown("store 'file:' without a folder".into()),
        Some(("file", _)) => {
            let path = &name.as_bytes()["file:".len()..];
            open_dir(Path::new(OsStr::from_bytes(path)))
        }
        Some(("s3", path)) if path.starts_with("//") => open_s3(&path[2..], config),
        Some(("http" | "https", path)) if path.starts_with("//") => open_web(&text, config),
        Some((scheme, _)) if !scheme.contains(['/', '.']) => {
            unknown(format!("store of unknown scheme '{scheme}:'"))
        }
        _ if text.contains('/') => open_dir(Path::new(name)),
        _ => unknown(format!("store '{text}'")),
    }
}

/// The store that keeps what is at `location`, to read from.
///
/// # Errors
///
/// [`Kind::Store`] where it isn't configured.
pub fn at(location: &Location, config: &Config) -> Result<Arc<dyn Store>> {
    Ok(match location.scheme() {
        "file" => Arc::new(Dir::reader()),
        "s3" => Arc::new(S3::new(location.bucket(), "", config)?),
        _ => Arc::new(Web::new(location.url(), config)?),
    })
}

fn open_dir(path: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(Dir::new(path)?))
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
        let what = format!("store {location}, expected a folder with its slash: {location}/");
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
        ] {
            let error = open(bad.as_ref(), &Config::default()).err().expect(bad);
            assert!(matches!(error.kind(), Kind::Store(_)), "{bad}: {error}");
        }
        for good in ["file:x", "file:///tmp/x", "./x:y", "a/b:c", "/x", "x/"] {
            assert!(open(good.as_ref(), &Config::default()).is_ok(), "{good}");
        }
        assert!(open("file://host/x".as_ref(), &Config::default()).is_err());
    }
}
