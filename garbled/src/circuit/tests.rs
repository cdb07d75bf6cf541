//! Circuits in cleartext against integers.

use super::words::constant;
use super::*;
use proptest::prelude::*;

fn bits(x: u128, width: u32) -> Vec<bool> {
    (0..width).map(|i| x >> i & 1 == 1).collect()
}

fn number(bits: &[bool]) -> u128 {
    bits.iter().rev().fold(0, |sum, &bit| sum << 1 | u128::from(bit))
}

/// A circuit of two words, run.
fn run(
    width: u32,
    a: u128,
    b: u128,
    build: impl FnOnce(&mut Builder, &[Bit], &[Bit]) -> Word,
) -> (u128, Circuit) {
    let mut builder = Builder::default();
    let (x, y) = (builder.garbler_word(width), builder.evaluator_word(width));
    let out = build(&mut builder, &x, &y);
    let circuit = builder.finish(&out);
    (number(&circuit.evaluate_plain(&bits(a, width), &bits(b, width), &[])), circuit)
}

proptest! {
    #[test]
    fn arithmetic(width in 1u32..=64, a: u64, b: u64, d: u64, shift in 0u32..64) {
        let modulus = 1u128 << width;
        let (a, b) = (u128::from(a) % modulus, u128::from(b) % modulus);
        let (sum, circuit) = run(width, a, b, |c, x, y| {
            let (mut sum, carry) = c.add(x, y);
            sum.push(carry);
            sum
        });
        prop_assert_eq!(sum, a + b);
        prop_assert_eq!(circuit.ands(), width as usize);
        let (sum, circuit) = run(width, a, b, |c, x, y| c.add(x, y).0);
        prop_assert_eq!(sum, (a + b) % modulus);
        prop_assert_eq!(circuit.ands(), width as usize - 1);
        let (difference, _) = run(width, a, b, |c, x, y| {
            let (mut difference, fits) = c.subtract(x, y);
            difference.push(fits);
            difference
        });
        prop_assert_eq!(difference, modulus + a - b);
        let (greater, circuit) = run(width, a, b, |c, x, y| vec![c.greater(x, y)]);
        prop_assert_eq!(greater, u128::from(a > b));
        prop_assert_eq!(circuit.ands(), width as usize);
        let (chosen, _) = run(width, a, b, |c, x, y| c.select(x[0], x, y));
        prop_assert_eq!(chosen, if a & 1 == 1 { a } else { b });
        let n = ((u128::from(d) % modulus) as u64).max(2);
        if u128::from(n) < modulus && width > 1 {
            let (a, b) = (a % u128::from(n), b % u128::from(n));
            let (sum, circuit) = run(width, a, b, |c, x, y| c.add_modular(x, y, n));
            prop_assert_eq!(sum, (a + b) % u128::from(n));
            prop_assert!(circuit.ands() <= 3 * width as usize);
        }
        for divisor in [(d >> shift).max(1), n, 1, 1 << shift] {
            let (quotient, circuit) =
                run(width, a, b, |c, x, _| c.divide_by_constant(x, modulus - 1, divisor));
            prop_assert_eq!(quotient, a / u128::from(divisor));
            if divisor.is_power_of_two() {
                prop_assert_eq!(circuit.ands(), 0);
            }
        }
    }

    #[test]
    fn division_uses_the_bound(max: u32, d in 1u64..5000, x: u32) {
        let x = x.checked_rem(max).unwrap_or(0);
        let divide = |c: &mut Builder, a: &[Bit], _: &[Bit]| {
            c.divide_by_constant(a, max.into(), d)
        };
        let (quotient, _) = run(32, x.into(), 0, divide);
        prop_assert_eq!(quotient, u128::from(x) / u128::from(d));
    }

    #[test]
    fn masked_sums(width in 1u32..=64, y: u64, r: u64) {
        let modulus = 1u128 << width;
        let (y, r) = (u128::from(y) % modulus, u128::from(r) % modulus);
        let mut builder = Builder::default();
        let word = builder.garbler_word(width);
        let out = builder.mask_sum(&word);
        let circuit = builder.finish(&out);
        prop_assert_eq!(circuit.ands(), width as usize - 1);
        prop_assert_eq!(circuit.masks(), width as usize);
        // The mask bit of a position is what makes the masked bit its label's colour: here just any.
        let out = number(&circuit.evaluate_plain(&bits(y, width), &[], &bits(r, width)));
        prop_assert_eq!(out, (y + r) % modulus);
    }
}

#[test]
fn division_is_exhaustively_right_for_small_numbers() {
    for width in 1..=6u32 {
        for d in 1..=70u64 {
            for a in 0..1u128 << width {
                let divide = |c: &mut Builder, x: &[Bit], _: &[Bit]| {
                    c.divide_by_constant(x, (1 << width) - 1, d)
                };
                assert_eq!(run(width, a, 0, divide).0, a / u128::from(d), "{a} / {d}");
            }
        }
    }
}

#[test]
fn what_costs_nothing_is_folded() {
    let mut c = Builder::default();
    let [a, b]: [Bit; 2] = c.garbler_word(2).try_into().unwrap();
    assert_eq!(c.xor(a, a), ZERO);
    assert_eq!(c.xor(a, !a), ONE);
    assert_eq!(c.xor(ONE, b), !b);
    assert_eq!(c.and(a, ZERO), ZERO);
    assert_eq!(c.and(ONE, !a), !a);
    assert_eq!(constant(5, 4), [ONE, ZERO, ONE, ZERO]);
    let unused = c.and(a, b);
    let used = c.xor(a, b);
    let circuit = c.finish(&[used, ONE, !used]);
    assert_eq!(circuit.ands(), 0, "{unused:?}");
    assert_eq!(circuit.evaluate_plain(&[true, false], &[], &[]), [true, true, false]);
}

#[test]
fn slots_are_used_again() {
    let mut c = Builder::default();
    let (mut sum, other) = (c.garbler_word(8), c.evaluator_word(8));
    for _ in 0..50 {
        sum = c.add(&sum, &other).0;
    }
    let circuit = c.finish(&sum);
    assert_eq!(circuit.ands(), 50 * 7);
    assert!(circuit.slots() < 30, "{}", circuit.slots());
    let out = circuit.evaluate_plain(&bits(7, 8), &bits(201, 8), &[]);
    assert_eq!(number(&out), (7 + 50 * 201) % 256);
}
