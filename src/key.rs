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

/// What stands between location and digest in a key.
const MARK: &str = "#blake3=";

/// Bytes that a path in a location has as they are, besides letters and digits.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// BLAKE3-256 of a frame's pixel bytes. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// The digest of these pixel bytes.
    #[must_use]
    pub fn of(pixels: &[u8]) -> Self {
        Digest(blake3::hash(pixels))
    }

    /// The name of the picture in a content-addressed store: `ab/abcd….png`.
    #[must_use]
    pub fn name(&self) -> String {
        let hex = self.0.to_hex();
        format!("{}/{hex}.png", &hex[..2])
    }

    /// As an index has it: `blake3:` and the digits.
    #[must_use]
    pub fn checksum(&self) -> String {
        format!("blake3:{self}")
    }

    /// Reads what [`Digest::checksum`] gives.
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

    /// Checks that this, the digest of what came, is the one that was asked for.
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

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a picture is: an absolute URL of a scheme that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// The location of a file.
    ///
    /// # Errors
    ///
    /// [`Kind::Key`] where the path isn't absolute.
    pub fn from_path(path: &Path) -> Result<Self> {
        if !path.is_absolute() {
            return Err(Kind::Key(format!("{}, expected an absolute path", path.display())).into());
        }
        let path = percent_encode(path.as_os_str().as_bytes(), ESCAPED);
        Ok(Location(format!("file://{path}")))
    }

    /// The location of an object in a bucket of S3.
    ///
    /// # Errors
    ///
    /// [`Kind::Key`] where no bucket can have this name.
    pub fn from_bucket(bucket: &str, object: &str) -> Result<Self> {
        let object = percent_encode(object.as_bytes(), ESCAPED);
        format!("s3://{bucket}/{object}").parse()
    }

    /// The location of what is at an http or https URL; its fragment is dropped.
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

    /// The path of the file that this is the location of.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let bytes = percent_decode_str(self.parts().2).collect();
        PathBuf::from(std::ffi::OsString::from_vec(bytes))
    }

    /// The bucket of S3 that this is in.
    #[must_use]
    pub fn bucket(&self) -> &str {
        self.parts().1
    }

    /// The name of the object of S3 that this is the location of.
    #[must_use]
    pub fn object(&self) -> String {
        let path = self.parts().2.trim_start_matches('/');
        percent_decode_str(path).decode_utf8_lossy().into_owned()
    }

    /// The URL that this is.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("internal error: a location that is no URL")
    }

    /// Scheme, what stands before the path, and the path with the slash that it starts with.
    fn parts(&self) -> (&str, &str, &str) {
        let (scheme, rest) = self.0.split_once("://").expect("internal error: no scheme");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        (scheme, authority, path)
    }

    /// The store that it is in: all but the last two components. None where it has fewer, or a query.
    #[must_use]
    pub fn store(&self) -> Option<&str> {
        let (_, _, path) = self.parts();
        let folder = path.rsplitn(3, '/').nth(2)?;
        let store = &self.0[..self.0.len() - path.len() + folder.len()];
        (!path.contains('?')).then_some(store)
    }

    /// What an index says of the picture here that has this digest: its name relative to the index
    /// where the store is content-addressed, else the location itself.
    #[must_use]
    pub fn reference(&self, digest: &Digest) -> String {
        let name = digest.name();
        match self.0.strip_suffix(&name) {
            Some(root) if root.ends_with('/') => format!("../{name}"),
            _ => self.0.clone(),
        }
    }

    /// Where the picture is that an index here refers to and that has this digest.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] for anything but the name that the digest has in a content-addressed store,
    /// and, if this is an http or https URL itself, another one.
    pub fn resolve(&self, reference: &str, digest: &Digest) -> Result<Self> {
        let name = digest.name();
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
        return Err("a bucket that can't be");
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
    let url = Url::parse(text).map_err(|e| bad("no URL").because(e))?;
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

/// Where a picture is, and the digest that proves it: the one line that the user keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it is.
    pub location: Location,
    /// The digest of its pixels.
    pub digest: Digest,
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let shown = shown(text);
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

/// What leads to a stream: a key, or what storagex 1.0 gave as one, which proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A key.
    Key(Key),
    /// The URL of an index, or a piece, of storagex 1.0.
    V1(Location),
}

impl Source {
    /// Where its index is.
    #[must_use]
    pub fn location(&self) -> &Location {
        match self {
            Source::Key(key) => &key.location,
            Source::V1(location) => location,
        }
    }
}

impl From<&Key> for Source {
    fn from(key: &Key) -> Self {
        Source::Key(key.clone())
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Self {
        source.clone()
    }
}

impl FromStr for Source {
    type Err = Error;

    /// Takes an http or https URL without a digest for one of storagex 1.0.
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
            Source::Key(key) => key.fmt(f),
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
        assert_eq!(here.reference(&digest), format!("../{name}"));
        let other: Location = "file:///store/ab/index.png".parse().unwrap();
        assert_eq!(other.resolve(&format!("../{name}"), &digest).unwrap(), here);
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
            let error = from.resolve(&bad, &digest).unwrap_err();
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
            assert_eq!(location.reference(&digest), format!("../{name}"));
            assert_eq!(
                location.resolve(&format!("../{name}"), &digest).unwrap(),
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
            .resolve("https://cdn.example.org/y.png?raw=1", &digest())
            .unwrap();
        assert_eq!(piece.to_string(), "https://cdn.example.org/y.png?raw=1");
        assert_eq!(
            piece.reference(&digest()),
            "https://cdn.example.org/y.png?raw=1"
        );
        for bad in [
            "file:///etc/passwd",
            "ftp://x/y",
            "s3://b/x",
            "https://",
            "https://u:p@h/x",
        ] {
            assert!(index.resolve(bad, &digest()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_but_never_panics(text in "(file://)?.{0,80}(#blake3=.*)?") {
            let _ = text.parse::<Key>();
        }
    }
}
