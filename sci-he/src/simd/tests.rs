use super::evaluate::Evaluator;
use super::keys::{Ciphertext, RotationKey};
use super::params::Growth;
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

fn spread(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// A layer of two requests with lines, giant steps, an exchange of rows and nothing left out.
fn layer(bound: u64) -> Layer<Field> {
    let geometry = ConvGeometry::new(spec([40, 6, 1], [1, 14, 14], square(3, 1))).unwrap();
    let field = Field::new(PRIME).unwrap();
    Layer::conv(&geometry, field, bound, Privacy::default()).unwrap()
}

/// The error of a request, of a rotation, and of the sums of a convolution and a fully connected
/// layer with random and with extreme plaintexts, against the budget.
#[test]
fn measured_errors_agree_with_the_budget() {
    let field = Field::new(PRIME).unwrap();
    let fc = LinearGeometry::new(1, 500, 60).unwrap();
    let dense = Layer::fully_connected(&fc, field, 1 << 11, Privacy::default()).unwrap();
    for layer in [layer(1 << 11), dense] {
        let (context, circuit) = (layer.context(), layer.packing.circuit());
        let params = context.params();
        let mut prg = Prg::new(31u128.into());
        let keys = Keys::new(&layer, &mut prg);
        let x = edge_values(field, layer.input_len(), &mut prg);
        let mut messages = Vec::new();
        let mut keep = |message| {
            messages.push(message);
            Ok(())
        };
        layer.request(&keys.secret, &x, &mut prg, &mut keep).unwrap();
        let mut messages = messages.into_iter();
        let inbox = layer.intake(&x, &mut prg, || Ok(messages.next().unwrap())).unwrap();
        let mut double = x.clone();
        field.add_assign(&mut double, &x);

        // Two roundings of variance 1/6 in the mean, 1/4 at most.
        let plain = layer.encode(&double, 0);
        let fresh = spread(&keys.secret.errors(context, &inbox.ciphertexts()[0], &plain));
        assert!((fresh / (10.5f64 + 1.0 / 3.0).sqrt() - 1.0).abs() < 0.05, "{fresh}");

        let mut evaluator = Evaluator::new(context, circuit, &keys.server.rotations);
        let copies: Vec<_> =
            inbox.ciphertexts().iter().map(|x| evaluator.copies(x).unwrap()).collect();
        let growth =
            Growth { requests: 1, period: 1, uses: 0, reuse: 0, after_hops: vec![], late: 0 };
        let base = params.deviation(&growth);
        // One rotation costs at least a third of what is provided for it, and not more than that.
        let single = Growth { late: 1, ..growth };
        let provided = params.deviation(&single) - base;
        let unknown = |at: usize| {
            let column = circuit.lines[0].columns[at];
            let mut slots = vec![0; context.n()];
            layer.packing.fill(0, 0, &double, &mut slots);
            let row = circuit.row;
            let moved: Vec<u64> =
                (0..2 * row).map(|i| slots[i / row * row + (i % row + column) % row]).collect();
            context.encode(&moved)
        };
        let rotated = spread(&keys.secret.errors(context, &copies[0][1], &unknown(1)));
        assert!(
            rotated < provided.hypot(fresh) && rotated > provided / 3.0,
            "{rotated} {provided}"
        );

        let bound = params.deviation(&circuit.growth());
        assert!(bound <= params.error_bound());
        for extreme in [false, true] {
            let weights: Vec<u64> =
                (0..layer.weight_len())
                    .map(|_| {
                        if extreme { field.from_signed(-(1 << 11)) } else { field.sample(&mut prg) }
                    })
                    .collect();
            let plaintexts = layer.plaintexts.response(context, &*layer.packing, 0, &weights);
            let sum = evaluator.respond(0, &copies, &plaintexts).unwrap();
            // The plaintext of the sum is what it decrypts to: errors are far below q/n.
            let mut message = sum.clone();
            let mut responder = Responder::new(context, &keys.server.public);
            responder.protection = NONE;
            let all: Vec<usize> = (0..context.n()).collect();
            let message = responder.respond(&mut message, &all, &vec![0; context.n()], &mut prg);
            let plain = keys.secret.decrypt(context, &message, &all).unwrap();
            let errors = keys.secret.errors(context, &sum, &plain);
            let measured = spread(&errors);
            assert!(measured < bound, "2^{} of 2^{}", measured.log2(), bound.log2());
            // Aligned weights are not the rule, but the bound is not out of reach either.
            assert!(measured > bound / 12f64.exp2(), "2^{} of 2^{}", measured.log2(), bound.log2());
            let largest = errors.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
            assert!(largest < params.worst(&circuit.growth()));
        }
    }
}

const NONE: Protection = Protection { fresh_zero: false, flooding: false };

/// The errors of a decrypted response in units of 1/n of the modulus, for an input and weights that
/// are all one.
fn response_errors(protection: Protection) -> (Layer<Field>, Vec<f64>) {
    let layer = layer(1 << 11);
    let mut prg = Prg::new(32u128.into());
    let keys = Keys::new(&layer, &mut prg);
    let ones = vec![1; layer.input_len()];
    let zeros = vec![0; layer.input_len()];
    let weights = Weights::on_the_fly(&layer, vec![1; layer.weight_len()]).unwrap();
    let run = run(&layer, &keys, &weights, (&zeros, &ones), protection, &mut prg);
    let context = layer.context();
    let all: Vec<usize> = (0..context.n()).collect();
    let phases = keys.secret.phases(context, &run.responses[0], &all).unwrap();
    let plain = keys.secret.decrypt(context, &run.responses[0], &all).unwrap();
    let q = f64::from(context.params().c1_bits()).exp2();
    let errors = phases.iter().zip(plain.iter()).map(|(&phase, &plain)| {
        let error = phase as f64 - plain as f64 * (q / PRIME as f64);
        (error - q * (error / q).round()) * PRIME as f64 / q
    });
    let errors = errors.collect();
    (layer, errors)
}

/// Flooding of width V is V/sqrt(12) in the mean; without it only the rescaling is left.
#[test]
fn responses_are_flooded() {
    let (layer, full) = response_errors(Protection::FULL);
    let (_, bare) = response_errors(Protection { flooding: false, ..Protection::FULL });
    let params = layer.context().params();
    let t = (PRIME as f64).log2();
    let flooding = params.flood().width() / 12f64.sqrt() * (t - params.modulus_bits()).exp2();
    let rounding = |b: u32| (t - f64::from(b)).exp2() / 12f64.sqrt();
    let rescaling = rounding(params.c0_bits())
        .hypot(rounding(params.c1_bits()) * (2.0 * params.degree() as f64 / 3.0).sqrt());
    let (full, bare) = (spread(&full), spread(&bare));
    assert!((bare / rescaling - 1.0).abs() < 0.1, "{bare} {rescaling}");
    assert!((full / flooding.hypot(rescaling) - 1.0).abs() < 0.1, "{full} {flooding}");
    assert!(full > 1.2 * bare, "flooding is visible: {full} {bare}");
    let hidden = f64::from(params.privacy().flood_bits()).exp2();
    assert!(params.flood().width() >= params.deviation(&layer.packing.circuit().growth()) * hidden);
}

/// Every response has a zero and a mask of its own; without the zero, c1 is the same function of the
/// weights each time.
#[test]
fn every_response_has_a_zero_and_a_mask_of_its_own() {
    let layer = layer(1 << 11);
    let mut prg = Prg::new(33u128.into());
    let keys = Keys::new(&layer, &mut prg);
    let share = vec![5; layer.input_len()];
    let mut messages = Vec::new();
    let mut keep = |message| {
        messages.push(message);
        Ok(())
    };
    layer.request(&keys.secret, &share, &mut prg, &mut keep).unwrap();
    let mut messages = messages.into_iter();
    let inbox = layer.intake(&share, &mut prg, || Ok(messages.next().unwrap())).unwrap();
    let context = layer.context();
    let (n, b1) = (context.n(), context.params().c1_bits());
    let mut respond = |protection, weight: i32| {
        let weights = Weights::prepare(&layer, vec![weight; layer.weight_len()]).unwrap();
        let mut responder = Responder::new(context, &keys.server.public);
        responder.protection = protection;
        let mut c1 = vec![0u128; n];
        let mut len = 0;
        let output = layer
            .respond_with(&responder, &keys.server, &weights, &inbox, &mut prg, |message| {
                len = message.len();
                let bytes = &message[..sci_core::pack::packed_len(n, b1)];
                sci_core::pack::unpack_u128(bytes, b1, &mut c1)
            })
            .unwrap();
        (c1, len, output)
    };
    let bare = Protection { fresh_zero: false, ..Protection::FULL };
    for weight in [3, 0] {
        let first = respond(Protection::FULL, weight);
        let second = respond(Protection::FULL, weight);
        assert_eq!(first.1, second.1);
        let equal = |a: &[u128], b: &[u128]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        assert!(equal(&first.0, &second.0) < 4, "{} equal", equal(&first.0, &second.0));
        let same = first.2.iter().zip(&second.2).filter(|(a, b)| a == b).count();
        assert!(same < 4, "{same} equal masks");
        // Uniform: the top four bits of 2·N coefficients, 15 degrees of freedom.
        let mut bins = [0f64; 16];
        first.0.iter().chain(&second.0).for_each(|x| bins[(x >> (b1 - 4)) as usize] += 1.0);
        let mean = n as f64 / 8.0;
        let chi: f64 = bins.iter().map(|c| (c - mean).powi(2) / mean).sum();
        assert!(chi < 60.0, "{chi}");
        assert_eq!(respond(bare, weight).0, respond(bare, weight).0);
    }
    // An all-zero filter would be transparent without the zero.
    assert!(respond(bare, 0).0.iter().all(|&x| x == 0));
}

/// Slots that are no output are as uniform as the others: the mask covers the partial sums.
#[test]
fn unused_slots_are_masked() {
    let layer = layer(1 << 11);
    let mut prg = Prg::new(34u128.into());
    let keys = Keys::new(&layer, &mut prg);
    let share = vec![1; layer.input_len()];
    let weights = Weights::prepare(&layer, vec![1; layer.weight_len()]).unwrap();
    let run = run(&layer, &keys, &weights, (&share, &share), Protection::FULL, &mut prg);
    let context = layer.context();
    let all: Vec<usize> = (0..context.n()).collect();
    let plain = keys.secret.decrypt(context, &run.responses[0], &all).unwrap();
    let slots = layer.slots(&plain);
    let mut used = vec![false; context.n()];
    layer.packing.outputs(0, 0, &mut |slot, _| used[slot] = true);
    for kind in [true, false] {
        let chosen: Vec<u64> =
            slots.iter().zip(&used).filter(|(_, used)| **used == kind).map(|(&x, _)| x).collect();
        let mean = chosen.len() as f64 / 16.0;
        let mut bins = [0f64; 16];
        chosen.iter().for_each(|&x| bins[(u128::from(x) * 16 / u128::from(PRIME)) as usize] += 1.0);
        let chi: f64 = bins.iter().map(|c| (c - mean).powi(2) / mean).sum();
        assert!(chosen.len() > 500 && chi < 60.0, "{} slots: {chi}", chosen.len());
    }
}

/// A session with everything: one setup for two layers, measured payload and rounds.
#[test]
fn a_session_has_the_cost_stated() {
    let field = Field::new(PRIME).unwrap();
    let fc = LinearGeometry::new(2, 150, 20).unwrap();
    let dense = Layer::fully_connected(&fc, field, 100, Privacy::default()).unwrap();
    let shape = spec([3, 4, 1], [1, 16, 16], square(3, 1));
    let conv = ConvGeometry::new(shape).unwrap();
    let conv = Layer::conv(&conv, field, 100, Privacy::default()).unwrap();
    let layers = [conv, dense];
    let setup = Setup::new(&layers);
    let costs = || [setup.cost(), layers[0].cost(), layers[1].cost(), layers[1].cost()];
    let mut prg = Prg::new(7u128.into());
    let weights: Vec<Vec<i32>> =
        layers.iter().map(|layer| edge_weights(layer.weight_len(), 100, &mut prg)).collect();
    let mut shares = layers.iter().map(|layer| {
        let x = edge_values(field, layer.input_len(), &mut prg);
        let (server, client) = share_arithmetic(field, &x, &mut prg);
        (x, server, client)
    });
    let inputs: Vec<_> = shares.by_ref().collect();
    let order = [0, 1, 1];
    let (servers, clients) = run_pair(
        |mut session| {
            let mut prg = Prg::new(8u128.into());
            let stream = session.stream();
            let mut measured = Vec::new();
            let mut outputs = Vec::new();
            let mut keys = None;
            for step in [None, Some(0), Some(1), Some(1)] {
                let (depth, before) = (stream.suspend_depth(), stream.traffic());
                match step {
                    None => keys = Some(ServerKeys::receive(stream, &setup).unwrap()),
                    Some(i) => {
                        let layer = &layers[i];
                        let prepared = Weights::prepare(layer, weights[i].clone()).unwrap();
                        let share = Shares::new(field, inputs[i].1.clone()).unwrap();
                        let keys = keys.as_ref().unwrap();
                        let out = run_server(stream, layer, keys, &prepared, &share, &mut prg);
                        outputs.push(out.unwrap());
                    }
                }
                let traffic = stream.traffic();
                measured.push(Cost {
                    server_to_client: traffic.payload_sent - before.payload_sent,
                    client_to_server: traffic.payload_received - before.payload_received,
                    rounds: stream.restore_depth(depth),
                    ..Cost::ZERO
                });
            }
            assert_eq!(measured, costs());
            outputs
        },
        |mut session| {
            let mut prg = Prg::new(9u128.into());
            let stream = session.stream();
            let keys = ClientKeys::send(stream, &setup, &mut prg).unwrap();
            order.map(|i| {
                let depth = stream.suspend_depth();
                let share = Shares::new(field, inputs[i].2.clone()).unwrap();
                let out = run_client(stream, &layers[i], &keys, &share, &mut prg).unwrap();
                assert_eq!(stream.restore_depth(depth), 2);
                out
            })
        },
    );
    let conv = ConvGeometry::new(shape).unwrap();
    let mut expected = vec![naive(field, &shape, &inputs[0].0, &weights[0], conv.output())];
    let product = ConvSpec { batch: 2, ..spec([150, 20, 1], [1; 3], Window::new([1; 3])) };
    expected.push(naive(field, &product, &inputs[1].0, &weights[1], [1; 3]));
    for ((server, client), i) in servers.iter().zip(&clients).zip(order) {
        assert!(reveal(field, server.values(), client.values()) == expected[i]);
    }
    assert_ne!(servers[1].values(), servers[2].values(), "masks are fresh");
}

#[test]
fn hostile_messages_are_refused() {
    let layer = layer(100);
    let context = layer.context();
    let mut prg = Prg::new(15u128.into());
    let secret = SecretKey::generate(context, &mut prg);
    let misbehaved = |error: Option<Error>| matches!(error, Some(Error::PeerMisbehaved { .. }));
    let element = *layer.elements().first().unwrap();
    let request = secret.public_key(context, &mut prg);
    let key = secret.rotation_key(context, element, &mut prg);
    let as_request = |message: &[u8]| Ciphertext::receive(context, message, None).err();
    let as_key = |message: &[u8]| RotationKey::receive(context, element, message).err();
    assert!(as_request(&request).is_none() && as_key(&key).is_none());
    for (message, receive) in [
        (&request, &as_request as &dyn Fn(&[u8]) -> Option<Error>),
        (&key, &as_key as &dyn Fn(&[u8]) -> Option<Error>),
    ] {
        for len in [0, 15, 16, message.len() - 1] {
            assert!(misbehaved(receive(&message[..len])), "{len} bytes");
        }
        let long = [message.as_slice(), &[0]].concat();
        assert!(misbehaved(receive(&long)));
        // A residue of every prime, at its largest bit pattern, which is not below the prime.
        let mut at = 16;
        let primes = context.params().primes();
        let all = [primes, context.params().special()].concat();
        for &p in all.iter().cycle() {
            if at >= message.len() {
                break;
            }
            if message.len() == request.len() && !primes.contains(&p) {
                continue;
            }
            let mut bad = message.clone();
            bad[at..at + 4].fill(0xff);
            assert!(misbehaved(receive(&bad)), "{p}");
            at += sci_core::pack::packed_len(context.n(), crate::params::residue_bits(p));
        }
        assert_eq!(at, message.len());
    }
    let response = vec![0; context.response_len(context.n())];
    let all: Vec<usize> = (0..context.n()).collect();
    assert!(secret.decrypt(context, &response, &all).is_ok());
    assert!(misbehaved(secret.decrypt(context, &response[1..], &all).err()));
    assert!(misbehaved(secret.decrypt(context, &response, &all[1..]).err()));
    let mut padded = vec![0; context.response_len(3)];
    assert_ne!(3 * context.params().c0_bits() % 8, 0, "a response with padding");
    *padded.last_mut().unwrap() = 0x80;
    assert!(misbehaved(secret.decrypt(context, &padded, &[0, 1, 2]).err()));
}

#[test]
fn wrong_weights_and_wrong_shares_are_refused() {
    let layer = layer(100);
    let mut weights = vec![100; layer.weight_len()];
    weights[7] = -101;
    assert!(matches!(Weights::prepare(&layer, weights.clone()), Err(Error::InvalidInput { .. })));
    weights[7] = i32::MIN;
    assert!(Weights::prepare(&layer, weights.clone()).is_err());
    weights.pop();
    assert!(Weights::on_the_fly(&layer, weights).is_err());
    let mut prg = Prg::new(11u128.into());
    let len = layer.context().request_len();
    let share = vec![0; layer.input_len()];
    let garbage = layer.intake(&share, &mut prg, || Ok(vec![0xff; len]));
    assert!(matches!(garbage, Err(Error::PeerMisbehaved { .. })));
    assert!(layer.intake(&share[1..], &mut prg, || Ok(vec![0; len])).is_err());
    let wrong = vec![PRIME; share.len()];
    assert!(layer.intake(&wrong, &mut prg, || Ok(vec![0; len])).is_err());
    let geometry = ConvGeometry::new(spec([1, 1, 1], [1, 4, 4], square(1, 0))).unwrap();
    let ring = Layer::conv(&geometry, Ring::new(37).unwrap(), 100, Privacy::default());
    assert!(matches!(ring, Err(Error::InvalidInput { .. })));
    // 1 modulo 2N, but not prime.
    let composite = Field::new(PRIME + 32768 * 3).unwrap();
    let composite = Layer::conv(&geometry, composite, 100, Privacy::default());
    assert!(matches!(composite, Err(Error::InvalidInput { .. })));
    let field = Field::new(PRIME).unwrap();
    for bound in [0, MAX_WEIGHT + 1] {
        assert!(Layer::conv(&geometry, field, bound, Privacy::default()).is_err());
    }
}

/// A hostile key ends the session with the cause, not with a hang; so does a layer without keys.
#[test]
fn garbage_over_a_stream_is_a_typed_error() {
    let layer = layer(100);
    let setup = Setup::new([&layer]);
    let (error, ()) = run_pair(
        |mut session| ServerKeys::receive(session.stream(), &setup).unwrap_err(),
        |mut session| {
            let stream = session.stream();
            let mut prg = Prg::new(16u128.into());
            let secret = SecretKey::generate(layer.context(), &mut prg);
            stream.send(&secret.public_key(layer.context(), &mut prg)).unwrap();
            stream.send(&vec![0xff; layer.context().rotation_key_len()]).unwrap();
            assert!(stream.recv("nothing", 1).is_err());
        },
    );
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    let (error, ()) = run_pair(
        |mut session| {
            let field = Field::new(PRIME).unwrap();
            let keys = ServerKeys::receive(session.stream(), &Setup::new([])).unwrap();
            let weights = Weights::prepare(&layer, vec![1; layer.weight_len()]).unwrap();
            let share = Shares::zeros(field, layer.input_len());
            let mut prg = Prg::new(17u128.into());
            run_server(session.stream(), &layer, &keys, &weights, &share, &mut prg).unwrap_err()
        },
        |_| (),
    );
    assert!(matches!(error, Error::Misuse { .. }), "{error}");
}
