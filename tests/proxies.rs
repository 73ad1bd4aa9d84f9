//! Stores behind forward proxies: http is asked by the URL in full, https through a tunnel; what a
//! proxy refuses is said at once, and who refused it.

mod net;

use net::bare::Bare;
use net::forward::{Forward, Rules};
use net::tls::{Certificate, TlsServer};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storagex::key::{Digest, Location};
use storagex::store::{self, Config, Store};
use storagex::wire::carrier::pixels;
use storagex::wire::frame::Size;
use storagex::{Error, Kind, Result, Service};

fn config(variables: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    config.variables = owned.collect();
    config.retry.tries = 3;
    config.retry.first = Duration::from_millis(5);
    config.timeouts.answer = Duration::from_secs(2);
    config
}

fn picture() -> (Digest, Vec<u8>) {
    let size = Size {
        width: 16,
        height: 16,
    };
    let mut bytes = b"hello".to_vec();
    bytes.resize(size.pixel_bytes(), 7);
    let mut png = Vec::new();
    pixels::render(&bytes, size, &mut png);
    (Digest::of(&bytes), png)
}

fn read(store: &dyn Store, location: &Location) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.get(location, &mut |body| {
        bytes.clear();
        body.read_to_end(&mut bytes).map_err(Error::input)?;
        Ok(())
    })?;
    Ok(bytes)
}

/// Puts a picture and gets it back.
fn round_trip(name: &str, config: &Config) -> Result<()> {
    let store: Arc<dyn Store> = store::open(name.as_ref(), config)?;
    let (digest, png) = picture();
    let location = store.put(&digest.into(), &png)?;
    assert!(read(store.as_ref(), &location)? == png);
    Ok(())
}

/// The URL of a proxy, with the login that it wants.
fn url(proxy: &Forward) -> String {
    format!("http://me:p%40ss@{}", proxy.address)
}

#[test]
fn http_is_asked_by_the_url_in_full() {
    for login in [false, true] {
        let server = Bare::new(&[]);
        let port = server.address.port();
        let proxy = Forward::new(Rules {
            login,
            ..Rules::default()
        });
        // Only the proxy knows the host: nobody else looks it up.
        let name = format!("http://store.invalid:{port}/folder/");
        round_trip(&name, &config(&[("HTTP_PROXY", &url(&proxy))])).unwrap();
        let seen = proxy.seen();
        let put = format!("PUT http://store.invalid:{port}/folder/");
        assert!(seen.iter().any(|line| line.starts_with(&put)), "{seen:?}");
        assert!(seen.iter().all(|line| !line.starts_with("CONNECT")));
        let seen = server.seen.lock().unwrap();
        let host = format!("host: store.invalid:{port}\r\n");
        assert!(seen.iter().all(|head| head.contains(&host)), "{seen:?}");
        assert!(
            seen.iter()
                .all(|head| !head.to_lowercase().contains("proxy-auth"))
        );
    }
}

#[test]
fn a_signed_request_passes() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("bucket")).unwrap();
    let server = net::s3(folder.path());
    let proxy = Forward::new(Rules::default());
    let config = config(&[
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "SK"),
        ("AWS_ENDPOINT_URL", &format!("http://{server}")),
        ("ALL_PROXY", &url(&proxy)),
    ]);
    round_trip("s3://bucket/prefix", &config).unwrap();
    assert!(proxy.seen().len() >= 2);
}

/// Gets a picture over https; gives what came of it.
fn over_tls(server: &TlsServer, proxy: &str, folder: &Path) -> Result<Vec<u8>> {
    let file = folder.join("certificates.pem");
    fs::write(&file, &server.pem).unwrap();
    let config = config(&[
        ("SSL_CERT_FILE", file.to_str().unwrap()),
        ("HTTPS_PROXY", proxy),
    ]);
    let location = format!("https://localhost:{}/picture.png", server.address.port());
    let location: Location = location.parse().unwrap();
    let store = store::at(&location, &config).unwrap();
    read(store.as_ref(), &location)
}

#[test]
fn https_goes_through_a_tunnel() {
    let folder = tempfile::tempdir().unwrap();
    let (_, png) = picture();
    let server = TlsServer::new(Certificate::Authority, &png);
    for login in [false, true] {
        let proxy = Forward::new(Rules {
            login,
            tunnel_to: Some(server.address.port()),
            refuses: None,
        });
        let came = over_tls(&server, &url(&proxy), folder.path()).unwrap();
        assert!(came == png);
        let line = format!("CONNECT localhost:{} HTTP/1.1", server.address.port());
        assert_eq!(proxy.seen(), [line]);
    }
}

/// Checks that this is a refusal by this proxy, made at once, that tells no password.
fn is_refused_at_once(error: &Error, status: u16, proxy: &Forward) {
    let by_proxy = match error.kind() {
        Kind::Refused { by, status, .. } => Some((*by, *status)),
        _ => None,
    };
    assert_eq!(by_proxy, Some((Service::Proxy, status)), "{error}");
    let text = error.to_string();
    let says = format!("proxy http://{}: HTTP {status}", proxy.address);
    assert!(text.contains(&says), "{text}");
    assert!(!text.contains("ss@") && !text.contains("tries"), "{text}");
}

#[test]
fn a_refusal_is_said_at_once_and_names_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Bare::new(&[]);
    let secure = TlsServer::new(Certificate::Authority, b"");
    for status in [403, 407, 501] {
        let proxy = Forward::new(Rules {
            refuses: Some(status),
            ..Rules::default()
        });
        let name = format!("http://{}/folder/", server.address);
        let error = round_trip(&name, &config(&[("HTTP_PROXY", &url(&proxy))])).unwrap_err();
        is_refused_at_once(&error, status, &proxy);
        assert_eq!(proxy.seen().len(), 1, "{status}: {:?}", proxy.seen());
        let error = over_tls(&secure, &url(&proxy), folder.path()).unwrap_err();
        is_refused_at_once(&error, status, &proxy);
        assert_eq!(proxy.seen().len(), 2, "{status}: {:?}", proxy.seen());
    }
}

#[test]
fn a_login_that_is_missing_or_wrong_is_refused_at_once() {
    let server = Bare::new(&[]);
    let name = format!("http://{}/folder/", server.address);
    let proxy = Forward::new(Rules {
        login: true,
        ..Rules::default()
    });
    for login in ["", "me:wrong@"] {
        let url = format!("http://{login}{}", proxy.address);
        let error = round_trip(&name, &config(&[("HTTP_PROXY", &url)])).unwrap_err();
        is_refused_at_once(&error, 407, &proxy);
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[test]
fn what_the_server_refuses_is_the_servers_and_names_the_way() {
    let server = Bare::new(&[net::bare::Quirk::ReadOnly(403)]);
    let name = format!("http://{}/folder/", server.address);
    let proxy = Forward::new(Rules::default());
    let error = round_trip(&name, &config(&[("HTTP_PROXY", &url(&proxy))])).unwrap_err();
    let is_of_server = matches!(
        error.kind(),
        Kind::Refused {
            by: Service::Web,
            status: 403,
            ..
        }
    );
    assert!(is_of_server, "{error}");
    let says = format!("through proxy http://{}: HTTP 403", proxy.address);
    assert!(error.to_string().contains(&says), "{error}");
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn who_does_not_answer_is_named() {
    let (server, proxy) = (nobody(), nobody());
    let says = |name: &str, proxy: Option<&str>| {
        let variables = proxy.map(|proxy| [("HTTP_PROXY", proxy), ("HTTPS_PROXY", proxy)]);
        let variables = variables.as_ref().map_or(&[][..], |variables| variables);
        round_trip(name, &config(variables))
            .unwrap_err()
            .to_string()
    };
    let direct = says(&format!("http://{server}/folder/"), None);
    let refused = format!("{server}: connection failed: Connection refused");
    assert!(direct.ends_with(&refused), "{direct}");
    let unknown = says("http://store.invalid/folder/", None);
    assert!(
        unknown.contains("store.invalid:80: connection failed"),
        "{unknown}"
    );
    for scheme in ["http", "https"] {
        for way in ["http", "socks5h"] {
            let login = format!("{way}://me:secret@{proxy}");
            let said = says(&format!("{scheme}://{server}/folder/"), Some(&login));
            let refused = format!("proxy {way}://{proxy}: connection failed: Connection refused");
            assert!(said.ends_with(&refused), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}

#[test]
fn hosts_of_no_proxy_are_reached_without() {
    let server = Bare::new(&[]);
    let proxy = Forward::new(Rules::default());
    let name = format!("http://{}/folder/", server.address);
    let variables = [("HTTP_PROXY", &*url(&proxy)), ("NO_PROXY", "127.0.0.1")];
    round_trip(&name, &config(&variables)).unwrap();
    assert_eq!(proxy.seen(), Vec::<String>::new());
}
