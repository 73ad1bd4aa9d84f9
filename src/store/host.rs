//! An image host, described by a `ShareX` uploader file. The names of pictures are the URLs in the
//! host's answers.

use super::http::{Answer, Ask, Fault, Http};
use super::sxcu::{self, Body, Links, Upload, Uploader};
use super::{Config, Store, fetch_key};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Key, Location, Name};
use crate::wire::MAX_LIMIT;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;
use ureq::http::Method;
use url::{Origin, Url};

/// A host that works without a file of the user.
struct BuiltIn {
    name: &'static str,
    sxcu: &'static str,
    filename: Option<&'static str>,
}

/// The host that storagex 1.0 used.
const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "baidu-shitu",
    sxcu: include_str!("baidu-shitu.sxcu"),
    filename: Some("test.png"),
}];

/// An image host.
///
/// A host names pictures itself, so a picture that is put twice may be there twice, and a picture
/// whose acknowledgement was lost is put again.
pub struct Host {
    http: Http,
    uploader: Uploader,
    /// The name to send all pictures with, if not their own.
    filename: Option<&'static str>,
    config: Config,
    deletions: Option<Mutex<File>>,
    /// The origins of the URLs that it has given.
    given: Mutex<Vec<Origin>>,
}

impl Host {
    /// The host that an uploader file describes.
    pub fn new(path: &Path, config: &Config) -> Result<Self> {
        let json = std::fs::read_to_string(path)
            .map_err(|e| Error::io("cannot read", e).at(path.display()))?;
        let uploader = Uploader::parse(&json).map_err(|e| e.at(path.display()))?;
        Host::with(uploader, None, config)
    }

    /// The built-in host of this name.
    #[must_use]
    pub fn built_in(name: &str, config: &Config) -> Option<Result<Self>> {
        let known = BUILT_IN.iter().find(|known| known.name == name)?;
        let uploader = Uploader::parse(known.sxcu);
        Some(uploader.and_then(|uploader| Host::with(uploader, known.filename, config)))
    }

    pub(super) fn with(
        uploader: Uploader,
        filename: Option<&'static str>,
        config: &Config,
    ) -> Result<Self> {
        let deletions = config.deletions.as_deref().map(open_secret).transpose()?;
        Ok(Host {
            http: Http::new(config)?,
            uploader,
            filename,
            config: config.clone(),
            deletions: deletions.map(Mutex::new),
            given: Mutex::default(),
        })
    }

    /// Sends a picture, and returns its location.
    fn send(&self, digest: &Digest, png: &[u8]) -> Result<Links> {
        let own = format!("{}.png", &digest.to_string()[..16]);
        let filename = self.filename.unwrap_or(&own);
        let upload = Upload {
            filename,
            set: &self.config.set,
            random: &|below| fastrand::usize(..below),
        };
        self.http.retry(|| {
            let request = self.uploader.request(&upload).map_err(Fault::lasting)?;
            let (content_type, body) = body(&request.body, filename, digest, png);
            let mut headers: Vec<(&str, String)> = Vec::new();
            headers.extend(request.headers.iter().map(|(n, v)| (n.as_str(), v.clone())));
            if !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                headers.push(("content-type", content_type));
            }
            let bad = |_| Fault::lasting(Kind::Store("RequestURL that isn't a URL".into()));
            let method = Method::from_bytes(request.method.as_bytes());
            let url = Url::parse(&request.url).map_err(bad)?;
            let ask = Ask {
                method: method.map_err(|_| Fault::lasting(Kind::Store("RequestMethod".into())))?,
                url,
                headers: &headers,
                secret: None,
                body: &body,
            };
            let mut answer = self.http.exchange(&ask)?;
            self.links(&upload, &mut answer)
        })
    }

    /// The location of the picture, from an answer.
    fn links(&self, upload: &Upload, answer: &mut Answer) -> std::result::Result<Links, Fault> {
        let text = match self.uploader.reads_body() || !answer.status.is_success() {
            true => answer.text()?,
            false => String::new(),
        };
        let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        };
        let headers: Vec<(String, String)> = answer.headers.iter().map(header).collect();
        let said = sxcu::Answer {
            status: answer.status.as_u16(),
            url: answer.url.as_str(),
            headers: &headers,
            body: &text,
        };
        if answer.status.is_success() {
            return self.uploader.answer(upload, &said).map_err(Fault::lasting);
        }
        let complaint = self.uploader.complaint(upload, &said);
        Err(answer.refused(&complaint.unwrap_or_default()))
    }

    fn remember(&self, key: &Key, links: &Links) -> Result<()> {
        let (Some(file), Some(url)) = (&self.deletions, &links.deletion) else {
            return Ok(());
        };
        let mut file = file.lock().expect("internal error: a worker panicked");
        let written = file.write_all(format!("{key}\t{url}\n").as_bytes());
        written.map_err(|e| Error::io("cannot write the file of deletions", e))
    }

    fn given(&self) -> MutexGuard<'_, Vec<Origin>> {
        self.given
            .lock()
            .expect("internal error: a worker panicked")
    }

    fn put_one(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let links = self.send(digest, png)?;
        let bad = |e| Error::from(Kind::Host("a URL of the host".into())).because(e);
        let url = Url::parse(&links.url).map_err(bad)?;
        let location = Location::from_url(&url)?;
        let key = Key {
            location: location.clone(),
            digest: *digest,
        };
        self.remember(&key, &links)?;
        let mut given = self.given();
        if !given.contains(&url.origin()) {
            given.push(url.origin());
        }
        drop(given);
        self.http.uploaded(&location, png.len());
        Ok(location)
    }
}

/// Opens a file that only its owner can read, to append to it.
fn open_secret(path: &Path) -> Result<File> {
    let failed = |e| Error::io("cannot write", e).at(path.display());
    loop {
        let mut options = File::options();
        let opened = options.append(true).create(true).mode(0o600).open(path);
        let file = opened.map_err(failed)?;
        // Waits for a prune, which puts another file in its place.
        file.lock_shared().map_err(failed)?;
        let (own, there) = (file.metadata().map_err(failed)?, std::fs::metadata(path));
        if there.is_ok_and(|there| there.ino() == own.ino()) || !own.is_file() {
            return Ok(file);
        }
    }
}

/// Content type and body of an upload.
fn body(body: &Body, filename: &str, digest: &Digest, png: &[u8]) -> (String, Vec<u8>) {
    let Body::Multipart {
        file_field,
        arguments,
    } = body
    else {
        return ("image/png".to_owned(), png.to_vec());
    };
    let boundary = format!("storagex-{}", &digest.to_string()[..32]);
    let quoted = |name: &str| name.replace('"', "%22").replace(['\r', '\n'], " ");
    let mut bytes = Vec::with_capacity(png.len() + 1024);
    for (name, value) in arguments {
        let name = quoted(name);
        let part = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        bytes.extend_from_slice(part.as_bytes());
    }
    let field = quoted(file_field);
    let part = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{filename}\"\r\n\
         Content-Type: image/png\r\n\r\n"
    );
    bytes.extend_from_slice(part.as_bytes());
    bytes.extend_from_slice(png);
    bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), bytes)
}

impl Host {
    /// The headers of the uploader file that are also needed to read from the same origin.
    fn headers_for(&self, url: &Url) -> Vec<(String, String)> {
        let origin = self.uploader.origin(&self.nothing());
        match origin.is_ok_and(|own| own == url.origin()) {
            true => self.uploader.headers_to_read(&self.nothing()),
            false => Vec::new(),
        }
    }

    /// An upload of nothing, which has the same URL and headers as any other.
    fn nothing(&self) -> Upload<'_> {
        Upload {
            filename: "",
            set: &self.config.set,
            random: &|_| 0,
        }
    }
}

impl Store for Host {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.put_one(&name.digest, png)
    }

    fn named(&self, error: Error) -> Error {
        error.at(format_args!("image host '{}'", self.uploader.name()))
    }

    /// As a browser does it: the host answers with a page that says so, or leads to one.
    fn delete(&self, url: &str) -> Result<()> {
        let bad = |_| Error::from(Kind::Host("a URL that deletes, and is none".into()));
        let url = Url::parse(url).map_err(bad)?;
        let own = self.headers_for(&url);
        let headers: Vec<(&str, String)> =
            own.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
        self.http.retry(|| {
            let answer = self.http.exchange(&Ask {
                method: Method::GET,
                url: url.clone(),
                headers: &headers,
                secret: None,
                body: &[],
            })?;
            let fault = answer.refused("");
            match answer.status.is_success() || fault.is_not_found() {
                true => Ok(()),
                false => Err(fault),
            }
        })
    }

    fn id(&self) -> Result<String> {
        let origin = self.uploader.origin(&self.nothing())?;
        Ok(origin.ascii_serialization())
    }

    fn gives(&self, location: &Location) -> bool {
        let origin = location.url().origin();
        let takes = self.uploader.origin(&self.nothing());
        takes.is_ok_and(|takes| takes == origin) || self.given().contains(&origin)
    }

    fn needs_headers(&self, key: &Key) -> bool {
        if self.headers_for(&key.location.url()).is_empty() {
            return false;
        }
        let mut config = self.config.clone();
        config.retry.tries = 1;
        let plain = super::at(&key.location, &config);
        let read = plain.and_then(|plain| fetch_key(key, plain.as_ref(), MAX_LIMIT));
        read.is_err_and(|e| match e.kind() {
            Kind::Refused { status, .. } => (400..429).contains(status),
            Kind::Host(_) => true, // such as redirects to a login
            _ => e.is_loss(),
        })
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.put(name, png)
    }

    fn locate(&self, _name: &Name) -> Option<Location> {
        None
    }

    fn sync(&self) -> Result<()> {
        Ok(()) // an upload that is acknowledged is as durable as the host makes it
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        // With no login except the one in the file: the configured logins may be for other hosts.
        let url = location.url();
        let own = self.headers_for(&url);
        let headers: Vec<(&str, String)> =
            own.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
        let ask = || Ask {
            method: Method::GET,
            url: url.clone(),
            headers: &headers,
            secret: None,
            body: &[],
        };
        let is_recent = self.http.is_recent(location);
        let refused = |answer: &mut Answer| answer.refused("").premature(is_recent);
        self.http.get(ask, refused, read)
    }

    fn made(&self, _location: &Location) -> Result<Option<SystemTime>> {
        Ok(None) // hosts say when they answered, if anything
    }
}
