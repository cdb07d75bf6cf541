//! Distributions: ternary secrets, binomial errors, flooding, uniform residues from a seed.

use crate::params::{ERROR_COINS, Flood};
use sci_core::Prg;
use zeroize::Zeroize;

/// Uniform over {-1, 0, 1}. A byte below 3^5 holds five digits; another is drawn again, which says
/// nothing of the digits that are kept.
pub(crate) fn ternary(prg: &mut Prg, out: &mut [i8]) {
    let mut bytes = [0u8; 256];
    let mut next = bytes.len();
    for five in out.chunks_mut(5) {
        let mut byte = loop {
            if next == bytes.len() {
                prg.fill_bytes(&mut bytes);
                next = 0;
            }
            let byte = bytes[next];
            next += 1;
            if byte < 243 {
                break u16::from(byte);
            }
        };
        for digit in five {
            // floor(byte / 3) for byte < 243.
            let third = (byte * 171) >> 9;
            *digit = (byte - 3 * third) as i8 - 1;
            byte = third;
        }
    }
    bytes.zeroize();
}

/// Centred binomial: the difference of two sums of [`ERROR_COINS`] coins. Variance 10.5 (sigma
/// 3.24), absolute value at most 21.
pub(crate) fn errors(prg: &mut Prg, out: &mut [i8]) {
    let mask = (1 << ERROR_COINS) - 1;
    for chunk in out.chunks_mut(64) {
        let mut words = [0u64; 64];
        let words = &mut words[..chunk.len()];
        prg.fill_u64(words);
        for (error, word) in chunk.iter_mut().zip(words.iter_mut()) {
            let (plus, minus) = (*word & mask, (*word >> 32) & mask);
            *error = plus.count_ones() as i8 - minus.count_ones() as i8;
            *word = 0;
        }
    }
}

/// Flooding values from 0 on, up to a statistical distance of 2^-117 each: k·V/2 above what [`Flood`]
/// says. The words of weight 1 go to `low`, those of weight 2^64 to `high`.
pub(crate) fn flood(prg: &mut Prg, flood: Flood, low: &mut [u64], high: &mut [u64]) {
    match flood.shift <= 64 {
        true => flood_from::<3>(prg, flood, low, high),
        false => flood_from::<4>(prg, flood, low, high),
    }
}

/// The same from so many words a value: two for the digit, the others for the bits below it.
fn flood_from<const WORDS: usize>(prg: &mut Prg, flood: Flood, low: &mut [u64], high: &mut [u64]) {
    let mut words = vec![0u64; 64 * WORDS];
    let below = (1u128 << flood.shift) - 1;
    low.fill(0);
    high.fill(0);
    for _ in 0..flood.folds {
        for (low, high) in low.chunks_mut(64).zip(high.chunks_mut(64)) {
            let words = &mut words[..WORDS * low.len()];
            prg.fill_u64(words);
            for ((low, high), words) in low.iter_mut().zip(high).zip(words.chunks_exact(WORDS)) {
                let [c, d, ref bits @ ..] = *words else { continue };
                let bits = bits.iter().fold(0, |bits, &word| bits << 64 | u128::from(word)) & below;
                // floor(r·mantissa / 2^128) for a 128-bit r.
                let carry = (u128::from(d) * u128::from(flood.mantissa)) >> 64;
                let digit = (u128::from(c) * u128::from(flood.mantissa) + carry) >> 64;
                let sum = (u128::from(*high) << 64 | u128::from(*low))
                    .wrapping_add(digit << flood.shift | bits);
                (*low, *high) = (sum as u64, (sum >> 64) as u64);
            }
        }
    }
    words.zeroize();
}

/// Uniform modulo p from public randomness, by rejection.
pub(crate) fn uniform_vartime(prg: &mut Prg, p: u32, out: &mut [u32]) {
    let mask = u32::MAX >> (p - 1).leading_zeros();
    let mut words = [0u64; 64];
    let mut rest = out.iter_mut();
    let mut slot = rest.next();
    while slot.is_some() {
        prg.fill_u64(&mut words);
        for half in words.iter().flat_map(|&word| [word as u32, (word >> 32) as u32]) {
            let candidate = half & mask;
            if candidate < p {
                let Some(place) = slot else { return };
                *place = candidate;
                slot = rest.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Block;

    #[test]
    fn ternary_digits_are_uniform_and_independent() {
        let mut prg = Prg::new(Block::from(4));
        let mut digits = vec![0; 5 * 40_000];
        ternary(&mut prg, &mut digits);
        let mut counts = [0f64; 243];
        for five in digits.chunks(5) {
            assert!(five.iter().all(|d| (-1..=1).contains(d)));
            counts[five.iter().fold(0, |n, d| 3 * n + (d + 1) as usize)] += 1.0;
        }
        let expected = 40_000.0 / 243.0;
        let chi: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        // 242 degrees of freedom: mean 242, standard deviation 22.
        assert!((130.0..370.0).contains(&chi), "{chi}");
    }

    #[test]
    fn errors_have_their_variance_and_bound() {
        let mut prg = Prg::new(Block::from(5));
        let mut out = vec![0; 200_000];
        errors(&mut prg, &mut out);
        let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / 2e5;
        let variance = out.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 2e5;
        assert!(mean.abs() < 0.05 && (variance - 10.5).abs() < 0.25, "{mean} {variance}");
        assert!(out.iter().all(|x| x.unsigned_abs() <= ERROR_COINS as u8));
    }

    #[test]
    fn flooding_fills_its_width() {
        let mut prg = Prg::new(Block::from(6));
        for (mantissa, shift) in [(128, 0), (200, 70), (256, 3), (131, 111)] {
            let one = Flood { folds: 1, mantissa, shift };
            let width = one.width();
            let (mut low, mut high) = (vec![1; 16_000], vec![1; 16_000]);
            flood(&mut prg, one, &mut low, &mut high);
            let values = low.iter().zip(&high).map(|(&l, &h)| u128::from(h) << 64 | u128::from(l));
            let mut bins = [0f64; 16];
            for x in values {
                assert!(x < width);
                bins[(x / width.div_ceil(16)) as usize] += 1.0;
            }
            let chi: f64 = bins.iter().map(|c| (c - 1000.0f64).powi(2) / 1000.0).sum();
            // 15 degrees of freedom; bins of a width of 131·2^k differ by below 0.1 %.
            assert!(chi < 60.0, "{mantissa}·2^{shift}: {chi}");
            flood(&mut prg, Flood { folds: 3, ..one }, &mut low, &mut high);
            let values = low.iter().zip(&high).map(|(&l, &h)| u128::from(h) << 64 | u128::from(l));
            let unit = |x: u128| x as f64 / width as f64 - 1.5;
            let (mut mean, mut square) = (0.0, 0.0);
            for x in values {
                assert!(x <= 3 * (width - 1));
                mean += unit(x) / 16e3;
                square += unit(x).powi(2) / 16e3;
            }
            // Variance 3/12, less a little where V is small.
            assert!(mean.abs() < 0.03 && (square - 0.25).abs() < 0.02, "{mean} {square}");
        }
    }

    #[test]
    fn uniform_residues_stay_below_p() {
        let mut prg = Prg::new(Block::from(7));
        let mut out = vec![0; 10_000];
        uniform_vartime(&mut prg, 12_289, &mut out);
        let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / 1e4;
        assert!(out.iter().all(|&x| x < 12_289) && (mean - 6144.0).abs() < 150.0, "{mean}");
    }
}
