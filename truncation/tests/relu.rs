//! ReLU and truncation by one comparison: what the two are one after the other, for every value and every share.

use millionaires::Precision;
use millionaires::relu::{MuxForm, relu, relu_cost};
use sci_core::testing::{edges, reveal};
use sci_core::{Block, Domain, Error, Party, Prg, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};
use truncation::Sign;
use truncation::relu::{relu_truncate, relu_truncate_cost};
use truncation::truncate::{truncate_narrow, truncate_narrow_cost};

/// floor(max(x̂, 0) / 2^shift), x̂ the signed view of the low bits.
fn expected(x: u64, bits: u32, shift: u32) -> u64 {
    let view = ((x << (64 - bits)) as i64) >> (64 - bits);
    view.max(0) as u64 >> shift
}

/// With the extension last, and first.
fn case(ring: Ring, values: &[(u64, u64)], shift: u32, precision: Precision, settings: Settings) {
    for flight in [0, Settings::MAX_FLIGHT] {
        case_with(ring, values, shift, precision, Settings { flight, ..settings });
    }
}

fn case_with(
    ring: Ring,
    values: &[(u64, u64)],
    shift: u32,
    precision: Precision,
    settings: Settings,
) {
    let (server, client) = run_both(settings, |party, peer| {
        let own = values.iter().map(|&(x, mask)| match party {
            Party::Server => mask,
            Party::Client => ring.sub(x, mask),
        });
        relu_truncate(peer, &Shares::from_canonical(ring, own.collect()), shift, precision)
    })
    .unwrap();
    let bits = match precision {
        Precision::Full => ring.bits(),
        Precision::Bits(bits) => bits,
    };
    let what = format!("l {} {precision:?} s {shift} {settings:?}", ring.bits());
    let out = reveal(ring, server.value.values(), client.value.values());
    for ((x, mask), y) in values.iter().zip(out) {
        assert_eq!(y, expected(*x, bits, shift), "{what}: {x:#x} with {mask:#x}");
    }
    let cost = relu_truncate_cost(values.len(), ring, shift, precision, settings).unwrap();
    assert_cost(&server, &client, cost, &what);
}

/// Edges of the ring and of the low bits, each with all of them and some others as the server's share.
fn masked_edges(ring: Ring, bits: u32, shift: u32) -> Vec<(u64, u64)> {
    let mut rng = Prg::new(Block([u64::from(ring.bits() * 64 + bits), 0x71]));
    let mut values = edges(ring);
    for top in [shift, bits - 1] {
        let edge = 1u64 << top;
        let around = [edge, edge - 1, edge + 1, edge.wrapping_neg(), edge.wrapping_neg() - 1];
        values.extend(around.map(|x| ring.reduce(x)));
    }
    values.extend((0..4).map(|_| ring.sample(&mut rng)));
    values.iter().flat_map(|&x| values.iter().map(move |&mask| (x, mask))).collect()
}

#[test]
fn every_value_and_every_share_of_small_rings() {
    let settings = Settings { radix: 4, ..Settings::over(OtKind::Iknp) };
    for bits in 2..=5 {
        let (ring, n) = (Ring::new(bits).unwrap(), 1u64 << bits);
        let all: Vec<_> = (0..n).flat_map(|x| (0..n).map(move |mask| (x, mask))).collect();
        for k in 2..=bits {
            let precision = if k == bits { Precision::Full } else { Precision::Bits(k) };
            for shift in 1..k {
                case(ring, &all, shift, precision, settings);
            }
        }
    }
}

#[test]
fn edges_of_wide_rings() {
    for ot in [OtKind::Iknp, OtKind::Silent] {
        for (l, k) in [(8, 8), (17, 11), (32, 32), (37, 31), (37, 37), (41, 40), (64, 13), (64, 64)]
        {
            let ring = Ring::new(l).unwrap();
            let precision = if k == l { Precision::Full } else { Precision::Bits(k) };
            for shift in [1, 2, 12, k - 2, k - 1] {
                if shift < k {
                    let radix = 1 + shift % 8;
                    let settings = Settings { radix, ..Settings::over(ot) };
                    case(ring, &masked_edges(ring, k, shift), shift, precision, settings);
                }
            }
        }
    }
}

#[test]
fn chunks_of_a_large_batch_led_by_both() {
    let (ring, mut rng) = (Ring::new(37).unwrap(), Prg::new(Block([5, 0x71])));
    let mut sample = || ring.sample(&mut rng);
    let values: Vec<(u64, u64)> = (0..60_000).map(|_| (sample(), sample())).collect();
    case(ring, &values, 12, Precision::Full, Settings::over(OtKind::Silent));
}

/// A flight that is worth more than 3 (l - k + s) bits of every element is saved.
#[test]
fn a_dear_flight_is_saved_with_more_bits() {
    let (ring, n, settings) = (Ring::new(37).unwrap(), 1 << 10, Settings::over(OtKind::Silent));
    let cost = |flight| {
        let settings = Settings { flight, ..settings };
        relu_truncate_cost(n, ring, 12, Precision::Bits(36), settings).unwrap()
    };
    let (last, first, extra) = (cost(0), cost(1 << 20), 3 * 13 * n as u64 / 8);
    assert_eq!((first.bytes() - last.bytes(), last.rounds - first.rounds), (extra, 1));
    assert_eq!((cost(extra), cost(extra + 1)), (last, first));
}

/// One party's result of both protocols and of the two apart, on the same shares.
#[test]
fn it_is_a_relu_and_a_truncation_of_as_many_bits() {
    let ring = Ring::new(23).unwrap();
    let values = masked_edges(ring, 17, 6);
    let settings = Settings::over(OtKind::Iknp);
    for precision in [Precision::Full, Precision::Bits(17)] {
        let (server, client) = run_both(settings, |party, peer| {
            let own = values.iter().map(|&(x, mask)| match party {
                Party::Server => mask,
                Party::Client => ring.sub(x, mask),
            });
            let own = Shares::from_canonical(ring, own.collect());
            let positive = relu(peer, &own, precision)?;
            let apart = truncate_narrow(peer, &positive, 6, Sign::NonNegative, precision)?;
            Ok((apart, relu_truncate(peer, &own, 6, precision)?))
        })
        .unwrap();
        let (apart, together) = (0, 1);
        let [apart, together] = [apart, together].map(|which| {
            let of = |(first, second): &(Shares<Ring>, Shares<Ring>)| match which {
                0 => first.values().to_vec(),
                _ => second.values().to_vec(),
            };
            reveal(ring, &of(&server.value), &of(&client.value))
        });
        assert_eq!(apart, together, "{precision:?}");
    }
}

#[test]
fn a_shift_of_nothing_or_of_all_is_an_error() {
    let ring = Ring::new(16).unwrap();
    let settings = Settings::over(OtKind::Iknp);
    let cost = |shift, precision| relu_truncate_cost(1, ring, shift, precision, settings);
    for (shift, precision) in [
        (0, Precision::Full),
        (16, Precision::Full),
        (9, Precision::Bits(9)),
        (0, Precision::Bits(9)),
    ] {
        assert!(matches!(cost(shift, precision), Err(Error::InvalidInput { .. })), "{shift}");
    }
    assert!(matches!(cost(3, Precision::Bits(17)), Err(Error::Misuse { .. })));
    // All bits below the sign: zeros, without a message.
    assert_eq!(cost(15, Precision::Full).unwrap(), sci_core::Cost::ZERO);
}

/// The figures of the module's documentation: bits an element over Z_2^37, s = 12, expansion left out.
#[test]
fn one_comparison_takes_fewer_bits_than_two() {
    let (ring, n) = (Ring::new(37).unwrap(), 1 << 10);
    let (silent, iknp) = (OtKind::Silent, OtKind::Iknp);
    for (ot, radix, together, apart) in
        [(silent, 4, 424, 553), (silent, 2, 326, 429), (iknp, 7, 3969, 4727)]
    {
        let settings = Settings { radix, ..Settings::over(ot) };
        let bits = |cost: sci_core::Cost| 8 * cost.bytes() / n as u64;
        let fused = relu_truncate_cost(n, ring, 12, Precision::Full, settings).unwrap();
        let relu = relu_cost(n, ring, settings, Precision::Full, MuxForm::Correlated).unwrap();
        let truncation =
            truncate_narrow_cost(n, ring, 12, Sign::NonNegative, Precision::Full, settings)
                .unwrap();
        let two = relu + truncation;
        assert_eq!((bits(fused), bits(two)), (together, apart), "radix {radix}");
        let ots = |cost: sci_core::Cost| cost.cots + cost.rows;
        assert!(ots(fused) < ots(two) && fused.rounds < two.rounds);
    }
}
