//! The format of storagex 1.0: "STORAGEX 1.0" in storagex(5).

use super::frame::{Size, TRAILER};
use crate::error::{Error, Kind, Result, shown};
use crate::object::{self, Object};
use serde::Deserialize;

/// What [`Kind::NotPiece`] says of a frame: its key has lost its digest.
pub const OWN_FRAME: &str = "a frame of this storagex";

/// The payload of the 1.0 piece with these pixel bytes, if they are one: a length, that many bytes,
/// and zeros to the end.
#[must_use]
pub fn parse(pixels: &[u8]) -> Option<&[u8]> {
    let (length, rest) = pixels.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (payload, padding) = rest.split_at_checked(length)?;
    (length > 0 && padding.iter().all(|&byte| byte == 0)).then_some(payload)
}

/// The size of a full frame that has room for the payload of any piece of this size: it has enough
/// extra rows for a trailer.
#[must_use]
pub fn frame_size(piece: Size) -> Size {
    let row = (piece.width as usize * 3).max(1);
    let rows = u32::try_from(TRAILER.div_ceil(row)).expect("internal error: over 32 rows");
    Size {
        width: piece.width,
        height: piece.height.saturating_add(rows),
    }
}

/// An index of 1.0, from its JSON text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Index {
    protocol_version: f64,
    /// The name of the file, not a path.
    pub filename: String,
    /// The pieces of the file, in their order.
    #[serde(deserialize_with = "object::array")]
    pub pieces: Vec<Piece>,
}

/// A piece, as an index of 1.0 lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Piece {
    /// Its URL.
    pub key: String,
    /// Bytes of the file before it.
    pub offset: u64,
    /// Bytes of the file in it.
    pub size: u64,
}

impl Index {
    /// Reads the JSON text of an index.
    ///
    /// # Errors
    ///
    /// [`Kind::Index`] if it isn't an index, or if its pieces don't follow one another.
    pub fn parse(json: &[u8]) -> Result<Index> {
        let bad = |what: String| Error::from(Kind::Index(what));
        let parsed = serde_json::from_slice(json);
        let Object(index): Object<Index> = parsed.map_err(|e| bad(shown(&e.to_string())))?;
        if !(1.0..2.0).contains(&index.protocol_version) {
            let found = serde_json::json!(index.protocol_version);
            return Err(bad(format!("protocol_version {found}, expected 1.0")));
        }
        let mut expected = 0u64;
        for (i, Piece { offset, size, .. }) in index.pieces.iter().enumerate() {
            if *offset != expected {
                let what = format!("piece {i} with offset {offset}, expected {expected}");
                return Err(bad(what));
            }
            let end = offset
                .checked_add(*size)
                .filter(|&end| i64::try_from(end).is_ok());
            let too_long = || {
                bad(format!(
                    "piece {i} with size {size}, expected a smaller one"
                ))
            };
            expected = end.ok_or_else(too_long)?;
        }
        Ok(index)
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pieces
            .last()
            .map_or(0, |piece| piece.offset + piece.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_and_what_is_none() {
        assert_eq!(parse(b"\x02\0\0\0hi\0\0\0\0\0\0"), Some(&b"hi"[..]));
        assert_eq!(parse(b"\x08\0\0\0aaaaaaaa"), Some(&b"aaaaaaaa"[..]));
        assert_eq!(parse(b"\x09\0\0\0aaaaaaaa"), None);
        assert_eq!(parse(b"\x02\0\0\0hi\0\0\0\0\0\x01"), None);
        assert_eq!(parse(&[0; 12]), None);
        assert_eq!(parse(b"\x02"), None);
    }

    #[test]
    fn a_frame_has_room_for_the_payload_of_its_piece() {
        for (width, height) in [(1, 2), (3, 1), (10, 7), (11, 16), (1024, 768)] {
            let piece = Size { width, height };
            assert!(
                frame_size(piece).capacity() >= piece.pixel_bytes() - 4,
                "{piece}"
            );
        }
    }

    #[test]
    fn an_index_and_what_is_none() {
        let index = |version: &str, pieces: &str| {
            Index::parse(
                format!(
                    r#"{{"protocol_version": {version}, "filename": "\u00e9", "piece_width": 9,
                    "piece_height": 9, "pieces": [{pieces}]}}"#
                )
                .as_bytes(),
            )
        };
        let piece = |offset: u64, size: u64| {
            format!(
                r#"{{"seq": 0, "key": "http://h/x", "offset": {offset}, "size": {size}, "checksum": ""}}"#
            )
        };
        let two = index("1.0", &[piece(0, 5), piece(5, 1)].join(",")).unwrap();
        assert_eq!((two.size(), two.filename.as_str()), (6, "\u{e9}"));
        assert_eq!(index("1.0", "").unwrap().size(), 0);
        for (version, pieces) in [
            ("2.0", String::new()),
            ("\"1\"", String::new()),
            ("1.0", piece(1, 5)),
            ("1.0", [piece(0, 5), piece(4, 1)].join(",")),
            ("1.0", [piece(0, u64::MAX), piece(u64::MAX, 1)].join(",")),
            ("1.0", "5".into()),
            ("1.0", r#"["http://h/x", 0, 5]"#.into()),
        ] {
            let error = index(version, &pieces).unwrap_err();
            assert!(matches!(error.kind(), Kind::Index(_)), "{error}");
        }
        assert!(Index::parse(b"").is_err());
        assert!(Index::parse(br#"[1.0, "", []]"#).is_err());
    }
}
