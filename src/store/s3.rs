//! A bucket of any S3. Objects are named after their digests, `PREFIX/ab/abcd….png`.

use super::http::{Answer, Ask, Fault, Http};
use super::{Config, Store, aws};
use crate::error::{Kind, Result};
use crate::key::{Digest, Location};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rusty_s3::{Bucket, Credentials, S3Action};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use ureq::http::Method;
use url::Url;

/// How long a signature holds: it is made anew for every try.
const SIGNED_FOR: Duration = Duration::from_secs(900);
const CHECKSUM: &str = "x-amz-checksum-crc32";

/// A bucket, or what begins with a prefix in it.
///
/// An object is there whole or not at all, which S3 promises, and its CRC-32 is checked by the
/// server where that can do it. One that is there already is not sent again if it has the length of
/// ours; else it is the half of an upload that was cut, and is replaced.
pub struct S3 {
    http: Http,
    bucket: Bucket,
    credentials: Option<Credentials>,
    prefix: String,
    /// Whether the server takes checksums: until it says that it doesn't.
    checksums: AtomicBool,
}

impl S3 {
    /// The store in a bucket, below `prefix`, which is empty or has no slash at its ends.
    pub fn new(bucket: &str, prefix: &str, config: &Config) -> Result<Self> {
        let (bucket, credentials) = aws::bucket(bucket, config)?;
        Ok(S3 {
            http: Http::new(config)?,
            bucket,
            credentials,
            prefix: prefix.to_owned(),
            checksums: AtomicBool::new(true),
        })
    }

    fn name(&self, digest: &Digest) -> String {
        match self.prefix.as_str() {
            "" => digest.name(),
            prefix => format!("{prefix}/{}", digest.name()),
        }
    }

    fn head(&self, name: &str) -> std::result::Result<Answer, Fault> {
        let action = self.bucket.head_object(self.credentials.as_ref(), name);
        self.http.exchange(&Ask {
            method: Method::HEAD,
            url: action.sign(SIGNED_FOR),
            headers: &[],
            secret: None,
            body: &[],
        })
    }

    /// Whether an object of this length is there. A server that won't say it (403 where there is no
    /// right to list) says it of the upload.
    fn is_there(&self, name: &str, length: usize) -> std::result::Result<bool, Fault> {
        let answer = self.head(name)?;
        match answer.status.as_u16() {
            _ if answer.is_transient() => Err(answer.refused("")),
            200 => Ok(answer.length() == Some(length as u64)),
            _ => Ok(false),
        }
    }

    fn upload(&self, name: &str, png: &[u8]) -> std::result::Result<(), Fault> {
        let mut action = self.bucket.put_object(self.credentials.as_ref(), name);
        let mut headers = vec![("content-type", "image/png".to_owned())];
        if self.checksums.load(Ordering::Relaxed) {
            let crc = BASE64_STANDARD.encode(crc32fast::hash(png).to_be_bytes());
            action.headers_mut().insert(CHECKSUM, crc.clone());
            headers.push((CHECKSUM, crc));
        }
        let url = action.sign(SIGNED_FOR);
        self.send(url, &headers, png)
    }

    fn send(
        &self,
        url: Url,
        headers: &[(&str, String)],
        png: &[u8],
    ) -> std::result::Result<(), Fault> {
        let mut answer = self.http.exchange(&Ask {
            method: Method::PUT,
            url,
            headers,
            secret: None,
            body: png,
        })?;
        if answer.status.is_success() {
            return Ok(());
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
            return Err(Fault::transient(Kind::Refused { status, said }));
        }
        Err(fault)
    }
}

impl Store for S3 {
    fn put(&self, digest: &Digest, png: &[u8]) -> Result<Location> {
        let name = self.name(digest);
        let location = Location::from_bucket(self.bucket.name(), &name)?;
        let done = self.http.retry(|| match self.is_there(&name, png.len())? {
            true => Ok(()),
            false => self.upload(&name, png),
        });
        done.map_err(|e| e.at(&location))?;
        Ok(location)
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
        let ask = || Ask {
            method: Method::GET,
            url: self
                .bucket
                .get_object(self.credentials.as_ref(), &name)
                .sign(SIGNED_FOR),
            headers: &[],
            secret: None,
            body: &[],
        };
        let refused = |answer: &mut Answer| match refused(answer) {
            Ok((fault, _)) | Err(fault) => fault,
        };
        self.http.get(ask, refused, read)
    }

    fn made(&self, location: &Location) -> Result<Option<SystemTime>> {
        let name = location.object();
        self.http.retry(|| match self.head(&name)? {
            answer if answer.status.is_success() => Ok(answer.changed()),
            answer => Err(answer.refused("")),
        })
    }
}

/// What S3 says of an error: its code and message, for example `SlowDown: Reduce your rate`. A
/// missing bucket is no missing object.
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
        404 if !matches!(code.as_str(), "" | "NoSuchKey") => Fault::lasting(Kind::Refused {
            status,
            said: said.clone(),
        }),
        _ => answer.refused(&said),
    };
    Ok((fault, said))
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
