//! Over Z_2^l: x = x_0 + x_1 by an adder, the function, y + r by another.

use super::{Gadget, GarbledDomain, GarblerInputs};
use crate::circuit::{Bit, Builder, Circuit, Word};
use sci_core::{Domain, Prg, Ring};
use zeroize::Zeroizing;

/// A function over Z_2^l.
struct RingFunction {
    ring: Ring,
    circuit: Circuit,
    widths: [u32; 1],
}

impl RingFunction {
    fn boxed(ring: Ring, function: impl FnOnce(&mut Builder, &[Bit]) -> Word) -> Box<dyn Gadget> {
        let mut builder = Builder::default();
        let (own, other) = (builder.garbler_word(ring.bits()), builder.evaluator_word(ring.bits()));
        let x = builder.add(&own, &other).0;
        let y = function(&mut builder, &x);
        let out = builder.mask_sum(&y);
        Box::new(Self { ring, circuit: builder.finish(&out), widths: [ring.bits()] })
    }
}

/// The sign of a signed word, and what is below it.
fn split_sign(x: &[Bit]) -> Option<(Bit, &[Bit])> {
    x.split_last().map(|(&sign, rest)| (sign, rest))
}

impl GarbledDomain for Ring {
    /// l - 1 gates for the sum, l for the MUX (as in the papers it spans the top bit too, which is always 0), l - 1
    /// for the mask: 3l - 2.
    fn relu(self) -> Box<dyn Gadget> {
        RingFunction::boxed(self, |builder, x| {
            let positive = split_sign(x).map_or(crate::circuit::ONE, |(sign, _)| !sign);
            builder.gate(positive, x)
        })
    }

    /// floor(x / d) = s xor floor((x xor s) / d) bit by bit, s being the sign: for x < 0 the complement of x
    /// is -1 - x. No gate is spent on absolute values.
    fn divide(self, d: u64) -> Box<dyn Gadget> {
        RingFunction::boxed(self, |builder, x| {
            let Some((sign, rest)) = split_sign(x) else { return Word::new() };
            let magnitude = builder.negate_if(sign, rest);
            let max = (1 << rest.len()) - 1;
            let quotient = builder.divide_by_constant(&magnitude, max, d);
            let mut out = builder.negate_if(sign, &quotient);
            out.push(sign);
            out
        })
    }

    /// 3l - 2 gates, as in [`GarbledDomain::relu`].
    fn masked_relu(self) -> Circuit {
        let mut b = Builder::default();
        let own = b.garbler_word(self.bits());
        let (other, r) = (b.evaluator_word(self.bits()), b.evaluator_word(self.bits()));
        let x = b.add(&own, &other).0;
        let positive = split_sign(&x).map_or(crate::circuit::ONE, |(sign, _)| !sign);
        let y = b.gate(positive, &x);
        let out = b.add(&y, &r).0;
        b.finish(&out)
    }
}

impl Gadget for RingFunction {
    fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn widths(&self) -> &[u32] {
        &self.widths
    }

    fn decoded(&self) -> bool {
        false
    }

    fn enter(&self, _prg: &mut Prg, shares: &[u64]) -> GarblerInputs {
        GarblerInputs { words: vec![Zeroizing::new(shares.to_vec())], shares: Zeroizing::default() }
    }

    fn share_of_mask(&self, mask: u64) -> u64 {
        self.ring.neg(mask)
    }
}
