//! The inner loops, compiled for the vector units that the machine has.
//!
//! Each loop is written once in safe code, which is the specification, and compiled again under wider
//! target features; which of them runs is decided by the processor. The two multiply-accumulates
//! have hand-written siblings in [`wide`] for AVX-512 and in [`avx2`], since their speed is a matter of
//! registers. Nothing branches on a value.

use crate::modulus::Modulus;

/// Coefficients whose sums are held at a time in [`dot`].
const CHUNK: usize = 512;

/// Coefficients whose sums stay in the first-level cache.
pub(crate) const BLOCK: usize = 2048;

/// Compiles a function of slices for each class of vector units and chooses at run time.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "calls functions whose features were just detected")
        )]
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512($($arg: $type),*) { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) { body($($arg),*) }
                if has_avx512() {
                    // SAFETY: the processor has the features of `avx512`.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod pairs;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512dq")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

vectorized! {
    /// `a0 += w·x0`, `a1 += w·x1`: the multiply-accumulates of a plaintext with a ciphertext.
    pub(crate) fn accumulate(a0: &mut [u64], a1: &mut [u64], w: &[u32], x0: &[u32], x1: &[u32]) {
        for ((((a0, a1), w), x0), x1) in a0.iter_mut().zip(a1).zip(w).zip(x0).zip(x1) {
            *a0 = a0.wrapping_add(u64::from(*w) * u64::from(*x0));
            *a1 = a1.wrapping_add(u64::from(*w) * u64::from(*x1));
        }
    }
}

/// One factor of a product under one prime: a plaintext and both halves of a ciphertext.
pub(crate) type Product<'a> = (&'a [u32], &'a [u32], &'a [u32]);

/// `out_h[j] = sum_i w_i[j]·x_ih[j] mod p` for both halves h. All slices have one length, a multiple of
/// [`CHUNK`]; `lazy` products of residues fit 64 bits.
pub(crate) fn dot(
    m: &Modulus,
    lazy: usize,
    products: &[Product<'_>],
    out0: &mut [u32],
    out1: &mut [u32],
) {
    let one = m.scaler(1);
    let blocks = out0.chunks_exact_mut(CHUNK).zip(out1.chunks_exact_mut(CHUNK));
    for (block, (out0, out1)) in blocks.enumerate() {
        let (mut a0, mut a1) = ([0u64; CHUNK], [0u64; CHUNK]);
        // A reduced sum counts as one product.
        for products in products.chunks(lazy - 1) {
            dot_block(products, block * CHUNK, &mut a0, &mut a1);
            reduce(m, one, &mut a0);
            reduce(m, one, &mut a1);
        }
        narrow(&a0, out0);
        narrow(&a1, out1);
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "calls a function whose features were just detected")]
fn dot_block(products: &[Product<'_>], at: usize, a0: &mut [u64; CHUNK], a1: &mut [u64; CHUNK]) {
    if has_avx512() {
        // SAFETY: the processor has AVX-512F.
        unsafe { wide::dot(products, at, a0, a1) }
    } else if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { avx2::dot(products, at, a0, a1) }
    } else {
        dot_portable(products, at, a0, a1);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn dot_block(products: &[Product<'_>], at: usize, a0: &mut [u64; CHUNK], a1: &mut [u64; CHUNK]) {
    dot_portable(products, at, a0, a1);
}

vectorized! {
    fn dot_portable(
        products: &[Product<'_>],
        at: usize,
        a0: &mut [u64; CHUNK],
        a1: &mut [u64; CHUNK],
    ) {
        for (w, x0, x1) in products {
            let range = at..at + CHUNK;
            accumulate(a0, a1, &w[range.clone()], &x0[range.clone()], &x1[range]);
        }
    }
}

vectorized! {
    /// `a·c mod p`, c given by its scaler.
    fn reduce(m: &Modulus, scaler: u32, a: &mut [u64]) {
        for a in a {
            *a = u64::from(m.scale(*a, scaler));
        }
    }
}

vectorized! {
    fn narrow(a: &[u64], out: &mut [u32]) {
        for (out, a) in out.iter_mut().zip(a) {
            *out = *a as u32;
        }
    }
}

vectorized! {
    /// `x = (x + w·y)·c mod p`.
    pub(crate) fn multiply_add(m: &Modulus, scaler: u32, x: &mut [u32], w: &[u32], y: &[u32]) {
        for ((x, w), y) in x.iter_mut().zip(w).zip(y) {
            *x = m.scale(u64::from(*x) + u64::from(*w) * u64::from(*y), scaler);
        }
    }
}

vectorized! {
    /// `out = (x + w·y)·c mod p`.
    pub(crate) fn multiply_added(
        m: &Modulus,
        scaler: u32,
        x: &[u32],
        w: &[u32],
        y: &[u32],
        out: &mut [u32],
    ) {
        for (((x, w), y), out) in x.iter().zip(w).zip(y).zip(out) {
            *out = m.scale(u64::from(*x) + u64::from(*w) * u64::from(*y), scaler);
        }
    }
}

vectorized! {
    /// `out = x·y·c mod p`.
    pub(crate) fn multiply(m: &Modulus, scaler: u32, x: &[u32], y: &[u32], out: &mut [u32]) {
        for ((x, y), out) in x.iter().zip(y).zip(out) {
            *out = m.scale(u64::from(*x) * u64::from(*y), scaler);
        }
    }
}

vectorized! {
    /// `x = x·y·c mod p`.
    pub(crate) fn multiply_by(m: &Modulus, scaler: u32, x: &mut [u32], y: &[u32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x = m.scale(u64::from(*x) * u64::from(*y), scaler);
        }
    }
}

vectorized! {
    /// `x = x·c mod p`.
    pub(crate) fn scale(m: &Modulus, scaler: u32, x: &mut [u32]) {
        for x in x {
            *x = m.scale(u64::from(*x), scaler);
        }
    }
}

vectorized! {
    /// `out = x·c mod p` of wide x.
    pub(crate) fn scale_wide(m: &Modulus, scaler: u32, x: &[u64], out: &mut [u32]) {
        for (x, out) in x.iter().zip(out) {
            *out = m.scale(*x, scaler);
        }
    }
}

vectorized! {
    /// `x += y mod p`.
    pub(crate) fn add(m: &Modulus, x: &mut [u32], y: &[u32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x = m.add(*x, *y);
        }
    }
}

vectorized! {
    /// `x = 2·x mod p`.
    pub(crate) fn double(m: &Modulus, x: &mut [u32]) {
        for x in x {
            *x = m.add(*x, *x);
        }
    }
}

vectorized! {
    /// `x, y = x + y, x - y mod p`.
    pub(crate) fn butterfly(m: &Modulus, x: &mut [u32], y: &mut [u32]) {
        for (x, y) in x.iter_mut().zip(y) {
            (*x, *y) = (m.add(*x, *y), m.sub(*x, *y));
        }
    }
}

vectorized! {
    /// Small signed integers to residues.
    pub(crate) fn lift_small(m: &Modulus, x: &[i8], out: &mut [u32]) {
        for (x, out) in x.iter().zip(out) {
            *out = m.small(i32::from(*x));
        }
    }
}

vectorized! {
    /// Signed integers of absolute value below p to residues.
    pub(crate) fn lift(m: &Modulus, x: &[i32], out: &mut [u32]) {
        for (x, out) in x.iter().zip(out) {
            *out = m.small(*x);
        }
    }
}

vectorized! {
    /// `x = (x + small)·c mod p`.
    pub(crate) fn add_small_scale(m: &Modulus, scaler: u32, x: &mut [u32], small: &[i8]) {
        for (x, small) in x.iter_mut().zip(small) {
            *x = m.scale(u64::from(*x) + u64::from(m.small(i32::from(*small))), scaler);
        }
    }
}

vectorized! {
    /// `x = small - x mod p`.
    pub(crate) fn small_minus(m: &Modulus, x: &mut [u32], small: &[i8]) {
        for (x, small) in x.iter_mut().zip(small) {
            *x = m.sub(m.small(i32::from(*small)), *x);
        }
    }
}

vectorized! {
    /// `x += carry - rest/t mod p` where `inverse_t` is the scaler of 1/t.
    pub(crate) fn add_encoding(
        m: &Modulus,
        inverse_t: u32,
        rest: &[u64],
        carry: &[u32],
        x: &mut [u32],
    ) {
        for ((x, rest), carry) in x.iter_mut().zip(rest).zip(carry) {
            *x = m.add(*x, m.sub(*carry, m.scale(*rest, inverse_t)));
        }
    }
}

vectorized! {
    /// `x += low + 2^64·high - half mod p`, the scalers of 1 and 2^64 and half being the constants.
    pub(crate) fn add_wide(
        m: &Modulus,
        constants: [u32; 3],
        low: &[u64],
        high: &[u64],
        x: &mut [u32],
    ) {
        let [one, two64, half] = constants;
        for ((x, low), high) in x.iter_mut().zip(low).zip(high) {
            let wide = m.add(m.scale(*low, one), m.scale(*high, two64));
            *x = m.add(*x, m.sub(wide, half));
        }
    }
}

vectorized! {
    /// `sum += x·whole`, `part += x·(high + low/2^32)` where `part` counts 2^-28: one term of a change of
    /// modulus.
    pub(crate) fn add_fraction(
        whole: u64,
        fraction: [u64; 2],
        x: &[u32],
        sum: &mut [u64],
        part: &mut [u64],
    ) {
        let [high, low] = fraction;
        for ((x, sum), part) in x.iter().zip(sum).zip(part) {
            let x = u64::from(*x);
            *sum = sum.wrapping_add(x.wrapping_mul(whole));
            *part += x * high + ((x * low) >> 32);
        }
    }
}

vectorized! {
    /// `sum += x·whole`, for the further primes of a change of modulus.
    pub(crate) fn add_multiple(whole: u64, x: &[u32], sum: &mut [u64]) {
        for (x, sum) in x.iter().zip(sum) {
            *sum = sum.wrapping_add(u64::from(*x) * whole);
        }
    }
}

vectorized! {
    /// `sum += floor(part / 2^28)`.
    pub(crate) fn add_floor(part: &[u64], sum: &mut [u64]) {
        for (part, sum) in part.iter().zip(sum) {
            *sum = sum.wrapping_add(part >> 28);
        }
    }
}

vectorized! {
    /// `part = word mod 2^28`: the coins of a randomised rounding.
    pub(crate) fn rounding_coins(words: &[u64], part: &mut [u64]) {
        for (word, part) in words.iter().zip(part) {
            *part = word & 0x0fff_ffff;
        }
    }
}

vectorized! {
    /// `out = D·2^pad`, D the upper half of a word.
    pub(crate) fn shift_dither(words: &[u64], pad: u32, out: &mut [u64]) {
        for (word, out) in words.iter().zip(out) {
            *out = (word >> 32) << pad;
        }
    }
}

vectorized! {
    /// `sum +=` the 32 bits of x above `shift`.
    pub(crate) fn add_part(x: &[u64], shift: u32, sum: &mut [u64]) {
        for (x, sum) in x.iter().zip(sum) {
            *sum += (x >> shift) & 0xffff_ffff;
        }
    }
}

vectorized! {
    /// `sum = floor(sum / 2^32)`: from one limb of 32 bits to the next.
    pub(crate) fn carry(sum: &mut [u64]) {
        for sum in sum {
            *sum >>= 32;
        }
    }
}

vectorized! {
    /// The same; the bits of the limb above the lowest `drop` go to `out`.
    pub(crate) fn take_limb(sum: &mut [u64], drop: u32, out: &mut [u64]) {
        for (sum, out) in sum.iter_mut().zip(out) {
            *out = (*sum & 0xffff_ffff) >> drop;
            *sum >>= 32;
        }
    }
}

vectorized! {
    /// `limb + 2^32·carry = (2^31 - D)·2^pad`, D the upper half of a word, pad below 32.
    pub(crate) fn undo_dither(words: &[u64], pad: u32, limb: &mut [u32], carry: &mut [i64]) {
        for ((word, limb), carry) in words.iter().zip(limb).zip(carry) {
            let value = ((1 << 31) - (word >> 32) as i64) << pad;
            *limb = value as u32;
            *carry = value >> 32;
        }
    }
}

vectorized! {
    /// `limb + 2^32·carry = x·2^shift + carry`, x·2^shift below 2^32.
    pub(crate) fn add_carry(x: &[u64], shift: u32, limb: &mut [u32], carry: &mut [i64]) {
        for ((x, limb), carry) in x.iter().zip(limb).zip(carry) {
            let value = (x << shift) as i64 + *carry;
            *limb = value as u32;
            *carry = value >> 32;
        }
    }
}

vectorized! {
    /// Residues modulo `from`, taken in -from/2..from/2, to residues modulo another prime that is
    /// greater than from/2.
    pub(crate) fn recentre(from: u32, to: &Modulus, x: &[u32], out: &mut [u32]) {
        for (x, out) in x.iter().zip(out) {
            // All ones where x > from/2.
            let negative = ((from / 2).wrapping_sub(*x) as i32 >> 31) as u32;
            let value = x.wrapping_sub(from & negative);
            let value = value.wrapping_add(to.p & (value as i32 >> 31) as u32);
            // from/2 < to, but a value above `to` cannot occur: |value| <= from/2.
            *out = value;
        }
    }
}

vectorized! {
    /// `x = (x - y)·c mod p`.
    pub(crate) fn subtract_scale(m: &Modulus, scaler: u32, x: &mut [u32], y: &[u32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x = m.scale(u64::from(m.sub(*x, *y)), scaler);
        }
    }
}

#[cfg(test)]
mod tests;
