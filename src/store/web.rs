//! A folder on a web server that takes PUT, as those of `WebDAV` do. Pictures are named after their
//! digests, `ab/abcd….png`. Reads any http or https URL.

use super::http::{Answer, Ask, Fault, Http};
use super::{Config, Store, netrc};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashSet;
use std::io::Read;
use std::sync::Mutex;
use std::time::SystemTime;
use ureq::http::Method;
use url::Url;

/// A folder on a web server.
///
/// What is there counts only if its length is ours, and so it is looked at after an upload, too: there
/// are servers that say 201 to an upload that was cut, and keep half of it. There are also servers
/// that write in place, so that who reads a picture while it is being put sees a part of it.
pub struct Web {
    http: Http,
    /// The folder; of a store to read from, the URL that a key names.
    base: Url,
    /// The value of `Authorization` for the origin of `base`.
    secret: Option<String>,
    /// The folders that have been made.
    made: Mutex<HashSet<Url>>,
}

impl Web {
    /// The folder, or the picture, at this URL.
    pub fn new(base: Url, config: &Config) -> Result<Self> {
        let secret = secret(&base, config)?;
        Ok(Web {
            http: Http::new(config)?,
            base,
            secret,
            made: Mutex::default(),
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

    /// The length of what is there; none if nothing is, or if the server doesn't say.
    fn length(&self, url: &Url) -> std::result::Result<Option<u64>, Fault> {
        let answer = self.http.exchange(&self.ask(Method::HEAD, url, &[], &[]))?;
        match answer.status.as_u16() {
            200 => Ok(answer.length()),
            404 | 405 | 409 | 410 | 501 => Ok(None),
            _ => Err(answer.refused("")),
        }
    }

    /// Puts a picture, and makes the folders above it where that fails for want of them.
    fn upload(&self, url: &Url, png: &[u8]) -> std::result::Result<Answer, Fault> {
        let headers = [("content-type", "image/png".to_owned())];
        let put = || {
            self.http
                .exchange(&self.ask(Method::PUT, url, &headers, png))
        };
        let first = put()?;
        match first.status.as_u16() {
            404 | 405 | 409 | 500 => {
                self.make_folders(url)?;
                put()
            }
            _ => Ok(first),
        }
    }

    /// The folder of a picture and those above it, from the top down. What comes of it shows at the
    /// next upload.
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
        // Locked all the while: a server may refuse a folder whose parent another of us is making.
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

    /// Checks that what was answered to an upload is so.
    fn check(&self, url: &Url, answer: &mut Answer, png: &[u8]) -> std::result::Result<(), Fault> {
        if !answer.status.is_success() {
            let said = answer.text()?;
            let is_text = !said.trim_start().starts_with('<');
            return Err(answer.refused(if is_text { &said } else { "" }));
        }
        let length = self.length(url)?;
        if length == Some(png.len() as u64) {
            return Ok(());
        }
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
        let (found, expected) = (
            length.map_or("nothing".into(), |n| format!("{n} bytes")),
            png.len(),
        );
        let what = format!("{found} where a picture was stored, expected {expected} bytes");
        Err(Fault::transient(Kind::Host(what)))
    }
}

impl Store for Web {
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let url = self
            .base
            .join(&digest.name())
            .expect("internal error: a name that is no URL");
        let location = Location::from_url(&url)?;
        let done = self.http.retry(|| {
            if self.length(&url)? == Some(png.len() as u64) {
                return Ok(());
            }
            let mut answer = self.upload(&url, png)?;
            self.check(&url, &mut answer, png)
        });
        done.map_err(|e| e.at(&location))?;
        Ok(location)
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
        let refused = |answer: &mut Answer| answer.refused("");
        self.http
            .get(|| self.ask(Method::GET, &url, &[], &[]), refused, read)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        let url = location.url();
        let ask = self.ask(Method::HEAD, &url, &[], &[]);
        self.http.retry(|| match self.http.exchange(&ask)? {
            answer if answer.status.is_success() => Ok(answer.changed()),
            answer => Err(answer.refused("")),
        })
    }
}

/// The value of `Authorization` for a host: a token, or a user and a password, of the variables or
/// of netrc.
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
