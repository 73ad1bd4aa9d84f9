//! A bucket of any S3. Objects are named after their digests, `PREFIX/ab/abcd….png`.

use super::http::{Answer, Ask, Fault, Found, Http};
use super::proof::{CHECKSUM, Proof, Sent, not_kept};
use super::prunes::{RECORD, read_text};
use super::{Config, Prunable, Shelf, Store, aws};
use crate::error::{Error, Kind, Result, Service};
use crate::key::{Location, Name};
use rusty_s3::{Bucket, Credentials, S3Action};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::http::Method;
use url::Url;

/// Why a server may refuse everything.
const NOT_SIGNED: &str = "no access key was found, so the request was not signed";
/// How long a signature is valid; every try gets a new one.
const SIGNED_FOR: Duration = Duration::from_secs(900);
/// The header that asks for the checksum of an object.
const MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

/// A bucket, or the names in it that begin with a prefix.
///
/// S3 promises that an object is there whole or not at all. The server checks its MD5, and its
/// CRC-32 if it supports that. After an upload, the object must be there with its length and
/// without a wrong checksum. An object that is already there and passes the same check is not sent
/// again; any other is replaced.
pub struct S3 {
    http: Http,
    bucket: Bucket,
    credentials: Option<Credentials>,
    prefix: String,
    /// Whether the server accepts checksums: until it says that it doesn't.
    checksums: AtomicBool,
    /// [`MODE`] as a header.
    mode: [(&'static str, String); 1],
    proof: Proof,
}

impl S3 {
    /// The store in a bucket, below `prefix`, which is empty or has no slash at either end.
    pub fn new(bucket: &str, prefix: &str, config: &Config) -> Result<Self> {
        let (bucket, credentials) = aws::bucket(bucket, config)?;
        Ok(S3 {
            http: Http::new(config)?.of(Service::S3),
            bucket,
            credentials,
            prefix: prefix.to_owned(),
            checksums: AtomicBool::new(true),
            mode: [(MODE.0, MODE.1.to_owned())],
            proof: Proof::default(),
        })
    }

    /// The name of a picture's object, and its location.
    fn object(&self, name: &Name) -> Result<(String, Location)> {
        let object = match self.prefix.as_str() {
            "" => name.to_string(),
            prefix => format!("{prefix}/{name}"),
        };
        let location = Location::from_bucket(self.bucket.name(), &object)?;
        Ok((object, location))
    }

    /// A request that reads: HEAD, which asks for the checksum too, or GET.
    fn ask(&self, method: Method, name: &str) -> Ask<'_> {
        let credentials = self.credentials.as_ref();
        let (mut head, get);
        let mut headers: &[(&str, String)] = &[];
        let url = if method == Method::HEAD {
            head = self.bucket.head_object(credentials, name);
            if self.checksums.load(Ordering::Relaxed) {
                head.headers_mut().insert(MODE.0, MODE.1);
                headers = self.mode.as_slice();
            }
            head.sign(SIGNED_FOR)
        } else {
            get = self.bucket.get_object(credentials, name);
            get.sign(SIGNED_FOR)
        };
        Ask {
            method,
            url,
            headers,
            secret: None,
            body: &[],
        }
    }

    /// Looks up the object of a picture.
    fn look(&self, name: &str, sent: &Sent, doubt: bool) -> std::result::Result<Found, Fault> {
        let look = |method| self.ask(method, name);
        let found = self.proof.look(&self.http, look, sent, doubt);
        match found.as_ref().map_err(Fault::status) {
            Err(Some(400 | 501)) if self.checksums.swap(false, Ordering::Relaxed) => {
                self.proof.look(&self.http, look, sent, doubt)
            }
            _ => found,
        }
    }

    /// Whether a good object is already there. If a server doesn't tell (403 without the right to
    /// list), the upload will show it.
    fn is_there(&self, name: &str, sent: &Sent) -> std::result::Result<bool, Fault> {
        match self.look(name, sent, false) {
            Err(fault) if fault.is_transient() => Err(fault),
            found => Ok(matches!(found, Ok(Found::Picture))),
        }
    }

    /// Uploads an object, and checks that it is there with its length and checksums.
    fn upload(&self, name: &str, sent: &Sent) -> std::result::Result<(), Fault> {
        let mut action = self.bucket.put_object(self.credentials.as_ref(), name);
        let mut headers = vec![
            ("content-type", "image/png".to_owned()),
            ("content-md5", sent.content_md5()),
        ];
        if self.checksums.load(Ordering::Relaxed) {
            action.headers_mut().insert(CHECKSUM, sent.crc32());
            headers.push((CHECKSUM, sent.crc32()));
        }
        let url = action.sign(SIGNED_FOR);
        let answer = self.send(url, &headers, sent)?;
        if answer.header("etag").is_none() {
            // A captive portal, or a proxy: no S3 server answers like this.
            let status = answer.status;
            let what = format!("HTTP {status} without an ETag, expected that of an object");
            return Err(Fault::transient(Kind::Host(what)));
        }
        let doubt = self.proof.contradicts(sent, &answer);
        match self.http.look_for(|| self.look(name, sent, doubt)) {
            Ok(Found::Picture) => Ok(()),
            Ok(Found::Nothing) => Err(not_kept("nothing", sent)),
            Ok(Found::Other(found)) => Err(not_kept(&found, sent)),
            // The key may write but not read: then the MD5 in the answer to the upload has to
            // suffice.
            Err(fault)
                if fault.status() == Some(403) && sent.has_sums_of(&answer) == Some(true) =>
            {
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    fn send(
        &self,
        url: Url,
        headers: &[(&str, String)],
        sent: &Sent,
    ) -> std::result::Result<Answer, Fault> {
        let mut answer = self.http.exchange(&Ask {
            method: Method::PUT,
            url,
            headers,
            secret: None,
            body: sent.png,
        })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let (fault, said) = refused(&mut answer)?;
        let code = said.split(':').next().unwrap_or_default();
        let damaged = matches!(
            code,
            "BadDigest" | "IncompleteBody" | "XAmzContentChecksumMismatch"
        );
        let unknown = matches!(answer.status.as_u16(), 400 | 501) && said.contains("checksum");
        let again = damaged || unknown && self.checksums.swap(false, Ordering::Relaxed);
        if again {
            let status = answer.status.as_u16();
            return Err(Fault::transient(refusal(status, said)));
        }
        match fault.is_not_found() {
            true => Err(answer.refused_upload(&said)),
            false => Err(fault),
        }
    }

    /// Sends a picture, unless `is_there` says that it is there.
    fn store(
        &self,
        name: &Name,
        png: &[u8],
        is_there: impl Fn(&str, &Sent) -> std::result::Result<bool, Fault>,
    ) -> Result<Location> {
        let (object, location) = self.object(name)?;
        let sent = Sent::new(png);
        let done = self.http.retry(|| {
            if is_there(&object, &sent)? {
                self.http.found();
                return Ok(());
            }
            self.upload(&object, &sent)?;
            self.http.uploaded(&location, png.len());
            Ok(())
        });
        done.map_err(|e| self.explained(e).at(&location))?;
        Ok(location)
    }

    /// A refusal says if the request wasn't signed.
    fn explained(&self, error: Error) -> Error {
        let is_refused = matches!(
            error.kind(),
            Kind::Refused {
                by: Service::S3,
                status: 400 | 401 | 403,
                ..
            }
        );
        match is_refused && self.credentials.is_none() {
            true => error.because(NOT_SIGNED),
            false => error,
        }
    }
}

impl Store for S3 {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store(name, png, |object, sent| self.is_there(object, sent))
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store(name, png, |_, _| Ok(false))
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.object(name).ok().map(|(_, location)| location)
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        Some(self)
    }

    fn sync(&self) -> Result<()> {
        Ok(()) // an upload that is acknowledged is durable
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let name = location.object();
        let ask = || self.ask(Method::GET, &name);
        let refused = |answer: &mut Answer| match refused(answer) {
            Ok((fault, _)) | Err(fault) => fault.premature(self.http.is_recent(location)),
        };
        let got = self.http.get(ask, refused, read);
        got.map_err(|e| self.explained(e))
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        let name = location.object();
        self.http.retry(
            || match self.http.exchange(&self.ask(Method::HEAD, &name))? {
                answer if answer.status.is_success() => Ok(answer.changed()),
                answer => Err(answer.refused("")),
            },
        )
    }
}

impl S3 {
    /// The object at `path` below the prefix.
    fn below(&self, path: &str) -> String {
        match self.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        }
    }

    /// An error that concerns the whole store: a login that is wrong, or a server that is out of reach.
    fn of_all(&self, error: Error) -> Error {
        let error = self.explained(error);
        match self.location(&self.prefix) {
            Ok(store) => error.at(store),
            Err(_) => error,
        }
    }

    fn on(&self, shelf: Shelf, name: &Name) -> String {
        self.below(&format!("{}{name}", shelf.prefix()))
    }

    /// A request that changes something, and its answer if that is good.
    fn change(
        &self,
        method: Method,
        url: Url,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> std::result::Result<(), Fault> {
        let mut answer = self.http.exchange(&Ask {
            method,
            url,
            headers,
            secret: None,
            body,
        })?;
        if !answer.status.is_success() {
            return Err(refused(&mut answer)?.0);
        }
        // A copy that fails after it has begun is an error with status 200.
        let text = answer.text()?;
        match text.contains("<Error>") {
            true => Err(Fault::transient(refusal(200, parse_error(&text).0))),
            false => Ok(()),
        }
    }

    fn delete(&self, object: &str) -> std::result::Result<(), Fault> {
        let action = self.bucket.delete_object(self.credentials.as_ref(), object);
        match self.change(Method::DELETE, action.sign(SIGNED_FOR), &[], &[]) {
            Err(fault) if fault.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// A page of the objects that begin with `prefix`: `ListObjectsV2`, which is GET of the bucket.
    fn page(&self, prefix: &str, from: Option<&str>) -> std::result::Result<Page, Fault> {
        let mut action = self.bucket.get_object(self.credentials.as_ref(), "");
        let query = action.query_mut();
        query.insert("list-type", "2");
        query.insert("prefix", prefix);
        if let Some(from) = from {
            query.insert("continuation-token", from);
        }
        let mut answer = self.http.exchange(&Ask {
            method: Method::GET,
            url: action.sign(SIGNED_FOR),
            headers: &[],
            secret: None,
            body: &[],
        })?;
        if !answer.status.is_success() {
            return Err(refused(&mut answer)?.0);
        }
        Page::parse(&answer.list()?).map_err(Fault::lasting)
    }

    fn location(&self, object: &str) -> Result<Location> {
        Location::from_bucket(self.bucket.name(), object)
    }
}

/// A page of a list of objects.
struct Page {
    /// Their names and lengths.
    objects: Vec<(String, u64)>,
    /// What to ask for the next page with, if there is one.
    next: Option<String>,
}

impl Page {
    fn parse(xml: &str) -> Result<Self> {
        let bad = |why: String| {
            let what = Kind::Host("a list of objects that can't be read".into());
            Error::from(what).because(why)
        };
        let document = roxmltree::Document::parse(xml).map_err(|e| bad(e.to_string()))?;
        let root = document.root_element();
        let text = |node: roxmltree::Node, name: &str| {
            let found = node
                .children()
                .find(|child| child.tag_name().name() == name);
            found.and_then(|found| found.text()).map(str::to_owned)
        };
        if root.tag_name().name() != "ListBucketResult" {
            return Err(bad(format!("<{}>", root.tag_name().name())));
        }
        let objects = root.children();
        let objects = objects.filter(|node| node.tag_name().name() == "Contents");
        let object = |node| {
            let size = text(node, "Size").and_then(|size| size.trim().parse().ok());
            Some((text(node, "Key")?, size.unwrap_or_default()))
        };
        let objects = objects.filter_map(object).collect();
        let is_cut = text(root, "IsTruncated").is_some_and(|cut| cut.trim() == "true");
        let next = text(root, "NextContinuationToken").filter(|_| is_cut);
        match is_cut && next.is_none() {
            true => Err(bad("cut short, and nothing to ask for the rest with".into())),
            false => Ok(Page { objects, next }),
        }
    }
}

impl Prunable for S3 {
    fn record(&self) -> Result<Option<String>> {
        let place = self.location(&self.below(RECORD))?;
        let mut text = String::new();
        let read = self.get(&place, &mut |from| {
            text = read_text(from)?;
            Ok(())
        });
        match read.as_ref().map_err(Error::kind) {
            Ok(()) => Ok(Some(text)),
            // Who may not list is told so of what isn't there.
            Err(Kind::NotFound | Kind::Refused { status: 403, .. }) => Ok(None),
            Err(_) => read.map(|()| None).map_err(|e| self.of_all(e)),
        }
    }

    fn set_record(&self, text: &str) -> Result<()> {
        let object = self.below(RECORD);
        let put = || {
            let action = self.bucket.put_object(self.credentials.as_ref(), &object);
            let headers = [("content-type", "text/plain".to_owned())];
            self.change(
                Method::PUT,
                action.sign(SIGNED_FOR),
                &headers,
                text.as_bytes(),
            )
        };
        self.http.retry(put).map_err(|e| self.of_all(e))
    }

    fn list(
        &self,
        shelf: Shelf,
        first: u8,
        each: &mut dyn FnMut(Name, u64) -> Result<()>,
    ) -> Result<()> {
        let prefix = self.below(&format!("{}{first:02x}/", shelf.prefix()));
        let mut from: Option<String> = None;
        loop {
            let page = self.http.retry(|| self.page(&prefix, from.as_deref()));
            let page = page.map_err(|e| self.explained(e).at(&prefix))?;
            for (key, bytes) in page.objects {
                let file = key.strip_prefix(&prefix).unwrap_or_default();
                let name = Name::from_file(file).filter(|name| name.digest.bytes()[0] == first);
                if let Some(name) = name {
                    each(name, bytes)?;
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// A copy, and then the original is removed: S3 knows no other move.
    fn relocate(&self, name: &Name, from: Shelf, to: Shelf) -> Result<()> {
        let (from, to) = (self.on(from, name), self.on(to, name));
        let place = self.location(&from)?;
        let source = format!("/{}", place.to_string().trim_start_matches("s3://"));
        let copy = || {
            let mut action = self.bucket.put_object(self.credentials.as_ref(), &to);
            action
                .headers_mut()
                .insert("x-amz-copy-source", source.as_str());
            let headers = [("x-amz-copy-source", source.clone())];
            self.change(Method::PUT, action.sign(SIGNED_FOR), &headers, &[])?;
            let copied = self.http.exchange(&self.ask(Method::HEAD, &to))?;
            match copied.status.is_success() {
                true => self.delete(&from),
                false => Err(copied.refused("")),
            }
        };
        self.http.retry(copy).map_err(|e| match e.kind() {
            Kind::NotFound => e,
            _ => e.at(&place),
        })
    }

    fn remove(&self, name: &Name, from: Shelf) -> Result<()> {
        let object = self.on(from, name);
        self.http
            .retry(|| self.delete(&object))
            .map_err(|e| e.at(&object))
    }
}

/// The code and message of an S3 error, for example `SlowDown: Reduce your rate`. A missing bucket
/// is not a missing object.
fn refused(answer: &mut Answer) -> std::result::Result<(Fault, String), Fault> {
    let text = answer.text()?;
    let (code, message) = parse_error(&text);
    let said = match (code.as_str(), message.as_str()) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let status = answer.status.as_u16();
    let fault = match status {
        404 if !matches!(code.as_str(), "" | "NoSuchKey") => {
            Fault::lasting(refusal(status, said.clone()))
        }
        _ => answer.refused(&said),
    };
    Ok((fault, said))
}

fn refusal(status: u16, said: String) -> Kind {
    let by = Service::S3;
    Kind::Refused { by, status, said }
}

fn parse_error(xml: &str) -> (String, String) {
    let Ok(document) = roxmltree::Document::parse(xml) else {
        return Default::default();
    };
    let text = |name| {
        let mut nodes = document
            .descendants()
            .filter(|node| node.tag_name().name() == name);
        nodes
            .next()
            .and_then(|node| node.text())
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    (text("Code"), text("Message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_s3() {
        let xml = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>It isn't there.</Message></Error>";
        assert_eq!(
            parse_error(xml),
            ("NoSuchBucket".into(), "It isn't there.".into())
        );
        assert_eq!(parse_error("oops"), (String::new(), String::new()));
    }
}
