//! Products of floating-point and fixed-point numbers by two parties.

use garbled::functions::single_product;
use garbled::{Garbling, multiply_fixed_cost, multiply_single_cost};
use sci_core::{Block, Domain, Party, Prg, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_both};

#[test]
fn singles() {
    let mut prg = Prg::new(Block::from(1));
    for (ot, n) in
        [(OtKind::Iknp, 0), (OtKind::Silent, 1), (OtKind::Iknp, 65), (OtKind::Iknp, 9000)]
    {
        let mut draw = |n: usize| -> Vec<f32> {
            let edges =
                [0.0, -0.0, f32::INFINITY, f32::NAN, f32::MAX, f32::MIN_POSITIVE, 1e-40, -1.0];
            let random = std::iter::repeat_with(|| f32::from_bits(prg.next_u64() as u32));
            edges.into_iter().chain(random).take(n).collect()
        };
        let (a, mut b) = (draw(n), draw(n));
        b.reverse();
        let (server, client) = run_both(Settings::over(ot), |party, peer| {
            let own = if party == Party::Server { &a } else { &b };
            Garbling::new(peer)?.multiply_single(own)
        })
        .unwrap();
        let cost = Garbling::setup_cost() + multiply_single_cost(n, ot);
        assert_cost(&server, &client, cost, &format!("{n} singles, {ot:?}"));
        assert_eq!((server.value.len(), client.value.len()), (n, n));
        for (i, (x, y)) in a.iter().zip(&b).enumerate() {
            let got = server.value[i] ^ client.value[i];
            assert_eq!(got, u64::from(single_product(*x, *y).to_bits()), "{x:e} {y:e}");
        }
        // A share alone says nothing: half of its bits are set.
        if n > 1000 {
            let ones: u32 = server.value.iter().map(|x| x.count_ones()).sum();
            let deviation = f64::from(ones) - 16.0 * n as f64;
            assert!(deviation.abs() < 2.5 * (32.0 * n as f64).sqrt(), "{ones}");
        }
    }
}

#[test]
fn fixed_point() {
    let mut prg = Prg::new(Block::from(2));
    for (i, (bits, shift)) in
        [(1, 0), (8, 3), (32, 12), (37, 36), (64, 0), (64, 24)].into_iter().enumerate()
    {
        let ring = Ring::new(bits).unwrap();
        let n = 70;
        let mut draw = || -> Vec<u64> {
            let last = (ring.modulus() - 1) as u64;
            let edges = [0, 1, last, last / 2, last / 2 + 1].map(|x| ring.reduce(x));
            let mut all = edges.to_vec();
            all.extend((5..n).map(|_| ring.sample(&mut prg)));
            all
        };
        let (a, mut b) = (draw(), draw());
        b.rotate_left(i);
        let ot = [OtKind::Iknp, OtKind::Silent][i % 2];
        let (server, client) = run_both(Settings::over(ot), |party, peer| {
            let own = if party == Party::Server { &a } else { &b };
            Garbling::new(peer)?.multiply_fixed(ring, shift, own)
        })
        .unwrap();
        let cost = multiply_fixed_cost(n, ring, shift, ot).unwrap();
        assert_cost(&server, &client, Garbling::setup_cost() + cost, &format!("l = {bits}"));
        for (i, (&x, &y)) in a.iter().zip(&b).enumerate() {
            let expected = ring.from_signed(ring.to_signed(ring.mul(x, y)) >> shift);
            assert_eq!(server.value[i] ^ client.value[i], expected, "l = {bits}: {x} {y}");
        }
    }
    let ring = Ring::new(8).unwrap();
    assert!(multiply_fixed_cost(1, ring, 8, OtKind::Iknp).is_err());
    let (server, client) = run_both(Settings::default(), |_, peer| {
        let mut gc = Garbling::new(peer)?;
        Ok([gc.multiply_fixed(ring, 8, &[1]).is_err(), gc.multiply_fixed(ring, 0, &[256]).is_err()])
    })
    .unwrap();
    assert_eq!([server.value, client.value], [[true; 2]; 2]);
}
