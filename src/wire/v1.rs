//! What storagex 1.0 wrote: "STORAGEX 1.0" in storagex(5).

/// The payload of a 1.0 piece with these pixel bytes, if they are one: a length, so many bytes,
/// and zeros to the end.
#[must_use]
pub fn parse(pixels: &[u8]) -> Option<&[u8]> {
    let (length, rest) = pixels.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (payload, padding) = rest.split_at_checked(length)?;
    (length > 0 && padding.iter().all(|&byte| byte == 0)).then_some(payload)
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
}
