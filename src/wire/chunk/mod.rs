//! A stream to chunks, and the codec: "Size of a frame" and the codecs in storagex(5).
//!
//! [`fixed`] cuts chunks of one length, [`content`] where the bytes themselves say so, which
//! the hash in `gear` finds out.

pub mod content;
pub mod fixed;
mod gear;

use super::frame::Codec;
use crate::error::{Error, Kind, Result};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

/// The highest zstd level on offer; higher levels need much memory to decompress.
pub const MAX_LEVEL: i32 = 19;

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

/// Packs chunks. Keeps its context from one to the next: making one costs more than a small chunk.
#[derive(Default)]
pub struct Packer {
    /// The context, and its level.
    context: Option<(i32, Compressor<'static>)>,
    payload: Vec<u8>,
}

impl Packer {
    /// Compresses `raw`, if that makes it smaller; returns the codec and the payload.
    ///
    /// `level` 0 never compresses; 1 to [`MAX_LEVEL`] are the levels of zstd.
    ///
    /// # Errors
    ///
    /// [`Kind::Io`] if there is no memory for the compressor.
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

/// Decompresses what a [`Packer`] made. Reuses its context, too.
#[derive(Default)]
pub struct Unpacker(Option<Decompressor<'static>>);

impl Unpacker {
    /// Decompresses `payload` into `raw`, replacing its contents.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`] if it isn't exactly one zstd frame of exactly `raw_length` bytes.
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
