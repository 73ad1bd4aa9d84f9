//! What storagex(5) specifies: pure, no I/O but `Read`.
//!
//! From the bytes up: [`chunk`] cuts a stream and applies the codec, [`frame`] puts a payload
//! between header and trailer, [`carrier`] turns these frame bytes into a picture and back,
//! [`stream`] checks that frames follow one another as they should, [`parity`] makes recovery
//! shards from a group of frames, [`seal`] closes and opens payloads with a secret, and [`v1`] reads the format of storagex 1.0.

pub mod carrier;
pub mod chunk;
pub mod frame;
pub mod parity;
pub mod seal;
pub mod stream;
pub mod v1;

pub use carrier::{
    Carrier, Frame, payload_range, read_frame, seal_frame, write_bytes, write_frame,
};

/// The limit of a frame's pixel bytes unless the user raises it: 64 MiB.
pub const DEFAULT_LIMIT: usize = 64 << 20;

/// The highest limit: 1 GiB, so that it fits a PNG's chunk lengths (31 bits).
pub const MAX_LIMIT: usize = 1 << 30;
