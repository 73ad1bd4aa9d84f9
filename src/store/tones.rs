//! What happened to the tones and the colours of a picture whose size is the same: by tiles, of which
//! any lossy encoder keeps the mean, whatever it does to detail and to the resolution of colours.

/// Samples of a side of a tile: a block of JPEG, with colours at half resolution.
const TILE: usize = 16;
/// So many tiles say whether detail is left, and whether all is brighter or darker.
const LEAST: usize = 16;
/// So many say whether colours are mixed.
const MANY: usize = 150;

/// Red, green and blue.
type Colour = [f64; 3];

/// What happened, in words; `is_coarse` says that the encoder alone may have taken the detail.
pub(super) fn describe(sent: &[u8], came: &[u8], width: usize, is_coarse: bool) -> Vec<String> {
    let tiles = match width {
        0 => Vec::new(),
        _ => tiles(sent, came, width),
    };
    let mut found = Vec::new();
    if tiles.len() < LEAST {
        return found;
    }
    let (fine, coarse) = (fine_gain(&tiles), coarse_gain(&tiles));
    let is_soft = fine < 0.75 * coarse && !is_coarse;
    if is_soft {
        found.push("blurred".to_owned());
    }
    if tiles.len() >= MANY && is_mixed(&tiles) {
        found.push("given another colour space".to_owned());
        return found; // which changes tones, too
    }
    let shift = mean(tiles.iter().map(|tile| luma(&tile.came) - luma(&tile.sent)));
    if shift.abs() > 3.0 {
        let how = if shift > 0.0 { "brighter" } else { "darker" };
        found.push(format!("made {how}"));
    }
    found
}

/// The same part of both pictures.
struct Tile {
    /// The mean of what was sent.
    sent: Colour,
    /// The mean of what came.
    came: Colour,
    /// The mean square of luma as it was sent, around its mean, and the mean product of both.
    detail: (f64, f64),
}

fn tiles(sent: &[u8], came: &[u8], width: usize) -> Vec<Tile> {
    let row = width * 3;
    let strips = sent
        .chunks_exact(row * TILE)
        .zip(came.chunks_exact(row * TILE));
    let tiles = strips.flat_map(|(sent, came)| {
        let lefts = (0..width / TILE).map(|tile| tile * TILE * 3);
        lefts.map(move |left| {
            let part = move |of: &[u8]| -> Vec<Colour> {
                let rows = of.chunks_exact(row);
                let rows = rows.flat_map(|row| row[left..][..TILE * 3].as_chunks::<3>().0);
                rows.map(|pixel| pixel.map(f64::from)).collect()
            };
            Tile::of(&part(sent), &part(came))
        })
    });
    tiles.collect()
}

impl Tile {
    fn of(sent: &[Colour], came: &[Colour]) -> Tile {
        let means = |of: &[Colour]| [0, 1, 2].map(|c| mean(of.iter().map(|pixel| pixel[c])));
        let tile = Tile {
            sent: means(sent),
            came: means(came),
            detail: (0.0, 0.0),
        };
        let (ours, theirs) = (luma(&tile.sent), luma(&tile.came));
        let off = |pixel: &Colour| luma(pixel) - ours;
        let products = sent
            .iter()
            .zip(came)
            .map(|(a, b)| off(a) * (luma(b) - theirs));
        Tile {
            detail: (
                mean(sent.iter().map(|pixel| off(pixel).powi(2))),
                mean(products),
            ),
            ..tile
        }
    }
}

fn luma([r, g, b]: &Colour) -> f64 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    sum / f64::from(count.max(1))
}

/// How much is left of what differs within tiles.
fn fine_gain(tiles: &[Tile]) -> f64 {
    let squares = mean(tiles.iter().map(|tile| tile.detail.0));
    mean(tiles.iter().map(|tile| tile.detail.1)) / squares.max(f64::MIN_POSITIVE)
}

/// How much is left of what differs between tiles.
fn coarse_gain(tiles: &[Tile]) -> f64 {
    let ours = mean(tiles.iter().map(|tile| luma(&tile.sent)));
    let theirs = mean(tiles.iter().map(|tile| luma(&tile.came)));
    let off = |tile: &Tile| luma(&tile.sent) - ours;
    let squares = mean(tiles.iter().map(|tile| off(tile).powi(2)));
    let products = mean(
        tiles
            .iter()
            .map(|tile| off(tile) * (luma(&tile.came) - theirs)),
    );
    products / squares.max(f64::MIN_POSITIVE)
}

/// Whether the colours of what came are other mixtures of those that were sent: by least squares.
///
/// What an encoder does to noise makes colours weaker: then each of them has a share of each other, and
/// what red has of green, blue has of it, too. Another colour space makes these two shares differ.
fn is_mixed(tiles: &[Tile]) -> bool {
    /// BT.601 taken for BT.709 makes it 0.11.
    const LEAST_DIFFERENCE: f64 = 0.07;
    /// In standard errors.
    const CERTAIN: f64 = 4.5;
    let centre = |of: fn(&Tile) -> &Colour| [0, 1, 2].map(|c| mean(tiles.iter().map(|t| of(t)[c])));
    let (ours, theirs) = (centre(|tile| &tile.sent), centre(|tile| &tile.came));
    let off = |tile: &Tile, c: usize| tile.sent[c] - ours[c];
    let product = |a: usize, b: usize| mean(tiles.iter().map(|t| off(t, a) * off(t, b)));
    let squares = [0, 1, 2].map(|a| [0, 1, 2].map(|b| product(a, b)));
    let Some(inverse) = inverse(&squares) else {
        return false; // a gray picture
    };
    let count: f64 = tiles.iter().map(|_| 1.0).sum();
    // What each colour has of the three, and the mean square of what that leaves.
    let fits = [0, 1, 2].map(|to| {
        let product = |t: &Tile, from: usize| off(t, from) * (t.came[to] - theirs[to]);
        let sums = [0, 1, 2].map(|from| mean(tiles.iter().map(|t| product(t, from))));
        let shares = inverse.map(|row| (0..3).map(|at| row[at] * sums[at]).sum::<f64>());
        let left = mean(tiles.iter().map(|tile| {
            let expected: f64 = (0..3).map(|from| shares[from] * off(tile, from)).sum();
            (tile.came[to] - theirs[to] - expected).powi(2)
        }));
        (shares, left)
    });
    (0..3).any(|from| {
        let [(one, left), (other, rest)] = [1, 2].map(|turn| fits[(from + turn) % 3]);
        let error = ((left + rest) * inverse[from][from] / count).sqrt();
        let difference = (one[from] - other[from]).abs();
        difference > LEAST_DIFFERENCE && difference > CERTAIN * error
    })
}

/// The inverse of a symmetric matrix; none of one that has none, or nearly so.
fn inverse(m: &[Colour; 3]) -> Option<[Colour; 3]> {
    let minor = |row: usize, column: usize| {
        let below = |down: usize, right: usize| m[(row + down) % 3][(column + right) % 3];
        below(1, 1) * below(2, 2) - below(1, 2) * below(2, 1)
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * minor(0, column)).sum();
    let scale = m[0][0] * m[1][1] * m[2][2];
    let is_sound = determinant > scale * 1e-3 && scale > 0.0;
    is_sound.then(|| [0, 1, 2].map(|row| [0, 1, 2].map(|column| minor(column, row) / determinant)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::carrier::gray;
    use jpeg_encoder::SamplingFactor;

    const WIDTH: usize = 512;
    const HEIGHT: usize = 384;

    fn noise() -> Vec<u8> {
        let mut numbers = fastrand::Rng::with_seed(7);
        (0..WIDTH * HEIGHT * 3).map(|_| numbers.u8(..)).collect()
    }

    /// As libjpeg does it, but for colours at half resolution, which are those of one pixel of four and
    /// not of their mean.
    fn jpeg(pixels: &[u8], quality: u8) -> Vec<u8> {
        jpeg_with(SamplingFactor::R_4_2_0, pixels, quality)
    }

    fn jpeg_with(sampling: SamplingFactor, pixels: &[u8], quality: u8) -> Vec<u8> {
        let (mut jpeg, mut back) = (Vec::new(), Vec::new());
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, quality);
        encoder.set_sampling_factor(sampling);
        encoder
            .encode(pixels, 512, 384, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        gray::colours(&jpeg, &mut back).unwrap();
        back
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn changed(pixels: &[u8], change: impl Fn(Colour) -> Colour) -> Vec<u8> {
        let pixels = pixels.as_chunks::<3>().0.iter();
        let changed = pixels.flat_map(|pixel| change(pixel.map(f64::from)));
        changed.map(|value| value.round() as u8).collect()
    }

    /// What is said of a picture that was changed so, as a PNG and as a JPEG.
    fn said(change: impl Fn(Colour) -> Colour) -> Vec<String> {
        let came = changed(&noise(), change);
        let said = describe(&noise(), &came, WIDTH, false);
        let jpeg = jpeg_with(SamplingFactor::R_4_4_4, &came, 75);
        assert_eq!(describe(&noise(), &jpeg, WIDTH, false), said, "JPEG");
        said
    }

    #[test]
    fn what_any_encoder_does_is_not_told() {
        assert!(describe(&noise(), &noise(), WIDTH, false).is_empty());
        for quality in [30, 50, 75, 95] {
            let came = jpeg(&noise(), quality);
            let said = describe(&noise(), &came, WIDTH, false);
            assert!(said.is_empty(), "{quality}: {said:?}");
            let twice = describe(&noise(), &jpeg(&came, quality - 5), WIDTH, false);
            assert!(twice.is_empty(), "{quality} twice: {twice:?}");
        }
        let gray = changed(&noise(), |pixel| [luma(&pixel); 3]);
        assert!(describe(&gray, &jpeg(&gray, 60), WIDTH, false).is_empty());
    }

    #[test]
    fn another_colour_space() {
        let expected = ["given another colour space"];
        // Encoded by BT.601, decoded by BT.709.
        let space = |pixel: Colour| {
            let y = luma(&pixel);
            let (blue, red) = ((pixel[2] - y) / 1.772, (pixel[0] - y) / 1.402);
            [
                y + 1.5748 * red,
                y - 0.1873 * blue - 0.4681 * red,
                y + 1.8556 * blue,
            ]
        };
        assert_eq!(said(space), expected);
        assert_eq!(said(|[r, g, b]| [g, r, b]), expected);
    }

    #[test]
    fn tones() {
        let curve = |v: f64| 255.0 * (v / 255.0).powf(1.3);
        assert_eq!(said(|pixel| pixel.map(curve)), ["made darker"]);
        let lighter = |v: f64| 255.0 * (v / 255.0).powf(0.9);
        assert_eq!(said(|pixel| pixel.map(lighter)), ["made brighter"]);
    }

    #[test]
    fn blurred() {
        let sent = noise();
        let at = |x: usize, y: usize, c: usize| {
            u32::from(sent[(y.min(HEIGHT - 1) * WIDTH + x.min(WIDTH - 1)) * 3 + c])
        };
        let mean = |x: usize, y: usize, c: usize| {
            let (left, above) = (x.saturating_sub(1), y.saturating_sub(1));
            let around = at(left, y, c) + at(x + 1, y, c) + at(x, above, c) + at(x, y + 1, c);
            u8::try_from((at(x, y, c) * 4 + around) / 8).unwrap()
        };
        let places = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
        let soft: Vec<u8> = places
            .flat_map(|(x, y)| [0, 1, 2].map(|c| mean(x, y, c)))
            .collect();
        assert_eq!(describe(&sent, &soft, WIDTH, false), ["blurred"]);
        assert_eq!(describe(&sent, &jpeg(&soft, 75), WIDTH, false), ["blurred"]);
        assert!(describe(&sent, &soft, WIDTH, true).is_empty());
    }

    #[test]
    fn too_small_to_tell() {
        let few = vec![0; 48 * 48 * 3];
        assert!(describe(&few, &vec![99; few.len()], 48, false).is_empty());
        assert!(describe(&[], &[], 0, false).is_empty());
    }
}
