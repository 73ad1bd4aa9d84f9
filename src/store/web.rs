//! A folder on a web server that accepts PUT, such as `WebDAV`. Pictures are named after their
//! digests, `ab/abcd….png`. Reads any http or https URL.

use super::http::{Answer, Ask, Fault, Found, Http};
use super::proof::{Proof, Sent, not_kept};
use super::prunes::{RECORD, read_text};
use super::{Config, Prunable, Shelf, Store, netrc};
use crate::error::{Error, Kind, Result, Service};
use crate::key::{Location, Name};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashSet;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use ureq::http::Method;
use url::Url;

/// A folder on a web server.
///
/// A picture counts as kept if its length is right and the server doesn't report a wrong MD5. This
/// is also checked after each upload: some servers answer 201 to an upload that was cut short, and
/// keep half of it. Some servers write in place, so a reader may see a part of a picture while it
/// is being put.
pub struct Web {
    http: Http,
    /// The folder, or, for a store to read from, the URL that a key names.
    base: Url,
    /// The value of `Authorization` for the origin of `base`.
    secret: Option<String>,
    /// The folders that have been created.
    made: Mutex<HashSet<Url>>,
    /// Whether the server accepts Content-MD5: until it says that it doesn't.
    md5: AtomicBool,
    proof: Proof,
}

impl Web {
    /// The folder, or the picture, at this URL.
    pub fn new(base: Url, config: &Config) -> Result<Self> {
        let secret = secret(&base, config)?;
        Ok(Web {
            http: Http::new(config)?.of(Service::Web),
            base,
            secret,
            made: Mutex::default(),
            md5: AtomicBool::new(true),
            proof: Proof::default(),
        })
    }

    fn ask<'a>(
        &'a self,
        method: Method,
        url: &Url,
        headers: &'a [(&'a str, String)],
        body: &'a [u8],
    ) -> Ask<'a> {
        let is_ours = url.origin() == self.base.origin();
        Ask {
            method,
            url: url.clone(),
            headers,
            secret: self.secret.as_deref().filter(|_| is_ours),
            body,
        }
    }

    /// Looks up a picture.
    fn look(&self, url: &Url, sent: &Sent, doubt: bool) -> std::result::Result<Found, Fault> {
        let ask = |method| self.ask(method, url, &[], &[]);
        self.proof.look(&self.http, ask, sent, doubt)
    }

    /// Puts a picture; if that fails because its folders don't exist, creates them.
    fn upload(&self, url: &Url, sent: &Sent) -> std::result::Result<Answer, Fault> {
        let mut headers = vec![("content-type", "image/png".to_owned())];
        let with_md5 = self.md5.load(Ordering::Relaxed);
        if with_md5 {
            headers.push(("content-md5", sent.content_md5()));
        }
        let put = || {
            self.http
                .exchange(&self.ask(Method::PUT, url, &headers, sent.png))
        };
        let first = put()?;
        match first.status.as_u16() {
            404 | 405 | 409 | 500 => {
                self.make_folders(url)?;
                put()
            }
            // Some servers refuse unknown headers that begin with Content-.
            501 if with_md5 => {
                self.md5.store(false, Ordering::Relaxed);
                Err(first.refused("").again())
            }
            _ => Ok(first),
        }
    }

    /// Creates the folder of a picture and those above it, from the top down. The next upload shows
    /// whether that worked.
    fn make_folders(&self, url: &Url) -> std::result::Result<(), Fault> {
        let mkcol = Method::from_bytes(b"MKCOL").expect("internal error: a method");
        let mut folder = url.clone();
        let mut folders = Vec::new();
        while let Ok(above) = folder.join(if folders.is_empty() { "./" } else { "../" }) {
            if above == folder || above.path() == "/" {
                break;
            }
            folders.push(above.clone());
            folder = above;
        }
        // Locked meanwhile: a server may refuse a folder while another thread creates its parent.
        let made = self.made.lock();
        let mut made = made.expect("internal error: a worker panicked");
        for folder in folders.into_iter().rev() {
            if made.contains(&folder) {
                continue;
            }
            let ask = self.ask(mkcol.clone(), &folder, &[], &[]);
            let answer = self.http.exchange(&ask)?;
            if answer.is_transient() {
                return Err(answer.refused(""));
            }
            // 405: it is there already.
            if answer.status.is_success() || answer.status.as_u16() == 405 {
                made.insert(folder);
            }
        }
        Ok(())
    }

    /// Checks the claim in the answer to an upload.
    fn check(&self, url: &Url, answer: &mut Answer, sent: &Sent) -> std::result::Result<(), Fault> {
        if !answer.status.is_success() {
            let said = answer.text()?;
            let is_text = !said.trim_start().starts_with('<');
            return Err(answer.refused_upload(if is_text { &said } else { "" }));
        }
        let doubt = self.proof.contradicts(sent, answer);
        let found = match self.http.look_for(|| self.look(url, sent, doubt))? {
            Found::Picture => return Ok(()),
            Found::Nothing => "nothing".to_owned(),
            Found::Other(found) => found,
        };
        if let Some(elsewhere) = answer.header("location") {
            let other = answer
                .url
                .join(elsewhere)
                .ok()
                .filter(|other| other.path() != url.path());
            if let Some(other) = other {
                let what = format!("stored as {}, expected {}", other.path(), url.path());
                return Err(Fault::lasting(Kind::Host(what)));
            }
        }
        Err(not_kept(&found, sent))
    }
}

impl Web {
    fn url(&self, name: &Name) -> Url {
        let url = self.base.join(&name.to_string());
        url.expect("internal error: a name that is no URL")
    }

    /// Sends a picture, unless `is_there` says that it is there.
    fn store(
        &self,
        name: &Name,
        png: &[u8],
        is_there: impl Fn(&Url, &Sent) -> std::result::Result<bool, Fault>,
    ) -> Result<Location> {
        let url = self.url(name);
        let location = Location::from_url(&url)?;
        let sent = Sent::new(png);
        let done = self.http.retry(|| {
            if is_there(&url, &sent)? {
                self.http.found();
                return Ok(());
            }
            let mut answer = self.upload(&url, &sent)?;
            self.check(&url, &mut answer, &sent)?;
            self.http.uploaded(&location, png.len());
            Ok(())
        });
        done.map_err(|e| e.at(&location))?;
        Ok(location)
    }
}

impl Store for Web {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store(name, png, |url, sent| {
            Ok(self.look(url, sent, false)? == Found::Picture)
        })
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.store(name, png, |_, _| Ok(false))
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        Location::from_url(&self.url(name)).ok()
    }

    fn prunable(&self) -> Option<&dyn Prunable> {
        Some(self)
    }

    fn sync(&self) -> Result<()> {
        Ok(()) // an upload that is acknowledged is as durable as the server makes it
    }

    fn get(
        &self,
        location: &Location,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let url = location.url();
        let is_recent = || self.http.is_recent(location);
        let refused = |answer: &mut Answer| answer.refused("").premature(is_recent());
        self.http
            .get(|| self.ask(Method::GET, &url, &[], &[]), refused, read)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        let url = location.url();
        let ask = |method| self.http.exchange(&self.ask(method, &url, &[], &[]));
        self.http.retry(|| {
            let answer = match ask(Method::HEAD)? {
                refused if matches!(refused.status.as_u16(), 405 | 501) => ask(Method::GET)?,
                answer => answer,
            };
            match answer.status.is_success() {
                true => Ok(answer.changed()),
                false => Err(answer.refused("")),
            }
        })
    }
}

impl Web {
    fn below(&self, path: &str) -> Url {
        let url = self.base.join(path);
        url.expect("internal error: a name that is no URL")
    }

    fn on(&self, shelf: Shelf, name: &Name) -> Url {
        self.below(&format!("{}{name}", shelf.prefix()))
    }

    /// A request that changes something at a URL. Makes the folders above `made_for` where it fails for
    /// want of them.
    fn change(
        &self,
        method: &Method,
        url: &Url,
        headers: &[(&str, String)],
        body: &[u8],
        made_for: &Url,
    ) -> std::result::Result<(), Fault> {
        let ask = || {
            self.http
                .exchange(&self.ask(method.clone(), url, headers, body))
        };
        let mut answer = ask()?;
        if matches!(answer.status.as_u16(), 403 | 404 | 405 | 409 | 500) {
            self.make_folders(made_for)?;
            answer = ask()?;
        }
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(answer.refused("")),
        }
    }
}

/// A request for the lengths of all that is in a folder.
const PROPFIND: &str = "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><prop>\
    <getcontentlength/><resourcetype/></prop></propfind>";

impl Prunable for Web {
    fn record(&self) -> Result<Option<String>> {
        let place = Location::from_url(&self.below(RECORD))?;
        let mut text = String::new();
        let read = self.get(&place, &mut |from| {
            text = read_text(from)?;
            Ok(())
        });
        match read.as_ref().map_err(Error::kind) {
            Ok(()) => Ok(Some(text)),
            Err(
                Kind::NotFound
                | Kind::Refused {
                    status: 403 | 405, ..
                },
            ) => Ok(None),
            // It concerns the whole store: a login that is wrong, or a server that is out of reach.
            Err(_) => read.map(|()| None).map_err(|e| e.at(&self.base)),
        }
    }

    fn set_record(&self, text: &str) -> Result<()> {
        let url = self.below(RECORD);
        let headers = [("content-type", "text/plain".to_owned())];
        let put = || self.change(&Method::PUT, &url, &headers, text.as_bytes(), &url);
        self.http.retry(put).map_err(|e| e.at(&self.base))
    }

    fn list(
        &self,
        shelf: Shelf,
        first: u8,
        each: &mut dyn FnMut(Name, u64) -> Result<()>,
    ) -> Result<()> {
        let url = self.below(&format!("{}{first:02x}/", shelf.prefix()));
        let propfind = Method::from_bytes(b"PROPFIND").expect("internal error: a method");
        let headers = [
            ("depth", "1".to_owned()),
            ("content-type", "application/xml".to_owned()),
        ];
        let asked = self.http.retry(|| {
            let ask = self.ask(propfind.clone(), &url, &headers, PROPFIND.as_bytes());
            let mut answer = self.http.exchange(&ask)?;
            match answer.status.as_u16() {
                207 => answer.text().map(Some),
                404 => Ok(None),
                _ => Err(answer.refused("")),
            }
        });
        let at = |e: Error| e.at(&url);
        let Some(xml) = asked.map_err(at)? else {
            return Ok(()); // no folder, no pictures
        };
        for (file, bytes) in files(&xml).map_err(at)? {
            let name = Name::from_file(&file).filter(|name| name.digest.bytes()[0] == first);
            if let Some(name) = name {
                each(name, bytes)?;
            }
        }
        Ok(())
    }

    fn relocate(&self, name: &Name, from: Shelf, to: Shelf) -> Result<()> {
        let (from, to) = (self.on(from, name), self.on(to, name));
        let headers = [
            ("destination", to.to_string()),
            ("overwrite", "T".to_owned()),
        ];
        let method = Method::from_bytes(b"MOVE").expect("internal error: a method");
        let moved = self
            .http
            .retry(|| self.change(&method, &from, &headers, &[], &to));
        moved.map_err(|e| match e.kind() {
            Kind::NotFound => e,
            _ => e.at(&from),
        })
    }

    fn remove(&self, name: &Name, from: Shelf) -> Result<()> {
        let url = self.on(from, name);
        let removed = self.http.retry(|| {
            let ask = self.ask(Method::DELETE, &url, &[], &[]);
            match self.http.exchange(&ask)? {
                answer if answer.status.is_success() => Ok(()),
                answer => match answer.refused("") {
                    fault if fault.is_not_found() => Ok(()),
                    fault => Err(fault),
                },
            }
        });
        removed.map_err(|e| e.at(&url))
    }
}

/// The names and lengths of the files that an answer to PROPFIND lists.
fn files(xml: &str) -> Result<Vec<(String, u64)>> {
    let document = roxmltree::Document::parse(xml).map_err(|e| {
        let what = Kind::Host("a list of a folder that can't be read".into());
        Error::from(what).because(e.to_string())
    })?;
    let is = |node: &roxmltree::Node, name: &str| node.tag_name().name() == name;
    let all = document.descendants();
    let responses = all.filter(|node| is(node, "response"));
    let file = |response: roxmltree::Node| {
        let text = |name: &str| {
            let found = response.descendants().find(|node| is(node, name))?;
            found.text().map(str::trim)
        };
        if response.descendants().any(|node| is(&node, "collection")) {
            return None;
        }
        let name = text("href")?.rsplit('/').next()?;
        let length = text("getcontentlength").and_then(|length| length.parse().ok());
        Some((name.to_owned(), length.unwrap_or_default()))
    };
    Ok(responses.filter_map(file).collect())
}

/// The value of `Authorization` for a host: a token, or a user and a password, from the variables
/// or from netrc.
fn secret(url: &Url, config: &Config) -> Result<Option<String>> {
    if let Some(token) = config.variable("SX_HTTP_TOKEN") {
        return Ok(Some(format!("Bearer {token}")));
    }
    let basic = |user: &str, password: &str| {
        format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        )
    };
    match (
        config.variable("SX_HTTP_USER"),
        config.variable("SX_HTTP_PASSWORD"),
    ) {
        (Some(user), Some(password)) => return Ok(Some(basic(user, password))),
        (None, None) => {}
        _ => {
            let what = "half of a login, expected both SX_HTTP_USER and SX_HTTP_PASSWORD";
            return Err(Kind::Store(what.into()).into());
        }
    }
    let Some(path) = config.file("NETRC", ".netrc") else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let login = netrc::find(&text, url.host_str().unwrap_or_default());
            Ok(login.map(|(user, password)| basic(&user, &password)))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("cannot read", e).at(path.display())),
    }
}
