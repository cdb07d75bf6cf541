//! Comparison, sign, ReLU, MaxPool and ArgMax against their cleartext meaning and their cost.

use millionaires::argmax::{argmax, argmax_cost, index_ring};
use millionaires::compare::{Comparison, Relation, compare_cost, compare_lane, complement, load};
use millionaires::drelu::{drelu, drelu_cost};
use millionaires::equality::{equal, equal_cost};
use millionaires::maxpool::{Windows, maxpool, maxpool_cost};
use millionaires::relu::{MuxForm, relu, relu_cost, relu_with};
use millionaires::{Precision, SignDomain};
use proptest::prelude::*;
use sci_core::testing::{Shared, edges, edges_and_random, reveal, reveal_bits};
use sci_core::{Bits, Block, Domain, Party, Prg, Ring};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::testing::{assert_cost, run_both};
use sci_ot::{OtKind, Role};

fn prg(seed: u64) -> Prg {
    Prg::new(Block([seed, 0x3111]))
}

/// The settings of a case: silent OT where this file is a module of `silent.rs`, else IKNP.
fn settings(radix: u32) -> Settings {
    let silent = module_path!().starts_with("silent");
    let ot = if silent { OtKind::Silent } else { OtKind::Iknp };
    Settings { radix, ..Settings::over(ot) }
}

/// The same where flights are dear: tournaments of several levels at once.
fn dear_flights(radix: u32) -> Settings {
    Settings { flight: 1 << 20, ..settings(radix) }
}

/// The settings of the papers' costs.
fn iknp(radix: u32) -> Settings {
    Settings { radix, ..Settings::over(OtKind::Iknp) }
}

/// All relations of several widths in one batch, in both orientations (two chunks), with the cost.
fn compare_case(radix: u32, bits: &[u32], n: usize, seed: u64) {
    let settings = settings(radix);
    let mut rng = prg(seed);
    let relations = [Relation::Greater, Relation::GreaterAndEqual, Relation::Equal];
    let jobs: Vec<Comparison> = bits
        .iter()
        .flat_map(|&bits| relations.map(|relation| Comparison::new(bits, relation)))
        .collect();
    let mut sample = |bits: u32| -> Vec<u64> {
        let ring = Ring::new(bits).unwrap();
        let edges = edges(ring);
        (0..2 * n)
            .map(|i| if i % 3 == 0 { edges[i % edges.len()] } else { ring.sample(&mut rng) })
            .collect()
    };
    let a: Vec<Vec<u64>> = jobs.iter().map(|job| sample(job.bits)).collect();
    let b: Vec<Vec<u64>> = a
        .iter()
        .zip(&jobs)
        .map(|(a, job)| {
            let other = sample(job.bits);
            // A third of the pairs are equal or neighbours.
            a.iter()
                .zip(other)
                .enumerate()
                .map(|(i, (&x, y))| match i % 4 {
                    0 => x,
                    1 => x.wrapping_add(1) & (u64::MAX >> (64 - job.bits)),
                    _ => y,
                })
                .collect()
        })
        .collect();
    let plan = Plan::pieces(2 * n, n);
    let (server, client) = run_both(settings, |_, peer| {
        peer.map_chunks(&plan, |lane, range| {
            let side = if lane.role() == Role::Sender { &a } else { &b };
            let inputs: Vec<&[u64]> = side.iter().map(|v| &v[range.clone()]).collect();
            Ok(compare_lane(lane, &jobs, &inputs, 0)?.0)
        })
    })
    .unwrap();
    for (chunk, (s, c)) in server.value.iter().zip(&client.value).enumerate() {
        for (j, job) in jobs.iter().enumerate() {
            let check = |x: &Bits, y: &Bits, expected: fn(u64, u64) -> bool| {
                let bits = reveal_bits(x, y);
                assert_eq!(bits.len(), n);
                for i in 0..n {
                    let at = chunk * n + i;
                    let want = expected(a[j][at], b[j][at]);
                    assert_eq!(bits.get(i), want, "radix {radix} {job:?} {}", a[j][at]);
                }
            };
            if job.relation != Relation::Equal {
                check(&s[j].greater, &c[j].greater, |a, b| a > b);
            }
            if job.relation != Relation::Greater {
                check(&s[j].equal, &c[j].equal, |a, b| a == b);
            }
        }
    }
    let cost = plan.cost(|n, leader| compare_cost(n, &jobs, settings, 0, leader).unwrap());
    assert_cost(&server, &client, cost, &format!("radix {radix} bits {bits:?}"));
}

#[test]
fn comparison_for_every_radix_and_many_widths() {
    for radix in 1..=8 {
        compare_case(radix, &[1, 2, radix, radix + 1], 9, 1);
        compare_case(radix, &[31], 64, 2);
        compare_case(radix, &[64, 37], 33, 3);
    }
    for bits in 1..=64 {
        compare_case(4, &[bits], 8, u64::from(bits));
    }
}

/// Over silent OT this takes a million COTs of each lane, in blocks, with a refill in the midst of them.
#[test]
fn long_batches_are_right_and_cost_no_more() {
    compare_case(4, &[31], 12_345, 4);
    compare_case(8, &[64], 2_000, 5);
}

#[test]
fn comparison_is_exhaustively_right_for_small_widths() {
    for (radix, bits) in [(1, 3), (2, 3), (3, 4), (4, 5), (2, 5)] {
        let all = 1u64 << bits;
        let jobs = [Comparison::new(bits, Relation::GreaterAndEqual)];
        let (server, client) = run_both(settings(radix), |party, peer| {
            let values: Vec<u64> = (0..all * all)
                .map(|i| if party == Party::Client { i / all } else { i % all })
                .collect();
            peer.map_chunks(&Plan::whole(values.len()), |lane, _| {
                Ok(compare_lane(lane, &jobs, &[&values], 0)?.0)
            })
        })
        .unwrap();
        let (s, c) = (&server.value[0][0], &client.value[0][0]);
        let (gt, eq) = (reveal_bits(&s.greater, &c.greater), reveal_bits(&s.equal, &c.equal));
        for i in 0..all * all {
            assert_eq!(gt.get(i as usize), i / all > i % all);
            assert_eq!(eq.get(i as usize), i / all == i % all);
        }
    }
}

/// Table 1 of CrypTFlow2 has 2930 bits for m = 7, with digits of 7 bits and one of 4, and 3844 for m = 4.
#[test]
fn millionaires_cost_is_the_papers_or_below() {
    let cost = |l: u32, m: u32| {
        let jobs = [Comparison::new(l, Relation::Greater)];
        let cost = compare_cost(1024, &jobs, iknp(m), 0, Party::Server).unwrap();
        assert_eq!(cost.bytes() * 8 % 1024, 0);
        (cost.bytes() * 8 / 1024, cost.rounds)
    };
    assert_eq!(cost(32, 7), (2770, 5));
    assert_eq!(cost(32, 4), (3844, 5));
    let scan = [(1, 12190), (2, 7870), (5, 3390), (6, 2984), (8, 3390)];
    let _ = scan.map(|(m, bits)| assert_eq!(cost(32, m).0, bits, "m {m}"));
    let scan = [(31, 7, 2642), (31, 5, 3298), (31, 6, 2920), (31, 8, 3134)];
    let _ = scan.map(|(l, m, bits)| assert_eq!(cost(l, m).0, bits, "l {l} m {m}"));
    let scan = [(36, 4, 4280), (36, 6, 3240), (36, 7, 3240)];
    let _ = scan.map(|(l, m, bits)| assert_eq!(cost(l, m).0, bits, "l {l} m {m}"));
    // A long digit where its messages are short and a single bit above it: 6 + 6 + 1 and 7 + 1 bits, where equal digits
    // take 864 and 560 bits beside the triples.
    assert_eq!((cost(13, 6).0, cost(8, 7).0), (836 + 2 * 148, 516 + 148));
}

/// A comparison over silent OT, without expansion: bits, correlated OTs and rounds.
#[test]
fn silent_cost_is_a_bit_for_a_choice() {
    let cost = |l: u32, radix: u32| {
        let jobs = [Comparison::new(l, Relation::Greater)];
        let settings = Settings { radix, ..Settings::over(OtKind::Silent) };
        let cost = compare_cost(1024, &jobs, settings, 0, Party::Server).unwrap();
        assert_eq!((cost.bytes() * 8 % 1024, cost.cots % 1024, cost.rows), (0, 0, 0));
        (cost.bytes() * 8 / 1024, cost.cots / 1024, cost.rounds)
    };
    assert_eq!(cost(32, 4), (293, 46, 5));
    assert_eq!(cost(32, 2), (207, 62, 6));
    assert_eq!(cost(32, 3), (223, 52, 6));
    assert_eq!(cost(36, 4), (331, 52, 6));
    assert_eq!(cost(36, 2), (233, 70, 7));
    let ring = Ring::new(32).unwrap();
    let silent = Settings::over(OtKind::Silent);
    let relu = relu_cost(4096, ring, silent, Precision::Full, MuxForm::Correlated).unwrap();
    assert_eq!((relu.bytes() * 8 / 4096, relu.cots / 4096), (276 + 66, 47));
}

/// Table 2 of CrypTFlow2: 3298 bits with its MUX.
#[test]
fn relu_cost_is_below_the_papers() {
    let ring = Ring::new(32).unwrap();
    let bits =
        |form| relu_cost(4096, ring, iknp(7), Precision::Full, form).unwrap().bytes() * 8 / 4096;
    assert_eq!(bits(MuxForm::Correlated), 2962);
    assert_eq!(bits(MuxForm::Plain), 3026);
    assert_eq!(relu_cost(64, ring, iknp(7), Precision::Full, MuxForm::Plain).unwrap().rounds, 7);
}

#[test]
fn both_orders_of_a_comparison_agree() {
    for (bits, x, y) in [(8, 3u64, 200u64), (8, 200, 3), (8, 7, 7), (1, 0, 1), (64, u64::MAX, 0)] {
        assert_eq!(x < y, complement(bits, x) > complement(bits, y));
    }
    assert!(load(&[Comparison::new(31, Relation::Greater)], iknp(4)).rows > 100);
}

fn sign_case(bits: u32, radix: u32) {
    let ring = Ring::new(bits).unwrap();
    let mut rng = prg(u64::from(bits * 100 + radix));
    let values = edges_and_random(ring, 4, &mut rng);
    let shares = Shared::at_edges(ring, &values, &mut rng);
    let n = shares.len();
    let settings = settings(radix);
    let what = format!("l {bits} m {radix}");

    let (server, client) =
        run_both(settings, |p, peer| drelu(peer, &shares.of(p), Precision::Full)).unwrap();
    let signs = reveal_bits(&server.value, &client.value);
    for i in 0..n {
        assert_eq!(
            signs.get(i),
            ring.to_signed(shares.values[i]) >= 0,
            "{what} {:?}",
            shares.values[i]
        );
    }
    let cost = drelu_cost(n, ring, settings, Precision::Full).unwrap();
    assert_cost(&server, &client, cost, &what);

    for form in [MuxForm::Correlated, MuxForm::Plain] {
        let (server, client) =
            run_both(settings, |p, peer| relu_with(peer, &shares.of(p), Precision::Full, form))
                .unwrap();
        let out = reveal(ring, server.value.values(), client.value.values());
        for (&x, y) in shares.values.iter().zip(out) {
            assert_eq!(y, if ring.to_signed(x) >= 0 { x } else { 0 }, "{what} {x}");
        }
        let cost = relu_cost(n, ring, settings, Precision::Full, form).unwrap();
        assert_cost(&server, &client, cost, &what);
    }
}

#[test]
fn sign_and_relu_of_edge_values_for_every_bitwidth() {
    for bits in 1..=64 {
        sign_case(bits, 4);
    }
    for radix in [1, 2, 7, 8] {
        sign_case(37, radix);
        sign_case(8, radix);
    }
}

#[test]
fn relu_is_exhaustively_right_for_six_bits() {
    let ring = Ring::new(6).unwrap();
    let shares = Shared::exhaustive(ring, &(0..64).collect::<Vec<_>>());
    let (server, client) =
        run_both(settings(4), |p, peer| relu(peer, &shares.of(p), Precision::Full)).unwrap();
    let out = reveal(ring, server.value.values(), client.value.values());
    for (x, y) in shares.values.iter().zip(out) {
        assert_eq!(y, if *x < 32 { *x } else { 0 });
    }
}

#[test]
fn a_narrowed_sign_is_that_of_the_low_bits() {
    let ring = Ring::new(37).unwrap();
    let mut rng = prg(5);
    for k in [1, 2, 13, 36, 37] {
        let narrow = Ring::new(k).unwrap();
        let values: Vec<u64> = edges_and_random(narrow, 4, &mut rng)
            .iter()
            .map(|&x| ring.from_signed(narrow.to_signed(x)))
            .collect();
        let shares = Shared::at_edges(ring, &values, &mut rng);
        let (server, client) =
            run_both(settings(4), |p, peer| relu(peer, &shares.of(p), Precision::Bits(k))).unwrap();
        let out = reveal(ring, server.value.values(), client.value.values());
        for (x, y) in shares.values.iter().zip(out) {
            assert_eq!(y, if ring.to_signed(*x) >= 0 { *x } else { 0 });
        }
        let cost =
            relu_cost(shares.len(), ring, settings(4), Precision::Bits(k), MuxForm::Correlated)
                .unwrap();
        assert_cost(&server, &client, cost, "narrowed ReLU");
    }
    assert!(ring.msb_cost(1, settings(4), Precision::Bits(38), Party::Server).is_err());
}

#[test]
fn equality_of_private_integers() {
    for (bits, n) in [(1, 9), (8, 100), (37, 64), (64, 33)] {
        let ring = Ring::new(bits).unwrap();
        let mut rng = prg(u64::from(bits));
        let a: Vec<u64> = (0..n).map(|_| ring.sample(&mut rng)).collect();
        let b: Vec<u64> = a
            .iter()
            .enumerate()
            .map(|(i, &x)| x ^ (u64::from(i % 2 == 0) << (i as u32 % bits)))
            .collect();
        let (server, client) = run_both(settings(4), |p, peer| {
            equal(peer, ring, if p == Party::Server { &a } else { &b })
        })
        .unwrap();
        let out = reveal_bits(&server.value, &client.value);
        for i in 0..n {
            assert_eq!(out.get(i), a[i] == b[i]);
        }
        assert_cost(&server, &client, equal_cost(n, ring, settings(4)).unwrap(), "equality");
    }
}

/// max(x, y) = y + ReLU(x - y), folded as a tree of neighbours.
fn tree_max(ring: Ring, mut values: Vec<u64>) -> u64 {
    while values.len() > 1 {
        values = values
            .chunks(2)
            .map(|pair| match *pair {
                [x, y] => {
                    let d = ring.sub(x, y);
                    ring.add(y, if ring.to_signed(d) >= 0 { d } else { 0 })
                }
                _ => pair[0],
            })
            .collect();
    }
    values[0]
}

fn tree_argmax(ring: Ring, values: &[u64]) -> u64 {
    let mut nodes: Vec<(u64, u64)> = values.iter().copied().zip(0..).collect();
    while nodes.len() > 1 {
        nodes = nodes
            .chunks(2)
            .map(|pair| match *pair {
                [x, y] if ring.to_signed(ring.sub(x.0, y.0)) < 0 => y,
                _ => pair[0],
            })
            .collect();
    }
    nodes[0].1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn maxpool_and_argmax(
        bits in 3u32..=64,
        sizes in prop::collection::vec(1usize..10, 1..30),
        row in 1usize..12,
        seed: u64,
    ) {
        let ring = Ring::new(bits).unwrap();
        let mut rng = prg(seed);
        let n = 40;
        // Small values with ties, large ones that overflow in the difference: both are defined.
        let x: Vec<u64> = (0..n)
            .map(|i| if i % 2 == 0 { ring.from_signed(rng.next_u64() as i64 % 3) } else { ring.sample(&mut rng) })
            .collect();
        let shares = Shared::random(ring, &x, &mut rng);
        let members: Vec<Vec<usize>> = sizes
            .iter()
            .map(|&size| (0..size).map(|_| (rng.next_u64() % n as u64) as usize).collect())
            .collect();
        let windows = Windows::new(members.iter().map(Vec::as_slice)).unwrap();
        for settings in [settings(4), dear_flights(4)] {
            let (server, client) = run_both(settings, |p, peer| {
                maxpool(peer, &shares.of(p), &windows, Precision::Full)
            }).unwrap();
            let out = reveal(ring, server.value.values(), client.value.values());
            for (window, y) in members.iter().zip(out) {
                prop_assert_eq!(y, tree_max(ring, window.iter().map(|&i| x[i]).collect()));
            }
            let cost = maxpool_cost(&windows, ring, settings, Precision::Full).unwrap();
            assert_cost(&server, &client, cost, "MaxPool");

            let rows = n / row;
            let shares = Shared::random(ring, &x[..rows * row], &mut rng);
            let (server, client) = run_both(settings, |p, peer| {
                argmax(peer, &shares.of(p), row, Precision::Full)
            }).unwrap();
            let index = index_ring(row).unwrap();
            let out = reveal(index, server.value.values(), client.value.values());
            for (values, y) in shares.values.chunks(row).zip(out) {
                prop_assert_eq!(y, tree_argmax(ring, values));
            }
            let cost = argmax_cost(rows, row, ring, settings, Precision::Full).unwrap();
            assert_cost(&server, &client, cost, "ArgMax");
        }
    }
}

/// Rows of every length up to past two heats of 32, of values whose differences wrap and of small ones with ties.
#[test]
fn argmax_of_long_rows_with_dear_flights() {
    let ring = Ring::new(9).unwrap();
    let mut rng = prg(77);
    for row in (1..=35).chain([63, 64, 65, 100]) {
        let x: Vec<u64> = (0..6 * row)
            .map(|i| match i / row % 2 {
                0 => ring.sample(&mut rng),
                _ => ring.from_signed(rng.next_u64() as i64 % 4),
            })
            .collect();
        let shares = Shared::random(ring, &x, &mut rng);
        let settings = dear_flights(4);
        let (server, client) =
            run_both(settings, |p, peer| argmax(peer, &shares.of(p), row, Precision::Full))
                .unwrap();
        let index = index_ring(row).unwrap();
        let out = reveal(index, server.value.values(), client.value.values());
        for (values, y) in x.chunks(row).zip(out) {
            assert_eq!(y, tree_argmax(ring, values), "{values:?}");
        }
        let cost = argmax_cost(6, row, ring, settings, Precision::Full).unwrap();
        assert_cost(&server, &client, cost, "ArgMax");
    }
}

#[test]
fn large_batches_run_in_chunks_led_by_both() {
    let ring = Ring::new(32).unwrap();
    let mut rng = prg(9);
    let n = 40_000;
    let x: Vec<u64> = (0..n).map(|_| ring.sample(&mut rng)).collect();
    let shares = Shared::random(ring, &x, &mut rng);
    let (server, client) =
        run_both(settings(4), |p, peer| relu(peer, &shares.of(p), Precision::Full)).unwrap();
    let out = reveal(ring, server.value.values(), client.value.values());
    for (x, y) in shares.values.iter().zip(out) {
        assert_eq!(y, if ring.to_signed(*x) >= 0 { *x } else { 0 });
    }
    let cost = relu_cost(n, ring, settings(4), Precision::Full, MuxForm::Correlated).unwrap();
    assert_cost(&server, &client, cost, "large ReLU");
    let (a, b) = (cost.server_to_client as f64, cost.client_to_server as f64);
    assert!((a / b - 1.0).abs() < 0.1, "both directions carry about the same: {a} {b}");
}

/// Shares of the same value are uniform and fresh in every run: chi-squared over 16 buckets.
#[test]
fn output_shares_are_uniform_and_fresh() {
    let ring = Ring::new(32).unwrap();
    let n = 16_384;
    let shares = Shared::masked(ring, &vec![5; n], &[3]);
    let run = || {
        let (s, _) =
            run_both(settings(4), |p, peer| relu(peer, &shares.of(p), Precision::Full)).unwrap();
        s.value
    };
    let (first, second) = (run(), run());
    assert!(first != second);
    for shift in [0, 14, 28] {
        let mut buckets = [0f64; 16];
        first.values().iter().for_each(|x| buckets[(x >> shift & 15) as usize] += 1.0);
        let expected = n as f64 / 16.0;
        let chi: f64 = buckets.iter().map(|b| (b - expected).powi(2) / expected).sum();
        // 15 degrees of freedom: beyond 60 with probability below 10^-6.
        assert!(chi < 60.0, "bits at {shift}: {chi}");
    }
}
