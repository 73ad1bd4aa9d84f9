//! Chunks of one length: "Size of a frame" in storagex(5).

use super::Span;
use crate::error::{Error, Result};
use std::io::{ErrorKind, IoSliceMut, Read};

/// Cuts what `input` gives into chunks of `capacity` bytes; the last one is what remains.
pub struct Chunks<R> {
    input: R,
    capacity: usize,
    offset: u64,
    /// The first byte of the next chunk, read to see that there is one.
    ahead: Option<u8>,
    done: bool,
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
