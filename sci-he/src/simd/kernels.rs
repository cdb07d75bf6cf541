//! The inner loop of products with periodic plaintexts, compiled for the vector units at hand.
//!
//! `a0[i] += w·x0[i]`, `a1[i] += w·x1[i]` for one residue w: a plaintext of period m/2 has m runs of
//! equal values in transformed form. The first loop is the specification, its siblings are the same
//! loop under wider target features. Nothing branches on a value.

#[inline(always)]
fn body(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
    for (((a0, a1), x0), x1) in a0.iter_mut().zip(a1).zip(x0).zip(x1) {
        *a0 = a0.wrapping_add(u64::from(w) * u64::from(*x0));
        *a1 = a1.wrapping_add(u64::from(w) * u64::from(*x1));
    }
}

/// The two multiply-accumulates of a constant with a ciphertext. Slices of one length.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls functions whose target features were just detected")]
pub(super) fn accumulate_constant(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
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

/// The two multiply-accumulates of a constant with a ciphertext. Slices of one length.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn accumulate_constant(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn accumulate_avx512(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn accumulate_avx2(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
    body(a0, a1, w, x0, x1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    type Variant = fn(&mut [u64], &mut [u64], u32, &[u32], &[u32]);

    #[test]
    #[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "calls the variant it names"))]
    fn all_variants_equal_the_loop() {
        let mut prg = Prg::new(Block::from(1));
        for len in [0, 1, 7, 8, 9, 31, 1024] {
            let mut draw = || (0..len).map(|_| prg.next_u64() as u32 >> 5).collect::<Vec<_>>();
            let (x0, x1, w) = (draw(), draw(), (1 << 27) - 1);
            let mut expected = [vec![3; len], vec![5; len]];
            for i in 0..len {
                expected[0][i] += u64::from(w) * u64::from(x0[i]);
                expected[1][i] += u64::from(w) * u64::from(x1[i]);
            }
            let run = |variant: Variant| {
                let mut got = [vec![3; len], vec![5; len]];
                let [a0, a1] = &mut got;
                variant(a0, a1, w, &x0, &x1);
                assert_eq!(got, expected);
            };
            run(accumulate_constant);
            run(body);
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                run(|a0, a1, w, x0, x1| {
                    // SAFETY: the processor has AVX2.
                    unsafe { accumulate_avx2(a0, a1, w, x0, x1) }
                });
            }
        }
    }
}
