//! The loops that take the time, compiled for the vector units at hand.
//!
//! Each body is the specification and is compiled three times: as it stands, under AVX2 and under
//! AVX-512, chosen by what the processor has. Nothing branches on a value.

use crate::modulus::Modulus;

/// Functions on slices, each with siblings under wider target features.
macro_rules! vectorized {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$doc])*
        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "calls functions whose target features were just detected")
        )]
        pub(super) fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) {
                    body($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    body($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has AVX-512F.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*);
        }
    )*};
}

vectorized! {
    /// `a0[i] += w·x0[i]`, `a1[i] += w·x1[i]`: a plaintext of period m/2 has m runs of equal values in
    /// transformed form. Slices of one length.
    fn accumulate_constant(a0: &mut [u64], a1: &mut [u64], w: u32, x0: &[u32], x1: &[u32]) {
        for (((a0, a1), x0), x1) in a0.iter_mut().zip(a1).zip(x0).zip(x1) {
            *a0 = a0.wrapping_add(u64::from(w) * u64::from(*x0));
            *a1 = a1.wrapping_add(u64::from(w) * u64::from(*x1));
        }
    }

    /// `out[i] = x[i]·c`, `scaler` that of c.
    fn scale_sums(m: &Modulus, scaler: u32, x: &[u64], out: &mut [u32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = m.scale(x, scaler);
        }
    }

    /// `x[i] *= c`, `scaler` that of c.
    fn scale_all(m: &Modulus, scaler: u32, x: &mut [u32]) {
        for x in x {
            *x = m.scale(u64::from(*x), scaler);
        }
    }

    /// `x[i] += a[i]·b[i]`, `one` the scaler of 1.
    fn add_products(m: &Modulus, one: u32, a: &[u32], b: &[u32], x: &mut [u32]) {
        for ((x, &a), &b) in x.iter_mut().zip(a).zip(b) {
            *x = m.add(*x, m.scale(u64::from(a) * u64::from(b), one));
        }
    }

    /// `out[i] = x[i]` for |x[i]| < lift, a multiple of p; `one` the scaler of 1.
    fn signed(m: &Modulus, one: u32, lift: u64, x: &[i64], out: &mut [u32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = m.scale((x as u64).wrapping_add(lift), one);
        }
    }

    /// `x[i] = (x[i] - rest[i])·c + add[i]`, `scaler` that of c.
    fn quotients(m: &Modulus, scaler: u32, rest: &[u32], add: &[u32], x: &mut [u32]) {
        for ((x, &rest), &add) in x.iter_mut().zip(rest).zip(add) {
            *x = m.add(m.scale(m.sub(*x, rest).into(), scaler), add);
        }
    }

    /// `x[i] += (u[i] - rest[i])·c`, `scaler` that of c.
    fn add_differences(m: &Modulus, scaler: u32, u: &[u64], rest: &[u64], x: &mut [u32]) {
        for ((x, &u), &rest) in x.iter_mut().zip(u).zip(rest) {
            *x = m.add(*x, m.sub(m.scale(u, scaler), m.scale(rest, scaler)));
        }
    }

    /// `x[i] = x[i]·2^64 + words[i]`, with the scalers of 2^64 and 1.
    fn append_words(m: &Modulus, two64: u32, one: u32, words: &[u64], x: &mut [u32]) {
        for (x, &word) in x.iter_mut().zip(words) {
            *x = m.add(m.scale(u64::from(*x), two64), m.scale(word, one));
        }
    }

    /// The integers of least absolute value that are r modulo p.
    fn centre_one(p: u32, r: &[u32], out: &mut [i64]) {
        for (out, &r) in out.iter_mut().zip(r) {
            *out = centre(i64::from(r), i64::from(p));
        }
    }

    /// The integers of least absolute value that are r0 modulo p0 and r1 modulo p1, with the scalers
    /// of 1 and of 1/p0 modulo p1.
    fn centre_two(p0: u32, m1: &Modulus, one: u32, inverse: u32, r0: &[u32], r1: &[u32], out: &mut [i64]) {
        let product = i64::from(p0) * i64::from(m1.p);
        for ((out, &r0), &r1) in out.iter_mut().zip(r0).zip(r1) {
            let difference = m1.sub(r1, m1.scale(r0.into(), one));
            let digit = u64::from(m1.scale(difference.into(), inverse));
            *out = centre((u64::from(r0) + u64::from(p0) * digit) as i64, product);
        }
    }
}

/// From 0..modulus to the representative of least absolute value.
#[inline(always)]
fn centre(x: i64, modulus: i64) -> i64 {
    x - (modulus & ((modulus / 2 - x) >> 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    const P: u32 = 133_857_281;
    const P0: u32 = 133_824_513;

    /// Every loop against its definition in wide integers, at lengths around those of registers.
    #[test]
    fn all_loops_are_their_definitions() {
        let mut prg = Prg::new(Block::from(1));
        let m = Modulus::new(P, 8192).unwrap();
        let p = i128::from(P);
        let modulo = |x: i128| x.rem_euclid(p) as u32;
        for len in [0, 1, 7, 8, 9, 31, 1024] {
            let mut residues =
                || (0..len).map(|_| (prg.next_u64() % u64::from(P)) as u32).collect::<Vec<_>>();
            let (a, b, c) = (residues(), residues(), residues());
            let mut words = || (0..len).map(|_| prg.next_u64()).collect::<Vec<_>>();
            let (u, v) = (words(), words());
            let wide = |x: u32| i128::from(x);
            let k = 12_345_678;
            let (one, scaler) = (m.scaler(1), m.scaler(k));
            let k = i128::from(k);
            let check = |got: &[u32], expected: &dyn Fn(usize) -> i128| {
                assert!((0..len).all(|i| got[i] == modulo(expected(i))), "{len}");
            };

            let (mut a0, mut a1) = (vec![3; len], vec![5; len]);
            accumulate_constant(&mut a0, &mut a1, P - 1, &a, &b);
            assert!((0..len).all(|i| i128::from(a0[i]) == 3 + (p - 1) * wide(a[i])));
            assert!((0..len).all(|i| i128::from(a1[i]) == 5 + (p - 1) * wide(b[i])));

            let mut x = a.clone();
            scale_sums(&m, scaler, &u, &mut x);
            check(&x, &|i| i128::from(u[i]) * k);
            scale_all(&m, scaler, &mut x);
            check(&x, &|i| i128::from(u[i]) % p * k * k);
            let mut x = a.clone();
            add_products(&m, one, &b, &c, &mut x);
            check(&x, &|i| wide(a[i]) + wide(b[i]) * wide(c[i]));
            let integers: Vec<i64> = u.iter().map(|&u| u as i64 >> 3).collect();
            signed(&m, one, (1u64 << 61).next_multiple_of(P.into()), &integers, &mut x);
            check(&x, &|i| i128::from(integers[i]));
            let mut x = a.clone();
            quotients(&m, scaler, &b, &c, &mut x);
            check(&x, &|i| (wide(a[i]) - wide(b[i])) * k + wide(c[i]));
            let mut x = a.clone();
            add_differences(&m, scaler, &u, &v, &mut x);
            check(&x, &|i| wide(a[i]) + (i128::from(u[i]) - i128::from(v[i])) * k);
            let mut x = a.clone();
            let two64 = m.scaler(((1u128 << 64) % u128::from(P)) as u32);
            append_words(&m, two64, one, &u, &mut x);
            check(&x, &|i| (wide(a[i]) << 64) + i128::from(u[i]));

            let mut out = vec![0; len];
            centre_one(P, &a, &mut out);
            check(&a, &|i| i128::from(out[i]));
            assert!(out.iter().all(|x| x.abs() <= i64::from(P / 2)));
            let low: Vec<u32> = a.iter().map(|&x| x % P0).collect();
            let inverse = m.scaler(m.invert(P0 % P));
            centre_two(P0, &m, one, inverse, &low, &b, &mut out);
            check(&b, &|i| i128::from(out[i]));
            let half = i64::from(P0) * i64::from(P) / 2;
            assert!((0..len).all(|i| out[i].rem_euclid(P0.into()) == i64::from(low[i])));
            assert!(out.iter().all(|x| x.abs() <= half));
        }
    }
}
