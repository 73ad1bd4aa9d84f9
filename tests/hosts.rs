//! Image hosts, through the whole pipe: encode, put, get, decode, against a host that misbehaves.

mod net;

use net::host::{Host, Manners};
use net::proxy::{Does, Proxy};
use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storagex::get::{Health, Sample};
use storagex::key::Digest;
use storagex::probe::{self, Fate};
use storagex::store::{self, Comparison, Config, Verify};
use storagex::wire::carrier::container::Pictures;
use storagex::wire::carrier::sturdy::{Corrections, Level};
use storagex::wire::frame::{FrameKind, Size};
use storagex::wire::parity::Parity;
use storagex::wire::{Carrier, DEFAULT_LIMIT, read_frame};
use storagex::{Key, Kind, Result, decode, encode, get, put};

/// An uploader file for a host, in a folder of its own.
fn uploader(folder: &Path, host: &Host, url: &str, error: &str) -> PathBuf {
    let path = folder.join("host.sxcu");
    let file = serde_json::json!({
        "Version": "14.1.0",
        "Name": "a test host",
        "DestinationType": "ImageUploader",
        "RequestMethod": "POST",
        "RequestURL": format!("http://{}/upload", host.address),
        "Headers": {"authorization": "{inputbox:Token}", "referer": "http://mine.example",
                    "user-agent": "mine/1.0"},
        "Body": "MultipartFormData",
        "Arguments": {"expires": "never"},
        "FileFormName": "file",
        "URL": url,
        "DeletionURL": if url.contains("json") { "{json:files[0].delete}" } else { "" },
        "ErrorMessage": error,
    });
    fs::write(&path, file.to_string()).unwrap();
    path
}

fn config(folder: &Path) -> Config {
    let mut config = Config::default();
    config.retry.tries = 3;
    config.retry.first = Duration::from_millis(5);
    config.set = BTreeMap::from([("Token".to_owned(), "token".to_owned())]);
    config.deletions = Some(folder.join("deletions"));
    config
}

const JSON: &str = "{json:files[0].url}";

/// Five frames of noise, of 256 pixels at most.
fn frames() -> (Vec<u8>, Vec<u8>) {
    let bytes: Vec<u8> = (0..3000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    let mut frames = Vec::new();
    let options = encode::Options {
        size: Size {
            width: 16,
            height: 16,
        },
        level: 0,
        ..Default::default()
    };
    encode(Cursor::new(bytes.clone()), &mut frames, &options).unwrap();
    (bytes, frames)
}

fn try_put(uploader: &Path, config: &Config) -> Result<Key> {
    let store = store::open(uploader.as_os_str(), config)?;
    let done = put(Cursor::new(frames().1), &[store], &put::Options::default())?;
    Ok(done.keys.first().clone())
}

fn comes_back(key: &Key) {
    comes_back_by(key, Config::default());
}

fn comes_back_by(key: &Key, store: Config) {
    let mut frames_back = Vec::new();
    let options = get::Options {
        store,
        ..Default::default()
    };
    get(key, &mut frames_back, &options).unwrap();
    let mut bytes = Vec::new();
    decode(
        Cursor::new(frames_back),
        &mut bytes,
        &decode::Options::default(),
    )
    .unwrap();
    assert!(bytes == frames().0);
}

#[test]
fn a_host_that_answers_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let key = try_put(&file, &config(folder.path())).unwrap();
    assert!(
        key.to_string()
            .starts_with(&format!("http://{}/u/", host.address)),
        "{key}"
    );
    comes_back(&key);
    let seen = host.seen.lock().unwrap();
    assert!(
        seen[0].contains("multipart/form-data; boundary="),
        "{}",
        seen[0]
    );
    // The first picture is read back before the second is sent.
    assert!(
        seen[0].starts_with("POST") && seen[1].starts_with("GET"),
        "{seen:?}"
    );
}

#[test]
fn urls_to_delete_are_kept_in_a_secret_file_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    try_put(&file, &config(folder.path())).unwrap();
    let path = folder.path().join("deletions");
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let pictures = host.kept.lock().unwrap().len();
    assert_eq!(lines.lines().count(), pictures);
    for line in lines.lines() {
        let (key, url) = line.split_once('\t').unwrap();
        key.parse::<Key>().unwrap();
        assert!(url.ends_with("?secret"), "{url}");
    }
    for picture in host.kept.lock().unwrap().values() {
        assert!(!picture.windows(6).any(|window| window == b"secret"));
    }
}

#[test]
fn one_url_for_two_pictures_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Overwrites);
    let file = uploader(folder.path(), &host, JSON, "");
    for verify in [Verify::First, Verify::All, Verify::None] {
        let config = Config {
            verify,
            ..config(folder.path())
        };
        let error = try_put(&file, &config).unwrap_err().to_string();
        // With all read back, whichever is noticed first.
        let is_told = error.contains("the URL of another picture, expected")
            || verify == Verify::All && error.contains("with other pixels");
        assert!(is_told, "{error}");
    }
    let report = probed(Manners::Overwrites).unwrap();
    assert_eq!(report.largest(), None);
    assert!(report.pictures.len() < 3, "{report:?}");
}

/// Its URLs differ, so that only what is read back later shows that one file is behind all of them.
#[test]
fn a_host_that_keeps_only_the_last_picture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::KeepsLast);
    let file = uploader(folder.path(), &host, JSON, "");
    for verify in [Verify::First, Verify::All] {
        let config = Config {
            verify,
            ..config(folder.path())
        };
        let error = try_put(&file, &config).unwrap_err().to_string();
        let is_told = error.contains("reading back: http") && error.contains("digest")
            || verify == Verify::All && error.contains("with other pixels");
        assert!(is_told, "{error}");
    }
    let report = probed(Manners::KeepsLast).unwrap();
    let again = |fate: &&Fate| matches!(fate, Fate::Came(Comparison::Changed { what, .. }) if what.contains("and then something else"));
    assert_eq!(came(&report).into_iter().filter(again).count(), 2);
    // The last one came back twice, as will no other.
    assert_eq!(came(&report)[2], &Fate::Came(Comparison::SameBytes));
    assert_eq!(report.largest(), None);
    let done = Command::new(env!("CARGO_BIN_EXE_sx-put"))
        .args(["--probe", "-W80", "-H64", "--set", "Token=token", "--to"])
        .arg(&file)
        .output()
        .unwrap();
    let [said, error] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(!said.contains("use:"), "{said}");
    let expected = "sx-put: error: not every picture came back a second time";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(done.status.code(), Some(1));
}

#[test]
fn frames_are_not_spread_over_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let other = folder.path().join("other");
    let stores = [file.as_os_str(), other.as_os_str()];
    let stores = stores.map(|name| store::open(name, &config(folder.path())).unwrap());
    let options = put::Options {
        parity: Some("1+1".parse().unwrap()),
        spread: true,
        ..put::Options::default()
    };
    let error = put(Cursor::new(frames().1), &stores, &options).unwrap_err();
    let what = "--spread over an image host, expected stores that name pictures by digest";
    assert_eq!(error.kind(), &Kind::Usage(what.into()));
    assert!(host.seen.lock().unwrap().is_empty());
}

/// A hint is about the file of the host, and never about variables of S3.
#[test]
fn hints_of_hosts_name_no_variables_of_s3() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let proxy = Proxy::new(host.address);
    let file = uploader(folder.path(), &host, JSON, "");
    let text = fs::read_to_string(&file).unwrap();
    let [own, other] = [host.address, proxy.address].map(|address| address.to_string());
    fs::write(&file, text.replace(&own, &other)).unwrap();
    let input = folder.path().join("frames");
    fs::write(&input, frames().1).unwrap();
    for status in [401, 403, 405, 507] {
        proxy.does(move |_, _| Does::Answer(status, Vec::new(), b"AccessDenied".to_vec()));
        let done = Command::new(env!("CARGO_BIN_EXE_sx-put"))
            .args(["--set", "Token=token", "--to"])
            .arg(&file)
            .stdin(fs::File::open(&input).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(&format!("HTTP {status} ")), "{said}");
        assert!(!said.contains("AWS_"), "{said}");
    }
}

#[test]
fn a_redirect_to_the_picture_itself() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::ToPicture);
    let file = uploader(folder.path(), &host, "{responseurl}", "");
    comes_back(&try_put(&file, &config(folder.path())).unwrap());
    let uploads = host.kept.lock().unwrap().len();
    assert_eq!(uploads, 6, "uploaded several times");
    // What looks for a URL in the picture finds none, and doesn't try again.
    let host = Host::new(Manners::ToPicture);
    let file = uploader(folder.path(), &host, JSON, "");
    assert!(try_put(&file, &config(folder.path())).is_err());
    assert_eq!(host.kept.lock().unwrap().len(), 1);
}

#[test]
fn a_picture_that_is_shown_late_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Late);
    let file = uploader(folder.path(), &host, JSON, "");
    let config = Config {
        verify: Verify::All,
        ..config(folder.path())
    };
    try_put(&file, &config).unwrap();
    assert_eq!(host.kept.lock().unwrap().len(), 6);
}

#[test]
fn headers_of_the_file_are_sent_to_read_back_too() {
    for (name, value) in [
        ("referer", "http://mine.example"),
        ("user-agent", "mine/1.0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(Manners::Needs(name, value));
        let file = uploader(folder.path(), &host, JSON, "");
        let key = try_put(&file, &config(folder.path())).unwrap();
        // And by who gets, if told where they are; it need not know the token.
        let without = get(&key, &mut Vec::new(), &get::Options::default()).unwrap_err();
        assert!(
            matches!(without.kind(), Kind::Refused { status: 403, .. }),
            "{without}"
        );
        let lent = get::Options {
            from: vec![file.clone().into_os_string()],
            ..Default::default()
        };
        let mut back = Vec::new();
        get(&key, &mut back, &lent).unwrap();
        assert!(back == frames().1, "{name}");
        let report = get::check(&key, get::Sample::All, &lent).unwrap();
        assert_eq!(report.health(), get::Health::Whole);
        assert_eq!(get::info(&key, &lent).unwrap().size, 3000);

        let store = store::open(file.as_os_str(), &config(folder.path())).unwrap();
        let lost = host.kept.lock().unwrap().len();
        let repaired = get::repair_to(&key, &[store], &lent).unwrap();
        assert_eq!(repaired.stored, 1, "the index alone");
        assert_eq!(host.kept.lock().unwrap().len(), lost + 1);
    }
}

/// What sx-put says of hosts that have such manners, each with a file of its number.
fn said_of(manners: &[Manners], options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let frames_file = folder.path().join("frames");
    fs::write(&frames_file, frames().1).unwrap();
    let hosts: Vec<Host> = manners.iter().map(|manners| Host::new(*manners)).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sx-put"));
    command.args(["--set", "Token=token"]).args(options);
    for (number, host) in hosts.iter().enumerate() {
        let own = folder.path().join(number.to_string());
        fs::create_dir(&own).unwrap();
        command.arg("--to").arg(uploader(&own, host, JSON, ""));
    }
    let frames = fs::File::open(&frames_file).unwrap();
    let done = command.stdin(frames).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{said}");
    said.replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn a_host_that_needs_headers_to_read_is_named_at_the_end() {
    let needs = Manners::Needs("referer", "http://mine.example");
    let note = |number: usize| {
        let what = "this host needs headers to read: fetch with sx-get --from";
        format!("sx-put: note: {what} /{number}/host.sxcu\n")
    };
    assert_eq!(said_of(&[needs], &[]), note(0));
    assert_eq!(said_of(&[Manners::Good], &[]), "");
    // With parity a host has several keys in the line, and each host is asked for its own.
    let parity = ["--parity", "2+2"];
    assert_eq!(said_of(&[Manners::Good, needs], &parity), note(1));
    assert_eq!(said_of(&[needs, Manners::Good], &parity), note(0));
    assert_eq!(
        said_of(&[needs, needs], &parity),
        [note(0), note(1)].concat()
    );
}

/// As many sturdy frames of noise of 64 x 64 pixels as 3000 bytes take.
fn sturdy_frames(level: Level) -> (Vec<u8>, Vec<u8>) {
    let (bytes, _) = frames();
    let options = encode::Options {
        size: Size {
            width: 64,
            height: 64,
        },
        level: 0,
        carrier: Carrier::Sturdy(level),
        ..Default::default()
    };
    let mut frames = Vec::new();
    encode(Cursor::new(bytes.clone()), &mut frames, &options).unwrap();
    (bytes, frames)
}

#[test]
fn sturdy_frames_that_were_made_jpegs_are_decoded() {
    let (bytes, frames) = sturdy_frames(Level::Three);
    let mut pictures = Pictures::new(&frames[..], 1 << 20);
    let (mut picture, mut jpegs) = (Vec::new(), Vec::new());
    while pictures.next(&mut picture).unwrap() {
        jpegs.extend(net::host::to_jpeg(&picture, 75));
    }
    let mut back = Vec::new();
    decode(Cursor::new(jpegs), &mut back, &decode::Options::default()).unwrap();
    assert!(back == bytes);
}

/// The kinds of the frames that a host has, all of them sturdy, by the paths of their pictures.
fn kinds(host: &Host, level: Level) -> Vec<(String, FrameKind)> {
    let kept = host.kept.lock().unwrap();
    let kinds = kept.iter().map(|(path, picture)| {
        let frame = read_frame(picture, DEFAULT_LIMIT, &mut Vec::new()).unwrap();
        assert_eq!(frame.carrier, Carrier::Sturdy(level), "{path}");
        (path.clone(), frame.trailer.kind)
    });
    kinds.collect()
}

/// Wherever a plain frame comes back as a JPEG, the hint names what tells more, and what survives.
#[test]
fn hints_of_a_plain_frame_that_became_a_jpeg() {
    let hints = |program: &str, arguments: &[&str], input: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        fs::write(&path, input).unwrap();
        let done = Command::new(program)
            .args(arguments)
            .stdin(fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{said}");
        let hint = said.lines().find(|line| line.contains(": hint: "));
        let hint = hint.unwrap_or_else(|| panic!("no hint: {said}"));
        assert!(hint.contains("sx-put --probe"), "{said}");
        assert!(hint.contains("sx-encode --sturdy"), "{said}");
    };
    let mut first = Vec::new();
    let frames = frames().1;
    Pictures::new(&frames[..], 1 << 20)
        .next(&mut first)
        .unwrap();
    let jpeg = net::host::to_jpeg(&first, 75);
    hints(env!("CARGO_BIN_EXE_sx-decode"), &[], &jpeg);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.jpg");
    fs::write(&file, &jpeg).unwrap();
    let (path, digest) = (file.display(), Digest::of(&[0; 768]));
    let key = format!("file://{path}#blake3={digest}");
    hints(env!("CARGO_BIN_EXE_sx-get"), &[&key], b"");

    let host = Host::new(Manners::Jpeg);
    let file = uploader(folder.path(), &host, JSON, "");
    let file = file.to_str().unwrap();
    let arguments = ["--set", "Token=token", "--to", file];
    hints(env!("CARGO_BIN_EXE_sx-put"), &arguments, &frames);
}

/// Data, parity and index frames become JPEGs of quality 75. What is got is the pictures that were
/// put, with all there and with one to be rebuilt.
#[test]
fn a_host_that_makes_jpegs_keeps_sturdy_frames() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Jpeg);
    let file = uploader(folder.path(), &host, JSON, "");
    let config = Config {
        verify: Verify::All,
        ..config(folder.path())
    };
    let (_, frames) = sturdy_frames(Level::Two);
    let options = put::Options {
        parity: Some("3+1".parse().unwrap()),
        ..put::Options::default()
    };
    let store = store::open(file.as_os_str(), &config).unwrap();
    let keys = put(Cursor::new(frames.clone()), &[store], &options)
        .unwrap()
        .keys;
    let kinds = kinds(&host, Level::Two);
    let count = |kind| kinds.iter().filter(|(_, other)| *other == kind).count();
    let [data, parity] = [FrameKind::Data, FrameKind::Parity].map(count);
    assert!(data >= 4 && parity == data.div_ceil(3), "{kinds:?}");
    assert!(count(FrameKind::Index) >= 2, "{kinds:?}");

    let got = || {
        let mut back = Vec::new();
        let got = get(&keys, &mut back, &get::Options::default()).unwrap();
        assert!(back == frames);
        got.rebuilt
    };
    assert_eq!(got(), 0);
    let checked = get::check(&keys, get::Sample::All, &get::Options::default()).unwrap();
    let corrections = checked.corrections;
    assert_eq!(checked.health(), get::Health::Whole);
    assert!(
        corrections.wrong > 0 && (1..=Corrections::MOST).contains(&corrections.worst),
        "{corrections:?}"
    );
    let said = Command::new(env!("CARGO_BIN_EXE_sx-get"))
        .args(["--check", &keys.to_string()])
        .output()
        .unwrap();
    let share = 100.0 * corrections.mean();
    let line = format!(
        "corrected: {share:.2} % of bytes on average, at worst {} in a code word, where 16 are surely corrected",
        corrections.worst
    );
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(&line), "{said}, expected {line}");

    let lost = kinds.iter().find(|(_, kind)| *kind == FrameKind::Data);
    host.kept.lock().unwrap().remove(&lost.unwrap().0).unwrap();
    assert_eq!(got(), 1);
}

/// Quality 75 is too much for level 1; that is said of the first picture.
#[test]
fn a_host_that_makes_jpegs_loses_frames_that_are_not_sturdy_enough() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Jpeg);
    let file = uploader(folder.path(), &host, JSON, "");
    let store = store::open(file.as_os_str(), &config(folder.path())).unwrap();
    let (_, frames) = sturdy_frames(Level::One);
    let error = put(Cursor::new(frames), &[store], &put::Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(" PNG, came back a ") && error.contains("JPEG of quality 75"),
        "{error}"
    );
    assert_eq!(host.kept.lock().unwrap().len(), 1);
}

#[test]
fn a_probe_looks_twice() {
    let report = probed(Manners::Expired).unwrap();
    assert_eq!(report.largest(), None);
    for picture in &report.pictures {
        let Fate::Refused(why) = &picture.fate else {
            panic!("{picture:?}")
        };
        assert!(why.starts_with("came back once, and then not: "), "{why}");
    }
}

#[test]
fn a_url_in_a_redirect_and_a_relative_one() {
    for (manners, url) in [
        (
            Manners::Redirect,
            "{regex:{responseurl}|queryImageUrl=(.*?)&querySign|1}",
        ),
        (Manners::Relative, ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(manners);
        let file = uploader(folder.path(), &host, url, "");
        comes_back(&try_put(&file, &config(folder.path())).unwrap());
    }
}

#[test]
fn what_a_host_does_to_pictures_is_named_after_the_first() {
    for (manners, message) in [
        (
            Manners::Jpeg,
            " PNG, came back a 16 x 16 JPEG of quality 75",
        ),
        (
            Manners::Shrunk,
            " PNG, came back 8 x 8 PNG, resized from 16 x 16",
        ),
        (
            Manners::Page,
            "its URL is that of a page that shows the picture, expected that of the picture",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(manners);
        let file = uploader(folder.path(), &host, JSON, "");
        let error = try_put(&file, &config(folder.path())).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(host.kept.lock().unwrap().len(), 1, "{manners:?}");
    }
}

/// A picture of this width and height, and its digest.
fn picture(across: u32) -> (Digest, Vec<u8>) {
    let size = Size {
        width: across,
        height: across,
    };
    let bytes = vec![5; size.pixel_bytes()];
    let mut png = Vec::new();
    storagex::wire::carrier::pixels::render(&bytes, size, &mut png);
    (Digest::of(&bytes), png)
}

#[test]
fn a_picture_larger_than_those_that_came_back_is_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (picture(16), picture(40));
    let host = Host::new(Manners::ShrunkOver(small.1.len()));
    let file = uploader(folder.path(), &host, JSON, "");
    let store = store::open(file.as_os_str(), &config(folder.path())).unwrap();
    store.put(&small.0.into(), &small.1).unwrap();
    store.put(&small.0.into(), &small.1).unwrap();
    let gets = || {
        let seen = host.seen.lock().unwrap();
        seen.iter().filter(|head| head.starts_with("GET")).count()
    };
    assert_eq!(gets(), 1);
    // And what fails, fails for all that come after it, with the same message.
    for _ in 0..2 {
        let error = store
            .put(&large.0.into(), &large.1)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("image host 'a test host': http"),
            "{error}"
        );
        assert!(
            error.contains("was 40 x 40 PNG, came back 8 x 8 PNG, resized from 40 x 40"),
            "{error}"
        );
    }
    assert_eq!((gets(), host.kept.lock().unwrap().len()), (2, 3));
}

#[test]
fn pictures_are_read_back_without_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let mut config = config(folder.path());
    config.variables = BTreeMap::from([("SX_HTTP_TOKEN".to_owned(), "reader".to_owned())]);
    try_put(&file, &config).unwrap();
    let seen = host.seen.lock().unwrap();
    assert!(seen.iter().any(|head| head.starts_with("GET")));
    assert!(!seen.iter().any(|head| head.contains("reader")), "{seen:?}");
}

#[test]
fn an_error_inside_a_good_answer_and_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::ErrorInside);
    let file = uploader(folder.path(), &host, JSON, "{json:error}");
    let error = try_put(&file, &config(folder.path())).unwrap_err();
    assert!(error.to_string().contains("quota exceeded"), "{error}");

    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "{json:error}");
    let mut wrong = config(folder.path());
    wrong.set = BTreeMap::from([("Token".to_owned(), "wrong-token".to_owned())]);
    let error = try_put(&file, &wrong).unwrap_err();
    assert!(
        error.to_string().contains("HTTP 401 who are you?"),
        "{error}"
    );
    assert!(!error.to_string().contains("wrong-token"), "{error}");
}

#[test]
fn what_is_too_large_is_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Most(100));
    let file = uploader(folder.path(), &host, JSON, "");
    let error = try_put(&file, &config(folder.path())).unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Refused { status: 413, .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("tries"), "{error}");
}

#[test]
fn what_asks_and_is_not_answered_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let mut silent = config(folder.path());
    silent.set.clear();
    let error = try_put(&file, &silent).unwrap_err();
    assert!(error.to_string().contains("--set"), "{error}");
    assert!(host.seen.lock().unwrap().is_empty());
}

#[test]
fn all_or_none_are_read_back() {
    for (verify, gets) in [
        (Verify::All, 10),
        (Verify::Share(100), 10),
        (Verify::None, 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(Manners::Good);
        let file = uploader(folder.path(), &host, JSON, "");
        let config = Config {
            verify,
            ..config(folder.path())
        };
        try_put(&file, &config).unwrap();
        let seen = host.seen.lock().unwrap();
        let gets_seen = seen.iter().filter(|head| head.starts_with("GET")).count();
        // Five frames and an index; the first and the last frame once more before the index is put,
        // and the index after that; the index once more at the end.
        assert_eq!(gets_seen, gets, "{verify:?}: {seen:?}");
    }
}

#[test]
fn a_host_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let hosts = folder.path().join("storagex/hosts");
    fs::create_dir_all(&hosts).unwrap();
    uploader(&hosts, &host, JSON, "");
    let mut config = config(folder.path());
    let home = folder.path().to_str().unwrap().to_owned();
    config.variables = BTreeMap::from([("XDG_CONFIG_HOME".to_owned(), home)]);
    comes_back(&try_put(Path::new("host:host"), &config).unwrap());
    for bad in ["host:", "host:../x", "host:a/b", "host:.x"] {
        let error = try_put(Path::new(bad), &config).unwrap_err();
        assert!(matches!(error.kind(), Kind::Store(_)), "{bad}: {error}");
    }
    let error = try_put(Path::new("host:missing"), &config).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("storagex/hosts/missing.sxcu: cannot read"),
        "{error}"
    );
}

#[test]
fn the_host_of_storagex_1_is_known_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Baidu);
    let mut config = config(folder.path());
    let proxy = format!("http://{}", host.address);
    config.variables.insert("http_proxy".to_owned(), proxy);
    let key = try_put(Path::new("host:baidu-shitu"), &config).unwrap();
    let start = "http://e.hiphotos.baidu.com/image/pic/item/";
    assert!(key.to_string().starts_with(start), "{key}");
    comes_back_by(&key, config);
    let seen = host.seen.lock().unwrap();
    let post = seen.iter().find(|head| head.starts_with("POST")).unwrap();
    let asked = "POST http://image.baidu.com/pictureup/uploadshitu ";
    assert!(post.starts_with(asked), "{post}");
    assert!(
        post.to_lowercase().contains("host: image.baidu.com"),
        "{post}"
    );
}

#[test]
fn other_pictures_of_the_same_pixels_are_as_good() {
    for manners in [Manners::Reencoded, Manners::Webp] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(manners);
        let file = uploader(folder.path(), &host, JSON, "");
        let config = Config {
            verify: Verify::All,
            ..config(folder.path())
        };
        comes_back(&try_put(&file, &config).unwrap());
    }
}

#[test]
fn a_host_that_throttles_is_waited_for() {
    for says in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::new(Manners::Throttled(says));
        let file = uploader(folder.path(), &host, JSON, "");
        let notes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&notes);
        let config = Config {
            note: Arc::new(move |note| sink.lock().unwrap().push(note.to_owned())),
            ..config(folder.path())
        };
        comes_back(&try_put(&file, &config).unwrap());
        let notes = notes.lock().unwrap();
        assert_eq!(notes.is_empty(), !says, "{notes:?}");
        for note in notes.iter() {
            assert_eq!(note, "HTTP 429 Too Many Requests, trying again in 1 s");
        }
    }
}

#[test]
fn half_a_picture_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Cut);
    let file = uploader(folder.path(), &host, JSON, "");
    comes_back(&try_put(&file, &config(folder.path())).unwrap());
}

#[test]
fn pictures_that_a_host_has_forgotten_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Expired);
    let file = uploader(folder.path(), &host, JSON, "");
    let config = Config {
        verify: Verify::All,
        ..config(folder.path())
    };
    // Each is there when it is put, and gone when the first is read back again at the end.
    let error = try_put(&file, &config).unwrap_err();
    assert_eq!(error.kind(), &Kind::NotFound, "{error}");
    assert!(error.to_string().contains("reading back: http"), "{error}");
    // So it is found out at once if one asks for all, and else by who wants them back.
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let key = try_put(&file, &config).unwrap();
    host.kept.lock().unwrap().remove("/u/2.png");
    let error = get(&key, &mut Vec::new(), &get::Options::default()).unwrap_err();
    assert_eq!(error.kind(), &Kind::NotFound);
    assert!(error.to_string().starts_with("frame "), "{error}");
    assert!(
        error.to_string().ends_with("/u/2.png: not found"),
        "{error}"
    );
}

/// What a probe of pictures up to 80 x 64 says of a host.
fn probed(manners: Manners) -> Result<probe::Report> {
    let full = Size {
        width: 80,
        height: 64,
    };
    probed_up_to(full, manners)
}

/// What a probe of pictures up to this size says of a host.
fn probed_up_to(full: Size, manners: Manners) -> Result<probe::Report> {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(manners);
    let file = uploader(folder.path(), &host, JSON, "");
    probe::probe(file.as_os_str(), &config(folder.path()), full, 1 << 20)
}

fn came(report: &probe::Report) -> Vec<&Fate> {
    report
        .pictures
        .iter()
        .map(|picture| &picture.fate)
        .collect()
}

#[test]
fn a_probe_tells_what_a_host_does() {
    use Comparison::{Changed, SameBytes, SamePixels};
    let full = Size {
        width: 80,
        height: 64,
    };
    let half = Size {
        width: 40,
        height: 32,
    };

    let good = probed(Manners::Good).unwrap();
    assert_eq!(came(&good), vec![&Fate::Came(SameBytes); 3]);
    assert_eq!(good.largest(), Some(full));
    assert!(
        good.pictures
            .windows(2)
            .all(|two| two[0].bytes < two[1].bytes)
    );
    assert!(good.rate_limits.is_empty());

    let reencoded = probed(Manners::Reencoded).unwrap();
    assert_eq!(came(&reencoded), vec![&Fate::Came(SamePixels); 3]);

    // A host that makes JPEGs of quality 75: level 1 doesn't survive that well, level 2 does.
    let jpeg = probed(Manners::Jpeg).unwrap();
    let expected = Changed {
        what: "was 20 x 16 PNG, came back a 20 x 16 JPEG of quality 75".into(),
        same_size: true,
    };
    assert_eq!(came(&jpeg)[0], &Fate::Came(expected));
    let best = jpeg.best().unwrap();
    assert!(matches!(best.carrier, Carrier::Sturdy(_)), "{best:?}");
    let Fate::Came(Comparison::Corrected { encoding, .. }) = &best.fate else {
        panic!("{best:?}");
    };
    assert_eq!(encoding, "JPEG of quality 75");
    assert_eq!(best.size, full);

    let small = probed(Manners::Most(4500)).unwrap();
    assert_eq!(small.largest(), Some(half));
    assert!(
        matches!(came(&small)[2], Fate::Refused(why) if why.contains("413")),
        "{small:?}"
    );

    let throttled = probed(Manners::Throttled(false)).unwrap();
    assert_eq!(throttled.rate_limits["x-ratelimit-remaining"], "0");
    assert_eq!(throttled.largest(), Some(full));

    let error = probed(Manners::Most(10)).unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Refused { status: 413, .. }),
        "{error}"
    );
}

/// The largest plain picture says what a host does to detail, colours and edges.
#[test]
fn a_probe_names_what_was_done_to_pixels() {
    let full = Size {
        width: 512,
        height: 384,
    };
    for (manners, what) in [
        (Manners::Blurred, "a 512 x 384 JPEG of quality 80, blurred"),
        (
            Manners::Recoloured,
            "512 x 384 with other pixels, given another colour space",
        ),
        (
            Manners::Cropped,
            "a 511 x 384 JPEG of quality 80, cropped, its first pixel from 1, 0",
        ),
    ] {
        let report = probed_up_to(full, manners).unwrap();
        let mut plain = report.pictures.iter();
        let largest = plain.find(|picture| picture.size == full).unwrap();
        let Fate::Came(Comparison::Changed { what: found, .. }) = &largest.fate else {
            panic!("{largest:?}");
        };
        assert_eq!(found, &format!("was 512 x 384 PNG, came back {what}"));
    }
}

/// A reader that has nothing to compare a picture with says what was done to it, too.
#[test]
fn a_cropped_sturdy_picture_is_named_when_it_is_got() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Cropped);
    let file = uploader(folder.path(), &host, JSON, "");
    let config = Config {
        verify: Verify::None,
        ..config(folder.path())
    };
    let options = encode::Options {
        size: Size {
            width: 128,
            height: 128,
        },
        level: 0,
        carrier: Carrier::Sturdy(Level::Three),
        ..Default::default()
    };
    let mut frames = Vec::new();
    encode(Cursor::new(vec![7; 1200]), &mut frames, &options).unwrap();
    let store = store::open(file.as_os_str(), &config).unwrap();
    // The data frame, which is the same in each run: the index has the port of the host in it.
    let mut pictures = Vec::new();
    let each = |key: &storagex::Key, _| {
        store.get(&key.location, &mut |from| {
            from.read_to_end(&mut pictures).unwrap();
            Ok(())
        })
    };
    put::put_keys(
        Cursor::new(frames),
        &[Arc::clone(&store)],
        &put::Options::default(),
        each,
    )
    .unwrap();
    let error = storagex::wire::read_frame(&pictures, 1 << 20, &mut Vec::new()).unwrap_err();
    let expected = "a sturdy picture that was cropped, its blocks start at 7, 0";
    assert!(error.to_string().contains(expected), "{error}");
}

/// What no key reaches is marked in the file of deletions, and deleted when the grace period is over.
/// Puts a short text.
fn put_text(text: &str, uploader: &Path, config: &Config) -> storagex::Keys {
    let mut frames = Vec::new();
    let bytes = Cursor::new(text.to_owned().into_bytes());
    encode(bytes, &mut frames, &encode::Options::default()).unwrap();
    let stores = [store::open(uploader.as_os_str(), config).unwrap()];
    let done = put(Cursor::new(frames), &stores, &put::Options::default());
    done.unwrap().keys
}

#[test]
fn pruned_by_the_urls_that_delete() {
    use storagex::put::prune::Options;
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let deletions = folder.path().join("deletions");
    let mut config = config(folder.path());
    config.deletions = Some(deletions.clone());
    let (old, new) = (
        put_text("old", &file, &config),
        put_text("new", &file, &config),
    );
    config.deletions = None;
    let store = store::open(file.as_os_str(), &config).unwrap();
    let day = |day: u32| {
        Options::new(std::time::UNIX_EPOCH + Duration::from_secs(86400) * (20_000 + day))
    };
    let text = || fs::read_to_string(&deletions).unwrap();
    let called = || {
        let seen = host.seen.lock().unwrap();
        seen.iter().filter(|head| head.contains("?secret")).count()
    };
    let prune = |keys: &[storagex::Keys], at| {
        let pruned = put::prune_deletions(&deletions, &store, keys, &day(at)).unwrap();
        let all = [pruned.kept, pruned.revived, pruned.fossils, pruned.removed];
        all.map(|tally| tally.pictures)
    };
    assert_eq!(text().lines().count(), 4);
    let one = std::slice::from_ref(&new);
    assert_eq!(prune(one, 0), [2, 0, 2, 0]);
    assert_eq!(
        text()
            .lines()
            .filter(|line| line.ends_with("\t1728000000"))
            .count(),
        2
    );
    assert_eq!(prune(&[old.clone(), new.clone()], 3), [4, 2, 0, 0]);
    assert_eq!(prune(one, 4), [2, 0, 2, 0]);
    assert_eq!((prune(one, 10), called()), ([2, 0, 2, 0], 0));
    assert_eq!((prune(one, 11), called()), ([2, 0, 0, 2], 2));
    assert!(text().lines().all(|line| line.matches('\t').count() == 1));
    assert_eq!(text().lines().count(), 2);
    assert_eq!(host.kept.lock().unwrap().len(), 2);
    // Refused: no key, another store's, a file of something else, one that is in use.
    let refused = |keys: &[storagex::Keys]| {
        put::prune_deletions(&deletions, &store, keys, &day(99)).unwrap_err()
    };
    assert!(matches!(refused(&[]).kind(), Kind::Usage(_)));
    let other: storagex::Keys = format!("file:///x#blake3={}", Digest::of(b""))
        .parse()
        .unwrap();
    assert_eq!(refused(&[new.clone(), other]).kind(), &Kind::NotFound);
    let file = fs::File::open(&deletions).unwrap();
    file.lock_shared().unwrap();
    assert!(refused(one).to_string().contains("another process"));
    drop(file);
    let kept = text() + "something else\n";
    fs::write(&deletions, &kept).unwrap();
    assert!(
        refused(one).to_string().contains("line 3"),
        "{}",
        refused(one)
    );
    assert_eq!(text(), kept);
}

/// Deletes at once what no key reaches: at the second run.
fn prune_at_once(
    folder: &Path,
    store: &std::ffi::OsStr,
    keys: &[storagex::Keys],
) -> Result<put::prune::Pruned> {
    let options = put::prune::Options {
        grace: Duration::ZERO,
        ..put::prune::Options::new(std::time::SystemTime::now())
    };
    let config = Config {
        deletions: None,
        ..config(folder)
    };
    let store = store::open(store, &config)?;
    put::prune_deletions(&folder.join("deletions"), &store, keys, &options)
}

#[test]
fn urls_that_delete_are_called_for_keys_of_the_same_host_only() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let hosts = [(); 2].map(|()| Host::new(Manners::Good));
    let [(own, own_file), (_, other)] = [0, 1].map(|at| {
        let folder = folders[at].path();
        let file = uploader(folder, &hosts[at], JSON, "");
        (put_text("text", &file, &config(folder)), file)
    });
    let other = put_text("text", &other, &config(folders[1].path()));
    let pictures = folders[1].path().join("pictures");
    let in_folder = put_text("text", &pictures, &Config::default());
    let folder = folders[0].path();
    let text = || fs::read_to_string(folder.join("deletions")).unwrap();
    let before = text();
    let prune = |keys: &[storagex::Keys]| prune_at_once(folder, own_file.as_os_str(), keys);
    for _ in 0..2 {
        for keys in [[other.clone()].as_slice(), &[own.clone(), other.clone()]] {
            let error = prune(keys).unwrap_err();
            assert_eq!(error.kind(), &Kind::NotFound);
            assert!(error.to_string().contains("a line of its index"), "{error}");
        }
        // The file of another store.
        let error = prune_at_once(
            folder,
            pictures.as_os_str(),
            std::slice::from_ref(&in_folder),
        );
        assert!(matches!(error.unwrap_err().kind(), Kind::Usage(_)));
        assert_eq!(text(), before);
        // A line of keys of several hosts.
        let both: storagex::Keys = format!("{other} {own}").parse().unwrap();
        assert_eq!(prune(&[both]).unwrap().kept.pictures, 2);
        assert_eq!(text(), before);
    }
    assert_eq!(hosts[0].kept.lock().unwrap().len(), 2);
}

#[test]
fn a_file_of_urls_is_checked_before_the_first_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    put_text("old", &file, &config(folder.path()));
    let new = [put_text("new", &file, &config(folder.path()))];
    let prune = || prune_at_once(folder.path(), file.as_os_str(), &new);
    assert_eq!(prune().unwrap().fossils.pictures, 2);
    let path = folder.path().join("deletions");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.clone() + "something else\n").unwrap();
    let error = prune().unwrap_err().to_string();
    assert!(error.contains("line 5: "), "{error}");
    let seen = host.seen.lock().unwrap();
    assert!(
        !seen.iter().any(|head| head.contains("?secret")),
        "{seen:?}"
    );
}

#[test]
fn a_url_that_does_not_delete_keeps_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Button);
    let file = uploader(folder.path(), &host, JSON, "");
    put_text("old", &file, &config(folder.path()));
    let new = [put_text("new", &file, &config(folder.path()))];
    let prune = || prune_at_once(folder.path(), file.as_os_str(), &new);
    assert_eq!(prune().unwrap().fossils.pictures, 2);
    for _ in 0..2 {
        let error = prune().unwrap_err().to_string();
        assert!(error.contains("line 1: http://"), "{error}");
        assert!(
            error.contains("after its URL to delete it was called"),
            "{error}"
        );
        let lines = fs::read_to_string(folder.path().join("deletions")).unwrap();
        assert_eq!(lines.lines().count(), 4);
    }
    // All of them are called, and the line of one that is gone by now goes.
    let seen = host.seen.lock().unwrap().clone();
    assert_eq!(
        seen.iter().filter(|head| head.contains("?secret")).count(),
        4
    );
    host.kept.lock().unwrap().remove("/u/0.png");
    let error = prune().unwrap_err().to_string();
    assert!(error.contains("line 2: http://"), "{error}");
    let lines = fs::read_to_string(folder.path().join("deletions")).unwrap();
    assert_eq!(lines.lines().count(), 3);
    // Another picture in its place shows that it is gone, too.
    let (_, other) = picture(10);
    host.kept.lock().unwrap().insert("/u/1.png".into(), other);
    assert_eq!(prune().unwrap().removed.pictures, 1);
}

/// Only an answer of the host shows that a picture is gone; the line is the only copy of its URL.
#[test]
fn a_picture_that_cannot_be_asked_for_keeps_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Circle);
    let file = uploader(folder.path(), &host, JSON, "");
    put_text("old", &file, &config(folder.path()));
    let new = [put_text("new", &file, &config(folder.path()))];
    let prune = || prune_at_once(folder.path(), file.as_os_str(), &new);
    assert_eq!(prune().unwrap().fossils.pictures, 2);
    let error = prune().unwrap_err();
    assert!(matches!(error.kind(), Kind::Host(_)), "{error}");
    assert!(error.to_string().contains("redirects"), "{error}");
    let lines = fs::read_to_string(folder.path().join("deletions")).unwrap();
    assert_eq!(lines.lines().count(), 4);
}

/// Each frame of a line counts once, and is good if a host has it; the sample is the same on all hosts.
#[test]
fn the_hosts_of_a_line_are_checked_together() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let hosts = [(); 2].map(|()| Host::new(Manners::Good));
    let open = |at: usize| {
        let folder = folders[at].path();
        let file = uploader(folder, &hosts[at], JSON, "");
        store::open(file.as_os_str(), &config(folder)).unwrap()
    };
    let (_, frames) = frames();
    let options = put::Options {
        parity: Some(Parity { data: 4, parity: 1 }),
        ..Default::default()
    };
    let stores = [open(0), open(1)];
    let keys = put(Cursor::new(frames), &stores, &options).unwrap().keys;
    let check = |sample| get::check(&keys, sample, &get::Options::default()).unwrap();
    let whole = check(Sample::All);
    assert_eq!(whole.health(), Health::Whole);
    assert_eq!((whole.data.good, whole.parity.good), (5, 2));
    let sampled = check(Sample::Frames(2));
    assert_eq!((sampled.data.total(), sampled.sample), (2, Some((2, 5))));

    // The paths of the data frames on each host; a line has two keys for each.
    let paths = |at: usize| {
        let mut paths = Vec::new();
        let tree = storagex::Keys::from(keys.all()[2 * at].clone());
        let list = get::list(&tree, &get::Options::default(), |source, role| {
            if role == get::Role::Data {
                paths.push(source.location().url().path().to_owned());
            }
            Ok(())
        });
        list.unwrap();
        paths
    };
    let lists = [paths(0), paths(1)];
    let lose = |at: usize, number: usize| {
        let mut kept = hosts[at].kept.lock().unwrap();
        assert!(kept.remove(&lists[at][number]).is_some());
    };
    let found = |report: &get::Report| {
        let lost: u64 = report
            .lost
            .iter()
            .map(|gap| gap.frames.end - gap.frames.start)
            .sum();
        (
            report.data.good,
            report.data.missing,
            report.rebuildable,
            lost,
        )
    };
    lose(0, 1);
    let report = check(Sample::All);
    assert_eq!(found(&report), (5, 0, 0, 0));
    assert_eq!(report.health(), Health::Degraded);
    for _ in 0..5 {
        assert_eq!(found(&check(Sample::Frames(4))), (4, 0, 0, 0));
    }
    lose(1, 1);
    assert_eq!(found(&check(Sample::All)), (4, 1, 1, 0));
    for at in 0..2 {
        lose(at, 2);
    }
    let report = check(Sample::All);
    assert_eq!(found(&report), (3, 2, 0, 2));
    assert_eq!(report.lost[0].frames, 1..3);
    assert_eq!(report.parity.total(), 2);
    for _ in 0..5 {
        let (good, missing, _, lost) = found(&check(Sample::Frames(3)));
        assert_eq!((good + missing, missing), (3, lost));
    }
    // Without the root of the first tree the second one tells how many there are.
    for key in &keys.all()[..2] {
        let path = key.location.url().path().to_owned();
        hosts[0].kept.lock().unwrap().remove(&path).unwrap();
    }
    let report = check(Sample::Frames(2));
    assert_eq!((report.data.total(), report.sample), (2, Some((2, 5))));
    assert!(report.confidence() < 1.0);
    assert_eq!(found(&check(Sample::All)), (3, 2, 0, 2));
}

/// Runs the wrapper with a folder as its home.
fn storagex(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_sx-put")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let said = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("bin/storagex"))
        .args(arguments)
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_STATE_HOME")
        .output();
    said.unwrap()
}

/// What the wrapper prints if all goes well.
fn printed(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let said = storagex(folder, arguments);
    let complaint = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{arguments:?}: {complaint}");
    said.stdout
}

/// An uploader file that asks nothing; the settings of each of the names have it as the store.
fn settings(home: &Path, host: &Host, names: &[&str], more: &str) -> PathBuf {
    let file = uploader(home, host, JSON, "");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("{inputbox:Token}", "token")).unwrap();
    let folder = home.join(".config/storagex");
    fs::create_dir_all(&folder).unwrap();
    for name in names {
        let text = format!("store = {}\n{more}\n", file.display());
        fs::write(folder.join(format!("{name}.conf")), text).unwrap();
    }
    file
}

/// On an image host, what is stored again has another URL: the key of the repaired backup takes the
/// place of the old one.
#[test]
fn a_repaired_backup_on_a_host_has_its_new_key() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let host = Host::new(Manners::Good);
    settings(home, &host, &["docs"], "parity = 2+1");
    let bytes: Vec<u8> = (0..300_000).map(|_| fastrand::u8(..)).collect();
    fs::write(home.join("first"), &bytes).unwrap();
    printed(home, &["backup", "docs", "cat", "first"]);
    let largest = {
        let kept = host.kept.lock().unwrap();
        let largest = kept.iter().max_by_key(|(_, picture)| picture.len());
        largest.unwrap().0.clone()
    };
    host.kept.lock().unwrap().remove(&largest);
    let deletions = home.join(".local/state/storagex/docs/deletions");
    let lines = || fs::read_to_string(&deletions).unwrap().lines().count();
    let before = lines();
    assert_eq!(storagex(home, &["check", "docs"]).status.code(), Some(3));
    assert_eq!(lines(), before);
    let old = printed(home, &["keys", "docs"]);
    printed(home, &["repair", "docs"]);
    assert_ne!(printed(home, &["keys", "docs"]), old);
    printed(home, &["check", "docs"]);
    assert!(printed(home, &["restore", "docs"]) == bytes);
    let seen = host.seen.lock().unwrap();
    let uploads = seen.iter().filter(|head| head.starts_with("POST"));
    assert!(lines() > before);
    assert_eq!(lines(), uploads.count());
}

/// As a first upload does, a repair needs answers to what the host asks, and keeps the URLs that delete.
#[test]
fn a_repair_on_a_host_answers_and_keeps_urls_that_delete() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Manners::Good);
    let file = uploader(folder.path(), &host, JSON, "");
    let store = store::open(file.as_os_str(), &config(folder.path())).unwrap();
    let options = put::Options {
        parity: Some("2+1".parse().unwrap()),
        ..put::Options::default()
    };
    let put = put::put(Cursor::new(frames().1), &[store], &options).unwrap();
    let index = put.keys.first().location.url().path().to_owned();
    let data = host
        .kept
        .lock()
        .unwrap()
        .keys()
        .find(|path| **path != index)
        .unwrap()
        .clone();
    host.kept.lock().unwrap().remove(&data);
    let uploads = || {
        let seen = host.seen.lock().unwrap();
        seen.iter().filter(|head| head.starts_with("POST")).count()
    };
    let before = uploads();
    let deletions = folder.path().join("of-the-repair");
    let repair = |options: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_sx-get"))
            .args(["--repair", "--to", file.to_str().unwrap()])
            .args(options)
            .arg(put.keys.to_string())
            .output()
            .unwrap()
    };
    let unanswered = repair(&[]);
    let said = String::from_utf8(unanswered.stderr).unwrap();
    assert!(said.contains("--set"), "{said}");
    assert_eq!(unanswered.status.code(), Some(2));
    let repaired = repair(&[
        "--set",
        "Token=token",
        "--deletions",
        deletions.to_str().unwrap(),
    ]);
    let said = String::from_utf8(repaired.stderr).unwrap();
    assert!(repaired.status.success(), "{said}");
    let keys: storagex::Keys = String::from_utf8(repaired.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let lines = fs::read_to_string(&deletions).unwrap();
    assert_eq!(lines.lines().count(), uploads() - before, "{lines}");
    for key in keys.all() {
        assert!(lines.contains(&format!("{key}\t")), "{key}: {lines}");
        comes_back(key);
    }
}

/// A history on an image host: new pictures only, those of an interrupted backup once, and no others in
/// the end.
#[test]
fn backups_on_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let host = Host::new(Manners::Good);
    let file = settings(home, &host, &["docs", "other"], "cdc = 64K");
    let mut uploads = 0;
    let mut new = || {
        let all = host.seen.lock().unwrap();
        let all = all.iter().filter(|head| head.starts_with("POST")).count();
        all - std::mem::replace(&mut uploads, all)
    };
    let data = |name: &str| {
        let bytes: Vec<u8> = (0..4_000_000).map(|_| fastrand::u8(..)).collect();
        fs::write(home.join(name), bytes).unwrap();
    };
    data("first");
    printed(home, &["backup", "other", "echo", "other"]);
    new();
    printed(home, &["backup", "docs", "cat", "first"]);
    let whole = new();
    assert!(whole > 4, "{whole}");
    printed(home, &["backup", "docs", "cat", "first"]);
    assert!(new() < 3);

    data("second");
    let failed = storagex(
        home,
        &["backup", "docs", "sh", "-c", "cat second; sleep 2; exit 3"],
    );
    assert_eq!(failed.status.code(), Some(1));
    let some = new();
    assert!(some > 10, "{some}");
    printed(home, &["backup", "docs", "cat", "second"]);
    let rest = new();
    assert!(rest < some, "{rest} after {some}");

    let deletions = home.join(".local/state/storagex/docs/deletions");
    let lines = || fs::read_to_string(&deletions).unwrap().lines().count();
    let before = (lines(), host.kept.lock().unwrap().len());
    let prune = ["prune", "--keep-last", "1", "--grace", "0"];
    printed(home, &[&prune[..], &["--dry-run"]].concat());
    printed(home, &prune);
    assert_eq!((lines(), host.kept.lock().unwrap().len()), before);
    let said = String::from_utf8(printed(home, &prune)).unwrap();
    assert!(
        said.contains(&format!("removed: {} pictures", before.0 - lines())),
        "{said}"
    );
    assert!(lines() < before.0 - 4);
    assert_eq!(host.kept.lock().unwrap().len(), lines() + 2);
    assert!(printed(home, &["restore", "docs"]) == fs::read(home.join("second")).unwrap());
    assert_eq!(printed(home, &["restore", "other"]), b"other\n");

    // Without a backup there, a note names the file of URLs.
    fs::write(
        home.join(".config/storagex/docs.conf"),
        format!("store = {}/folder\n", home.display()),
    )
    .unwrap();
    printed(home, &["backup", "docs", "echo", "moved"]);
    let said = storagex(home, &prune);
    let note = format!("is left on its image host: {}", deletions.display());
    assert!(String::from_utf8(said.stderr).unwrap().contains(&note));
    assert_eq!(said.status.code(), Some(0));

    // An upload keeps its URLs apart.
    let before = lines();
    let upload = ["upload", "--to", file.to_str().unwrap(), "first"];
    let key = String::from_utf8(printed(home, &upload)).unwrap();
    let urls = home.join(".local/state/storagex/uploads/upload-deletions");
    let urls = fs::read_to_string(urls).unwrap();
    assert!(urls.lines().any(|line| line.starts_with(key.trim())));
    assert_eq!(lines(), before);
}
