//! A server that keeps what is put and checks nothing, and can be told to misbehave. It serves as a
//! plain web server and, as it looks at no signature, as S3.

use super::proxy::{header, read_message};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server says, and does, that others don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// Gives no `ETag`.
    NoEtag,
    /// Gives an `ETag` for each picture that looks like an MD5 and is none.
    OddEtag,
    /// Gives the CRC-32 as S3 does, if it is asked for that, and an `ETag` that is no MD5.
    Crc,
    /// Refuses HEAD.
    NoHead,
    /// Answers HEAD without a length.
    NoLength,
    /// Refuses Content-MD5.
    NoMd5,
    /// Changes a byte of the first picture that is put, and keeps it so.
    Damage,
    /// Changes a byte of each picture that is put.
    DamageAll,
    /// Answers 200 and a page to the first upload, and keeps nothing.
    Portal,
    /// Says of each picture that it is missing when it is first looked for, twice.
    Late,
    /// Refuses uploads with this status, and MKCOL with 403.
    ReadOnly(u16),
    /// Asks for a Digest login.
    DigestLogin,
    /// Lets pictures be put, and not be read.
    WriteOnly,
}

/// A server that runs for as long as the test process.
#[derive(Clone)]
pub struct Bare {
    pub address: SocketAddr,
    /// Pictures, by their paths.
    pub kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// How often each was looked for since it was put.
    looks: Arc<Mutex<BTreeMap<String, usize>>>,
    /// The heads of all requests.
    pub seen: Arc<Mutex<Vec<String>>>,
    quirks: &'static [Quirk],
}

impl Bare {
    pub fn new(quirks: &'static [Quirk]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Bare {
            address: listener.local_addr().unwrap(),
            kept: Arc::default(),
            looks: Arc::default(),
            seen: Arc::default(),
            quirks,
        };
        let own = server.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (own, client) = (own.clone(), client.unwrap());
                thread::spawn(move || drop(own.talk(client)));
            }
        });
        server
    }

    /// How many requests of a method there were.
    pub fn count(&self, method: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|head| head.starts_with(method)).count()
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    fn talk(&self, client: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client;
        while let Some((head, body)) = read_message(&mut from, false)? {
            self.seen.lock().unwrap().push(head.clone());
            let mut words = head.split([' ', '?']);
            let method = words.next().unwrap_or_default();
            let path = words.next().unwrap_or_default();
            let answer = match method {
                _ if self.has(Quirk::DigestLogin) => {
                    let ask = "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n";
                    answer(401, ask, b"")
                }
                "PUT" => self.take(&head, path, body),
                "HEAD" if self.has(Quirk::NoHead) => answer(405, "", b""),
                "GET" | "HEAD" if self.has(Quirk::WriteOnly) => answer(403, "", b""),
                "GET" | "HEAD" => self.give(&head, method == "HEAD", path),
                _ => answer(403, "", b""),
            };
            to.write_all(&answer)?;
            if answer.ends_with(b"connection: close\r\n\r\n") {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&self, head: &str, path: &str, mut body: Vec<u8>) -> Vec<u8> {
        let first = self.count("PUT") == 1;
        for quirk in self.quirks {
            match quirk {
                Quirk::ReadOnly(status) => return answer(*status, "", b""),
                Quirk::NoMd5 if header(head, "content-md5").is_some() => {
                    return answer(501, "", b"");
                }
                Quirk::Portal if first => return answer(200, "", b"<html>log in"),
                Quirk::DamageAll => body[1000] ^= 1,
                Quirk::Damage if first => body[1000] ^= 1,
                _ => {}
            }
        }
        let etag = self.etag(&body);
        self.kept.lock().unwrap().insert(path.to_owned(), body);
        answer(201, &etag, b"")
    }

    fn give(&self, head: &str, is_head: bool, path: &str) -> Vec<u8> {
        let Some(body) = self.kept.lock().unwrap().get(path).cloned() else {
            return answer(404, "", b"");
        };
        let mut looks = self.looks.lock().unwrap();
        let looks = looks.entry(path.to_owned()).or_default();
        *looks += 1;
        if self.has(Quirk::Late) && *looks <= 2 {
            return answer(404, "", b"");
        }
        let mut headers = self.etag(&body);
        if self.has(Quirk::Crc) && header(head, "x-amz-checksum-mode") == Some("ENABLED") {
            let crc = BASE64_STANDARD.encode(crc32fast::hash(&body).to_be_bytes());
            write!(headers, "x-amz-checksum-crc32: {crc}\r\n").unwrap();
        }
        match is_head {
            true if self.has(Quirk::NoLength) => {
                format!("HTTP/1.1 200 X\r\n{headers}connection: close\r\n\r\n").into_bytes()
            }
            true => {
                let mut whole = answer(200, &headers, &body);
                whole.truncate(whole.len() - body.len());
                whole
            }
            false => answer(200, &headers, &body),
        }
    }

    fn etag(&self, body: &[u8]) -> String {
        let mut digest: Vec<u8> = Md5::digest(body).to_vec();
        if self.has(Quirk::NoEtag) {
            return String::new();
        }
        if self.has(Quirk::OddEtag) {
            digest.reverse();
        }
        let mut digits = String::new();
        for byte in digest {
            write!(digits, "{byte:02x}").unwrap();
        }
        match self.has(Quirk::Crc) {
            true => "ETag: \"an object\"\r\n".to_owned(),
            false => format!("ETag: \"{digits}\"\r\n"),
        }
    }
}

fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
