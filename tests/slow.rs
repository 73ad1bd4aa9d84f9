//! Stores that are slow, silent, down, or forget: what is kept in several, or has parity, comes back
//! in good time.

mod net;

use net::host::{Host, Manners};
use net::proxy::{Does, Proxy};
use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storagex::get::{self, Health, Options, Sample};
use storagex::put::{self, Role};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::Size;
use storagex::{Keys, encode};

/// So many frames of 732 bytes of noise.
fn frames(count: usize) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(8);
    let bytes: Vec<u8> = (0..count * 732).map(|_| numbers.u8(..)).collect();
    let options = encode::Options {
        size: Size {
            width: 16,
            height: 16,
        },
        level: 0,
        ..Default::default()
    };
    let mut frames = Vec::new();
    encode(Cursor::new(bytes), &mut frames, &options).unwrap();
    frames
}

fn config() -> Config {
    let mut config = Config::default();
    config.retry.first = Duration::from_millis(5);
    let variables = [
        ("SX_HTTP_USER", net::USER),
        ("SX_HTTP_PASSWORD", net::PASSWORD),
    ];
    config.variables = variables.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    config
}

fn options() -> Options {
    Options {
        store: config(),
        ..Options::default()
    }
}

/// Copies on a web server, behind a proxy, and in a folder; their line of keys.
fn on_the_web_and_in_a_folder(folder: &Path, frames: &[u8]) -> (Proxy, Keys) {
    let [web, other] = ["web", "other"].map(|name| folder.join(name));
    fs::create_dir(&web).unwrap();
    let proxy = Proxy::new(net::dav(&web));
    let url = format!("http://{}/", proxy.address);
    let stores: Vec<Arc<dyn Store>> = [url.as_ref(), other.as_os_str()]
        .map(|name| store::open(name, &config()).unwrap())
        .into();
    let done = put::put(
        Cursor::new(frames.to_vec()),
        &stores,
        &put::Options::default(),
    );
    (proxy, done.unwrap().keys)
}

fn got(keys: &Keys) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let mut back = Vec::new();
    get::get(keys, &mut back, &options()).unwrap();
    (back, started.elapsed())
}

#[test]
fn a_store_that_is_silent_is_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(60);
    let (proxy, keys) = on_the_web_and_in_a_folder(folder.path(), &frames);
    // From the first picture on, and from the middle.
    for from in [0, 20] {
        proxy.does(move |number, _| {
            if number < from {
                Does::Pass
            } else {
                Does::Hang
            }
        });
        let (back, took) = got(&keys);
        assert!(back == frames);
        // Three seconds for the index, at most, and for the frames that are under way at once.
        assert!(
            took > Duration::from_secs(2) && took < Duration::from_secs(12),
            "{took:?}"
        );
    }
}

#[test]
fn a_store_that_is_down_or_goes_down() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(60);
    let (proxy, keys) = on_the_web_and_in_a_folder(folder.path(), &frames);
    for from in [0, 20] {
        for does in [Does::Drop, Does::Answer(503, Vec::new(), Vec::new())] {
            let does_then = does.clone();
            proxy.does(move |number, _| {
                if number < from {
                    Does::Pass
                } else {
                    does_then.clone()
                }
            });
            let (back, took) = got(&keys);
            assert!(back == frames);
            assert!(
                took < Duration::from_secs(12),
                "{does:?} from {from}: {took:?}"
            );
        }
    }
}

/// Repair of what a store has lost that is down, or takes nothing: an error that says so, and what was
/// there stays. Once it is back, the repair can be run again.
#[test]
fn a_repair_into_a_store_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(20);
    let (proxy, keys) = on_the_web_and_in_a_folder(folder.path(), &frames);
    let [web, other] = ["web", "other"].map(|name| folder.path().join(name));
    let mut lost = 0;
    get::list(&keys, &options(), |source, role| {
        let text = source.to_string();
        let name = text.split('#').next().unwrap().rsplit('/').next().unwrap();
        let name = Path::new(&name[..2]).join(name);
        // Some frames of one store, and others of the other.
        if role == Role::Data && lost < 20 {
            for (store, is_lost) in [(&web, lost % 3 == 1), (&other, lost % 6 == 2)] {
                if is_lost {
                    fs::remove_file(store.join(&name)).unwrap();
                }
            }
            lost += 1;
        }
        Ok(())
    })
    .unwrap();
    let before: Vec<_> = [&web, &other].map(|store| files(store)).concat();
    assert_eq!(before.len(), 2 * 21 - 7 - 3);
    for (does, expected) in [
        (Does::Drop, "connection failed"),
        (Does::Answer(503, Vec::new(), Vec::new()), "503"),
        (Does::Answer(507, Vec::new(), Vec::new()), "507"),
    ] {
        for all in [true, false] {
            let does = does.clone();
            proxy.does(move |_, seen| match all || seen.method == "PUT" {
                true => does.clone(),
                false => Does::Pass,
            });
            let error = get::repair(&keys, &options()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(&proxy.address.to_string()), "{error}");
            let after = [&web, &other].map(|store| files(store)).concat();
            assert!(before.iter().all(|file| after.contains(file)));
        }
    }
    proxy.does(|_, _| Does::Pass);
    assert!(got(&keys).0 == frames);
    get::repair(&keys, &options()).unwrap();
    let report = get::check(&keys, Sample::All, &options()).unwrap();
    assert_eq!(report.health(), Health::Whole);
}

/// The files of a store and their bytes.
fn files(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let shelves = fs::read_dir(store).unwrap();
    let shelves = shelves.map(|shelf| shelf.unwrap().path());
    let files = shelves.flat_map(|shelf| fs::read_dir(shelf).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// Frames that are dealt out to three stores, of which one is silent or down: what only that one has
/// is rebuilt, and it isn't waited for again and again.
#[test]
fn a_spread_with_a_store_that_is_silent_or_down() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(60);
    let web = folder.path().join("web");
    fs::create_dir(&web).unwrap();
    let proxy = Proxy::new(net::dav(&web));
    let url = format!("http://{}/", proxy.address);
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    let stores: Vec<Arc<dyn Store>> = [a.as_os_str(), url.as_ref(), b.as_os_str()]
        .map(|name| store::open(name, &config()).unwrap())
        .into();
    let putting = put::Options {
        parity: Some("4+2".parse().unwrap()),
        spread: true,
        ..Default::default()
    };
    let done = put::put(Cursor::new(frames.clone()), &stores, &putting);
    let keys = done.unwrap().keys;
    for does in [
        Does::Hang,
        Does::Drop,
        Does::Answer(503, Vec::new(), Vec::new()),
    ] {
        let does_then = does.clone();
        proxy.does(move |_, _| does_then.clone());
        let started = Instant::now();
        let mut back = Vec::new();
        let mut options = options();
        // As by default: a frame would take half a minute to be lost.
        options.store.retry.first = Config::default().retry.first;
        let got = get::get(&keys, &mut back, &options).unwrap();
        let took = started.elapsed();
        assert!(back == frames);
        assert!(got.rebuilt >= 15, "{does:?}: {}", got.rebuilt);
        assert!(took < Duration::from_secs(20), "{does:?}: {took:?}");
    }
    // A check asks for eight of them in vain, and for no more.
    let started = Instant::now();
    proxy.does(|_, _| Does::Drop);
    let mut options = options();
    options.store.retry.first = Duration::from_millis(200);
    let report = get::check(&keys, Sample::All, &options).unwrap();
    assert_eq!(report.health(), Health::Degraded);
    let url = url.trim_end_matches('/');
    assert_eq!((report.stores[url].good, report.data.total()), (0, 60));
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

/// An uploader file for a host.
fn uploader(path: &Path, host: &Host) {
    let file = serde_json::json!({
        "Version": "14.1.0",
        "DestinationType": "ImageUploader",
        "RequestMethod": "POST",
        "RequestURL": format!("http://{}/upload", host.address),
        "Headers": {"authorization": "token"},
        "Body": "MultipartFormData",
        "FileFormName": "file",
        "URL": "{json:files[0].url}",
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, file.to_string()).unwrap();
}

/// Puts frames onto a host, with such parity.
fn on_a_host(file: &Path, frames: &[u8], parity: &str) -> Keys {
    let options = put::Options {
        parity: Some(parity.parse().unwrap()),
        name: "photos.tar".into(),
        ..Default::default()
    };
    let store = store::open(file.as_os_str(), &config()).unwrap();
    put::put(Cursor::new(frames.to_vec()), &[store], &options)
        .unwrap()
        .keys
}

/// Two of each group are gone, and each takes the host half a second to miss: the eight that are asked
/// for at once are waited for together, and those that are fetched to rebuild others aren't.
#[test]
fn a_host_that_is_slow_to_miss_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::SlowToMiss(500));
    let file = folder.path().join("host.sxcu");
    uploader(&file, &host);
    let frames = frames(48);
    let keys = on_a_host(&file, &frames, "4+2");
    let mut data = 0;
    get::list(&keys, &options(), |source, role| {
        if role == Role::Data {
            if data % 4 < 2 {
                let path = source.location().url().path().to_owned();
                host.kept.lock().unwrap().remove(&path).unwrap();
            }
            data += 1;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(data, 48);
    let (back, took) = got(&keys);
    assert!(back == frames);
    // One after another they would take twelve seconds.
    assert!(took < Duration::from_secs(7), "{took:?}");
}

/// A root out of reach isn't lost, and neither is what it leads to: check and repair say what the server
/// said. With a copy in another store, they go on with that.
#[test]
fn a_root_out_of_reach_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let web = folder.path().join("web");
    fs::create_dir(&web).unwrap();
    let proxy = Proxy::new(net::dav(&web));
    let url = format!("http://{}/", proxy.address);
    let store = store::open(url.as_ref(), &config()).unwrap();
    let put = |stores: &[Arc<dyn Store>]| {
        let frames = Cursor::new(frames(3));
        put::put(frames, stores, &put::Options::default())
            .unwrap()
            .keys
    };
    let alone = put(&[Arc::clone(&store)]);
    let dir = folder.path().join("other");
    let other = store::open(dir.as_os_str(), &config()).unwrap();
    let both = put(&[Arc::clone(&store), Arc::clone(&other)]);
    let reversed = put(&[other, store]);
    for (does, expected) in [
        (Does::Drop, "connection failed"),
        (Does::Answer(403, Vec::new(), Vec::new()), "HTTP 403"),
        (Does::Answer(503, Vec::new(), Vec::new()), "HTTP 503"),
    ] {
        proxy.does(move |_, _| does.clone());
        let checked = get::check(&alone, Sample::All, &options()).unwrap_err();
        let sampled = get::check(&alone, Sample::Frames(1), &options()).unwrap_err();
        let repaired = get::repair(&alone, &options()).unwrap_err();
        for error in [checked, sampled, repaired] {
            let said = error.to_string();
            assert!(said.starts_with(&url) && said.contains(expected), "{said}");
            assert!(!said.contains("lost"), "{said}");
        }
        let report = get::check(&both, Sample::All, &options()).unwrap();
        assert_eq!(report.health(), Health::Degraded);
    }
    // Nor is it lost where the other store has lost its copy.
    fs::remove_dir_all(dir).unwrap();
    for keys in [both, reversed] {
        let checked = get::check(&keys, Sample::All, &options()).unwrap_err();
        let got = get::get(&keys, &mut std::io::sink(), &options()).unwrap_err();
        for error in [checked, got] {
            let said = error.to_string();
            assert!(said.contains(&url) && said.contains("HTTP 503"), "{said}");
            assert!(!said.contains("lost"), "{said}");
        }
    }
}

/// The script of storagex(7) that keeps a backup alive, for a small one.
fn keep_alive() -> String {
    let page = fs::read_to_string("man/storagex.7").unwrap();
    let start = page.find("#!/bin/sh\n# keep-alive").unwrap();
    let script = page[start..].split("\n.Ed").next().unwrap();
    let small = [("--sample 300", "--sample 20"), ("20+8", "4+4")];
    small
        .iter()
        .fold(script.replace("\\e", "\\"), |script, (page, test)| {
            assert!(script.contains(page), "{script}");
            script.replace(page, test)
        })
}

/// Makes a file a day older.
fn age(path: &Path) {
    let file = fs::File::options().append(true).open(path).unwrap();
    let made = file.metadata().unwrap().modified().unwrap();
    file.set_modified(made - Duration::from_secs(86400))
        .unwrap();
}

/// Each night one in sixty pictures is forgotten, and each that is thirty days old: with repairs alone,
/// those that are left of the first upload would all go in one night.
#[test]
fn a_backup_is_kept_alive_on_a_host_that_forgets() {
    const KEPT: u32 = 30;
    let home = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = home.path().join(".config/storagex/hosts/mine.sxcu");
    uploader(&file, &host);
    let frames = frames(40);
    let keys = on_a_host(&file, &frames, "4+4");
    let line = home.path().join("keys/photos.key");
    fs::create_dir(line.parent().unwrap()).unwrap();
    fs::write(&line, format!("{keys}\n")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_sx-get")).parent().unwrap();
    let mut numbers = fastrand::Rng::with_seed(1);
    let mut born: BTreeMap<String, u32> = BTreeMap::new();
    let (mut repairs, mut renewals) = (0, 0);
    for night in 0..100 {
        age(&line);
        host.kept.lock().unwrap().retain(|path, _| {
            let born = *born.entry(path.clone()).or_insert(night);
            night < born + KEPT && numbers.u8(0..60) > 0
        });
        let old = fs::read_to_string(&line).unwrap();
        let done = Command::new("sh")
            .args(["-c", &keep_alive()])
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "night {night}: {said}");
        if fs::read_to_string(&line).unwrap() != old {
            match fs::metadata(&line).unwrap().modified().unwrap().elapsed() {
                Ok(age) if age > Duration::from_secs(3600) => repairs += 1,
                _ => renewals += 1,
            }
        }
    }
    assert!(
        repairs > 10 && renewals == 4,
        "{repairs} repairs, {renewals} renewals"
    );
    let keys: Keys = fs::read_to_string(&line).unwrap().trim().parse().unwrap();
    let info = get::info(&keys, &options()).unwrap();
    assert_eq!(info.name, "photos.tar");
    let (back, _) = got(&keys);
    assert!(back == frames);
}
