//! Truncation that looks at fewer bits than the ring has: the arithmetic shift of x mod 2^k, extended.

use millionaires::Precision;
use millionaires::relu::{MuxForm, relu_cost};
use sci_core::testing::reveal;
use sci_core::{Block, Domain, Party, Prg, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};
use truncation::Sign;
use truncation::truncate::{truncate_cost, truncate_narrow, truncate_narrow_cost};

const SIGNS: [Sign; 3] = [Sign::Unknown, Sign::NonNegative, Sign::Negative];

/// The signed view of the low bits.
fn view(x: u64, bits: u32) -> i64 {
    ((x << (64 - bits)) as i64) >> (64 - bits)
}

/// Values whose view has the sign, with both shares.
fn shares(ring: Ring, bits: u32, sign: Sign, rng: &mut Prg) -> [Vec<u64>; 3] {
    let mut edges = vec![0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1];
    for top in [bits - 1, bits.min(63), ring.bitwidth().get() - 1] {
        edges.extend([1 << top, (1 << top) - 1, (1u64 << top) + 1, (1u64 << top).wrapping_neg()]);
    }
    edges.extend((0..6).map(|_| rng.next_u64()));
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for &x in &edges {
        let x = ring.reduce(x);
        let fits = match sign {
            Sign::Unknown => true,
            Sign::NonNegative => view(x, bits) >= 0,
            Sign::Negative => view(x, bits) < 0,
        };
        for &mask in edges.iter().filter(|_| fits) {
            let mask = ring.reduce(mask);
            all[0].push(x);
            all[1].push(mask);
            all[2].push(ring.sub(x, mask));
        }
    }
    all
}

fn case(ring_bits: u32, bits: u32, shift: u32, sign: Sign, settings: Settings) {
    let ring = Ring::new(ring_bits).unwrap();
    let mut rng = Prg::new(Block([u64::from(ring_bits * 64 + bits), 0x9a]));
    let [values, left, right] = shares(ring, bits, sign, &mut rng);
    let precision = Precision::Bits(bits);
    let (server, client) = run_both(settings, |party, peer| {
        let own = if party == Party::Server { &left } else { &right };
        let own = Shares::from_canonical(ring, own.clone());
        truncate_narrow(peer, &own, shift, sign, precision)
    })
    .unwrap();
    let what = format!("l {ring_bits} k {bits} s {shift} {sign:?}");
    let out = reveal(ring, server.value.values(), client.value.values());
    for (x, y) in values.iter().zip(out) {
        assert_eq!(y, ring.from_signed(view(*x, bits) >> shift), "{what}: {x:#x}");
    }
    let cost = truncate_narrow_cost(values.len(), ring, shift, sign, precision, settings).unwrap();
    assert_cost(&server, &client, cost, &what);
}

#[test]
fn the_low_bits_are_shifted_and_extended() {
    for ot in [OtKind::Iknp, OtKind::Silent] {
        let settings = Settings { radix: 4, ..Settings::over(ot) };
        for sign in SIGNS {
            for (ring, bits) in [(2, 2), (3, 2), (8, 5), (37, 20), (41, 40), (64, 13), (64, 63)] {
                for shift in [1, 2, 12, bits - 1] {
                    if shift < bits {
                        case(ring, bits, shift, sign, settings);
                    }
                }
            }
        }
    }
}

#[test]
fn every_value_and_every_share_of_five_bits() {
    let ring = Ring::new(5).unwrap();
    let settings = Settings { radix: 4, ..Settings::over(OtKind::Iknp) };
    for (bits, shift) in [(2, 1), (3, 1), (3, 2), (4, 1), (4, 3)] {
        for sign in SIGNS {
            let pairs = (0..32u64).flat_map(|x| (0..32u64).map(move |mask| (x, mask)));
            let pairs: Vec<(u64, u64)> = pairs
                .filter(|(x, _)| match sign {
                    Sign::Unknown => true,
                    Sign::NonNegative => view(*x, bits) >= 0,
                    Sign::Negative => view(*x, bits) < 0,
                })
                .collect();
            let (server, client) = run_both(settings, |party, peer| {
                let own = pairs.iter().map(|&(x, mask)| match party {
                    Party::Server => mask,
                    Party::Client => ring.sub(x, mask),
                });
                let own = Shares::from_canonical(ring, own.collect());
                truncate_narrow(peer, &own, shift, sign, Precision::Bits(bits))
            })
            .unwrap();
            let out = reveal(ring, server.value.values(), client.value.values());
            for ((x, mask), y) in pairs.into_iter().zip(out) {
                let expected = ring.from_signed(view(x, bits) >> shift);
                assert_eq!(y, expected, "k {bits} s {shift} {sign:?}: {x} {mask}");
            }
        }
    }
}

#[test]
fn fewer_bits_cost_less_where_the_sign_is_not_known() {
    let (ring, n) = (Ring::new(37).unwrap(), 1000);
    for ot in [OtKind::Iknp, OtKind::Silent] {
        let settings = Settings::over(ot);
        let bytes = |bits: u32| {
            let precision = Precision::Bits(bits);
            let cost = truncate_narrow_cost(n, ring, 12, Sign::Unknown, precision, settings);
            let cost = cost.unwrap();
            cost.server_to_client + cost.client_to_server
        };
        let full = truncate_cost(n, ring, 12, Sign::Unknown, settings).unwrap();
        assert_eq!(bytes(37), full.server_to_client + full.client_to_server);
        assert!(bytes(24) < bytes(30) && bytes(30) < bytes(37), "{ot:?}");
    }
}

/// With a known sign fewer bits cost a little more. The ReLU that made the sign known saves more than that, bit by
/// bit, so that it is never worth while to keep both at full width.
#[test]
fn a_relu_saves_more_by_a_bit_than_the_truncation_behind_it_takes() {
    let (ring, n) = (Ring::new(37).unwrap(), 1024);
    for ot in [OtKind::Iknp, OtKind::Silent] {
        let settings = Settings::over(ot);
        let bytes = |bits: u32| {
            let precision = if bits == 37 { Precision::Full } else { Precision::Bits(bits) };
            let relu = relu_cost(n, ring, settings, precision, MuxForm::Correlated).unwrap();
            let known = Sign::NonNegative;
            let shift = truncate_narrow_cost(n, ring, 12, known, precision, settings).unwrap();
            (relu.bytes(), shift.bytes())
        };
        for bits in 13..37 {
            let ((relu, shift), (wider_relu, wider_shift)) = (bytes(bits), bytes(bits + 1));
            assert_eq!(shift - wider_shift, n as u64 / 8, "{ot:?} {bits}: a bit for each");
            assert!(wider_relu - relu > 2 * (shift - wider_shift), "{ot:?} {bits}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let ring = Ring::new(16).unwrap();
    let settings = Settings::default();
    let cost = |shift, bits| {
        truncate_narrow_cost(1, ring, shift, Sign::Unknown, Precision::Bits(bits), settings)
    };
    assert!(cost(4, 17).is_err());
    assert!(cost(4, 4).is_err());
    assert!(cost(4, 0).is_err());
    assert!(cost(4, 5).is_ok());
}
