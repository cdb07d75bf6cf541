//! Distributions: ternary secrets, binomial errors, flooding, uniform residues from a seed.

use crate::params::{ERROR_COINS, Flood};
use sci_core::Prg;

/// Uniform over {-1, 0, 1}. A byte below 3^5 holds five digits; another is drawn again, which says
/// nothing of the digits that are kept.
pub(crate) fn ternary(prg: &mut Prg, out: &mut [i8]) {
    for five in out.chunks_mut(5) {
        let mut byte = loop {
            let byte = prg.next_u64() as u8;
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

/// Uniform over 0..V up to statistical distance 2^-119.
pub(crate) fn flood(prg: &mut Prg, flood: Flood) -> u128 {
    let low = u128::from(prg.next_u64()) << 64 | u128::from(prg.next_u64());
    let low = low & ((1u128 << flood.shift) - 1);
    // floor(r·mantissa / 2^128) for a 128-bit r.
    let (high_word, low_word) = (u128::from(prg.next_u64()), u128::from(prg.next_u64()));
    let mantissa = u128::from(flood.mantissa);
    let high = (high_word * mantissa + ((low_word * mantissa) >> 64)) >> 64;
    high << flood.shift | low
}

/// Uniform modulo p from public randomness, by rejection.
pub(crate) fn uniform_vartime(prg: &mut Prg, p: u32, out: &mut [u32]) {
    let mask = u32::MAX >> (p - 1).leading_zeros();
    for x in out {
        *x = loop {
            let word = prg.next_u64();
            let (a, b) = (word as u32 & mask, (word >> 32) as u32 & mask);
            if a < p {
                break a;
            }
            if b < p {
                break b;
            }
        };
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
            let width = Flood { mantissa, shift }.width();
            let mut bins = [0f64; 16];
            for _ in 0..16_000 {
                let x = flood(&mut prg, Flood { mantissa, shift });
                assert!(x < width);
                bins[(x / width.div_ceil(16)) as usize] += 1.0;
            }
            let chi: f64 = bins.iter().map(|c| (c - 1000.0f64).powi(2) / 1000.0).sum();
            // 15 degrees of freedom; bins of a width of 131·2^k differ by below 0.1 %.
            assert!(chi < 60.0, "{mantissa}·2^{shift}: {chi}");
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
