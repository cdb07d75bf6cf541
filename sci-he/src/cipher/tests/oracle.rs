//! Our encryption, product and decryption against those of an independent BFV.

use super::*;
use crate::oracle::Oracle;
use crate::sample;
use sci_core::Block;

fn inverse<D: Domain>(context: &Context<D>, poly: &[u32]) -> Vec<u32> {
    let mut poly = poly.to_vec();
    for (c, residues) in context.moduli.iter().zip(poly.chunks_exact_mut(context.n())) {
        kernels::scale(&c.m, c.inverse_n, residues);
        c.m.inverse(residues);
    }
    poly
}

fn forward<D: Domain>(context: &Context<D>, mut poly: Vec<u32>) -> Vec<u32> {
    for (c, residues) in context.moduli.iter().zip(poly.chunks_exact_mut(context.n())) {
        c.m.forward(residues);
    }
    poly
}

/// A request of ours decrypts under `fhe`, alone and times a plaintext; a ciphertext of `fhe` goes
/// through our response and decrypts under us. The same by plain loops.
#[test]
fn another_implementation_agrees() {
    fn check<D: Domain>(domain: D, degree: usize, privacy: Privacy) {
        let context = context(domain, 1 << 11, 576, privacy, degree);
        let mut prg = Prg::new(Block::from(51));
        let mut ternary = vec![0; degree];
        sample::ternary(&mut prg, &mut ternary);
        let t = domain.modulus() as u64;
        let other = Oracle::new(context.params.primes(), t, &ternary);
        let secret = SecretKey::from_ternary(&context, &ternary);
        let key = secret.public_key(&context, &mut prg);
        let key = Ciphertext::parse_public_key(&context, &key).unwrap();
        let mut shares = [vec![0; degree], vec![0; degree]];
        shares.iter_mut().for_each(|share| domain.sample_into(&mut prg, share));
        shares[0][..3].copy_from_slice(&[0, t - 1, t / 2]);
        let message = secret.encrypt(&context, &shares[0], &mut prg);
        let ours = Ciphertext::receive(&context, &message, &shares[1], &mut prg).unwrap();
        let [mut x, own] = shares;
        domain.add_assign(&mut x, &own);
        let (c0, c1) = (inverse(&context, &ours.c0), inverse(&context, &ours.c1));
        let theirs = other.ciphertext([&c0, &c1]);
        assert_eq!(other.decrypt(&theirs), x);
        let weights: Vec<(usize, i32)> =
            (0..576).map(|i| (7 * i, if i % 3 == 0 { 1 << 11 } else { 5 - i as i32 })).collect();
        let (mut w, mut plain) = (vec![0; degree], vec![0; degree]);
        for &(at, value) in &weights {
            w[at] = domain.from_signed(value.into());
            plain[at] = value;
        }
        let expected = product(domain, &weights, &x);
        assert_eq!(other.decrypt(&other.times(&theirs, &w)), expected);
        // And the other way: from their encryption to our decryption.
        let halves = other.halves(&other.encrypt(&x));
        let [c0, c1] = halves.map(|half| forward(&context, half));
        let theirs = Ciphertext { c0, c1 };
        let mut poly = vec![0; context.poly_len()];
        context.transform_weights(&plain, &mut poly);
        let positions: Vec<usize> = (0..degree).collect();
        let mut mask = vec![0; degree];
        domain.sample_into(&mut prg, &mut mask);
        let mut message = vec![0; context.response_len(degree)];
        let products = [(poly.as_slice(), &theirs)];
        let mut responder = Responder::new(&context, &key);
        responder.respond(&products, &positions, &mask, &mut prg, &mut message);
        let mut got = secret.decrypt(&context, &message, &positions).unwrap();
        domain.add_assign(&mut got, &mask);
        assert_eq!(got, expected);
    }
    check(Ring::new(20).unwrap(), 4096, Privacy::Coefficient);
    check(Ring::new(26).unwrap(), 8192, Privacy::default());
    check(Field::new(1_000_003).unwrap(), 8192, Privacy::default());
}
