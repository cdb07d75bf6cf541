//! Division, truncation and AvgPool against floor division and their cost.

use millionaires::Precision;
use proptest::prelude::*;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};
use sci_core::testing::{self, Shared, reveal};
use sci_core::{Block, Domain, Error, Prg, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};
use truncation::Sign;
use truncation::avgpool::{avgpool, avgpool_cost};
use truncation::divide::{divide, divide_cost};
use truncation::truncate::{truncate, truncate_cost, truncate_reduce, truncate_reduce_cost};

fn prg(seed: u64) -> Prg {
    Prg::new(Block([seed, 0x7123]))
}

/// The settings of a case: silent OT where this file is a module of `silent.rs`, else IKNP.
fn settings(radix: u32) -> Settings {
    let silent = module_path!().starts_with("silent");
    let ot = if silent { OtKind::Silent } else { OtKind::Iknp };
    Settings { radix, ..Settings::over(ot) }
}

/// The settings of the papers' costs.
fn iknp(radix: u32) -> Settings {
    Settings { radix, ..Settings::over(OtKind::Iknp) }
}

/// The edges of the ring and those of a division by 49.
fn edges(ring: Ring) -> Vec<u64> {
    let mut edges = testing::edges(ring);
    edges.extend([48, 49, 50].into_iter().filter(|&x| ring.is_canonical(x)));
    edges
}

/// Every value with the edges and three random values as the server's share.
fn with_shares(ring: Ring, values: &[u64], rng: &mut Prg) -> Shared<Ring> {
    let mut masks = edges(ring);
    masks.extend((0..3).map(|_| ring.sample(rng)));
    Shared::masked(ring, values, &masks)
}

fn floor_div(ring: Ring, x: u64, d: u64) -> u64 {
    let q = i128::from(ring.to_signed(x)).div_euclid(i128::from(d));
    ring.from_signed(q as i64)
}

fn of_sign(ring: Ring, sign: Sign, values: Vec<u64>) -> Vec<u64> {
    values
        .into_iter()
        .filter(|&x| match sign {
            Sign::Unknown => true,
            Sign::NonNegative => ring.to_signed(x) >= 0,
            Sign::Negative => ring.to_signed(x) < 0,
        })
        .collect()
}

fn truncate_case(bits: u32, shift: u32, sign: Sign, radix: u32) {
    let ring = Ring::new(bits).unwrap();
    let mut rng = prg(u64::from(bits * 64 + shift));
    let mut values = edges(ring);
    values.extend((0..3).map(|_| ring.sample(&mut rng)));
    let values = of_sign(ring, sign, values);
    let shares = with_shares(ring, &values, &mut rng);
    let settings = settings(radix);
    let (server, client) =
        run_both(settings, |p, peer| truncate(peer, &shares.of(p), shift, sign)).unwrap();
    let out = reveal(ring, server.value.values(), client.value.values());
    let what = format!("l {bits} s {shift} {sign:?} m {radix}");
    for (i, y) in out.iter().enumerate() {
        let x = shares.values[i];
        assert_eq!(
            *y,
            ring.from_signed(ring.to_signed(x) >> shift),
            "{what}: {x} {}",
            shares.server[i]
        );
    }
    let cost = truncate_cost(shares.len(), ring, shift, sign, settings).unwrap();
    assert_cost(&server, &client, cost, &what);
}

#[test]
fn truncation_is_the_arithmetic_shift() {
    for sign in [Sign::Unknown, Sign::NonNegative, Sign::Negative] {
        for bits in [2, 3, 8, 16, 31, 32, 37, 53, 63, 64] {
            for shift in [0, 1, 2, 5, 12, bits / 2, bits - 1] {
                if shift < bits {
                    truncate_case(bits, shift, sign, 4);
                }
            }
        }
        truncate_case(37, 12, sign, 7);
        truncate_case(37, 12, sign, 1);
        truncate_case(32, 12, sign, 8);
    }
}

#[test]
fn truncation_is_exhaustively_right_for_six_bits() {
    let ring = Ring::new(6).unwrap();
    for sign in [Sign::Unknown, Sign::NonNegative, Sign::Negative] {
        for shift in 1..6 {
            let shares = Shared::exhaustive(ring, &of_sign(ring, sign, (0..64).collect()));
            let (server, client) =
                run_both(settings(4), |p, peer| truncate(peer, &shares.of(p), shift, sign))
                    .unwrap();
            let out = reveal(ring, server.value.values(), client.value.values());
            for (x, y) in shares.values.iter().zip(out) {
                assert_eq!(
                    y,
                    ring.from_signed(ring.to_signed(*x) >> shift),
                    "{sign:?} {shift} {x}"
                );
            }
        }
    }
}

#[test]
fn truncate_and_reduce() {
    for (bits, shift) in [(8, 3), (37, 12), (64, 1), (64, 63), (2, 1)] {
        let ring = Ring::new(bits).unwrap();
        let target = Ring::new(bits - shift).unwrap();
        let mut rng = prg(u64::from(bits));
        let shares = with_shares(ring, &edges(ring), &mut rng);
        let (server, client) =
            run_both(settings(4), |p, peer| truncate_reduce(peer, &shares.of(p), shift)).unwrap();
        let out = reveal(target, server.value.values(), client.value.values());
        for (x, y) in shares.values.iter().zip(out) {
            assert_eq!(y, target.reduce(x >> shift));
        }
        let cost = truncate_reduce_cost(shares.len(), ring, shift, settings(4)).unwrap();
        assert_cost(&server, &client, cost, "truncate and reduce");
    }
}

fn divide_case(bits: u32, d: u64, sign: Sign, radix: u32) {
    let ring = Ring::new(bits).unwrap();
    let mut rng = prg(u64::from(bits) ^ d);
    let mut values = edges(ring);
    values.extend([d, d - 1, d + 1, 2 * d].map(|x| ring.reduce(x)));
    values.extend([d, d - 1, d + 1, 2 * d].map(|x| ring.neg(ring.reduce(x))));
    let values = of_sign(ring, sign, values);
    let shares = with_shares(ring, &values, &mut rng);
    let (server, client) =
        run_both(settings(radix), |p, peer| divide(peer, &shares.of(p), d, sign, Precision::Full))
            .unwrap();
    let out = reveal(ring, server.value.values(), client.value.values());
    let what = format!("l {bits} d {d} {sign:?} m {radix}");
    for (i, y) in out.iter().enumerate() {
        assert_eq!(*y, floor_div(ring, shares.values[i], d), "{what}: {}", shares.values[i]);
    }
    let n = shares.len();
    let cost = divide_cost(n, ring, d, sign, Precision::Full, settings(radix)).unwrap();
    assert_cost(&server, &client, cost, &what);
}

#[test]
fn division_is_floor_division() {
    for sign in [Sign::Unknown, Sign::NonNegative, Sign::Negative] {
        for (bits, divisors) in [
            (5, &[2, 3, 4, 5][..]),
            (8, &[2, 3, 7, 42]),
            (32, &[2, 3, 9, 49, 169, 1000]),
            (37, &[49, 64, 12345]),
            (63, &[9, 1 << 40]),
            (64, &[3, 49, (1 << 61) - 1]),
        ] {
            for &d in divisors {
                divide_case(bits, d, sign, 4);
            }
        }
    }
    divide_case(32, 49, Sign::Unknown, 8);
    divide_case(32, 49, Sign::Unknown, 1);
}

#[test]
fn division_is_exhaustively_right_for_small_rings() {
    for (bits, d) in [(4, 2), (5, 3), (5, 5), (6, 7), (6, 10)] {
        let ring = Ring::new(bits).unwrap();
        let shares = Shared::exhaustive(ring, &(0..1 << bits).collect::<Vec<_>>());
        let (server, client) = run_both(settings(4), |p, peer| {
            divide(peer, &shares.of(p), d, Sign::Unknown, Precision::Full)
        })
        .unwrap();
        let out = reveal(ring, server.value.values(), client.value.values());
        for (x, y) in shares.values.iter().zip(out) {
            assert_eq!(y, floor_div(ring, *x, d), "{x} / {d} in {bits} bits");
        }
    }
}

#[test]
fn costs_are_the_papers() {
    let ring = Ring::new(32).unwrap();
    let n = 1024;
    let bits = |bytes: u64| bytes * 8 / n as u64;
    let avg = divide_cost(n, ring, 49, Sign::Unknown, Precision::Full, iknp(8)).unwrap();
    assert_eq!((bits(avg.bytes()), avg.rounds), (5570, 10));
    let truncation = truncate_cost(n, ring, 12, Sign::Unknown, iknp(7)).unwrap();
    assert_eq!(bits(truncation.bytes()), 3264);
}

#[test]
fn impossible_parameters_are_refused_by_name() {
    let ring = Ring::new(8).unwrap();
    for d in [0, 1, 43, 200] {
        let error =
            divide_cost(1, ring, d, Sign::Unknown, Precision::Full, settings(4)).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    }
    assert!(truncate_cost(1, ring, 8, Sign::Unknown, settings(4)).is_err());
    assert!(truncate_cost(1, ring, 3, Sign::Unknown, settings(0)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn avgpool_divides_wrapped_sums(
        bits in 9u32..=64,
        window in (1usize..5, 1usize..5),
        pad in (0usize..2, 0usize..2),
        count_include_pad: bool,
        shift in 0u32..=12,
        seed: u64,
    ) {
        let ring = Ring::new(bits).unwrap();
        // Windows have up to 16 members, and a ring of l bits has quotients by less than 2^l/6.
        let shift = shift.min(bits - 7);
        let mut rng = prg(seed);
        let geometry = PoolGeometry::new(PoolSpec {
            batch: 1,
            channels: 3,
            input: [1, 6, 5],
            window: Window {
                kernel: [1, window.0, window.1],
                stride: [1, 2, 1],
                dilation: [1, 1, 1],
                pad_before: [0, pad.0.min(window.0 - 1), pad.1.min(window.1 - 1)],
                pad_after: [0, 0, 0],
            },
            count_include_pad,
        }).unwrap();
        let x: Vec<u64> = (0..90).map(|_| ring.sample(&mut rng)).collect();
        let shares = Shared::random(ring, &x, &mut rng);
        let (server, client) = run_both(settings(4), |p, peer| {
            avgpool(peer, &shares.of(p), &geometry, shift, Sign::Unknown, Precision::Full)
        }).unwrap();
        let out = reveal(ring, server.value.values(), client.value.values());
        prop_assert_eq!(out.len(), geometry.output_len());
        for (i, y) in out.into_iter().enumerate() {
            let (plane, position) = (i / geometry.positions(), i % geometry.positions());
            let members = geometry.members(position).map(|at| x[plane * 30 + at]);
            let sum = members.fold(0, |sum, x| ring.add(sum, x));
            prop_assert_eq!(y, floor_div(ring, sum, geometry.divisor(position) << shift));
        }
        let cost = avgpool_cost(
            ring, &geometry, shift, Sign::Unknown, Precision::Full, settings(4),
        ).unwrap();
        assert_cost(&server, &client, cost, "AvgPool");
    }
}

/// Averages of 2x2 windows of numbers that are not negative: truncating every member first, with the sign that
/// is known, takes more than truncating the sums, whose sign is not.
#[test]
fn sums_are_truncated_for_less_than_their_members() {
    let ring = Ring::new(37).unwrap();
    let pool = |stride: usize| {
        PoolGeometry::new(PoolSpec {
            batch: 1,
            channels: 4,
            input: [1, 32, 32],
            window: Window::new([1, 2, 2]).with_stride([1, stride, stride]),
            count_include_pad: false,
        })
        .unwrap()
    };
    for ot in [OtKind::Iknp, OtKind::Silent] {
        let settings = Settings::over(ot);
        let costs = |geometry: &PoolGeometry| {
            let (known, full) = (Sign::NonNegative, Precision::Full);
            let members = truncate_cost(geometry.input_len(), ring, 12, known, settings).unwrap();
            let apart = members + avgpool_cost(ring, geometry, 0, known, full, settings).unwrap();
            let merged = avgpool_cost(ring, geometry, 12, Sign::Unknown, full, settings).unwrap();
            (apart, merged)
        };
        let (apart, merged) = costs(&pool(2));
        assert!(merged.bytes() < apart.bytes() && merged.rounds < apart.rounds, "{ot:?}");
        // Windows that overlap are as many as the members.
        let (apart, merged) = costs(&pool(1));
        assert!(merged.bytes() > apart.bytes(), "{ot:?}");
    }
}
