//! The settings of stores. Nothing here reads the environment: the caller does.

use super::Store;
use super::verified::Verify;
use crate::progress::Progress;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach stores.
#[derive(Clone)]
pub struct Config {
    /// Variables as an environment has them: `AWS_*`, `SX_HTTP_*`, `HOME`, `NETRC`,
    /// `HTTPS_PROXY` and its like, `SSL_CERT_FILE`. Default: none.
    pub variables: BTreeMap<String, String>,
    /// The most requests at once. Default: 8.
    pub jobs: usize,
    /// Tries and the pauses between them.
    pub retry: Retry,
    /// When to give up a connection.
    pub timeouts: Timeouts,
    /// Answers to the questions of image hosts, by name. Default: none.
    pub set: BTreeMap<String, String>,
    /// Which pictures to read back after they have been put. Default: the first of a run.
    pub verify: Verify,
    /// The file to which to append the URLs that delete pictures of image hosts. Default: none.
    pub deletions: Option<PathBuf>,
    /// The caller's own stores, each for the names and locations that begin with its text. They
    /// take precedence over the built-in stores. Default: none.
    pub own: Vec<(String, Arc<dyn Store>)>,
    /// Counts what stores find and receive, and requests that wait for another try.
    pub progress: Progress,
    /// Called with notes that a user may want to see meanwhile. Default: ignores them.
    pub note: Arc<dyn Fn(&str) + Send + Sync>,
    /// Called with name and value of each rate limit header. Default: ignores them.
    pub rate_limit: RateLimit,
    /// What every server answers, in place of the network.
    #[cfg(any(test, fuzzing))]
    pub(crate) answers: Option<super::hostile::Canned>,
}

/// A function of the name and value of a header.
pub type RateLimit = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// How often, and after which pauses, to retry a request.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries in all. Default: 8.
    pub tries: usize,
    /// The first pause is a random part of this; each next one, of twice as much. Default: 0.5 s.
    pub first: Duration,
    /// The limit of this doubling. Default: 30 s.
    pub longest: Duration,
}

/// There is no limit for a whole request: a slow line may take long.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection is established. Default: 10 s.
    pub connect: Duration,
    /// Until the first byte of an answer. Default: 60 s.
    pub answer: Duration,
    /// From one piece of a request or an answer to the next. Default: 30 s.
    pub stall: Duration,
    /// Until an uploaded picture is visible, on servers that are eventually consistent; after that,
    /// "not found" counts. Default: 5 s.
    pub appear: Duration,
}

/// Without the variables, which include secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Config");
        fields.field("jobs", &self.jobs).field("retry", &self.retry);
        fields.finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            variables: BTreeMap::new(),
            jobs: 8,
            retry: Retry {
                tries: 8,
                first: Duration::from_millis(500),
                longest: Duration::from_secs(30),
            },
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                answer: Duration::from_secs(60),
                stall: Duration::from_secs(30),
                appear: Duration::from_secs(5),
            },
            set: BTreeMap::new(),
            verify: Verify::First,
            deletions: None,
            progress: Progress::default(),
            own: Vec::new(),
            note: Arc::new(|_| {}),
            rate_limit: Arc::new(|_, _| {}),
            #[cfg(any(test, fuzzing))]
            answers: None,
        }
    }
}

impl Config {
    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The caller's own store for a name or a location.
    pub(super) fn own(&self, name: &str) -> Option<Arc<dyn Store>> {
        let mut own = self.own.iter();
        let found = own.find(|(start, _)| name.starts_with(start.as_str()));
        found.map(|(_, store)| Arc::clone(store))
    }

    /// The first of these variables that is set and not empty.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variable(name))
    }

    /// The file that a variable names, or else one below `$HOME`.
    #[must_use]
    pub fn file(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let home = || {
            self.variable("HOME")
                .map(|home| PathBuf::from(home).join(below_home))
        };
        self.variable(variable).map(PathBuf::from).or_else(home)
    }
}
