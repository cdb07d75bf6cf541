//! ReLU in two phases: right on every input, each phase as large as its formula.

use garbled::Garbling;
use garbled::ahead::{relu_ahead_cost, relu_finish_cost};
use garbled::functions::GarbledDomain;
use sci_core::testing::reveal;
use sci_core::{Block, Cost, Domain, Field, Party, Prg, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both, run_peers};

/// Prepares, then finishes; the online phase is measured apart from the rest by what the server sends in it.
fn case<D: GarbledDomain>(domain: D, ot: OtKind, x: &[u64], first: &[u64]) {
    let what = format!("ReLU ahead of {} over Z_{domain}, {ot:?}", x.len());
    let second: Vec<u64> = x.iter().zip(first).map(|(&x, &m)| domain.sub(x, m)).collect();
    let (server, client) = run_both(Settings::over(ot), |party, peer| {
        let mut gc = Garbling::new(peer)?;
        match party {
            Party::Server => {
                let ahead = gc.garble_relu_ahead(domain, x.len())?;
                ahead.finish(&mut gc, &Shares::from_canonical(domain, first.to_vec()))
            }
            Party::Client => {
                let own = Shares::from_canonical(domain, second.clone());
                gc.receive_relu_ahead(&own)?.finish(&mut gc)
            }
        }
    })
    .unwrap_or_else(|e| panic!("{what}: {e}"));
    let phases = relu_ahead_cost(x.len(), domain, ot) + relu_finish_cost(x.len(), domain, ot);
    assert_cost(&server, &client, Garbling::setup_cost() + phases, &what);
    let out = reveal(domain, server.value.values(), client.value.values());
    for (x, y) in x.iter().zip(out) {
        assert_eq!(y, if domain.to_signed(*x) < 0 { 0 } else { *x }, "{what}: {x}");
    }
}

fn random<D: Domain>(domain: D, n: usize, seed: u64) -> Vec<u64> {
    let mut values = vec![0; n];
    domain.sample_into(&mut Prg::new(Block([seed, 9])), &mut values);
    let last = (domain.modulus() - 1) as u64;
    for (value, edge) in values.iter_mut().zip([0, 1, last, last / 2, last / 2 + 1, last - 1]) {
        *value = domain.reduce(edge);
    }
    values
}

#[test]
fn small_domains_are_exhaustively_right() {
    fn all<D: GarbledDomain>(domain: D) {
        let n = domain.modulus() as u64;
        let pairs: Vec<(u64, u64)> = (0..n).flat_map(|x| (0..n).map(move |a| (x, a))).collect();
        let (x, first): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        case(domain, OtKind::Iknp, &x, &first);
    }
    (1..=4).for_each(|bits| all(Ring::new(bits).unwrap()));
    [3, 5, 6, 13, 16, 17].into_iter().for_each(|n| all(Field::new(n).unwrap()));
}

#[test]
fn large_domains_and_several_chunks() {
    for (i, n) in [0, 1, 7, 63, 64, 65, 9001].into_iter().enumerate() {
        let ot = [OtKind::Iknp, OtKind::Silent][i % 2];
        let field = Field::new([2_199_023_190_017, (1 << 62) - 57, 101][i % 3]).unwrap();
        case(field, ot, &random(field, n, 1), &random(field, n.max(6), 2)[..n]);
        let ring = Ring::new([41, 64, 1][i % 3]).unwrap();
        case(ring, ot, &random(ring, n, 3), &random(ring, n.max(6), 4)[..n]);
    }
}

/// What is left for online is the labels of the server's shares and the masked outputs.
#[test]
fn the_online_phase_is_an_eta_bit_label_and_value() {
    let field = Field::new(2_199_023_190_017).unwrap();
    let online = relu_finish_cost(1000, field, OtKind::Iknp);
    let expected =
        Cost::message(Party::Server, 128 * 41 * 1000) + Cost::message(Party::Client, 41 * 1000);
    assert_eq!((online.bytes(), online.rounds, online.cots), (expected.bytes(), 2, 0));
    assert!(field.masked_relu().ands() <= 8 * 41);
    assert_eq!(Ring::new(41).unwrap().masked_relu().ands(), 3 * 41 - 2);
}

#[test]
fn new_shares_are_fresh_and_roles_are_kept() {
    let ring = Ring::new(16).unwrap();
    let x = vec![5; 2000];
    let (server, client) = run_peers(
        Settings::default(),
        |peer| {
            let mut gc = Garbling::new(peer)?;
            assert!(gc.receive_relu_ahead(&Shares::zeros(ring, 1)).is_err());
            let ahead = [gc.garble_relu_ahead(ring, 2000)?, gc.garble_relu_ahead(ring, 2000)?];
            let [a, b] = ahead.map(|ahead| ahead.finish(&mut gc, &Shares::zeros(ring, 2000)));
            Ok([a?, b?])
        },
        |peer| {
            let mut gc = Garbling::new(peer)?;
            assert!(gc.garble_relu_ahead(ring, 1).is_err());
            let own = Shares::from_canonical(ring, x.clone());
            let ahead = [gc.receive_relu_ahead(&own)?, gc.receive_relu_ahead(&own)?];
            let [a, b] = ahead.map(|ahead| ahead.finish(&mut gc));
            Ok([a?, b?])
        },
    )
    .unwrap();
    for (a, b) in server.value.iter().zip(&client.value) {
        assert_eq!(reveal(ring, a.values(), b.values()), x);
    }
    assert_ne!(server.value[0].values(), server.value[1].values());
    for shares in [&server.value[0], &client.value[0]] {
        // As in the tests of the other protocols: 16 classes of 125, beyond 60 with probability below 10^-6.
        let mut classes = [0i64; 16];
        shares.values().iter().for_each(|share| classes[(share >> 12) as usize] += 1);
        let chi = classes.iter().map(|c| (c - 125) * (c - 125)).sum::<i64>() / 125;
        assert!(chi < 60, "{classes:?}");
    }
    let wrong = run_peers(
        Settings::default(),
        |peer| {
            let mut gc = Garbling::new(peer)?;
            let ahead = gc.garble_relu_ahead(ring, 2)?;
            Ok(ahead.finish(&mut gc, &Shares::zeros(ring, 3)).is_err())
        },
        |peer| Garbling::new(peer)?.receive_relu_ahead(&Shares::zeros(ring, 2)).map(drop),
    );
    assert!(wrong.unwrap().0.value);
}
