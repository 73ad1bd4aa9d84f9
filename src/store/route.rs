//! Proxies, as the variables name them.

use super::Config;
use crate::error::{Kind, Result};
use percent_encoding::percent_decode_str;
use ureq::{Proxy, ProxyProtocol};
use url::Url;

/// The proxies for URLs of each scheme.
#[derive(Debug, Clone)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// `HTTP_PROXY` and `HTTPS_PROXY`, or `ALL_PROXY` for a scheme without its own; also in lower
    /// case. `NO_PROXY` names the hosts to reach without a proxy.
    ///
    /// # Errors
    ///
    /// [`Kind::Store`] if one isn't the URL of a proxy.
    pub fn new(config: &Config) -> Result<Self> {
        let all = ["ALL_PROXY", "all_proxy"];
        Ok(Proxies {
            http: first(config, &["http_proxy", "HTTP_PROXY"], &all)?,
            https: first(config, &["https_proxy", "HTTPS_PROXY"], &all)?,
        })
    }

    /// The proxy for a URL; none for a host that is reached without.
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.https.as_ref()?,
            _ => self.http.as_ref()?,
        };
        let is_without = |uri| proxy.is_no_proxy(&uri);
        (!url.as_str().parse().is_ok_and(is_without)).then_some(proxy)
    }
}

fn first(config: &Config, own: &[&str], all: &[&str]) -> Result<Option<Proxy>> {
    let mut names = own.iter().chain(all);
    let Some((name, value)) = names.find_map(|name| Some((name, config.variable(name)?))) else {
        return Ok(None);
    };
    let without = config.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    // Not the value, which may contain a password.
    let what = format!("{name} isn't a proxy, expected http://HOST:PORT or socks5://HOST:PORT");
    let proxy = proxy(value, without).ok_or(Kind::Store(what))?;
    Ok(Some(proxy))
}

/// The proxy that a URL names; `http://` may be left out.
fn proxy(text: &str, without: &str) -> Option<Proxy> {
    let text = match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    };
    let url = Url::parse(&text).ok()?;
    let protocol = ProxyProtocol::try_from(url.scheme()).ok()?;
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
            .ok()
    };
    let mut builder = Proxy::builder(protocol).host(url.host_str()?);
    if let Some(port) = url.port() {
        builder = builder.port(port);
    }
    if !url.username().is_empty() {
        builder = builder.username(&decoded(url.username())?);
    }
    if let Some(password) = url.password() {
        builder = builder.password(&decoded(password)?);
    }
    for host in without
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        builder = builder.no_proxy(host);
        if !host.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{host}")); // and all below it, as curl has it
        }
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies> {
        let mut config = Config::default();
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        config.variables = owned.collect();
        Proxies::new(&config)
    }

    #[test]
    fn each_scheme_has_its_own_or_that_of_all() {
        let port =
            |proxies: &Proxies, url: &str| proxies.of(&Url::parse(url).unwrap()).map(Proxy::port);
        let both =
            proxies(&[("HTTP_PROXY", "http://a:1"), ("ALL_PROXY", "socks5h://b:2")]).unwrap();
        assert_eq!(port(&both, "http://x/"), Some(1));
        assert_eq!(port(&both, "https://x/"), Some(2));
        let one = proxies(&[("https_proxy", "c:3"), ("http_proxy", "")]).unwrap();
        assert_eq!(
            (port(&one, "http://x/"), port(&one, "https://x/")),
            (None, Some(3))
        );
    }

    #[test]
    fn hosts_without_and_logins() {
        let login = "http://me:p%40ss@a:1";
        let some = proxies(&[("http_proxy", login), ("NO_PROXY", "example.org, .local")]).unwrap();
        let proxy = some.http.as_ref().unwrap();
        assert_eq!(
            (proxy.username(), proxy.password()),
            (Some("me"), Some("p@ss"))
        );
        for (host, is_without) in [
            ("example.org", true),
            ("a.example.org", true),
            ("badexample.org", false),
            ("x.local", true),
            ("127.0.0.1", false),
        ] {
            let uri = format!("http://{host}/").parse().unwrap();
            assert_eq!(proxy.is_no_proxy(&uri), is_without, "{host}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_said_without_its_password() {
        for bad in ["ftp://me:secret@a:1", "http://", "socks5://me:secret@"] {
            let error = proxies(&[("HTTPS_PROXY", bad)]).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY isn't a proxy"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
