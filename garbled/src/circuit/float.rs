//! Multiplication of floating-point numbers: IEEE 754 single precision, round to nearest, ties to even; infinities
//! and NaN as the standard has them, every NaN being the positive quiet one without payload. Subnormal numbers
//! are flushed: as operands they count as zero, and a result that is below 2^-126 when rounded as if exponents
//! had no bound is zero, with its sign. That is what processors do with DAZ and FTZ set, and what makes the circuit
//! smaller: no operand has to be shifted into place.

use super::{Bit, Builder, ONE, Word, ZERO, constant};

/// Bits of a single.
pub const SINGLE_BITS: u32 = 32;
const FRACTION: usize = 23;
const EXPONENT: usize = 8;
const BIAS: u128 = 127;

/// An operand, taken apart.
struct Operand {
    sign: Bit,
    exponent: Word,
    /// With its leading 1, which is wrong for zero and for what is no number: both are set right at the end.
    significand: Word,
    zero: Bit,
    /// Infinity or NaN.
    special: Bit,
    nan: Bit,
}

impl Operand {
    fn of(b: &mut Builder, word: &[Bit]) -> Self {
        let (fraction, rest) = word.split_at(FRACTION);
        let (exponent, sign) = rest.split_at(EXPONENT);
        let zero = !b.any(exponent);
        let special = b.all(exponent.iter().copied());
        let broken = b.any(fraction);
        Self {
            sign: sign[0],
            exponent: exponent.to_vec(),
            significand: fraction.iter().copied().chain([ONE]).collect(),
            zero,
            special,
            nan: b.and(special, broken),
        }
    }
}

impl Builder {
    /// The product of two singles, see the head of this file. 1305 ANDs, most of them for the product of the significands.
    ///
    /// # Panics
    /// If a word has not 32 bits.
    pub fn multiply_single(&mut self, a: &[Bit], b: &[Bit]) -> Word {
        assert_eq!([a.len(), b.len()], [SINGLE_BITS as usize; 2], "singles have 32 bits");
        let [a, b] = [a, b].map(|word| Operand::of(self, word));
        let (fraction, exponent) = self.rounded(&a, &b);
        // The exponent has ten bits, two's complement.
        let (low, high) = exponent.split_at(EXPONENT);
        let positive = self.any(&exponent[..=EXPONENT]);
        let small = self.or(high[1], !positive);
        let at_top = self.all(low.iter().copied());
        let beyond = self.or(high[0], at_top);
        let large = self.and(!high[1], beyond);

        let zero = self.or(a.zero, b.zero);
        let zero = self.or(zero, small);
        let infinite = self.or(a.special, b.special);
        let infinite = self.or(infinite, large);
        let nan = self.or(a.nan, b.nan);
        let lost = [self.and(a.special, b.zero), self.and(b.special, a.zero)];
        let nan = lost.into_iter().fold(nan, |nan, lost| self.or(nan, lost));
        let infinite = self.or(infinite, nan);

        let finite = !self.or(zero, infinite);
        let mut out = self.gate(finite, &fraction);
        // The quiet bit: of a NaN nothing else is left of the fraction.
        out[FRACTION - 1] = self.xor(out[FRACTION - 1], nan);
        out.extend(self.select(finite, low, &[infinite; EXPONENT]));
        let sign = self.xor(a.sign, b.sign);
        out.push(self.and(sign, !nan));
        out
    }

    /// Fraction and exponent of the rounded product of two numbers with a leading 1.
    fn rounded(&mut self, a: &Operand, b: &Operand) -> (Word, Word) {
        let product = self.multiply(&a.significand, &b.significand);
        // The product is in [1, 4): its leading 1 is one of the two top bits.
        let (wide, top) = (2 * FRACTION + 2, 2 * FRACTION + 1);
        let carried = product[top];
        let at = |low: usize| low..low + FRACTION;
        let fraction = self.select(carried, &product[at(FRACTION + 1)], &product[at(FRACTION)]);
        debug_assert_eq!(product.len(), wide);
        let guard =
            self.select(carried, &product[FRACTION..=FRACTION], &product[FRACTION - 1..FRACTION]);
        let below = self.any(&product[..FRACTION - 1]);
        let shifted_out = self.and(carried, product[FRACTION - 1]);
        let sticky = self.or(below, shifted_out);
        let odd_or_more = self.or(sticky, fraction[0]);
        let up = self.and(guard[0], odd_or_more);
        let (fraction, overflow) = self.add_with(&fraction, &[ZERO; FRACTION], up);
        // A fraction of ones became zeros and a carry: the exponent takes it.
        let (mut sum, carry) = self.add_with(&a.exponent, &b.exponent, carried);
        sum.extend([carry, ZERO]);
        let bias = constant((1 << sum.len()) - BIAS, sum.len() as u32);
        let exponent = self.add_with(&sum, &bias, overflow).0;
        (fraction, exponent)
    }
}

#[cfg(test)]
mod tests {
    use crate::circuit::Builder;
    use crate::functions::{single_multiplication, single_product};
    use proptest::prelude::*;

    fn run(a: u32, b: u32) -> u32 {
        thread_local! {
            static CIRCUIT: crate::circuit::Circuit = single_multiplication();
        }
        let bits = |x: u32| (0..32).map(|i| x >> i & 1 == 1).collect::<Vec<_>>();
        CIRCUIT.with(|circuit| {
            let out = circuit.evaluate_plain(&bits(a), &bits(b), &[]);
            out.iter().rev().fold(0, |sum, &bit| sum << 1 | u32::from(bit))
        })
    }

    /// The circuit against its meaning, and the meaning against the processor wherever nothing is flushed.
    fn check(a: u32, b: u32) {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        let expected = single_product(x, y);
        assert_eq!(run(a, b), expected.to_bits(), "{x:e} {y:e} {a:08x} {b:08x}");
        let native = x * y;
        // At the least normal number the standard rounds on the grid of subnormals.
        let edge = native.is_subnormal() || native.abs() == f32::MIN_POSITIVE;
        if native.is_nan() {
            assert_eq!(expected.to_bits(), 0x7fc0_0000);
        } else if !x.is_subnormal() && !y.is_subnormal() && !edge {
            assert_eq!(expected.to_bits(), native.to_bits(), "{x:e} {y:e}");
        } else if native.abs() < f32::MIN_POSITIVE {
            assert_eq!(expected.to_bits() & 0x7fff_ffff, 0);
        }
    }

    #[test]
    fn edge_values() {
        let fractions = [0, 1, 2, 0x3f_ffff, 0x40_0000, 0x40_0001, 0x55_5555, 0x7f_fffe, 0x7f_ffff];
        let exponents =
            [0u32, 1, 2, 63, 64, 102, 103, 104, 126, 127, 128, 150, 190, 191, 253, 254, 255];
        let values: Vec<u32> = exponents
            .iter()
            .flat_map(|e| fractions.iter().map(move |f| e << 23 | f))
            .flat_map(|x| [x, x | 1 << 31])
            .collect();
        for &a in &values {
            // Signs are independent of the rest: half of the pairs show them all.
            values.iter().skip((a >> 31) as usize).step_by(3).for_each(|&b| check(a, b));
        }
    }

    #[test]
    fn ties_go_to_even_and_carries_reach_the_exponent() {
        for (a, b, product) in [
            (1.0f32, 1.0, 1.0),
            (-2.0, 0.5, -1.0),
            // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: the tie below an even number goes down, that of 1 + 3 2^-13 up.
            (1.0 + 2f32.powi(-12), 1.0 + 2f32.powi(-12), 1.0 + 2f32.powi(-11)),
            (2.0 - 2f32.powi(-23), 2.0 - 2f32.powi(-23), 4.0 - 2f32.powi(-20) + 2f32.powi(-21)),
            // 2 - 2^-45: the carry of the rounding reaches the exponent.
            (1.0 + 2f32.powi(-23), 2.0 - 2f32.powi(-22), 2.0),
            (f32::MAX, 1.0 + f32::EPSILON, f32::INFINITY),
            (f32::MIN_POSITIVE, 1.0 - f32::EPSILON, 0.0),
            (-f32::MIN_POSITIVE, 1.0, -f32::MIN_POSITIVE),
            (f32::INFINITY, -1e-30, f32::NEG_INFINITY),
            (-0.0, 7.0, -0.0),
        ] {
            check(a.to_bits(), b.to_bits());
            assert_eq!(f32::from_bits(run(a.to_bits(), b.to_bits())), product, "{a} {b}");
        }
        assert_eq!(run(f32::INFINITY.to_bits(), 0), 0x7fc0_0000);
        assert_eq!(run(0xff80_0001, 0x3f80_0000), 0x7fc0_0000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn any_numbers(a: u32, b: u32) {
            check(a, b);
        }

        /// Exponents that add up to the ends of the range.
        #[test]
        fn numbers_near_the_ends(a: u32, b: u32, e in 1u32..254, low: bool, off in 0u32..6) {
            let sum = if low { 125 + off } else { 378 + off };
            let other = sum.saturating_sub(e).clamp(1, 254);
            let with = |x: u32, e: u32| x & 0x807f_ffff | e << 23;
            check(with(a, e), with(b, other));
        }

        #[test]
        fn products_of_words(v in 1usize..20, w in 1usize..20, width in 1usize..40, a: u64, b: u64) {
            let (a, b) = (a & ((1 << v) - 1), b & ((1 << w) - 1));
            let bits = |x: u64, n: usize| (0..n).map(|i| x >> i & 1 == 1).collect::<Vec<_>>();
            let mut builder = Builder::default();
            let (x, y) = (builder.garbler_word(v as u32), builder.evaluator_word(w as u32));
            let whole = builder.multiply(&x, &y);
            let part = builder.multiply_modulo(&x, &y, width);
            let [lens, out] = [whole.len(), part.len()];
            let circuit = builder.finish(&[whole, part].concat());
            let got = circuit.evaluate_plain(&bits(a, v), &bits(b, w), &[]);
            prop_assert_eq!((lens, out), (v + w, width));
            prop_assert_eq!(&got[..v + w], bits(a * b, v + w));
            prop_assert_eq!(&got[v + w..], bits((a * b) & ((1 << width) - 1), width));
        }
    }

    /// The figures of the documentation.
    #[test]
    fn sizes() {
        assert_eq!(single_multiplication().ands(), 1305);
        let mut builder = Builder::default();
        let (x, y) = (builder.garbler_word(32), builder.evaluator_word(32));
        let product = builder.multiply_modulo(&x, &y, 32);
        assert_eq!(builder.finish(&product).ands(), 32 * 32 - 32 + 1);
    }
}
