//! Division over Z_n.

use millionaires::Precision;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};
use sci_core::testing::{Shared, reveal};
use sci_core::{Block, Domain, Field, Prg};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};
use truncation::Sign;
use truncation::avgpool::{avgpool, avgpool_cost, quotients, quotients_cost};
use truncation::divide::{divide, divide_cost};

fn floor_div(field: Field, x: u64, d: u64) -> u64 {
    field.from_signed(i128::from(field.to_signed(x)).div_euclid(i128::from(d)) as i64)
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

fn case(field: Field, shares: &Shared<Field>, d: u64, sign: Sign, radix: u32) {
    let what = format!("n {field} d {d} {sign:?}");
    let settings = settings(radix);
    let (server, client) =
        run_both(settings, |p, peer| divide(peer, &shares.of(p), d, sign, Precision::Full))
            .unwrap();
    let out = reveal(field, server.value.values(), client.value.values());
    for (i, y) in out.into_iter().enumerate() {
        let (x, a) = (shares.values[i], shares.server[i]);
        assert_eq!(y, floor_div(field, x, d), "{what}: {x}, first share {a}");
    }
    let cost = divide_cost(shares.len(), field, d, sign, Precision::Full, settings).unwrap();
    assert_cost(&server, &client, cost, &what);
}

fn of_sign(field: Field, sign: Sign, values: &[u64]) -> Vec<u64> {
    let fits = |x: u64| match sign {
        Sign::Unknown => true,
        Sign::NonNegative => field.to_signed(x) >= 0,
        Sign::Negative => field.to_signed(x) < 0,
    };
    values.iter().copied().filter(|&x| fits(x)).collect()
}

#[test]
fn division_is_exhaustively_right_for_small_moduli() {
    for (n, d) in [(13, 2), (19, 3), (31, 5), (32, 5), (43, 7), (50, 4), (61, 10), (64, 9)] {
        let field = Field::new(n).unwrap();
        let all: Vec<u64> = (0..n).collect();
        for sign in [Sign::Unknown, Sign::NonNegative, Sign::Negative] {
            case(field, &Shared::exhaustive(field, &of_sign(field, sign, &all)), d, sign, 4);
        }
    }
}

#[test]
fn division_of_edge_values() {
    for n in [65_537, 4_293_918_721, 137_438_822_401, (1 << 61) - 1, 1 << 62] {
        let field = Field::new(n).unwrap();
        let mut rng = Prg::new(Block([n, 2]));
        for d in [2, 9, 49, 4096] {
            let mut values = vec![0, 1, d - 1, d, d + 1, n / 2 - 1, n / 2, n / 2 + 1, n - d, n - 1];
            values.push(field.sample(&mut rng));
            let mut masks = values.clone();
            masks.push(field.sample(&mut rng));
            for sign in [Sign::Unknown, Sign::NonNegative] {
                let shares = Shared::masked(field, &of_sign(field, sign, &values), &masks);
                case(field, &shares, d, sign, 4);
            }
        }
    }
}

/// Table 3 of CrypTFlow2: 7796 bits with three comparisons in C, 6972 where one drops out.
#[test]
fn costs_are_below_the_papers() {
    let n = 2048;
    let bits = |modulus: u64| {
        let field = Field::new(modulus).unwrap();
        let cost = divide_cost(n, field, 49, Sign::Unknown, Precision::Full, iknp(7)).unwrap();
        (cost.bytes() * 8 / n as u64, cost.rounds)
    };
    assert_eq!(4_293_918_721u64 % 49 * 2 / 49, 0);
    assert_eq!(bits(4_293_918_721).0, 6732);
    let three = (4_293_918_721u64..).find(|n| 2 * (n % 49) >= 49).unwrap();
    assert_eq!(bits(three), (7556, 13));
}

/// Windows of 4, 6 and 9 members whose numbers are still to be truncated.
#[test]
fn averages_of_what_is_not_truncated_yet() {
    let field = Field::new(137_438_822_401).unwrap();
    let geometry = PoolGeometry::new(PoolSpec {
        batch: 1,
        channels: 2,
        input: [1, 4, 5],
        window: Window::new([1, 3, 3]).with_pads([0, 1, 1], [0, 1, 1]),
        count_include_pad: false,
    })
    .unwrap();
    let (shift, sign) = (12, Sign::Unknown);
    let mut rng = Prg::new(Block([7, 2]));
    let x: Vec<u64> = (0..geometry.input_len()).map(|_| field.sample(&mut rng)).collect();
    let shares = Shared::random(field, &x, &mut rng);
    let (server, client) = run_both(settings(4), |p, peer| {
        avgpool(peer, &shares.of(p), &geometry, shift, sign, Precision::Full)
    })
    .unwrap();
    let out = reveal(field, server.value.values(), client.value.values());
    for (i, y) in out.into_iter().enumerate() {
        let (plane, position) = (i / geometry.positions(), i % geometry.positions());
        let members = geometry.members(position).map(|at| x[plane * geometry.input_plane() + at]);
        let sum = members.fold(0, |sum, x| field.add(sum, x));
        assert_eq!(y, floor_div(field, sum, geometry.divisor(position) << shift));
    }
    let cost = avgpool_cost(field, &geometry, shift, sign, Precision::Full, settings(4)).unwrap();
    assert_cost(&server, &client, cost, "averages");
    let error = avgpool_cost(field, &geometry, 64, sign, Precision::Full, settings(4));
    assert!(error.is_err(), "a shift by a whole word");
}

#[test]
fn quotients_by_several_divisors() {
    let field = Field::new(137_438_822_401).unwrap();
    let divisors: Vec<u64> = (0..30).map(|i| [1, 4, 6, 9][i % 4]).collect();
    let mut rng = Prg::new(Block([5, 2]));
    let x: Vec<u64> = divisors.iter().map(|_| field.sample(&mut rng)).collect();
    let shares = Shared::random(field, &x, &mut rng);
    let (server, client) = run_both(settings(4), |p, peer| {
        quotients(peer, &shares.of(p), &divisors, Sign::Unknown, Precision::Full)
    })
    .unwrap();
    let out = reveal(field, server.value.values(), client.value.values());
    for ((&x, &d), y) in x.iter().zip(&divisors).zip(out) {
        assert_eq!(y, floor_div(field, x, d));
    }
    let cost =
        quotients_cost(field, &divisors, Sign::Unknown, Precision::Full, settings(4)).unwrap();
    assert_cost(&server, &client, cost, "quotients");
}
