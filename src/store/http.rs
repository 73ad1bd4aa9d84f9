//! HTTP: exchanges, redirects, retries, throttling, and what messages may say about them.
//!
//! A request is retried after a transient fault (a connection fault, a timeout, 408, 425, 429, 5xx,
//! an answer that is cut short or corrupt). The client waits a random part of a pause that doubles
//! from one try to the next (full jitter), or as long as `Retry-After` says. While a server
//! throttles (429, 503, a refused connection), fewer requests are under way: half as many after each
//! such answer, and one more after as many good answers as requests (additive increase,
//! multiplicative decrease).
//!
//! Messages name locations, but never headers or request URLs, whose query may be a signature.

use super::Config;
use super::gate::Gate;
use super::proxy::{self, Refusal, Way};
use super::route::Proxies;
use super::tls::{self, Tls};
use crate::error::{Error, Kind, Result, Service, shown};
use crate::key::Location;
use backon::{BlockingRetryable, ExponentialBuilder};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{HeaderMap, Method, Request, StatusCode, header};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::Connector;
use url::Url;

/// The most redirects in a row.
const REDIRECTS: usize = 5;
/// The most bytes of a text answer: an error, or that of an image host.
const TEXT: u64 = 1 << 20;
/// The most bytes of an answer that lists a folder, or 1000 names of a bucket.
const LIST: u64 = 64 << 20;
/// The longest `Retry-After` to obey; if a server asks for more, the client gives up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A client for one store.
pub struct Http {
    agent: ureq::Agent,
    proxies: Proxies,
    config: Config,
    throttle: Throttle,
    service: Service,
    /// Pictures that were just uploaded, and until when "not found" may be premature.
    recent: Mutex<HashMap<String, Instant>>,
}

/// A request, without the parts that all requests share.
pub struct Ask<'a> {
    /// Its method.
    pub method: Method,
    /// Its URL.
    pub url: Url,
    /// Headers, for the origin of `url` alone, as they may be secret.
    pub headers: &'a [(&'a str, String)],
    /// The value of `Authorization`, for the origin of `url` alone: a redirect to another origin
    /// doesn't get it.
    pub secret: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// The thing at the location of a picture.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The picture, as far as the server says.
    Picture,
    /// Something else, described.
    Other(String),
}

/// An answer with any status.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its URL, after redirects.
    pub url: Url,
    /// The name of the proxy that passed it on, where that may have answered in the server's place.
    through: Option<String>,
    body: ureq::Body,
    service: Service,
    /// The body as text, if it has been read already.
    text: Option<String>,
}

/// Why a try failed, and whether to retry.
#[derive(Debug)]
pub struct Fault {
    error: Error,
    transient: bool,
    /// The value of `Retry-After`.
    pause: Option<Duration>,
    throttled: bool,
}

impl Fault {
    /// A fault that a retry can't fix.
    pub fn lasting(error: impl Into<Error>) -> Self {
        Fault {
            error: error.into(),
            transient: false,
            pause: None,
            throttled: false,
        }
    }

    /// A fault that a retry may fix.
    pub fn transient(error: impl Into<Error>) -> Self {
        Fault {
            transient: true,
            ..Fault::lasting(error)
        }
    }

    /// The same fault, which a retry will fix.
    pub fn again(self) -> Self {
        Fault {
            transient: true,
            ..self
        }
    }

    /// The same fault, except that "not found" is transient while it may be premature.
    pub fn premature(self, may_be: bool) -> Self {
        let transient = self.transient || may_be && self.is_not_found();
        Fault { transient, ..self }
    }

    /// Whether something is missing.
    pub fn is_not_found(&self) -> bool {
        self.error.kind() == &Kind::NotFound
    }

    /// Whether a retry may fix it.
    pub fn is_transient(&self) -> bool {
        self.transient
    }

    /// The status of the refusal.
    pub fn status(&self) -> Option<u16> {
        match self.error.kind() {
            Kind::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Of a proxy that refused to go on.
    fn by_proxy(refusal: &Refusal) -> Self {
        let Refusal { status, said } = refusal.clone();
        let (by, number) = (Service::Proxy, status.as_u16());
        Fault {
            transient: is_transient(status),
            throttled: matches!(number, 429 | 503),
            ..Fault::lasting(Kind::Refused {
                by,
                status: number,
                said,
            })
        }
    }

    /// The same fault; if it is one of the connection, it says with whom, and a refusal by a proxy
    /// says which.
    fn of(self, whom: &str) -> Self {
        let error = match self.error.kind() {
            Kind::Io(_)
            | Kind::Refused {
                by: Service::Proxy, ..
            } => self.error.at(whom),
            _ => self.error,
        };
        Fault { error, ..self }
    }

    /// Of what came: transient if the transfer may have done it, lasting if the picture is so, as
    /// it is where the try before found the same.
    fn of_content(error: Error, is_same: bool) -> Self {
        let may_mend = match error.kind() {
            Kind::Io(_) => true,
            Kind::CutShort(_)
            | Kind::Checksum { .. }
            | Kind::BadPicture(_)
            | Kind::NotPicture("nothing")
            | Kind::Digest { .. } => !is_same,
            _ => false,
        };
        Fault {
            transient: may_mend,
            ..Fault::lasting(error)
        }
    }
}

impl Answer {
    /// A header, if it is present and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length of the body, from the headers.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Whether the body is exactly these bytes. Stops reading at the first difference.
    pub fn holds(&mut self, mut bytes: &[u8]) -> std::result::Result<bool, Fault> {
        let mut body = self.body.as_reader();
        let mut piece = vec![0; 1 << 16];
        loop {
            let count = body
                .read(&mut piece)
                .map_err(|e| Fault::transient(Error::io("connection failed", e)))?;
            if count == 0 {
                return Ok(bytes.is_empty());
            }
            match bytes.strip_prefix(&piece[..count]) {
                Some(rest) => bytes = rest,
                None => return Ok(false),
            }
        }
    }

    /// When the thing was last modified.
    pub fn changed(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header("last-modified")?).ok()
    }

    /// The body as text, up to a mebibyte; what isn't UTF-8 is replaced.
    pub fn text(&mut self) -> std::result::Result<String, Fault> {
        self.text_within(TEXT)
    }

    /// As [`Answer::text`], but up to 64 MiB, for an answer that lists what there is.
    pub fn list(&mut self) -> std::result::Result<String, Fault> {
        self.text_within(LIST)
    }

    fn text_within(&mut self, most: u64) -> std::result::Result<String, Fault> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let body = self.body.with_config().limit(most);
        let bytes = body.read_to_vec().map_err(fault)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether a retry may get a better answer. A server that can't do something, or is full, won't
    /// change its mind.
    pub fn is_transient(&self) -> bool {
        is_transient(self.status)
    }

    /// The fault for this answer, by its status; `said` is the server's explanation.
    pub fn refused(&self, said: &str) -> Fault {
        match self.status.as_u16() {
            404 | 410 => Fault::lasting(Kind::NotFound),
            _ => self.refused_upload(said),
        }
    }

    /// The fault for this answer to an upload. An upload can't be "not found".
    pub fn refused_upload(&self, said: &str) -> Fault {
        let status = self.status.as_u16();
        let said = match said.trim() {
            "" => self
                .status
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
            said => shown(said),
        };
        let said = match self.unknown_login() {
            Some(login) => format!("{said}: login of type {login}, expected Basic or Bearer"),
            None => said,
        };
        let by = self.service;
        let error = Error::from(Kind::Refused { by, status, said });
        Fault {
            error: match &self.through {
                Some(proxy) => error.at(format_args!("through {proxy}")),
                None => error,
            },
            transient: self.is_transient(),
            pause: self
                .header("retry-after")
                .and_then(|text| retry_after(text, SystemTime::now())),
            throttled: matches!(status, 429 | 503),
        }
    }

    /// The type of login that a web server requires, if we support none that it accepts.
    fn unknown_login(&self) -> Option<String> {
        if self.service != Service::Web || self.status != StatusCode::UNAUTHORIZED {
            return None;
        }
        let asked = self.headers.get_all(header::WWW_AUTHENTICATE);
        let asked: Vec<&str> = asked
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        // One header may list several, separated by commas, as their parameters are.
        let parts = asked.iter().flat_map(|value| value.split(','));
        let mut types = parts.map(|part| part.split_whitespace().next().unwrap_or_default());
        let is_ours =
            |name: &str| ["basic", "bearer"].contains(&name.to_ascii_lowercase().as_str());
        let first = asked.first()?.split_whitespace().next()?;
        (!types.any(is_ours)).then(|| shown(first))
    }
}

fn is_transient(status: StatusCode) -> bool {
    let status = status.as_u16();
    matches!(status, 408 | 425 | 429 | 500..) && !matches!(status, 501 | 505 | 507)
}

/// How long `Retry-After` asks to wait: seconds, or until a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

impl Http {
    /// A client with at most `config.jobs` requests at once.
    ///
    /// # Errors
    ///
    /// Those of [`Proxies::new`] and [`Tls::new`].
    pub fn new(config: &Config) -> Result<Self> {
        let timeouts = &config.timeouts;
        let agent_config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .user_agent(concat!("storagex/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections_per_host(config.jobs)
            .max_idle_connections(config.jobs)
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_per_write(Some(timeouts.stall))
            .build();
        let connector = Way::new(agent_config.clone())
            .chain(Gate::default())
            .chain(Tls::new(config)?);
        #[cfg(any(test, fuzzing))]
        let connector = super::hostile::Connections::new(connector, config);
        let agent = ureq::Agent::with_parts(agent_config, connector, DefaultResolver::default());
        Ok(Http {
            agent,
            proxies: Proxies::new(config)?,
            config: config.clone(),
            throttle: Throttle::new(config.jobs.max(1)),
            service: Service::Host,
            recent: Mutex::default(),
        })
    }

    /// The same client, for a server of this kind. The default is an image host.
    pub fn of(self, service: Service) -> Self {
        Http { service, ..self }
    }

    /// Runs `work` until it succeeds or fails for good; the error says if it took several tries.
    pub fn retry<T>(&self, mut work: impl FnMut() -> std::result::Result<T, Fault>) -> Result<T> {
        let started = Instant::now();
        let tries = Cell::new(0);
        let asked = Arc::new(Mutex::new(None));
        let pause = Arc::clone(&asked);
        let retrying = Cell::new(None); // from the first fault to the end
        let attempt = || {
            let _turn = self.throttle.enter();
            tries.set(tries.get() + 1);
            let result = work();
            self.throttle
                .learn(result.as_ref().err().is_some_and(|fault| fault.throttled));
            result
        };
        let pauses = ExponentialBuilder::new()
            .with_min_delay(self.config.retry.first)
            .with_max_delay(self.config.retry.longest)
            .with_max_times(self.config.retry.tries.saturating_sub(1));
        let done = attempt
            .retry(pauses)
            .when(|fault| fault.transient && fault.pause.is_none_or(|pause| pause <= PATIENCE))
            .notify(|fault, _| {
                *lock(&pause) = fault.pause;
                let counted = retrying.take();
                retrying.set(counted.or_else(|| Some(self.config.progress.retrying())));
                if let Some(pause) = fault.pause {
                    let seconds = pause.as_secs();
                    (self.config.note)(&format!("{}, trying again in {seconds} s", fault.error));
                }
            })
            .sleep(move |pause: Duration| {
                let asked = lock(&asked).take();
                std::thread::sleep(asked.unwrap_or_else(|| pause.mul_f64(fastrand::f64())));
            })
            .call();
        done.map_err(|fault| match tries.get() {
            1 => fault.error,
            tries => {
                let seconds = started.elapsed().as_secs_f64();
                fault
                    .error
                    .at(format_args!("after {tries} tries in {seconds:.1} s"))
            }
        })
    }

    /// Looks for a picture that was just uploaded, repeatedly for as long as
    /// [`Timeouts::appear`](super::Timeouts) says: some servers show it only after a while.
    pub fn look_for(
        &self,
        mut look: impl FnMut() -> std::result::Result<Found, Fault>,
    ) -> std::result::Result<Found, Fault> {
        let until = Instant::now() + self.config.timeouts.appear;
        let mut pause = (self.config.retry.first / 4).max(Duration::from_millis(1));
        loop {
            match look()? {
                Found::Nothing if Instant::now() + pause < until => std::thread::sleep(pause),
                found => return Ok(found),
            }
            pause *= 2;
        }
    }

    /// Notes that a picture is there already.
    pub fn found(&self) {
        self.config.progress.found();
    }

    /// Notes that a picture has been uploaded.
    pub fn uploaded(&self, location: &Location, bytes: usize) {
        self.config.progress.sent(bytes);
        let now = Instant::now();
        let mut recent = lock(&self.recent);
        recent.retain(|_, until| *until > now);
        recent.insert(location.to_string(), now + self.config.timeouts.appear);
    }

    /// Whether a picture was uploaded so recently that "not found" may be premature.
    pub fn is_recent(&self, location: &Location) -> bool {
        let recent = lock(&self.recent);
        recent
            .get(&location.to_string())
            .is_some_and(|until| *until > Instant::now())
    }

    /// Passes the body of a good answer to a GET to `read`, anew for every try. A picture that is
    /// wrong in the same way twice is so in the store, and no further try mends it.
    pub fn get<'a>(
        &self,
        ask: impl Fn() -> Ask<'a>,
        refused: impl Fn(&mut Answer) -> Fault,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        let mut before = None;
        self.retry(|| {
            let mut answer = self.exchange(&ask())?;
            if !answer.status.is_success() {
                return Err(refused(&mut answer));
            }
            let mut body = Counted {
                body: answer.body.as_reader(),
                bytes: 0,
            };
            read(&mut body).map_err(|error| {
                let wrong = (body.bytes, error.to_string());
                let is_same = before.as_ref() == Some(&wrong);
                before = Some(wrong);
                Fault::of_content(error, is_same)
            })
        })
    }

    /// One exchange. Follows a redirect with the same method and body or not at all, except that it
    /// GETs the location that a POST is answered with.
    pub fn exchange(&self, ask: &Ask) -> std::result::Result<Answer, Fault> {
        let (mut method, mut url) = (ask.method.clone(), ask.url.clone());
        for _ in 0..=REDIRECTS {
            let answer = self.once(ask, &method, &url)?;
            match next(&method, &answer)? {
                Some((same_or_get, next)) => (method, url) = (same_or_get, next),
                None => return Ok(answer),
            }
        }
        let what = format!("over {REDIRECTS} redirects");
        Err(Fault::lasting(Kind::Host(what)))
    }

    fn once(&self, ask: &Ask, method: &Method, url: &Url) -> std::result::Result<Answer, Fault> {
        let mut request = Request::builder().method(method).uri(url.as_str());
        if url.origin() == ask.url.origin() {
            for (name, value) in ask.headers {
                request = request.header(*name, value);
            }
            if let Some(secret) = ask.secret {
                request = request.header(header::AUTHORIZATION, secret);
            }
        }
        let unsendable =
            |_| Fault::lasting(Kind::Host("a header or URL that can't be sent".into()));
        let head = request.body(()).map_err(unsendable)?;
        let proxy = self.proxies.of(url);
        let configured = self.agent.configure_request(head).proxy(proxy.cloned());
        let head = configured.build();
        let answer = match reads(method) {
            true => self.agent.run(head),
            false => self.agent.run(head.map(|()| ask.body)),
        };
        let unanswered = |e| fault(e).of(&proxy.map_or_else(|| server(url), proxy::name));
        let (head, body) = answer.map_err(unanswered)?.into_parts();
        let through = proxy.filter(|proxy| url.scheme() == "http" && proxy::reads_requests(proxy));
        let through = through.map(proxy::name);
        if let Some(name) = &through
            && let Some(refusal) = Refusal::of(head.status, &head.headers)
        {
            return Err(Fault::by_proxy(&refusal).of(name));
        }
        for (name, value) in head
            .headers
            .iter()
            .filter(|(name, _)| limits(name.as_str()))
        {
            (self.config.rate_limit)(name.as_str(), &String::from_utf8_lossy(value.as_bytes()));
        }
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            url: url.clone(),
            through,
            body,
            service: self.service,
            text: None,
        };
        if !reads(method) {
            // To its end, so that the connection can be used again.
            let lists = method.as_str() == "PROPFIND";
            answer.text = Some(if lists {
                answer.list()?
            } else {
                answer.text()?
            });
        }
        Ok(answer)
    }
}

/// A body, and how many bytes of it have been read.
struct Counted<R> {
    body: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(to)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Whether a header states a rate limit: the usual names, with or without `X-`, and those of the
/// IETF draft.
fn limits(name: &str) -> bool {
    let name = name.strip_prefix("x-").unwrap_or(name);
    name.starts_with("ratelimit") || name.starts_with("rate-limit") || name == "retry-after"
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The target of a redirect, and the method for it; none if the answer isn't a redirect.
fn next(method: &Method, answer: &Answer) -> std::result::Result<Option<(Method, Url)>, Fault> {
    let status = answer.status.as_u16();
    let method = match status {
        301..=303 if *method == Method::POST => Method::GET,
        301 | 302 | 307 | 308 => method.clone(),
        303 if reads(method) => method.clone(),
        _ => return Ok(None),
    };
    let Some(location) = answer.header("location") else {
        return Ok(None);
    };
    let refuse = |what: &str| Fault::lasting(Kind::Host(format!("a redirect ({status}) {what}")));
    let not_url = |_| refuse("to something that isn't a URL");
    let next = answer.url.join(location).map_err(not_url)?;
    if !matches!(next.scheme(), "http" | "https") {
        return Err(refuse("to another scheme"));
    }
    if answer.url.scheme() == "https" && next.scheme() == "http" {
        return Err(refuse("from https to http"));
    }
    if !reads(&method) && next.origin() != answer.url.origin() {
        let origin = next.origin().ascii_serialization();
        return Err(refuse(&format!("of an upload to {origin}")));
    }
    Ok(Some((method, next)))
}

/// A fault of the connection. Its message doesn't contain the URL.
fn fault(error: ureq::Error) -> Fault {
    if let Some(kind) = tls::refusal(&error) {
        return Fault::lasting(kind);
    }
    match error {
        ureq::Error::Other(cause) if cause.is::<Refusal>() => {
            let refusal = cause.downcast().expect("internal error: a refusal");
            Fault::by_proxy(&refusal)
        }
        ureq::Error::Io(cause) => Fault {
            throttled: cause.kind() == std::io::ErrorKind::ConnectionRefused,
            ..Fault::transient(Error::io("connection failed", cause))
        },
        ureq::Error::Timeout(phase) => Fault::transient(
            Error::from(Kind::Io("connection failed")).because(format!("timeout: {phase}")),
        ),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BodyStalled => {
            Fault::transient(Error::from(Kind::Io("connection failed")).because(error.to_string()))
        }
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            Fault::lasting(Kind::Host("a URL that can't be requested".into()))
        }
        ureq::Error::BodyExceedsLimit(limit) => Fault::lasting(Kind::Host(format!(
            "an answer of over {limit} bytes of text"
        ))),
        other => {
            Fault::transient(Error::from(Kind::Io("no valid answer")).because(other.to_string()))
        }
    }
}

/// Host and port of a server.
fn server(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("internal error: a worker panicked")
}

/// Limits the number of requests at once.
struct Throttle {
    most: f64,
    state: Mutex<State>,
    free: Condvar,
}

struct State {
    /// At least 1; good answers add fractions until they make one more.
    limit: f64,
    active: u32,
}

/// A request that is under way.
struct Turn<'a>(&'a Throttle);

impl Throttle {
    fn new(most: usize) -> Self {
        let most = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
        Throttle {
            most,
            state: Mutex::new(State {
                limit: most,
                active: 0,
            }),
            free: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn enter(&self) -> Turn<'_> {
        let full = |state: &mut State| f64::from(state.active) + 1.0 > state.limit.max(1.0);
        let waited = self.free.wait_while(self.lock(), full);
        waited.expect("internal error: a worker panicked").active += 1;
        Turn(self)
    }

    fn learn(&self, throttled: bool) {
        let mut state = self.lock();
        state.limit = match throttled {
            true => (state.limit / 2.0).max(1.0),
            false => (state.limit + 1.0 / state.limit).min(self.most),
        };
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().active -= 1;
        self.0.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        let date = retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now);
        assert_eq!(date, Some(Duration::from_secs(60)));
        let past = retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now);
        assert_eq!(past, Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }

    /// And the client doesn't wait longer for a store that is down: a refusal takes no time.
    #[test]
    fn a_refused_connection_throttles() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let mut config = Config::default();
        config.retry.tries = 3;
        config.retry.first = Duration::from_millis(1);
        let http = Http::new(&config).unwrap();
        let started = Instant::now();
        let refused = http.retry(|| {
            http.exchange(&Ask {
                method: Method::GET,
                url: Url::parse(&url).unwrap(),
                headers: &[],
                secret: None,
                body: &[],
            })
        });
        let error = refused.err().unwrap().to_string();
        assert!(error.contains("after 3 tries"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(http.throttle.lock().limit < 1.1);
    }

    #[test]
    fn fewer_at_once_when_throttled_and_more_again_later() {
        let throttle = Throttle::new(8);
        throttle.learn(true);
        throttle.learn(true);
        let turns = [throttle.enter(), throttle.enter()];
        assert!(throttle.lock().limit < 2.1 && throttle.lock().active == 2);
        drop(turns);
        for _ in 0..10 {
            throttle.learn(true);
        }
        assert!(throttle.lock().limit < 1.1);
        for _ in 0..100 {
            throttle.learn(false);
        }
        assert!(throttle.lock().limit > 7.9);
    }
}
