//! What a product by COT needs of its domain.

use sci_core::{Block, Domain, Field, Ring};

/// A domain over which products are made bit by bit.
///
/// For bit t of an entry the messages carry `factor(t) b + p_0 - p_1` in the domain `shrunk(t)`, and what
/// comes of them counts as `weigh(t, .)`. Over Z_2^l bit t weighs 2^t, so that l - t bits of a
/// message count and the weight is given at the end by a shift. Over Z_n nothing can be left out:
/// the weight 2^t mod n is part of the correlation.
pub trait ProductDomain: Domain {
    /// Where the messages of bit t live, t below [`Domain::bits`].
    fn shrunk(self, t: u32) -> Self;

    /// What an element of the row is multiplied with for bit t, whose weight may be negative.
    fn factor(self, t: u32, negative: bool) -> u64;

    /// A sum of messages of bit t as an element.
    fn weigh(self, t: u32, sum: u64) -> u64;

    /// Blocks of generator output that are the pads of `width` elements.
    fn pad_blocks(self, width: usize) -> usize;

    /// The pads: elements that are uniform up to 2^-64.
    fn pad_elements(self, stream: &[Block], out: &mut [u64]);
}

/// Two elements of at most so many bits come from one word.
const SHORT: u32 = 32;

impl ProductDomain for Ring {
    fn shrunk(self, t: u32) -> Self {
        Self::new(self.bits().saturating_sub(t)).unwrap_or(self)
    }

    fn factor(self, t: u32, negative: bool) -> u64 {
        self.shrunk(t).from_signed(if negative { -1 } else { 1 })
    }

    fn weigh(self, t: u32, sum: u64) -> u64 {
        // Canonical, because the sum has only l - t bits.
        sum << t
    }

    fn pad_blocks(self, width: usize) -> usize {
        width.div_ceil(if self.bits() <= SHORT { 4 } else { 2 })
    }

    fn pad_elements(self, stream: &[Block], out: &mut [u64]) {
        let mask = self.mask();
        if self.bits() <= SHORT {
            spread(stream, out, |Block([a, b])| {
                [a & mask, a >> 32 & mask, b & mask, b >> 32 & mask]
            });
        } else {
            spread(stream, out, |Block([a, b])| [a & mask, b & mask]);
        }
    }
}

/// N elements of each block, of the last as many as there is room for.
fn spread<const N: usize>(
    stream: &[Block],
    out: &mut [u64],
    elements: impl Fn(&Block) -> [u64; N],
) {
    let (whole, rest) = out.as_chunks_mut();
    for (out, block) in whole.iter_mut().zip(stream) {
        *out = elements(block);
    }
    if let Some(last) = stream.get(whole.len()) {
        rest.copy_from_slice(&elements(last)[..rest.len()]);
    }
}

impl ProductDomain for Field {
    fn shrunk(self, _t: u32) -> Self {
        self
    }

    fn factor(self, t: u32, negative: bool) -> u64 {
        let weight = self.reduce(1 << t);
        if negative { self.neg(weight) } else { weight }
    }

    fn weigh(self, _t: u32, sum: u64) -> u64 {
        sum
    }

    fn pad_blocks(self, width: usize) -> usize {
        width
    }

    fn pad_elements(self, stream: &[Block], out: &mut [u64]) {
        for (out, block) in out.iter_mut().zip(stream) {
            *out = self.reduce_wide(block.to_u128());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Prg;

    /// sum over the bits of a of weigh(factor b + p) - weigh(p) is a b.
    fn recombine<D: ProductDomain>(domain: D, a: u64, bits: u32, signed: bool, b: u64) -> u64 {
        (0..bits).fold(0, |sum, t| {
            let shrunk = domain.shrunk(t);
            let factor = domain.factor(t, signed && t == bits - 1);
            let term = shrunk.reduce_wide(u128::from(b) * u128::from(factor));
            let term = if a >> t & 1 == 1 { domain.weigh(t, term) } else { 0 };
            domain.add(sum, term)
        })
    }

    fn check<D: ProductDomain>(domain: D) {
        let mut prg = Prg::new(Block::from(u128::from(domain.bits())));
        for _ in 0..50 {
            let (a, b) = (domain.sample(&mut prg), domain.sample(&mut prg));
            assert_eq!(recombine(domain, a, domain.bits(), false, b), domain.mul(a, b), "{domain}");
            let bits = domain.bits().min(7);
            let w = (prg.next_u64() as i64) << (64 - bits) >> (64 - bits);
            let expected = domain.mul(domain.from_signed(w), b);
            assert_eq!(recombine(domain, w as u64, bits, true, b), expected, "{domain} {w}");
            let mut pads = [0; 9];
            let mut stream = vec![Block::ZERO; domain.pad_blocks(9)];
            prg.fill_blocks(&mut stream);
            domain.pad_elements(&stream, &mut pads);
            assert!(pads.iter().all(|&pad| domain.is_canonical(pad)));
            assert!(domain.bits() < 9 || pads.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn bits_add_up_to_the_product() {
        (1..=64).for_each(|bits| check(Ring::new(bits).unwrap()));
        for n in [2, 3, 7, 8, 257, 4_293_918_721, (1 << 61) - 1, 1 << 62] {
            check(Field::new(n).unwrap());
        }
    }
}
