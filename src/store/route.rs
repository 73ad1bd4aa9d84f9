//! The way to a server, as the variables name it: proxies, and the certificates that are trusted.

use super::Config;
use crate::error::{Error, Kind, Result};
use percent_encoding::percent_decode_str;
use std::fs;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Proxy, ProxyProtocol};
use url::Url;

/// The proxies for URLs of each scheme.
#[derive(Debug, Clone)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// `HTTP_PROXY` and `HTTPS_PROXY`, or `ALL_PROXY` where that of a scheme isn't set; in lower case,
    /// too. `NO_PROXY` names the hosts that are reached without.
    ///
    /// # Errors
    ///
    /// [`Kind::Store`] where one is no URL of a proxy.
    pub fn new(config: &Config) -> Result<Self> {
        let all = ["ALL_PROXY", "all_proxy"];
        Ok(Proxies {
            http: first(config, &["http_proxy", "HTTP_PROXY"], &all)?,
            https: first(config, &["https_proxy", "HTTPS_PROXY"], &all)?,
        })
    }

    /// The proxy for a URL.
    pub fn of(&self, url: &Url) -> Option<Proxy> {
        match url.scheme() {
            "https" => self.https.clone(),
            _ => self.http.clone(),
        }
    }
}

fn first(config: &Config, own: &[&str], all: &[&str]) -> Result<Option<Proxy>> {
    let mut names = own.iter().chain(all);
    let Some((name, value)) = names.find_map(|name| Some((name, config.variable(name)?))) else {
        return Ok(None);
    };
    let without = config.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    // And not what it is, which may have a password.
    let what = format!("{name} is no proxy, expected http://HOST:PORT or socks5://HOST:PORT");
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

/// Whom to trust: the certificates in the file that `SSL_CERT_FILE` names (PEM), else Mozilla's.
///
/// # Errors
///
/// [`Kind::Io`], and [`Kind::Store`] where there is none in that file.
pub fn trust(config: &Config) -> Result<TlsConfig> {
    let Some(path) = config.variable("SSL_CERT_FILE") else {
        return Ok(TlsConfig::default());
    };
    let pem = fs::read(path).map_err(|e| Error::io("cannot read", e).at(path))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let what = "no certificate, expected some in PEM: SSL_CERT_FILE names this file";
        return Err(Error::from(Kind::Store(what.into())).at(path));
    }
    let roots = RootCerts::new_with_certs(&certificates);
    Ok(TlsConfig::builder().root_certs(roots).build())
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
        let port = |proxies: &Proxies, url: &str| {
            proxies
                .of(&Url::parse(url).unwrap())
                .map(|proxy| proxy.port())
        };
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
            assert!(error.starts_with("HTTPS_PROXY is no proxy"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
