//! Sums of residues times short integers, two at a time.
//!
//! A residue x < 2^28 is lo + 2^14·hi with two halves that are short integers themselves. With
//! weights of at most 15 bits and a sign, both halves times a weight are products of 16-bit integers, which
//! vector units add up in pairs, sixteen lanes of 32 bits in one instruction, where products of residues by
//! residues take 64-bit lanes and two instructions. Two vectors x, y of residues share a word: the
//! lower halves of x_j and y_j one, the upper halves another. The sums stay exact as long as
//! [`pairs_at_once`] says; [`fold`] takes them back to residues.

use super::{Modulus, has_avx512};

/// Sums that share a pass over the vectors.
pub(crate) const FILTERS: usize = 8;
/// Residues of one step: the lanes of a vector.
pub(crate) const STEP: usize = 16;
/// Words of a pair of vectors in one step: lower halves, then upper halves.
pub(crate) const PAIR: usize = 2 * STEP;
/// Residues whose sums are held at a time, in the first-level cache.
pub(crate) const SPAN: usize = 256;
/// Bits of a lower half.
const HALF: u32 = 14;
/// Weights are below 2^this in absolute value.
const WEIGHT_BITS: u32 = 15;
/// Bits of a limb of a weight that is longer.
const LIMB: u32 = 14;

/// Sums of the lower and of the upper halves for each filter.
pub(crate) type Sums = [[[i32; SPAN]; 2]; FILTERS];

/// How many short limbs a weight of this bound is written in: w = sum of limb_k·2^(14·k).
pub(crate) fn limbs(mut bound: u64) -> usize {
    let mut limbs = 1;
    while bound >= 1 << WEIGHT_BITS {
        bound = (bound + (1 << (LIMB - 1))) >> LIMB;
        limbs += 1;
    }
    limbs
}

/// Limb k of a weight of so many limbs: balanced digits, the rest last.
pub(crate) fn limb(weight: i32, k: usize, limbs: usize) -> i16 {
    let mut rest = i64::from(weight);
    let half = 1 << (LIMB - 1);
    for place in 0..limbs {
        if place + 1 == limbs {
            break;
        }
        let digit = ((rest + half) & ((1 << LIMB) - 1)) - half;
        if place == k {
            return digit as i16;
        }
        rest = (rest - digit) >> LIMB;
    }
    rest as i16
}

/// What limb k counts: 2^(14·k) as an integer.
pub(crate) fn limb_weight(k: usize) -> u64 {
    1 << (LIMB as usize * k)
}

/// How many pairs a 32-bit sum holds, for weights of this bound.
pub(crate) fn pairs_at_once(bound: u64) -> usize {
    let largest = if limbs(bound) == 1 { bound.max(1) } else { (1 << WEIGHT_BITS) - 1 };
    (i32::MAX as u64 / (largest * ((1 << HALF) - 1)) / 2).max(1) as usize
}

/// Two short weights in the word that multiplies a pair.
pub(crate) fn pair(first: i16, second: i16) -> u32 {
    u32::from(first as u16) | u32::from(second as u16) << 16
}

vectorized! {
    /// Writes a pair of vectors of residues: `out` is `[step][..][PAIR]` with so many words a step, the pair the
    /// first of each.
    pub(crate) fn place(a: &[u32], b: &[u32], words: usize, out: &mut [u32]) {
        let low = (1 << HALF) - 1;
        let steps = a.chunks_exact(STEP).zip(b.chunks_exact(STEP)).zip(out.chunks_mut(words));
        for ((a, b), out) in steps {
            let (lows, highs) = out[..PAIR].split_at_mut(STEP);
            for (((a, b), lows), highs) in a.iter().zip(b).zip(lows).zip(highs) {
                *lows = (a & low) | (b & low) << 16;
                *highs = (a >> HALF) | (b >> HALF) << 16;
            }
        }
    }
}

/// The sums over these pairs for one span: `x` is `[step][pair][PAIR]` with `pairs` of them a step, and `weights`
/// belong to those from `first` on.
pub(crate) fn sums(
    weights: &[[u32; FILTERS]],
    first: usize,
    x: &[u32],
    pairs: usize,
    sums: &mut Sums,
) {
    for (step, x) in x.chunks_exact(pairs * PAIR).take(SPAN / STEP).enumerate() {
        let x = &x[first * PAIR..(first + weights.len()) * PAIR];
        step_sums(weights, x, step * STEP, sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls a function whose features were just detected")]
fn step_sums(weights: &[[u32; FILTERS]], x: &[u32], at: usize, sums: &mut Sums) {
    if has_avx512() && std::arch::is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the processor has AVX-512F and VNNI.
        unsafe { super::wide::step_sums(weights, x, at, sums) }
    } else if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { super::avx2::step_sums(weights, x, at, sums) }
    } else {
        step_portable(weights, x, at, sums);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn step_sums(weights: &[[u32; FILTERS]], x: &[u32], at: usize, sums: &mut Sums) {
    step_portable(weights, x, at, sums);
}

vectorized! {
    fn step_portable(weights: &[[u32; FILTERS]], x: &[u32], at: usize, sums: &mut Sums) {
        for f in 0..FILTERS {
            for half in 0..2 {
                let mut sum = [0i32; STEP];
                for (weights, x) in weights.iter().zip(x.chunks_exact(PAIR)) {
                    let (w0, w1) = parts(weights[f]);
                    for (sum, x) in sum.iter_mut().zip(&x[half * STEP..]) {
                        let (x0, x1) = parts(*x);
                        *sum = sum.wrapping_add(w0 * x0 + w1 * x1);
                    }
                }
                sums[f][half][at..at + STEP].copy_from_slice(&sum);
            }
        }
    }
}

#[inline(always)]
fn parts(word: u32) -> (i32, i32) {
    (i32::from(word as i16), i32::from((word >> 16) as i16))
}

vectorized! {
    /// `out = (out or 0) + (lo + 2^14·hi)·c mod p`, c given by its scaler; `keep` is all ones if `out` is to
    /// be kept and otherwise 0.
    pub(crate) fn fold(
        m: &Modulus,
        scaler: u32,
        sums: &[[i32; SPAN]; 2],
        keep: u32,
        out: &mut [u32],
    ) {
        let [lo, hi] = sums;
        // A multiple of p above the absolute value of any sum, as p exceeds 2^19.
        let lift = i64::from(m.p) << 27;
        for ((lo, hi), out) in lo.iter().zip(hi).zip(out) {
            let sum = i64::from(*lo) + (i64::from(*hi) << HALF) + lift;
            *out = m.add(*out & keep, m.scale(sum as u64, scaler));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    const P: u32 = 268_369_921;

    #[test]
    fn limbs_are_short_and_add_up() {
        assert_eq!([0, 1, 32_767, 32_768, 1 << 28, 1 << 31].map(limbs), [1, 1, 1, 2, 2, 3]);
        for bound in [1u64, 2048, 32_767, 32_768, 1 << 20, 1 << 28, 1 << 31] {
            let count = limbs(bound);
            let top = bound.min(i32::MAX as u64) as i32;
            for w in [0, 1, -1, top, -top, top - 1, top / 2, -top / 3, (1 << 13).min(top)] {
                let parts =
                    (0..count).map(|k| i64::from(limb(w, k, count)) * limb_weight(k) as i64);
                assert_eq!(parts.sum::<i64>(), i64::from(w), "{w} in {count}");
            }
        }
    }

    /// Against the definition at the extremes, with as many pairs as a sum may hold; what runs here, what AVX2 would
    /// where a processor has more, and the portable loops.
    #[test]
    fn sums_are_their_definition() {
        let m = Modulus::new(P, 4096).unwrap();
        let mut prg = Prg::new(Block::from(2));
        for (bound, wanted) in [(2048u64, 32), (32_767, 2), (1, 40), (1 << 20, 2), (300, 0)] {
            let count = wanted.min(pairs_at_once(bound));
            let short = bound.min(32_767) as i16;
            let total = count + 1;
            let x: Vec<Vec<u32>> = (0..2 * total)
                .map(|i| {
                    (0..SPAN)
                        .map(|j| match (i + j) % 3 {
                            0 => P - 1,
                            _ => prg.next_u64() as u32 % P,
                        })
                        .collect()
                })
                .collect();
            let mut placed = vec![0; SPAN / STEP * total * PAIR];
            for (i, two) in x.chunks_exact(2).enumerate() {
                place(&two[0], &two[1], total * PAIR, &mut placed[i * PAIR..]);
            }
            let short_weights: Vec<[[i16; 2]; FILTERS]> = (0..count)
                .map(|i| {
                    std::array::from_fn(|f| match (f, i % 2) {
                        (0, _) => [short, short],
                        (1, _) => [-short, -short],
                        (2, 0) => [0, short],
                        _ => [(); 2].map(|()| {
                            (prg.next_u64() % (2 * u64::from(short as u16) + 1)) as i16 - short
                        }),
                    })
                })
                .collect();
            let weights: Vec<[u32; FILTERS]> =
                short_weights.iter().map(|w| w.map(|[a, b]| pair(a, b))).collect();
            let mut got = [[[7; SPAN]; 2]; FILTERS];
            sums(&weights, 1, &placed, total, &mut got);
            let by = |step_sums: &dyn Fn(&[u32], usize, &mut Sums)| {
                let mut sums = [[[9; SPAN]; 2]; FILTERS];
                for (step, x) in placed.chunks_exact(total * PAIR).enumerate() {
                    step_sums(&x[PAIR..], step * STEP, &mut sums);
                }
                sums
            };
            let portable = by(&|x, at, sums| step_portable(&weights, x, at, sums));
            assert!(got == portable, "{bound}");
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[expect(
                    unsafe_code,
                    reason = "calls a function whose features were just detected"
                )]
                // SAFETY: the processor has AVX2.
                let avx2 = by(&|x, at, sums| unsafe {
                    crate::kernels::avx2::step_sums(&weights, x, at, sums);
                });
                assert!(avx2 == portable, "{bound}");
            }
            for (f, got) in got.iter().enumerate() {
                let mut out: Vec<u32> = (0..SPAN as u32).collect();
                fold(&m, m.scaler(3), got, u32::MAX, &mut out);
                let mut new = vec![u32::MAX; SPAN];
                fold(&m, m.scaler(3), got, 0, &mut new);
                assert!(new.iter().zip(&out).zip(0..).all(|((&a, &b), j)| b == m.add(a, j)));
                for (j, &out) in out.iter().enumerate() {
                    let sum: i128 = short_weights
                        .iter()
                        .enumerate()
                        .map(|(i, w)| {
                            let x = |k: usize| i128::from(x[2 * (i + 1) + k][j]);
                            i128::from(w[f][0]) * x(0) + i128::from(w[f][1]) * x(1)
                        })
                        .sum();
                    let expected = (3 * sum + j as i128).rem_euclid(P.into());
                    assert_eq!(i128::from(out), expected, "{bound} {f} {j}");
                }
            }
        }
    }
}
