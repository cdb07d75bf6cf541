use super::keys::{Ciphertext, RotationKey};
use super::respond::Responder;
use super::session::PublicKeys;
use super::*;
use crate::cipher::Protection;
use proptest::prelude::*;
use sci_core::geometry::{ConvSpec, Window};
use sci_core::testing::{reveal, run_pair, share_arithmetic};
use sci_core::{Field, Prg, Ring, Shares};

/// The paper's prime of 37 bits.
const PRIME: u64 = 137_438_822_401;

/// The definition, by plain loops.
fn naive<D: Domain>(domain: D, spec: &ConvSpec, x: &[u64], w: &[i32], out: [usize; 3]) -> Vec<u64> {
    let ConvSpec { batch, in_channels, out_channels, groups, input, window } = *spec;
    let (gi, go) = (in_channels / groups, out_channels / groups);
    let [kd, kh, kw] = window.kernel;
    let mut y = Vec::new();
    for b in 0..batch {
        for o in 0..out_channels {
            for position in 0..out[0] * out[1] * out[2] {
                let to =
                    [position / (out[1] * out[2]), position / out[2] % out[1], position % out[2]];
                let mut sum = 0;
                for c in 0..gi {
                    for k in 0..kd * kh * kw {
                        let tap = [k / (kh * kw), k / kw % kh, k % kw];
                        let i = [0, 1, 2].map(|a| {
                            (to[a] * window.stride[a] + tap[a] * window.dilation[a]) as i64
                                - window.pad_before[a] as i64
                        });
                        if (0..3).any(|a| i[a] < 0 || i[a] >= input[a] as i64) {
                            continue;
                        }
                        let i = i.map(|i| i as usize);
                        let channel = b * in_channels + (o / go) * gi + c;
                        let at = ((channel * input[0] + i[0]) * input[1] + i[1]) * input[2] + i[2];
                        let w = domain.from_signed(w[(o * gi + c) * kd * kh * kw + k].into());
                        sum = domain.add(sum, domain.mul(x[at], w));
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

/// Both parties' keys for one layer.
struct Keys {
    secret: SecretKey,
    server: PublicKeys,
}

impl Keys {
    fn new<D: Domain>(layer: &Layer<D>, prg: &mut Prg) -> Self {
        let context = layer.context();
        let secret = SecretKey::generate(context, prg);
        let public =
            Ciphertext::receive(context, &secret.public_key(context, prg), None).unwrap();
        let rotations = layer.elements().into_iter().map(|element| {
            let message = secret.rotation_key(context, element, prg);
            (element, RotationKey::receive(context, element, &message).unwrap())
        });
        let rotations = rotations.collect();
        Self { secret, server: PublicKeys { public, rotations } }
    }
}

struct Run {
    responses: Vec<Vec<u8>>,
    server: Vec<u64>,
    client: Vec<u64>,
}

fn run<D: Domain>(
    layer: &Layer<D>,
    keys: &Keys,
    weights: &Weights,
    (server, client): (&[u64], &[u64]),
    protection: Protection,
    prg: &mut Prg,
) -> Run {
    let mut messages = Vec::new();
    let mut keep = |message| {
        messages.push(message);
        Ok(())
    };
    layer.request(&keys.secret, client, prg, &mut keep).unwrap();
    let mut messages = messages.into_iter();
    let inbox = layer.intake(server, prg, || Ok(messages.next().unwrap())).unwrap();
    let mut responses = Vec::new();
    let mut responder = Responder::new(layer.context(), &keys.server.public);
    responder.protection = protection;
    let server = layer
        .respond_with(&responder, &keys.server, weights, &inbox, prg, |message| {
            responses.push(message);
            Ok(())
        })
        .unwrap();
    let mut messages = responses.iter();
    let client = layer.receive(&keys.secret, |_| Ok(messages.next().unwrap())).unwrap();
    Run { responses, server, client }
}

fn edge_weights(count: usize, bound: i32, prg: &mut Prg) -> Vec<i32> {
    let mut draw = || match prg.next_u64() % 4 {
        0 => bound,
        1 => -bound,
        _ => (prg.next_u64() % (2 * bound as u64 + 1)) as i32 - bound,
    };
    (0..count).map(|_| draw()).collect()
}

fn edge_values<D: Domain>(domain: D, count: usize, prg: &mut Prg) -> Vec<u64> {
    let mut x = vec![0; count];
    domain.sample_into(prg, &mut x);
    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
        *x = [0, 1, (domain.modulus() - 1) as u64, (domain.modulus() / 2) as u64][i / 3 % 4];
    }
    x
}

/// Random weights up to the declared bound and shares at the edges of the domain.
fn check<D: Domain>(domain: D, spec: ConvSpec, bound: i32, privacy: Privacy, seed: u64) {
    let geometry = ConvGeometry::new(spec).unwrap();
    let layer = Layer::conv(&geometry, domain, bound as u64, privacy).unwrap();
    let mut prg = Prg::new(u128::from(seed).into());
    let weights = edge_weights(geometry.weight_len(), bound, &mut prg);
    let x = edge_values(domain, geometry.input_len(), &mut prg);
    let (server, client) = share_arithmetic(domain, &x, &mut prg);
    let expected = naive(domain, &spec, &x, &weights, geometry.output());
    let weights = match seed % 2 {
        0 => Weights::prepare(&layer, weights),
        _ => Weights::on_the_fly(&layer, weights),
    };
    let keys = Keys::new(&layer, &mut prg);
    let shares = (server.as_slice(), client.as_slice());
    let run = run(&layer, &keys, &weights.unwrap(), shares, Protection::FULL, &mut prg);
    assert!(reveal(domain, &run.server, &run.client) == expected, "{spec:?}");
}

fn spec(channels: [usize; 3], input: [usize; 3], window: Window) -> ConvSpec {
    let [in_channels, out_channels, groups] = channels;
    ConvSpec { batch: 1, in_channels, out_channels, groups, input, window }
}

fn square(k: usize, pad: usize) -> Window {
    Window::new([1, k, k]).with_pads([0, pad, pad], [0, pad, pad])
}

#[test]
fn named_shapes() {
    let field = Field::new(PRIME).unwrap();
    for (channels, input, window) in [
        ([1, 1, 1], [1, 4, 4], square(1, 0)),
        ([3, 5, 1], [1, 9, 8], square(3, 1)),
        ([6, 9, 1], [1, 5, 6], square(2, 0).with_stride([1, 2, 1])),
        ([24, 24, 24], [1, 14, 14], square(3, 1)),
        ([12, 8, 4], [1, 10, 9], square(3, 1).with_stride([1, 2, 1])),
        ([2, 3, 1], [1, 100, 90], square(3, 1)),
    ] {
        check(field, spec(channels, input, window), 1 << 11, Privacy::default(), 5);
    }
}
