//! What a store gives back of a picture that it was given.

use super::Store;
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location};
use crate::wire::{DEFAULT_LIMIT, pictures, pixels, webp};

/// How what came back compares with what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// It is the same to the byte.
    SameBytes,
    /// It is another PNG, or a lossless WebP, of the same pixels, which is as good.
    SamePixels,
    /// It is something else: what it was and what it has become.
    Changed(String),
}

/// Gets the picture at `location` and compares it with the PNG that was sent, whose pixels have this
/// digest.
///
/// # Errors
///
/// As [`Store::get`].
pub fn compare(
    store: &dyn Store,
    location: &Location,
    digest: &Digest,
    sent: &[u8],
) -> Result<Comparison> {
    let (mut png, mut bytes) = (Vec::new(), Vec::new());
    let limit = pictures::size(sent).pixel_bytes().max(DEFAULT_LIMIT);
    let mut is_webp = false;
    let came = store.get(location, &mut |from| {
        is_webp = webp::single(from, limit, &mut png)?;
        pixels::parse(&png, &mut bytes).map(drop)
    });
    let was = format!("{} PNG", pictures::size(sent));
    match came {
        Ok(()) if png == sent && !is_webp => Ok(Comparison::SameBytes),
        Ok(()) if Digest::of(&bytes) == *digest => Ok(Comparison::SamePixels),
        Ok(()) => {
            let size = pictures::size(&png);
            let what = format!("was {was}, came back {size} with other pixels");
            Ok(Comparison::Changed(what))
        }
        Err(e) => changed(&was, e),
    }
}

fn changed(was: &str, error: Error) -> Result<Comparison> {
    Ok(Comparison::Changed(match error.kind() {
        Kind::NotPng("an HTML or XML page") => {
            "its URL is of a page that shows the picture, expected the picture".to_owned()
        }
        Kind::NotPng(found) => format!("was {was}, came back {found}"),
        _ => return Err(error),
    }))
}
