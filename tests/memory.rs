//! Memory is bounded whatever the length of the stream: gigabytes through all four programs, each
//! within its formula (`Options::memory`) and within what the project promises.
#![cfg(target_os = "linux")] // which tells a process's peak in /proc

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use storagex::wire::frame::Size;
use storagex::{decode, encode, get, put};

const MIB: usize = 1 << 20;
/// What a program takes besides its buffers: code, stacks, contexts of zstd, the allocator's slack.
const BESIDES: usize = 12 * MIB;

fn program(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Follows a process until it ends; gives its peak of resident memory in bytes.
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
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
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

/// Sends a stream through `sx-encode | sx-put` and `sx-get | sx-decode`.
fn through_all_four(piece: Vec<u8>, length: usize) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let full = Size::DEFAULT;

    let mut encoder = program(env!("CARGO_BIN_EXE_sx-encode"), &["-j2"])
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
    let mut decoder = decoder.stdin(frames).spawn().unwrap();
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
    through_all_four(vec![0; MIB], 4 * 1024 * MIB);
}

#[test]
fn gigabytes_of_noise() {
    through_all_four(noise(), 1536 * MIB);
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
