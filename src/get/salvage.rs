//! Writes what is left of a stream, with zeros in place of lost data.
//!
//! The bytes are encoded anew, as one stream: once frames are lost, the rest has neither the right
//! order nor the right CRC. Sealed frames are written as they are, without the lost ones: only
//! sx-decode, which has the secret, can put zeros in their place.

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
use crate::wire::frame::{self, Codec, FrameKind, Trailer};
use std::io::{self, PipeReader, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
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
/// Writes the frames of a sealed stream as they are, without those that are lost, for
/// [`salvage_stream`](crate::decode::salvage_stream()).
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
/// have lost their roots, or if one begins far behind the others; those of writing.
pub fn salvage(
    source: impl Into<Source>,
    output: &mut impl Write,
    options: &Options,
) -> Result<Salvaged> {
    let Source::Key(keys) = source.into() else {
        let what = "a key of storagex 1.0, expected one of this storagex";
        return Err(Kind::Usage(what.into()).into());
    };
    if is_sealed(&keys, options)? {
        return walk(&keys, output, options, SEALED);
    }
    let (pipe, mut writer) = io::pipe().map_err(|e| Error::io("cannot make a pipe", e))?;
    let (fails, failed) = mpsc::channel();
    let getting = options.clone();
    let from = thread::spawn(move || {
        let done = walk(&keys, &mut writer, &getting, CHUNKS);
        if let Err(e) = &done {
            let _ = fails.send(e.again()); // to nobody if it is `encode` that failed
        }
        drop(writer);
        done
    });
    let encoding = encode::Options {
        jobs: options.jobs.min(4),
        ..encode::Options::default()
    };
    let encoded = encode(Chunks { pipe, failed }, output, &encoding);
    let done = from.join().expect("internal error: a thread panicked");
    encoded?;
    done
}

/// What [`walk`] writes. If it fails, so does reading: the end of a pipe alone would be that of the
/// stream, and `encode` would write a last frame.
struct Chunks {
    pipe: PipeReader,
    /// Sent before the pipe is closed.
    failed: Receiver<Error>,
}

impl Read for Chunks {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self.pipe.read(to)? {
            0 => self.failed.try_recv().map_or(Ok(0), |e| Err(e.into_io())),
            bytes => Ok(bytes),
        }
    }
}

/// What is written of a frame that is left, and for lost bytes.
#[derive(Clone, Copy)]
struct Form {
    take: fn(&Trailer, &mut Scratch, &mut Vec<u8>) -> Result<()>,
    fill: fn(u64, &mut dyn Write) -> io::Result<()>,
}

/// The bytes of the stream, with zeros for lost ones.
const CHUNKS: Form = Form {
    take: chunk,
    fill: |length, output| io::copy(&mut io::repeat(0).take(length), output).map(drop),
};

/// The frames as they are, and nothing for lost ones.
const SEALED: Form = Form {
    take: |_, scratch, png| {
        std::mem::swap(png, &mut scratch.fetched.png);
        Ok(())
    },
    fill: |_, _| Ok(()),
};

/// Whether the stream is sealed, by the first frame that is left.
fn is_sealed(keys: &Keys, options: &Options) -> Result<bool> {
    let finder = Finder::new(keys, options)?;
    let rebuilder = Rebuilder::new(&finder, options.jobs, options.limit);
    let (mut next, _) = steps(&finder, options)?;
    let mut fetched = Fetched::default();
    while let Some(step) = next()? {
        if let Step::Found(Found::Piece(piece), home) = step
            && let Ok((trailer, _)) = rebuilder.fetch(&piece, home, &mut fetched)
        {
            return Ok(trailer.sealed.is_some());
        }
    }
    Ok(false)
}

/// Writes what is left of a stream.
fn walk(keys: &Keys, output: &mut impl Write, options: &Options, form: Form) -> Result<Salvaged> {
    let finder = Finder::new(keys, options)?;
    let rebuilder = Rebuilder::new(&finder, options.jobs, options.limit);
    let (mut next, is_open) = steps(&finder, options)?;
    let mut salvaged = Salvaged {
        is_open,
        ..Salvaged::default()
    };
    let progress = &options.store.progress;
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| slot.find(&mut next),
        move |slot, scratch| {
            slot.fetch(&rebuilder, scratch, form);
            Ok(())
        },
        |slot| {
            let (frames, before) = (slot.frames(), salvaged.size);
            slot.write(output, &mut salvaged, form)?;
            progress.frames(frames, salvaged.size.saturating_sub(before));
            Ok(())
        },
    )?;
    output.flush().map_err(Error::output)?;
    Ok(salvaged)
}

/// The steps through a stream, and whether its root is lost.
fn steps(finder: &Arc<Finder>, options: &Options) -> Result<(Next, bool)> {
    if let Some(mut orphans) = Orphans::find(finder, options)? {
        return Ok((Box::new(move || orphans.next()), true));
    }
    let mut trail = Trail::new(finder)?;
    let mut expecting = options.store.progress.expecting();
    let next = move || {
        let step = trail.next()?;
        expecting.see(trail.size());
        Ok(step)
    };
    Ok((Box::new(next), false))
}

/// Returns the next index, data frame or gap.
type Next = Box<dyn FnMut() -> Result<Option<Step>> + Send>;

/// A data frame, or everything below a lost index.
#[derive(Default)]
struct Slot {
    piece: Option<Piece>,
    lost: Option<Lost>,
    home: usize,
    /// What is written of the frame, or why it is lost.
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

    fn fetch(&mut self, rebuilder: &Rebuilder, scratch: &mut Scratch, form: Form) {
        if let Some(piece) = &self.piece {
            let raw = &mut self.raw;
            let fetched = fetch(piece, self.home, rebuilder, scratch);
            let done = fetched.and_then(|trailer| (form.take)(&trailer, scratch, raw));
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

    fn write(
        &mut self,
        output: &mut impl Write,
        salvaged: &mut Salvaged,
        form: Form,
    ) -> Result<()> {
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
                (form.fill)(bytes.end - bytes.start, output).map_err(Error::output)?;
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

/// Fetches a frame, and checks it against its index.
fn fetch(
    piece: &Piece,
    home: usize,
    rebuilder: &Rebuilder,
    scratch: &mut Scratch,
) -> Result<Trailer> {
    let (trailer, _) = rebuilder.fetch(piece, home, &mut scratch.fetched)?;
    let length = u64::from(trailer.raw_length);
    if trailer.kind != FrameKind::Data || length != piece.size {
        let what = format!("a frame of {length} bytes, expected {}", piece.size);
        return Err(Kind::Index(what).into());
    }
    Ok(trailer)
}

/// Frame, payload, chunk.
fn chunk(trailer: &Trailer, scratch: &mut Scratch, raw: &mut Vec<u8>) -> Result<()> {
    if trailer.sealed.is_some() {
        return Err(Kind::Sealed.into());
    }
    let payload = frame::payload(&scratch.fetched.bytes);
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
