//! Forward proxies: how a connection goes through one.
//!
//! For https, the proxy is asked with CONNECT for a tunnel to the server (RFC 9110, 9.3.6). For http,
//! it is asked for each URL in full, `GET http://server/path` (RFC 9112, 3.2.2), as every client does:
//! proxies allow CONNECT to the port of https only. ureq knows CONNECT alone, so a connector of ours
//! stands in its place, and below ureq a transport that rewrites the first line of each request.

use crate::error::shown;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::io::{Read, Write};
use ureq::config::Config;
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, SocksConnector, Transport, TransportAdapter,
};
use ureq::{Error, Proxy, ProxyProtocol};

/// Bytes of an answer to CONNECT that are read.
const MOST_HEAD: usize = 16 << 10;

/// Connects through the proxy that a request has, if it has one.
#[derive(Debug)]
pub struct Way {
    socks: SocksConnector,
    /// How the proxy itself is reached.
    direct: Config,
}

/// A proxy that refused to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status that it answered.
    pub status: StatusCode,
    /// What it said of it.
    pub said: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {} {}", self.status.as_u16(), self.said)
    }
}

impl Refusal {
    /// The refusal that an answer is, if it is the proxy's own and not the server's: 407 is always
    /// the proxy's. Of others, Squid and tinyproxy say that they are theirs.
    pub fn of(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let header = |name| headers.get(name)?.to_str().ok();
        let by_squid = header("x-squid-error");
        let by_tinyproxy = header("server").is_some_and(|server| server.starts_with("tinyproxy"));
        let is_own = status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
            || !status.is_success() && (by_squid.is_some() || by_tinyproxy);
        let reason = status.canonical_reason().unwrap_or_default();
        let said = match by_squid.and_then(|said| said.split_whitespace().next()) {
            Some(error) => format!("{reason}: {}", shown(error)),
            None => reason.to_owned(),
        };
        is_own.then_some(Refusal { status, said })
    }
}

/// The name of a proxy in messages: its URL, without the login.
pub fn name(proxy: &Proxy) -> String {
    let scheme = proxy.protocol().to_string().to_lowercase();
    format!("proxy {scheme}://{}:{}", proxy.host(), proxy.port())
}

/// Whether a proxy is asked for http URLs in full, so that it sees the requests.
pub fn reads_requests(proxy: &Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

impl Way {
    /// `direct` is the configuration of the agent, without a proxy.
    pub fn new(direct: Config) -> Self {
        let socks = SocksConnector::default();
        Way { socks, direct }
    }

    /// A connection to the proxy.
    fn reach(
        &self,
        proxy: &Proxy,
        details: &ConnectionDetails,
    ) -> Result<Box<dyn Transport>, Error> {
        let addrs = details
            .resolver
            .resolve(proxy.uri(), &self.direct, details.timeout)?;
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            addrs,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        (details.run_connector)(&to_proxy)
    }
}

impl Connector for Way {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(proxy) = details.config.proxy() else {
            return Ok(None);
        };
        if !reads_requests(proxy) {
            let through = self.socks.connect(details, None::<()>)?;
            return Ok(through.map(|transport| Box::new(transport) as Self::Out));
        }
        let below = self.reach(proxy, details)?;
        let through: Self::Out = match details.needs_tls() {
            true => Box::new(Tunnel(ask_for_tunnel(below, proxy, details)?)),
            false => Box::new(Forwarded::new(below, proxy, details.uri)?),
        };
        Ok(Some(through))
    }
}

/// The header that logs in to a proxy, with the end of its line; nothing if the proxy has no login.
fn login(proxy: &Proxy) -> String {
    if proxy.username().is_none() && proxy.password().is_none() {
        return String::new();
    }
    let user = proxy.username().unwrap_or_default();
    let password = proxy.password().unwrap_or_default();
    let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
    format!("Proxy-Authorization: Basic {login}\r\n")
}

/// Has the proxy open a tunnel to the server.
fn ask_for_tunnel(
    below: Box<dyn Transport>,
    proxy: &Proxy,
    details: &ConnectionDetails,
) -> Result<Box<dyn Transport>, Error> {
    let host = details.uri.host().unwrap_or_default();
    let port = details.uri.port_u16().unwrap_or(443);
    let request = format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{}\r\n",
        login(proxy)
    );
    let mut stream = TransportAdapter::new(below, details.current_time.clone());
    stream.set_timeout(details.timeout);
    stream.write_all(request.as_bytes())?;
    let (status, reason) = answer_to_connect(&mut stream)?;
    match status.is_success() {
        true => Ok(stream.into_inner()),
        false => Err(Error::Other(Box::new(Refusal {
            status,
            said: reason,
        }))),
    }
}

/// Reads the head of an answer, to its empty line and no further; gives status and reason.
fn answer_to_connect(stream: &mut impl Read) -> Result<(StatusCode, String), Error> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MOST_HEAD || stream.read(&mut byte)? == 0 {
            let what = "no answer to CONNECT, expected a status";
            return Err(Error::Io(std::io::Error::other(what)));
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.splitn(3, ' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.parse().ok());
    match status.filter(|_| is_http) {
        Some(status) => Ok((status, shown(words.next().unwrap_or_default().trim()))),
        None => Err(Error::Io(std::io::Error::other(
            "no answer of HTTP to CONNECT",
        ))),
    }
}

/// A tunnel through a proxy. There may be TLS to the proxy, but there is none to the server yet.
#[derive(Debug)]
struct Tunnel(Box<dyn Transport>);

impl Transport for Tunnel {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }
}

/// A connection to a proxy that is asked for one server's URLs in full.
struct Forwarded {
    below: Box<dyn Transport>,
    /// `http://HOST:PORT`.
    origin: String,
    login: String,
    /// Whether a request begins with the next output: at first, and after each answer. ureq sends the
    /// whole of a request before it reads of the answer.
    begins: bool,
}

impl Forwarded {
    fn new(below: Box<dyn Transport>, proxy: &Proxy, uri: &Uri) -> Result<Self, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Forwarded {
            below,
            origin: format!("http://{host}{port}"),
            login: login(proxy),
            begins: true,
        })
    }
}

/// Without the login.
impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forwarded to {}", self.origin)
    }
}

/// Makes `GET /path HTTP/1.1`, at the start of `buffer[..amount]`, a line that has the origin in its
/// URL and the login after it; gives the length of all. None if it doesn't fit, or is no request.
fn rewrite(buffer: &mut [u8], amount: usize, origin: &str, login: &str) -> Option<usize> {
    let head = &buffer[..amount];
    let target = head.iter().position(|&byte| byte == b' ')? + 1;
    let line = head.windows(2).position(|end| end == b"\r\n")? + 2;
    let total = amount + origin.len() + login.len();
    if total > buffer.len() {
        return None;
    }
    let moved = line + origin.len();
    buffer.copy_within(line..amount, moved + login.len());
    buffer.copy_within(target..line, target + origin.len());
    buffer[target..target + origin.len()].copy_from_slice(origin.as_bytes());
    buffer[moved..moved + login.len()].copy_from_slice(login.as_bytes());
    Some(total)
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.below.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut amount = amount;
        if std::mem::take(&mut self.begins) {
            let buffer = self.below.buffers().output();
            amount = rewrite(buffer, amount, &self.origin, &self.login)
                .ok_or_else(|| Error::BadUri("too long for a proxy".to_owned()))?;
        }
        self.below.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.begins = true;
        self.below.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.below.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(head: &str, room: usize, login: &str) -> Option<String> {
        let mut buffer = head.as_bytes().to_vec();
        buffer.resize(room, 0);
        let total = rewrite(&mut buffer, head.len(), "http://a:1", login)?;
        Some(String::from_utf8(buffer[..total].to_vec()).unwrap())
    }

    #[test]
    fn the_url_in_full_and_the_login() {
        let head = "PUT /x?y HTTP/1.1\r\nhost: a:1\r\n\r\n";
        let full = "PUT http://a:1/x?y HTTP/1.1\r\nhost: a:1\r\n\r\n";
        assert_eq!(rewritten(head, 99, "").as_deref(), Some(full));
        let full = "PUT http://a:1/x?y HTTP/1.1\r\nL: b\r\nhost: a:1\r\n\r\n";
        assert_eq!(rewritten(head, 99, "L: b\r\n").as_deref(), Some(full));
        assert_eq!(
            rewritten(head, full.len(), "L: b\r\n").as_deref(),
            Some(full)
        );
        assert_eq!(rewritten(head, full.len() - 1, "L: b\r\n"), None);
        assert_eq!(rewritten("nothing", 99, ""), None);
    }

    #[test]
    fn what_a_proxy_says_to_connect() {
        let said = |head: &str| answer_to_connect(&mut head.as_bytes()).ok();
        let ok = (StatusCode::OK, "Connection established".to_owned());
        let head = "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\nrest";
        assert_eq!(said(head), Some(ok));
        let refused = (StatusCode::FORBIDDEN, String::new());
        assert_eq!(said("HTTP/1.1 403\r\n\r\n"), Some(refused));
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 x y\r\n\r\n",
            "hello\n\n",
        ] {
            assert_eq!(said(bad), None, "{bad}");
        }
        assert_eq!(said(&"x".repeat(MOST_HEAD + 9)), None);
    }

    #[test]
    fn whose_refusal_it_is() {
        let refusal = |status: u16, name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(
                ureq::http::HeaderName::from_static(name),
                value.parse().unwrap(),
            )]);
            let status = StatusCode::from_u16(status).unwrap();
            Refusal::of(status, &headers).map(|refusal| refusal.said)
        };
        let denied = Some("Forbidden: ERR_ACCESS_DENIED".to_owned());
        assert_eq!(refusal(403, "x-squid-error", "ERR_ACCESS_DENIED 0"), denied);
        assert!(refusal(407, "via", "x").is_some());
        assert!(refusal(501, "server", "tinyproxy/1.11.1").is_some());
        assert!(refusal(200, "server", "tinyproxy/1.11.1").is_none());
        assert!(refusal(403, "server", "AmazonS3").is_none());
    }
}
