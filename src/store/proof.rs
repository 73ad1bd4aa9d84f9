//! Proves that a server keeps a picture as it was sent: by length, checksums, or the picture
//! itself.

use super::http::{Answer, Ask, Fault, Found, Http};
use crate::error::{Error, Kind};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use ureq::http::Method;

/// The header in which S3 states the CRC-32 of an object, and accepts that of an upload.
pub const CHECKSUM: &str = "x-amz-checksum-crc32";

/// A picture to send, with its checksums.
pub struct Sent<'a> {
    /// The PNG.
    pub png: &'a [u8],
    md5: [u8; 16],
    crc: u32,
}

impl<'a> Sent<'a> {
    /// Computes the checksums of a picture.
    pub fn new(png: &'a [u8]) -> Self {
        Sent {
            png,
            md5: Md5::digest(png).into(),
            crc: crc32fast::hash(png),
        }
    }

    /// The value of `Content-MD5`.
    pub fn content_md5(&self) -> String {
        BASE64_STANDARD.encode(self.md5)
    }

    /// The value of [`CHECKSUM`].
    pub fn crc32(&self) -> String {
        BASE64_STANDARD.encode(self.crc.to_be_bytes())
    }

    /// Whether the checksums in an answer are those of this picture; None if the answer has none.
    ///
    /// An `ETag` counts if it looks like an MD5, unless S3 says that the object is encrypted with a
    /// user's key: then it is something else.
    pub fn has_sums_of(&self, answer: &Answer) -> Option<bool> {
        let crc = answer.header(CHECKSUM).filter(|crc| crc.len() == 8);
        let is_whole = answer.header("x-amz-checksum-type") != Some("COMPOSITE");
        if let Some(crc) = crc.filter(|_| is_whole) {
            return Some(crc == self.crc32());
        }
        let encryption = answer.header("x-amz-server-side-encryption");
        let has_key = answer.header("x-amz-server-side-encryption-customer-algorithm");
        if encryption.is_some_and(|how| how.starts_with("aws:kms")) || has_key.is_some() {
            return None;
        }
        let etag = answer.header("etag")?;
        let digits = etag.strip_prefix('"')?.strip_suffix('"')?;
        let is_md5 = digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit());
        is_md5.then(|| digits.eq_ignore_ascii_case(&hex(&self.md5)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("internal error: a string that takes no text");
        text
    })
}

/// Checks pictures on one server, and learns which checks that server supports.
#[derive(Default)]
pub struct Proof {
    /// Whether the server refuses HEAD.
    no_head: AtomicBool,
    /// Whether a good picture was seen with a wrong `ETag` or checksum.
    no_sums: AtomicBool,
}

impl Proof {
    /// Whether an answer has checksums that aren't those of the picture.
    pub fn contradicts(&self, sent: &Sent, answer: &Answer) -> bool {
        !self.no_sums.load(Ordering::Relaxed) && sent.has_sums_of(answer) == Some(false)
    }

    /// Checks with HEAD whether the picture is there. Reads the picture and compares its bytes if
    /// the server refuses HEAD, doesn't state the length, or states a checksum that isn't the
    /// picture's, or if the caller has a `doubt`.
    ///
    /// # Errors
    ///
    /// The fault of an answer that is neither the picture nor "not found".
    pub fn look<'a>(
        &self,
        http: &Http,
        ask: impl Fn(Method) -> Ask<'a>,
        sent: &Sent,
        doubt: bool,
    ) -> Result<Found, Fault> {
        if doubt || self.no_head.load(Ordering::Relaxed) {
            return self.read(http, ask, sent, doubt);
        }
        let answer = http.exchange(&ask(Method::HEAD))?;
        let length = answer.length();
        match answer.status.as_u16() {
            200 if length.is_some_and(|length| length != sent.png.len() as u64) => Ok(
                Found::Other(format!("{} bytes", length.unwrap_or_default())),
            ),
            200 if self.contradicts(sent, &answer) => self.read(http, ask, sent, true),
            200 if length.is_some() => Ok(Found::Picture),
            200 => self.read(http, ask, sent, false),
            404 | 409 | 410 => Ok(Found::Nothing),
            405 | 501 => {
                self.no_head.store(true, Ordering::Relaxed);
                self.read(http, ask, sent, false)
            }
            _ => Err(answer.refused("")),
        }
    }

    /// Reads the picture and compares it. If it is good despite its checksum, the server's
    /// checksums are ignored from then on.
    fn read<'a>(
        &self,
        http: &Http,
        ask: impl Fn(Method) -> Ask<'a>,
        sent: &Sent,
        doubt: bool,
    ) -> Result<Found, Fault> {
        let mut answer = http.exchange(&ask(Method::GET))?;
        match answer.status.as_u16() {
            200 if answer.holds(sent.png)? => {
                self.no_sums.fetch_or(doubt, Ordering::Relaxed);
                Ok(Found::Picture)
            }
            200 => Ok(Found::Other("other bytes".into())),
            404 | 409 | 410 => Ok(Found::Nothing),
            _ => Err(answer.refused("")),
        }
    }
}

/// The fault of an upload after which the server has something else, or nothing.
pub fn not_kept(found: &str, sent: &Sent) -> Fault {
    let expected = sent.png.len();
    let what = format!("{found} where a picture was stored, expected its {expected} bytes");
    Fault::transient(Error::from(Kind::Host(what)))
}
