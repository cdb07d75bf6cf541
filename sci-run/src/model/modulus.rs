//! The prime field of a bitwidth.

use sci_core::{Error, Field, Result};

/// Bits of the largest modulus.
pub const WIDEST: u32 = 62;

/// Batched ciphertexts need n = 1 modulo twice the ring degree, here up to 2^16.
const LOG2_SLOTS: u32 = 17;

/// The moduli of the CrypTFlow2 paper's implementation, for 32..=41 bits.
const PAPER: [u64; 10] = [
    4_293_918_721,
    8_589_475_841,
    17_179_672_577,
    34_359_410_689,
    68_718_428_161,
    137_438_822_401,
    274_876_334_081,
    549_755_486_209,
    1_099_510_054_913,
    2_199_023_190_017,
];

/// The field of `bits` bits: the paper's prime where it names one, otherwise the largest prime that batching
/// allows, or the largest of all where there is none such.
///
/// # Errors
/// Fewer than 2 or more than [`WIDEST`] bits.
pub fn field(bits: u32) -> Result<Field> {
    if !(2..=WIDEST).contains(&bits) {
        return Err(Error::invalid("bits of a field", format_args!("2..={WIDEST}"), bits));
    }
    let paper = bits.checked_sub(32).and_then(|at| PAPER.get(at as usize));
    match paper {
        Some(&n) => Field::new(n),
        None => Field::new(prime(bits)),
    }
}

/// Whether ciphertexts of the usual degrees have a slot for every coefficient: n is a prime, 1 modulo 2^14.
pub fn batches(field: Field) -> bool {
    field.n() % (1 << 14) == 1 && is_prime(field.n())
}

/// The nearest bitwidth whose field batches, the wider of two.
pub fn nearest_batched(bits: u32) -> Option<u32> {
    let has = |bits: &u32| field(*bits).is_ok_and(batches);
    let around = (0..=WIDEST).flat_map(|d| [bits.checked_add(d), bits.checked_sub(d)]);
    around.flatten().find(has)
}

fn prime(bits: u32) -> u64 {
    let top = 1u64 << bits;
    let batched = (1..).map(|i| i << LOG2_SLOTS).take_while(|&below| below < top / 2);
    let mut batched = batched.map(|below| top - below + 1);
    let mut any = (1..top / 2).map(|below| top - below);
    batched.find(|&n| is_prime(n)).or_else(|| any.find(|&n| is_prime(n))).unwrap_or(2)
}

/// Miller-Rabin with the first twelve primes, which is no guess below 2^64.
fn is_prime(n: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if n < 2 || BASES.iter().any(|&p| n.is_multiple_of(p)) {
        return BASES.contains(&n);
    }
    let twos = (n - 1).trailing_zeros();
    let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
    let power = |mut base: u64, mut exponent: u64| {
        let mut out = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                out = mul(out, base);
            }
            (base, exponent) = (mul(base, base), exponent >> 1);
        }
        out
    };
    BASES.iter().all(|&base| {
        let mut x = power(base, (n - 1) >> twos);
        if x == 1 || x == n - 1 {
            return true;
        }
        (1..twos).any(|_| {
            x = mul(x, x);
            x == n - 1
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Domain;

    #[test]
    fn every_bitwidth_has_its_prime() {
        for bits in 2..=WIDEST {
            let field = field(bits).unwrap();
            assert_eq!(field.bits(), bits);
            assert!(is_prime(field.n()), "{bits}");
            // Small ones by trial division.
            let n = field.n();
            assert!(n > 1 << 20 || (2..n).take_while(|p| p * p <= n).all(|p| !n.is_multiple_of(p)));
        }
        for (n, bits) in PAPER.iter().zip(32..) {
            assert!(batches(Field::new(*n).unwrap()));
            assert_eq!(field(bits).unwrap().n(), *n);
        }
        for bits in 0..=64 {
            let nearest = nearest_batched(bits).unwrap();
            assert!(batches(field(nearest).unwrap()));
            let closer = (2..=WIDEST).filter(|x| x.abs_diff(bits) < nearest.abs_diff(bits));
            assert!(closer.into_iter().all(|x| !batches(field(x).unwrap())), "{bits}");
        }
        assert!(field(0).is_err() && field(1).is_err() && field(WIDEST + 1).is_err());
        assert!(!is_prime(1) && !is_prime(3_215_031_751) && !is_prime(1 << 40));
    }
}
