//! Over Z_n, eta = ceil(log2 n): as much as possible is done on the garbler's own values, of which only comparisons
//! with the evaluator's share cost gates.

use super::{Gadget, GarbledDomain, GarblerInputs};
use crate::circuit::{Builder, Circuit, constant};
use sci_core::{Domain, Field, Prg};
use zeroize::Zeroizing;

/// A function over Z_n.
struct FieldFunction {
    field: Field,
    circuit: Circuit,
    widths: Vec<u32>,
    kind: Kind,
}

enum Kind {
    Relu,
    Divide { d: u64 },
}

/// Number of negative elements.
fn negatives(n: u64) -> u64 {
    n / 2
}

/// How much a dividend is moved up so that it is not negative and the quotient keeps its place: floor((v - h) / d)
/// = floor((v + c) / d) - k with k = ceil(h / d) and c = kd - h, h being the number of negative elements.
fn offsets(n: u64, d: u64) -> (u64, u128) {
    let h = negatives(n);
    let k = h.div_ceil(d);
    (k, u128::from(k) * u128::from(d) - u128::from(h))
}

impl GarbledDomain for Field {
    /// With s = x_0 + x_1 < 2n, wrap = 1{s >= n} and t = 1{s > h} or, for x_0 > h, 1{s > n + h}, x is negative iff
    /// t xor wrap xor 1{x_0 > h} = 1 (h = ceil(n/2) - 1 is the largest element that is not): two comparisons with x_1,
    /// 2 eta gates. The result ReLU(x) + r mod n is p x_1 + (r or, if p, x_0 + r mod n) mod n for p = 1{x >= 0}:
    /// 2 eta gates for p, 3 eta for the sum.
    fn relu(self) -> Box<dyn Gadget> {
        let (n, eta) = (self.n(), self.bits());
        let mut b = Builder::default();
        let (wrap_bound, sign_bound) = (b.garbler_word(eta), b.garbler_word(eta));
        let above = b.garbler_bit();
        let (r, difference) = (b.garbler_word(eta), b.garbler_word(eta));
        let x1 = b.evaluator_word(eta);
        let wrap = b.greater(&x1, &wrap_bound);
        let beyond = b.greater(&x1, &sign_bound);
        let same = b.xor(wrap, beyond);
        let negative = b.xor(same, above);
        let other = b.gate(!negative, &x1);
        let added = b.gate(!negative, &difference);
        let own: Vec<_> = r.iter().zip(&added).map(|(&r, &d)| b.xor(r, d)).collect();
        let out = b.add_modular(&other, &own, n);
        let circuit = b.finish(&out);
        let widths = vec![eta, eta, 1, eta, eta];
        Box::new(FieldFunction { field: self, circuit, widths, kind: Kind::Relu })
    }

    /// v = x + h mod n, h being the number of negative elements, is s or s - n for s = (x_0 + h mod n) + x_1: one
    /// comparison with x_1 chooses which own value the garbler adds, 3 eta + 1 gates for v + c at most. Then the
    /// division, and 3 eta gates for the sum with r mod n; -k is left to the garbler's share.
    fn divide(self, d: u64) -> Box<dyn Gadget> {
        let (n, eta) = (self.n(), self.bits());
        // Beyond n all quotients are 0 or -1, as they are for n.
        let d = d.min(n);
        let c = offsets(n, d).1;
        let max = u128::from(n) - 1 + c;
        let width = (128 - max.leading_zeros()).max(eta);
        let mut b = Builder::default();
        let wrap_bound = b.garbler_word(eta);
        let (low, difference) = (b.garbler_word(width), b.garbler_word(width));
        let r = b.garbler_word(eta);
        let x1 = b.evaluator_word(eta);
        let wrap = b.greater(&x1, &wrap_bound);
        let chosen = b.gate(wrap, &difference);
        let own: Vec<_> = low.iter().zip(&chosen).map(|(&k, &d)| b.xor(k, d)).collect();
        let dividend = b.add(&own, &x1).0;
        let mut quotient = b.divide_by_constant(&dividend, max, d);
        quotient.truncate(eta as usize);
        quotient.resize(eta as usize, constant(0, 1)[0]);
        let out = b.add_modular(&quotient, &r, n);
        let circuit = b.finish(&out);
        let widths = vec![eta, width, width, eta];
        Box::new(FieldFunction { field: self, circuit, widths, kind: Kind::Divide { d } })
    }

    /// 3 eta gates for x, eta for its sign, eta for the MUX and 3 eta for the sum with r: 8 eta at most.
    fn masked_relu(self) -> Circuit {
        let (n, eta) = (self.n(), self.bits());
        let mut b = Builder::default();
        let own = b.garbler_word(eta);
        let (other, r) = (b.evaluator_word(eta), b.evaluator_word(eta));
        let x = b.add_modular(&own, &other, n);
        let negative = b.greater(&x, &constant(u128::from(n.div_ceil(2) - 1), eta));
        let y = b.gate(!negative, &x);
        let out = b.add_modular(&y, &r, n);
        b.finish(&out)
    }
}

impl Gadget for FieldFunction {
    fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn widths(&self) -> &[u32] {
        &self.widths
    }

    fn decoded(&self) -> bool {
        true
    }

    fn enter(&self, prg: &mut Prg, shares: &[u64]) -> GarblerInputs {
        let n = self.field.n();
        let column = || Zeroizing::new(Vec::with_capacity(shares.len()));
        let mut words: Vec<_> = self.widths.iter().map(|_| column()).collect();
        let mut new = column();
        for &x in shares {
            let r = self.field.sample(prg);
            let share = match self.kind {
                Kind::Relu => {
                    let h = n.div_ceil(2) - 1;
                    let above = u64::from(x > h);
                    let masked = self.field.add(x, r);
                    let entered = [n - 1 - x, h + above * n - x, above, r, masked ^ r];
                    words.iter_mut().zip(entered).for_each(|(column, word)| column.push(word));
                    self.field.neg(r)
                }
                Kind::Divide { d } => {
                    let (k, c) = offsets(n, d);
                    let moved = self.field.add(x, negatives(n));
                    let mask = u64::MAX >> (64 - self.widths[1]);
                    // mod 2^width, which the sum with x_1 stays below.
                    let low = (u128::from(moved) + c) as u64 & mask;
                    let high = low.wrapping_sub(n) & mask;
                    let entered = [n - 1 - moved, low, low ^ high, r];
                    words.iter_mut().zip(entered).for_each(|(column, word)| column.push(word));
                    self.field.neg(self.field.add(r, self.field.reduce(k)))
                }
            };
            new.push(share);
        }
        GarblerInputs { words, shares: new }
    }

    fn share_of_mask(&self, _mask: u64) -> u64 {
        0
    }
}
