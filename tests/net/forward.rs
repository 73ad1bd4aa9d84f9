//! A forward proxy with the rules that Squid has by default: CONNECT for the ports of https, the URL
//! in full for http. It resolves the name `store.invalid`, which nobody else does, to loopback.

use super::proxy::{header, read_message};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// `me:p@ss` in base64.
const LOGIN: &str = "Basic bWU6cEBzcw==";

/// What the proxy wants and does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Whether it wants a login.
    pub login: bool,
    /// The only port that it opens tunnels to; none for no tunnels.
    pub tunnel_to: Option<u16>,
    /// The status that it refuses everything with.
    pub refuses: Option<u16>,
}

/// A proxy that runs for as long as the test process.
#[derive(Clone)]
pub struct Forward {
    pub address: SocketAddr,
    /// The first line of each request.
    seen: Arc<Mutex<Vec<String>>>,
    rules: Rules,
}

impl Forward {
    pub fn new(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Forward {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            rules,
        };
        let own = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (own, client) = (own.clone(), client.unwrap());
                thread::spawn(move || drop(own.talk(client)));
            }
        });
        proxy
    }

    /// The first lines of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn talk(&self, client: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client;
        while let Some((head, body)) = read_message(&mut from, false)? {
            let line = head.lines().next().unwrap_or_default().to_owned();
            self.seen.lock().unwrap().push(line.clone());
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap_or_default());
            if let Some(status) = self.refusal(&head, method, target) {
                let extra = match status {
                    407 => "proxy-authenticate: Basic realm=\"proxy\"\r\n",
                    _ => "x-squid-error: ERR_ACCESS_DENIED 0\r\n",
                };
                write!(
                    to,
                    "HTTP/1.1 {status} No\r\n{extra}content-length: 3\r\n\r\n"
                )?;
                to.write_all(if method == "HEAD" { b"" } else { b"no\n" })?;
                continue;
            }
            if method == "CONNECT" {
                to.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                return tunnel(from, to, resolve(target)?);
            }
            pass_on(&head, &body, &mut to)?;
        }
        Ok(())
    }

    fn refusal(&self, head: &str, method: &str, target: &str) -> Option<u16> {
        let knows = header(head, "proxy-authorization") == Some(LOGIN);
        if self.rules.login && !knows {
            return Some(407);
        }
        if method == "CONNECT" {
            let port = target
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse().ok());
            let allowed = port.is_some() && port == self.rules.tunnel_to;
            return self.rules.refuses.or((!allowed).then_some(403));
        }
        let is_full = target.starts_with("http://");
        self.rules.refuses.or((!is_full).then_some(400))
    }
}

fn resolve(authority: &str) -> std::io::Result<TcpStream> {
    TcpStream::connect(authority.replace("store.invalid", "127.0.0.1"))
}

/// Asks the server as its clients do, on a connection of its own.
fn pass_on(head: &str, body: &[u8], to: &mut TcpStream) -> std::io::Result<()> {
    let (method, rest) = head.split_once(' ').unwrap();
    let (target, rest) = rest.split_once(' ').unwrap();
    let target = target.strip_prefix("http://").unwrap();
    let (authority, path) = target.split_once('/').unwrap();
    let kept = rest.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("proxy-authorization") && !line.is_empty()
    });
    let kept: Vec<&str> = kept.collect();
    let mut server = resolve(authority)?;
    write!(server, "{method} /{path} {}\r\n\r\n", kept.join("\r\n"))?;
    server.write_all(body)?;
    let answer = read_message(&mut BufReader::new(server), method == "HEAD")?;
    let (head, body) = answer.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    to.write_all(head.as_bytes())?;
    to.write_all(&body)
}

fn tunnel(mut from: impl BufRead, mut to: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let mut back = server.try_clone()?;
    let copying = thread::spawn(move || drop(std::io::copy(&mut back, &mut to)));
    let mut there = server;
    let _ = std::io::copy(&mut from, &mut there);
    there.shutdown(std::net::Shutdown::Write)?;
    let _ = copying.join();
    Ok(())
}
