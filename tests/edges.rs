//! Round trips at the edges: lengths around the capacity, widths, jobs, slow pipes; and every single
//! bit of a frame.

use proptest::prelude::*;
use std::io::{self, Cursor, Read};
use storagex::wire::DEFAULT_LIMIT;
use storagex::wire::frame::Size;
use storagex::{decode, encode};

fn encoded(input: impl Read + Send + 'static, size: Size, level: i32, jobs: usize) -> Vec<u8> {
    let options = encode::Options {
        size,
        level,
        jobs,
        limit: DEFAULT_LIMIT,
        ..encode::Options::default()
    };
    let mut frames = Vec::new();
    encode(input, &mut frames, &options).unwrap();
    frames
}

fn decoded(input: impl Read + Send + 'static, jobs: usize) -> storagex::Result<Vec<u8>> {
    let options = decode::Options {
        jobs,
        limit: DEFAULT_LIMIT,
        ..Default::default()
    };
    let mut bytes = Vec::new();
    decode(input, &mut bytes, &options)?;
    Ok(bytes)
}

/// Bytes that neither repeat nor compress: xorshift.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Gives its bytes in pieces of the sizes in turn; now and then it is interrupted.
struct Slow {
    bytes: Cursor<Vec<u8>>,
    sizes: Box<dyn Iterator<Item = usize> + Send>,
}

impl Slow {
    fn new(bytes: Vec<u8>, sizes: &'static [usize]) -> Self {
        Slow {
            bytes: Cursor::new(bytes),
            sizes: Box::new(sizes.iter().copied().cycle()),
        }
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.sizes.next().unwrap() {
            0 => Err(io::ErrorKind::Interrupted.into()),
            size => {
                let size = size.min(buffer.len());
                self.bytes.read(&mut buffer[..size])
            }
        }
    }
}

#[test]
fn lengths_around_the_capacity() {
    for (width, height) in [(16, 16), (5, 5), (1, 13), (13, 1), (40, 30), (1000, 1)] {
        let size = Size { width, height };
        let capacity = size.capacity();
        for length in [
            0,
            1,
            capacity - 1,
            capacity,
            capacity + 1,
            2 * capacity + capacity / 3,
        ] {
            let bytes = noise(length);
            for level in [0, 3] {
                let frames = encoded(Cursor::new(bytes.clone()), size, level, 1);
                let other = encoded(Cursor::new(bytes.clone()), size, level, 8);
                assert!(
                    frames == other,
                    "{size} {length} {level}: -j1 and -j8 differ"
                );
                for jobs in [1, 8] {
                    let back = decoded(Cursor::new(frames.clone()), jobs).unwrap();
                    assert!(back == bytes, "{size} {length} {level} {jobs}");
                }
            }
        }
    }
}

#[test]
fn lengths_around_the_capacity_of_the_default() {
    let capacity = Size::DEFAULT.capacity();
    for length in [capacity - 1, capacity, capacity + 1, 2 * capacity + 7] {
        for bytes in [noise(length), vec![0; length]] {
            let frames = encoded(Cursor::new(bytes.clone()), Size::DEFAULT, 3, 2);
            assert!(
                decoded(Cursor::new(frames), 2).unwrap() == bytes,
                "{length}"
            );
        }
    }
}

#[test]
fn every_level() {
    let bytes: Vec<u8> = (0..40_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
    for level in 0..=19 {
        let frames = encoded(Cursor::new(bytes.clone()), Size::DEFAULT, level, 2);
        assert!(decoded(Cursor::new(frames), 2).unwrap() == bytes, "{level}");
    }
}

#[test]
fn byte_at_a_time_and_interrupted() {
    let bytes = noise(3000);
    let size = Size {
        width: 16,
        height: 16,
    };
    let frames = encoded(Cursor::new(bytes.clone()), size, 0, 2);
    for sizes in [&[1][..], &[0, 1, 7], &[700, 0, 0, 32], &[731, 732, 733]] {
        assert!(
            encoded(Slow::new(bytes.clone(), sizes), size, 0, 2) == frames,
            "{sizes:?}"
        );
        assert!(
            decoded(Slow::new(frames.clone(), sizes), 2).unwrap() == bytes,
            "{sizes:?}"
        );
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let size = Size {
        width: 16,
        height: 16,
    };
    let frames = encoded(Cursor::new(noise(100)), size, 0, 1);
    for bit in 0..frames.len() * 8 {
        let mut bad = frames.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(
            decoded(Cursor::new(bad), 1).is_err(),
            "bit {} of byte {}",
            bit % 8,
            bit / 8
        );
    }
}

#[test]
fn every_cut_is_found() {
    let size = Size {
        width: 16,
        height: 16,
    };
    let frames = encoded(Cursor::new(noise(1000)), size, 0, 1);
    for cut in 0..frames.len() {
        assert!(
            decoded(Cursor::new(frames[..cut].to_vec()), 2).is_err(),
            "cut at {cut}"
        );
    }
}

/// An input that fails at its end has no last frame: here after exactly a chunk, at the worst place.
#[test]
fn a_failing_input_has_no_last_frame() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("lost")),
                count => Ok(count),
            }
        }
    }
    let size = Size {
        width: 16,
        height: 16,
    };
    for length in [0, 1, size.capacity(), size.capacity() + 1] {
        let mut frames = Vec::new();
        let options = encode::Options {
            size,
            ..Default::default()
        };
        let input = Failing(Cursor::new(noise(length)));
        let error = encode(input, &mut frames, &options).unwrap_err();
        assert_eq!(error.to_string(), "cannot read: lost");
        assert!(decoded(Cursor::new(frames), 1).is_err());
    }
}

/// What 1.0 makes of a frame: it takes the length, so many bytes, and ignores the rest.
#[test]
fn stored_frames_are_pieces_for_storagex_1_0() {
    let size = Size {
        width: 16,
        height: 16,
    };
    let bytes = noise(1500);
    let frames = encoded(Cursor::new(bytes.clone()), size, 0, 1);
    let mut pictures =
        storagex::wire::carrier::container::Pictures::new(&frames[..], DEFAULT_LIMIT);
    let (mut png, mut pixels, mut back) = (Vec::new(), Vec::new(), Vec::new());
    while pictures.next(&mut png).unwrap() {
        storagex::wire::carrier::pixels::parse(&png, &mut pixels).unwrap();
        let length = u32::from_le_bytes(pixels[..4].try_into().unwrap()) as usize;
        back.extend_from_slice(&pixels[4..4 + length]);
    }
    assert_eq!(back, bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_any_size(
        bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        width in 4u32..40, height in 4u32..40, level in 0i32..4, jobs in 1usize..5,
    ) {
        let frames = encoded(Cursor::new(bytes.clone()), Size { width, height }, level, jobs);
        prop_assert_eq!(decoded(Cursor::new(frames), jobs).unwrap(), bytes);
    }

    #[test]
    fn any_change_is_refused_or_harmless(at in 0usize..10_000, to in any::<u8>()) {
        let bytes = noise(1500);
        let mut frames = encoded(Cursor::new(bytes.clone()), Size { width: 16, height: 16 }, 0, 1);
        let at = at % frames.len();
        frames[at] = to;
        if let Ok(back) = decoded(Cursor::new(frames), 1) {
            prop_assert_eq!(back, bytes);
        }
    }
}
