//! Coefficients to samples.

use super::scan::Plane;
use crate::wire::carrier::dct::{self, COSINES, GROUP, Lanes, SIDE};
use crate::wire::frame::Size;

/// Where the coefficients in zigzag order stand in a block.
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Makes the samples of a plane, as many as the picture has pixels, in place of what `samples`
/// holds; where it has fewer, each stands for several.
pub fn render(plane: &Plane, size: Size, samples: &mut Vec<u8>) {
    let (width, height) = (size.width as usize, size.height as usize);
    let steps = plane.table.map(|step| f32::from(step) * dct::UNIT);
    let row = plane.across.next_multiple_of(GROUP) * SIDE;
    let mut lines = vec![0; row * SIDE];
    samples.clear();
    samples.reserve_exact(width * height);
    for blocks in plane.coefficients.chunks(plane.across * 64) {
        for (number, group) in blocks.as_chunks::<64>().0.chunks(GROUP).enumerate() {
            inverse(group, &steps, &mut lines[number * GROUP * SIDE..], row);
        }
        for line in lines.chunks(row) {
            for _ in 0..plane.scale.1.min((width * height - samples.len()) / width) {
                match plane.scale.0 {
                    1 => samples.extend_from_slice(&line[..width]),
                    scale => samples.extend((0..width).map(|x| line[x / scale])),
                }
            }
        }
    }
}

/// Writes the samples of a group of blocks to the eight lines of `lines`, each `row` long.
fn inverse(group: &[[i16; 64]], steps: &[f32; 64], lines: &mut [u8], row: usize) {
    let mut values = [Lanes::ZERO; 64];
    for (at, block) in group.iter().enumerate() {
        for ((&place, &coefficient), step) in ZIGZAG.iter().zip(block).zip(steps) {
            values[place].0[at] = f32::from(coefficient) * step;
        }
    }
    let as_it_is = |value| value;
    dct::inverse(&values, &COSINES, as_it_is, |start, made| {
        for (line, values) in lines.chunks_mut(row).zip(made) {
            let pixels = values.0.map(|value| dct::to_pixel(dct::within(value)));
            line[start..start + GROUP].copy_from_slice(&pixels);
        }
    });
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    /// A sample by the formula of ITU-T T.81, A.3.3.
    fn sample(block: &[i16; 64], steps: &[u16; 64], x: usize, y: usize) -> f64 {
        let scale = |at: usize| if at == 0 { FRAC_1_SQRT_2 } else { 1.0 };
        let wave = |at: usize, of: usize| ((2 * at + 1) as f64 * of as f64 * PI / 16.0).cos();
        let term = |at: usize| {
            let (u, v) = (ZIGZAG[at] % 8, ZIGZAG[at] / 8);
            let value = f64::from(block[at]) * f64::from(steps[at]);
            value * scale(u) * scale(v) * wave(x, u) * wave(y, v)
        };
        128.0 + (0..64).map(term).sum::<f64>() / 4.0
    }

    #[test]
    fn samples_as_the_formula_has_them() {
        let mut random = fastrand::Rng::with_seed(9);
        let mut steps = 3..;
        let table = std::array::from_fn(|_| steps.next().unwrap());
        let size = Size {
            width: 75,
            height: 21,
        };
        let across = 10;
        let mut block = || (1..=64).map(|at| random.i16(-200..200) / at).collect();
        let blocks: Vec<Vec<i16>> = (0..across * 3).map(|_| block()).collect();
        let coefficients = blocks.concat();
        let plane = Plane {
            across,
            scale: (1, 1),
            used: (across, 3),
            coefficients,
            table,
            sampling: (1, 1),
            nonzero: Vec::new(),
        };
        let mut samples = Vec::new();
        render(&plane, size, &mut samples);
        assert_eq!(samples.len(), 75 * 21);
        let (blocks, _) = plane.coefficients.as_chunks::<64>();
        for (at, &found) in samples.iter().enumerate() {
            let (x, y) = (at % 75, at / 75);
            let block = &blocks[y / 8 * across + x / 8];
            let expected = sample(block, &table, x % 8, y % 8).clamp(0.0, 255.0);
            assert!((f64::from(found) - expected).abs() < 0.51, "{x}, {y}");
        }
    }
}
