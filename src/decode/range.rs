//! Cuts a range of bytes out of streams, or out of a part of them: "Parts" in storagex(5).

use super::{End, Options, Slot, open_frames};
use crate::error::{Error, Kind, Result};
use crate::range::ByteRange;
use crate::wire::carrier::container::Part;
use crate::wire::frame::{Place, Trailer};
use crate::wire::stream::Order;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::ops::Range;

/// Writes the bytes of `range` that are in the streams from `input` to `output`, and nothing else.
///
/// The input may be a part of the streams, as [`get_range`](crate::get::get_range) gives it of sealed
/// frames. All frames that arrive are checked, those beyond the range, too; the CRC-32 of a stream, and
/// the chain of a sealed one, only where the stream starts in the input. Where the input doesn't say how
/// long the streams are, the last bytes of them take as much memory.
///
/// # Errors
///
/// As [`decode`](super::decode()); [`Kind::Range`] where the streams don't have the bytes;
/// [`Kind::Truncated`] where the input ends before the range does.
pub fn decode_range(
    input: impl Read + Send + 'static,
    output: &mut impl Write,
    range: ByteRange,
    options: &Options,
) -> Result<()> {
    let mut run = None;
    let mut end = Some(End::new(options));
    open_frames(input, options, |slot| {
        if let Some(end) = end.take() {
            run = Some(Run::start(slot, end, range).map_err(|e| slot.at(e))?);
        }
        let run: &mut Run = run.as_mut().expect("internal error: not started");
        run.take(slot, output).map_err(|e| slot.at(e))?;
        options.progress.frame(slot.opened().1.len() as u64);
        Ok(())
    })?;
    run.ok_or(Kind::Empty)?.finish(output)?;
    output.flush().map_err(Error::output)
}

/// Frames that follow one another, and what is wanted of them.
struct Run {
    range: ByteRange,
    /// What the first picture says of where it stands.
    part: Option<Part>,
    /// The wanted bytes, where that is known before the end.
    wanted: Option<Range<u64>>,
    /// Otherwise: the last bytes so far.
    tail: VecDeque<u8>,
    /// Bytes before the next frame, over all streams.
    position: u64,
    order: Order,
    end: End,
    /// Whether the stream started in the input, so that its end can be checked.
    whole: bool,
}

impl Run {
    /// The run that starts with this frame.
    fn start(slot: &Slot, end: End, range: ByteRange) -> Result<Run> {
        let part = Part::of(&slot.png)?;
        let offset = match slot.opened().0.place {
            Place::Anywhere => None,
            Place::At(offset) | Place::Last { offset, .. } => Some(offset),
        };
        let position = part.map_or(offset.unwrap_or_default(), |part| part.offset);
        let wanted = match (part, range) {
            (Some(part), range) => Some(range.within(part.size)?),
            (None, ByteRange::Exact { offset, length }) => Some(offset..offset + length),
            (None, ByteRange::From(offset)) => Some(offset..u64::MAX),
            (None, ByteRange::Last(_)) => None,
        };
        let start = wanted.as_ref().map_or(0, |wanted| wanted.start);
        if position > start && wanted.is_some() {
            let (found, expected) = (position, start);
            return Err(Kind::Offset { found, expected }.into());
        }
        Ok(Run {
            range,
            part,
            wanted,
            tail: VecDeque::new(),
            position,
            order: Order::from(position),
            end,
            whole: position == 0 || offset == Some(0),
        })
    }

    /// Takes the next frame, and writes what is wanted of it.
    fn take(&mut self, slot: &Slot, output: &mut impl Write) -> Result<()> {
        let (trailer, chunk) = slot.opened();
        self.order.next(trailer)?;
        self.check_end(trailer, slot)?;
        let start = self.position;
        self.position += chunk.len() as u64;
        match (&self.wanted, self.range) {
            (Some(wanted), _) => {
                let within = |at: u64| {
                    let at = at.clamp(start, self.position) - start;
                    usize::try_from(at).expect("internal error: a chunk that no memory holds")
                };
                let cut = &chunk[within(wanted.start)..within(wanted.end)];
                output.write_all(cut).map_err(Error::output)
            }
            (None, ByteRange::Last(length)) => {
                self.tail.extend(chunk);
                let most = usize::try_from(length).unwrap_or(usize::MAX);
                let over = self.tail.len().saturating_sub(most);
                self.tail.drain(..over);
                Ok(())
            }
            (None, _) => unreachable!("internal error: a range that isn't known"),
        }
    }

    /// Checks what a last frame says of its stream, if all of that was seen.
    fn check_end(&mut self, trailer: &Trailer, slot: &Slot) -> Result<()> {
        if self.whole {
            return self.end.check(trailer, slot);
        }
        self.whole = trailer.is_last(); // the next stream starts in the input
        Ok(())
    }

    /// Checks that the range is complete, and writes what was kept for the end.
    fn finish(mut self, output: &mut impl Write) -> Result<()> {
        let is_complete = self
            .wanted
            .as_ref()
            .is_some_and(|it| self.position >= it.end);
        if is_complete && matches!(self.range, ByteRange::Exact { .. }) {
            return Ok(());
        }
        self.order.end()?;
        let size = self.part.map_or(self.position, |part| part.size);
        self.range.within(size)?;
        let at = format!("frame {}", self.order.frames());
        match self.position {
            found if found > size => {
                return Err(Kind::Offset {
                    found,
                    expected: size,
                }
                .into());
            }
            found if found < size => return Err(Error::from(Kind::Truncated).at(at)),
            _ => {}
        }
        let (front, back) = self.tail.as_slices();
        let written = output
            .write_all(front)
            .and_then(|()| output.write_all(back));
        self.tail.clear();
        written.map_err(Error::output)
    }
}
