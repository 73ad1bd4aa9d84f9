//! An image host, described by a `ShareX` uploader file. The pictures' names are the URLs that the
//! host answers with.

use super::http::{Answer, Ask, Fault, Http};
use super::sxcu::{self, Body, Links, Upload, Uploader};
use super::{Comparison, Config, Store, compare};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Key, Location};
use crate::wire::pictures;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;
use ureq::http::Method;
use url::Url;

/// Which pictures are read back after they have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// Each.
    All,
    /// The first of a run, before the second is sent, and each that is larger than those before: a
    /// host that shrinks or re-encodes is found out at once.
    #[default]
    First,
    /// None.
    None,
}

/// A host that is known without a file of the user's.
struct BuiltIn {
    name: &'static str,
    sxcu: &'static str,
    filename: Option<&'static str>,
}

/// What storagex 1.0 used.
const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "baidu-shitu",
    sxcu: include_str!("baidu-shitu.sxcu"),
    filename: Some("test.png"),
}];

/// A host of pictures.
///
/// A host gives every picture a name of its own, so one that is put twice may be there twice, and one
/// whose acknowledgement was lost is put again.
pub struct Host {
    http: Http,
    uploader: Uploader,
    /// The name that all pictures are sent with, if not one of their own.
    filename: Option<&'static str>,
    config: Config,
    /// What has come back as it was in this run, or the error of what hasn't.
    proved: Mutex<Result<Proved>>,
    deletions: Option<Mutex<File>>,
}

impl Host {
    /// The host that an uploader file describes.
    pub fn new(path: &Path, config: &Config) -> Result<Self> {
        let json = std::fs::read_to_string(path)
            .map_err(|e| Error::io("cannot read", e).at(path.display()))?;
        let uploader = Uploader::parse(&json).map_err(|e| e.at(path.display()))?;
        Host::with(uploader, None, config)
    }

    /// The host that is known by this name without a file.
    #[must_use]
    pub fn built_in(name: &str, config: &Config) -> Option<Result<Self>> {
        let known = BUILT_IN.iter().find(|known| known.name == name)?;
        let uploader = Uploader::parse(known.sxcu);
        Some(uploader.and_then(|uploader| Host::with(uploader, known.filename, config)))
    }

    fn with(uploader: Uploader, filename: Option<&'static str>, config: &Config) -> Result<Self> {
        let deletions = config.deletions.as_deref().map(open_secret).transpose()?;
        Ok(Host {
            http: Http::new(config)?,
            uploader,
            filename,
            config: config.clone(),
            proved: Mutex::new(Ok(Proved::default())),
            deletions: deletions.map(Mutex::new),
        })
    }

    /// Sends a picture; gives where it is.
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
            let bad = |_| Fault::lasting(Kind::Store("RequestURL that is no URL".into()));
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

    /// What an answer says of where the picture is.
    fn links(&self, upload: &Upload, answer: &mut Answer) -> std::result::Result<Links, Fault> {
        let text = answer.text()?;
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

    /// Checks that what comes back has the pixels of what was sent.
    fn prove(&self, location: &Location, digest: &Digest, sent: &[u8]) -> Result<()> {
        match compare(self, location, digest, sent)? {
            Comparison::SameBytes | Comparison::SamePixels => Ok(()),
            Comparison::Changed(what) => Err(Kind::Host(what).into()),
        }
    }

    fn remember(&self, key: &Key, links: &Links) -> Result<()> {
        let (Some(file), Some(url)) = (&self.deletions, &links.deletion) else {
            return Ok(());
        };
        let mut file = file.lock().expect("internal error: a worker panicked");
        let written = file.write_all(format!("{key}\t{url}\n").as_bytes());
        written.map_err(|e| Error::io("cannot write the file of deletions", e))
    }

    fn put_one(&self, digest: &Digest, png: &[u8], prove: bool) -> Result<Location> {
        let links = self.send(digest, png)?;
        let bad = |e| Error::from(Kind::Host("a URL of the host".into())).because(e);
        let url = Url::parse(&links.url).map_err(bad)?;
        let location = Location::from_url(&url)?;
        let key = Key {
            location: location.clone(),
            digest: *digest,
        };
        self.remember(&key, &links)?;
        if prove {
            self.prove(&location, digest, png)
                .map_err(|e| e.at(&location))?;
        }
        Ok(location)
    }
}

/// The largest that has come back.
#[derive(Default)]
struct Proved {
    width: u32,
    height: u32,
    bytes: usize,
}

impl Proved {
    fn covers(&self, png: &[u8]) -> bool {
        let size = pictures::size(png);
        size.width <= self.width && size.height <= self.height && png.len() <= self.bytes
    }

    fn add(&mut self, png: &[u8]) {
        let size = pictures::size(png);
        self.width = self.width.max(size.width);
        self.height = self.height.max(size.height);
        self.bytes = self.bytes.max(png.len());
    }
}

/// A file that only its owner reads, to write at its end.
fn open_secret(path: &Path) -> Result<File> {
    let mut options = File::options();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map_err(|e| Error::io("cannot write", e).at(path.display()))
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
    /// Puts a picture, and proves it if it is larger than what has been proved. That lock is held
    /// meanwhile, so that no other is sent before.
    fn put_proved(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let mut proved = self
            .proved
            .lock()
            .expect("internal error: a worker panicked");
        match &mut *proved {
            Err(e) => Err(e.again()),
            Ok(so_far) if so_far.covers(png) => {
                drop(proved);
                self.put_one(digest, png, false)
            }
            Ok(so_far) => {
                let done = self.put_one(digest, png, true);
                match &done {
                    Ok(_) => so_far.add(png),
                    Err(e) => *proved = Err(e.again()),
                }
                done
            }
        }
    }
}

impl Store for Host {
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let done = match self.config.verify {
            Verify::None => self.put_one(digest, png, false),
            Verify::All => self.put_one(digest, png, true),
            Verify::First => self.put_proved(digest, png),
        };
        done.map_err(|e| e.at(format_args!("image host '{}'", self.uploader.name())))
    }

    fn sync(&self) -> Result<()> {
        Ok(()) // an upload that is acknowledged is as durable as the host makes it
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        // Without a login: none of those that are configured is known to be for this host.
        let url = location.url();
        let ask = || Ask {
            method: Method::GET,
            url: url.clone(),
            headers: &[],
            secret: None,
            body: &[],
        };
        let refused = |answer: &mut Answer| answer.refused("");
        self.http.get(ask, refused, read)
    }

    fn made(&self, _location: &Location) -> Result<Option<SystemTime>> {
        Ok(None) // hosts say when they answered, if anything
    }
}
