//! What is known to be there: --reuse, --resume, and the table behind them.

mod net;

use net::host::{Host, Manners};
use net::proxy::Does;
use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use storagex::get::{self, get};
use storagex::key::{Digest, Keys, Name};
use storagex::put::{self, Sources, TableBuilder, put};
use storagex::store::{self, Config, Store, Verify};
use storagex::wire::frame::Size;
use storagex::wire::parity::Parity;
use storagex::{Kind, Result, encode};

/// How many frames an upload that is killed sends at once.
const JOBS: usize = 4;
/// Bytes of a stored full frame of 16 x 16.
const CAPACITY: usize = 16 * 16 * 3 - 36;

/// Frames of this many chunks; those whose numbers are in `changed` are others than by default.
fn frames(chunks: usize, changed: &[usize]) -> Vec<u8> {
    let byte = |at: usize| {
        let salt = if changed.contains(&(at / CAPACITY)) {
            7
        } else {
            1
        };
        let mixed = (at as u64 + (salt << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40).to_le_bytes()[0]
    };
    let bytes: Vec<u8> = (0..chunks * CAPACITY).map(byte).collect();
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

fn bring_back(keys: &Keys) -> Vec<u8> {
    let mut came = Vec::new();
    get(keys, &mut came, &get::Options::default()).unwrap();
    came
}

/// The options of a put that knows these keys and journals, and its notes.
fn options(keys: &[&Keys], journals: &[&Path]) -> (put::Options, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&notes);
    let known = Sources {
        keys: keys.iter().map(|keys| (*keys).clone()).collect(),
        journals: journals.iter().map(|path| path.to_path_buf()).collect(),
        note: Arc::new(move |note| own.lock().unwrap().push(note.to_owned())),
        ..Sources::default()
    };
    let options = put::Options {
        known: Some(known),
        ..put::Options::default()
    };
    (options, notes)
}

/// An image host of the tests, and a store of its own for each put.
struct Subject {
    host: Host,
    sxcu: PathBuf,
    folder: tempfile::TempDir,
}

impl Subject {
    fn new() -> Self {
        let host = Host::new(Manners::Good);
        let folder = tempfile::tempdir().unwrap();
        let sxcu = folder.path().join("host.sxcu");
        let text = format!(
            r#"{{"Version": "14.0.0", "RequestMethod": "POST", "RequestURL": "http://{}/upload",
                "Headers": {{"Authorization": "token"}}, "Body": "MultipartFormData",
                "FileFormName": "image", "URL": "{{json:files[0].url}}"}}"#,
            host.address
        );
        fs::write(&sxcu, text).unwrap();
        Subject { host, sxcu, folder }
    }

    fn store(&self) -> Arc<dyn Store> {
        let config = Config {
            verify: Verify::None,
            ..Config::default()
        };
        store::open(self.sxcu.as_os_str(), &config).unwrap()
    }

    /// Puts frames; gives the key, and the uploads and downloads that it took.
    fn put(&self, frames: &[u8], options: &put::Options) -> (Result<put::Done>, usize, usize) {
        self.host.seen.lock().unwrap().clear();
        let done = put(Cursor::new(frames.to_vec()), &[self.store()], options);
        let seen = self.host.seen.lock().unwrap();
        let count = |method| seen.iter().filter(|head| head.starts_with(method)).count();
        (done, count("POST"), count("GET"))
    }
}

#[test]
fn what_an_earlier_key_lists_is_not_sent_again() {
    let subject = Subject::new();
    let (first, posts, _) = subject.put(&frames(300, &[]), &put::Options::default());
    let first = first.unwrap().keys;
    assert_eq!(posts, 301);
    let changed = frames(300, &[7, 8, 250]);
    let (options, notes) = options(&[&first], &[]);
    let (second, posts, gets) = subject.put(&changed, &options);
    let second = second.unwrap().keys;
    // The last frame has the CRC of the stream. The index is new.
    assert_eq!(posts, 3 + 1 + 1);
    // The old index, the new root, the first picture, and one in a hundred of the others.
    assert!((3..20).contains(&gets), "{gets}");
    assert_eq!(bring_back(&second), changed);
    assert!(notes.lock().unwrap().is_empty());
}

/// About 30 of 3000: fewer than 8 or more than 70 are drawn once in a million times.
#[test]
fn one_in_a_hundred_is_read_back() {
    let subject = Subject::new();
    let frames = frames(3000, &[]);
    let (first, ..) = subject.put(&frames, &put::Options::default());
    let first = first.unwrap().keys;
    let (options, _) = options(&[&first], &[]);
    let (second, posts, gets) = subject.put(&frames, &options);
    assert_eq!((second.unwrap().keys, posts), (first, 0));
    assert!((8..73).contains(&gets), "{gets}");
}

/// Where pictures are named after their digests, a request for each would only ask what the key says.
#[test]
fn what_an_earlier_key_lists_in_a_bucket_is_not_asked_for() {
    let keep = tempfile::tempdir().unwrap();
    let (proxy, config) = net::proxy::bucket(keep.path());
    let open = || [store::open("s3://bucket".as_ref(), &config).unwrap()];
    let put = |frames: Vec<u8>, options: &put::Options| {
        proxy.does(|_, _| Does::Pass);
        let done = put(Cursor::new(frames), &open(), options).unwrap();
        (done.keys, proxy.seen())
    };
    let (first, seen) = put(frames(300, &[]), &put::Options::default());
    assert!(seen.len() > 300);
    let (options, _) = options(&[&first], &[]);
    let (second, seen) = put(frames(300, &[7, 8, 250]), &options);
    assert_ne!(second, first);
    let asked = seen.len();
    let sent = seen.iter().filter(|one| one.method == "PUT").count();
    assert_eq!(sent, 3 + 1 + 1);
    assert!(asked < 50, "{asked} requests");
}

#[test]
fn with_all_each_is_read_back() {
    let subject = Subject::new();
    let frames = frames(40, &[]);
    let (first, ..) = subject.put(&frames, &put::Options::default());
    let first = first.unwrap().keys;
    let (mut options, _) = options(&[&first], &[]);
    options.known.as_mut().unwrap().verify = Verify::All;
    let (second, posts, gets) = subject.put(&frames, &options);
    assert_eq!(second.unwrap().keys, first);
    assert_eq!((posts, gets), (0, 1 + 41 + 1));
}

#[test]
fn a_source_that_is_wrong_makes_no_false_key() {
    let subject = Subject::new();
    let frames = frames(60, &[]);
    let (first, ..) = subject.put(&frames, &put::Options::default());
    let first = first.unwrap().keys;
    // Every picture but the index and every third is gone.
    let paths: Vec<String> = subject.host.kept.lock().unwrap().keys().cloned().collect();
    let root = first.first().location.url().path().to_owned();
    for path in paths
        .iter()
        .filter(|path| **path != root)
        .skip(1)
        .step_by(3)
    {
        let gone = b"<html>gone".to_vec();
        subject.host.kept.lock().unwrap().insert(path.clone(), gone);
    }
    for _ in 0..20 {
        let (mut options, notes) = options(&[&first], &[]);
        options.known.as_mut().unwrap().verify = Verify::Share(50);
        let (second, ..) = subject.put(&frames, &options);
        match second {
            Ok(done) => {
                assert_eq!(bring_back(&done.keys), frames, "a false key");
                assert!(notes.lock().unwrap()[0].contains("isn't there"));
            }
            // What was passed over before the first that is gone was read can't be put any more.
            Err(e) => assert_eq!(e.kind(), &Kind::Gone, "{e}"),
        }
    }
}

#[test]
fn a_host_that_has_lost_everything_is_sent_everything() {
    let subject = Subject::new();
    let frames = frames(60, &[]);
    let (first, ..) = subject.put(&frames, &put::Options::default());
    let first = first.unwrap().keys;
    let root = first.first().location.url().path().to_owned();
    for (path, picture) in subject.host.kept.lock().unwrap().iter_mut() {
        if *path != root {
            *picture = b"<html>gone".to_vec();
        }
    }
    let (options, notes) = options(&[&first], &[]);
    let (second, posts, _) = subject.put(&frames, &options);
    assert_eq!(posts, 60 + 1);
    assert_eq!(bring_back(&second.unwrap().keys), frames);
    assert_eq!(notes.lock().unwrap().len(), 1);
}

#[test]
fn a_journal_takes_up_an_upload() {
    let subject = Subject::new();
    let journal = subject.folder.path().join("journal");
    let all = frames(50, &[]);
    let picture = all.len() / 50;
    let (options_, _) = options(&[], &[&journal]);
    let (first, ..) = subject.put(&all[..30 * picture], &options_);
    assert!(first.is_err());
    drop(options_);
    std::thread::sleep(Duration::from_millis(500)); // what was under way ends, and with it the lock
    let before = subject.host.kept.lock().unwrap().len();
    assert!((29..=30).contains(&before), "{before}");
    let (options_, notes) = options(&[], &[&journal]);
    let (second, posts, _) = subject.put(&all, &options_);
    assert_eq!(before + posts, 51);
    assert_eq!(bring_back(&second.unwrap().keys), all);
    // And once more: nothing is left to be sent.
    let (third, posts, _) = subject.put(&all, &options_);
    third.unwrap();
    assert_eq!(posts, 0);
    assert!(notes.lock().unwrap().is_empty());
    let text = fs::read_to_string(&journal).unwrap();
    let origin = format!("storagex-journal 1 http://{} ", subject.host.address);
    assert!(text.starts_with(&origin), "{text}");
    assert_eq!(text.lines().count(), 1 + 51);
}

#[test]
fn a_journal_of_another_store_and_one_in_use() {
    let subject = Subject::new();
    let journal = subject.folder.path().join("journal");
    let (options_, _) = options(&[], &[&journal]);
    subject.put(&frames(2, &[]), &options_).0.unwrap();
    let folder = store::open(
        subject.folder.path().join("x").as_os_str(),
        &Config::default(),
    );
    let stores = [folder.unwrap()];
    let error = put(Cursor::new(frames(2, &[])), &stores, &options_).unwrap_err();
    assert!(
        error.to_string().contains("journal of store http://"),
        "{error}"
    );
    let file = fs::File::open(&journal).unwrap();
    file.lock().unwrap();
    let (done, posts, _) = subject.put(&frames(2, &[]), &options_);
    let error = done.unwrap_err();
    assert!(
        error.to_string().contains("another process writes it"),
        "{error}"
    );
    assert_eq!(posts, 0);
}

/// Each store has a table of its own: what one has, the other may not.
#[test]
fn several_stores_know_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = folder.path().join(name);
        store::open(path.as_os_str(), &Config::default()).unwrap()
    };
    let frames = frames(20, &[]);
    let first = put(
        Cursor::new(frames.clone()),
        &[open("a")],
        &put::Options::default(),
    );
    let first = first.unwrap().keys;
    let journals = [
        folder.path().join("a.journal"),
        folder.path().join("b.journal"),
    ];
    let (options_, _) = options(&[&first], &[&journals[0], &journals[1]]);
    let both = put(
        Cursor::new(frames.clone()),
        &[open("a"), open("b")],
        &options_,
    )
    .unwrap();
    for key in both.keys.all() {
        assert_eq!(bring_back(&key.clone().into()), frames);
    }
    let lines = |path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&journals[0]), lines(&journals[1])), (1, 1 + 21));
    let (options_, _) = options(&[&first], &[&journals[0]]);
    let error = put(Cursor::new(frames), &[open("a"), open("b")], &options_).unwrap_err();
    assert!(matches!(error.kind(), Kind::Usage(_)), "{error}");
}

/// A folder is looked into all the same: it costs no request.
#[test]
fn in_a_folder_what_is_gone_is_put_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open = || store::open(path.as_os_str(), &Config::default()).unwrap();
    let frames = frames(300, &[]);
    let first = put(
        Cursor::new(frames.clone()),
        &[open()],
        &put::Options::default(),
    );
    let first = first.unwrap().keys;
    let mut removed = 0;
    get::list(&first, &get::Options::default(), |source, role| {
        if role == put::Role::Data && removed < 200 {
            fs::remove_file(source.location().path()).unwrap();
            removed += 1;
        }
        Ok(())
    })
    .unwrap();
    let (options_, _) = options(&[&first], &[]);
    let second = put(Cursor::new(frames.clone()), &[open()], &options_).unwrap();
    assert_eq!((removed, &second.keys), (200, &first));
    assert_eq!(bring_back(&second.keys), frames);
}

/// What a key of another host lists is put, however alike the two are.
#[test]
fn a_key_of_another_host_skips_nothing() {
    let (subject, other) = (Subject::new(), Subject::new());
    let frames = frames(60, &[]);
    let (theirs, ..) = other.put(&frames, &put::Options::default());
    let theirs = theirs.unwrap().keys;
    let (options_, notes) = options(&[&theirs], &[]);
    let (done, posts, _) = subject.put(&frames, &options_);
    let own = done.unwrap().keys;
    assert_eq!(posts, 61);
    let notes = notes.lock().unwrap().clone();
    assert!(
        notes[0].contains(": on another host, by the index of http://"),
        "{notes:?}"
    );
    assert_eq!(notes.len(), 1);
    // The stream is there without the other host.
    other.host.kept.lock().unwrap().clear();
    assert_eq!(bring_back(&own), frames);
    // A line of keys of both is of each in its place.
    let both: Keys = format!("{theirs} {own}").parse().unwrap();
    let (options_, notes) = options(&[&both], &[]);
    let (done, posts, _) = subject.put(&frames, &options_);
    assert_eq!((posts, done.unwrap().keys), (0, own));
    assert!(notes.lock().unwrap().is_empty(), "{notes:?}");
}

/// Where a host gives URLs of another origin than that of its uploads, one picture is sent again.
#[test]
fn a_host_with_pictures_at_another_origin() {
    let subject = Subject::new();
    let text = fs::read_to_string(&subject.sxcu).unwrap();
    let at = |name: &str| format!("http://{name}:{}", subject.host.address.port());
    fs::write(
        &subject.sxcu,
        text.replace(&at("127.0.0.1"), &at("localhost")),
    )
    .unwrap();
    let frames_ = frames(60, &[]);
    let (first, posts, _) = subject.put(&frames_, &put::Options::default());
    let first = first.unwrap().keys;
    assert!(first.to_string().starts_with(&at("127.0.0.1")), "{first}");
    assert_eq!(posts, 61);
    let (options_, notes) = options(&[&first], &[]);
    let (second, posts, _) = subject.put(&frames(60, &[7]), &options_);
    // One to learn where they are, the one that changed, the last, and the index.
    assert_eq!(posts, 4);
    assert!(notes.lock().unwrap().is_empty(), "{notes:?}");
    assert_eq!(bring_back(&second.unwrap().keys), frames(60, &[7]));
}

/// Parity frames and copies of indexes of the same group are known as well.
#[test]
fn parity_is_reused() {
    let subject = Subject::new();
    let frames_ = frames(40, &[]);
    let plain = put::Options {
        parity: Some(Parity { data: 4, parity: 2 }),
        ..put::Options::default()
    };
    let (first, posts, _) = subject.put(&frames_, &plain);
    assert_eq!(posts, 40 + 20 + 3);
    let first = first.unwrap().keys;
    let (reusing, _) = options(&[&first], &[]);
    let reusing = put::Options {
        parity: plain.parity,
        ..reusing
    };
    let (second, posts, _) = subject.put(&frames_, &reusing);
    assert_eq!((posts, second.unwrap().keys), (0, first));
    // A change of one frame: it, its parity frames, the last frame's group, the index and its copies.
    let changed = frames(40, &[5]);
    let (third, posts, _) = subject.put(&changed, &reusing);
    assert_eq!(posts, 1 + 2 + 1 + 2 + 3);
    assert_eq!(bring_back(&third.unwrap().keys), changed);
}

/// A copy of an index is known, but never passed over unread: the key needs it.
#[test]
fn a_damaged_copy_of_an_index_is_put_again() {
    let folder = tempfile::tempdir().unwrap();
    let frames = frames(10, &[]);
    let put_again = |options: &put::Options| {
        let options = put::Options {
            parity: Some(Parity { data: 4, parity: 2 }),
            ..options.clone()
        };
        let stores = [store::open(folder.path().as_os_str(), &Config::default()).unwrap()];
        put(Cursor::new(frames.clone()), &stores, &options).unwrap()
    };
    let first = put_again(&put::Options::default()).keys;
    let key = first.first();
    let copy = |copy| {
        let name = Name {
            digest: key.digest,
            copy,
        };
        folder.path().join(name.to_string())
    };
    let (whole, other) = (fs::read(copy(2)).unwrap(), frames[..].to_vec());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damages = [
        &whole[..100],
        b"",
        b"no picture",
        &flipped,
        &other,
        b"<html>",
    ];
    for (number, bad) in damages.into_iter().enumerate() {
        for verify in [Verify::First, Verify::None] {
            fs::write(copy(2), bad).unwrap();
            let (mut options, notes) = options(&[&first], &[]);
            options.known.as_mut().unwrap().verify = verify;
            assert_eq!(put_again(&options).keys, first);
            assert!(fs::read(copy(2)).unwrap() == whole, "damage {number}");
            assert_eq!(notes.lock().unwrap().len(), 1, "damage {number}");
        }
    }
}

#[test]
fn a_key_that_no_store_has_is_told_and_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = folder.path().join(name);
        store::open(path.as_os_str(), &Config::default()).unwrap()
    };
    let frames = frames(5, &[]);
    let first = put(
        Cursor::new(frames.clone()),
        &[open("a")],
        &put::Options::default(),
    );
    let first = first.unwrap().keys;
    let (options_, notes) = options(&[&first], &[]);
    let second = put(Cursor::new(frames.clone()), &[open("b")], &options_).unwrap();
    assert_eq!(bring_back(&second.keys), frames);
    assert!(notes.lock().unwrap()[0].contains("nothing of it is reused"));
}

/// The store of a key is empty, as a disk that isn't mounted; or some pictures are gone.
#[test]
fn a_store_that_has_lost_what_a_key_names_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let frames = frames(30, &[]);
    let put_again = |keys: &[&Keys]| {
        let stores = [store::open(path.as_os_str(), &Config::default()).unwrap()];
        let (options, notes) = options(keys, &[]);
        let done = put(Cursor::new(frames.clone()), &stores, &options).unwrap();
        let notes = notes.lock().unwrap().clone();
        (done.keys, notes)
    };
    let (first, _) = put_again(&[]);
    let gone: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let root = first.first().location.path();
    for folder in gone.iter().filter(|folder| !root.starts_with(folder)) {
        fs::remove_dir_all(folder).unwrap();
    }
    let (again, notes) = put_again(&[&first]);
    assert_eq!(again, first);
    assert_eq!(notes.len(), 1, "{notes:?}");
    let expected = format!(
        ": not found, expected it by the index of {}: what is missing is stored again",
        first.first().location
    );
    assert!(notes[0].ends_with(&expected), "{notes:?}");
    assert_eq!(bring_back(&first), frames);
    fs::remove_dir_all(&path).unwrap();
    let (again, notes) = put_again(&[&first, &first]);
    assert_eq!(again, first);
    let expected = format!(
        "{}: not found, expected the index of a key to reuse, and 1 more: what only it lists is \
         stored again; is the store mounted?",
        first.first().location
    );
    assert_eq!(notes, [expected]);
    assert_eq!(bring_back(&first), frames);
}

/// The most resident memory that this process has had, and what it has now, in MiB.
#[cfg(target_os = "linux")]
fn memory(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Puts so many names into a table and looks all of them up; gives the peak of memory meanwhile, of
/// this whole process.
#[cfg(target_os = "linux")]
fn fill_a_table(names: u64) -> u64 {
    let name = |number: u64| Name::from(Digest::of(&number.to_le_bytes()));
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak is now what it is
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let mut builder = TableBuilder::new(folder.path()).unwrap();
    (0..names).for_each(|number| builder.add(&name(number), number).unwrap());
    let table = builder.finish(folder.path()).unwrap();
    let made = started.elapsed();
    assert_eq!(table.count(), names);
    let found = (0..names).all(|number| table.get(&name(number)).unwrap() == Some(number));
    assert!(found && table.get(&name(names)).unwrap().is_none());
    let looked = started.elapsed().saturating_sub(made);
    let peak = memory("VmHWM:");
    println!("{names} names: made in {made:?}, looked up in {looked:?}, peak {peak} MiB");
    peak
}

/// Runs one of the tests below in a process of its own, whose memory is that of the table alone.
#[cfg(target_os = "linux")]
fn alone(test: &str) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let command = command.args(["--ignored", "--nocapture", "--exact", test]);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(done.status.success() && said.contains("peak"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_table_takes_little_memory() {
    alone("half_a_million_names");
}

#[test]
#[ignore = "run by a_table_takes_little_memory"]
#[cfg(target_os = "linux")]
fn half_a_million_names() {
    assert!(fill_a_table(500_000) < 48);
}

/// Takes minutes: `.ci/run` runs it.
#[test]
#[ignore = "takes minutes"]
#[cfg(target_os = "linux")]
fn ten_million_names_within_96_mib() {
    assert!(fill_a_table(10_000_000) < 96);
}

/// Of several entries for one name, the last one counts, in whichever runs they are.
#[test]
fn a_later_entry_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = TableBuilder::new(folder.path()).unwrap();
    let mut map = BTreeMap::new();
    for number in 0..600_000u64 {
        let digest = Digest::of(&(number % 250_000).to_le_bytes());
        builder.add(&digest.into(), number).unwrap();
        map.insert(*digest.bytes(), number);
    }
    let table = builder.finish(folder.path()).unwrap();
    let mut expected = map.into_iter();
    table
        .each(|name, value| {
            assert_eq!(expected.next(), Some((*name.digest.bytes(), value)));
            Ok(())
        })
        .unwrap();
    assert_eq!(expected.next(), None);
}

/// Puts a stream to a host with a journal, kills that at a random moment, and takes it up again, until
/// it was killed so many times: only frames that were under way are sent twice, and the key brings back
/// everything.
fn kill_and_resume(kills: usize) {
    let subject = Subject::new();
    let mut numbers = fastrand::Rng::new();
    let (mut killed, mut twice, mut round) = (0, 0, 0);
    let journal = subject.folder.path().join("journal");
    let input = subject.folder.path().join("frames");
    let key = subject.folder.path().join("key");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sx-put"));
        command
            .args(["--verify", "first", "-j", &JOBS.to_string(), "--to"])
            .arg(&subject.sxcu);
        command.arg("--resume").arg(&journal).arg("-o").arg(&key);
        command.stdin(fs::File::open(&input).unwrap());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    fs::write(&input, frames(60, &[60])).unwrap();
    let started = Instant::now();
    assert!(run().wait_with_output().unwrap().status.success());
    let usual = started.elapsed();
    while killed < kills {
        round += 1;
        assert!(round < 4 * kills, "only {killed} of {round} were killed");
        let _ = fs::remove_file(&journal);
        let _ = fs::remove_file(&key);
        subject.host.kept.lock().unwrap().clear();
        let all = frames(60, &[round % 60]);
        fs::write(&input, &all).unwrap();
        let mut first = run();
        std::thread::sleep(usual.mul_f64(numbers.f64()));
        first.kill().unwrap();
        let ended = first.wait_with_output().unwrap();
        killed += usize::from(!ended.status.success());
        // One that is killed between its key and its end has kept everything: the key is a true one.
        if key.exists() {
            let line = fs::read_to_string(&key).unwrap();
            let keys = line.trim().parse().unwrap();
            assert!(bring_back(&keys) == all, "round {round}: a key of less");
        }
        assert!(
            key.exists() || !ended.status.success(),
            "round {round}: no key"
        );
        let again = run().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "round {round}: {said}");
        let mut sent: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for picture in subject.host.kept.lock().unwrap().values() {
            *sent.entry(picture.clone()).or_default() += 1;
        }
        assert_eq!(sent.len(), 61, "round {round}");
        let more = sent.values().sum::<usize>() - 61;
        assert!(more <= JOBS, "round {round}: {more} frames were sent again");
        twice += more;
        let line = fs::read_to_string(&key).unwrap();
        let keys = line.trim().parse().unwrap();
        assert!(bring_back(&keys) == all, "round {round}: a false key");
    }
    println!("{killed} of {round} killed; {twice} frames sent twice");
}

#[test]
fn killed_and_taken_up_again() {
    kill_and_resume(20);
}

/// Takes minutes: `.ci/run` runs it.
#[test]
#[ignore = "takes minutes"]
fn killed_500_times() {
    kill_and_resume(500);
}
