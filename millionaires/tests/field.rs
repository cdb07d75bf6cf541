//! Sign, ReLU, MaxPool, ArgMax over Z_n, and conversion between domains.

use millionaires::argmax::{argmax, argmax_cost, index_ring};
use millionaires::convert::{convert, convert_cost};
use millionaires::drelu::{drelu, drelu_cost};
use millionaires::maxpool::{Windows, maxpool, maxpool_cost};
use millionaires::relu::{MuxForm, relu_cost, relu_with};
use millionaires::{Precision, SignDomain};
use sci_core::testing::{Shared, edges, edges_and_random, reveal, reveal_bits};
use sci_core::{Block, Domain, Field, Party, Prg, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};

fn prg(seed: u64) -> Prg {
    Prg::new(Block([seed, 0xf1e1d]))
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

fn relu_case(field: Field, shares: &Shared<Field>, radix: u32) {
    let what = format!("n {field} m {radix}");
    let settings = settings(radix);
    let n = shares.len();
    let (server, client) =
        run_both(settings, |p, peer| drelu(peer, &shares.of(p), Precision::Full)).unwrap();
    let signs = reveal_bits(&server.value, &client.value);
    for (i, &x) in shares.values.iter().enumerate() {
        let (a, b) = (shares.server[i], shares.client[i]);
        assert_eq!(signs.get(i), field.to_signed(x) >= 0, "{what}: {x} = {a} + {b}");
    }
    let cost = drelu_cost(n, field, settings, Precision::Full).unwrap();
    assert_cost(&server, &client, cost, &what);
    for form in [MuxForm::Correlated, MuxForm::Plain] {
        let (server, client) =
            run_both(settings, |p, peer| relu_with(peer, &shares.of(p), Precision::Full, form))
                .unwrap();
        let out = reveal(field, server.value.values(), client.value.values());
        for (&x, y) in shares.values.iter().zip(out) {
            assert_eq!(y, if field.to_signed(x) >= 0 { x } else { 0 }, "{what}: {x}");
        }
        let cost = relu_cost(n, field, settings, Precision::Full, form).unwrap();
        assert_cost(&server, &client, cost, &what);
    }
}

#[test]
fn sign_is_exhaustively_right_for_small_moduli() {
    for n in [2, 3, 4, 5, 6, 7, 8, 11, 16, 31, 32, 37] {
        let field = Field::new(n).unwrap();
        let shares = Shared::exhaustive(field, &(0..n).collect::<Vec<_>>());
        // Both orders, so that either party's share takes the leader's place.
        relu_case(field, &shares, 2);
        relu_case(field, &shares.exchanged(), 4);
    }
}

#[test]
fn relu_of_edge_values_for_odd_even_and_prime_moduli() {
    let moduli = [127, 128, 1000, 65_537, 4_293_918_721, 137_438_822_401, (1 << 61) - 1, 1 << 62];
    for n in moduli {
        let field = Field::new(n).unwrap();
        let mut rng = prg(n);
        let values = edges_and_random(field, 4, &mut rng);
        let shares = Shared::at_edges(field, &values, &mut rng);
        relu_case(field, &shares, 4);
        relu_case(field, &shares, 7);
    }
    let field = Field::new(4_293_918_721).unwrap();
    let shares = Shared::at_edges(field, &edges(field), &mut prg(3));
    for radix in [1, 2, 3, 5, 6, 8] {
        relu_case(field, &shares, radix);
    }
}

/// Table 2 of CrypTFlow2 for 32-bit n: 5288 bits with its MUX.
#[test]
fn relu_cost_is_below_the_papers() {
    let field = Field::new(4_293_918_721).unwrap();
    let n = 2048;
    let bits =
        |form| relu_cost(n, field, iknp(7), Precision::Full, form).unwrap().bytes() * 8 / n as u64;
    let sign = field.msb_cost(n, iknp(7), Precision::Full, Party::Server).unwrap();
    assert_eq!(sign.bytes() * 8 / n as u64, 4664);
    assert_eq!(bits(MuxForm::Correlated), 4984);
    assert_eq!(bits(MuxForm::Plain), 5048);
    assert_eq!(relu_cost(64, field, iknp(7), Precision::Full, MuxForm::Plain).unwrap().rounds, 8);
    assert!(field.msb_cost(1, iknp(7), Precision::Bits(8), Party::Server).is_err());
}

#[test]
fn maxpool_and_argmax_over_z_n() {
    let field = Field::new(65_537).unwrap();
    let mut rng = prg(8);
    let x: Vec<u64> = (0..60)
        .map(|i| if i % 2 == 0 { field.from_signed(i % 6 - 3) } else { field.sample(&mut rng) })
        .collect();
    let shares = Shared::random(field, &x, &mut rng);
    let members: Vec<Vec<usize>> = (1..8).map(|size| (size..2 * size + 1).collect()).collect();
    let windows = Windows::new(members.iter().map(Vec::as_slice)).unwrap();
    let (server, client) =
        run_both(settings(4), |p, peer| maxpool(peer, &shares.of(p), &windows, Precision::Full))
            .unwrap();
    let out = reveal(field, server.value.values(), client.value.values());
    let greater = |a: u64, b: u64| field.to_signed(field.sub(a, b)) >= 0;
    for (window, y) in members.iter().zip(out) {
        let mut nodes: Vec<u64> = window.iter().map(|&i| x[i]).collect();
        while nodes.len() > 1 {
            nodes = nodes
                .chunks(2)
                .map(|p| match *p {
                    [a, b] if !greater(a, b) => b,
                    _ => p[0],
                })
                .collect();
        }
        assert_eq!(y, nodes[0]);
    }
    let cost = maxpool_cost(&windows, field, settings(4), Precision::Full).unwrap();
    assert_cost(&server, &client, cost, "MaxPool");

    let (server, client) =
        run_both(settings(4), |p, peer| argmax(peer, &shares.of(p), 10, Precision::Full)).unwrap();
    let out = reveal(index_ring(10).unwrap(), server.value.values(), client.value.values());
    for (row, y) in x.chunks(10).zip(out) {
        let mut nodes: Vec<(u64, u64)> = row.iter().copied().zip(0..).collect();
        while nodes.len() > 1 {
            nodes = nodes
                .chunks(2)
                .map(|p| match *p {
                    [a, b] if !greater(a.0, b.0) => b,
                    _ => p[0],
                })
                .collect();
        }
        assert_eq!(y, nodes[0].1);
    }
    assert_cost(
        &server,
        &client,
        argmax_cost(6, 10, field, settings(4), Precision::Full).unwrap(),
        "ArgMax",
    );
}

fn convert_case<A: Domain, B: Domain>(source: A, target: B) {
    let mut rng = prg(source.modulus() as u64 ^ target.modulus() as u64);
    let values = edges_and_random(source, 5, &mut rng);
    let shares = Shared::at_edges(source, &values, &mut rng);
    let (server, client) =
        run_both(settings(4), |p, peer| convert(peer, &shares.of(p), target)).unwrap();
    let out = reveal(target, server.value.values(), client.value.values());
    for (&x, y) in shares.values.iter().zip(out) {
        let expected = i128::from(source.to_signed(x)).rem_euclid(target.modulus() as i128);
        assert_eq!(i128::from(y), expected, "{x} from {source} to {target}");
    }
    let cost = convert_cost(shares.len(), source, target, settings(4)).unwrap();
    assert_cost(&server, &client, cost, &format!("{source} to {target}"));
}

#[test]
fn conversion_keeps_the_signed_value() {
    let rings = [1, 2, 8, 32, 37, 63, 64].map(|l| Ring::new(l).unwrap());
    let fields = [2, 3, 7, 256, 65_537, 137_438_822_401, 1 << 62].map(|n| Field::new(n).unwrap());
    for ring in rings {
        for field in fields {
            convert_case(ring, field);
            convert_case(field, ring);
        }
        convert_case(ring, Ring::new(16).unwrap());
    }
    convert_case(fields[3], fields[5]);
}
