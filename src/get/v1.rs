//! Turns uploads of storagex 1.0 into frames: "STORAGEX 1.0" in storagex(5).
//!
//! There are no digests: only the PNG and the index serve to check a picture.

use super::options::Options;
use crate::error::{Error, Kind, Result, shown};
use crate::index::MAX_TEXT;
use crate::key::Location;
use crate::pipeline;
use crate::store::{self, Store};
use crate::wire::carrier::{container, gray};
use crate::wire::frame::{self, Codec, FrameKind, Place, Size, Trailer};
use crate::wire::stream::StreamCrc;
use crate::wire::v1::OWN_FRAME;
use crate::wire::{Carrier, v1, write_frame};
use url::Url;

/// An index of storagex 1.0, and the locations of its pieces.
pub(crate) struct Upload {
    pub filename: String,
    pub size: u64,
    pub pieces: Vec<Piece>,
}

/// A piece of a file.
#[derive(Clone)]
pub(crate) struct Piece {
    pub location: Location,
    seq: usize,
    offset: u64,
    size: u64,
    last: bool,
}

impl Upload {
    /// Fetches and checks the index at `location`.
    pub fn fetch(location: &Location, options: &Options) -> Result<Upload> {
        Upload::read(location, options).map_err(|e| e.at(location))
    }

    fn read(location: &Location, options: &Options) -> Result<Upload> {
        let store = store::at(location, &options.lent()?)?;
        let (mut png, mut pixels) = (Vec::new(), Vec::new());
        fetch(
            location,
            store.as_ref(),
            options.limit,
            &mut png,
            &mut pixels,
        )?;
        let json = v1::parse(&pixels).expect("internal error: a piece that is none");
        if json.len() > MAX_TEXT {
            let found = json.len();
            return Err(bad(format!("{found} bytes, expected at most {MAX_TEXT}")));
        }
        let index = v1::Index::parse(json)?;
        let count = index.pieces.len();
        let pieces = index.pieces.iter().enumerate().map(|(seq, piece)| {
            Ok(Piece {
                location: absolute(&piece.key)?,
                seq,
                offset: piece.offset,
                size: piece.size,
                last: seq + 1 == count,
            })
        });
        Ok(Upload {
            size: index.size(),
            pieces: pieces.collect::<Result<_>>()?,
            filename: index.filename,
        })
    }
}

fn bad(what: String) -> Error {
    Kind::Index(what).into()
}

/// The location of a piece that an index names.
fn absolute(key: &str) -> Result<Location> {
    let bad = || {
        let shown = match key.contains('@') {
            true => "with what may be a password".to_owned(),
            false => format!("\"{}\"", shown(key)),
        };
        bad(format!("key {shown}, expected an http or https URL"))
    };
    let url = Url::parse(key)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    Location::from_url(&url.ok_or_else(bad)?).map_err(|_| bad())
}

/// Calls `each` with a PNG for every frame of the upload, in order, as [`encode`](crate::encode())
/// would make them from the same pieces. Returns their number.
pub(crate) fn walk(
    location: &Location,
    options: &Options,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let upload = Upload::fetch(location, options)?;
    if upload.pieces.is_empty() {
        each(&empty())?;
        return Ok(1);
    }
    let frames = upload.pieces.len() as u64;
    let progress = &options.store.progress;
    progress.expecting().see(Some(upload.size));
    let store = store::at(location, &options.lent()?)?;
    let limit = options.limit;
    let mut pieces = upload.pieces.into_iter();
    let mut stream_crc = StreamCrc::default();
    pipeline::run(
        options.jobs,
        Slot::default,
        move |slot: &mut Slot| {
            slot.piece = pieces.next();
            Ok(slot.piece.is_some())
        },
        move |slot, (): &mut ()| {
            slot.fetch(store.as_ref(), limit).map_err(|e| slot.at(e))?;
            match slot.piece().last {
                true => {
                    slot.crc = crc32fast::hash(slot.payload());
                    Ok(()) // its trailer needs the CRC of all pieces: see below
                }
                false => slot.frame(Place::At(slot.piece().offset), limit),
            }
        },
        |slot| {
            stream_crc.append(slot.crc, slot.piece().size);
            if slot.piece().last {
                let place = last(slot.piece().offset, &stream_crc);
                slot.frame(place, limit)?;
            }
            each(&slot.png)?;
            progress.frame(slot.piece().size);
            Ok(())
        },
    )?;
    Ok(frames)
}

fn last(offset: u64, stream_crc: &StreamCrc) -> Place {
    Place::Last {
        offset,
        stream_crc: stream_crc.value(),
        positioned: true,
    }
}

/// The frame of an empty file, which has no pieces.
fn empty() -> Vec<u8> {
    let mut png = Vec::new();
    let trailer = trailer(last(0, &StreamCrc::default()), 0);
    write_frame(
        &trailer,
        &[],
        Carrier::Plain,
        Size::DEFAULT.fit(0),
        &mut png,
    );
    png
}

fn trailer(place: Place, length: usize) -> Trailer {
    Trailer {
        kind: FrameKind::Data,
        codec: Codec::Stored,
        place,
        raw_length: u32::try_from(length).expect("internal error: a piece over 4 GiB"),
        sealed: None,
    }
}

/// A piece, and the frame made from it.
#[derive(Default)]
struct Slot {
    piece: Option<Piece>,
    /// Of the piece, then of the frame.
    png: Vec<u8>,
    pixels: Vec<u8>,
    crc: u32,
}

impl Slot {
    fn piece(&self) -> &Piece {
        self.piece.as_ref().expect("internal error: no piece")
    }

    fn payload(&self) -> &[u8] {
        v1::parse(&self.pixels).expect("internal error: a piece that is none")
    }

    fn fetch(&mut self, store: &dyn Store, limit: usize) -> Result<()> {
        let location = self.piece().location.clone();
        fetch(&location, store, limit, &mut self.png, &mut self.pixels)?;
        let (found, expected) = (self.payload().len(), self.piece().size);
        if found as u64 != expected {
            return Err(bad(format!(
                "a piece of {found} bytes, expected {expected}"
            )));
        }
        Ok(())
    }

    /// Payload, pixels, PNG.
    fn frame(&mut self, place: Place, limit: usize) -> Result<()> {
        let payload = v1::parse(&self.pixels).expect("internal error: a piece that is none");
        let full = v1::frame_size(container::size(&self.png));
        let size = full.fit(payload.len()).within(limit)?;
        let trailer = trailer(place, payload.len());
        self.crc = write_frame(&trailer, payload, Carrier::Plain, size, &mut self.png);
        Ok(())
    }

    fn at(&self, error: Error) -> Error {
        let piece = self.piece();
        error
            .at(&piece.location)
            .at(format_args!("frame {}", piece.seq))
    }
}

/// Fetches the piece at `location`: its PNG, and its pixels.
fn fetch(
    location: &Location,
    store: &dyn Store,
    limit: usize,
    png: &mut Vec<u8>,
    pixels: &mut Vec<u8>,
) -> Result<()> {
    store.get(location, &mut |bytes| {
        container::single(bytes, limit, png)?;
        let picture = gray::colours(png, pixels)?;
        if frame::has_magic(pixels) {
            return Err(Kind::NotPiece(OWN_FRAME.into()).into());
        }
        match v1::parse(pixels) {
            Some(_) => Ok(()),
            None => Err(Kind::NotPiece(picture).into()),
        }
    })
}
