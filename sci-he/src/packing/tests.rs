use super::*;
use crate::params::{Demand, Params, Privacy};
use crate::sample;
use sci_core::{Block, Prg, Ring};

fn context(bits: u32, degree: usize, levels: u32) -> (PackingContext, Params<Ring>) {
    let domain = Ring::new(bits).unwrap();
    let demand = Demand { domain, weight_bound: 1 << 11, terms: 576, privacy: Privacy::default() };
    let params = Params::with_packing(demand, degree, levels).unwrap();
    (PackingContext::new(degree, params.packing().unwrap()).unwrap(), params)
}

/// Encrypts `phase` exactly under q', c1 uniform.
fn encrypt(context: &PackingContext, secret: &[i8], phase: &[i64], prg: &mut Prg) -> Packed {
    let n = context.degree;
    let mut out = Packed::new(context);
    let [c0, c1] = &mut out.halves;
    for (digit, (c0, c1)) in
        context.digits.iter().zip(c0.chunks_exact_mut(n).zip(c1.chunks_exact_mut(n)))
    {
        sample::uniform_vartime(prg, digit.m.p, c1);
        let product = times(&digit.m, c1, secret);
        for ((c0, product), &phase) in c0.iter_mut().zip(product).zip(phase) {
            let phase = phase.rem_euclid(i64::from(digit.m.p)) as u32;
            *c0 = digit.m.sub(phase, product);
        }
    }
    out
}

fn times(m: &crate::modulus::Modulus, x: &[u32], secret: &[i8]) -> Vec<u32> {
    let mut x = x.to_vec();
    let mut s: Vec<u32> = secret.iter().map(|&s| m.small(s.into())).collect();
    m.forward(&mut x);
    m.forward(&mut s);
    let inverse = m.scaler(m.invert(x.len() as u32));
    for (x, s) in x.iter_mut().zip(s) {
        *x = m.scale(u64::from(*x) * u64::from(s), inverse);
    }
    m.inverse(&mut x);
    x
}

/// The phase modulo the first prime of q', centred.
fn phase(context: &PackingContext, secret: &[i8], x: &Packed) -> Vec<i64> {
    let (n, m) = (context.degree, &context.digits[0].m);
    let product = times(m, &x.halves[1][..n], secret);
    product
        .iter()
        .zip(&x.halves[0])
        .map(|(&a, &b)| {
            let v = i64::from(m.add(a, b));
            if v > i64::from(m.p) / 2 { v - i64::from(m.p) } else { v }
        })
        .collect()
}

/// Wanted coefficients arrive doubled d times where they belong, within the error of the parameters,
/// and everything else of the responses is gone; also with responses missing at the end.
#[test]
fn packed_coefficients_arrive_where_they_belong() {
    for (bits, degree, levels, count) in [(37, 8192, 3, 8), (37, 8192, 3, 5), (12, 4096, 2, 3)] {
        let (context, _) = context(bits, degree, levels);
        let scratch = &mut JoinScratch::new(&context);
        let mut prg = Prg::new(Block::from(20));
        let mut secret = vec![0; degree];
        sample::ternary(&mut prg, &mut secret);
        let messages =
            (1..=levels).map(|level| Ok(packing_keys(&context, &secret, level, &mut prg)));
        let messages: Vec<_> = messages.collect();
        let keys = PackingKeys::parse(&context, messages).unwrap();
        assert_eq!(keys.levels(), levels as usize);
        let step = 1 << levels;
        let wanted = |j: usize, k: usize| (1000 * j + k / step) as i64 * 1000 - 3_000_000;
        let mut stack: Vec<(usize, Packed)> = Vec::new();
        for j in 0..count {
            let garbage: Vec<i64> = (0..degree)
                .map(|k| {
                    let noise = (prg.next_u64() % (1 << 30)) as i64;
                    if k % step == 0 { wanted(j, k) } else { noise }
                })
                .collect();
            let mut next = (levels as usize, encrypt(&context, &secret, &garbage, &mut prg));
            while let Some((_, mut even)) = stack.pop_if(|(level, _)| *level == next.0) {
                even.join(&mut next.1, &context, &keys, next.0, scratch);
                next = (next.0 - 1, even);
            }
            stack.push(next);
        }
        while let Some((mut level, mut last)) = stack.pop() {
            let above = stack.last().map_or(0, |(level, _)| *level);
            while level > above {
                last.double(&context);
                level -= 1;
            }
            match stack.pop() {
                Some((level, mut even)) => {
                    even.join(&mut last, &context, &keys, level, scratch);
                    stack.push((level - 1, even));
                }
                None => {
                    let got = phase(&context, &secret, &last);
                    for j in 0..count {
                        for k in (0..degree).step_by(step) {
                            let error = got[k + reversed(j, levels)] - (wanted(j, k) << levels);
                            // 2^levels key switches, each below 2^12.
                            assert!(error.abs() < 1 << (12 + levels), "{j} {k}: {error}");
                        }
                    }
                }
            }
        }
    }
}

/// The error of one key switch against its bound and its expected size.
#[test]
fn the_noise_of_a_key_switch_is_as_reckoned() {
    let degree = 8192;
    let (context, params) = context(37, degree, 1);
    let mut prg = Prg::new(Block::from(21));
    let mut secret = vec![0; degree];
    sample::ternary(&mut prg, &mut secret);
    let keys =
        PackingKeys::parse(&context, [Ok(packing_keys(&context, &secret, 1, &mut prg))]).unwrap();
    let zeros = vec![0; degree];
    let mut even = encrypt(&context, &secret, &zeros, &mut prg);
    let mut odd = encrypt(&context, &secret, &zeros, &mut prg);
    let scratch = &mut JoinScratch::new(&context);
    even.join(&mut odd, &context, &keys, 1, scratch);
    let errors = phase(&context, &secret, &even);
    let spread = (errors.iter().map(|&e| (e as f64).powi(2)).sum::<f64>() / degree as f64).sqrt();
    // Two digits of variance p^2/12 against errors of variance 21/2, over S; the rounding of c1.
    let gadget = 2.0 * degree as f64 / 12.0 * 10.5;
    let rounding = (2.0 * degree as f64 / 3.0 + 1.0) / 12.0;
    let expected = (gadget + rounding).sqrt();
    assert!((spread / expected - 1.0).abs() < 0.05, "{spread} {expected}");
    let t = 37f64.exp2();
    let q: f64 = params.packing().unwrap().primes()[1..].iter().map(|&p| f64::from(p)).product();
    let budget = crate::params::packing_error(t, degree, params.packing().unwrap()) * q / t;
    assert!(errors.iter().all(|&e| (e as f64).abs() < budget), "{budget}");
    assert!(budget < 40.0 * expected, "a bound of use: {budget}");
}

#[test]
fn hostile_keys_are_refused() {
    let (context, _) = context(37, 8192, 1);
    let mut prg = Prg::new(Block::from(22));
    let secret = vec![1; 8192];
    let message = packing_keys(&context, &secret, 1, &mut prg);
    let refused = |message: &[u8]| {
        matches!(
            PackingKeys::parse(&context, [Ok(message)]),
            Err(sci_core::Error::PeerMisbehaved { .. })
        )
    };
    assert!(!refused(&message));
    assert!(refused(&message[1..]));
    let mut bad = message.clone();
    bad[16..20].fill(0xff);
    assert!(refused(&bad), "a residue that is not below its prime");
    let mut bad = message;
    let len = bad.len();
    bad[len - 4..].fill(0xff);
    assert!(refused(&bad));
}
