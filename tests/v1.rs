//! What storagex 1.0 uploaded, brought back from its URL: pieces without a trailer, and JSON.

mod net;

use net::host::{Host, Manners};
use serde_json::{Value, json};
use std::io::Cursor;
use std::time::Duration;
use storagex::get::{self, Options, get};
use storagex::wire::carrier::pixels;
use storagex::wire::frame::Size;
use storagex::{Kind, Result, Source, decode, encode};

const SIZE: Size = Size {
    width: 20,
    height: 16,
};

/// Bytes that a piece of this size has room for.
const ROOM: usize = 20 * 16 * 3 - 4;

/// A piece as 1.0 makes it.
fn piece(payload: &[u8], size: Size) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(size.pixel_bytes(), 0);
    let mut png = Vec::new();
    pixels::render(&bytes, size, &mut png);
    png
}

fn keep(host: &Host, name: &str, picture: Vec<u8>) -> String {
    let path = format!("/{name}.jpg");
    host.kept.lock().unwrap().insert(path.clone(), picture);
    format!("http://{}{path}", host.address)
}

/// An index as 1.0 makes it.
fn index(host: &Host, pieces: Vec<Value>) -> Source {
    let json = json!({
        "protocol_version": 1.0, "filename": "a \u{e9}", "piece_width": 20, "piece_height": 16,
        "pieces": pieces,
    });
    let picture = piece(json.to_string().as_bytes(), Size::DEFAULT);
    keep(host, "index", picture).parse().unwrap()
}

/// What 1.0 does with a file.
fn upload(host: &Host, bytes: &[u8]) -> Vec<Value> {
    let pieces = bytes.chunks(ROOM).enumerate();
    let entry = |(seq, chunk): (usize, &[u8])| {
        let key = keep(host, &seq.to_string(), piece(chunk, SIZE));
        json!({"seq": seq, "key": key, "offset": seq * ROOM, "size": chunk.len(), "checksum": ""})
    };
    pieces.map(entry).collect()
}

fn options() -> Options {
    let mut options = Options::default();
    options.store.retry.tries = 2;
    options.store.retry.first = Duration::from_millis(5);
    options
}

fn try_back(source: &Source) -> Result<Vec<u8>> {
    let (mut frames, mut bytes) = (Vec::new(), Vec::new());
    get(source, &mut frames, &options())?;
    decode(Cursor::new(frames), &mut bytes, &decode::Options::default())?;
    Ok(bytes)
}

fn noise(length: usize) -> Vec<u8> {
    let mut numbers = fastrand::Rng::with_seed(7);
    (0..length).map(|_| numbers.u8(..)).collect()
}

#[test]
fn comes_back_at_the_edges() {
    for length in [0, 1, ROOM - 1, ROOM, ROOM + 1, 2 * ROOM, 2 * ROOM + 9] {
        let host = Host::new(Manners::Good);
        let bytes = noise(length);
        let source = index(&host, upload(&host, &bytes));
        assert!(try_back(&source).unwrap() == bytes, "{length}");
        let frames = length.div_ceil(ROOM).max(1) as u64;
        let options = options();
        let report = get::check(&source, get::Sample::All, &options).unwrap();
        assert_eq!(report.data.good, frames);
        if length > 0 {
            let now = options.store.progress.now();
            let bytes = length as u64;
            assert_eq!((now.bytes, now.expected), (bytes, Some(bytes)));
            assert_eq!(now.frames, frames);
        }
    }
}

#[test]
fn what_it_is_and_where_its_pieces_are() {
    let host = Host::new(Manners::Good);
    let source = index(&host, upload(&host, &noise(ROOM + 5)));
    let info = get::info(&source, &options()).unwrap();
    assert_eq!(
        (info.name.as_str(), info.size, info.frames),
        ("a \u{e9}", ROOM as u64 + 5, 2)
    );
    let mut listed = Vec::new();
    let each = |source: &Source, _| {
        listed.push(source.to_string());
        Ok(())
    };
    get::list(&source, &options(), each).unwrap();
    let expected = ["index", "0", "1"].map(|name| format!("http://{}/{name}.jpg", host.address));
    assert_eq!(listed, expected);
}

#[test]
fn the_same_frames_with_any_number_of_jobs() {
    let host = Host::new(Manners::Good);
    let source = index(&host, upload(&host, &noise(20 * ROOM)));
    let frames = [1, 8].map(|jobs| {
        let mut frames = Vec::new();
        let options = Options { jobs, ..options() };
        get(&source, &mut frames, &options).unwrap();
        frames
    });
    assert!(frames[0] == frames[1]);
}

type Harm = fn(&Host, &mut Vec<Value>);

#[test]
fn pieces_that_are_not_what_the_index_says() {
    let bytes = noise(2 * ROOM);
    let refused = |harm: Harm| {
        let host = Host::new(Manners::Good);
        let mut pieces = upload(&host, &bytes);
        harm(&host, &mut pieces);
        try_back(&index(&host, pieces)).unwrap_err().to_string()
    };
    let harms: [(&str, Harm); 7] = [
        ("frame 1: http", |host, _| {
            host.kept.lock().unwrap().remove("/1.jpg");
        }),
        ("a piece of 7 bytes, expected 956", |host, _| {
            keep(host, "1", piece(&noise(7), SIZE));
        }),
        ("input ends after 14 bytes of a picture", |host, _| {
            keep(host, "1", b"\xff\xd8\xff\xe0 and so on".to_vec());
        }),
        ("expected a piece of storagex 1.0", |host, _| {
            let mut png = Vec::new();
            pixels::render(&[255; 960], SIZE, &mut png);
            keep(host, "1", png);
        }),
        ("index: piece 1 with offset 955", |_, pieces| {
            pieces[1]["offset"] = json!(955);
        }),
        ("index: key \"/etc/passwd\", expected", |_, pieces| {
            pieces[0]["key"] = json!("/etc/passwd");
        }),
        ("index: key \"file:///etc/passwd\"", |_, pieces| {
            pieces[0]["key"] = json!("file:///etc/passwd");
        }),
    ];
    for (what, harm) in harms {
        let error = refused(harm);
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn a_key_that_lost_its_digest_is_none_of_1() {
    let host = Host::new(Manners::Good);
    let mut frames = Vec::new();
    let options = encode::Options::default();
    encode(Cursor::new(b"hello"), &mut frames, &options).unwrap();
    let source: Source = keep(&host, "frame", frames).parse().unwrap();
    let error = try_back(&source).unwrap_err();
    let own = Kind::NotPiece(storagex::wire::v1::OWN_FRAME.into());
    assert_eq!(error.kind(), &own, "{error}");
}
