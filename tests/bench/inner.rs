//! How fast the inner functions are, each by itself, on one frame of the default size. Throughput is
//! in bytes of the stream.
//!
//! ```text
//! cargo bench --bench inner [-- [--quick] [NAME]]
//! ```

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::hint::black_box;
use storagex::key::Digest;
use storagex::wire::chunk::{Chunks, Packer, Unpacker};
use storagex::wire::frame::{Codec, FrameKind, Place, Size, Trailer, to_pixels};
use storagex::wire::pictures::Pictures;
use storagex::wire::{DEFAULT_LIMIT, plain, read_frame, seal_frame, write_frame};

const FULL: Size = Size::DEFAULT;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("inner");
    group.throughput(Throughput::Bytes(FULL.capacity() as u64));
    let (noise, text) = (noise(), text());
    split(&mut group, &noise);
    frame_and_png(&mut group, &noise, &text);
    checksums(&mut group, &noise);
    codec(&mut group, &noise, &text);
    group.finish();
    criterion.final_summary();
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn split(group: &mut Group, chunk: &[u8]) {
    let mut buffer = vec![0; FULL.capacity()];
    group.bench_function("split into chunks", |b| {
        b.iter(|| Chunks::new(chunk, FULL.capacity()).next(black_box(&mut buffer[..])));
    });
    let png = png(chunk);
    let mut found = Vec::new();
    group.bench_function("split into pictures", |b| {
        b.iter(|| Pictures::new(&png[..], DEFAULT_LIMIT).next(black_box(&mut found)));
    });
}

fn frame_and_png(group: &mut Group, noise: &[u8], text: &[u8]) {
    let (mut pixels, mut out) = (Vec::new(), Vec::new());
    let trailer = trailer(noise);
    let mut blank = plain::blank(FULL);
    group.bench_function("frame to PNG, in place", |b| {
        b.iter(|| {
            let png = black_box(&mut blank[..]);
            seal_frame(&trailer, &mut plain::Pixels { png, size: FULL })
        });
    });
    group.bench_function("frame to PNG", |b| {
        b.iter(|| {
            write_frame(&trailer, black_box(noise), FULL, black_box(&mut out));
        });
    });
    for (name, png) in [
        ("PNG to frame", png(noise)),
        ("PNG of an optimiser to frame", optimised(text)),
    ] {
        read_frame(&png, DEFAULT_LIMIT, &mut pixels).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| read_frame(black_box(&png), DEFAULT_LIMIT, black_box(&mut pixels)));
        });
    }
}

fn checksums(group: &mut Group, chunk: &[u8]) {
    group.bench_function("CRC-32", |b| b.iter(|| crc32fast::hash(black_box(chunk))));
    group.bench_function("Adler-32", |b| {
        b.iter(|| simd_adler32::adler32(&black_box(chunk)));
    });
    group.bench_function("digest", |b| b.iter(|| Digest::of(black_box(chunk))));
}

fn codec(group: &mut Group, noise: &[u8], text: &[u8]) {
    for level in [1, 3] {
        for (name, chunk) in [("noise", noise), ("text", text)] {
            let mut packer = Packer::default();
            group.bench_function(format!("pack {name} at level {level}"), |b| {
                b.iter(|| packer.pack(black_box(chunk), level).unwrap().1.len());
            });
        }
        let mut packer = Packer::default();
        let (_, payload) = packer.pack(text, level).unwrap();
        let (mut unpacker, mut raw) = (Unpacker::default(), Vec::new());
        group.bench_function(format!("unpack text of level {level}"), |b| {
            b.iter(|| unpacker.unpack(black_box(payload), text.len(), black_box(&mut raw)));
        });
    }
}

fn trailer(chunk: &[u8]) -> Trailer {
    Trailer {
        kind: FrameKind::Data,
        codec: Codec::Stored,
        place: Place::At(0),
        raw_length: u32::try_from(chunk.len()).unwrap(),
    }
}

fn png(chunk: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    write_frame(&trailer(chunk), chunk, FULL, &mut png);
    png
}

/// The same frame as something that makes pictures smaller writes it: rows filtered, and deflated.
fn optimised(chunk: &[u8]) -> Vec<u8> {
    let pixels = to_pixels(&trailer(chunk), chunk, FULL);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, FULL.width, FULL.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_filter(png::Filter::Adaptive);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    out
}

/// Numbers that look random and are always the same: xorshift.
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

/// A chunk that doesn't compress.
fn noise() -> Vec<u8> {
    let bytes = numbers().flat_map(u64::to_le_bytes);
    bytes.take(FULL.capacity()).collect()
}

/// A chunk of the words of a page in no order, which compresses as text does.
fn text() -> Vec<u8> {
    let page = include_str!("../../man/storagex.5");
    let words: Vec<&str> = page.split_inclusive([' ', '\n']).collect();
    let count = words.len() as u64;
    let word = |number: u64| words[usize::try_from(number % count).unwrap()];
    let bytes = numbers().flat_map(|number| word(number).bytes());
    bytes.take(FULL.capacity()).collect()
}
