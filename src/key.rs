//! Digests, locations, references and keys: "THE KEY" and "References" in storagex(5).

use crate::error::{Error, Kind, Result, shown};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// The schemes that a location may have.
pub const SCHEMES: &str = "file://, s3://, http:// or https://";

/// The separator of location and digest in a key.
const MARK: &str = "#blake3=";

/// Bytes that need no percent-encoding in the path of a location, besides letters and digits.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// BLAKE3-256 of a frame's frame bytes. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// The digest of these pixel bytes.
    #[must_use]
    pub fn of(pixels: &[u8]) -> Self {
        Digest(blake3::hash(pixels))
    }

    /// The digest that has these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(blake3::Hash::from_bytes(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The name of the picture in a content-addressed store: `ab/abcd….png`.
    #[must_use]
    pub fn name(&self) -> String {
        Name::from(*self).to_string()
    }

    /// Its form in an index: `blake3:` and the digits.
    #[must_use]
    pub fn checksum(&self) -> String {
        format!("blake3:{self}")
    }

    /// Parses the form of [`Digest::checksum`].
    #[must_use]
    pub fn from_checksum(checksum: &str) -> Option<Self> {
        Digest::from_hex(checksum.strip_prefix("blake3:")?)
    }

    fn from_hex(hex: &str) -> Option<Self> {
        let lower = hex
            .bytes()
            .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        let hash = blake3::Hash::from_hex(hex).ok()?;
        lower.then_some(Digest(hash))
    }

    /// Checks that this digest of received bytes is the expected one.
    ///
    /// # Errors
    ///
    /// [`Kind::Digest`].
    pub fn check(&self, expected: &Digest) -> Result<()> {
        match self == expected {
            true => Ok(()),
            false => Err(Error::from(Kind::Digest {
                found: self.to_string(),
                expected: expected.to_string(),
            })),
        }
    }
}

/// The name of a picture in a content-addressed store, below its folder: `ab/abcd….png`, and
/// `ab/abcd….1.png` for its first copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    /// The digest of the frame bytes.
    pub digest: Digest,
    /// 0 for the picture itself, else the number of its copy.
    pub copy: u8,
}

impl From<Digest> for Name {
    fn from(digest: Digest) -> Self {
        Name { digest, copy: 0 }
    }
}

impl Name {
    /// Reads what stands behind the slash in a name.
    #[must_use]
    pub fn from_file(file: &str) -> Option<Self> {
        let stem = file.strip_suffix(".png")?;
        let (hex, copy) = match stem.split_once('.') {
            None => (stem, 0),
            Some((hex, copy)) => (hex, copy.parse().ok()?),
        };
        let name = Name {
            digest: Digest::from_hex(hex)?,
            copy,
        };
        (name.to_string().get(3..) == Some(file)).then_some(name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.digest.0.to_hex();
        match self.copy {
            0 => write!(f, "{}/{hex}.png", &hex[..2]),
            copy => write!(f, "{}/{hex}.{copy}.png", &hex[..2]),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Digest(hash)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The location of a picture: an absolute URL of a known scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// The location of a file.
    ///
    /// # Errors
    ///
    /// [`Kind::Key`] if the path isn't absolute.
    pub fn from_path(path: &Path) -> Result<Self> {
        if !path.is_absolute() {
            return Err(Kind::Key(format!("{}, expected an absolute path", path.display())).into());
        }
        let path = percent_encode(path.as_os_str().as_bytes(), ESCAPED);
        Ok(Location(format!("file://{path}")))
    }

    /// The location of an object in an S3 bucket.
    ///
    /// # Errors
    ///
    /// [`Kind::Key`] if this isn't a valid name of a bucket.
    pub fn from_bucket(bucket: &str, object: &str) -> Result<Self> {
        let object = percent_encode(object.as_bytes(), ESCAPED);
        format!("s3://{bucket}/{object}").parse()
    }

    /// The location with this http or https URL, without its fragment.
    ///
    /// # Errors
    ///
    /// [`Kind::Key`] for another scheme, and for a URL with a user or a password.
    pub fn from_url(url: &Url) -> Result<Self> {
        let mut url = url.clone();
        url.set_fragment(None);
        url.as_str().parse()
    }

    /// The scheme: `file`, `s3`, `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.parts().0
    }

    /// Scheme and host, or bucket: everything before the path.
    #[must_use]
    pub fn scheme_and_host(&self) -> &str {
        let (_, _, path) = self.parts();
        &self.0[..self.0.len() - path.len()]
    }

    /// The path of the file at this location.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let bytes = percent_decode_str(self.parts().2).collect();
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }

    /// The S3 bucket of this location.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.parts().1
    }

    /// The name of the S3 object at this location.
    #[must_use]
    pub fn object(&self) -> String {
        let path = self.parts().2.trim_start_matches('/');
        percent_decode_str(path).decode_utf8_lossy().into_owned()
    }

    /// The location as a URL.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("internal error: a location that is no URL")
    }

    /// Scheme, the part before the path, and the path with its leading slash.
    fn parts(&self) -> (&str, &str, &str) {
        let (scheme, rest) = self.0.split_once("://").expect("internal error: no scheme");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (scheme, authority, path)
    }

    /// Its store: everything except the last two components. None if it has fewer, or a query.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        let (_, _, path) = self.parts();
        let folder = path.rsplitn(3, '/').nth(2)?;
        let store = &self.0[..self.0.len() - path.len() + folder.len()];
        (!path.contains('?')).then_some(store)
    }

    /// The store, as from [`Location::store`], if a picture of this name belongs here in it.
    #[must_use]
    pub fn store_of(&self, name: &Name) -> Option<&str> {
        self.0.strip_suffix(&format!("/{name}"))
    }

    /// The location of a picture of this name in a store from [`Location::store`].
    pub(crate) fn in_store(store: &str, name: &Name) -> Self {
        Location(format!("{store}/{name}"))
    }

    /// What is at `path` below a store that [`Location::store_of`] gave.
    pub(crate) fn below(store: &str, path: &str) -> Self {
        Location(format!("{store}/{path}"))
    }

    /// The reference of an index to the picture here with this name: in a content-addressed store,
    /// the name relative to the index, and otherwise the location itself.
    #[must_use]
    pub fn reference(&self, name: &Name) -> String {
        match self.0.strip_suffix(&name.to_string()) {
            Some(root) if root.ends_with('/') => format!("../{name}"),
            _ => self.0.clone(),
        }
    }

    /// The location of the picture with this name that an index here refers to.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] for anything except this name in a content-addressed store, and, if this is
    /// itself an http or https URL, another such URL.
    pub fn resolve(&self, reference: &str, name: &Name) -> Result<Self> {
        let name = name.to_string();
        let is_web = |text: &str| text.starts_with("http://") || text.starts_with("https://");
        if is_web(&self.0) && is_web(reference) {
            let bad = |e: Error| Error::from(Kind::Index("key of an entry".into())).because(e);
            return reference.parse().map_err(bad);
        }
        if reference.strip_prefix("../") != Some(&name) {
            let shown = shown(reference);
            return Err(Kind::Index(format!("key \"{shown}\", expected \"../{name}\"")).into());
        }
        match self.store() {
            Some(store) => Ok(Location(format!("{store}/{name}"))),
            None => {
                Err(Kind::Index(format!("at {self}, expected it in a folder of a store")).into())
            }
        }
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: &str| Err(Kind::Key(format!("{what}: {}", shown(text))).into());
        // Of files, RFC 8089 has a form without a host, too.
        let full = match text.strip_prefix("file:/") {
            Some(path) if !path.starts_with('/') => format!("file:///{path}"),
            _ => text.to_owned(),
        };
        let text = full.as_str();
        let Some((scheme, rest)) = text.split_once("://") else {
            return bad("no scheme in a location");
        };
        let known = match scheme {
            "file" if !rest.starts_with('/') => Err("a path that isn't absolute"),
            "file" => check_path(rest),
            "s3" => check_object(rest),
            "http" | "https" => return parse_url(text),
            other => return bad(&format!("scheme '{}', expected {SCHEMES}", shown(other))),
        };
        match known {
            Ok(()) => Ok(Location(text.to_owned())),
            Err(what) => bad(what),
        }
    }
}

/// Checks a path with its percent signs.
fn check_path(path: &str) -> std::result::Result<(), &'static str> {
    let is_escape = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit) && d != b"00")
    };
    if !path.split('%').skip(1).all(is_escape) {
        return Err("a percent sign without two hexadecimal digits, or with 00");
    }
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-._~/%".contains(&c);
    match path.bytes().all(is_plain) {
        true => Ok(()),
        false => Err("a path that isn't percent-encoded"),
    }
}

/// Checks a bucket and the name of an object in it.
fn check_object(rest: &str) -> std::result::Result<(), &'static str> {
    let (bucket, object) = rest.split_once('/').ok_or("a bucket without an object")?;
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    if bucket.is_empty() || bucket.starts_with('.') || !bucket.bytes().all(is_plain) {
        return Err("an invalid bucket name");
    }
    check_path(object)
}

/// Reads an http or https URL, and writes it in its normal form.
fn parse_url(text: &str) -> Result<Location> {
    let bad = |what: &str| {
        let shown = match text.contains('@') {
            true => "with what may be a password".to_owned(),
            false => shown(text),
        };
        Error::from(Kind::Key(format!("{what}: {shown}")))
    };
    let url = Url::parse(text).map_err(|e| bad("not a URL").because(e))?;
    if !url.username().is_empty() || url.password().is_some() {
        let what = "a URL with a login, expected SX_HTTP_USER and SX_HTTP_PASSWORD or netrc";
        return Err(Kind::Key(what.into()).into()); // and not the URL, which has a password
    }
    match url.fragment() {
        Some(_) => Err(bad("a URL with a fragment")),
        None => Ok(Location(url.into())),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The location of a picture, and the digest that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its location.
    pub location: Location,
    /// The digest of its frame bytes.
    pub digest: Digest,
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shown = shown(text);
        if !text.contains("://") && !text.starts_with("file:/") {
            let what = format!("'{shown}', expected a key such as file:///...{MARK}...");
            return Err(Kind::Key(what).into());
        }
        let Some((location, digest)) = text.rsplit_once(MARK) else {
            text.parse::<Location>()?;
            return Err(Kind::Key(format!("a key without {MARK}DIGEST: {shown}")).into());
        };
        let location: Location = location.parse()?; // first: its message hides a password
        let Some(digest) = Digest::from_hex(digest) else {
            let expected = format!("{MARK} and 64 hexadecimal digits, lower case");
            return Err(Kind::Key(format!("{shown}, expected {expected}")).into());
        };
        Ok(Key { location, digest })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{MARK}{}", self.location, self.digest)
    }
}

/// The line that the user keeps: one key or several, each of which restores the same stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// The most keys in a line: those of several stores, and of the copies of the index in each.
pub const MOST_KEYS: usize = 16 * (1 + 64);

impl Keys {
    /// A line of these keys; none if there are none.
    #[must_use]
    pub fn new(keys: Vec<Key>) -> Option<Self> {
        (!keys.is_empty()).then_some(Keys(keys))
    }

    /// The key to try first.
    #[must_use]
    pub fn first(&self) -> &Key {
        &self.0[0]
    }

    /// All keys, in order.
    #[must_use]
    pub fn all(&self) -> &[Key] {
        &self.0
    }
}

impl From<Key> for Keys {
    fn from(key: Key) -> Self {
        Keys(vec![key])
    }
}

impl FromStr for Keys {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let keys = text.split(' ').take(MOST_KEYS + 1).map(str::parse);
        let keys: Vec<Key> = keys.collect::<Result<_>>()?;
        if keys.len() > MOST_KEYS {
            let what = format!("a line of over {MOST_KEYS} keys, expected no more");
            return Err(Kind::Key(what).into());
        }
        Ok(Keys(keys))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            write!(f, "{}{key}", if i > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

/// The source of a stream: a line of keys, or a key of storagex 1.0, which proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Keys.
    Key(Keys),
    /// The URL of an index, or a piece, of storagex 1.0.
    V1(Location),
}

impl Source {
    /// The location of its index.
    #[must_use]
    pub fn location(&self) -> &Location {
        match self {
            Source::Key(keys) => &keys.first().location,
            Source::V1(location) => location,
        }
    }
}

impl From<&Key> for Source {
    fn from(key: &Key) -> Self {
        Source::Key(key.clone().into())
    }
}

impl From<&Keys> for Source {
    fn from(keys: &Keys) -> Self {
        Source::Key(keys.clone())
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

impl FromStr for Source {
    type Err = Error;

    /// Takes an http or https URL without a digest for a key of storagex 1.0.
    fn from_str(text: &str) -> Result<Self> {
        let is_web = text.starts_with("http://") || text.starts_with("https://");
        match is_web && !text.contains(MARK) {
            true => text.parse().map(Source::V1),
            false => text.parse().map(Source::Key),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Key(keys) => keys.fmt(f),
            Source::V1(location) => location.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest() -> Digest {
        Digest::of(b"")
    }

    #[test]
    fn any_path_makes_a_key_of_one_plain_line() {
        let path = PathBuf::from(std::ffi::OsString::from_vec(
            b"/a b/#%\n\xff/\xc3\xa9".to_vec(),
        ));
        let location = Location::from_path(&path).unwrap();
        assert_eq!(location.to_string(), "file:///a%20b/%23%25%0A%FF/%C3%A9");
        let key = Key {
            location,
            digest: digest(),
        };
        let back: Key = key.to_string().parse().unwrap();
        assert_eq!((back.location.path(), &back), (path, &key));
    }

    #[test]
    fn refuses_what_is_no_key() {
        let hex = digest().to_string();
        for bad in [
            String::new(),
            "file:///a".into(),
            format!("file:///a#blake3={}", &hex[1..]),
            format!("file:///a#blake3={}", hex.to_uppercase()),
            format!("file://a#blake3={hex}"),
            format!("file:///a%0#blake3={hex}"),
            format!("file:///a%00#blake3={hex}"),
            format!("file:///a b#blake3={hex}"),
            format!("/a#blake3={hex}"),
            format!("ftp://a/b#blake3={hex}"),
            format!("s3://a#blake3={hex}"),
            format!("s3:///b#blake3={hex}"),
            format!("s3://a b/c#blake3={hex}"),
            format!("http://#blake3={hex}"),
            format!("http://user:secret@host/x#blake3={hex}"),
            "http://user:secret@host/x#blake3=abc".into(),
            format!("http://user:secret@host:99999/x#blake3={hex}"),
            "http://user:secret@host:99999/x".into(),
        ] {
            let error = bad.parse::<Key>().unwrap_err();
            assert!(matches!(error.kind(), Kind::Key(_)), "{bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_url_without_a_digest_is_of_storagex_1() {
        let digest = digest();
        let url = "http://e.example.org/x.jpg";
        let old = url.parse::<Source>().unwrap();
        assert_eq!(old, Source::V1(url.parse().unwrap()));
        assert_eq!(old.to_string(), url);
        let key = format!("{url}#blake3={digest}");
        let new = key.parse::<Source>().unwrap();
        assert_eq!(new, Source::Key(key.parse().unwrap()));
        for bad in [
            "http://h/x#blake3=",
            "http://h/x#top",
            "file:///a",
            "s3://b/x",
            "x",
            "http://u:p@h/x",
        ] {
            let error = bad.parse::<Source>().unwrap_err();
            assert!(matches!(error.kind(), Kind::Key(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn a_reference_is_a_name_of_one_form() {
        let digest = digest();
        let name = digest.name();
        let here: Location = format!("file:///store/{name}").parse().unwrap();
        assert_eq!(here.reference(&digest.into()), format!("../{name}"));
        let other: Location = "file:///store/ab/index.png".parse().unwrap();
        assert_eq!(
            other
                .resolve(&format!("../{name}"), &digest.into())
                .unwrap(),
            here
        );
        let in_root: Location = "file:///x.png".parse().unwrap();
        for (from, bad) in [
            (&other, name.clone()),
            (&other, format!("../../{name}")),
            (&other, format!("../{}", Digest::of(b"x").name())),
            (&other, "/etc/passwd".into()),
            (&other, "file:///etc/passwd".into()),
            (&other, "https://example.org/x.png".into()),
            (&other, "s3://bucket/x.png".into()),
            (&in_root, format!("../{name}")),
        ] {
            let error = from.resolve(&bad, &digest.into()).unwrap_err();
            assert!(matches!(error.kind(), Kind::Index(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn locations_of_all_schemes() {
        let digest = digest();
        let name = digest.name();
        for (root, scheme) in [
            ("file:///a/b", "file"),
            ("file://", "file"),
            ("s3://bucket", "s3"),
            ("s3://bucket/pre/fix", "s3"),
            ("http://127.0.0.1:9931", "http"),
            ("https://example.org/~me", "https"),
        ] {
            let text = format!("{root}/{name}");
            let location: Location = text.parse().unwrap();
            assert_eq!((location.scheme(), location.store()), (scheme, Some(root)));
            assert_eq!(location.to_string(), text);
            assert_eq!(location.reference(&digest.into()), format!("../{name}"));
            assert_eq!(
                location
                    .resolve(&format!("../{name}"), &digest.into())
                    .unwrap(),
                location
            );
        }
        let object = Location::from_bucket("b", "a b/\u{e9}").unwrap();
        assert_eq!(object.to_string(), "s3://b/a%20b/%C3%A9");
        assert_eq!(
            (object.bucket(), object.object()),
            ("b", "a b/\u{e9}".to_owned())
        );
    }

    #[test]
    fn an_index_on_the_web_may_name_urls() {
        let index: Location = "https://img.example.org/u/x.png".parse().unwrap();
        let piece = index
            .resolve("https://cdn.example.org/y.png?raw=1", &digest().into())
            .unwrap();
        assert_eq!(piece.to_string(), "https://cdn.example.org/y.png?raw=1");
        assert_eq!(
            piece.reference(&digest().into()),
            "https://cdn.example.org/y.png?raw=1"
        );
        for bad in [
            "file:///etc/passwd",
            "ftp://x/y",
            "s3://b/x",
            "https://",
            "https://u:p@h/x",
        ] {
            assert!(index.resolve(bad, &digest().into()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_but_never_panics(text in "(file://)?.{0,80}(#blake3=.*)?") {
            let _ = text.parse::<Key>();
        }
    }
}
