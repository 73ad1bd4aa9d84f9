//! A proxy that passes requests on to a server and back, and does to each what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use storagex::store::Config;

/// What the proxy does to a request or its answer.
#[derive(Debug, Clone)]
pub enum Does {
    /// Passes both on.
    Pass,
    /// Answers itself, with these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes the connection before the server has seen the request.
    Drop,
    /// Passes the request on, and swallows the answer.
    Swallow,
    /// Passes on so many bytes of the answer's body, and closes.
    Cut(usize),
    /// Changes a bit of the answer's body.
    Flip,
    /// Passes the request on without the end of its body, and says what the server said.
    CutUpload(usize),
    /// Says nothing until the client goes away.
    Hang,
    /// Answers 200 and a body that never ends.
    Endless,
    /// Passes the answer on in small pieces, with pauses that together are longer than any timeout.
    Trickle,
}

/// A request that the proxy has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub head: String,
}

/// Decides what is done to a request: its number among those of its method, from 0, and what it is.
type Decide = dyn Fn(usize, &Seen) -> Does + Send + Sync;

/// A proxy that runs for as long as the test process.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    decide: Arc<Mutex<Arc<Decide>>>,
}

impl Proxy {
    /// A proxy before `server` that passes everything on until it is told something else.
    pub fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let decide: Arc<Decide> = Arc::new(|_, _| Does::Pass);
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            decide: Arc::new(Mutex::new(decide)),
        };
        let own = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (own, client) = (own.clone(), client.unwrap());
                thread::spawn(move || drop(own.talk(client, server)));
            }
        });
        proxy
    }

    /// From now on, and counting from 0 again.
    pub fn does(&self, decide: impl Fn(usize, &Seen) -> Does + Send + Sync + 'static) {
        self.seen.lock().unwrap().clear();
        *self.decide.lock().unwrap() = Arc::new(decide);
    }

    /// What has been seen since.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn talk(&self, client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
        let mut from = BufReader::new(client.try_clone()?);
        let mut to = client;
        while let Some((request, body)) = read_message(&mut from, false)? {
            let seen = parse(&request);
            let decide = self.decide.lock().unwrap().clone();
            let number = {
                let mut all = self.seen.lock().unwrap();
                all.push(seen.clone());
                all.iter()
                    .filter(|other| other.method == seen.method)
                    .count()
                    - 1
            };
            let does = decide(number, &seen);
            if !act(
                &does,
                &mut to,
                server,
                &request,
                &body,
                seen.method == "HEAD",
            )? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Does it; says whether the connection goes on.
fn act(
    does: &Does,
    to: &mut TcpStream,
    server: SocketAddr,
    request: &str,
    body: &[u8],
    is_head: bool,
) -> std::io::Result<bool> {
    let ask = |body: &[u8]| ask(server, request, body, is_head);
    match does {
        Does::Pass => {
            let (head, body) = ask(body)?;
            to.write_all(head.as_bytes())?;
            to.write_all(&body)?;
        }
        Does::Answer(status, headers, body) => {
            write!(
                to,
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n",
                body.len()
            )?;
            for (name, value) in headers {
                write!(to, "{name}: {value}\r\n")?;
            }
            to.write_all(b"\r\n")?;
            if !is_head {
                to.write_all(body)?;
            }
        }
        Does::Drop => return Ok(false),
        Does::Swallow => {
            ask(body)?;
            return Ok(false);
        }
        Does::Cut(bytes) => {
            let (head, body) = ask(body)?;
            to.write_all(head.as_bytes())?;
            to.write_all(&body[..body.len().min(*bytes)])?;
            return Ok(false);
        }
        Does::Flip => {
            let (head, mut body) = ask(body)?;
            let middle = body.len() / 2;
            if let Some(byte) = body.get_mut(middle) {
                *byte ^= 1;
            }
            to.write_all(head.as_bytes())?;
            to.write_all(&body)?;
        }
        Does::CutUpload(bytes) => {
            let mut server = TcpStream::connect(server)?;
            server.write_all(request.as_bytes())?;
            server.write_all(&body[..body.len().min(*bytes)])?;
            server.shutdown(std::net::Shutdown::Write)?;
            let mut answer = Vec::new();
            let _ = server.read_to_end(&mut answer);
            to.write_all(&answer)?;
            return Ok(false);
        }
        Does::Hang => {
            let _ = to.read(&mut [0]);
            return Ok(false);
        }
        Does::Endless => {
            to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")?;
            loop {
                to.write_all(&[b'x'; 1 << 10])?;
            }
        }
        Does::Trickle => {
            let (head, body) = ask(body)?;
            to.write_all(head.as_bytes())?;
            for piece in body.chunks(body.len() / 20 + 1) {
                thread::sleep(Duration::from_millis(40));
                to.write_all(piece)?;
            }
        }
    }
    Ok(true)
}

/// Asks the server, on a connection of its own.
fn ask(
    server: SocketAddr,
    request: &str,
    body: &[u8],
    is_head: bool,
) -> std::io::Result<(String, Vec<u8>)> {
    let mut server = TcpStream::connect(server)?;
    server.write_all(request.as_bytes())?;
    server.write_all(body)?;
    let answer = read_message(&mut BufReader::new(server), is_head)?;
    answer.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// A head with its empty line, and a body of the length or the chunks that it says. Of a chunked
/// body the head is made to say its length.
pub fn read_message(
    from: &mut impl BufRead,
    without_body: bool,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    loop {
        let start = head.len();
        if from.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if &head[start..] == "\r\n" {
            break;
        }
    }
    let mut body = Vec::new();
    if without_body {
        return Ok(Some((head, body)));
    }
    if header(&head, "transfer-encoding").is_some() {
        loop {
            let mut size = String::new();
            from.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            from.take(size as u64).read_to_end(&mut body)?;
            from.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
        let others = head
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("transfer-encoding"));
        let others: Vec<&str> = others.filter(|line| !line.is_empty()).collect();
        head = format!(
            "{}\r\ncontent-length: {}\r\n\r\n",
            others.join("\r\n"),
            body.len()
        );
    } else {
        let length = header(&head, "content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        from.take(length).read_to_end(&mut body)?;
    }
    Ok(Some((head, body)))
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (n, value) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn parse(head: &str) -> Seen {
    let mut words = head.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    Seen {
        method: word(),
        path: word(),
        head: head.to_owned(),
    }
}

/// A proxy before a bucket of the S3 server of the tests, which keeps it in this folder; and how to reach
/// `s3://bucket` by it.
pub fn bucket(keep: &Path) -> (Proxy, Config) {
    std::fs::create_dir(keep.join("bucket")).unwrap();
    let proxy = Proxy::new(super::s3(keep));
    let endpoint = format!("http://{}", proxy.address);
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "SK"),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    let config = Config {
        variables: variables.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        ..Config::default()
    };
    (proxy, config)
}
