//! What a layer computes, over shapes and domains.

mod hostile;
mod oracle;
mod privacy;

use super::keys::{Ciphertext, RotationKey};
use super::respond::Responder;
use super::session::PublicKeys;
use super::*;
use crate::cipher::Protection;
use crate::workers::Workers;
use proptest::prelude::*;
use sci_core::geometry::{ConvSpec, Window};
use sci_core::testing::{reveal, share_arithmetic};
use sci_core::{Field, Prg};

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
        let public = Ciphertext::receive(context, &secret.public_key(context, prg), None).unwrap();
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
    let workers = &Workers::new(2).unwrap();
    let mut messages = Vec::new();
    let mut keep = |message| {
        messages.push(message);
        Ok(())
    };
    layer.request(&keys.secret, client, workers, prg, &mut keep).unwrap();
    let mut messages = messages.into_iter();
    let inbox = layer.intake(server, prg, || Ok(messages.next().unwrap())).unwrap();
    let mut responses = Vec::new();
    let mut responder = Responder::new(layer.context(), &keys.server.public);
    responder.protection = protection;
    let server = layer
        .respond_with(&responder, &keys.server, weights, &inbox, workers, prg, |message| {
            responses.push(message);
            Ok(())
        })
        .unwrap();
    let mut messages = responses.iter();
    let client = layer.receive(&keys.secret, workers, |_| Ok(messages.next().unwrap())).unwrap();
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

/// The widest primes that requests and keys would take, as plaintext moduli.
#[test]
fn a_modulus_may_be_a_prime_of_requests() {
    for n in [133_857_281, 67_043_329, 33_292_289, 16_760_833] {
        check(
            Field::new(n).unwrap(),
            spec([5, 4, 1], [1, 9, 8], square(3, 1)),
            100,
            Privacy::default(),
            n,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 10, ..ProptestConfig::default() })]

    /// Every output position, over shapes with everything asymmetric.
    #[test]
    fn a_convolution_is_its_definition(
        batch in 1usize..3,
        (groups, gi, go) in (1usize..4, 1usize..6, 1usize..6),
        input in (1usize..3, 5usize..15, 5usize..15),
        kernel in (1usize..3, 1usize..8, 1usize..8),
        stride in (1usize..4, 1usize..4, 1usize..4),
        dilation in (1usize..3, 1usize..3, 1usize..4),
        before in (0usize..2, 0usize..4, 0usize..4),
        after in (0usize..2, 0usize..4, 0usize..4),
        n in prop::sample::select(vec![4_293_918_721, PRIME, 2_199_023_190_017]),
        seed: u64,
    ) {
        let axes = |(d, h, w): (usize, usize, usize)| [d, h, w];
        let window = Window::new(axes(kernel))
            .with_stride(axes(stride))
            .with_dilation(axes(dilation))
            .with_pads(axes(before), axes(after));
        let channels = [groups * gi, groups * go, groups];
        let spec = ConvSpec { batch, ..spec(channels, axes(input), window) };
        prop_assume!(ConvGeometry::new(spec).is_ok());
        let privacy =
            if seed.is_multiple_of(3) { Privacy::Coefficient } else { Privacy::default() };
        check(Field::new(n).unwrap(), spec, 1 << 11, privacy, seed);
    }

    #[test]
    fn a_fully_connected_layer_is_its_definition(
        rows in 1usize..3,
        inner in 1usize..300,
        outer in 1usize..300,
        seed: u64,
    ) {
        check_dense(Field::new(PRIME).unwrap(), rows, inner, outer, seed);
    }
}

fn check_dense(field: Field, rows: usize, inner: usize, outer: usize, seed: u64) {
    let geometry = LinearGeometry::new(rows, inner, outer).unwrap();
    let layer = Layer::fully_connected(&geometry, field, 1 << 11, Privacy::default()).unwrap();
    let mut prg = Prg::new(u128::from(seed).into());
    let values = edge_weights(geometry.weight_len(), 1 << 11, &mut prg);
    let x = edge_values(field, geometry.input_len(), &mut prg);
    let (server, client) = share_arithmetic(field, &x, &mut prg);
    let mut expected = Vec::new();
    for x in x.chunks(inner) {
        expected.extend(values.chunks(inner).map(|w| {
            x.iter()
                .zip(w)
                .fold(0, |sum, (&x, &w)| field.add(sum, field.mul(x, field.from_signed(w.into()))))
        }));
    }
    let weights = Weights::prepare(&layer, values).unwrap();
    let keys = Keys::new(&layer, &mut prg);
    let run = run(&layer, &keys, &weights, (&server, &client), Protection::FULL, &mut prg);
    assert!(reveal(field, &run.server, &run.client) == expected, "{rows} {inner} {outer}");
}

fn check_elementwise(field: Field, shape: &[usize], repeated: u8, bound: i32, seed: u64) {
    let weight_shape: Vec<usize> = shape
        .iter()
        .enumerate()
        .map(|(axis, &n)| if repeated >> axis & 1 == 1 { 1 } else { n })
        .collect();
    let privacy = Privacy::default();
    let layer = Layer::elementwise(shape, &weight_shape, field, bound as u64, privacy).unwrap();
    assert_eq!(Setup::new([&layer]).rotation_keys(), 0);
    let mut prg = Prg::new(u128::from(seed).into());
    let values = edge_weights(layer.weight_len(), bound, &mut prg);
    let x = edge_values(field, layer.input_len(), &mut prg);
    let (server, client) = share_arithmetic(field, &x, &mut prg);
    let mut expected = Vec::new();
    for (i, &x) in x.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for axis in (0..shape.len()).rev() {
            at += if weight_shape[axis] > 1 { rest % shape[axis] * stride } else { 0 };
            stride *= weight_shape[axis];
            rest /= shape[axis];
        }
        expected.push(field.mul(x, field.from_signed(values[at].into())));
    }
    let make = if seed.is_multiple_of(2) { Weights::prepare } else { Weights::on_the_fly };
    let weights = make(&layer, values).unwrap();
    let keys = Keys::new(&layer, &mut prg);
    let run = run(&layer, &keys, &weights, (&server, &client), Protection::FULL, &mut prg);
    assert!(reveal(field, &run.server, &run.client) == expected, "{shape:?} {weight_shape:?}");
    let sent: usize = run.responses.iter().map(Vec::len).sum();
    assert_eq!(sent as u64, layer.cost().server_to_client);
}

#[test]
fn elementwise_products_of_all_sizes() {
    let field = Field::new(PRIME).unwrap();
    for (seed, (shape, repeated)) in [
        (vec![1], 0),
        (vec![5, 7], 0b01),
        (vec![1, 3, 37, 37], 0b1100),
        // As many as a row, one more, as many as a request, one more, several requests.
        (vec![4096], 0),
        (vec![4097], 0),
        (vec![2, 4096], 0b10),
        (vec![8193], 0),
        (vec![1, 24, 28, 29], 0b1101),
    ]
    .into_iter()
    .enumerate()
    {
        check_elementwise(field, &shape, repeated, 1 << 11, seed as u64);
    }
    check_elementwise(field, &[300], 0, 1 << 30, 1);
    let wrong = Layer::elementwise(&[2, 3], &[3, 2], field, 1, Privacy::default());
    assert!(matches!(wrong, Err(Error::InvalidInput { .. })));
}

#[test]
fn named_shapes() {
    let field = Field::new(PRIME).unwrap();
    for (channels, input, window) in [
        ([1, 1, 1], [1, 4, 4], square(1, 0)),
        ([6, 9, 1], [1, 5, 6], square(2, 0).with_stride([1, 2, 1])),
        // Several requests and responses, the last ones with few channels.
        ([70, 67, 1], [1, 14, 14], square(3, 1)),
        ([130, 200, 1], [1, 7, 7], square(1, 0)),
        // Depth-wise, grouped, pointwise with stride.
        ([150, 150, 150], [1, 14, 14], square(3, 1)),
        ([48, 96, 4], [1, 10, 9], square(3, 1).with_stride([1, 2, 1])),
        ([16, 33, 1], [1, 7, 7], square(1, 0).with_stride([1, 2, 2])),
        // Tiles that do not divide the image, with stride.
        ([1, 2, 1], [1, 141, 150], square(7, 3).with_stride([1, 2, 2])),
        ([2, 3, 1], [1, 100, 90], square(3, 1)),
        // One-dimensional and three-dimensional.
        ([3, 2, 1], [1, 1, 300], Window::new([1, 1, 11]).with_dilation([1, 1, 3])),
        ([2, 2, 1], [9, 8, 7], Window::new([3, 2, 3]).with_stride([2, 1, 3])),
        // One position: a fully connected layer.
        ([100, 30, 1], [1, 1, 1], square(1, 0)),
    ] {
        check(field, spec(channels, input, window), 1 << 11, Privacy::default(), 5);
    }
}

/// The larger degree, for 60 bits and for the largest modulus of all.
#[test]
fn wide_moduli_take_the_larger_degree() {
    for n in [1_152_921_504_606_748_673, 4_611_686_018_427_322_369] {
        let field = Field::new(n).unwrap();
        let shape = spec([5, 3, 1], [1, 9, 8], square(3, 1));
        let geometry = ConvGeometry::new(shape).unwrap();
        let layer = Layer::conv(&geometry, field, 1 << 30, Privacy::default()).unwrap();
        assert_eq!(layer.context().params().degree(), 16384);
        check(field, shape, 1 << 30, Privacy::default(), 6);
    }
}

#[test]
fn the_classifier_of_resnet50() {
    check_dense(Field::new(PRIME).unwrap(), 1, 2048, 1001, 7);
}

/// Layers of ResNet50 share one set of parameters, and their keys are few.
#[test]
fn one_set_of_keys_serves_a_network() {
    let field = Field::new(PRIME).unwrap();
    let mut layers: Vec<Layer<Field>> = [
        ([3, 64, 1], 230, square(7, 0).with_stride([1, 2, 2])),
        ([64, 64, 1], 56, square(3, 1)),
        ([64, 256, 1], 56, square(1, 0)),
        ([128, 128, 1], 28, square(3, 1)),
        ([256, 256, 1], 14, square(3, 1)),
        ([512, 512, 1], 7, square(3, 1)),
        ([2048, 512, 1], 7, square(1, 0)),
    ]
    .into_iter()
    .map(|(channels, size, window)| {
        let geometry = ConvGeometry::new(spec(channels, [1, size, size], window)).unwrap();
        Layer::conv(&geometry, field, 1 << 11, Privacy::default()).unwrap()
    })
    .collect();
    let fc = LinearGeometry::new(1, 2048, 1001).unwrap();
    layers.push(Layer::fully_connected(&fc, field, 1 << 11, Privacy::default()).unwrap());
    for layer in &layers {
        assert_eq!(layer.context().params(), layers[0].context().params());
        let growth = layer.packing.circuit().growth();
        assert!(layer.context().params().admits(&growth));
    }
    let setup = Setup::new(&layers);
    let apart: usize = layers.iter().map(|layer| Setup::new([layer]).rotation_keys()).sum();
    assert!(setup.rotation_keys() < apart && setup.cost().bytes() < 64 << 20);
}

/// A layer of two requests with lines, giant steps, an exchange of rows and nothing left out.
fn layer(bound: u64) -> Layer<Field> {
    let geometry = ConvGeometry::new(spec([40, 6, 1], [1, 14, 14], square(3, 1))).unwrap();
    let field = Field::new(PRIME).unwrap();
    Layer::conv(&geometry, field, bound, Privacy::default()).unwrap()
}
