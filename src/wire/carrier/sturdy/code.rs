//! Frame bytes to the bytes that the symbols carry, and back: "The code" under "STURDY PICTURES" in
//! storagex(5).
//!
//! Code words are interleaved column by column: the first byte of each word, then the second of each.
//! Each column is rotated by the square of its number. So what is wrong in one place of the picture is
//! spread over all words: without the rotation, the symbols of one block would all be in the same word
//! wherever the bytes of a coefficient are a multiple of the words, and with a linear one elsewhere.
//!
//! The mask keeps a run of zeros from being a run of equal blocks, of which each pixel would be at its
//! limit. It has variants, so that a writer can take another one where pixels would be cut off at their
//! limits and so harm too much of a word.

use super::reed_solomon::{self, CHECK, MOST, WORD};
use super::soft::{self, Doubt};
use super::{Corrections, Level, symbols};
use crate::error::{Kind, Result};
use crate::wire::frame::Size;

/// What the mask is the extended output of BLAKE3 of; the number of a variant other than 0 follows.
const MASK: &[u8] = b"storagex 2 sturdy";
/// How many variants of the mask there are.
pub const VARIANTS: u8 = 16;

/// The code words of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How many there are.
    pub words: usize,
    /// Bytes of each.
    pub length: usize,
    /// Bytes that the symbols of the picture carry: those of the words, and what is too little for
    /// another one.
    pub stream: usize,
}

impl Layout {
    /// The code words of a picture of this size: whole ones, or a single one that is shorter; none
    /// where there is no room for data in it.
    #[must_use]
    pub fn of(size: Size, level: Level) -> Layout {
        let bits = symbols::blocks(size).saturating_mul(level.table().block_bits);
        let bytes = bits / 8;
        let (words, length) = match bytes / WORD {
            0 if bytes > CHECK => (1, bytes),
            words => (words, WORD),
        };
        Layout {
            words,
            length,
            stream: bits.div_ceil(8),
        }
    }

    /// Bytes that the words for so many frame bytes have.
    #[must_use]
    pub fn stream_for(frame_bytes: usize) -> usize {
        let data = WORD - CHECK;
        match frame_bytes < data {
            true => frame_bytes + CHECK,
            false => frame_bytes.div_ceil(data) * WORD,
        }
    }

    /// Frame bytes that the words hold.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.words * (self.length - CHECK)
    }

    /// The code words of frame bytes, as many as fit, interleaved and not yet masked.
    #[must_use]
    pub fn encode(&self, frame_bytes: &[u8]) -> Vec<u8> {
        let data = self.length - CHECK;
        let mut words = vec![0; self.words * self.length];
        for (word, from) in words
            .chunks_exact_mut(self.length)
            .zip(frame_bytes.chunks(data))
        {
            word[..data].copy_from_slice(from);
        }
        reed_solomon::encode(&mut words, self.length);
        let mut sequence = vec![0; self.stream];
        self.interleave(&words, &mut sequence);
        sequence
    }

    /// Takes the frame bytes out of a sequence from which the mask has been taken, in place of what
    /// `frame_bytes` holds. `again` reads the sequence once more, with the doubts in each byte; it is
    /// called where words have more wrong bytes than the code alone corrects.
    ///
    /// # Errors
    ///
    /// [`Kind::Uncorrectable`].
    pub fn decode(
        &self,
        sequence: &[u8],
        again: impl FnOnce() -> (Vec<u8>, Vec<Doubt>),
        frame_bytes: &mut Vec<u8>,
    ) -> Result<Corrections> {
        let mut words = vec![0; self.words * self.length];
        self.deinterleave(sequence, &mut words);
        let mut corrections = Corrections::default();
        let (mut number, mut failed) = (0, Vec::new());
        reed_solomon::decode(&mut words, self.length, |wrong| {
            match wrong {
                Some(wrong) => corrections.add(self.length, wrong),
                None => failed.push(number),
            }
            number += 1;
        });
        if !failed.is_empty() {
            let lost = self.correct_softly(&mut words, &failed, &again(), &mut corrections);
            if lost > 0 {
                let of = self.words;
                return Err(Kind::Uncorrectable { lost, of }.into());
            }
        }
        frame_bytes.clear();
        for word in words.chunks_exact(self.length) {
            frame_bytes.extend_from_slice(&word[..self.length - CHECK]);
        }
        Ok(corrections)
    }

    /// Corrects the words of these numbers by the doubts in their bytes; gives the number of those where
    /// it can't. A word that takes many tries is left for later, and gets them if few others do: where
    /// there are many, the picture is lost, and this should be known soon.
    fn correct_softly(
        &self,
        words: &mut [u8],
        failed: &[usize],
        (bytes, doubts): &(Vec<u8>, Vec<Doubt>),
        corrections: &mut Corrections,
    ) -> usize {
        /// Bytes of a word that are changed in each combination, first and later.
        const FIRST: u32 = 8;
        const LATER: u32 = 16;
        /// The most doubtful ones that are only erased at last: where they are right, what is wrong is
        /// among the next.
        const SKIPPED: usize = 20;
        /// Words that are left for later.
        const FEW: usize = 4;
        let mut correct = |word: usize, changed: u32, skipped: usize, tries: &mut usize| {
            let places: Vec<usize> = self.places(word).collect();
            let doubts: Vec<Doubt> = places.iter().map(|&at| doubts[at]).collect();
            let mut corrected: Vec<u8> = places.iter().map(|&at| bytes[at]).collect();
            if !soft::correct(&mut corrected, &doubts, changed, skipped, tries) {
                return false;
            }
            let word = &mut words[word * self.length..][..self.length];
            let wrong = word.iter().zip(&corrected).filter(|(a, b)| a != b).count();
            corrections.add(self.length, wrong);
            word.copy_from_slice(&corrected);
            true
        };
        let mut tries = 24 * soft::tries(FIRST);
        let mut left = failed.to_vec();
        left.retain(|&word| !correct(word, FIRST, 0, &mut tries));
        if left.len() <= FEW {
            tries = 2 * soft::tries(LATER);
            left.retain(|&word| !correct(word, LATER, 0, &mut tries));
        }
        if left.len() <= FEW {
            tries = 2 * soft::tries(LATER);
            left.retain(|&word| !correct(word, LATER, SKIPPED, &mut tries));
        }
        left.len()
    }

    /// Where the bytes of a word are in the sequence.
    fn places(self, word: usize) -> impl Iterator<Item = usize> {
        let words = self.words;
        (0..self.length).map(move |column| column * words + rotated(word, column, words))
    }

    /// Where the bytes of the last word are in the sequence.
    pub fn last_word(self) -> impl Iterator<Item = usize> {
        self.places(self.words - 1)
    }

    /// The data of a word; none where it can't be corrected.
    #[must_use]
    pub fn data_of(&self, mut word: Vec<u8>) -> Option<Vec<u8>> {
        let mut wrong = None;
        reed_solomon::decode(&mut word, self.length, |found| wrong = found);
        word.truncate(self.length - CHECK);
        wrong.filter(|&wrong| wrong <= MOST).map(|_| word)
    }

    /// The wrong bytes of the word that has the most, of those at these places of the sequence.
    #[must_use]
    pub fn worst(&self, mut wrong: Vec<usize>) -> usize {
        wrong.sort_unstable();
        wrong.dedup();
        let mut of_words = vec![0; self.words];
        for at in wrong.into_iter().filter(|at| at / self.words < self.length) {
            let (column, place) = (at / self.words, at % self.words);
            let turn = column * column % self.words;
            of_words[(place + self.words - turn) % self.words] += 1;
        }
        of_words.into_iter().max().unwrap_or_default()
    }

    fn interleave(&self, words: &[u8], sequence: &mut [u8]) {
        for (number, word) in words.chunks_exact(self.length).enumerate() {
            let columns = sequence.chunks_exact_mut(self.words).enumerate();
            for (&byte, (at, column)) in word.iter().zip(columns) {
                column[rotated(number, at, self.words)] = byte;
            }
        }
    }

    fn deinterleave(&self, sequence: &[u8], words: &mut [u8]) {
        for (number, word) in words.chunks_exact_mut(self.length).enumerate() {
            let columns = sequence.chunks_exact(self.words).enumerate();
            for (byte, (at, column)) in word.iter_mut().zip(columns) {
                *byte = column[rotated(number, at, self.words)];
            }
        }
    }
}

/// Where the byte of a word is in its column.
fn rotated(word: usize, column: usize, words: usize) -> usize {
    (word + column * column) % words
}

/// Puts the mask on a sequence, or takes it off.
pub fn mask(sequence: &mut [u8], variant: u8) {
    let mut mask = vec![0; sequence.len()];
    output(variant).fill(&mut mask);
    let pairs = sequence.iter_mut().zip(mask);
    pairs.for_each(|(byte, mask)| *byte ^= mask);
}

/// The mask at one place after another.
pub fn mask_at(places: impl Iterator<Item = usize>, variant: u8) -> impl Iterator<Item = u8> {
    let mut output = output(variant);
    places.map(move |at| {
        let mut byte = [0];
        output.set_position(at as u64);
        output.fill(&mut byte);
        byte[0]
    })
}

fn output(variant: u8) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new();
    hasher.update(MASK);
    if variant > 0 {
        hasher.update(&[variant]);
    }
    hasher.finalize_xof()
}
