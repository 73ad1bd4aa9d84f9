//! The Reed-Solomon code over GF(2^8): "The code" under "STURDY PICTURES" in storagex(5).
//!
//! A code word is data and 32 check bytes, the highest power of x first; it is a multiple of the
//! product of (x - a^i) for i = 0 to 31, where a is the element 2.
//!
//! Most words have no error, or one. So the check bytes are computed anew, with a table of what each
//! byte that leaves the register adds to it; the difference from those that came is zero in a good
//! word, and else what the syndromes are made of. Then come Berlekamp and Massey, Chien, and Forney.

#![expect(clippy::cast_possible_truncation)] // elements of the field, in tables made at compile time

/// Bytes of a code word, at most.
pub const WORD: usize = 255;
/// Check bytes of a code word.
pub const CHECK: usize = 32;
/// Wrong bytes that can be corrected in a code word.
pub const MOST: usize = CHECK / 2;

/// x^8 + x^4 + x^3 + x^2 + 1.
const POLYNOMIAL: u16 = 0x11d;

/// Powers of a, twice over so that a sum of two logarithms needs no modulo.
static POWER: [u8; 512] = powers();
/// Logarithms to base a; that of 0 is of no use.
static LOGARITHM: [u8; 256] = logarithms();
/// What a byte adds to the register: that byte times the generator, highest power first.
static ROWS: [[u64; 4]; 256] = rows();
/// Products with the powers of a, 0 to 31.
static BY_POWER: [[u8; 256]; CHECK] = by_power();

const fn powers() -> [u8; 512] {
    let mut powers = [0; 512];
    let (mut at, mut value) = (0, 1u16);
    while at < 512 {
        powers[at] = value as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= POLYNOMIAL;
        }
        at += 1;
    }
    powers
}

const fn logarithms() -> [u8; 256] {
    let (powers, mut logarithms) = (powers(), [0; 256]);
    let mut at = 0;
    while at < 255 {
        logarithms[powers[at] as usize] = at as u8;
        at += 1;
    }
    logarithms
}

const fn times(a: u8, b: u8, powers: &[u8; 512], logarithms: &[u8; 256]) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    powers[logarithms[a as usize] as usize + logarithms[b as usize] as usize]
}

/// The coefficients of the generator below its highest one, highest power first.
const fn generator() -> [u8; CHECK] {
    let (powers, logarithms) = (powers(), logarithms());
    // The coefficient of x^n is at n.
    let mut product = [0; CHECK + 1];
    product[0] = 1;
    let mut degree = 0;
    while degree < CHECK {
        let root = powers[degree];
        let mut at = degree + 1;
        while at > 0 {
            product[at] = product[at - 1] ^ times(product[at], root, &powers, &logarithms);
            at -= 1;
        }
        product[0] = times(product[0], root, &powers, &logarithms);
        degree += 1;
    }
    let mut lower = [0; CHECK];
    let mut at = 0;
    while at < CHECK {
        lower[at] = product[CHECK - 1 - at];
        at += 1;
    }
    lower
}

const fn rows() -> [[u64; 4]; 256] {
    let (powers, logarithms, generator) = (powers(), logarithms(), generator());
    let mut rows = [[0; 4]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut at = 0;
        while at < CHECK {
            let product = times(byte as u8, generator[at], &powers, &logarithms);
            rows[byte][at / 8] |= (product as u64) << (56 - at % 8 * 8);
            at += 1;
        }
        byte += 1;
    }
    rows
}

const fn by_power() -> [[u8; 256]; CHECK] {
    let (powers, logarithms) = (powers(), logarithms());
    let mut products = [[0; 256]; CHECK];
    let mut power = 0;
    while power < CHECK {
        let mut byte = 0;
        while byte < 256 {
            products[power][byte] = times(byte as u8, powers[power], &powers, &logarithms);
            byte += 1;
        }
        power += 1;
    }
    products
}

fn product(a: u8, b: u8) -> u8 {
    match a == 0 || b == 0 {
        true => 0,
        false => POWER[log(a) + log(b)],
    }
}

/// `b` must not be 0.
fn quotient(a: u8, b: u8) -> u8 {
    match a == 0 {
        true => 0,
        false => POWER[log(a) + 255 - log(b)],
    }
}

fn log(a: u8) -> usize {
    usize::from(LOGARITHM[usize::from(a)])
}

/// The check bytes of these data: at most `WORD - CHECK` bytes.
#[must_use]
pub fn check(data: &[u8]) -> [u8; CHECK] {
    let mut register = [0u64; 4];
    for &byte in data {
        step(&mut register, byte);
    }
    to_bytes(register)
}

/// The check bytes of each of four words of data of one length: four at once take hardly more time
/// than one, where each step waits for the one before.
fn check_four(words: [&[u8]; 4]) -> [[u8; CHECK]; 4] {
    let mut registers = [[0u64; 4]; 4];
    let [a, b, c, d] = words;
    for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
        let [of_a, of_b, of_c, of_d] = &mut registers;
        step(of_a, a);
        step(of_b, b);
        step(of_c, c);
        step(of_d, d);
    }
    registers.map(to_bytes)
}

/// Takes the next byte of data into the register.
#[inline]
fn step(register: &mut [u64; 4], byte: u8) {
    let [a, b, c, d] = *register;
    let row = &ROWS[usize::from(byte ^ (a >> 56) as u8)];
    *register = [
        (a << 8 | b >> 56) ^ row[0],
        (b << 8 | c >> 56) ^ row[1],
        (c << 8 | d >> 56) ^ row[2],
        d << 8 ^ row[3],
    ];
}

fn to_bytes(register: [u64; 4]) -> [u8; CHECK] {
    let mut bytes = [0; CHECK];
    for (to, part) in bytes.chunks_exact_mut(8).zip(register) {
        to.copy_from_slice(&part.to_be_bytes());
    }
    bytes
}

/// Writes the check bytes of words that follow one another, each of `length` bytes, over the last 32
/// of each.
pub fn encode(words: &mut [u8], length: usize) {
    let mut groups = words.chunks_exact_mut(4 * length);
    for group in groups.by_ref() {
        let checks = check_four(data_of_four(group, length));
        for (word, check) in group.chunks_exact_mut(length).zip(checks) {
            word[length - CHECK..].copy_from_slice(&check);
        }
    }
    for word in groups.into_remainder().chunks_exact_mut(length) {
        let (data, to) = word.split_at_mut(length - CHECK);
        to.copy_from_slice(&check(data));
    }
}

fn data_of_four(group: &[u8], length: usize) -> [&[u8]; 4] {
    std::array::from_fn(|at| &group[at * length..][..length - CHECK])
}

/// Corrects words that follow one another, each of `length` bytes; calls `each` with the number of
/// bytes that were wrong in each, none where there are too many.
pub fn decode(words: &mut [u8], length: usize, mut each: impl FnMut(Option<usize>)) {
    let mut groups = words.chunks_exact_mut(4 * length);
    for group in groups.by_ref() {
        let checks = check_four(data_of_four(group, length));
        for (word, check) in group.chunks_exact_mut(length).zip(checks) {
            each(correct(word, check));
        }
    }
    for word in groups.into_remainder().chunks_exact_mut(length) {
        each(correct(word, check(&word[..length - CHECK])));
    }
}

/// Corrects a word whose data have these check bytes.
fn correct(word: &mut [u8], check: [u8; CHECK]) -> Option<usize> {
    let data = word.len() - CHECK;
    let mut remainder = check;
    for (byte, came) in remainder.iter_mut().zip(&word[data..]) {
        *byte ^= came;
    }
    if remainder == [0; CHECK] {
        return Some(0);
    }
    let errors = errors(&syndromes(&remainder), &[], word.len())?;
    for (place, change) in errors.of(word.len()) {
        word[place] ^= change;
    }
    Some(errors.count)
}

/// What is wrong in a word, by its syndromes; none where there is too much. The places that are `erased`,
/// 32 at most, are those that the caller doubts: their number and twice that of errors elsewhere may be
/// 32 together.
///
/// Places are powers of x: the last byte of a word has the power 0.
#[must_use]
pub fn errors(syndromes: &Syndromes, erased: &[u8], length: usize) -> Option<Errors> {
    let (locator, count) = locator(syndromes, erased)?;
    let powers = roots(&locator, count, length)?;
    let evaluator = evaluator(syndromes, &locator, count);
    let mut changes = [0; CHECK];
    for (change, &power) in changes.iter_mut().zip(&powers[..count]) {
        *change = magnitude(&evaluator, &locator, count, power);
    }
    Some(Errors {
        count,
        powers,
        changes,
    })
}

/// The bytes that are wrong in a word.
#[derive(Debug)]
pub struct Errors {
    /// How many there are, those that were erased included, even if they turned out to be right.
    pub count: usize,
    powers: [u8; CHECK],
    changes: [u8; CHECK],
}

impl Errors {
    /// Their places in a word of this length, from the first byte on, and what was added to them; 0 if
    /// they were erased and right.
    pub fn of(&self, length: usize) -> impl Iterator<Item = (usize, u8)> {
        let pairs = self.powers.iter().zip(&self.changes).take(self.count);
        pairs.map(move |(&power, &change)| (length - 1 - usize::from(power), change))
    }
}

/// What the check bytes of a word say of its errors.
pub type Syndromes = [u8; CHECK];

/// The syndromes of a word.
#[must_use]
pub fn syndromes_of(word: &[u8]) -> Syndromes {
    let (data, came) = word.split_at(word.len() - CHECK);
    let mut remainder = check(data);
    let pairs = remainder.iter_mut().zip(came);
    pairs.for_each(|(byte, came)| *byte ^= came);
    syndromes(&remainder)
}

/// Makes the syndromes of a word those of the same word with something added to the byte at this power of
/// x.
pub fn add(syndromes: &mut Syndromes, power: u8, change: u8) {
    if change == 0 {
        return;
    }
    let step = usize::from(power);
    let mut at = log(change);
    for syndrome in syndromes {
        *syndrome ^= POWER[at];
        at += step;
        at -= if at >= 255 { 255 } else { 0 };
    }
}

/// The remainder at each of the powers of a that the generator is zero at.
fn syndromes(remainder: &[u8; CHECK]) -> Syndromes {
    let mut syndromes = [0; CHECK];
    for &byte in remainder {
        for (syndrome, products) in syndromes.iter_mut().zip(&BY_POWER) {
            *syndrome = products[usize::from(*syndrome)] ^ byte;
        }
    }
    syndromes
}

/// A polynomial; the coefficient of x^n is at n.
type Polynomial = [u8; CHECK + 1];

/// The polynomial that is zero at the inverses of the places of errors, those that are erased among them,
/// and their number (Berlekamp, Massey; Blahut begins with the polynomial of the erased places); none
/// where there are too many.
fn locator(syndromes: &Syndromes, erased: &[u8]) -> Option<(Polynomial, usize)> {
    let mut current: Polynomial = [0; CHECK + 1];
    current[0] = 1;
    for (degree, &power) in erased.iter().enumerate() {
        for at in (0..=degree).rev() {
            current[at + 1] ^= product(current[at], POWER[usize::from(power)]);
        }
    }
    let mut before = current;
    let (mut errors, mut shift, mut divisor) = (erased.len(), 1, 1);
    for step in erased.len()..CHECK {
        let mut discrepancy = syndromes[step];
        for at in 1..=errors {
            discrepancy ^= product(current[at], syndromes[step - at]);
        }
        if discrepancy == 0 {
            shift += 1;
            continue;
        }
        let factor = quotient(discrepancy, divisor);
        let last = current;
        for at in shift..=CHECK {
            current[at] ^= product(factor, before[at - shift]);
        }
        if 2 * errors <= step + erased.len() {
            errors = step + 1 + erased.len() - errors;
            (before, divisor, shift) = (last, discrepancy, 1);
        } else {
            shift += 1;
        }
    }
    (2 * errors <= CHECK + erased.len()).then_some((current, errors))
}

/// The places of `errors` errors in a word of this length, as powers of x (Chien's search); none
/// where the locator has other roots.
fn roots(locator: &Polynomial, errors: usize, length: usize) -> Option<[u8; CHECK]> {
    let mut roots = [0; CHECK];
    let mut found = 0;
    // The logarithms of the terms at a^-power.
    let mut terms = [0usize; CHECK];
    let mut steps = [0usize; CHECK];
    let mut count = 0;
    for (at, &coefficient) in locator.iter().enumerate().take(errors + 1).skip(1) {
        if coefficient != 0 {
            (terms[count], steps[count]) = (log(coefficient), 255 - at);
            count += 1;
        }
    }
    for power in 0..length {
        let mut sum = locator[0];
        for (term, step) in terms[..count].iter_mut().zip(&steps) {
            sum ^= POWER[*term];
            let next = *term + step;
            *term = if next >= 255 { next - 255 } else { next };
        }
        if sum == 0 {
            *roots.get_mut(found)? = u8::try_from(power).ok()?;
            found += 1;
        }
    }
    (found == errors).then_some(roots)
}

/// The product of syndromes and locator, up to x^31.
fn evaluator(syndromes: &Syndromes, locator: &Polynomial, errors: usize) -> [u8; CHECK] {
    let mut evaluator = [0; CHECK];
    for (at, &coefficient) in locator.iter().enumerate().take(errors + 1) {
        for (to, &syndrome) in evaluator.iter_mut().skip(at).zip(syndromes) {
            *to ^= product(coefficient, syndrome);
        }
    }
    evaluator
}

/// What was added to the byte at this power of x (Forney).
fn magnitude(evaluator: &[u8; CHECK], locator: &Polynomial, errors: usize, power: u8) -> u8 {
    let inverse = (255 - usize::from(power)) % 255;
    let at = |polynomial: &mut dyn Iterator<Item = (usize, u8)>| {
        polynomial.fold(0, |sum, (exponent, coefficient)| {
            sum ^ product(coefficient, POWER[inverse * exponent % 255])
        })
    };
    let value = at(&mut evaluator.iter().copied().enumerate().take(errors));
    // The derivative has the odd terms, each with a power less.
    let odd = (1..=errors).step_by(2).map(|n| (n - 1, locator[n]));
    let slope = at(&mut { odd });
    match slope {
        0 => 0, // a double root, which roots() excludes
        _ => product(POWER[usize::from(power)], quotient(value, slope)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reed_solomon::{Decoder, Encoder};

    fn noise(length: usize, numbers: &mut fastrand::Rng) -> Vec<u8> {
        (0..length).map(|_| numbers.u8(..)).collect()
    }

    /// Changes so many bytes of a word, each in another place.
    fn spoil(word: &mut [u8], wrong: usize, numbers: &mut fastrand::Rng) {
        for at in numbers.choose_multiple(0..word.len(), wrong) {
            word[at] ^= numbers.u8(1..);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Words of any length have the check bytes that another implementation gives them, and either
        /// corrects what the other made.
        #[test]
        fn another_implementation_agrees(length in CHECK + 1..=WORD, count in 1usize..10, seed in any::<u64>()) {
            let mut numbers = fastrand::Rng::with_seed(seed);
            let (ours, theirs) = (noise(length * count, &mut numbers), Encoder::new(CHECK));
            let mut words = ours.clone();
            encode(&mut words, length);
            for (word, data) in words.chunks(length).zip(ours.chunks(length)) {
                let expected = theirs.encode(&data[..length - CHECK]);
                prop_assert_eq!(word, &expected[..]);
            }
            let whole = words.clone();
            let counts: Vec<usize> = (0..count).map(|_| numbers.usize(0..=MOST.min(length))).collect();
            for (word, &wrong) in words.chunks_mut(length).zip(&counts) {
                spoil(word, wrong, &mut numbers);
                let known = Decoder::new(CHECK).correct(word, None).unwrap();
                prop_assert!(whole.chunks(length).any(|whole| whole == &known[..]));
            }
            let mut found = Vec::new();
            decode(&mut words, length, |wrong| found.push(wrong.unwrap()));
            prop_assert_eq!(found, counts);
            prop_assert!(words == whole);
        }

        /// Errors and erased places up to the limit are found, wherever they are and whether what is
        /// erased is wrong or not; beyond it, what is found gives a code word all the same.
        #[test]
        fn errors_and_erased_places(
            length in CHECK + 1..=WORD, erased in 0..=CHECK, more in 0usize..8, seed in any::<u64>(),
        ) {
            let mut numbers = fastrand::Rng::with_seed(seed);
            let mut whole = noise(length, &mut numbers);
            encode(&mut whole, length);
            let elsewhere = ((CHECK - erased) / 2).min(length - erased);
            let count = (erased + elsewhere + more).min(length);
            let places = numbers.choose_multiple(0..length, count);
            let mut word = whole.clone();
            for (number, &at) in places.iter().enumerate() {
                if number >= erased || numbers.bool() {
                    word[at] ^= numbers.u8(1..);
                }
            }
            let power = |&at: &usize| u8::try_from(length - 1 - at).unwrap();
            let powers: Vec<u8> = places[..erased].iter().map(power).collect();
            let mut syndromes = syndromes_of(&word);
            let found = errors(&syndromes, &powers, length);
            prop_assert!(found.is_some() || more > 0);
            let Some(found) = found else { return Ok(()) };
            for (at, change) in found.of(length) {
                word[at] ^= change;
                if change > 0 {
                    add(&mut syndromes, power(&at), change);
                }
            }
            prop_assert!(more > 0 || word == whole);
            prop_assert_eq!(syndromes_of(&word), [0; CHECK]);
            prop_assert_eq!(syndromes, [0; CHECK]);
        }

        /// With more wrong bytes than can be corrected, a word is refused, or becomes another code word
        /// that is as near: never a panic, and never what is no code word.
        #[test]
        fn too_many_wrong_bytes(length in CHECK + 1..=WORD, wrong in MOST + 1..60, seed in any::<u64>()) {
            let mut numbers = fastrand::Rng::with_seed(seed);
            let mut word = noise(length, &mut numbers);
            encode(&mut word, length);
            spoil(&mut word, wrong.min(length), &mut numbers);
            let came = word.clone();
            let mut found = None;
            decode(&mut word, length, |wrong| found = wrong);
            let theirs = Decoder::new(CHECK).correct(&came, None);
            match found {
                Some(wrong) => {
                    let differ = word.iter().zip(&came).filter(|(a, b)| a != b).count();
                    prop_assert!(differ == wrong && wrong <= MOST);
                    prop_assert_eq!(&check(&word[..length - CHECK])[..], &word[length - CHECK..]);
                    prop_assert_eq!(&theirs.unwrap()[..], &word[..]);
                }
                None => prop_assert!(theirs.is_err()),
            }
        }
    }
}
