//! Corrects code words with more wrong bytes than the code alone can: by what the reader doubts.
//!
//! A coefficient that came back halfway between two values says little, and most wrong bytes come from
//! such coefficients. So each byte has the bit that is wrong first, and how sure that bit is ([`Doubt`]).
//! The bytes of a word are put in order, the most doubtful first. The first of them are changed in their
//! doubtful bit, in each combination (Chase); the next ones are erased, none at first and then more of
//! them (Forney); and the code corrects the rest, as far as it can. At last the most doubtful ones are
//! erased and those behind them changed: a long word can have twenty that are in doubt and right.
//!
//! With so many tries and so few bytes left to check them by, some try gives a code word that is none of
//! ours. What tells it is what it changes. Most wrong bytes are wrong in their doubtful bit alone, but a
//! word by chance changes any bits: one in 255 is the doubtful one. So of what the code changes, a quarter
//! must be that. With 16 bytes erased, where a wrong word is most likely, one in 40,000 tries gives one,
//! and of these one in two thousand million is taken.

use super::reed_solomon::{self, Errors};

/// What a reader doubts in a byte.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// The bit that is wrong first.
    pub bit: u8,
    /// How sure it is: the logarithm of how much more likely it is right than wrong.
    pub sure: f32,
}

impl Doubt {
    /// That of a byte whose bits come from nothing.
    pub const NONE: Doubt = Doubt {
        bit: 0,
        sure: f32::INFINITY,
    };
}

/// Bytes that are erased: none, and then more.
const ERASED: [usize; 3] = [0, 8, 16];
/// Bytes that can be changed in each combination: a short word has 33, of which 16 may be erased.
const MOST: u32 = 16;

/// Tries that it takes at most to correct a word where so many bytes are changed in each combination.
#[must_use]
pub const fn tries(changed: u32) -> usize {
    ERASED.len() << changed
}

/// Corrects a word, of whose bytes these are the doubts: changes up to `changed` of them, at most
/// [`MOST`], in each combination, and makes as many tries as are `left`. So many of the most doubtful are
/// `skipped`: they are only erased. Gives whether the word was corrected.
pub fn correct(
    word: &mut [u8],
    doubts: &[Doubt],
    changed: u32,
    skipped: usize,
    left: &mut usize,
) -> bool {
    debug_assert!(changed <= MOST);
    // Or a fuzzer reads a picture in a quarter of a minute.
    let changed = if cfg!(fuzzing) {
        changed.min(4)
    } else {
        changed
    };
    let length = word.len();
    let mut order: Vec<usize> = (0..length).collect();
    order.sort_by(|&a, &b| doubts[a].sure.total_cmp(&doubts[b].sure));
    let last = length.min(skipped + changed as usize);
    order[..last].rotate_left(skipped.min(last));
    let powers: Vec<u8> = order.iter().map(|&at| power(at, length)).collect();
    let mut syndromes = reed_solomon::syndromes_of(word);
    // A Gray code: from one number to the next, one byte is changed or changed back, and the first ones
    // are through before another one is touched.
    for number in 0u32..1 << changed {
        if number > 0 {
            let at = order[number.trailing_zeros() as usize];
            word[at] ^= doubts[at].bit;
            reed_solomon::add(&mut syndromes, power(at, length), doubts[at].bit);
        }
        let touched = (u32::BITS - number.leading_zeros()) as usize;
        for count in ERASED {
            let Some(fewer) = left.checked_sub(1) else {
                return false;
            };
            *left = fewer;
            let erased = &powers[touched..touched + count];
            if let Some(errors) = reed_solomon::errors(&syndromes, erased, length)
                && is_likely(&errors, &order, doubts, number ^ number >> 1)
            {
                for (at, change) in errors.of(length) {
                    word[at] ^= change;
                }
                return true;
            }
        }
    }
    false
}

/// The power of x of a byte of a word.
#[expect(clippy::cast_possible_truncation)] // a word has 255 bytes at most
fn power(at: usize, length: usize) -> u8 {
    (length - 1 - at) as u8
}

/// Whether a quarter of the bytes that the code changes is changed in the doubtful bit alone. Those first
/// bytes in `order` that are set in `changed` were so changed before: that the code leaves them so, or as
/// they came, says nothing.
fn is_likely(errors: &Errors, order: &[usize], doubts: &[Doubt], changed: u32) -> bool {
    let (mut all, mut doubted) = (0, 0);
    for (at, change) in errors.of(order.len()) {
        let number = order.iter().take(MOST as usize).position(|&it| it == at);
        let was_changed = number.is_some_and(|number| changed >> number & 1 == 1);
        let is_doubted = change == doubts[at].bit;
        if change != 0 && !(was_changed && is_doubted) {
            all += 1;
            doubted += u32::from(is_doubted);
        }
    }
    4 * doubted >= all
}
