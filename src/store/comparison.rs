//! Compares the picture that a store returns with the one that it was sent.

use super::{Store, difference};
use crate::error::{Error, Kind, Result};
use crate::key::{Digest, Location};
use crate::wire::carrier::sturdy::Corrections;
use crate::wire::carrier::{self, container, gray};
use crate::wire::{Carrier, DEFAULT_LIMIT};

/// How the returned picture compares with the one sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes.
    SameBytes,
    /// It is another picture of the same pixels, which is as good.
    SamePixels,
    /// It is a sturdy picture with other pixels, and its frame bytes are the same once they are
    /// corrected.
    Corrected {
        /// How it is encoded now, such as `JPEG of quality 75`.
        encoding: String,
        /// What was corrected.
        corrections: Corrections,
    },
    /// It is something else.
    Changed {
        /// What it was and what it has become.
        what: String,
        /// Whether it has the size that it had, so that what was lost is in its pixels.
        same_size: bool,
    },
}

impl Comparison {
    /// Whether the frame comes back.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !matches!(self, Comparison::Changed { .. })
    }
}

/// Gets the picture at `location` and compares it with the PNG that was sent, whose frame bytes (or
/// pixel bytes, if it is no frame) have this digest.
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
    let limit = container::size(sent).pixel_bytes().max(DEFAULT_LIMIT);
    let mut came = Vec::new();
    let mut comparison = None;
    let got = store.get(location, &mut |from| {
        container::single(from, limit, &mut came)?;
        comparison = Some(look(&came, digest, sent, limit)?);
        Ok(())
    });
    match got {
        Ok(()) => Ok(comparison.expect("internal error: a store that gave nothing")),
        Err(e) => changed(sent, e),
    }
}

fn look(came: &[u8], digest: &Digest, sent: &[u8], limit: usize) -> Result<Comparison> {
    if came == sent {
        return Ok(Comparison::SameBytes);
    }
    let mut bytes = Vec::new();
    let frame = match carrier::read_any(came, limit, &mut bytes) {
        Err(e) if is_harm(e.kind()) => None,
        read => Some(read?),
    };
    if let Some(frame) = frame
        && Digest::of(&bytes) == *digest
    {
        return Ok(match frame {
            Some(frame) if frame.carrier != Carrier::Plain => Comparison::Corrected {
                encoding: gray::encoding(came),
                corrections: frame.corrections,
            },
            _ => Comparison::SamePixels,
        });
    }
    let was = format!("{} PNG", container::size(sent));
    let what = difference::describe(sent, came)?;
    Ok(Comparison::Changed {
        what: format!("was {was}, came back {what}"),
        same_size: container::size(came) == container::size(sent),
    })
}

/// Whether this is what comes of pixels that were changed.
fn is_harm(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Uncorrectable { .. } | Kind::Checksum { .. } | Kind::Field { .. }
    )
}

fn changed(sent: &[u8], error: Error) -> Result<Comparison> {
    let was = format!("{} PNG", container::size(sent));
    let what = match error.kind() {
        Kind::NotPicture("an HTML or XML page") => {
            let what =
                "its URL is that of a page that shows the picture, expected that of the picture";
            return Err(Kind::Host(what.into()).into());
        }
        Kind::NotPicture(found) => format!("was {was}, came back {found}"),
        Kind::Unsupported(found) => format!("was {was}, came back {found}"),
        Kind::Uncorrectable { .. } => format!("was {was}, came back changed: {error}"),
        _ => return Err(error),
    };
    Ok(Comparison::Changed {
        what,
        same_size: matches!(error.kind(), Kind::Uncorrectable { .. }),
    })
}
