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
use storagex::wire::carrier::container::Pictures;
use storagex::wire::carrier::sturdy::Level;
use storagex::wire::carrier::{gray, plain};
use storagex::wire::chunk::fixed::Chunks;
use storagex::wire::chunk::{Packer, Unpacker};
use storagex::wire::frame::{Codec, FrameKind, Place, Size, Trailer, to_pixels};
use storagex::wire::{Carrier, DEFAULT_LIMIT, read_frame, seal_frame, write_frame};

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
    sturdy(&mut group, &noise);
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
            write_frame(
                &trailer,
                black_box(noise),
                Carrier::Plain,
                FULL,
                black_box(&mut out),
            );
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

/// Sturdy pictures of each level, and JPEGs of them with the lowest quality that the level survives.
fn sturdy(group: &mut Group, noise: &[u8]) {
    let (mut picture, mut bytes) = (Vec::new(), Vec::new());
    for (level, quality) in Level::ALL.into_iter().zip([85, 75, 50, 50]) {
        let carrier = Carrier::Sturdy(level);
        let chunk = &noise[..carrier.capacity(FULL)];
        let trailer = trailer(chunk);
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(format!("frame to sturdy PNG, level {level}"), |b| {
            b.iter(|| {
                write_frame(
                    &trailer,
                    black_box(chunk),
                    carrier,
                    FULL,
                    black_box(&mut picture),
                );
            });
        });
        write_frame(&trailer, chunk, carrier, FULL, &mut picture);
        let baseline = jpeg(&picture, quality, false);
        let progressive = jpeg(&picture, quality, true);
        for (name, picture) in [
            ("sturdy PNG".to_owned(), &picture),
            (format!("sturdy JPEG {quality}"), &baseline),
            (format!("sturdy progressive JPEG {quality}"), &progressive),
        ] {
            read_frame(picture, DEFAULT_LIMIT, &mut bytes).unwrap();
            group.bench_function(format!("{name} to frame, level {level}"), |b| {
                b.iter(|| read_frame(black_box(picture), DEFAULT_LIMIT, black_box(&mut bytes)));
            });
        }
    }
}

/// A JPEG of a picture in colour, 4:2:0.
fn jpeg(picture: &[u8], quality: u8, is_progressive: bool) -> Vec<u8> {
    let (mut pixels, mut jpeg) = (Vec::new(), Vec::new());
    gray::colours(picture, &mut pixels).unwrap();
    let side = |side: u32| u16::try_from(side).unwrap();
    let (width, height) = (side(FULL.width), side(FULL.height));
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, quality);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
    encoder.set_progressive(is_progressive);
    encoder.set_optimized_huffman_tables(true);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder.encode(&pixels, width, height, colour).unwrap();
    jpeg
}

fn trailer(chunk: &[u8]) -> Trailer {
    Trailer {
        kind: FrameKind::Data,
        codec: Codec::Stored,
        place: Place::At(0),
        raw_length: u32::try_from(chunk.len()).unwrap(),
        sealed: None,
    }
}

fn png(chunk: &[u8]) -> Vec<u8> {
    let mut png = Vec::new();
    write_frame(&trailer(chunk), chunk, Carrier::Plain, FULL, &mut png);
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
