//! Sealed frames: "SEALED FRAMES" in storagex(5). Bytes in, bytes out; where a secret is kept is not
//! known here.

use super::frame::{CHAIN, HEAD, NONCE, SEAL, TAG, Trailer};
use crate::error::{Error, Kind, Result};
use aes_gcm_siv::{AeadInOut, Aes256GcmSiv, KeyInit};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a line of a secret starts with, before the `1` of Bech32.
const PREFIX: &str = "sx-secret-";

/// What opens sealed frames. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The secret of these bytes, which must come from a source of randomness for keys.
    #[must_use]
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Secret(bytes)
    }

    /// Parses a line `SX-SECRET-1...`.
    ///
    /// # Errors
    ///
    /// [`Kind::Secret`], which says nothing of what is in the line.
    pub fn parse(line: &str) -> Result<Self> {
        let bad = |what: &str| Error::from(Kind::Secret(what.into()));
        let start = line.get(..PREFIX.len() + 1).unwrap_or_default();
        if !start.eq_ignore_ascii_case("sx-secret-1") {
            return Err(bad("no secret, expected a line SX-SECRET-1..."));
        }
        let parsed = CheckedHrpstring::new::<Bech32>(line)
            .map_err(|_| bad("a secret with a typing error, expected its checksum to hold"))?;
        let mut bytes = Zeroizing::new([0; 32]);
        let mut count = 0;
        for byte in parsed.byte_iter() {
            if let Some(place) = bytes.get_mut(count) {
                *place = byte;
            }
            count += 1;
        }
        match count {
            32 => Ok(Secret(bytes)),
            _ => Err(bad("a secret of another length, expected 32 bytes")),
        }
    }

    /// The line `SX-SECRET-1...`, without a line end.
    #[must_use]
    pub fn line(&self) -> Zeroizing<String> {
        let prefix = Hrp::parse_unchecked(PREFIX);
        let line = bech32::encode_upper::<Bech32>(prefix, &self.0[..]);
        Zeroizing::new(line.expect("internal error: a secret too long"))
    }

    /// What content-defined chunks are cut with.
    #[must_use]
    pub fn boundaries(&self) -> u64 {
        let key = self.derive("storagex 2 seal boundaries");
        u64::from_le_bytes(key[..8].try_into().expect("internal error: eight bytes"))
    }

    fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(context, &self.0[..]))
    }
}

/// Shows that there is one, and nothing of it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The keys that are derived of a secret.
#[derive(Clone)]
pub struct Seal(Arc<Keys>);

struct Keys {
    cipher: Aes256GcmSiv,
    nonce: Zeroizing<[u8; 32]>,
    check: Zeroizing<[u8; 32]>,
    chain: Zeroizing<[u8; 32]>,
}

/// Identifies the seal of a frame: its nonce and its tag.
pub type Mark = [u8; SEAL];

impl Seal {
    /// The seal that this secret makes and opens.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let key = secret.derive("storagex 2 seal");
        Seal(Arc::new(Keys {
            cipher: Aes256GcmSiv::new((&*key).into()),
            nonce: secret.derive("storagex 2 seal nonce"),
            check: secret.derive("storagex 2 seal check"),
            chain: secret.derive("storagex 2 seal chain"),
        }))
    }

    /// Seals what stands between [`NONCE`] and [`TAG`] bytes of room in `payload`; its trailer, which
    /// says that it is sealed, gets the check of the secret.
    pub fn close(&self, trailer: &mut Trailer, payload: &mut [u8]) -> Mark {
        let head = trailer.head();
        let (start, rest) = payload.split_at_mut(NONCE);
        let (plain, end) = rest.split_at_mut(rest.len() - TAG);
        let nonce = self.nonce(&head, plain);
        let sealed = self
            .0
            .cipher
            .encrypt_inout_detached((&nonce).into(), &head, plain.into());
        let tag = sealed.expect("internal error: a payload over 64 GiB");
        start.copy_from_slice(&nonce);
        end.copy_from_slice(&tag);
        trailer.sealed = Some(self.check(&nonce));
        mark(&nonce, &tag)
    }

    /// Opens a sealed payload in place: what is in it stands between [`NONCE`] and [`TAG`] bytes then.
    ///
    /// # Errors
    ///
    /// [`Kind::OtherSecret`]; [`Kind::Forged`] where it isn't what was sealed.
    pub fn open(&self, trailer: &Trailer, payload: &mut [u8]) -> Result<Mark> {
        let (nonce, rest) = payload.split_at_mut(NONCE);
        let (sealed, tag) = rest.split_at_mut(rest.len() - TAG);
        let nonce: [u8; NONCE] = (&*nonce).try_into().expect("internal error: a nonce");
        let tag: [u8; TAG] = (&*tag).try_into().expect("internal error: a tag");
        if trailer.sealed != Some(self.check(&nonce)) {
            return Err(Kind::OtherSecret.into());
        }
        self.0
            .cipher
            .decrypt_inout_detached(
                (&nonce).into(),
                &trailer.head(),
                sealed.into(),
                (&tag).into(),
            )
            .map_err(|_| Kind::Forged)?;
        Ok(mark(&nonce, &tag))
    }

    /// Where the marks of a stream's frames are put together.
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain(Box::new(keyed(&self.0.chain)))
    }

    fn nonce(&self, head: &[u8; HEAD], plain: &[u8]) -> [u8; NONCE] {
        let mut hasher = keyed(&self.0.nonce);
        hasher.update(head);
        hasher.update(plain);
        let hash = hasher.finalize();
        hash.as_bytes()[..NONCE]
            .try_into()
            .expect("internal error: a nonce")
    }

    fn check(&self, nonce: &[u8; NONCE]) -> u32 {
        let mut hasher = keyed(&self.0.check);
        hasher.update(nonce);
        let hash = hasher.finalize();
        u32::from_le_bytes(
            hash.as_bytes()[..4]
                .try_into()
                .expect("internal error: four bytes"),
        )
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// A hasher that wipes the key, which it holds, at its end.
fn keyed(key: &[u8; 32]) -> Zeroizing<blake3::Hasher> {
    Zeroizing::new(blake3::Hasher::new_keyed(key))
}

fn mark(nonce: &[u8], tag: &[u8]) -> Mark {
    let mut mark = [0; SEAL];
    mark[..NONCE].copy_from_slice(nonce);
    mark[NONCE..].copy_from_slice(tag);
    mark
}

/// Which frames a stream has, and in which order: what its last frame says under its seal.
pub struct Chain(Box<Zeroizing<blake3::Hasher>>);

impl Chain {
    /// Appends a frame, which isn't the last.
    pub fn append(&mut self, mark: &Mark) {
        self.0.update(mark);
    }

    /// What the last frame says, if the frames before it are those that were appended.
    #[must_use]
    pub fn value(&self) -> [u8; CHAIN] {
        *self.0.finalize().as_bytes()
    }

    /// Checks what the last frame says, and starts anew.
    ///
    /// # Errors
    ///
    /// [`Kind::Chain`].
    pub fn check(&mut self, found: &[u8; CHAIN]) -> Result<()> {
        let expected = self.0.finalize();
        self.0.reset();
        match expected == *found {
            true => Ok(()),
            false => Err(Kind::Chain.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Codec, FrameKind, Place};

    fn secret(byte: u8) -> Secret {
        Secret::new(Zeroizing::new([byte; 32]))
    }

    fn trailer(raw_length: u32) -> Trailer {
        Trailer {
            kind: FrameKind::Data,
            codec: Codec::Stored,
            place: Place::At(7),
            raw_length,
            sealed: Some(0),
        }
    }

    fn closed(seal: &Seal, plain: &[u8]) -> (Trailer, Vec<u8>) {
        let mut trailer = trailer(plain.len().try_into().unwrap());
        let mut payload = [&[0; NONCE], plain, &[0; TAG]].concat();
        seal.close(&mut trailer, &mut payload);
        (trailer, payload)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn vectors_of_the_rfc() {
        let lines = include_str!("rfc8452.txt").lines();
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 24 + 2);
        for line in lines {
            let words: Vec<Vec<u8>> = line
                .split(' ')
                .map(|word| bytes(word.trim_matches('-')))
                .collect();
            let [key, nonce, data, plain, result] = &words[..] else {
                panic!("{line}: not five words");
            };
            let cipher = Aes256GcmSiv::new(key.as_slice().try_into().unwrap());
            let nonce = nonce.as_slice().try_into().unwrap();
            let mut text = plain.clone();
            let tag = cipher
                .encrypt_inout_detached(nonce, data, (&mut text[..]).into())
                .unwrap();
            assert_eq!([&text[..], &tag[..]].concat(), *result, "{line}");
            cipher
                .decrypt_inout_detached(nonce, data, (&mut text[..]).into(), &tag)
                .unwrap();
            assert_eq!(text, *plain, "{line}");
            let mut wrong = tag;
            wrong[15] ^= 1;
            let refused =
                cipher.decrypt_inout_detached(nonce, data, (&mut text[..]).into(), &wrong);
            assert!(refused.is_err(), "{line}");
        }
    }

    /// The example in storagex(5), step by step; `tests/vectors/sealed_frame` is the whole of it.
    #[test]
    fn the_example_of_the_page() {
        let mut known = Zeroizing::new([0; 32]);
        known.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let secret = Secret::new(known);
        let seal = Seal::new(&secret);
        let page = include_str!("../../man/storagex.5");
        let hex = |bytes: &[u8]| {
            use std::fmt::Write;
            bytes.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        };
        assert!(page.contains(&*secret.line()));
        for purpose in ["", " nonce", " check", " chain", " boundaries"] {
            let key = secret.derive(&format!("storagex 2 seal{purpose}"));
            assert!(page.contains(&hex(&key[..])), "{purpose}");
        }
        let chain = seal.chain().value();
        let mut trailer = Trailer {
            place: Place::Last {
                offset: 0,
                stream_crc: 0,
                positioned: true,
            },
            ..trailer(13)
        };
        let mut payload = [&[0; NONCE], &b"hello, world\n"[..], &chain, &[0; TAG]].concat();
        let mark = seal.close(&mut trailer, &mut payload);
        for part in [
            &chain[..16],
            &chain[16..],
            &mark[..NONCE],
            &mark[NONCE..],
            &payload[12..28],
        ] {
            assert!(page.contains(&hex(part)));
        }
        assert_eq!(trailer.sealed, Some(0x2d51_5f94));
    }

    #[test]
    fn a_line_and_back() {
        let line = secret(7).line();
        assert!(line.starts_with("SX-SECRET-1"));
        assert_eq!(Secret::parse(&line).unwrap().0, secret(7).0);
        assert_eq!(
            Secret::parse(&line.to_ascii_lowercase()).unwrap().0,
            secret(7).0
        );
        for at in 0..line.len() {
            let mut wrong = line.as_bytes().to_vec();
            wrong[at] = if wrong[at] == b'Q' { b'P' } else { b'Q' };
            let wrong = String::from_utf8(wrong).unwrap();
            let error = Secret::parse(&wrong).unwrap_err().to_string();
            assert!(!error.contains(&wrong[20..]), "{error}");
        }
        let mixed = line.replacen('Q', "q", 1);
        assert!(Secret::parse(&mixed).is_err());
        for wrong in ["", "SX-SECRET-1", "AGE-SECRET-KEY-1QQQ", &line[1..]] {
            assert!(Secret::parse(wrong).is_err());
        }
        assert_eq!(format!("{:?}", secret(7)), "Secret");
    }

    #[test]
    fn bech32m_and_other_lengths_are_refused() {
        let prefix = Hrp::parse_unchecked(PREFIX);
        let long = bech32::encode_upper::<Bech32>(prefix, &[7; 33]).unwrap();
        let short = bech32::encode_upper::<Bech32>(prefix, &[7; 31]).unwrap();
        let other = bech32::encode_upper::<bech32::Bech32m>(prefix, &[7; 32]).unwrap();
        for wrong in [long, short, other] {
            assert!(Secret::parse(&wrong).is_err());
        }
    }

    #[test]
    fn opens_what_it_closed_and_nothing_else() {
        let seal = Seal::new(&secret(1));
        for plain in [&b""[..], b"x", &[9; 1000]] {
            let (trailer, payload) = closed(&seal, plain);
            let mut opened = payload.clone();
            seal.open(&trailer, &mut opened).unwrap();
            assert_eq!(&opened[NONCE..opened.len() - TAG], plain);
            let other = Seal::new(&secret(2)).open(&trailer, &mut payload.clone());
            assert_eq!(other.unwrap_err().kind(), &Kind::OtherSecret);
            for bit in 0..payload.len() * 8 {
                let mut wrong = payload.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                let error = seal.open(&trailer, &mut wrong).unwrap_err();
                let expected =
                    [Kind::OtherSecret, Kind::Forged][usize::from(bit >= NONCE * 8)].clone();
                assert_eq!(error.kind(), &expected, "bit {bit}");
            }
            for wrong in [
                Trailer {
                    place: Place::At(8),
                    ..trailer
                },
                Trailer {
                    place: Place::Anywhere,
                    ..trailer
                },
                Trailer {
                    codec: Codec::Zstd,
                    ..trailer
                },
                Trailer {
                    raw_length: trailer.raw_length + 1,
                    ..trailer
                },
            ] {
                let error = seal.open(&wrong, &mut payload.clone()).unwrap_err();
                assert_eq!(error.kind(), &Kind::Forged);
            }
        }
    }

    #[test]
    fn equal_chunks_are_equal_under_one_secret_only() {
        let (one, two) = (Seal::new(&secret(1)), Seal::new(&secret(2)));
        assert_eq!(closed(&one, b"chunk"), closed(&one, b"chunk"));
        assert_ne!(closed(&one, b"chunk").1, closed(&two, b"chunk").1);
        assert_ne!(
            closed(&one, b"chunk").1[..NONCE],
            closed(&one, b"Chunk").1[..NONCE]
        );
    }

    #[test]
    fn the_chain_knows_frames_and_order() {
        let seal = Seal::new(&secret(1));
        let of = |marks: &[Mark]| {
            let mut chain = seal.chain();
            for mark in marks {
                chain.append(mark);
            }
            chain.value()
        };
        let (a, b) = ([1; SEAL], [2; SEAL]);
        let values = [of(&[]), of(&[a]), of(&[a, b]), of(&[b, a]), of(&[a, a])];
        for (i, value) in values.iter().enumerate() {
            assert!(!values[..i].contains(value));
        }
        let mut chain = seal.chain();
        chain.append(&a);
        chain.append(&b);
        chain.check(&values[2]).unwrap();
        chain.append(&b);
        assert_eq!(chain.check(&values[1]).unwrap_err().kind(), &Kind::Chain);
        chain.check(&values[0]).unwrap();
    }
}
