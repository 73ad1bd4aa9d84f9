//! Writes what is left of a stream, with zeros in place of lost data.
//!
//! The bytes are encoded anew, as one stream: once frames are lost, the rest has neither the right
//! order nor the right CRC.

use super::check::Gap;
use super::fetch::Finder;
use super::options::Options;
use super::orphans::Orphans;
use super::rebuild::Rebuilder;
use super::trail::{Step, Trail};
use crate::encode::{self, encode};
use crate::error::{Error, Kind, Result};
use crate::index::{Found, Lost, Piece};
use crate::key::{Keys, Source};
use crate::pipeline;
use crate::store::Fetched;
use crate::wire::chunk::Unpacker;
use crate::wire::frame::{self, Codec, FrameKind};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::thread;

/// The result of salvaging.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// Bytes of the stream.
    pub size: u64,
    /// The lost parts, which are zeros now.
    pub gaps: Vec<Gap>,
    /// Whether the root is lost, so that nobody knows whether there was more at the end.
    pub is_open: bool,
}

/// Writes what is left of a stream to `output`, as frames: one stream of the same length, with
/// zeros in place of lost data.
///
/// If no root is left, this searches the folders among the stores to look in first for the indexes
/// below it.
///
/// ```
/// use storagex::get::{self, salvage};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let name = folder.path().join("pictures");
/// # let mut frames = Vec::new();
/// # storagex::encode(std::io::Cursor::new(vec![7; 3000]), &mut frames, &Default::default())?;
/// # let frames = std::io::Cursor::new(frames);
/// # let store = storagex::store::open(name.as_os_str(), &Default::default())?;
/// # let key = storagex::put(frames, &[store], &Default::default())?.keys;
/// # let mut lost = std::path::PathBuf::new();
/// # get::list(&key, &get::Options::default(), |source, _| Ok(lost = source.location().path()))?;
/// std::fs::remove_file(lost).unwrap(); // the only frame
/// let mut frames = Vec::new();
/// let salvaged = salvage(&key, &mut frames, &get::Options::default())?;
/// assert_eq!(salvaged.gaps[0].bytes, 0..3000);
/// # Ok::<(), storagex::Error>(())
/// ```
///
/// # Errors
///
/// [`Kind::Lost`] if nothing of the index is left; [`Kind::Index`] if indexes of several streams
/// have lost their roots; those of writing.
pub fn salvage(
    source: impl Into<Source>,
    output: &mut impl Write,
    options: &Options,
) -> Result<Salvaged> {
    let Source::Key(keys) = source.into() else {
        let what = "a key of storagex 1.0, expected one of this storagex";
        return Err(Kind::Usage(what.into()).into());
    };
    let (reader, mut writer) = io::pipe().map_err(|e| Error::io("cannot make a pipe", e))?;
    let getting = options.clone();
    let from = thread::spawn(move || {
        let done = bytes(&keys, &mut writer, &getting);
        drop(writer);
        done
    });
    let encoding = encode::Options {
        jobs: options.jobs.min(4),
        ..encode::Options::default()
    };
    let encoded = encode(reader, output, &encoding);
    let done = from.join().expect("internal error: a thread panicked");
    encoded?;
    done
}

/// Writes the bytes of a stream, with zeros for lost data.
fn bytes(keys: &Keys, output: &mut impl Write, options: &Options) -> Result<Salvaged> {
    let finder = Arc::new(Finder::new(keys, options)?);
    let orphans = Orphans::find(keys, &finder, options)?;
    let rebuilder = Rebuilder::new(&finder, options.jobs, options.limit);
    let mut salvaged = Salvaged {
        is_open: orphans.is_some(),
        ..Salvaged::default()
    };
    let progress = &options.store.progress;
    let mut next: Next = if let Some(mut orphans) = orphans {
        Box::new(move || orphans.next())
    } else {
        let mut trail = Trail::new(keys, &finder)?;
        let mut expecting = progress.expecting();
        Box::new(move || {
            let step = trail.next()?;
            expecting.see(trail.size());
            Ok(step)
        })
    };
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| slot.find(&mut next),
        move |slot, scratch| {
            slot.fetch(&rebuilder, scratch);
            Ok(())
        },
        |slot| {
            let (frames, before) = (slot.frames(), salvaged.size);
            slot.write(output, &mut salvaged)?;
            progress.frames(frames, salvaged.size.saturating_sub(before));
            Ok(())
        },
    )?;
    Ok(salvaged)
}

/// Returns the next index, data frame or gap.
type Next = Box<dyn FnMut() -> Result<Option<Step>> + Send>;

/// A data frame, or everything below a lost index.
#[derive(Default)]
struct Slot {
    piece: Option<Piece>,
    lost: Option<Lost>,
    home: usize,
    /// The chunk, or why it is lost.
    raw: Vec<u8>,
    error: Option<Error>,
}

#[derive(Default)]
struct Scratch {
    fetched: Fetched,
    unpacker: Unpacker,
}

impl Slot {
    fn find(&mut self, next: &mut Next) -> Result<bool> {
        (self.piece, self.lost, self.error) = (None, None, None);
        while let Some(step) = next()? {
            match step {
                Step::Found(Found::Piece(piece), home) => {
                    (self.piece, self.home) = (Some(piece), home);
                    return Ok(true);
                }
                Step::Found(..) => {}
                Step::Lost(lost) => {
                    self.lost = Some(lost);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn fetch(&mut self, rebuilder: &Rebuilder, scratch: &mut Scratch) {
        if let Some(piece) = &self.piece {
            let raw = &mut self.raw;
            let done = chunk(piece, self.home, rebuilder, scratch, raw);
            self.error = done.err().map(|e| e.at(&piece.link.places[0]));
        }
    }

    /// The data frames that it stands for.
    fn frames(&self) -> u64 {
        match &self.lost {
            Some(lost) => lost.total.map_or(0, |(frames, _)| frames),
            None => u64::from(self.piece.is_some()),
        }
    }

    fn write(&mut self, output: &mut impl Write, salvaged: &mut Salvaged) -> Result<()> {
        let (frames, bytes, error) = match (&self.piece, self.lost.take()) {
            (_, Some(lost)) => {
                let Some((frames, bytes)) = lost.total else {
                    let (frames, bytes) = (u64::MAX, u64::MAX);
                    return Err(Error::from(Kind::Lost { frames, bytes }).because(lost.error));
                };
                let bytes = lost.offset..lost.offset + bytes;
                (lost.seq..lost.seq + frames, bytes, Some(lost.error))
            }
            (Some(piece), None) => {
                let bytes = piece.offset..piece.offset + piece.size;
                (piece.seq..piece.seq + 1, bytes, self.error.take())
            }
            (None, None) => return Ok(()),
        };
        salvaged.size = bytes.end;
        match error {
            Some(error) if error.kind() == &Kind::Sealed => Err(error),
            None => output.write_all(&self.raw).map_err(Error::output),
            Some(error) => {
                let length = bytes.end - bytes.start;
                let mut zeros = io::Read::take(io::repeat(0), length);
                io::copy(&mut zeros, output).map_err(Error::output)?;
                salvaged.lose(frames, bytes, &error);
                Ok(())
            }
        }
    }
}

impl Salvaged {
    fn lose(&mut self, frames: Range<u64>, bytes: Range<u64>, error: &Error) {
        match self.gaps.last_mut() {
            Some(gap) if gap.frames.end == frames.start => {
                (gap.frames.end, gap.bytes.end) = (frames.end, bytes.end);
            }
            _ => self.gaps.push(Gap {
                frames,
                bytes,
                why: error.to_string(),
            }),
        }
    }

    /// An error that says how much is lost, if anything is.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        if self.is_open {
            let lengths = self.gaps.iter().map(|gap| gap.bytes.end - gap.bytes.start);
            let (bytes, end) = (lengths.sum(), true);
            return Some(Kind::Missing { bytes, end }.into());
        }
        super::check::lost(&self.gaps)
    }
}

/// Frame, payload, chunk.
fn chunk(
    piece: &Piece,
    home: usize,
    rebuilder: &Rebuilder,
    scratch: &mut Scratch,
    raw: &mut Vec<u8>,
) -> Result<()> {
    let fetched = &mut scratch.fetched;
    let (trailer, _) = rebuilder.fetch(piece, home, fetched)?;
    let length = u64::from(trailer.raw_length);
    if trailer.kind != FrameKind::Data || length != piece.size {
        let what = format!("a frame of {length} bytes, expected {}", piece.size);
        return Err(Kind::Index(what).into());
    }
    if trailer.sealed.is_some() {
        return Err(Kind::Sealed.into());
    }
    let payload = frame::payload(&fetched.bytes);
    match trailer.codec {
        Codec::Stored => {
            raw.clear();
            raw.extend_from_slice(payload);
            Ok(())
        }
        Codec::Zstd => scratch
            .unpacker
            .unpack(payload, trailer.raw_length as usize, raw),
    }
}
