//! Keeps any stream of bytes as pictures, wherever pictures can be kept, and restores it bit for
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
//! # The pipe
//!
//! Each program is a function here, from a reader to a writer, with a struct of options. The whole
//! pipe, into a folder and back:
//!
//! ```
//! use std::io::Cursor;
//! use storagex::{decode, encode, get, put, store};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let name = folder.path().join("pictures");
//! let bytes = b"any stream of bytes".repeat(1000);
//!
//! let mut frames = Vec::new();
//! encode(Cursor::new(bytes.clone()), &mut frames, &encode::Options::default())?;
//! assert!(frames.starts_with(b"\x89PNG"));
//!
//! let store = store::open(name.as_os_str(), &store::Config::default())?;
//! let done = put(Cursor::new(frames), &[store], &put::Options::default())?;
//! println!("{}", done.keys); // file:///…/pictures/3f/3f9a….png#blake3=3f9a…
//!
//! let mut frames = Vec::new();
//! get(&done.keys, &mut frames, &get::Options::default())?;
//! let mut restored = Vec::new();
//! decode(Cursor::new(frames), &mut restored, &decode::Options::default())?;
//! assert_eq!(restored, bytes);
//! # Ok::<(), storagex::Error>(())
//! ```
//!
//! Between threads, [`std::io::pipe`] takes the place of the vectors, so that a stream of any length
//! takes the same memory: `Options::memory` of each verb says how much. [`Storage`] does that for files.
//!
//! # What else there is
//!
//! | to | call | program |
//! |---|---|---|
//! | upload or download a file in one call | [`Storage`] | `storagex upload`, `storagex download` |
//! | decode a part of a stream | [`get::get_range`], [`decode::decode_range`] | `--range` |
//! | find members of a tar archive in it | [`members::Members`] | `sx-decode --locate` |
//! | see what a key stands for | [`get::info`], [`get::list`] | `sx-get --info`, `--list` |
//! | check what is left in the stores | [`get::check`] | `sx-get --check` |
//! | store again what was lost | [`get::repair`], [`get::repair_to`] | `sx-get --repair` |
//! | save what is left | [`get::salvage`], [`decode::sort`] | `sx-get --salvage`, `sx-decode --sort` |
//! | remove pictures that no key needs | [`put::prune::prune`] | `sx-put --prune` |
//! | find the stores that keys name, to prune each | [`put::places::places`] | `sx-put --prune` without `--to` |
//! | choose which backups to keep | [`put::forget::Rules`] | `sx-put --prune --forget` |
//! | learn what a store does to pictures | [`probe::probe`] | `sx-put --probe` |
//! | show progress | [`Progress`] | |
//! | keep pictures somewhere else | [`store::Store`] | |
//!
//! The library never prints, exits, or reads the environment: whoever calls it passes variables in
//! [`store::Config`], reads [`Progress`], and gets an [`Error`] that says where, what was found, and what
//! was expected.
//!
//! # The format
//!
//! storagex(5), `man/storagex.5`, specifies the format; [`wire`] implements it, without I/O other than
//! [`Read`](std::io::Read) and [`Write`](std::io::Write).

pub mod decode;
pub mod encode;
mod error;
pub mod get;
#[cfg(any(test, fuzzing))]
pub mod hostile;
#[doc(hidden)] // for the programs and for tests: the tree below a key
pub mod index;
pub mod input;
pub mod key;
pub mod members;
mod object;
pub mod output;
mod pipeline;
pub mod probe;
mod progress;
pub mod put;
pub mod range;
pub mod secret;
mod storage;
pub mod store;
pub mod wire;

pub use decode::decode;
pub use encode::encode;
pub use error::{Blame, Error, Kind, Result, Service, counted};
pub use get::get;
pub use index::Index;
pub use key::{Key, Keys, Source};
pub use progress::{Now, Progress};
pub use put::put;
pub use range::ByteRange;
pub use storage::Storage;
