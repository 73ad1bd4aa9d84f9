//! An image host that can be told to misbehave.

use super::proxy::{header, read_message};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it does with pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Keeps them as they are, and answers in JSON.
    Good,
    /// Answers with a redirect to a page whose URL has the picture's.
    Redirect,
    /// Is asked as a proxy, and answers as storagex 1.0's host did: with a redirect to a page of
    /// another host, whose URL has the picture's with percent signs.
    Baidu,
    /// Answers with a URL that is relative to it and has a fragment, as text.
    Relative,
    /// Says 200, and what went wrong in the body.
    ErrorInside,
    /// Gives a JPEG back.
    Jpeg,
    /// Gives a smaller PNG back.
    Shrunk,
    /// Gives a page back that shows the picture.
    Page,
    /// Refuses what is larger than this many bytes.
    Most(usize),
}

/// A picture host that runs for as long as the test process.
#[derive(Clone)]
pub struct Host {
    pub address: SocketAddr,
    /// Pictures, by their paths.
    pub kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// The heads of all requests.
    pub seen: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub fn new(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Host {
            address: listener.local_addr().unwrap(),
            kept: Arc::default(),
            seen: Arc::default(),
        };
        let own = host.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (own, client) = (own.clone(), client.unwrap());
                thread::spawn(move || drop(own.talk(client, manners)));
            }
        });
        host
    }

    fn talk(&self, client: TcpStream, manners: Manners) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client;
        while let Some((head, body)) = read_message(&mut from, false)? {
            self.seen.lock().unwrap().push(head.clone());
            let path = head
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            let answer = match head.split(' ').next() {
                Some("CONNECT") => b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                Some("POST") => self.take(&head, &body, manners),
                _ => self.give(&path, manners),
            };
            to.write_all(&answer)?;
        }
        Ok(())
    }

    /// Keeps the picture that is in a body, wherever it starts and ends.
    fn take(&self, head: &str, body: &[u8], manners: Manners) -> Vec<u8> {
        let is_baidu = manners == Manners::Baidu;
        if !is_baidu && header(head, "authorization") != Some("token") {
            return answer(
                401,
                "application/json",
                b"{\"error\": \"who are you?\"}",
                "",
            );
        }
        let find = |what: &[u8]| body.windows(what.len()).position(|w| w == what);
        let (Some(start), Some(end)) = (find(b"\x89PNG"), find(b"IEND\xae\x42\x60\x82")) else {
            return answer(400, "text/plain", b"no picture", "");
        };
        let picture = &body[start..end + 8];
        if matches!(manners, Manners::Most(most) if picture.len() > most) {
            return answer(413, "text/html", b"<html>too large</html>", "");
        }
        let path = {
            let mut kept = self.kept.lock().unwrap();
            let path = match is_baidu {
                true => format!("/image/pic/item/{}.jpg", kept.len()),
                false => format!("/u/{}.png", kept.len()),
            };
            kept.insert(path.clone(), picture.to_vec());
            path
        };
        let url = format!("http://{}{path}", self.address);
        match manners {
            Manners::ErrorInside => answer(
                200,
                "application/json",
                b"{\"error\": \"quota exceeded\"}",
                "",
            ),
            Manners::Redirect => {
                let page = format!("location: /page?queryImageUrl={url}&querySign=1\r\n");
                answer(302, "text/html", b"", &page)
            }
            Manners::Baidu if find(b"name=\"image\"; filename=\"test.png\"").is_none() => {
                answer(400, "text/plain", b"", "")
            }
            Manners::Baidu => {
                let url = format!("http://e.hiphotos.baidu.com{path}");
                let url = url.replace(':', "%3A").replace('/', "%2F");
                let page = format!(
                    "location: http://image.baidu.com/page?queryImageUrl={url}&querySign=1,2&x=y\r\n"
                );
                answer(302, "text/html", b"", &page)
            }
            Manners::Relative => answer(201, "text/plain", format!("{path}#top\n").as_bytes(), ""),
            _ => {
                let url = url.replace('/', "\\/");
                let json = format!(
                    "{{\"files\": [{{\"url\": \"{url}\", \"delete\": \"{url}?secret\"}}]}}"
                );
                answer(200, "application/json", json.as_bytes(), "")
            }
        }
    }

    fn give(&self, path: &str, manners: Manners) -> Vec<u8> {
        let picture = self.kept.lock().unwrap().get(path).cloned();
        match (picture, manners) {
            (_, Manners::Page) => answer(200, "text/html", b"<!doctype html><img src=x>", ""),
            (_, Manners::Jpeg) => answer(200, "image/jpeg", b"\xff\xd8\xff\xe0 and so on", ""),
            (_, Manners::Shrunk) => {
                let mut png = Vec::new();
                let size = storagex::wire::frame::Size {
                    width: 8,
                    height: 8,
                };
                storagex::wire::pixels::render(&[7; 192], size, &mut png);
                answer(200, "image/png", &png, "")
            }
            (Some(picture), _) => answer(200, "image/png", &picture, ""),
            (None, _) if path.starts_with("/page") => answer(200, "text/html", b"<html>", ""),
            (None, _) => answer(404, "text/html", b"<html>", ""),
        }
    }
}

fn answer(status: u16, kind: &str, body: &[u8], more: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
