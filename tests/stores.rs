//! The contract that every store keeps: the promises of [`Store`], in small checks, offline. A store
//! takes a line in `STORES`; those on the network have a proxy before them that misbehaves.

mod net;

use net::bare::{Bare, Quirk};
use net::proxy::{Does, Proxy, Seen};
use net::tls::{Certificate, TlsServer};
use std::fs;
use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use storagex::key::{Digest, Location, Name};
use storagex::store::{self, Batch, Config, Shelf, Store, Verify};
use storagex::wire::DEFAULT_LIMIT;
use storagex::wire::carrier::{container, pixels};
use storagex::wire::frame::Size;
use storagex::{Error, Key, Kind, Result, get};
use tempfile::TempDir;

/// What makes a store for a check, empty and its own.
type Make = fn() -> Subject;

const STORES: [(&str, Make); 3] = [("dir", dir), ("s3", s3), ("web", web)];

/// A store, and the ways to look behind it.
struct Subject {
    store: Arc<dyn Store>,
    /// A second one of the same pictures, as another process has it.
    other: Arc<dyn Store>,
    config: Config,
    /// The folder that the pictures end up in.
    folder: PathBuf,
    /// What stands before a store on the network.
    proxy: Option<Proxy>,
    _keep: TempDir,
}

fn dir() -> Subject {
    let keep = tempfile::tempdir().unwrap();
    let folder = keep.path().join("new/store");
    subject(
        folder.to_str().unwrap(),
        config(&[]),
        folder.clone(),
        None,
        keep,
    )
}

fn s3() -> Subject {
    let keep = tempfile::tempdir().unwrap();
    let folder = keep.path().join("bucket");
    fs::create_dir(&folder).unwrap();
    let proxy = Proxy::new(net::s3(keep.path()));
    let config = s3_config(proxy.address, "SK");
    subject(
        "s3://bucket/some/prefix of ü",
        config,
        folder.join("some/prefix of ü"),
        Some(proxy),
        keep,
    )
}

fn s3_config(address: SocketAddr, secret: &str) -> Config {
    config(&[
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_ENDPOINT_URL", &format!("http://{address}")),
    ])
}

fn web() -> Subject {
    let keep = tempfile::tempdir().unwrap();
    let folder = keep.path().join("dav");
    fs::create_dir(&folder).unwrap();
    let proxy = Proxy::new(net::dav(&folder));
    let name = format!("http://{}/new/store/", proxy.address);
    let config = web_config(net::PASSWORD);
    subject(&name, config, folder.join("new/store"), Some(proxy), keep)
}

fn web_config(password: &str) -> Config {
    config(&[("SX_HTTP_USER", net::USER), ("SX_HTTP_PASSWORD", password)])
}

/// Little patience, so that checks of what goes wrong are quick.
fn config(variables: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    let owned = variables
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    config.variables = owned.collect();
    config.retry.tries = 6;
    config.retry.first = Duration::from_millis(5);
    config.timeouts.answer = Duration::from_millis(400);
    config.timeouts.stall = Duration::from_millis(400);
    config
}

fn subject(
    name: &str,
    config: Config,
    folder: PathBuf,
    proxy: Option<Proxy>,
    keep: TempDir,
) -> Subject {
    let open = || store::open(name.as_ref(), &config).unwrap();
    Subject {
        store: open(),
        other: open(),
        config: config.clone(),
        folder,
        proxy,
        _keep: keep,
    }
}

/// A picture of pixels that begin with these, and its digest.
fn picture(start: &[u8]) -> (Digest, Vec<u8>) {
    let size = Size {
        width: 100,
        height: 100,
    };
    let mut bytes = vec![0; size.pixel_bytes()];
    bytes[..start.len()].copy_from_slice(start);
    let mut png = Vec::new();
    pixels::render(&bytes, size, &mut png);
    (Digest::of(&bytes), png)
}

fn read(store: &dyn Store, location: &Location) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.get(location, &mut |from| {
        bytes.clear();
        from.read_to_end(&mut bytes).map(drop).map_err(Error::input)
    })?;
    Ok(bytes)
}

fn every_file(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                every_file(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Runs a check on every store that is on the network.
fn each_on_the_network(check: impl Fn(&Subject, &Proxy)) {
    each(|subject| {
        if let Some(proxy) = &subject.proxy {
            check(subject, proxy);
        }
    });
}

/// Runs a check on every store.
fn each(check: impl Fn(&Subject)) {
    for (name, make) in STORES {
        println!("{name}");
        check(&make());
    }
}

#[test]
fn put_then_get_gives_the_same() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        subject.store.sync().unwrap();
        assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        assert!(read(subject.other.as_ref(), &location).unwrap() == png);
        assert_eq!(
            read(
                store::at(&location, &subject.config).unwrap().as_ref(),
                &location
            )
            .unwrap(),
            png
        );
    });
}

#[test]
fn a_location_names_the_digest() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        assert!(location.to_string().ends_with(&digest.name()), "{location}");
        assert_eq!(
            location.reference(&digest.into()),
            format!("../{}", digest.name())
        );
        assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
    });
}

/// A store is opened again by what its keys say of it: a lost picture comes back to its place.
#[test]
fn a_repair_finds_the_store_of_a_key() {
    each(|subject| {
        let mut frames = Vec::new();
        let bytes = std::io::Cursor::new(vec![7; 3000]);
        storagex::encode(bytes, &mut frames, &storagex::encode::Options::default()).unwrap();
        let options = storagex::put::Options {
            parity: Some("1+1".parse().unwrap()),
            ..Default::default()
        };
        let stores = [Arc::clone(&subject.store)];
        let done = storagex::put(std::io::Cursor::new(frames), &stores, &options).unwrap();
        let mut before = every_file(&subject.folder);
        before.sort();
        let options = storagex::get::Options {
            store: subject.config.clone(),
            ..Default::default()
        };
        for lost in &before {
            fs::remove_file(lost).unwrap();
            let repaired = storagex::get::repair(&done.keys, &options).unwrap();
            assert_eq!((repaired.stored, &repaired.keys), (1, &done.keys));
            let top = subject.folder.ancestors().nth(2).unwrap();
            let mut after = every_file(top);
            after.retain(|path| path.extension().is_some_and(|end| end == "png"));
            after.sort();
            assert_eq!(after, before);
        }
    });
}

#[test]
fn put_twice_is_as_good_as_once() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let first = subject.store.put(&digest.into(), &png).unwrap();
        let again = subject.other.put(&digest.into(), &png).unwrap();
        assert_eq!(first, again);
        assert!(read(subject.store.as_ref(), &first).unwrap() == png);
        assert_eq!(every_file(&subject.folder).len(), 1);
    });
}

#[test]
fn what_is_there_and_good_is_not_written_again() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        subject.store.put(&digest.into(), &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        let before = fs::metadata(file).unwrap();
        subject.other.put(&digest.into(), &png).unwrap();
        let after = fs::metadata(file).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    });
}

#[test]
fn what_is_there_and_damaged_is_replaced() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        for bad in [&png[..png.len() / 2], b""] {
            fs::write(file, bad).unwrap();
            subject.store.put(&digest.into(), &png).unwrap();
            assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        }
    });
}

#[test]
fn many_at_once_and_the_same_at_once() {
    each(|subject| {
        let pictures = || (0..80u8).map(|i| picture(&[i / 2, i % 2]));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let turn = move |n: &usize| n % 4 == thread % 4;
                scope.spawn(move || {
                    for (_, (digest, png)) in pictures().enumerate().filter(|(n, _)| turn(n)) {
                        subject.store.put(&digest.into(), &png).unwrap();
                    }
                });
            }
        });
        for (digest, png) in pictures() {
            let location = subject.other.put(&digest.into(), &png).unwrap();
            assert!(fetch(subject, &location).unwrap() == png);
        }
        assert_eq!(every_file(&subject.folder).len(), 80);
    });
}

/// While one writes a picture over and over, others see it whole or not at all; but for web servers
/// that write in place.
#[test]
fn nobody_sees_half_a_picture() {
    for subject in &[dir(), s3()] {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        let file = subject.folder.join(digest.name());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..200 {
                    fs::remove_file(&file).unwrap();
                    subject.store.put(&digest.into(), &png).unwrap();
                }
            });
            while !writer.is_finished() {
                match fetch(subject, &location) {
                    Ok(bytes) => assert!(bytes == png, "{} bytes", bytes.len()),
                    Err(e) => assert_eq!(e.kind(), &Kind::NotFound),
                }
            }
        });
    }
}

/// Servers say each of these where the folder of a picture is missing.
#[test]
fn missing_folders_are_made() {
    for status in [404, 405, 409, 500] {
        let subject = web();
        let proxy = subject.proxy.as_ref().unwrap();
        proxy.does(move |n, request| match (request.method.as_str(), n) {
            ("PUT", 0) => answer(status, &[], ""),
            _ => Does::Pass,
        });
        let (digest, png) = picture(b"folders");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        let made = proxy
            .seen()
            .iter()
            .filter(|seen| seen.method == "MKCOL")
            .count();
        assert!(made > 0, "{status}");
    }
}

#[test]
fn what_is_missing_is_not_found() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let there = subject.store.put(&digest.into(), &png).unwrap();
        let (missing, _) = picture(b"missing");
        let location = there.to_string().replace(&digest.name(), &missing.name());
        let location: Location = location.parse().unwrap();
        let error = read(subject.store.as_ref(), &location).unwrap_err();
        assert_eq!(error.kind(), &Kind::NotFound);
        let error = subject.store.made(&location).unwrap_err();
        assert_eq!(error.kind(), &Kind::NotFound);
    });
}

#[test]
fn when_it_was_put_is_known_or_not() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        if let Some(made) = subject.store.made(&location).unwrap() {
            assert!(made.elapsed().unwrap_or_default().as_secs() < 3600);
        }
    });
}

/// In a folder, what is there is compared by its digest; a server is asked for its length alone.
#[test]
fn another_picture_in_a_folder_is_replaced() {
    let subject = dir();
    let (digest, png) = picture(b"hello");
    let location = subject.store.put(&digest.into(), &png).unwrap();
    fs::write(&every_file(&subject.folder)[0], picture(b"other").1).unwrap();
    subject.store.put(&digest.into(), &png).unwrap();
    assert!(read(subject.store.as_ref(), &location).unwrap() == png);
}

/// Puts a picture while the proxy does something to the requests that match, and gets it back.
fn survives(does: Does, when: fn(usize, &Seen) -> bool) {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let does = does.clone();
        proxy.does(move |n, seen| {
            if when(n, seen) {
                does.clone()
            } else {
                Does::Pass
            }
        });
        let location = subject.store.put(&digest.into(), &png).unwrap();
        assert!(fetch(subject, &location).unwrap() == png);
        assert_eq!(every_file(&subject.folder).len(), 1);
    });
}

/// Reads a picture as sx-get does: one that is damaged is an error of who reads.
fn fetch(subject: &Subject, location: &Location) -> Result<Vec<u8>> {
    let (mut png, mut bytes) = (Vec::new(), Vec::new());
    subject.store.get(location, &mut |from| {
        container::single(from, DEFAULT_LIMIT, &mut png)?;
        pixels::parse(&png, &mut bytes).map(drop)
    })?;
    Ok(png)
}

/// The message of a put that fails for good, how often it was tried, and how long that took.
fn refused(
    subject: &Subject,
    proxy: &Proxy,
    does: impl Fn(&Seen) -> Does + Send + Sync + 'static,
) -> (Error, usize) {
    let (digest, png) = picture(b"hello");
    proxy.does(move |_, seen| does(seen));
    let error = subject.store.put(&digest.into(), &png).unwrap_err();
    assert!(error.to_string().contains(&digest.name()), "{error}");
    (error, proxy.seen().len())
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Does {
    let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    Does::Answer(status, headers, body.as_bytes().to_vec())
}

#[test]
fn a_fault_then_fine() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        survives(answer(status, &[], "busy"), |n, _| n < 1);
    }
    survives(Does::Drop, |n, _| n < 1);
    survives(Does::Hang, |n, _| n == 0);
}

#[test]
fn an_answer_that_is_lost_after_storing_does_no_harm() {
    survives(Does::Swallow, |n, seen| seen.method == "PUT" && n < 2);
}

#[test]
fn an_upload_that_is_cut_is_made_good() {
    survives(Does::CutUpload(10_000), |n, seen| {
        seen.method == "PUT" && n < 2
    });
}

#[test]
fn an_answer_that_is_cut_or_changed_is_asked_for_again() {
    survives(Does::Cut(100), |n, seen| seen.method == "GET" && n < 2);
    survives(Does::Flip, |n, seen| seen.method == "GET" && n < 1);
    survives(Does::Hang, |n, seen| seen.method == "GET" && n < 2);
}

/// No certificate is at fault where there is none.
#[test]
fn https_to_a_server_of_http_has_no_hint_about_certificates() {
    let server = Bare::new(&[]);
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_sx-put"))
        .args(["--probe", "--to", &format!("https://{}/", server.address)])
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.starts_with("sx-put: error: "), "{said}");
    assert!(!said.contains("SSL_CERT_FILE"), "{said}");
}

/// A root isn't lost if the server can't be asked for it.
#[test]
fn a_root_out_of_reach_is_not_lost() {
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in plain.incoming() {
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            client
                .and_then(|mut client| client.write_all(answer))
                .unwrap();
        }
    });
    let secure = TlsServer::new(Certificate::Expired, b"");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificates.pem");
    fs::write(&file, &secure.pem).unwrap();
    for (address, says) in [(address, "no TLS"), (secure.address, "expired")] {
        let digest = Digest::of(b"");
        let key = format!(
            "https://localhost:{}/picture.png#blake3={digest}",
            address.port()
        );
        let options = get::Options {
            store: config(&[("SSL_CERT_FILE", file.to_str().unwrap())]),
            ..get::Options::default()
        };
        let key: Key = key.parse().unwrap();
        let error = get::check(&key, get::Sample::All, &options).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

/// Wrong bytes that come twice are those that the store keeps; others may be the transfer's.
#[test]
fn a_picture_that_is_damaged_at_rest_is_asked_for_twice() {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        let files = every_file(&subject.folder);
        for wrong in [flipped(&png, png.len() / 2), png[..png.len() / 2].to_vec()] {
            fs::write(&files[0], &wrong).unwrap();
            proxy.does(|_, _| Does::Pass);
            fetch(subject, &location).unwrap_err();
            let gets = || {
                proxy
                    .seen()
                    .iter()
                    .filter(|seen| seen.method == "GET")
                    .count()
            };
            assert_eq!(gets(), 2);
            // Damaged differently each time.
            let png = png.clone();
            proxy.does(move |n, _| Does::Answer(200, Vec::new(), flipped(&png, png.len() / 2 + n)));
            let error = fetch(subject, &location).unwrap_err().to_string();
            assert!(error.contains("after 6 tries"), "{error}");
            assert_eq!(gets(), 6);
        }
    });
}

/// A picture with one bit changed.
fn flipped(png: &[u8], at: usize) -> Vec<u8> {
    let mut png = png.to_vec();
    png[at] ^= 1;
    png
}

#[test]
fn a_slow_trickle_is_no_fault() {
    survives(Does::Trickle, |_, seen| seen.method == "GET");
}

#[test]
fn an_answer_without_end_is_refused() {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        proxy.does(|_, _| Does::Endless);
        let error = fetch(subject, &location).unwrap_err();
        assert!(matches!(error.kind(), Kind::NotPicture(_)), "{error}");
    });
}

#[test]
fn faults_that_stay_are_given_up_and_counted() {
    each_on_the_network(|subject, proxy| {
        let (error, tries) = refused(subject, proxy, |_| answer(503, &[], ""));
        assert!(error.to_string().contains("after 6 tries in "), "{error}");
        assert!(
            matches!(error.kind(), Kind::Refused { status: 503, .. }),
            "{error}"
        );
        assert_eq!(tries, 6);
    });
}

#[test]
fn what_is_wrong_for_good_is_not_tried_again() {
    each_on_the_network(|subject, proxy| {
        for status in [400, 401, 403, 413] {
            let (error, _) = refused(subject, proxy, move |seen| match seen.method.as_str() {
                "PUT" => answer(status, &[], ""),
                _ => answer(404, &[], ""),
            });
            assert!(!error.to_string().contains("tries"), "{error}");
            assert!(matches!(error.kind(), Kind::Refused { .. }), "{error}");
            let puts = proxy
                .seen()
                .iter()
                .filter(|seen| seen.method == "PUT")
                .count();
            assert_eq!(puts, 1, "{status}");
        }
    });
}

#[test]
fn retry_after_is_obeyed_and_told() {
    each_on_the_network(|subject, proxy| {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut config = subject.config.clone();
        let tell = Arc::clone(&told);
        config.note = Arc::new(move |message| tell.lock().unwrap().push(message.to_owned()));
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        proxy.does(|n, _| match n {
            0 => answer(429, &[("retry-after", "1")], ""),
            _ => Does::Pass,
        });
        let started = Instant::now();
        read(store::at(&location, &config).unwrap().as_ref(), &location).unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1));
        let told = told.lock().unwrap();
        assert!(
            told[0].contains("HTTP 429") && told[0].contains("1 s"),
            "{told:?}"
        );
    });
}

#[test]
fn a_redirect_is_followed_with_the_login_only_to_the_same_origin() {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        let elsewhere = Proxy::new(proxy.address);
        let body = png.clone();
        elsewhere.does(move |_, _| Does::Answer(200, vec![], body.clone()));
        let target = format!("http://{}/picture.png", elsewhere.address);
        proxy.does(move |_, _| answer(302, &[("location", &target)], ""));
        assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        let seen = elsewhere.seen();
        assert!(
            !seen[0].head.to_ascii_lowercase().contains("authorization"),
            "{seen:?}"
        );
        // An upload isn't sent to where nobody asked for it.
        elsewhere.does(|_, _| answer(404, &[], ""));
        let (digest, png) = picture(b"other");
        let error = subject.store.put(&digest.into(), &png).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a redirect (302) of an upload to http://"),
            "{error}"
        );
    });
}

#[test]
fn wrong_credentials_are_named_and_never_shown() {
    each_on_the_network(|subject, proxy| {
        let is_s3 = subject.folder.ends_with("prefix of ü");
        let (config, name) = match is_s3 {
            true => (
                s3_config(proxy.address, "wrong-secret"),
                "s3://bucket/x".to_owned(),
            ),
            false => (
                web_config("wrong-secret"),
                format!("http://{}/new/", proxy.address),
            ),
        };
        let store = store::open(name.as_ref(), &config).unwrap();
        let (digest, png) = picture(b"hello");
        let error = store.put(&digest.into(), &png).unwrap_err();
        let (status, said) = if is_s3 {
            (403, "SignatureDoesNotMatch")
        } else {
            (401, "")
        };
        assert!(
            error.to_string().contains(&format!("HTTP {status} {said}")),
            "{error}"
        );
        for secret in [
            "wrong-secret",
            "X-Amz",
            "Signature=",
            "Basic",
            net::PASSWORD,
        ] {
            assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    });
}

#[test]
fn a_store_that_is_not_there() {
    let config = s3_config("127.0.0.1:1".parse().unwrap(), "SK");
    for name in ["s3://bucket", "http://127.0.0.1:1/x/"] {
        let store = store::open(name.as_ref(), &config).unwrap();
        let (digest, png) = picture(b"hello");
        let error = store.put(&digest.into(), &png).unwrap_err();
        assert_eq!(error.kind(), &Kind::Io("connection failed"), "{error}");
    }
}

#[test]
fn a_server_that_takes_no_checksums_is_sent_none() {
    let subject = s3();
    let proxy = subject.proxy.as_ref().unwrap();
    proxy.does(|_, seen| match seen.head.contains("x-amz-checksum-crc32") {
        true => answer(
            501,
            &[],
            "<Error><Code>NotImplemented</Code><Message>x-amz-checksum-crc32</Message></Error>",
        ),
        false => Does::Pass,
    });
    let (digest, png) = picture(b"hello");
    subject.store.put(&digest.into(), &png).unwrap();
    let with = proxy
        .seen()
        .iter()
        .filter(|seen| seen.path.contains("checksum") || seen.head.contains("x-amz-checksum"))
        .count();
    assert!(with <= 2, "{with}");
}

/// A store in a place that can't be written: here below a file.
#[test]
fn a_folder_that_can_not_be_written() {
    let keep = tempfile::tempdir().unwrap();
    fs::write(keep.path().join("file"), "").unwrap();
    let store = store::open(
        keep.path().join("file/store").as_os_str(),
        &Config::default(),
    )
    .unwrap();
    let (digest, png) = picture(b"hello");
    let error = store.put(&digest.into(), &png).unwrap_err();
    assert_eq!(error.kind(), &Kind::Io("cannot make folder"));
    assert!(error.to_string().contains("file/store"), "{error}");
}

/// A server that checks nothing, reached as S3 and as a web server.
fn bare(quirks: &'static [Quirk], check: impl Fn(&dyn Store, &Bare)) {
    bare_read_back(quirks, Verify::First, check);
}

/// The same, where such pictures are read back.
fn bare_read_back(quirks: &'static [Quirk], verify: Verify, check: impl Fn(&dyn Store, &Bare)) {
    for scheme in ["s3", "http"] {
        println!("{scheme} {quirks:?}");
        let server = Bare::new(quirks);
        let name = match scheme {
            "s3" => "s3://bucket/x".to_owned(),
            _ => format!("http://{}/x/", server.address),
        };
        let mut config = s3_config(server.address, "SK");
        config.timeouts.appear = Duration::from_millis(500);
        config.verify = verify;
        let store = store::open(name.as_ref(), &config).unwrap();
        check(store.as_ref(), &server);
    }
}

/// Puts a picture, and checks that the server has kept it after so many uploads.
fn kept_after(uploads: usize, store: &dyn Store, server: &Bare) {
    let (digest, png) = picture(b"hello");
    let location = store.put(&digest.into(), &png).unwrap();
    assert!(read(store, &location).unwrap() == png);
    assert!(
        server
            .kept
            .lock()
            .unwrap()
            .values()
            .all(|kept| *kept == png)
    );
    assert_eq!(server.count("PUT"), uploads);
}

#[test]
fn an_upload_that_is_acknowledged_and_not_kept_is_made_again() {
    bare(&[Quirk::Portal], |store, server| {
        kept_after(2, store, server);
    });
}

#[test]
fn an_upload_that_was_damaged_is_made_again() {
    bare(&[Quirk::Damage], |store, server| {
        kept_after(2, store, server);
    });
    let quirks = &[Quirk::Damage, Quirk::Crc];
    let server = Bare::new(quirks);
    let store = store::open("s3://bucket".as_ref(), &s3_config(server.address, "SK")).unwrap();
    kept_after(2, store.as_ref(), &server);
}

#[test]
fn damage_that_stays_is_an_error() {
    bare(&[Quirk::DamageAll], |store, _| {
        let (digest, png) = picture(b"hello");
        let error = store.put(&digest.into(), &png).unwrap_err().to_string();
        let what = "other bytes where a picture was stored, expected its ";
        assert!(error.contains(what), "{error}");
        assert!(error.contains("after 6 tries"), "{error}");
    });
}

/// S3 gives an `ETag` for each upload; what gives none isn't S3, unless it has kept the picture.
#[test]
fn an_upload_without_an_etag_is_a_fault_of_s3() {
    for (quirks, is_kept) in [(&[Quirk::ReadOnly(200)], false), (&[Quirk::NoEtag], true)] {
        bare(quirks, |store, server| {
            let (digest, png) = picture(b"hello");
            let done = store.put(&digest.into(), &png);
            assert_eq!(done.is_ok(), is_kept);
            match done {
                Ok(_) => assert_eq!(server.count("PUT"), 1),
                Err(e) if store.locate(&digest.into()).unwrap().scheme() == "s3" => {
                    let what = "without an ETag, expected that of an object";
                    assert!(e.to_string().contains(what), "{e}");
                }
                Err(_) => {}
            }
        });
    }
}

/// Without a checksum, only reading a picture back shows that its bytes are wrong.
#[test]
fn pictures_that_are_read_back_are_healed() {
    for (verify, heals) in [
        (Verify::All, true),
        (Verify::Share(100), true),
        (Verify::First, false),
        (Verify::None, false),
    ] {
        bare_read_back(&[Quirk::NoEtag], verify, |store, server| {
            let (digest, png) = picture(b"hello");
            if store.locate(&digest.into()).unwrap().scheme() == "s3" {
                return; // which wants an ETag
            }
            let location = store.put(&digest.into(), &png).unwrap();
            for kept in server.kept.lock().unwrap().values_mut() {
                kept[1000] ^= 1;
            }
            store.put(&digest.into(), &png).unwrap();
            let is_good = read(store, &location).is_ok_and(|kept| kept == png);
            assert_eq!(is_good, heals, "{verify:?}");
        });
    }
}

#[test]
fn damage_that_only_reading_back_shows_is_an_error() {
    bare_read_back(
        &[Quirk::NoEtag, Quirk::DamageAll],
        Verify::All,
        |store, _| {
            let (digest, png) = picture(b"hello");
            assert!(store.put(&digest.into(), &png).is_err());
        },
    );
}

/// A second run heals it.
#[test]
fn what_is_there_with_another_checksum_is_replaced() {
    for quirks in [&[][..], &[Quirk::Crc]] {
        bare(quirks, |store, server| {
            let (digest, png) = picture(b"hello");
            let location = store.put(&digest.into(), &png).unwrap();
            if location.scheme() == "http" && !quirks.is_empty() {
                return; // no checksum is asked of a web server
            }
            for kept in server.kept.lock().unwrap().values_mut() {
                kept[1000] ^= 1;
            }
            store.put(&digest.into(), &png).unwrap();
            assert!(read(store, &location).unwrap() == png);
            let uploads = server.count("PUT");
            store.put(&digest.into(), &png).unwrap();
            assert_eq!((uploads, server.count("PUT")), (2, 2));
        });
    }
}

/// The first picture is read back once, and then the `ETag` of no other is believed.
#[test]
fn etags_that_look_like_an_md5() {
    bare(&[Quirk::OddEtag], |store, server| {
        for i in 0..5 {
            let (digest, png) = picture(&[i]);
            store.put(&digest.into(), &png).unwrap();
        }
        assert_eq!((server.count("PUT"), server.count("GET")), (5, 1));
    });
}

#[test]
fn a_server_without_head_is_asked_with_get() {
    for quirks in [&[Quirk::NoHead], &[Quirk::NoLength]] {
        bare(quirks, |store, server| {
            kept_after(1, store, server);
            kept_after(1, store, server);
            let (digest, _) = picture(b"hello");
            let location = store.locate(&digest.into()).unwrap();
            if location.scheme() == "http" {
                store.made(&location).unwrap();
            }
        });
    }
}

#[test]
fn a_picture_that_shows_late_is_waited_for() {
    bare(&[Quirk::Late], |store, server| {
        kept_after(1, store, server);
        assert_eq!(server.count("HEAD"), 4);
    });
}

/// The other looks were made by another process: reading a picture that was just put waits, too.
#[test]
fn reading_back_waits_for_a_picture_that_was_just_put() {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        proxy.does(|n, _| {
            if n < 2 {
                answer(404, &[], "")
            } else {
                Does::Pass
            }
        });
        assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        proxy.does(|n, _| {
            if n < 2 {
                answer(404, &[], "")
            } else {
                Does::Pass
            }
        });
        let error = read(subject.other.as_ref(), &location).unwrap_err();
        assert_eq!(error.kind(), &Kind::NotFound);
    });
}

#[test]
fn a_server_that_takes_no_md5_is_sent_none() {
    let server = Bare::new(&[Quirk::NoMd5]);
    let name = format!("http://{}/x/", server.address);
    let store = store::open(name.as_ref(), &config(&[])).unwrap();
    kept_after(2, store.as_ref(), &server);
}

#[test]
fn uploads_have_their_md5() {
    bare(&[], |store, server| {
        kept_after(1, store, server);
        let seen = server.seen.lock().unwrap();
        let put = seen.iter().find(|head| head.starts_with("PUT")).unwrap();
        assert!(put.contains("content-md5: "), "{put}");
    });
}

/// The answer to the upload has the MD5 of what arrived.
#[test]
fn a_bucket_that_may_be_written_and_not_read() {
    let server = Bare::new(&[Quirk::WriteOnly]);
    let store = store::open("s3://bucket".as_ref(), &s3_config(server.address, "SK")).unwrap();
    let (digest, png) = picture(b"hello");
    store.put(&digest.into(), &png).unwrap();
    assert_eq!(server.count("PUT"), 1);
}

#[test]
fn what_is_damaged_is_written_anew() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest.into(), &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        let mut damaged = png.clone();
        damaged[1000] ^= 1;
        for bad in [&damaged[..], &png[..png.len() / 2], b""] {
            fs::write(file, bad).unwrap();
            let again = subject.other.replace(&digest.into(), &png).unwrap();
            assert_eq!(again, location);
            assert!(read(subject.store.as_ref(), &location).unwrap() == png);
        }
        // What is missing is put.
        let (digest, png) = picture(b"missing");
        let location = subject.store.replace(&digest.into(), &png).unwrap();
        assert!(read(subject.other.as_ref(), &location).unwrap() == png);
        assert_eq!(every_file(&subject.folder).len(), 2);
    });
}

#[test]
fn where_a_picture_will_be_is_known_before() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        for copy in [0, 1, 2] {
            let name = Name { digest, copy };
            let before = subject.store.locate(&name);
            assert!(every_file(&subject.folder).len() == usize::from(copy));
            let location = subject.store.put(&name, &png).unwrap();
            assert_eq!(before, Some(location.clone()));
            assert!(
                location.to_string().ends_with(&name.to_string()),
                "{location}"
            );
            assert!(read(subject.other.as_ref(), &location).unwrap() == png);
        }
    });
    let host = storagex::store::Host::built_in("baidu-shitu", &config(&[])).unwrap();
    let (digest, _) = picture(b"hello");
    assert_eq!(host.unwrap().locate(&digest.into()), None);
}

/// Gets a picture from a server whose certificate `SSL_CERT_FILE` names, or doesn't; gives the number
/// of connections, too.
fn over_tls(special: Certificate, is_named: bool) -> (Result<bool>, usize) {
    let (_, png) = picture(b"hello");
    let server = TlsServer::new(special, &png);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificates.pem");
    fs::write(&file, &server.pem).unwrap();
    let config = match is_named {
        true => config(&[("SSL_CERT_FILE", file.to_str().unwrap())]),
        false => config(&[]),
    };
    let location = format!("https://localhost:{}/picture.png", server.address.port());
    let location: Location = location.parse().unwrap();
    let store = store::at(&location, &config).unwrap();
    let came = read(store.as_ref(), &location).map(|bytes| bytes == png);
    (came, server.connections.load(Ordering::Relaxed))
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_where_it_is_named() {
    for special in [Certificate::Authority, Certificate::Plain] {
        assert!(over_tls(special, true).0.unwrap(), "{special:?}");
        let (came, connections) = over_tls(special, false);
        let error = came.unwrap_err();
        assert!(matches!(error.kind(), Kind::Untrusted(_)), "{error}");
        assert_eq!(connections, 1);
    }
}

#[test]
fn a_certificate_that_is_wrong_is_refused_at_once() {
    for (special, says) in [
        (Certificate::Expired, "expired at 2001-01-01T00:00:00Z"),
        (
            Certificate::OtherName,
            "valid for example.org, expected localhost",
        ),
    ] {
        let (came, connections) = over_tls(special, true);
        let error = came.unwrap_err();
        assert!(matches!(error.kind(), Kind::Certificate(_)), "{error}");
        let says = format!("certificate of the server: {says}");
        assert!(error.to_string().ends_with(&says), "{error}");
        assert_eq!(connections, 1);
    }
}

/// Only who doesn't trust a certificate is helped by a file of trusted ones.
#[test]
fn a_hint_names_the_file_of_certificates_where_that_helps() {
    let (digest, png) = picture(b"hello");
    for (special, is_named, helps) in [
        (Certificate::Authority, false, true),
        (Certificate::Expired, true, false),
        (Certificate::OtherName, true, false),
    ] {
        let server = TlsServer::new(special, &png);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("certificates.pem");
        fs::write(&file, &server.pem).unwrap();
        let port = server.address.port();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sx-get"));
        command.arg(format!(
            "https://localhost:{port}/picture.png#blake3={digest}"
        ));
        command.env_remove("SSL_CERT_FILE");
        if is_named {
            command.env("SSL_CERT_FILE", &file);
        }
        let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
        assert!(said.contains("certificate"), "{special:?}: {said}");
        assert_eq!(said.contains("SSL_CERT_FILE"), helps, "{special:?}: {said}");
    }
}

#[test]
fn https_to_a_server_of_http_is_refused_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        listener.accept().is_err()
    });
    let location: Location = format!("https://localhost:{port}/x.png").parse().unwrap();
    let store = store::at(&location, &config(&[])).unwrap();
    let error = read(store.as_ref(), &location).unwrap_err();
    assert!(error.to_string().contains("no TLS on this port"), "{error}");
    assert!(answers.join().unwrap(), "asked again");
}

/// Servers with a short queue of connections lose those that are one too many, and each such loss
/// takes a second.
#[test]
fn connections_are_opened_a_few_at_a_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/x.png", listener.local_addr().unwrap());
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, open) = (client.unwrap(), Arc::clone(&open));
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let request = net::proxy::read_message(&mut BufReader::new(&client), true);
                assert!(request.unwrap().is_some());
                std::thread::sleep(Duration::from_millis(20));
                open.fetch_sub(1, Ordering::SeqCst);
                client.write_all(b"HTTP/1.0 404 X\r\n\r\n").unwrap();
            });
        }
    });
    let location: Location = location.parse().unwrap();
    let store = store::at(&location, &config(&[])).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let error = read(store.as_ref(), &location).unwrap_err();
                    assert_eq!(error.kind(), &Kind::NotFound);
                }
            });
        }
    });
    assert_eq!(seen.load(Ordering::SeqCst), 4);
}

/// What sx-put says of a store, and its exit status.
fn put_says(store: &str, server: SocketAddr) -> (String, Option<i32>) {
    let frames = Command::new(env!("CARGO_BIN_EXE_sx-encode"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut put = Command::new(env!("CARGO_BIN_EXE_sx-put"))
        .args(["--to", store])
        .env_clear()
        .env("AWS_ENDPOINT_URL", format!("http://{server}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    put.stdin.take().unwrap().write_all(&frames.stdout).unwrap();
    let output = put.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    (text, output.status.code())
}

#[test]
fn an_upload_that_is_refused_is_not_called_missing() {
    for (quirks, status) in [
        (&[Quirk::ReadOnly(404)], 404),
        (&[Quirk::ReadOnly(405)], 405),
        (&[Quirk::ReadOnly(409)], 409),
        (&[Quirk::ReadOnly(507)], 507),
    ] {
        bare(quirks, |store, server| {
            let (digest, png) = picture(b"hello");
            let error = store.put(&digest.into(), &png).unwrap_err();
            let refused = matches!(error.kind(), Kind::Refused { status: s, .. } if *s == status);
            assert!(refused, "{error}");
            assert!(!error.to_string().contains("tries"), "{error}");
            let web = format!("http://{}/x/", server.address);
            let (web, code) = put_says(&web, server.address);
            assert!(web.contains(&format!("HTTP {status} ")), "{web}");
            assert!(!web.contains("AWS") && !web.contains("pruned"), "{web}");
            let hint = match status {
                507 => "hint: the store is full",
                _ => "hint: check whether the server accepts PUT there",
            };
            assert!(web.contains(hint) && code == Some(1), "{web}");
            let (s3, _) = put_says("s3://bucket", server.address);
            assert!(!s3.contains("SX_HTTP") && !s3.contains("pruned"), "{s3}");
        });
    }
}

#[test]
fn a_login_that_is_not_spoken() {
    let server = Bare::new(&[Quirk::DigestLogin]);
    let (said, _) = put_says(&format!("http://{}/x/", server.address), server.address);
    let what = "HTTP 401 Unauthorized: login of type Digest, expected Basic or Bearer\n";
    assert!(said.ends_with(what), "{said}");
    // It is about the whole store, not about the object that was asked for first.
    let store = format!("sx-put: error: http://{}/x/: HTTP 401", server.address);
    assert!(said.starts_with(&store), "{said}");
    let (said, _) = put_says("s3://bucket/a", server.address);
    assert!(
        said.starts_with("sx-put: error: s3://bucket/a: HTTP 401"),
        "{said}"
    );
    assert!(
        said.contains(": no access key was found, so the request was not signed\n"),
        "{said}"
    );
    assert!(
        said.contains("hint: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"),
        "{said}"
    );
    assert!(!said.contains("Bearer"), "{said}");
}

/// A shelf of fossils.
const FOSSILS: Shelf = Shelf::Fossils(Batch(0x0123_4567_89ab_cdef));

fn listed(subject: &Subject, shelf: Shelf) -> Vec<(Name, u64)> {
    let shelves = subject
        .other
        .prunable()
        .expect("a store that can be pruned");
    let mut names = Vec::new();
    for first in 0..=u8::MAX {
        let add = |name, bytes| {
            names.push((name, bytes));
            Ok(())
        };
        shelves.list(shelf, first, &mut { add }).unwrap();
    }
    names
}

#[test]
fn every_picture_is_listed_and_nothing_else() {
    each(|subject| {
        assert!(listed(subject, Shelf::Pictures).is_empty());
        let mut put: Vec<(Name, u64)> = (0..30u8)
            .flat_map(|n| {
                let (digest, png) = picture(&[n]);
                let copies = [0, 1, 12].into_iter().take(if n == 0 { 3 } else { 1 });
                let keep = |copy| {
                    let name = Name { digest, copy };
                    let picture = container::as_copy(&png, copy);
                    subject.store.put(&name, &picture).unwrap();
                    (name, picture.len() as u64)
                };
                copies.map(keep).collect::<Vec<_>>()
            })
            .collect();
        let folder = subject.folder.join(&put[0].0.to_string()[..2]);
        for other in ["x.png", "notes.txt", &format!("{}.jpg", "0".repeat(64))] {
            fs::write(folder.join(other), "not ours").unwrap();
        }
        subject
            .store
            .prunable()
            .unwrap()
            .set_record("a record\n")
            .unwrap();
        let mut found = listed(subject, Shelf::Pictures);
        let order = |name: &(Name, u64)| name.0.to_string();
        found.sort_by_key(order);
        put.sort_by_key(order);
        assert_eq!(found, put);
    });
}

#[test]
fn a_picture_is_moved_back_and_forth_and_removed() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let name = Name::from(digest);
        let place = subject.store.put(&name, &png).unwrap();
        let shelves = subject.store.prunable().unwrap();
        let missing = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), &Kind::NotFound);
        missing(shelves.relocate(&name, FOSSILS, Shelf::Pictures));
        shelves.relocate(&name, Shelf::Pictures, FOSSILS).unwrap();
        missing(read(subject.store.as_ref(), &place).map(drop));
        missing(shelves.relocate(&name, Shelf::Pictures, FOSSILS));
        assert_eq!(listed(subject, FOSSILS), [(name, png.len() as u64)]);
        assert!(listed(subject, Shelf::Pictures).is_empty());
        shelves.relocate(&name, FOSSILS, Shelf::Pictures).unwrap();
        subject.store.sync().unwrap();
        assert!(read(subject.other.as_ref(), &place).unwrap() == png);
        assert!(listed(subject, FOSSILS).is_empty());
        shelves.remove(&name, Shelf::Pictures).unwrap();
        shelves.remove(&name, Shelf::Pictures).unwrap();
        shelves.tidy(Batch(1)).unwrap();
        missing(read(subject.other.as_ref(), &place).map(drop));
        assert!(listed(subject, Shelf::Pictures).is_empty());
    });
}

#[test]
fn a_record_is_kept_and_replaced() {
    each(|subject| {
        let (own, other) = (&subject.store, &subject.other);
        let read = || other.prunable().unwrap().record().unwrap();
        assert_eq!(read(), None);
        for text in ["one\n", "another\nof two lines\n", ""] {
            own.prunable().unwrap().set_record(text).unwrap();
            assert_eq!(read().as_deref(), Some(text));
        }
    });
}

/// More objects than a page of a list has, which are 1000: with long names, that are over a mebibyte.
#[test]
fn a_list_of_several_pages() {
    let subject = s3();
    let proxy = subject.proxy.as_ref().unwrap();
    let page = |keys: &[u8], more: &str| {
        let object = |n: &u8| {
            let name = Name::from(Digest::from_bytes([*n; 32]));
            format!("<Contents><Key>some/prefix of ü/{name}</Key><Size>{n}</Size></Contents>")
        };
        let objects: String = keys.iter().map(object).collect();
        format!(
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}{more}</ListBucketResult>"
        )
    };
    let others = format!(
        "<Contents><Key>some/{}</Key><Size>1</Size></Contents>",
        "&#x61;".repeat(1000)
    );
    let first = page(
        &[7],
        &format!(
            "{}<IsTruncated>true</IsTruncated><NextContinuationToken>a b+</NextContinuationToken>",
            others.repeat(999)
        ),
    );
    let second = page(&[7], "<IsTruncated>false</IsTruncated>");
    proxy.does(
        move |_, seen| match seen.path.contains("continuation-token=a%20b%2B") {
            true => answer(200, &[], &second),
            false => answer(200, &[], &first),
        },
    );
    let mut sizes = Vec::new();
    let shelves = subject.store.prunable().unwrap();
    shelves
        .list(Shelf::Pictures, 7, &mut |_, bytes| {
            sizes.push(bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!((sizes, proxy.seen().len()), (vec![7, 7], 2));
    let cut = page(&[7], "<IsTruncated>true</IsTruncated>");
    proxy.does(move |_, _| answer(200, &[], &cut));
    let error = shelves
        .list(Shelf::Pictures, 7, &mut |_, _| Ok(()))
        .unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
}
