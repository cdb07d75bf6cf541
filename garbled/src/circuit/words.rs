//! Arithmetic on words. Gates that a constant operand makes superfluous are folded by the builder, those that no
//! output needs are dropped when it finishes: a sum without its carry costs one AND less than there are bits.

use super::{Bit, Builder, ONE, Word, ZERO};

/// Bits of a number.
fn length(x: u128) -> u32 {
    u128::BITS - x.leading_zeros()
}

/// A constant of `width` bits.
pub fn constant(x: u128, width: u32) -> Word {
    (0..width).map(|i| Bit::Constant(i < 128 && x >> i & 1 == 1)).collect()
}

/// `word` with zeros above it.
fn extend(word: &[Bit], width: usize) -> Word {
    let mut out = word.to_vec();
    out.resize(width, ZERO);
    out
}

impl Builder {
    /// a + b + carry and the carry out; both words of the same width w, w ANDs.
    pub(super) fn add_with(&mut self, a: &[Bit], b: &[Bit], mut carry: Bit) -> (Word, Bit) {
        let mut sum = Vec::with_capacity(a.len());
        for (&a, &b) in a.iter().zip(b) {
            let (x, y) = (self.xor(a, carry), self.xor(b, carry));
            sum.push(self.xor(a, y));
            let both = self.and(x, y);
            carry = self.xor(carry, both);
        }
        (sum, carry)
    }

    /// a + b and the carry out; a shorter word is extended by zeros.
    pub fn add(&mut self, a: &[Bit], b: &[Bit]) -> (Word, Bit) {
        let width = a.len().max(b.len());
        self.add_with(&extend(a, width), &extend(b, width), ZERO)
    }

    /// a - b mod 2^w, and 1{a >= b}, for words of the same width w.
    pub fn subtract(&mut self, a: &[Bit], b: &[Bit]) -> (Word, Bit) {
        let complement: Word = b.iter().map(|&bit| !bit).collect();
        self.add_with(a, &complement, ONE)
    }

    /// 1{a > b} for words of the same width w: w ANDs.
    pub fn greater(&mut self, a: &[Bit], b: &[Bit]) -> Bit {
        let complement: Word = b.iter().map(|&bit| !bit).collect();
        self.add_with(a, &complement, ZERO).1
    }

    /// `a` if `choice`, else `b`: an AND a bit.
    pub fn select(&mut self, choice: Bit, a: &[Bit], b: &[Bit]) -> Word {
        let bits = a.iter().zip(b).map(|(&a, &b)| {
            let difference = self.xor(a, b);
            let chosen = self.and(choice, difference);
            self.xor(b, chosen)
        });
        bits.collect()
    }

    /// Every bit of `a` and `choice`.
    pub fn gate(&mut self, choice: Bit, a: &[Bit]) -> Word {
        a.iter().map(|&bit| self.and(choice, bit)).collect()
    }

    /// `a` with every bit negated if `choice`: free.
    pub fn negate_if(&mut self, choice: Bit, a: &[Bit]) -> Word {
        a.iter().map(|&bit| self.xor(choice, bit)).collect()
    }

    /// a + b mod n for a, b < n of `width` = ceil(log2 n) bits: at most 3 ANDs a bit.
    pub fn add_modular(&mut self, a: &[Bit], b: &[Bit], n: u64) -> Word {
        let width = a.len();
        let (mut sum, carry) = self.add(a, b);
        sum.push(carry);
        let (reduced, large) = self.subtract(&sum, &constant(n.into(), width as u32 + 1));
        self.select(large, &reduced[..width], &sum[..width])
    }

    /// a b, as wide as both together: v w ANDs for the bits of v and w bits and (w - 1) v for their sum.
    pub fn multiply(&mut self, a: &[Bit], b: &[Bit]) -> Word {
        self.multiply_modulo(a, b, a.len() + b.len())
    }

    /// a b mod 2^width, w^2 - w + 1 ANDs for words and a result of w bits.
    pub fn multiply_modulo(&mut self, a: &[Bit], b: &[Bit], width: usize) -> Word {
        let mut out = Word::with_capacity(width);
        // What is known of the sum above the bits that are final.
        let mut above: Word = Vec::new();
        for (i, &bit) in b.iter().enumerate().take(width) {
            let row = self.gate(bit, &a[..a.len().min(width - i)]);
            let (mut sum, carry) = self.add(&row, &above);
            sum.push(carry);
            sum.truncate(width - i);
            out.push(sum.remove(0));
            above = sum;
        }
        out.extend(above);
        extend(&out, width)
    }

    /// Whether all bits are 1: one AND less than there are bits.
    pub fn all(&mut self, bits: impl IntoIterator<Item = Bit>) -> Bit {
        bits.into_iter().fold(ONE, |all, bit| self.and(all, bit))
    }

    /// Whether any bit is 1.
    pub fn any(&mut self, bits: &[Bit]) -> Bit {
        !self.all(bits.iter().map(|&bit| !bit))
    }

    /// a or b: one AND.
    pub fn or(&mut self, a: Bit, b: Bit) -> Bit {
        !self.and(!a, !b)
    }

    /// y + r mod 2^w for a uniform r of the garbler's that nobody has to send: one AND a bit but the last.
    pub fn mask_sum(&mut self, y: &[Bit]) -> Word {
        let mut carry = ZERO;
        let mut out = Vec::with_capacity(y.len());
        for &y in y {
            let own = self.xor(y, carry);
            let masked = self.mask(own);
            // The bit of r xor the carry.
            let other = self.xor(masked, y);
            let both = self.and(own, other);
            carry = self.xor(carry, both);
            out.push(masked);
        }
        out
    }

    /// floor(a / d) for a public d > 0 and a number that is at most `max`: long division that keeps no more
    /// bits of the remainder than it can have. Powers of two are free.
    ///
    /// # Panics
    /// If d = 0.
    pub fn divide_by_constant(&mut self, a: &[Bit], max: u128, d: u64) -> Word {
        let d = u128::from(d);
        assert!(d > 0, "division by zero");
        let mut quotient = vec![ZERO; a.len()];
        let mut remainder: Word = Vec::new();
        for i in (0..a.len()).rev() {
            remainder.insert(0, a[i]);
            // What the remainder can be: below 2d after a subtraction, at most the leading bits of max before.
            let bound = (2 * d - 1).min(max >> i);
            let width = length(bound);
            remainder.resize(width as usize, ZERO);
            if bound < d {
                continue;
            }
            let (reduced, large) = self.subtract(&remainder, &constant(d, width));
            quotient[i] = large;
            remainder = self.select(large, &reduced, &remainder);
            remainder.truncate(length(d - 1) as usize);
        }
        quotient
    }
}
