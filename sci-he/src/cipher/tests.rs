mod oracle;

use super::*;
use crate::params::{Demand, Privacy};
use sci_core::{Field, Ring};

fn context<D: Domain>(
    domain: D,
    weight_bound: u64,
    terms: u64,
    privacy: Privacy,
    degree: usize,
) -> Context<D> {
    let demand = Demand { domain, weight_bound, terms, privacy };
    Context::new(Params::new(demand, degree).unwrap()).unwrap()
}

/// The negacyclic product of weights at few places with a plaintext, by definition.
fn product<D: Domain>(domain: D, weights: &[(usize, i32)], x: &[u64]) -> Vec<u64> {
    let n = x.len();
    let mut out = vec![0; n];
    for &(place, w) in weights {
        let w = domain.from_signed(w.into());
        for (j, &x) in x.iter().enumerate() {
            let term = domain.mul(w, x);
            let at = (place + j) % n;
            let wrapped = place + j >= n;
            out[at] = if wrapped { domain.sub(out[at], term) } else { domain.add(out[at], term) };
        }
    }
    out
}

struct Parties<D: Domain> {
    context: Context<D>,
    secret: SecretKey,
    key: Ciphertext,
    prg: Prg,
}

impl<D: Domain> Parties<D> {
    fn new(context: Context<D>, seed: u128) -> Self {
        let mut prg = Prg::new(seed.into());
        let secret = SecretKey::generate(&context, &mut prg);
        let message = secret.public_key(&context, &mut prg);
        let key = Ciphertext::parse_public_key(&context, &message).unwrap();
        Self { context, secret, key, prg }
    }

    fn respond(
        &mut self,
        protection: Protection,
        weights: &[(usize, i32)],
        ciphertext: &Ciphertext,
        positions: &[usize],
        mask: &[u64],
    ) -> Vec<u8> {
        let mut plain = vec![0; self.context.n()];
        for &(place, w) in weights {
            plain[place] = w;
        }
        let mut poly = vec![0; self.context.poly_len()];
        self.context.transform_weights(&plain, &mut poly);
        let mut responder = Responder::new(&self.context, &self.key);
        responder.protection = protection;
        let mut message = vec![0; self.context.response_len(positions.len())];
        let products = [(poly.as_slice(), ciphertext)];
        responder.respond(&products, positions, mask, &mut self.prg, &mut message);
        message
    }
}

/// Shares and weights at their extremes: as many terms as were declared, all of the largest absolute
/// value, at the largest bitwidth of the degree.
#[test]
fn extremes_decrypt_at_the_edge_of_the_budget() {
    fn check<D: Domain>(domain: D, bound: i32, terms: usize, privacy: Privacy, degree: usize) {
        let context = context(domain, bound as u64, terms as u64, privacy, degree);
        assert!(context.params.budget_used() > 0.5, "{}", context.params.budget_used());
        let mut parties = Parties::new(context, 11);
        let top = (domain.modulus() - 1) as u64;
        let half = (domain.modulus() / 2) as u64;
        let weights: [Vec<(usize, i32)>; 2] = [
            (0..terms).map(|i| (i, bound)).collect(),
            (0..terms).map(|i| (i, if i % 3 == 0 { bound } else { -bound })).collect(),
        ];
        for (client, server) in [(top, top), (half, half), (0, top), (1, 0)] {
            let client = vec![client; degree];
            let server = vec![server; degree];
            let message = parties.secret.encrypt(&parties.context, &client, &mut parties.prg);
            let ciphertext =
                Ciphertext::receive(&parties.context, &message, &server, &mut parties.prg).unwrap();
            let mut x = client;
            domain.add_assign(&mut x, &server);
            let positions: Vec<usize> = (0..degree).collect();
            let mut mask = vec![0; degree];
            domain.sample_into(&mut parties.prg, &mut mask);
            for weights in &weights {
                let message =
                    parties.respond(Protection::FULL, weights, &ciphertext, &positions, &mask);
                let mut got =
                    parties.secret.decrypt(&parties.context, &message, &positions).unwrap();
                domain.add_assign(&mut got, &mask);
                assert!(got == product(domain, weights, &x), "Z_{domain}");
            }
        }
    }
    check(Ring::new(42).unwrap(), 1 << 11, 4608, Privacy::Coefficient, 8192);
    check(Ring::new(44).unwrap(), 1 << 11, 576, Privacy::Coefficient, 4096);
    check(Ring::new(37).unwrap(), 1 << 11, 576, Privacy::default(), 8192);
    check(Ring::new(64).unwrap(), 1 << 15, 300, Privacy::default(), 8192);
    check(Ring::new(20).unwrap(), 1 << 29, 40, Privacy::Coefficient, 8192);
    check(Ring::new(1).unwrap(), 1, 20, Privacy::Coefficient, 4096);
    check(Field::new(137_438_822_401).unwrap(), 1 << 11, 576, Privacy::default(), 8192);
    check(Field::new((1 << 62) - 57).unwrap(), 1 << 20, 100, Privacy::default(), 8192);
}

/// The error of a response at the modulus q, in units of 1/t of q: what is left of the phase.
fn errors<D: Domain>(
    parties: &Parties<D>,
    message: &[u8],
    positions: &[usize],
    plain: &[u64],
) -> Vec<f64> {
    let (context, n) = (&parties.context, parties.context.n());
    let b1 = context.params.c1_bits();
    let (c1, c0) = message.split_at(sci_core::pack::packed_len(n, b1));
    let phases = parties.secret.phases(context, c1, c0, positions).unwrap();
    let t = context.params.domain().modulus() as f64;
    let q = f64::from(b1).exp2();
    let errors = phases.iter().zip(plain).map(|(&phase, &plain)| {
        let error = (phase & ((1 << b1) - 1)) as f64 - plain as f64 * (q / t);
        (error - q * (error / q).round()) * t / q
    });
    errors.collect()
}

fn spread(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// Flooding of width V is V/sqrt(12) in the mean; without it the error is far below.
#[test]
fn measured_errors_agree_with_the_budget_and_show_missing_flooding() {
    let ring = Ring::new(37).unwrap();
    let n = 4096;
    let mut parties = Parties::new(context(ring, 1 << 11, 576, Privacy::Coefficient, n), 12);
    let params = parties.context.params.clone();
    let positions: Vec<usize> = (0..n).collect();
    let weights: Vec<(usize, i32)> = (0..576).map(|i| (7 * i, 1 << 11)).collect();
    let message = parties.secret.encrypt(&parties.context, &vec![1; n], &mut parties.prg);
    let ciphertext = Ciphertext::parse(&parties.context, &message).unwrap();
    let plain = product(ring, &weights, &vec![1; n]);
    let mask = vec![0; n];
    let mut measure = |protection| {
        let message = parties.respond(protection, &weights, &ciphertext, &positions, &mask);
        errors(&parties, &message, &positions, &plain)
    };
    let full = measure(Protection::FULL);
    let bare = measure(Protection { flooding: false, ..Protection::FULL });
    let budget = params.budget_used() / 2.0;
    assert!(full.iter().all(|e| e.abs() < budget), "{budget}");
    let to_units = (37.0 - params.modulus_bits()).exp2();
    let folds = f64::from(params.flood().folds);
    let expected = params.flood().width() as f64 * (folds / 12.0).sqrt() * to_units;
    // The rescaling adds a known part: c0 to b0 bits, c1 to b1 bits against the secret.
    let rounding = |b: u32| (37.0 - f64::from(b)).exp2() / 12f64.sqrt();
    let rescaling = rounding(params.c0_bits())
        .hypot(rounding(params.c1_bits()) * (2.0 * n as f64 / 3.0).sqrt());
    assert!((spread(&bare) / rescaling - 1.0).abs() < 0.1, "{} {rescaling}", spread(&bare));
    let measured = spread(&full);
    assert!((measured / expected.hypot(rescaling) - 1.0).abs() < 0.1, "{measured} {expected}");
    // A width that covers the error before flooding, by the declared number of bits.
    assert!(params.flood().width() as f64 >= params.error_rms() * 40f64.exp2());
}

/// Two responses to the same request with the same weights and masks differ everywhere only through
/// their own zero; without it c1 is the same linear function of the weights each time.
#[test]
fn every_response_has_a_zero_of_its_own() {
    let ring = Ring::new(20).unwrap();
    let n = 4096;
    let mut parties = Parties::new(context(ring, 100, 9, Privacy::Coefficient, n), 13);
    let message = parties.secret.encrypt(&parties.context, &[5; 9], &mut parties.prg);
    let ciphertext = Ciphertext::parse(&parties.context, &message).unwrap();
    let b1 = parties.context.params.c1_bits();
    let split = sci_core::pack::packed_len(n, b1);
    let mut c1 = |protection, weights: &[(usize, i32)]| {
        let message = parties.respond(protection, weights, &ciphertext, &[3, 9], &[1, 2]);
        let mut c1 = vec![0; n];
        sci_core::pack::unpack_u128(&message[..split], b1, &mut c1).unwrap();
        (c1, message.len())
    };
    let bare = Protection { fresh_zero: false, ..Protection::FULL };
    for weights in [&[(0, 3), (1, -100)][..], &[]] {
        let (first, len) = c1(Protection::FULL, weights);
        let (second, other) = c1(Protection::FULL, weights);
        assert_eq!(len, other);
        let equal = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        assert!(equal < 4, "{equal} equal coefficients");
        // Uniform: the top four bits of 8192 coefficients, 15 degrees of freedom.
        let mut bins = [0f64; 16];
        first.iter().chain(&second).for_each(|x| bins[(x >> (b1 - 4)) as usize] += 1.0);
        let chi: f64 = bins.iter().map(|c| (c - 512.0).powi(2) / 512.0).sum();
        assert!(chi < 60.0, "{chi}");
        assert_eq!(c1(bare, weights).0, c1(bare, weights).0);
    }
    // An all-zero filter would be transparent without the zero.
    assert!(c1(bare, &[]).0.iter().all(|&x| x == 0));
}

/// Coefficients that are not asked for are not in the message.
#[test]
fn only_the_wanted_coefficients_travel() {
    let ring = Ring::new(37).unwrap();
    let mut parties = Parties::new(context(ring, 100, 9, Privacy::Coefficient, 4096), 14);
    let message = parties.secret.encrypt(&parties.context, &[5; 4096], &mut parties.prg);
    let ciphertext = Ciphertext::parse(&parties.context, &message).unwrap();
    let params = parties.context.params.clone();
    for wanted in [0, 1, 3, 4096] {
        let positions: Vec<usize> = (0..wanted).collect();
        let mask = vec![0; wanted];
        let message = parties.respond(Protection::FULL, &[(0, 3)], &ciphertext, &positions, &mask);
        let (b0, b1) = (params.c0_bits() as usize, params.c1_bits() as usize);
        assert_eq!(message.len(), 4096 * b1 / 8 + (wanted * b0).div_ceil(8));
    }
}

#[test]
fn hostile_messages_are_refused() {
    let ring = Ring::new(36).unwrap();
    let mut parties = Parties::new(context(ring, 100, 9, Privacy::Coefficient, 4096), 15);
    let context = &parties.context;
    let message = parties.secret.encrypt(context, &[5; 9], &mut parties.prg);
    let misbehaved = |message: &[u8]| {
        matches!(Ciphertext::parse(context, message), Err(Error::PeerMisbehaved { .. }))
    };
    assert!(!misbehaved(&message));
    for len in [0, 15, 16, message.len() - 1] {
        assert!(misbehaved(&message[..len]), "{len} bytes");
    }
    let mut long = message.clone();
    long.push(0);
    assert!(misbehaved(&long));
    // Any bits of the right length are a request.
    assert!(!misbehaved(&vec![0xff; message.len()]));
    let message = parties.secret.public_key(context, &mut parties.prg);
    let misbehaved = |message: &[u8]| {
        let key = Ciphertext::parse_public_key(context, message);
        matches!(key, Err(Error::PeerMisbehaved { .. }))
    };
    assert!(!misbehaved(&message));
    assert!(misbehaved(&message[1..]));
    // The first residue of each prime at its largest bit pattern, which is not below the prime.
    let mut at = 16;
    for &p in context.params.primes() {
        let bits = crate::params::residue_bits(p);
        let mut bad = message.clone();
        bad[at..at + 4].fill(0xff);
        assert!(misbehaved(&bad), "{p}");
        at += sci_core::pack::packed_len(4096, bits);
    }
    assert_eq!(at, message.len());
    assert_ne!(3 * context.params.c0_bits() % 8, 0, "a response with padding");
    let response = vec![0; context.response_len(3)];
    assert!(parties.secret.decrypt(context, &response, &[0, 1, 2]).is_ok());
    assert!(parties.secret.decrypt(context, &response, &[0, 1]).is_err());
    assert!(parties.secret.decrypt(context, &response[1..], &[0, 1, 2]).is_err());
    let mut padded = response.clone();
    *padded.last_mut().unwrap() = 0x80;
    assert!(parties.secret.decrypt(context, &padded, &[0, 1, 2]).is_err());
}

#[test]
fn more_products_than_the_accumulator_holds() {
    let ring = Ring::new(16).unwrap();
    let context = context(ring, 1, 3000, Privacy::Coefficient, 4096);
    let mut parties = Parties::new(context, 16);
    let message = parties.secret.encrypt(&parties.context, &[1], &mut parties.prg);
    let x = Ciphertext::parse(&parties.context, &message).unwrap();
    // The residues themselves at their largest: p - 1 everywhere is the transform of -1.
    let mut plain = vec![0; 4096];
    plain[0] = -1;
    let mut poly = vec![0; parties.context.poly_len()];
    parties.context.transform_weights(&plain, &mut poly);
    let products = vec![(poly.as_slice(), &x); 3000];
    let mut out = vec![0; parties.context.response_len(1)];
    let mut responder = Responder::new(&parties.context, &parties.key);
    responder.respond(&products, &[0], &[0], &mut parties.prg, &mut out);
    let got = parties.secret.decrypt(&parties.context, &out, &[0]).unwrap();
    assert_eq!(got, [ring.from_signed(-3000)]);
}
