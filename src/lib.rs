//! Keeps any stream of bytes as pictures, wherever pictures can be kept, and brings it back bit for
//! bit.
//!
//! ```text
//! tar c dir | sx-encode | sx-put > key            sx-get key | sx-decode > out
//!
//! sx-encode   bytes  -> chunk -> frame -> pixels -> PNG stream      encode
//! sx-put      PNG stream -> frame, checked -> store -> index -> key put
//! sx-get      key -> index -> store -> frame, checked -> PNG stream get
//! sx-decode   PNG stream -> pixels -> frame -> chunk -> bytes       decode
//! ```
//!
//! The format is specified in storagex(5), `man/storagex.5`. The four verbs are functions here; the
//! programs parse their arguments and call them. [`Storage`] does upload and download in one call
//! each.
//!
//! ```
//! use std::io::Cursor;
//!
//! let mut frames = Vec::new();
//! storagex::encode(Cursor::new(b"hello"), &mut frames, &Default::default())?;
//! assert!(frames.starts_with(b"\x89PNG"));
//!
//! let mut bytes = Vec::new();
//! storagex::decode(Cursor::new(frames), &mut bytes, &Default::default())?;
//! assert_eq!(bytes, b"hello");
//! # Ok::<(), storagex::Error>(())
//! ```

pub mod decode;
pub mod encode;
mod error;
pub mod get;
pub mod index;
pub mod input;
pub mod key;
pub mod output;
pub mod pipeline;
pub mod probe;
pub mod put;
mod storage;
pub mod store;
mod v1;
pub mod wire;

pub use decode::decode;
pub use encode::encode;
pub use error::{Blame, Error, Kind, Result};
pub use get::get;
pub use index::Index;
pub use key::{Key, Source};
pub use put::put;
pub use storage::Storage;
