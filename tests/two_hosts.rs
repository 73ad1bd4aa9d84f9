//! Lines of keys with image hosts, each of which has an index of its own.

mod net;

use net::host::{Host, Manners};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use storagex::get::{self, Health, Sample, check, repair_to, salvage};
use storagex::key::{Location, Name};
use storagex::store::{self, Config, Store};
use storagex::wire::frame::Size;
use storagex::{Key, Keys, Kind, Result, decode, encode, get as get_frames, put};

/// Bytes of a full frame of 105 by 105 pixels.
const FULL: usize = 105 * 105 * 3 - 36;

/// A stream of frames that are all full but the last one, and the frames: without positions, so that only
/// their digests tell one from another. Runs of one byte have no place to cut at.
fn frames() -> (Vec<u8>, Vec<u8>) {
    let mut bytes: Vec<u8> = (1..10).flat_map(|number| vec![number; FULL]).collect();
    bytes.extend([10; 100]);
    let mut frames = Vec::new();
    let options = encode::Options {
        size: Size {
            width: 105,
            height: 105,
        },
        level: 0,
        average: Some(FULL / 2),
        ..Default::default()
    };
    encode(Cursor::new(bytes.clone()), &mut frames, &options).unwrap();
    assert_eq!(
        frames.windows(4).filter(|bytes| bytes == b"IHDR").count(),
        10
    );
    (bytes, frames)
}

fn config() -> Config {
    let mut config = Config::default();
    config.retry.tries = 3;
    config.retry.first = Duration::from_millis(5);
    config
}

fn open(folder: &Path, name: &str, host: &Host) -> Arc<dyn Store> {
    let path = folder.join(format!("{name}.sxcu"));
    let file = serde_json::json!({
        "Version": "14.1.0",
        "Name": name,
        "DestinationType": "ImageUploader",
        "RequestMethod": "POST",
        "RequestURL": format!("http://{}/upload", host.address),
        "Headers": {"authorization": "token", "referer": "http://mine.example", "user-agent": "mine/1.0"},
        "Body": "MultipartFormData",
        "Arguments": {"expires": "never"},
        "FileFormName": "file",
        "URL": "{json:files[0].url}",
    });
    fs::write(&path, file.to_string()).unwrap();
    store::open(path.as_os_str(), &config()).unwrap()
}

fn put_to(stores: &[Arc<dyn Store>], parity: Option<&str>) -> Keys {
    let options = put::Options {
        parity: parity.map(|parity| parity.parse().unwrap()),
        ..put::Options::default()
    };
    put(Cursor::new(frames().1), stores, &options).unwrap().keys
}

fn options() -> get::Options {
    get::Options {
        store: config(),
        ..get::Options::default()
    }
}

fn bytes_of(keys: &Keys) -> Result<Vec<u8>> {
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    get_frames(keys, &mut frames, &options())?;
    decode(Cursor::new(frames), &mut bytes, &decode::Options::default())?;
    Ok(bytes)
}

/// Paths of the pictures of a key on its host, by their role and in order.
fn paths(key: &Key) -> BTreeMap<String, Vec<String>> {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    get::list(key, &options(), |source, role| {
        let path = source.location().url().path().to_owned();
        paths.entry(role.to_string()).or_default().push(path);
        Ok(())
    })
    .unwrap();
    paths
}

fn lose(host: &Host, path: &str) {
    host.kept.lock().unwrap().remove(path).unwrap();
}

fn line(keys: &[&Key]) -> Keys {
    let line: Vec<String> = keys.iter().map(ToString::to_string).collect();
    line.join(" ").parse().unwrap()
}

/// Whichever key stands first, and for each kind of store beside the host.
#[test]
fn a_frame_that_one_host_has_lost_comes_from_the_other_store() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [Manners::Good, Manners::Good].map(Host::new);
    let dir = store::open(folder.path().join("dir").as_os_str(), &config()).unwrap();
    let stores = [
        open(folder.path(), "a", &a),
        open(folder.path(), "b", &b),
        dir,
    ];
    let keys = put_to(&stores, None);
    let [at_a, at_b, at_dir] = keys.all() else {
        panic!("{keys}")
    };
    lose(&a, &paths(at_a)["data"][3]);
    lose(&b, &paths(at_b)["data"][5]);
    fs::remove_file(&paths(at_dir)["data"][7]).unwrap();
    let lines = [
        [at_a, at_b],
        [at_b, at_a],
        [at_a, at_dir],
        [at_dir, at_a],
        [at_b, at_dir],
        [at_dir, at_b],
    ];
    for keys in lines.map(|keys| line(&keys)) {
        assert!(bytes_of(&keys).unwrap() == frames().0, "{keys}");
        let mut left = Vec::new();
        let salvaged = salvage(&keys, &mut left, &options()).unwrap();
        assert!(salvaged.gaps.is_empty(), "{keys}");
        let report = check(&keys, Sample::All, &options()).unwrap();
        assert_eq!(report.health(), Health::Degraded, "{keys}");
    }
    lose(&b, &paths(at_b)["data"][3]);
    let error = bytes_of(&line(&[at_a, at_b])).unwrap_err();
    assert_eq!(error.kind(), &Kind::NotFound, "{error}");
}

/// Of a group, each host has too few frames, and both together have enough.
#[test]
fn a_group_is_rebuilt_from_what_two_hosts_have() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [Manners::Good, Manners::Good].map(Host::new);
    let stores = [open(folder.path(), "a", &a), open(folder.path(), "b", &b)];
    let keys = put_to(&stores, Some("4+1"));
    let [at_a, at_b] = [0, 2].map(|number| &keys.all()[number]); // each with a copy behind it
    let (in_a, in_b) = (paths(at_a), paths(at_b));
    lose(&a, &in_a["data"][1]);
    lose(&b, &in_b["data"][1]);
    lose(&a, &in_a["data"][2]);
    lose(&a, &in_a["parity"][0]);
    lose(&b, &in_b["data"][3]);
    for keys in [line(&[at_a, at_b]), line(&[at_b, at_a])] {
        assert!(bytes_of(&keys).unwrap() == frames().0, "{keys}");
    }
    lose(&b, &in_b["parity"][0]);
    let error = bytes_of(&keys).unwrap_err();
    assert!(matches!(error.kind(), Kind::TooFew { .. }), "{error}");
}

/// After a repair, each host has everything again, by itself, and was sent only what it had lost, and an
/// index.
#[test]
fn a_repair_on_two_hosts_leaves_each_its_own_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [Manners::Good, Manners::Good].map(Host::new);
    let stores = [open(folder.path(), "a", &a), open(folder.path(), "b", &b)];
    let keys = put_to(&stores, Some("4+1"));
    lose(&a, &paths(&keys.all()[0])["data"][4]);
    lose(&b, &paths(&keys.all()[1])["parity"][1]);
    let repaired = repair_to(&keys, &stores, &options()).unwrap();
    assert_eq!(repaired.stored, 6, "{:?}", repaired.report);
    let [at_a, at_b] = [0, 2].map(|number| &repaired.keys.all()[number]);
    for (key, host) in [(at_a, &a), (at_b, &b)] {
        let own = format!("http://{}/", host.address);
        get::list(key, &options(), |source, _| {
            let place = source.location().to_string();
            assert!(place.starts_with(&own), "{place}");
            Ok(())
        })
        .unwrap();
        assert!(bytes_of(&Keys::from(key.clone())).unwrap() == frames().0);
    }
    a.kept.lock().unwrap().clear();
    assert!(bytes_of(&repaired.keys).unwrap() == frames().0);
}

/// A folder, whose first picture costs another folder one of its own.
struct Costly {
    folder: Arc<dyn Store>,
    cost: PathBuf,
}

impl Store for Costly {
    fn put(&self, name: &Name, png: &[u8]) -> Result<Location> {
        let _ = fs::remove_file(&self.cost);
        self.folder.put(name, png)
    }

    fn replace(&self, name: &Name, png: &[u8]) -> Result<Location> {
        self.folder.replace(name, png)
    }

    fn locate(&self, name: &Name) -> Option<Location> {
        self.folder.locate(name)
    }

    fn sync(&self) -> Result<()> {
        self.folder.sync()
    }

    fn get(&self, at: &Location, read: &mut dyn FnMut(&mut dyn Read) -> Result<()>) -> Result<()> {
        self.folder.get(at, read)
    }

    fn made(&self, at: &Location) -> Result<Option<SystemTime>> {
        self.folder.made(at)
    }
}

/// What is lost between the check and the copy is an error, and no other frame stands in its place.
#[test]
fn a_frame_that_is_lost_during_a_repair() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name| store::open(folder.path().join(name).as_os_str(), &config()).unwrap();
    let keys = put_to(&[open("from")], None);
    let cost = PathBuf::from(&paths(keys.first())["data"][8]);
    let folder = open("to");
    let costly: Arc<dyn Store> = Arc::new(Costly { folder, cost });
    let one_by_one = get::Options {
        jobs: 1,
        ..options()
    };
    let error = repair_to(&keys, &[costly], &one_by_one).unwrap_err();
    assert_eq!(error.kind(), &Kind::NotFound, "{error}");
    assert!(error.to_string().starts_with("frame 8: file://"), "{error}");
}

/// A host that is silent holds nobody up where another one has everything.
#[test]
fn a_silent_host_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let keys = put_to(&[open(folder.path(), "a", &host)], None);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent: Key = format!("http://{address}/x.png#blake3={}", "0".repeat(64))
        .parse()
        .unwrap();
    for keys in [
        line(&[&silent, keys.first()]),
        line(&[keys.first(), &silent]),
    ] {
        let started = Instant::now();
        assert!(bytes_of(&keys).unwrap() == frames().0);
        assert!(started.elapsed() < Duration::from_secs(20), "{keys}");
    }
}
