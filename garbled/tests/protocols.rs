//! Every function against its cleartext meaning, and its traffic against its cost and the papers' formulas.

use garbled::{
    Garbling, Gates, Scheme, avgpool_cost, compare_cost, divide_cost, functions, relu_cost,
    truncate_cost,
};
use proptest::prelude::*;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};
use sci_core::testing::reveal;
use sci_core::{Block, Cost, Domain, Field, Party, Prg, Result, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};

const THREE_HALVES: Scheme = Scheme { gates: Gates::ThreeHalves, ot: OtKind::Silent };
const SCHEMES: [Scheme; 3] = [
    Scheme { gates: Gates::HalfGates, ot: OtKind::Iknp },
    THREE_HALVES,
    Scheme { gates: Gates::HalfGates, ot: OtKind::Silent },
];
const LAMBDA: u64 = 128;

fn prg(seed: u64) -> Prg {
    Prg::new(Block([seed, 1]))
}

/// 0, +-1, the ends of the signed range, and random elements up to `n` values.
fn values<D: Domain>(domain: D, n: usize, rng: &mut Prg) -> Vec<u64> {
    let last = (domain.modulus() - 1) as u64;
    let half = last / 2;
    let edges = [0, 1, last, half, half + 1, last - half, half.saturating_sub(1), last - 1];
    let edges = edges.into_iter().map(|x| domain.reduce(x));
    let random = std::iter::repeat_with(|| domain.sample(rng));
    edges.chain(random).take(n).collect()
}

/// Shares of the values whose server part takes edge values too.
fn share<D: Domain>(domain: D, values: &[u64], rng: &mut Prg) -> [Vec<u64>; 2] {
    let masks = crate::values(domain, values.len().max(8), rng);
    let mut first: Vec<u64> = masks.into_iter().cycle().skip(3).take(values.len()).collect();
    if values.len() > 16 {
        first.reverse();
    }
    let second = values.iter().zip(&first).map(|(&x, &m)| domain.sub(x, m)).collect();
    [first, second]
}

/// Runs a function on shares of `x`, holds its traffic to `cost`, and returns the values of the result.
fn run<D: Domain>(
    domain: D,
    scheme: Scheme,
    [first, second]: [Vec<u64>; 2],
    cost: Cost,
    what: &str,
    function: impl Fn(&mut Garbling<'_>, &Shares<D>) -> Result<Shares<D>> + Sync,
) -> Vec<u64> {
    let (server, client) = run_both(Settings::over(scheme.ot), |party, peer| {
        let own = if party == Party::Server { &first } else { &second };
        let mut gc = Garbling::with_gates(peer, scheme.gates)?;
        function(&mut gc, &Shares::from_canonical(domain, own.clone()))
    })
    .unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_cost(&server, &client, Garbling::setup_cost() + cost, what);
    reveal(domain, server.value.values(), client.value.values())
}

fn relu_case<D: functions::GarbledDomain>(
    domain: D,
    scheme: impl Into<Scheme>,
    x: &[u64],
    shares: [Vec<u64>; 2],
) {
    let scheme = scheme.into();
    let what = format!("ReLU of {} over Z_{domain}, {scheme:?}", x.len());
    let cost = relu_cost(x.len(), domain, scheme);
    let out = run(domain, scheme, shares, cost, &what, |gc, x| gc.relu(x));
    for (x, y) in x.iter().zip(out) {
        assert_eq!(y, if domain.to_signed(*x) < 0 { 0 } else { *x }, "{what}: {x}");
    }
}

fn divide_case<D: functions::GarbledDomain>(
    domain: D,
    scheme: impl Into<Scheme>,
    d: u64,
    x: &[u64],
    shares: [Vec<u64>; 2],
) {
    let scheme = scheme.into();
    let what = format!("{} over Z_{domain} by {d}, {scheme:?}", x.len());
    let cost = divide_cost(x.len(), domain, d, scheme).unwrap();
    let out = run(domain, scheme, shares, cost, &what, |gc, x| gc.divide(x, d));
    for (x, y) in x.iter().zip(out) {
        let quotient = i128::from(domain.to_signed(*x)).div_euclid(i128::from(d));
        assert_eq!(y, domain.from_signed(quotient as i64), "{what}: {x}");
    }
}

/// All pairs of a value and a server's share.
fn all_shares<D: Domain>(domain: D) -> (Vec<u64>, [Vec<u64>; 2]) {
    let n = domain.modulus() as u64;
    let pairs = || (0..n).flat_map(|x| (0..n).map(move |a| (x, a)));
    let first = pairs().map(|(_, a)| a).collect();
    let second = pairs().map(|(x, a)| domain.sub(x, a)).collect();
    (pairs().map(|(x, _)| x).collect(), [first, second])
}

#[test]
fn small_domains_are_exhaustively_right() {
    for bits in 1..=4 {
        let ring = Ring::new(bits).unwrap();
        let (x, shares) = all_shares(ring);
        relu_case(ring, OtKind::Iknp, &x, shares.clone());
        for d in [1, 2, 3, 5, 7, 8, 100] {
            divide_case(ring, OtKind::Iknp, d, &x, shares.clone());
        }
    }
    for n in [3, 5, 6, 13, 16, 17] {
        let field = Field::new(n).unwrap();
        let (x, shares) = all_shares(field);
        relu_case(field, OtKind::Iknp, &x, shares.clone());
        for d in [1, 2, 3, 5, 8, n - 1, n, n + 1, u64::MAX] {
            divide_case(field, OtKind::Iknp, d, &x, shares.clone());
        }
    }
}

#[test]
fn relu_over_rings() {
    let mut rng = prg(1);
    for (i, bits) in [1, 2, 3, 7, 8, 31, 32, 33, 37, 41, 63, 64].into_iter().enumerate() {
        let ring = Ring::new(bits).unwrap();
        for n in [[0, 1, 7], [8, 9, 63], [64, 65, 200]][i % 3] {
            let x = values(ring, n, &mut rng);
            let shares = share(ring, &x, &mut rng);
            relu_case(ring, SCHEMES[i % 3], &x, shares);
        }
    }
}

#[test]
fn relu_over_fields() {
    let mut rng = prg(2);
    for (i, n) in
        [3, 101, 65_537, 4_293_918_721, 137_438_822_401, (1 << 62) - 57].into_iter().enumerate()
    {
        let field = Field::new(n).unwrap();
        for len in [[0, 1, 130], [9, 64, 65]][i % 2] {
            let x = values(field, len, &mut rng);
            let shares = share(field, &x, &mut rng);
            relu_case(field, SCHEMES[i % 3], &x, shares);
        }
    }
}

#[test]
fn division() {
    let mut rng = prg(3);
    for (i, (bits, d)) in
        [(8, 3), (32, 49), (32, 1 << 12), (37, 169), (64, 1 << 63), (64, 9), (63, u64::MAX)]
            .into_iter()
            .enumerate()
    {
        let ring = Ring::new(bits).unwrap();
        let x = values(ring, 100, &mut rng);
        let shares = share(ring, &x, &mut rng);
        divide_case(ring, SCHEMES[i % 3], d, &x, shares);
    }
    for (n, d) in [(4_293_918_721, 49), (137_438_822_401, 1 << 12), ((1 << 62) - 57, 1 << 61)] {
        let field = Field::new(n).unwrap();
        let x = values(field, 70, &mut rng);
        let shares = share(field, &x, &mut rng);
        divide_case(field, THREE_HALVES, d, &x, shares);
    }
}

#[test]
fn a_batch_of_several_chunks_has_both_parties_garble() {
    let ring = Ring::new(37).unwrap();
    let mut rng = prg(4);
    let x = values(ring, 9001, &mut rng);
    for scheme in SCHEMES {
        let cost = relu_cost(x.len(), ring, scheme);
        assert!(cost.server_to_client > 10 << 20 && cost.client_to_server > 10 << 20, "{cost:?}");
        let shares = share(ring, &x, &mut rng);
        relu_case(ring, scheme, &x, shares);
    }
}

#[test]
fn several_calls_in_a_session() {
    let ring = Ring::new(32).unwrap();
    let mut rng = prg(5);
    let x = values(ring, 80, &mut rng);
    let cost =
        truncate_cost(80, ring, 12, OtKind::Iknp).unwrap() + relu_cost(80, ring, OtKind::Iknp);
    let shares = share(ring, &x, &mut rng);
    let out = run(ring, OtKind::Iknp.into(), shares, cost, "truncation, ReLU", |gc, x| {
        let x = gc.truncate(x, 12)?;
        gc.relu(&x)
    });
    for (x, y) in x.iter().zip(out) {
        assert_eq!(y, ring.from_signed((ring.to_signed(*x) >> 12).max(0)));
    }
}

#[test]
fn new_shares_are_fresh() {
    let ring = Ring::new(16).unwrap();
    let x = vec![5; 2000];
    let shares = || [vec![2; 2000], vec![3; 2000]];
    let function = |gc: &mut Garbling<'_>, x: &Shares<Ring>| gc.relu(x);
    let cost = relu_cost(2000, ring, OtKind::Iknp);
    let (server, client) = run_both(Settings::default(), |party, peer| {
        let own = shares()[party.index()].clone();
        let mut gc = Garbling::new(peer)?;
        Ok([(); 2].map(|()| function(&mut gc, &Shares::from_canonical(ring, own.clone()))))
    })
    .unwrap();
    assert_eq!(x, run(ring, OtKind::Iknp.into(), shares(), cost, "fresh", function));
    let [a, b] = server.value.map(|shares| shares.unwrap().into_values());
    assert_ne!(a, b);
    for party in [a, client.value.map(|s| s.unwrap().into_values())[0].clone()] {
        // 2000 draws of 16 bits in 16 classes of 125: chi-squared with 15 degrees of freedom exceeds 60 with
        // probability below 10^-6.
        let mut classes = [0i64; 16];
        party.iter().for_each(|share| classes[(share >> 12) as usize] += 1);
        let chi = classes.iter().map(|c| (c - 125) * (c - 125)).sum::<i64>() / 125;
        assert!(chi < 60, "{classes:?}");
    }
}

fn compare_case(bits: u32, scheme: impl Into<Scheme>, a: &[u64], b: &[u64]) {
    let scheme = scheme.into();
    let (server, client) = run_both(Settings::over(scheme.ot), |party, peer| {
        let own = if party == Party::Server { a } else { b };
        Garbling::with_gates(peer, scheme.gates)?.compare(bits, own)
    })
    .unwrap();
    let what = format!("comparison of {} numbers of {bits} bits", a.len());
    let cost = compare_cost(a.len(), bits, scheme).unwrap();
    assert_cost(&server, &client, Garbling::setup_cost() + cost, &what);
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert_eq!(server.value.get(i) ^ client.value.get(i), x > y, "{what}: {x} > {y}");
    }
}

#[test]
fn comparison() {
    let all: Vec<(u64, u64)> = (0..8).flat_map(|a| (0..8).map(move |b| (a, b))).collect();
    let (a, b): (Vec<u64>, Vec<u64>) = all.into_iter().unzip();
    compare_case(3, OtKind::Iknp, &a, &b);
    let mut rng = prg(6);
    for (i, bits) in [1, 2, 31, 32, 63, 64].into_iter().enumerate() {
        let ring = Ring::new(bits).unwrap();
        let a = values(ring, 150, &mut rng);
        let mut b = values(ring, 150, &mut rng);
        b[20..60].copy_from_slice(&a[20..60]);
        compare_case(bits, SCHEMES[i % 3], &a, &b);
    }
    compare_case(9, OtKind::Iknp, &[], &[]);
    // Several chunks: the client leads every other one.
    let (a, b): (Vec<u64>, Vec<u64>) =
        (0..20_000).map(|_| (rng.next_u64(), rng.next_u64())).unzip();
    compare_case(64, OtKind::Iknp, &a, &b);
    compare_case(64, THREE_HALVES, &a, &b);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_ring(bits in 1u32..=64, seed: u64, d in 1u64..=u64::MAX, shift in 0u32..64, n in 1usize..90) {
        let ring = Ring::new(bits).unwrap();
        let mut rng = prg(seed);
        let x = values(ring, n, &mut rng);
        let shares = share(ring, &x, &mut rng);
        relu_case(ring, SCHEMES[n % 3], &x, shares.clone());
        divide_case(ring, SCHEMES[n % 3], (d >> shift).max(1), &x, shares);
    }

    #[test]
    fn any_field(n in 2u64..1 << 62, low in 0u32..60, seed: u64, d in 1u64..=u64::MAX, shift in 0u32..64) {
        let field = Field::new((n >> low).max(3)).unwrap();
        let mut rng = prg(seed);
        let x = values(field, 40, &mut rng);
        let shares = share(field, &x, &mut rng);
        relu_case(field, OtKind::Iknp, &x, shares.clone());
        divide_case(field, OtKind::Iknp, (d >> shift).max(1), &x, shares);
    }
}

#[test]
fn avgpool_divides_wrapped_sums() {
    let field = Field::new(65_537).unwrap();
    for count_include_pad in [false, true] {
        let geometry = PoolGeometry::new(PoolSpec {
            batch: 1,
            channels: 2,
            input: [1, 5, 4],
            window: Window {
                kernel: [1, 3, 2],
                stride: [1, 2, 1],
                dilation: [1, 1, 1],
                pad_before: [0, 1, 0],
                pad_after: [0, 0, 1],
            },
            count_include_pad,
        })
        .unwrap();
        let mut rng = prg(7);
        let x = values(field, 40, &mut rng);
        let shares = share(field, &x, &mut rng);
        let cost = avgpool_cost(field, &geometry, OtKind::Iknp).unwrap();
        let out = run(field, OtKind::Iknp.into(), shares, cost, "AvgPool", |gc, x| {
            gc.avgpool(x, &geometry)
        });
        assert_eq!(out.len(), geometry.output_len());
        for (i, y) in out.into_iter().enumerate() {
            let (plane, position) = (i / geometry.positions(), i % geometry.positions());
            let members = geometry.members(position).map(|at| x[plane * 20 + at]);
            let sum = members.fold(0, |sum, x| field.add(sum, x));
            let quotient = field.to_signed(sum).div_euclid(geometry.divisor(position) as i64);
            assert_eq!(y, field.from_signed(quotient), "{i}");
        }
    }
}

#[test]
fn sizes_are_the_papers_formulas() {
    for l in 1..=64 {
        let ring = Ring::new(l).unwrap();
        let bits = u64::from(l);
        assert_eq!(functions::relu(ring).ands() as u64, 3 * bits - 2);
        assert_eq!(functions::comparison(l).ands() as u64, bits);
        assert_eq!(functions::division(ring, 1 << (l - 1)).unwrap().ands() as u64, 2 * (bits - 1));
        // Whole rows of the extension: a multiple of 128 instances.
        let n = 1024;
        let cost = relu_cost(n, ring, OtKind::Iknp);
        assert_eq!(cost.bytes() * 8, n as u64 * (8 * LAMBDA * bits - 4 * LAMBDA));
        assert_eq!(cost.rounds, 2);
        let cost = compare_cost(n, l, OtKind::Iknp).unwrap();
        assert_eq!(cost.bytes() * 8, n as u64 * 4 * LAMBDA * bits);
        // With silent OT the extension is one bit an input, and its expansion is counted apart.
        let cost = relu_cost(n, ring, OtKind::Silent);
        assert_eq!(cost.bytes() * 8, n as u64 * (7 * LAMBDA * bits - 4 * LAMBDA + bits));
        // Three halves take 1.5 lambda + 5 bits an AND gate; the labels by OT stay.
        let cost = relu_cost(n, ring, THREE_HALVES);
        let tables = (3 * bits - 2) * (3 * LAMBDA / 2 + 5);
        assert_eq!(cost.bytes() * 8, n as u64 * (tables + LAMBDA * bits + bits));
    }
    assert_eq!(relu_cost(1024, Ring::new(32).unwrap(), OtKind::Iknp).bytes(), 1024 * 4032);
}

/// Where our circuits differ from the papers' they are smaller: what the papers print is an upper bound.
#[test]
fn other_sizes_are_within_the_papers_formulas() {
    for n in [1_073_479_681, 4_293_918_721, 8_589_475_841, 137_438_822_401, 2_199_023_190_017] {
        let field = Field::new(n).unwrap();
        let eta = u64::from(field.bits());
        let ands = |bits: u64| (bits - 2 * LAMBDA * eta) / (2 * LAMBDA);
        let relu = functions::relu(field).ands() as u64;
        assert!(relu <= 7 * eta && relu <= ands(18 * LAMBDA * eta - 6 * LAMBDA), "{eta}: {relu}");
        let divide = functions::division(field, 49).unwrap().ands() as u64;
        assert!(divide <= ands(2 * LAMBDA * (eta * eta + 9 * eta - 3)), "{eta}: {divide}");
        let truncate = functions::division(field, 1 << 12).unwrap().ands() as u64;
        assert!(truncate <= 6 * eta + 1, "{eta}: {truncate}");
    }
    for l in 24..=64u64 {
        let divide = functions::division(Ring::new(l as u32).unwrap(), 49).unwrap().ands() as u64;
        assert!(divide <= l * l + 4 * l - 3, "{l}: {divide}");
    }
}

#[test]
fn impossible_parameters_are_refused() {
    let ring = Ring::new(8).unwrap();
    assert!(divide_cost(1, ring, 0, OtKind::Iknp).is_err());
    assert!(truncate_cost(1, ring, 64, OtKind::Iknp).is_err());
    assert!(compare_cost(1, 65, OtKind::Iknp).is_err());
    assert!(compare_cost(1, 0, OtKind::Iknp).is_err());
    let (server, client) = run_both(Settings::default(), |_, peer| {
        let mut gc = Garbling::new(peer)?;
        Ok([gc.compare(4, &[16]).is_err(), gc.divide(&Shares::zeros(ring, 1), 0).is_err()])
    })
    .unwrap();
    assert_eq!([server.value, client.value], [[true; 2]; 2]);
}

/// Tables of another scheme have another length: a typed error on both sides, no panic and no hang.
#[test]
fn a_peer_with_other_gates_is_noticed() {
    let ring = Ring::new(16).unwrap();
    let run = run_both(Settings::default(), |party, peer| {
        let gates = match party {
            Party::Server => Gates::HalfGates,
            Party::Client => Gates::ThreeHalves,
        };
        Garbling::with_gates(peer, gates)?.relu(&Shares::zeros(ring, 100)).map(drop)
    });
    assert!(run.is_err());
}

/// Tables are the work: 2^12 ReLUs have 12 MiB of them, and no party waits while the other sends all of it.
#[test]
fn both_directions_carry_tables() {
    let (ring, n) = (Ring::new(32).unwrap(), 1 << 12);
    for scheme in SCHEMES {
        let cost = relu_cost(n, ring, scheme);
        assert_eq!((cost.server_to_client, cost.rounds), (cost.client_to_server, 2), "{scheme:?}");
    }
    let few = relu_cost(1 << 8, ring, OtKind::Silent);
    assert!(few.server_to_client < few.client_to_server / 10, "{few:?}");
}
