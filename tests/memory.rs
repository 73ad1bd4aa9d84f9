//! Memory is bounded whatever the length of the stream: gigabytes through all four programs, each
//! within its formula (`Options::memory`) and within what the project promises.
#![cfg(target_os = "linux")] // which tells a process's peak in /proc

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use storagex::wire::carrier::container::{self, Pictures};
use storagex::wire::carrier::gray;
use storagex::wire::frame::Size;
use storagex::wire::parity::Parity;
use storagex::wire::seal::Secret;
use storagex::{decode, encode, get, put, secret};

const MIB: usize = 1 << 20;
/// What a program takes besides its buffers: stacks, contexts of zstd, the allocator's slack.
const BESIDES: usize = 12 * MIB;

fn program(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Follows a process until it ends; gives its peak of resident memory in bytes, without the code, of
/// which a build for tests has several times as much as that of a user.
fn watch(child: &Child) -> JoinHandle<usize> {
    let status = format!("/proc/{}/status", child.id());
    thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended has no line VmHWM; one that is gone has no file.
        while let Some(now) = peak_in(&status) {
            peak = now;
            thread::sleep(Duration::from_millis(5));
        }
        peak
    })
}

fn peak_in(status: &str) -> Option<usize> {
    let text = fs::read_to_string(status).ok()?;
    let bytes = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
    };
    Some(bytes("VmHWM:")?.saturating_sub(bytes("RssFile:")?))
}

/// A stream of `length` bytes: pieces in turn.
fn feed(mut to: impl Write + Send + 'static, piece: Vec<u8>, length: usize) -> JoinHandle<u32> {
    thread::spawn(move || {
        let mut crc = crc32fast::Hasher::new();
        let mut left = length;
        while left > 0 {
            let now = &piece[..piece.len().min(left)];
            crc.update(now);
            to.write_all(now).unwrap();
            left -= now.len();
        }
        crc.finalize()
    })
}

fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(next)
        .take(MIB)
        .flat_map(u64::to_le_bytes)
        .collect()
}

fn check(name: &str, peak: usize, formula: usize, promised: usize) {
    println!("{name}: {} MiB, formula {} MiB", peak / MIB, formula / MIB);
    assert!(peak > MIB, "{name}: not measured");
    assert!(
        peak < formula + BESIDES,
        "{name}: {peak} bytes, formula {formula}"
    );
    assert!(peak < promised, "{name}: {peak} bytes, promised {promised}");
}

/// What sx-encode and sx-decode are told besides the number of jobs.
#[derive(Default)]
struct How {
    encoder: Vec<String>,
    decoder: Vec<String>,
    /// The same for the formula.
    average: Option<usize>,
    secret: Option<Secret>,
}

/// Sends a stream through `sx-encode | sx-put` and `sx-get | sx-decode`.
fn through_all_four(piece: Vec<u8>, length: usize, how: How) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let full = Size::DEFAULT;

    let mut encoder = program(env!("CARGO_BIN_EXE_sx-encode"), &["-j2"])
        .args(how.encoder)
        .spawn()
        .unwrap();
    let frames = encoder.stdout.take().unwrap();
    let mut putter = program(env!("CARGO_BIN_EXE_sx-put"), &["--to", store]);
    let mut putter = putter.stdin(frames).spawn().unwrap();
    let peaks = [watch(&encoder), watch(&putter)];
    let written = feed(encoder.stdin.take().unwrap(), piece, length);
    let mut key = String::new();
    putter
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut key)
        .unwrap();
    let [encoding, putting] = peaks.map(|peak| peak.join().unwrap());
    assert!(encoder.wait().unwrap().success() && putter.wait().unwrap().success());

    let mut getter = program(env!("CARGO_BIN_EXE_sx-get"), &[key.trim()])
        .spawn()
        .unwrap();
    let frames = getter.stdout.take().unwrap();
    let mut decoder = program(env!("CARGO_BIN_EXE_sx-decode"), &["-j2"]);
    let mut decoder = decoder.args(how.decoder).stdin(frames).spawn().unwrap();
    let peaks = [watch(&getter), watch(&decoder)];
    let mut bytes = decoder.stdout.take().unwrap();
    let (mut buffer, mut crc, mut came) = (vec![0; MIB], crc32fast::Hasher::new(), 0);
    loop {
        let count = bytes.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        crc.update(&buffer[..count]);
        came += count;
    }
    let [getting, decoding] = peaks.map(|peak| peak.join().unwrap());
    assert!(getter.wait().unwrap().success() && decoder.wait().unwrap().success());
    assert_eq!((came, crc.finalize()), (length, written.join().unwrap()));

    let jobs = 2;
    let encode = encode::Options {
        jobs,
        average: how.average,
        secret: how.secret,
        ..Default::default()
    };
    let decode = decode::Options {
        jobs,
        ..Default::default()
    };
    check("sx-encode", encoding, encode.memory(), 64 * MIB);
    check("sx-decode", decoding, decode.memory(full), 64 * MIB);
    check(
        "sx-put",
        putting,
        put::Options::default().memory(full),
        96 * MIB,
    );
    check(
        "sx-get",
        getting,
        get::Options::default().memory(full),
        96 * MIB,
    );
}

#[test]
fn gigabytes_of_zeros() {
    through_all_four(vec![0; MIB], 4 * 1024 * MIB, How::default());
}

#[test]
fn gigabytes_of_noise() {
    through_all_four(noise(), 1536 * MIB, How::default());
}

#[test]
fn sealed_and_content_defined() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let text = secret::render(&secret::generate().unwrap());
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let option = format!("--secret={}", path.display());
    let how = How {
        encoder: vec!["-0".into(), "--cdc".into(), option.clone()],
        decoder: vec![option],
        average: Some(256 << 10),
        secret: Some(secret::read(&path).unwrap()),
    };
    through_all_four(noise(), 256 * MIB, how);
}

/// Twice the stream takes no more memory, at a fraction of the default's size: tiny frames, so that
/// what grows with their number would show.
#[test]
fn a_hundred_thousand_frames() {
    let peaks = [50_000, 100_000].map(|frames: usize| {
        let size = ["-j2", "-0", "-W16", "-H16"];
        let mut encoder = program(env!("CARGO_BIN_EXE_sx-encode"), &size)
            .spawn()
            .unwrap();
        let frames_out = encoder.stdout.take().unwrap();
        let mut decoder = program(env!("CARGO_BIN_EXE_sx-decode"), &["-j2"]);
        let mut decoder = decoder.stdin(frames_out).spawn().unwrap();
        let peaks = [watch(&encoder), watch(&decoder)];
        let written = feed(encoder.stdin.take().unwrap(), vec![7; MIB], frames * 732);
        let mut bytes = Vec::new();
        decoder
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert!(encoder.wait().unwrap().success() && decoder.wait().unwrap().success());
        assert_eq!(crc32fast::hash(&bytes), written.join().unwrap());
        peaks.map(|peak| peak.join().unwrap())
    });
    for (half, whole) in peaks[0].iter().zip(peaks[1]) {
        assert!(whole < half + 2 * MIB, "{half} bytes, then {whole}");
    }
}

/// With parity, sx-put takes its formula with the frames of a group, and sx-get that while it
/// rebuilds.
#[test]
fn groups_of_frames() {
    losing_two_of_each("4+2", 176 * MIB);
    losing_two_of_each("20+2", 192 * MIB);
}

fn losing_two_of_each(group: &str, promised: usize) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let full = Size::DEFAULT;
    let parity: Parity = group.parse().unwrap();
    let mut encoder = program(env!("CARGO_BIN_EXE_sx-encode"), &["-j2", "-0"])
        .spawn()
        .unwrap();
    let frames = encoder.stdout.take().unwrap();
    let mut putter = program(
        env!("CARGO_BIN_EXE_sx-put"),
        &["--parity", group, "--to", store],
    );
    let mut putter = putter.stdin(frames).spawn().unwrap();
    let putting = watch(&putter);
    let written = feed(encoder.stdin.take().unwrap(), noise(), 384 * MIB);
    let mut key = String::new();
    let mut answer = putter.stdout.take().unwrap();
    answer.read_to_string(&mut key).unwrap();
    let putting = putting.join().unwrap();
    assert!(encoder.wait().unwrap().success() && putter.wait().unwrap().success());
    written.join().unwrap();
    let options = put::Options {
        parity: Some(parity),
        ..Default::default()
    };
    check("sx-put", putting, options.memory(full), promised);

    // Two of each group are lost.
    let list = Command::new(env!("CARGO_BIN_EXE_sx-get"))
        .args(["--list", key.trim()])
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let data = list.lines().filter(|line| line.ends_with("\tdata"));
    for (n, line) in data.enumerate() {
        if n % parity.data < 2 {
            let path = line.strip_prefix("file://").unwrap();
            fs::remove_file(path.split('#').next().unwrap()).unwrap();
        }
    }
    let mut getter = program(env!("CARGO_BIN_EXE_sx-get"), &[key.trim()])
        .spawn()
        .unwrap();
    let getting = watch(&getter);
    std::io::copy(&mut getter.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert!(getter.wait().unwrap().success());
    let formula = get::Options::default().memory_to_rebuild(full, parity);
    check("sx-get", getting.join().unwrap(), formula, promised);
}

/// A picture as a host may give it back: a progressive JPEG in colours, which takes most to decode.
fn to_jpeg(picture: &[u8]) -> Vec<u8> {
    let (mut pixels, mut jpeg) = (Vec::new(), Vec::new());
    gray::colours(picture, &mut pixels).unwrap();
    let side = |side: u32| u16::try_from(side).unwrap();
    let size = container::size(picture);
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
    encoder.set_progressive(true);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder
        .encode(&pixels, side(size.width), side(size.height), colour)
        .unwrap();
    jpeg
}

/// Sturdy pictures take no more than plain ones of their size, whatever became of them.
#[test]
fn sturdy_pictures() {
    let (jobs, full) = (2, Size::DEFAULT);
    let (encode, decode) = (
        encode::Options {
            jobs,
            ..Default::default()
        },
        decode::Options {
            jobs,
            ..Default::default()
        },
    );
    let mut encoder = program(
        env!("CARGO_BIN_EXE_sx-encode"),
        &["-j2", "-0", "--sturdy", "2"],
    )
    .spawn()
    .unwrap();
    let encoding = watch(&encoder);
    let length = 24 * MIB;
    let written = feed(encoder.stdin.take().unwrap(), noise(), length);
    let mut pngs = Vec::new();
    let mut made = encoder.stdout.take().unwrap();
    made.read_to_end(&mut pngs).unwrap();
    let encoding = encoding.join().unwrap();
    assert!(encoder.wait().unwrap().success());
    check("sx-encode --sturdy", encoding, encode.memory(), 32 * MIB);

    let mut pictures = Pictures::new(&pngs[..], full.pixel_bytes());
    let (mut picture, mut jpegs) = (Vec::new(), Vec::new());
    while pictures.next(&mut picture).unwrap() {
        // Not all: encoding them takes time, and decoding the first ones takes as much as all.
        match jpegs.len() < 4 * MIB {
            true => jpegs.extend(to_jpeg(&picture)),
            false => jpegs.extend(&picture),
        }
    }
    let crc = written.join().unwrap();
    for (name, frames) in [("PNGs", pngs), ("JPEGs", jpegs)] {
        let mut decoder = program(env!("CARGO_BIN_EXE_sx-decode"), &["-j2"])
            .spawn()
            .unwrap();
        let decoding = watch(&decoder);
        let mut to = decoder.stdin.take().unwrap();
        let fed = thread::spawn(move || to.write_all(&frames).unwrap());
        let mut bytes = Vec::new();
        let mut from = decoder.stdout.take().unwrap();
        from.read_to_end(&mut bytes).unwrap();
        fed.join().unwrap();
        assert!(decoder.wait().unwrap().success());
        assert_eq!((bytes.len(), crc32fast::hash(&bytes)), (length, crc));
        let name = format!("sx-decode of sturdy {name}");
        check(
            &name,
            decoding.join().unwrap(),
            decode.memory(full),
            32 * MIB,
        );
    }
}
