//! Checks how frames follow one another: "THE STREAM" in storagex(5).

use super::frame::{FrameKind, Place, Trailer};
use crate::error::{Error, Kind, Result};

/// Checks, frame by frame, that they make whole streams.
#[derive(Debug, Default)]
pub struct Order {
    /// Frames so far, over all streams.
    frames: u64,
    /// Bytes of the streams that have ended.
    before: u64,
    /// Bytes of this stream so far.
    offset: u64,
    /// Whether a stream has begun and not ended.
    open: bool,
    /// Whether the frames of this stream are sealed.
    sealed: bool,
    /// For a part of an input: the most bytes that its first stream may have before it. The first frame
    /// that has an offset tells how many there are.
    most_before: Option<u64>,
}

/// What [`Order::next`] returns for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its number, over all streams.
    pub seq: u64,
    /// Bytes before it, over all streams.
    pub offset: u64,
}

impl Order {
    /// For a part of an input that has so many bytes before it.
    #[must_use]
    pub fn from(position: u64) -> Self {
        Order {
            most_before: Some(position).filter(|position| *position > 0),
            ..Order::default()
        }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    ///
    /// [`Kind::WrongKind`] for an index frame, or one that is sealed where others aren't;
    /// [`Kind::Offset`] for one out of place.
    pub fn next(&mut self, trailer: &Trailer) -> Result<Position> {
        Order::check_kind(trailer)?;
        self.check_seal(trailer)?;
        let (found, last) = match trailer.place {
            Place::Anywhere => (self.offset, false),
            Place::At(offset) => (offset, false),
            Place::Last { offset, .. } => (offset, true),
        };
        if trailer.place != Place::Anywhere
            && let Some(most) = self.most_before.take()
            && found >= self.offset
            && found - self.offset <= most
        {
            self.offset = found;
        }
        if found != self.offset {
            let expected = self.offset;
            return Err(Kind::Offset { found, expected }.into());
        }
        let position = Position {
            seq: self.frames,
            offset: self.before + self.offset,
        };
        self.frames += 1;
        self.offset += u64::from(trailer.raw_length);
        self.open = !last;
        if last {
            self.before += std::mem::take(&mut self.offset);
        }
        Ok(position)
    }

    /// Checks that all frames of a stream are sealed, or none.
    fn check_seal(&mut self, trailer: &Trailer) -> Result<()> {
        let sealed = trailer.sealed.is_some();
        let found = match (self.open, self.sealed, sealed) {
            (true, true, false) => "a frame that isn't sealed, expected a sealed one as before it",
            (true, false, true) => "a sealed frame, expected one that isn't, as before it",
            _ => {
                self.sealed = sealed;
                return Ok(());
            }
        };
        Err(Kind::WrongKind(found).into())
    }

    /// Checks that this is a data frame: streams contain no others.
    ///
    /// # Errors
    ///
    /// [`Kind::WrongKind`].
    pub fn check_kind(trailer: &Trailer) -> Result<()> {
        let found = match trailer.kind {
            FrameKind::Data => return Ok(()),
            FrameKind::Index => "a frame of an index, expected data",
            FrameKind::Parity => "a frame of parity, expected data",
        };
        Err(Kind::WrongKind(found).into())
    }

    /// Ends the input: the last frame must have arrived.
    ///
    /// # Errors
    ///
    /// [`Kind::Empty`] if there was no frame, [`Kind::Truncated`] if there was no last frame.
    pub fn end(&self) -> Result<()> {
        match (self.frames, self.open) {
            (0, _) => Err(Kind::Empty.into()),
            (frames, true) => Err(Error::from(Kind::Truncated).at(format!("frame {frames}"))),
            (_, false) => Ok(()),
        }
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes of all streams so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.before + self.offset
    }
}

/// The start of a picture, written in place of a stream that fails before its first frame. No
/// reader takes it for the end. Without it, such a stream would leave no trace among streams that
/// follow one another.
pub const CUT: &[u8] = super::carrier::container::SIGNATURE;

/// CRC-32 of a stream, combined from those of its chunks.
#[derive(Debug, Default, Clone)]
pub struct StreamCrc(crc32fast::Hasher);

impl StreamCrc {
    /// Appends a chunk of `length` bytes that has this CRC.
    pub fn append(&mut self, crc: u32, length: u64) {
        self.0
            .combine(&crc32fast::Hasher::new_with_initial_len(crc, length));
    }

    /// The CRC so far.
    #[must_use]
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }

    /// Appends the chunk of a frame; at the last frame, checks the stream's CRC and starts anew.
    ///
    /// # Errors
    ///
    /// [`Kind::Checksum`].
    pub fn check(&mut self, trailer: &Trailer, crc: u32) -> Result<()> {
        self.append(crc, u64::from(trailer.raw_length));
        let Place::Last {
            stream_crc: expected,
            ..
        } = trailer.place
        else {
            return Ok(());
        };
        match std::mem::take(self).value() {
            found if found == expected => Ok(()),
            found => Err(Error::from(Kind::Checksum {
                of: "stream".into(),
                found,
                expected,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Codec;

    fn frame(place: Place) -> Trailer {
        Trailer {
            kind: FrameKind::Data,
            codec: Codec::Stored,
            place,
            raw_length: 10,
            sealed: None,
        }
    }

    fn last(offset: u64) -> Trailer {
        frame(Place::Last {
            offset,
            stream_crc: 0,
            positioned: true,
        })
    }

    #[test]
    fn streams_follow_one_another() {
        let mut order = Order::default();
        order.next(&frame(Place::At(0))).unwrap();
        order.next(&frame(Place::Anywhere)).unwrap();
        order.next(&last(20)).unwrap();
        let next = order.next(&last(0)).unwrap();
        assert_eq!(next, Position { seq: 3, offset: 30 });
        order.end().unwrap();
    }

    #[test]
    fn out_of_place() {
        for wrong in [frame(Place::At(0)), frame(Place::At(20)), last(0)] {
            let mut order = Order::default();
            order.next(&frame(Place::At(0))).unwrap();
            let error = order.next(&wrong).unwrap_err();
            assert!(
                matches!(error.kind(), Kind::Offset { expected: 10, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_part_of_an_input() {
        // A stream whose place the last frame tells, and one that starts after it.
        let mut order = Order::from(40);
        order.next(&frame(Place::Anywhere)).unwrap();
        order.next(&last(30)).unwrap();
        order.next(&last(0)).unwrap();
        for (position, places) in [
            (40, &[Place::At(41)][..]),
            (40, &[Place::At(40), Place::At(40)]),
            (40, &[Place::Anywhere, Place::At(51)]),
            (40, &[Place::Anywhere, Place::At(9)]),
            (0, &[Place::At(10)]),
        ] {
            let mut order = Order::from(position);
            let (wrong, good) = places.split_last().unwrap();
            for place in good {
                order.next(&frame(*place)).unwrap();
            }
            let error = order.next(&frame(*wrong)).unwrap_err();
            assert!(matches!(error.kind(), Kind::Offset { .. }), "{error}");
        }
    }

    #[test]
    fn all_frames_of_a_stream_are_sealed_or_none() {
        let sealed = |trailer| Trailer {
            sealed: Some(1),
            ..trailer
        };
        let mut order = Order::default();
        order.next(&sealed(frame(Place::At(0)))).unwrap();
        let error = order.next(&frame(Place::At(10))).unwrap_err();
        assert!(matches!(error.kind(), Kind::WrongKind(_)), "{error}");
        order.next(&sealed(last(10))).unwrap();
        order.next(&frame(Place::At(0))).unwrap();
        let error = order.next(&sealed(frame(Place::At(10)))).unwrap_err();
        assert!(matches!(error.kind(), Kind::WrongKind(_)), "{error}");
    }

    #[test]
    fn an_end_without_last() {
        let mut order = Order::default();
        assert_eq!(order.end().unwrap_err().kind(), &Kind::Empty);
        order.next(&frame(Place::At(0))).unwrap();
        assert_eq!(order.end().unwrap_err().kind(), &Kind::Truncated);
    }

    #[test]
    fn crc_of_parts_is_that_of_the_whole() {
        let mut crc = StreamCrc::default();
        crc.append(crc32fast::hash(b"12345"), 5);
        crc.append(crc32fast::hash(b"6789"), 4);
        assert_eq!(crc.value(), 0xcbf4_3926); // the check value of CRC-32/ISO-HDLC
    }
}
