//! A stream to chunks, and the codec: "Size of a frame" and the codecs in storagex(5).

use super::frame::Codec;
use crate::error::{Error, Kind, Result};
use std::io::{ErrorKind, IoSliceMut, Read};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

/// The highest zstd level that is offered; those above need much memory to undo.
pub const MAX_LEVEL: i32 = 19;

/// Cuts what `input` gives into chunks of `capacity` bytes; the last one is what remains.
pub struct Chunks<R> {
    input: R,
    capacity: usize,
    offset: u64,
    /// The first byte of the next chunk, read to see that there is one.
    ahead: Option<u8>,
    done: bool,
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the stream before it.
    pub offset: u64,
    /// Its length.
    pub length: usize,
    /// Whether it ends the stream.
    pub last: bool,
}

/// Where a chunk is read to: in one piece, or wherever its bytes will be needed.
pub trait Room {
    /// The places for the bytes of the chunk from number `from` on, of all or of as many as one read
    /// takes.
    fn from(&mut self, from: usize) -> Vec<IoSliceMut<'_>>;
}

impl Room for [u8] {
    fn from(&mut self, from: usize) -> Vec<IoSliceMut<'_>> {
        vec![IoSliceMut::new(&mut self[from..])]
    }
}

impl<R: Read> Chunks<R> {
    /// Chunks of `capacity` bytes, which is at least 1.
    pub fn new(input: R, capacity: usize) -> Self {
        Chunks {
            input,
            capacity,
            offset: 0,
            ahead: None,
            done: false,
        }
    }

    /// Reads the next chunk to `room`, which is for the capacity; none after the last. An empty stream
    /// is one empty chunk.
    ///
    /// # Errors
    ///
    /// That of the input. An input that fails at its end has no last chunk.
    pub fn next(&mut self, room: &mut (impl Room + ?Sized)) -> Result<Option<Span>> {
        if self.done {
            return Ok(None);
        }
        let mut filled = 0;
        if let Some(byte) = self.ahead.take() {
            let mut places = room.from(0);
            let first = places.iter_mut().find(|place| !place.is_empty());
            first.expect("internal error: no room")[0] = byte;
            filled = 1;
        }
        while filled <= self.capacity {
            match self.read(room, filled)? {
                0 => break,
                count => filled += count,
            }
        }
        self.done = filled <= self.capacity;
        let length = filled.min(self.capacity);
        let offset = self.offset;
        self.offset += length as u64;
        Ok(Some(Span {
            offset,
            length,
            last: self.done,
        }))
    }

    /// Reads more of the chunk, and one byte of the next if all fits, which tells whether there is one.
    fn read(&mut self, room: &mut (impl Room + ?Sized), filled: usize) -> Result<usize> {
        let mut ahead = [0];
        let mut places = room.from(filled);
        let length: usize = places.iter().map(|place| place.len()).sum();
        if filled + length == self.capacity {
            places.push(IoSliceMut::new(&mut ahead));
        }
        let count = loop {
            match self.input.read_vectored(&mut places) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(Error::input)?,
            }
        };
        if filled + count > self.capacity {
            self.ahead = Some(ahead[0]);
        }
        Ok(count)
    }
}

/// Packs chunks. Keeps its context from one to the next: making one costs more than a small chunk.
#[derive(Default)]
pub struct Packer {
    /// The context, and the level that it was made for.
    context: Option<(i32, Compressor<'static>)>,
    payload: Vec<u8>,
}

impl Packer {
    /// Packs `raw`, if that makes it smaller: gives the codec and the payload.
    ///
    /// `level` 0 never does; 1 to [`MAX_LEVEL`] are those of zstd.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] where there is no memory for the compressor.
    pub fn pack<'a>(&'a mut self, raw: &'a [u8], level: i32) -> Result<(Codec, &'a [u8])> {
        if level == 0 || raw.is_empty() {
            return Ok((Codec::Stored, raw));
        }
        let failed = |e| Error::io("cannot compress", e);
        let mut compressor = match self.context.take() {
            Some((same, compressor)) if same == level => compressor,
            _ => Compressor::new(level).map_err(failed)?,
        };
        self.payload.clear();
        self.payload
            .reserve_exact(zstd_safe::compress_bound(raw.len()));
        let packed = compressor
            .compress_to_buffer(raw, &mut self.payload)
            .map_err(failed)?;
        self.context = Some((level, compressor));
        match packed < raw.len() {
            true => Ok((Codec::Zstd, &self.payload)),
            false => Ok((Codec::Stored, raw)),
        }
    }
}

/// Undoes what a [`Packer`] did. Keeps its context, too.
#[derive(Default)]
pub struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// Decompresses `payload` into `raw`, in place of what it holds.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`] where it isn't exactly one zstd frame of exactly `raw_length` bytes.
    pub fn unpack(&mut self, payload: &[u8], raw_length: usize, raw: &mut Vec<u8>) -> Result<()> {
        let bad = |what: String| Error::from(Kind::Payload).because(what);
        let frame = zstd_safe::find_frame_compressed_size(payload)
            .map_err(|code| bad(zstd_safe::get_error_name(code).to_owned()))?;
        if frame != payload.len() {
            let found = payload.len();
            return Err(bad(format!(
                "{found} bytes, expected a zstd frame of {frame}"
            )));
        }
        let mut decompressor = match self.0.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new().map_err(|e| Error::io("cannot decompress", e))?,
        };
        raw.clear();
        raw.reserve_exact(raw_length);
        let unpacked = decompressor.decompress_to_buffer(payload, raw);
        self.0 = Some(decompressor);
        match unpacked {
            Ok(length) if length == raw_length => Ok(()),
            Ok(length) => Err(bad(format!(
                "{length} bytes of content, expected {raw_length}"
            ))),
            Err(e) => Err(bad(format!("{e}, expected {raw_length} bytes of content"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(length: usize, capacity: usize) -> Vec<Span> {
        let data = vec![1; length];
        let mut chunks = Chunks::new(&data[..], capacity);
        let mut buffer = vec![0; capacity];
        std::iter::from_fn(|| chunks.next(&mut buffer[..]).unwrap()).collect()
    }

    fn span(offset: u64, length: usize, last: bool) -> Span {
        Span {
            offset,
            length,
            last,
        }
    }

    #[test]
    fn the_last_chunk_is_known_at_the_edges() {
        assert_eq!(spans(0, 4), [span(0, 0, true)]);
        assert_eq!(spans(1, 4), [span(0, 1, true)]);
        assert_eq!(spans(4, 4), [span(0, 4, true)]);
        assert_eq!(spans(5, 4), [span(0, 4, false), span(4, 1, true)]);
        assert_eq!(spans(8, 4), [span(0, 4, false), span(4, 4, true)]);
        assert_eq!(spans(2, 1), [span(0, 1, false), span(1, 1, true)]);
    }

    #[test]
    fn a_chunk_that_does_not_shrink_is_stored() {
        let raw: Vec<u8> = (0..=255).collect();
        assert_eq!(
            Packer::default().pack(&raw, 3).unwrap(),
            (Codec::Stored, &raw[..])
        );
        assert_eq!(Packer::default().pack(&[0; 999], 3).unwrap().0, Codec::Zstd);
        assert_eq!(
            Packer::default().pack(&[0; 999], 0).unwrap().0,
            Codec::Stored
        );
    }

    #[test]
    fn a_payload_that_says_one_size_and_gives_another() {
        let mut packer = Packer::default();
        let payload = packer.pack(&[0; 5000], 3).unwrap().1.to_vec();
        for wrong in [0, 1, 4999, 5001] {
            let error = Unpacker::default()
                .unpack(&payload, wrong, &mut Vec::new())
                .unwrap_err();
            assert_eq!(error.kind(), &Kind::Payload);
        }
        let longer = [&payload[..], b"x"].concat();
        assert!(
            Unpacker::default()
                .unpack(&longer, 5000, &mut Vec::new())
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn pack_then_unpack_gives_the_same(raw in proptest::collection::vec(0u8..4, 0..3000), level in 0i32..8) {
            let mut packer = Packer::default();
            if let (Codec::Zstd, payload) = packer.pack(&raw, level).unwrap() {
                let mut back = Vec::new();
                Unpacker::default().unpack(payload, raw.len(), &mut back).unwrap();
                prop_assert_eq!(back, raw);
            }
        }
    }
}
