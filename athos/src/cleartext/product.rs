//! Blocked, multi-threaded products of a weight matrix and a patch matrix over a domain.
//!
//! **Method.** The product is computed on doubles, whose fused multiplication and addition is the
//! fastest exact integer arithmetic that processors have: a sum of k products of integers below 2^a
//! and 2^b in magnitude is exact, in any order, as long as k·2^(a+b) <= 2^53. Where weights and inputs
//! together are wider, they are cut into digits (base 2^a and 2^b, the last digit signed), every pair
//! of digits is multiplied on its own, and the exact partial sums are put together in the domain:
//! W·x = Σ_ij 2^(a·i + b·j) W_i·x_j. Over Z_2^l a partial sum that weighs 2^64 or more is not
//! computed. At l = 37 and s = 12 one pair is the rule for a cleartext run, two for a share.
//!
//! How many digits there are follows from the declared bounds of the weights, the number of terms and
//! the range of the inputs or, for shares, of the domain, never from single weights.

use crate::gemm::{self, Left, Scratch};
use crate::{Error, Result};
use rayon::prelude::*;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_core::{AnyDomain, Domain};
use zeroize::Zeroizing;

/// Where exact partial sums are put together.
pub(super) trait Sums: Copy + Send + Sync {
    /// A sum in the making.
    type Word: Copy + Default + Send + Sync;
    /// A finished one.
    type Element: Copy + Default + Send + Sync;

    /// What a partial sum is multiplied by.
    type Weight: Copy + Send + Sync;

    /// 2^shift, or nothing if that is zero here.
    fn weight(self, shift: u32) -> Option<Self::Weight>;

    /// word + partial·weight.
    fn add(self, word: Self::Word, partial: i64, weight: Self::Weight) -> Self::Word;

    /// word + w·x, for single products.
    fn add_product(self, word: Self::Word, w: i64, x: i64) -> Self::Word;

    /// The sum plus a bias.
    fn finish(self, word: Self::Word, bias: Self::Element) -> Result<Self::Element>;
}

/// Sums in a domain, on representatives.
#[derive(Clone, Copy)]
struct InRing<D: Domain>(D);

impl<D: Domain> Sums for InRing<D> {
    type Word = u64;
    type Element = u64;
    type Weight = u32;

    fn weight(self, shift: u32) -> Option<u32> {
        (shift < self.0.bits()).then_some(shift)
    }

    #[inline(always)]
    fn add(self, word: u64, partial: i64, shift: u32) -> u64 {
        word.wrapping_add((partial as u64) << shift)
    }

    #[inline(always)]
    fn add_product(self, word: u64, w: i64, x: i64) -> u64 {
        word.wrapping_add((w as u64).wrapping_mul(x as u64))
    }

    #[inline(always)]
    fn finish(self, word: u64, bias: u64) -> Result<u64> {
        Ok(self.0.reduce(word.wrapping_add(bias)))
    }
}

/// Sums modulo n.
#[derive(Clone, Copy)]
struct Modular<D: Domain>(D);

impl<D: Domain> Sums for Modular<D> {
    type Word = u64;
    type Element = u64;

    type Weight = u64;

    fn weight(self, shift: u32) -> Option<u64> {
        Some((0..shift).fold(self.0.reduce(1), |weight, _| self.0.add(weight, weight)))
    }

    fn add(self, word: u64, partial: i64, weight: u64) -> u64 {
        self.0.add(word, self.0.mul(self.0.from_signed(partial), weight))
    }

    fn add_product(self, word: u64, w: i64, x: i64) -> u64 {
        self.0.add(word, self.0.mul(self.0.from_signed(w), self.0.from_signed(x)))
    }

    fn finish(self, word: u64, bias: u64) -> Result<u64> {
        Ok(self.0.add(word, bias))
    }
}

/// How operands are cut so that every partial sum is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits {
    /// Bits of a digit of a weight, and how many digits.
    weight: (u32, u32),
    /// The same of an input.
    input: (u32, u32),
}

/// Doubles hold all integers up to 2^53.
const EXACT_BITS: u32 = f64::MANTISSA_DIGITS;

impl Digits {
    /// For |w| <= 2^weight_bits, |x| <= 2^input_bits and so many terms: the fewest pairs of digits.
    fn plan(weight_bits: u32, input_bits: u32, terms: usize) -> Self {
        let (weight_bits, input_bits) = (weight_bits.clamp(1, 64), input_bits.clamp(1, 64));
        let log_terms = usize::BITS - (terms.max(1) - 1).leading_zeros();
        let budget = EXACT_BITS - log_terms.min(31);
        let of = |count: u32| {
            let weight = weight_bits.div_ceil(count);
            let input = budget.checked_sub(weight).filter(|&bits| bits > 0)?;
            Some(Self { weight: (weight, count), input: (input, input_bits.div_ceil(input)) })
        };
        // 2^31 terms leave 22 bits: 11 digits of 6 bits always do.
        let plans = (1..=11).filter_map(of);
        let best = plans.min_by_key(|plan| plan.weight.1 * plan.input.1);
        best.unwrap_or(Self { weight: (6, 11), input: (6, 11) })
    }

    /// By how many bits the product of digit i of a weight and digit j of an input counts.
    fn shift(self, i: u32, j: u32) -> u32 {
        i * self.weight.0 + j * self.input.0
    }

    /// Digit i of so many of `bits` bits.
    #[inline(always)]
    fn digit(value: i64, i: u32, (bits, count): (u32, u32)) -> f64 {
        if count == 1 {
            return value as f64;
        }
        // A digit count above one has digits below 64 bits.
        let rest = value >> (i * bits).min(63);
        let digit = if i + 1 == count { rest } else { rest & ((1 << bits) - 1) };
        digit as f64
    }
}

/// The bits of the largest magnitude.
pub(super) fn magnitude_bits(values: &[i64]) -> u32 {
    let all = values.iter().fold(0u64, |all, v| all | v.unsigned_abs());
    u64::BITS - all.leading_zeros()
}

fn check(what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Misuse(format!("{got} {what} where there have to be {expected}")))
}

/// Integers with a bound on them.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    /// The integers.
    pub values: &'a [i64],
    /// All lie in -2^(bits-1)..2^(bits-1).
    pub bits: u32,
}

/// How wide inputs are taken to be: it decides the number of passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// As wide as the largest of them.
    Measured,
    /// As wide as any of the domain: time depends on shapes alone, as it has to on shares.
    Domain,
}

impl Width {
    /// Bits that hold the magnitudes of inputs in signed view.
    fn bits<D: Domain>(self, domain: D, x: &[i64]) -> u32 {
        match self {
            Self::Measured => magnitude_bits(x),
            // -2^(l-1) included.
            Self::Domain => domain.bits().saturating_sub(1),
        }
    }
}

/// Runs a function with the sums of a domain.
macro_rules! with_sums {
    ($domain:expr, $sums:ident => $body:expr) => {
        if matches!($domain.any(), AnyDomain::Ring(_)) {
            let $sums = InRing($domain);
            $body
        } else {
            let $sums = Modular($domain);
            $body
        }
    };
}

/// Convolution plus bias.
///
/// # Errors
/// [`Error::Misuse`] if a length is not that of the geometry.
pub fn conv<D: Domain>(
    domain: D,
    x: &[u64],
    width: Width,
    weights: Factors<'_>,
    bias: Option<&[u64]>,
    geometry: &ConvGeometry,
) -> Result<Vec<u64>> {
    let x = Zeroizing::new(x.iter().map(|&x| domain.to_signed(x)).collect::<Vec<_>>());
    let bits = width.bits(domain, &x);
    with_sums!(domain, sums => conv_by(sums, &x, bits, weights, bias, geometry))
}

/// x·W^T plus bias.
///
/// # Errors
/// [`Error::Misuse`] if a length is not that of the geometry.
pub fn linear<D: Domain>(
    domain: D,
    x: &[u64],
    width: Width,
    weights: Factors<'_>,
    bias: Option<&[u64]>,
    geometry: &LinearGeometry,
) -> Result<Vec<u64>> {
    let x = Zeroizing::new(x.iter().map(|&x| domain.to_signed(x)).collect::<Vec<_>>());
    let bits = width.bits(domain, &x);
    with_sums!(domain, sums => linear_by(sums, &x, bits, weights, bias, geometry))
}

/// The digits of a weight matrix, ready to multiply.
fn pack(weights: &[i64], depth: usize, digits: Digits) -> Vec<Left<f64>> {
    let (bits, count) = digits.weight;
    (0..count).map(|i| Left::pack(weights, depth, |w| Digits::digit(w, i, (bits, count)))).collect()
}

/// One digit of every input.
fn digits_of(x: &[i64], i: u32, digits: (u32, u32)) -> Zeroizing<Vec<f64>> {
    let mut out = Zeroizing::new(vec![0.0; x.len()]);
    const CHUNK: usize = 1 << 14;
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
        for (y, &x) in out.iter_mut().zip(x) {
            *y = Digits::digit(x, i, digits);
        }
    });
    out
}

/// |x| is at most 2^bits.
pub(super) fn conv_by<S: Sums>(
    sums: S,
    x: &[i64],
    bits: u32,
    weights: Factors<'_>,
    bias: Option<&[S::Element]>,
    geometry: &ConvGeometry,
) -> Result<Vec<S::Element>> {
    check("inputs", geometry.input_len(), x.len())?;
    check("weights", geometry.weight_len(), weights.values.len())?;
    check("biases", geometry.out_channels(), bias.map_or(geometry.out_channels(), <[_]>::len))?;
    let depth = geometry.patch_len();
    let digits = Digits::plan(weights.bits.saturating_sub(1), bits, depth);
    let groups = weights.values.chunks(geometry.group_out() * depth);
    let lefts: Vec<Vec<Left<f64>>> = groups.map(|w| pack(w, depth, digits)).collect();
    let inputs: Vec<_> = (0..digits.input.1).map(|j| digits_of(x, j, digits.input)).collect();
    let image_len = geometry.in_channels() * geometry.input_plane();
    let mut out = vec![S::Element::default(); geometry.output_len()];
    let tiles = gemm::tiles(geometry, rayon::current_num_threads(), &mut out);
    tiles.into_par_iter().try_for_each_init(
        || (Scratch::default(), Vec::new()),
        |(scratch, words), mut tile| {
            let width = tile.rows.first().map_or(0, |row| row.len());
            words.clear();
            words.resize(tile.rows.len() * width, S::Word::default());
            for (j, input) in (0..).zip(&inputs) {
                let image = &input[tile.image * image_len..][..image_len];
                scratch.load(geometry, image, &tile)?;
                for (i, left) in (0..).zip(&lefts[tile.group]) {
                    if let Some(weight) = sums.weight(digits.shift(i, j)) {
                        accumulate(sums, scratch.multiply(left), words, weight);
                    }
                }
            }
            let first = tile.group * geometry.group_out();
            for (i, (row, words)) in tile.rows.iter_mut().zip(words.chunks(width)).enumerate() {
                let bias = bias.map_or(S::Element::default(), |bias| bias[first + i]);
                for (y, &word) in row.iter_mut().zip(words) {
                    *y = sums.finish(word, bias)?;
                }
            }
            Ok::<(), Error>(())
        },
    )?;
    Ok(out)
}

/// Adds partial sums.
fn accumulate<'a, S: Sums>(
    sums: S,
    rows: impl Iterator<Item = &'a [f64]>,
    words: &mut [S::Word],
    weight: S::Weight,
) {
    let mut words = words.iter_mut();
    for row in rows {
        for (&partial, word) in row.iter().zip(&mut words) {
            *word = sums.add(*word, partial as i64, weight);
        }
    }
}

/// Below so many rows of x, packing the weights costs more than it saves.
const FEW_ROWS: usize = 4;
/// Columns of y that are one thread's work, at least.
const COLUMNS: usize = 16;

/// |x| is at most 2^bits.
pub(super) fn linear_by<S: Sums>(
    sums: S,
    x: &[i64],
    bits: u32,
    weights: Factors<'_>,
    bias: Option<&[S::Element]>,
    geometry: &LinearGeometry,
) -> Result<Vec<S::Element>> {
    check("inputs", geometry.input_len(), x.len())?;
    check("weights", geometry.weight_len(), weights.values.len())?;
    check("biases", geometry.outer(), bias.map_or(geometry.outer(), <[_]>::len))?;
    let (inner, outer) = (geometry.inner(), geometry.outer());
    let bias = |column: usize| bias.map_or(S::Element::default(), |bias| bias[column]);
    let mut out = vec![S::Element::default(); geometry.output_len()];
    if geometry.rows() < FEW_ROWS {
        for (x, out) in x.chunks(inner).zip(out.chunks_mut(outer)) {
            let columns = out.par_iter_mut().zip(weights.values.par_chunks(inner)).enumerate();
            columns.with_min_len(COLUMNS).try_for_each(|(column, (y, row))| {
                let products = row.iter().zip(x);
                let sum =
                    products.fold(S::Word::default(), |sum, (&w, &x)| sums.add_product(sum, w, x));
                *y = sums.finish(sum, bias(column))?;
                Ok::<(), Error>(())
            })?;
        }
        return Ok(out);
    }
    // y^T = W·x^T: a product whose patch matrix is x with its axes exchanged.
    let digits = Digits::plan(weights.bits.saturating_sub(1), bits, inner);
    let lefts = pack(weights.values, inner, digits);
    let tile = (out.len() / outer).div_ceil(rayon::current_num_threads()).clamp(1, 256);
    out.par_chunks_mut(tile * outer)
        .zip(x.par_chunks(tile * inner))
        .try_for_each(|(out, x)| {
            let (mut scratch, width) = (Scratch::default(), x.len() / inner);
            let mut words = vec![S::Word::default(); outer * width];
            for j in 0..digits.input.1 {
                let columns = (0..inner).flat_map(|k| x.iter().skip(k).step_by(inner));
                let columns = columns.map(|&x| Digits::digit(x, j, digits.input));
                let columns: Zeroizing<Vec<f64>> = Zeroizing::new(columns.collect());
                scratch.load_rows(inner, width, |k| &columns[k * width..]);
                for (i, left) in (0..).zip(&lefts) {
                    if let Some(weight) = sums.weight(digits.shift(i, j)) {
                        accumulate(sums, scratch.multiply(left), &mut words, weight);
                    }
                }
            }
            for (column, words) in words.chunks(width).enumerate() {
                for (y, &word) in out[column..].iter_mut().step_by(outer).zip(words) {
                    *y = sums.finish(word, bias(column))?;
                }
            }
            Ok(())
        })
        .map(|()| out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Numbers;
    use sci_core::geometry::{ConvSpec, Window};
    use sci_core::{Field, Ring};

    #[test]
    fn plans_are_exact_and_cover_all_bits() {
        for terms in [1, 2, 9, 4608, (1 << 20) + 1, 1 << 31] {
            for weight_bits in 1..=63 {
                for input_bits in 1..=64 {
                    let plan = Digits::plan(weight_bits, input_bits, terms);
                    let ((a, i), (b, j)) = (plan.weight, plan.input);
                    assert!(a * i >= weight_bits && b * j >= input_bits, "{plan:?}");
                    assert!((terms as u128) << (a + b) <= 1 << 53, "{terms} terms: {plan:?}");
                }
            }
        }
        // The cases that have to be fast: a cleartext run and a share of 37 bits.
        let pairs = |plan: Digits| plan.weight.1 * plan.input.1;
        assert_eq!(pairs(Digits::plan(15, 22, 4608)), 1);
        assert_eq!(pairs(Digits::plan(15, 36, 4608)), 2);
    }

    #[test]
    fn passes_over_shares_do_not_depend_on_them() {
        let ring = Ring::new(37).unwrap();
        for x in [[0i64, 0], [1, -1], [(1 << 36) - 1, 5], [-(1 << 36), 0]] {
            assert_eq!(Width::Domain.bits(ring, &x), 36);
            assert!(x.iter().all(|x| x.unsigned_abs() <= 1 << 36));
        }
        assert_eq!(Width::Measured.bits(ring, &[3, -4]), 3);
        let field = Field::new(65_537).unwrap();
        assert!(field.to_signed(32_769).unsigned_abs() <= 1 << Width::Domain.bits(field, &[]));
    }

    fn agree<D: Domain>(domain: D, bits: u32, seed: u64) {
        let mut numbers = Numbers::new(seed);
        let (rows, inner, outer) = (5, 300, 6);
        let w: Vec<i64> = (0..outer * inner).map(|_| numbers.signed(bits)).collect();
        let mut x: Vec<u64> =
            (0..rows * inner).map(|_| domain.from_signed(numbers.signed(64))).collect();
        // A whole row of the smallest number there is.
        let half = ((1u128 << domain.bits()) / 2) as i64;
        x[..inner].fill(domain.from_signed(half.wrapping_neg()));
        let bias: Vec<u64> = (0..outer).map(|_| domain.from_signed(numbers.signed(64))).collect();
        let expected = |x: &[u64], w: &[i64], bias: u64| {
            x.iter()
                .zip(w)
                .fold(bias, |sum, (&x, &w)| domain.add(sum, domain.mul(x, domain.from_signed(w))))
        };
        let geometry = LinearGeometry::new(rows, inner, outer).unwrap();
        let factors = Factors { values: &w, bits };
        let y = linear(domain, &x, Width::Measured, factors, Some(&bias), &geometry).unwrap();
        assert_eq!(linear(domain, &x, Width::Domain, factors, Some(&bias), &geometry).unwrap(), y);
        for (i, &y) in y.iter().enumerate() {
            let (row, column) = (i / outer, i % outer);
            let expected =
                expected(&x[row * inner..][..inner], &w[column * inner..][..inner], bias[column]);
            assert_eq!(y, expected, "{domain}, {bits} bits");
        }
        // The same matrices as a pointwise convolution of two groups, whose patches are columns.
        let geometry = ConvGeometry::new(ConvSpec {
            batch: 1,
            in_channels: 2 * inner,
            out_channels: outer,
            groups: 2,
            input: [1, 1, rows],
            window: Window::new([1; 3]),
        })
        .unwrap();
        let image: Vec<u64> =
            (0..2 * inner * rows).map(|i| x[i % rows * inner + i / rows % inner]).collect();
        let z = conv(domain, &image, Width::Domain, factors, Some(&bias), &geometry).unwrap();
        let measured = conv(domain, &image, Width::Measured, factors, Some(&bias), &geometry);
        assert_eq!(z, measured.unwrap());
        for (i, &z) in z.iter().enumerate() {
            assert_eq!(z, y[i % rows * outer + i / rows], "{domain}, {bits} bits");
        }
    }

    #[test]
    fn digits_are_put_together_in_every_domain() {
        for seed in 0..4 {
            for weight_bits in [2, 13, 17, 40, 64] {
                for bits in [1, 12, 37, 53, 63, 64] {
                    agree(Ring::new(bits).unwrap(), weight_bits.min(bits.max(2)), seed);
                }
                for n in [3, 65537, 137438822401, 1 << 62] {
                    agree(Field::new(n).unwrap(), weight_bits, seed);
                }
            }
        }
    }
}
