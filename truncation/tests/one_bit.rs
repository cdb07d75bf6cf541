//! The truncation that may be one below the faithful value, against its definition on the shares, and its
//! cost.

use sci_core::testing::{Shared, edges_and_random, reveal};
use sci_core::{Block, Domain, Prg, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};
use std::collections::BTreeSet;
use truncation::truncate::{truncate_with, truncate_with_cost};
use truncation::{Exactness, Sign};

const KINDS: [OtKind; 2] = [OtKind::Iknp, OtKind::Silent];
const SIGNS: [Sign; 3] = [Sign::Unknown, Sign::NonNegative, Sign::Negative];

fn of_sign(ring: Ring, sign: Sign, values: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let fits = |x: u64| match sign {
        Sign::Unknown => true,
        Sign::NonNegative => ring.to_signed(x) >= 0,
        Sign::Negative => ring.to_signed(x) < 0,
    };
    values.into_iter().filter(|&x| fits(x)).collect()
}

/// Runs a batch, holds every result and the cost to what they should be, and returns the errors that
/// occurred.
fn case(settings: Settings, shares: &Shared<Ring>, shift: u32, sign: Sign) -> BTreeSet<i64> {
    let ring = shares.domain();
    let exactness = Exactness::OneBitError;
    let what = format!("{ring} by {shift}, {sign:?}, {settings:?}");
    let (server, client) =
        run_both(settings, |p, peer| truncate_with(peer, &shares.of(p), shift, sign, exactness))
            .unwrap();
    let out = reveal(ring, server.value.values(), client.value.values());
    let mut errors = BTreeSet::new();
    for (i, y) in out.into_iter().enumerate() {
        let x = shares.values[i];
        let faithful = ring.from_signed(ring.to_signed(x) >> shift);
        let error = ring.to_signed(ring.sub(y, faithful));
        // The carry of the low parts, which an added 2^(l-1) does not change: shift < l.
        let low = |share: u64| u128::from(share) & ((1 << shift) - 1);
        let carry = (low(shares.server[i]) + low(shares.client[i])) >> shift;
        // Over Z_2 minus one is one.
        let expected = ring.to_signed(ring.neg(carry as u64));
        assert_eq!(error, expected, "{what}: {x} as {} and the rest", shares.server[i]);
        errors.insert(error);
    }
    let cost = truncate_with_cost(shares.len(), ring, shift, sign, exactness, settings).unwrap();
    assert_cost(&server, &client, cost, &what);
    errors
}

#[test]
fn the_result_is_faithful_or_one_below() {
    for (ot, sign) in KINDS.into_iter().flat_map(|ot| SIGNS.map(|sign| (ot, sign))) {
        for bits in [2, 3, 8, 31, 32, 37, 63, 64] {
            let ring = Ring::new(bits).unwrap();
            let mut prg = Prg::new(Block::from(u128::from(bits)));
            let values = of_sign(ring, sign, edges_and_random(ring, 4, &mut prg));
            let shares = Shared::at_edges(ring, &values, &mut prg);
            for shift in BTreeSet::from([0, 1, 5, 12, bits / 2, bits - 1]) {
                if shift < bits {
                    let errors = case(Settings::over(ot), &shares, shift, sign);
                    let both = BTreeSet::from([0, -1]);
                    assert!(if shift == 0 { errors.len() == 1 } else { errors == both });
                }
            }
        }
    }
}

#[test]
fn six_bits_exhaustively() {
    let ring = Ring::new(6).unwrap();
    for (sign, shift) in SIGNS.into_iter().flat_map(|sign| (1..6).map(move |s| (sign, s))) {
        let shares = Shared::exhaustive(ring, &of_sign(ring, sign, 0..64));
        case(Settings::over(OtKind::Iknp), &shares, shift, sign);
    }
}

/// Several chunks, which both parties lead.
#[test]
fn large_batches() {
    let ring = Ring::new(32).unwrap();
    let mut prg = Prg::new(Block::from(4));
    for (ot, (sign, n)) in
        KINDS.into_iter().zip([(Sign::Unknown, 10_000), (Sign::NonNegative, 140_000)])
    {
        let mut values = vec![0; n];
        ring.sample_into(&mut prg, &mut values);
        if sign == Sign::NonNegative {
            values.iter_mut().for_each(|x| *x >>= 1);
        }
        case(Settings::over(ot), &Shared::random(ring, &values, &mut prg), 12, sign);
    }
}

#[test]
fn costs_are_those_documented() {
    let (ring, n) = (Ring::new(32).unwrap(), 1024);
    let cost = |sign, exactness, settings| {
        let cost = truncate_with_cost(n, ring, 12, sign, exactness, settings).unwrap();
        (cost.bytes() * 8 / n as u64, cost.rounds)
    };
    let one_bit = |sign, settings| cost(sign, Exactness::OneBitError, settings);
    let silent = Settings::over(OtKind::Silent);
    assert_eq!(one_bit(Sign::Unknown, silent), (306, 6));
    assert_eq!(one_bit(Sign::NonNegative, silent), (13, 1));
    let iknp = Settings { radix: 7, ..Settings::over(OtKind::Iknp) };
    assert_eq!(one_bit(Sign::Unknown, iknp), (2770 + 140, 7));
    assert_eq!(one_bit(Sign::Negative, iknp), (140, 2));
    // The mode is another one than the default.
    assert_eq!(Exactness::default(), Exactness::Faithful);
    assert!(cost(Sign::NonNegative, Exactness::Faithful, silent).0 > 13);
}
