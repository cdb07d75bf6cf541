//! The inner loop of every product, compiled for the vector units that the machine has.
//!
//! `a0[i] += w[i]·x0[i]`, `a1[i] += w[i]·x1[i]`: 32-bit residues, 64-bit sums that are reduced after
//! [`LAZY`](crate::params::LAZY) products at the latest. The loop below is the specification; its siblings are the same
//! loop under wider target features. Nothing branches on a value.

/// Coefficients whose sums share a pass over the plaintexts: four pages of each.
pub(crate) const BLOCK: usize = 2048;

#[inline(always)]
fn body(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
    for ((((a0, a1), w), x0), x1) in a0.iter_mut().zip(a1).zip(w).zip(x0).zip(x1) {
        *a0 = a0.wrapping_add(u64::from(*w) * u64::from(*x0));
        *a1 = a1.wrapping_add(u64::from(*w) * u64::from(*x1));
    }
}

/// The two multiply-accumulates of a plaintext with a ciphertext. Slices of one length.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls functions whose target features were just detected")]
pub(crate) fn accumulate(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F.
        unsafe { accumulate_avx512(a0, a1, w, x0, x1) }
    } else if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { accumulate_avx2(a0, a1, w, x0, x1) }
    } else {
        body(a0, a1, w, x0, x1);
    }
}

/// The two multiply-accumulates of a plaintext with a ciphertext. Slices of one length.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn accumulate(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn accumulate_avx512(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn accumulate_avx2(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    #[test]
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls the variant it names"))]
    fn all_variants_equal_the_loop() {
        let mut prg = Prg::new(Block::from(1));
        for len in [0, 1, 7, 8, 9, 31, BLOCK] {
            let mut draw = || (0..len).map(|_| prg.next_u64() as u32 >> 5).collect::<Vec<_>>();
            let (w, x0, x1) = (draw(), draw(), draw());
            let mut expected = [vec![3; len], vec![5; len]];
            let mut got = expected.clone();
            for i in 0..len {
                expected[0][i] += u64::from(w[i]) * u64::from(x0[i]);
                expected[1][i] += u64::from(w[i]) * u64::from(x1[i]);
            }
            let [a0, a1] = &mut got;
            accumulate(a0, a1, &w, &x0, &x1);
            assert_eq!(got, expected);
            let mut got = [vec![3; len], vec![5; len]];
            let [a0, a1] = &mut got;
            body(a0, a1, &w, &x0, &x1);
            assert_eq!(got, expected);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                let mut got = [vec![3; len], vec![5; len]];
                let [a0, a1] = &mut got;
                // SAFETY: the processor has AVX2.
                unsafe { accumulate_avx2(a0, a1, &w, &x0, &x1) }
                assert_eq!(got, expected);
            }
        }
    }
}
