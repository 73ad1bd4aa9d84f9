//! Manners on the wire: one exchange, redirects, retries, throttling, and what may be said of them.
//!
//! A request is tried until it is answered for good: what is transient (a connection fault, a
//! timeout, 408, 425, 429, 5xx, an answer that is cut short or corrupt) is tried again after a pause
//! that doubles from one try to the next, of which a random part is waited (full jitter), or as long
//! as `Retry-After` says. While a server throttles (429, 503), fewer requests are under way at once:
//! half as many after each such answer, one more after as many good ones as there are (additive
//! increase, multiplicative decrease).
//!
//! Messages name locations and never request URLs, whose query may be a signature, nor headers.

use super::Config;
use super::route::{self, Proxies};
use crate::error::{Error, Kind, Result, shown};
use backon::{BlockingRetryable, ExponentialBuilder};
use std::cell::Cell;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{HeaderMap, Method, Request, StatusCode, header};
use url::Url;

/// Redirects that are followed one after another.
const REDIRECTS: usize = 5;
/// Bytes of an answer that is text: of an error, or of an image host.
const TEXT: u64 = 1 << 20;
/// The longest that `Retry-After` is obeyed without giving up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A client for one store.
pub struct Http {
    agent: ureq::Agent,
    proxies: Proxies,
    config: Config,
    throttle: Throttle,
}

/// A request, without what every one has.
pub struct Ask<'a> {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Headers, for the origin of `url` alone, as they may be secret.
    pub headers: &'a [(&'a str, String)],
    /// The value of `Authorization`, for the origin of `url` alone: it goes along no redirect to
    /// another.
    pub secret: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// An answer of whatever status.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub url: Url,
    body: ureq::Body,
    /// The body as text, where it has been read already.
    text: Option<String>,
}

/// Why a try failed, and what is to be done about it.
#[derive(Debug)]
pub struct Fault {
    error: Error,
    transient: bool,
    /// What `Retry-After` says.
    pause: Option<Duration>,
    throttled: bool,
}

impl Fault {
    /// A fault that another try won't mend.
    pub fn lasting(error: impl Into<Error>) -> Self {
        Fault {
            error: error.into(),
            transient: false,
            pause: None,
            throttled: false,
        }
    }

    /// A fault that another try may mend.
    pub fn transient(error: impl Into<Error>) -> Self {
        Fault {
            transient: true,
            ..Fault::lasting(error)
        }
    }

    /// Of what came: transient if the transfer may have done it, lasting if the picture is so.
    fn of_content(error: Error) -> Self {
        let may_mend = matches!(
            error.kind(),
            Kind::CutShort(_)
                | Kind::Checksum { .. }
                | Kind::BadPng
                | Kind::NotPng("nothing")
                | Kind::Digest { .. }
                | Kind::Io(_)
        );
        Fault {
            transient: may_mend,
            ..Fault::lasting(error)
        }
    }
}

impl Answer {
    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length that the body is said to have.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// When what it is of was last changed.
    pub fn changed(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.header("last-modified")?).ok()
    }

    /// The body as text, up to a mebibyte; what isn't UTF-8 is replaced.
    pub fn text(&mut self) -> std::result::Result<String, Fault> {
        if let Some(text) = &self.text {
            return Ok(text.clone());
        }
        let body = self.body.with_config().limit(TEXT).lossy_utf8(true);
        body.read_to_string().map_err(fault)
    }

    /// Whether another try may be answered better.
    pub fn is_transient(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 425 | 429 | 500..)
    }

    /// The fault that this answer is, by its status; `said` is what the server says of it.
    pub fn refused(&self, said: &str) -> Fault {
        let status = self.status.as_u16();
        let reason = self.status.canonical_reason().unwrap_or_default();
        let said = match said.trim() {
            "" => reason.to_owned(),
            said => shown(said),
        };
        let kind = match status {
            404 | 410 => Kind::NotFound,
            _ => Kind::Refused { status, said },
        };
        Fault {
            error: kind.into(),
            transient: self.is_transient(),
            pause: self
                .header("retry-after")
                .and_then(|text| retry_after(text, SystemTime::now())),
            throttled: matches!(status, 429 | 503),
        }
    }
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
    /// A client that has at most `config.jobs` requests under way at once.
    ///
    /// # Errors
    ///
    /// Those of [`Proxies::new`] and [`route::trust`].
    pub fn new(config: &Config) -> Result<Self> {
        let timeouts = &config.timeouts;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            .tls_config(route::trust(config)?)
            .user_agent(concat!("storagex/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections_per_host(config.jobs)
            .max_idle_connections(config.jobs)
            .timeout_connect(Some(timeouts.connect))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_per_read(Some(timeouts.stall))
            .timeout_per_write(Some(timeouts.stall))
            .build()
            .new_agent();
        Ok(Http {
            agent,
            proxies: Proxies::new(config)?,
            config: config.clone(),
            throttle: Throttle::new(config.jobs),
        })
    }

    /// Runs `work` until it is done or fails for good, and says so if it took several tries.
    pub fn retry<T>(&self, mut work: impl FnMut() -> std::result::Result<T, Fault>) -> Result<T> {
        let started = Instant::now();
        let tries = Cell::new(0);
        let asked = Arc::new(Mutex::new(None));
        let pause = Arc::clone(&asked);
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

    /// Gives `read` the body of a good answer to a GET, anew for every try.
    pub fn get<'a>(
        &self,
        ask: impl Fn() -> Ask<'a>,
        refused: impl Fn(&mut Answer) -> Fault,
        read: &mut dyn FnMut(&mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        self.retry(|| {
            let mut answer = self.exchange(&ask())?;
            if !answer.status.is_success() {
                return Err(refused(&mut answer));
            }
            read(&mut answer.body.as_reader()).map_err(Fault::of_content)
        })
    }

    /// One exchange, redirects followed: with the same method and body, or not at all; but what was
    /// posted, and is answered with where to look, is looked at there.
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
        let configured = self.agent.configure_request(head).proxy(proxy);
        let head = configured.build();
        let answer = match reads(method) {
            true => self.agent.run(head),
            false => self.agent.run(head.map(|()| ask.body)),
        };
        let (head, body) = answer.map_err(fault)?.into_parts();
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
            body,
            text: None,
        };
        if !reads(method) {
            // To its end, so that the connection can be used again.
            answer.text = Some(answer.text()?);
        }
        Ok(answer)
    }
}

/// Whether a header says how much a server allows: those that the field has in use, with `X-` or
/// without, and the draft of the IETF.
fn limits(name: &str) -> bool {
    let name = name.strip_prefix("x-").unwrap_or(name);
    name.starts_with("ratelimit") || name.starts_with("rate-limit") || name == "retry-after"
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Where a redirect leads to, and with which method; none where the answer is none.
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
    let not_url = |_| refuse("to what is no URL");
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

/// A fault of the connection. What it says doesn't have the URL.
fn fault(error: ureq::Error) -> Fault {
    /// What rustls says of a certificate that it refuses, whichever error it stands in.
    const UNTRUSTED: &str = "invalid peer certificate: ";
    let text = error.to_string();
    if let Some((_, why)) = text.split_once(UNTRUSTED) {
        return Fault::lasting(Kind::Untrusted(shown(why)));
    }
    match error {
        ureq::Error::Io(cause) => Fault::transient(Error::io("connection failed", cause)),
        ureq::Error::Timeout(phase) => Fault::transient(
            Error::from(Kind::Io("connection failed")).because(format!("timeout: {phase}")),
        ),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BodyStalled => {
            Fault::transient(Error::from(Kind::Io("connection failed")).because(error.to_string()))
        }
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            Fault::lasting(Kind::Host("a URL that can't be asked".into()))
        }
        ureq::Error::BodyExceedsLimit(limit) => Fault::lasting(Kind::Host(format!(
            "an answer of over {limit} bytes of text"
        ))),
        other => {
            Fault::transient(Error::from(Kind::Io("no valid answer")).because(other.to_string()))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("internal error: a worker panicked")
}

/// How many requests may be under way.
struct Throttle {
    most: f64,
    state: Mutex<State>,
    free: Condvar,
}

struct State {
    /// At least 1; a fraction is what good answers have earned of one more.
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
