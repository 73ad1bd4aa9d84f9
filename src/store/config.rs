//! What stores are told: nothing here reads the environment, who calls does.

use super::host::Verify;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How stores are reached.
#[derive(Clone)]
pub struct Config {
    /// Variables as an environment has them: `AWS_*`, `SX_HTTP_*`, `HOME`, `NETRC`,
    /// `HTTPS_PROXY` and its like, `SSL_CERT_FILE`. Default: none.
    pub variables: BTreeMap<String, String>,
    /// Requests that are under way at once, at most. Default: 8.
    pub jobs: usize,
    /// Tries and the pauses between them.
    pub retry: Retry,
    /// When a connection is given up.
    pub timeouts: Timeouts,
    /// What image hosts ask their users: answers by name. Default: none.
    pub set: BTreeMap<String, String>,
    /// Which pictures are read back from an image host. Default: the first of a run.
    pub verify: Verify,
    /// The file that the URLs are added to by which image hosts delete pictures. Default: none.
    pub deletions: Option<PathBuf>,
    /// Called with what a user may want to know while it goes on. Default: nothing is done with it.
    pub note: Arc<dyn Fn(&str) + Send + Sync>,
    /// Called with name and value of each header that says how much a server allows. Default: nothing
    /// is done with it.
    pub rate_limit: RateLimit,
}

/// Takes name and value of a header.
pub type RateLimit = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// How often, and after which pauses, a request is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries in all. Default: 8.
    pub tries: usize,
    /// The first pause is a random part of this, each next one of twice as much. Default: 0.5 s.
    pub first: Duration,
    /// But of no more than this. Default: 30 s.
    pub longest: Duration,
}

/// There is none for a request as a whole: a slow line may take long.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands. Default: 10 s.
    pub connect: Duration,
    /// Until the first byte of an answer. Default: 60 s.
    pub answer: Duration,
    /// From one piece of a request or an answer to the next. Default: 30 s.
    pub stall: Duration,
}

/// Without the variables, among which there are secrets.
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
            },
            set: BTreeMap::new(),
            verify: Verify::First,
            deletions: None,
            note: Arc::new(|_| {}),
            rate_limit: Arc::new(|_, _| {}),
        }
    }
}

impl Config {
    /// A variable that is there and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The first of these variables that is there and not empty.
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
