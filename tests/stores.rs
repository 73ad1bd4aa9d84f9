//! The contract that every store keeps: the promises of [`Store`], in small checks, offline. A store
//! takes a line in `STORES`; those on the network have a proxy before them that misbehaves.

mod net;

use net::proxy::{Does, Proxy, Seen};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storagex::key::{Digest, Location};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::Size;
use storagex::wire::{DEFAULT_LIMIT, pictures, pixels};
use storagex::{Error, Kind, Result};
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
        "s3://bucket/some/prefix",
        config,
        folder.join("some/prefix"),
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
        let location = subject.store.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
        assert!(location.to_string().ends_with(&digest.name()), "{location}");
        assert_eq!(location.reference(&digest), format!("../{}", digest.name()));
        assert_eq!(location.to_string().parse::<Location>().unwrap(), location);
    });
}

#[test]
fn put_twice_is_as_good_as_once() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let first = subject.store.put(&digest, &png).unwrap();
        let again = subject.other.put(&digest, &png).unwrap();
        assert_eq!(first, again);
        assert!(read(subject.store.as_ref(), &first).unwrap() == png);
        assert_eq!(every_file(&subject.folder).len(), 1);
    });
}

#[test]
fn what_is_there_and_good_is_not_written_again() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        subject.store.put(&digest, &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        let before = fs::metadata(file).unwrap();
        subject.other.put(&digest, &png).unwrap();
        let after = fs::metadata(file).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    });
}

#[test]
fn what_is_there_and_damaged_is_replaced() {
    each(|subject| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        let file = &every_file(&subject.folder)[0];
        for bad in [&png[..png.len() / 2], b""] {
            fs::write(file, bad).unwrap();
            subject.store.put(&digest, &png).unwrap();
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
                        subject.store.put(&digest, &png).unwrap();
                    }
                });
            }
        });
        for (digest, png) in pictures() {
            let location = subject.other.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
        let file = subject.folder.join(digest.name());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..200 {
                    fs::remove_file(&file).unwrap();
                    subject.store.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
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
        let there = subject.store.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
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
    let location = subject.store.put(&digest, &png).unwrap();
    fs::write(&every_file(&subject.folder)[0], picture(b"other").1).unwrap();
    subject.store.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
        assert!(fetch(subject, &location).unwrap() == png);
        assert_eq!(every_file(&subject.folder).len(), 1);
    });
}

/// Reads a picture as sx-get does: one that is damaged is an error of who reads.
fn fetch(subject: &Subject, location: &Location) -> Result<Vec<u8>> {
    let (mut png, mut bytes) = (Vec::new(), Vec::new());
    subject.store.get(location, &mut |from| {
        pictures::single(from, DEFAULT_LIMIT, &mut png)?;
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
    let error = subject.store.put(&digest, &png).unwrap_err();
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
    survives(Does::Flip, |n, seen| seen.method == "GET" && n < 2);
    survives(Does::Hang, |n, seen| seen.method == "GET" && n < 2);
}

#[test]
fn a_slow_trickle_is_no_fault() {
    survives(Does::Trickle, |_, seen| seen.method == "GET");
}

#[test]
fn an_answer_without_end_is_refused() {
    each_on_the_network(|subject, proxy| {
        let (digest, png) = picture(b"hello");
        let location = subject.store.put(&digest, &png).unwrap();
        proxy.does(|_, _| Does::Endless);
        let error = fetch(subject, &location).unwrap_err();
        assert!(matches!(error.kind(), Kind::NotPng(_)), "{error}");
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
        let location = subject.store.put(&digest, &png).unwrap();
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
        let location = subject.store.put(&digest, &png).unwrap();
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
        let error = subject.store.put(&digest, &png).unwrap_err();
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
        let is_s3 = subject.folder.ends_with("prefix");
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
        let error = store.put(&digest, &png).unwrap_err();
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
        let error = store.put(&digest, &png).unwrap_err();
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
    subject.store.put(&digest, &png).unwrap();
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
    let error = store.put(&digest, &png).unwrap_err();
    assert_eq!(error.kind(), &Kind::Io("cannot make folder"));
    assert!(error.to_string().contains("file/store"), "{error}");
}
