use super::*;
use crate::cipher::Protection;
use crate::session::{ClientKeys, ServerKeys, Setup};
use proptest::prelude::*;
use sci_core::Error;
use sci_core::geometry::{ConvSpec, Window};
use sci_core::testing::{reveal, run_pair, share_arithmetic};
use sci_core::{Field, Prg, Ring, Shares};

mod forms;
mod hostile;
mod protection;

/// The definition, by plain loops.
fn naive<D: Domain>(domain: D, spec: &ConvSpec, x: &[u64], w: &[i32], out: [usize; 3]) -> Vec<u64> {
    let ConvSpec { batch, in_channels, out_channels, groups, input, window } = *spec;
    let (gi, go) = (in_channels / groups, out_channels / groups);
    let [kd, kh, kw] = window.kernel;
    let mut y = Vec::new();
    for b in 0..batch {
        for o in 0..out_channels {
            for od in 0..out[0] {
                for oh in 0..out[1] {
                    for ow in 0..out[2] {
                        let mut sum = 0;
                        for c in 0..gi {
                            for (k, at) in
                                (0..kd * kh * kw).map(|k| (k, [k / (kh * kw), k / kw % kh, k % kw]))
                            {
                                let o_at = [od, oh, ow];
                                let i = [0, 1, 2].map(|a| {
                                    (o_at[a] * window.stride[a] + at[a] * window.dilation[a]) as i64
                                        - window.pad_before[a] as i64
                                });
                                if (0..3).any(|a| i[a] < 0 || i[a] >= input[a] as i64) {
                                    continue;
                                }
                                let i = i.map(|i| i as usize);
                                let channel = b * in_channels + (o / go) * gi + c;
                                let x = x[((channel * input[0] + i[0]) * input[1] + i[1])
                                    * input[2]
                                    + i[2]];
                                let w = w[(o * gi + c) * kd * kh * kw + k];
                                sum = domain.add(sum, domain.mul(x, domain.from_signed(w.into())));
                            }
                        }
                        y.push(sum);
                    }
                }
            }
        }
    }
    y
}

struct Run<D: Domain> {
    /// Responses in order.
    responses: Vec<Vec<u8>>,
    server: Vec<u64>,
    client: Vec<u64>,
    keys: ClientKeys<D>,
}

fn run<D: Domain>(
    layer: &Layer<D>,
    weights: &Weights,
    (server, client): (&[u64], &[u64]),
    protection: Protection,
    threads: usize,
    prg: &mut Prg,
) -> Run<D> {
    let setup = Setup::new([layer]);
    let (client_keys, messages) = ClientKeys::generate(&setup, prg);
    let mut messages = messages.into_iter();
    let server_keys = ServerKeys::parse(&setup, |_, len| {
        let message = messages.next().unwrap();
        assert_eq!(message.len(), len);
        Ok(message)
    });
    let server_keys = server_keys.unwrap().with_threads(threads).unwrap();
    let client_keys = client_keys.with_threads(threads).unwrap();
    assert!(messages.next().is_none());
    let mut requests = Vec::new();
    let collect = |into: &mut Vec<Vec<u8>>, message| {
        into.push(message);
        Ok(())
    };
    layer.requests(&client_keys, client, prg, |message| collect(&mut requests, message)).unwrap();
    let mut requests = requests.into_iter();
    let inbox = layer.intake(&server_keys, server, prg, || Ok(requests.next().unwrap())).unwrap();
    assert!(requests.next().is_none());
    let mut responses = Vec::new();
    let server = layer
        .respond_with(protection, &server_keys, weights, &inbox, prg, |message| {
            collect(&mut responses, message)
        })
        .unwrap();
    let mut messages = responses.iter();
    let client = layer.open(&client_keys, |_| Ok(messages.next().unwrap())).unwrap();
    assert!(layer.response_lengths().eq(responses.iter().map(Vec::len)));
    Run { responses, server, client, keys: client_keys }
}

/// Random weights of which half are at the declared bound.
fn extreme_weights(len: usize, bound: i32, prg: &mut Prg) -> Vec<i32> {
    (0..len)
        .map(|_| match prg.next_u64() % 4 {
            0 => bound,
            1 => -bound,
            _ => (prg.next_u64() % (2 * bound as u64 + 1)) as i32 - bound,
        })
        .collect()
}

/// A random tensor with many values at the edges of the domain.
fn extreme_values<D: Domain>(domain: D, len: usize, prg: &mut Prg) -> Vec<u64> {
    let mut x = vec![0; len];
    domain.sample_into(prg, &mut x);
    for (i, x) in x.iter_mut().enumerate().filter(|(i, _)| i % 3 == 0) {
        *x = [0, 1, (domain.modulus() - 1) as u64, (domain.modulus() / 2) as u64][i / 3 % 4];
    }
    x
}

/// A layer, prepared and on the fly, on one thread and on two, against what it is expected to be.
fn check_layer<D: Domain>(
    layer: &Layer<D>,
    seed: u64,
    expected: impl Fn(&[u64], &[i32]) -> Vec<u64>,
) {
    let (domain, mut prg) = (layer.context().params().domain(), Prg::new(u128::from(seed).into()));
    let bound = layer.context().params().demand().weight_bound as i32;
    let weights = extreme_weights(layer.weight_len(), bound, &mut prg);
    let x = extreme_values(domain, layer.input_len(), &mut prg);
    let (server, client) = share_arithmetic(domain, &x, &mut prg);
    let expected = expected(&x, &weights);
    let prepared = Weights::prepare(layer, weights.clone()).unwrap();
    let fresh = Weights::on_the_fly(layer, weights).unwrap();
    for (weights, threads) in [(&prepared, 1), (&fresh, 2)] {
        let run = run(layer, weights, (&server, &client), Protection::FULL, threads, &mut prg);
        let got = reveal(domain, &run.server, &run.client);
        assert!(got == expected, "{:?} {:?}", layer.layout(), layer.context().params());
    }
}

fn check<D: Domain>(domain: D, spec: ConvSpec, bound: i32, privacy: Privacy, seed: u64) {
    let geometry = ConvGeometry::new(spec).unwrap();
    let layer = Layer::conv(&geometry, domain, bound as u64, privacy).unwrap();
    check_layer(&layer, seed, |x, w| naive(domain, &spec, x, w, geometry.output()));
}

fn spec(channels: [usize; 3], input: [usize; 3], window: Window) -> ConvSpec {
    let [in_channels, out_channels, groups] = channels;
    ConvSpec { batch: 1, in_channels, out_channels, groups, input, window }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() })]

    /// Every output position, over shapes with everything asymmetric.
    #[test]
    fn a_convolution_is_its_definition(
        batch in 1usize..3,
        (groups, gi, go) in (1usize..4, 1usize..4, 1usize..4),
        input in (1usize..3, 5usize..15, 5usize..15),
        kernel in (1usize..3, 1usize..12, 1usize..12),
        stride in (1usize..4, 1usize..4, 1usize..4),
        dilation in (1usize..3, 1usize..4, 1usize..4),
        before in (0usize..2, 0usize..4, 0usize..4),
        after in (0usize..2, 0usize..4, 0usize..4),
        bits in 1u32..=64,
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
            if seed.is_multiple_of(2) { Privacy::default() } else { Privacy::Coefficient };
        check(Ring::new(bits).unwrap(), spec, 100, privacy, seed);
    }
}

#[test]
fn named_shapes() {
    let ring = Ring::new(37).unwrap();
    let window = |k: usize| Window::new([1, k, k]);
    let pads = |w: Window, p: usize| w.with_pads([0, p, p], [0, p, p]);
    for (channels, input, window) in [
        // Larger than any polynomial, with stride and tiles that do not divide it.
        ([1, 2, 1], [1, 131, 150], pads(window(7), 3).with_stride([1, 2, 2])),
        ([2, 3, 1], [1, 140, 140], pads(window(3), 1)),
        // Depth-wise, grouped, pointwise with stride.
        ([24, 24, 24], [1, 14, 14], pads(window(3), 1)),
        ([12, 8, 4], [1, 10, 9], pads(window(3), 1).with_stride([1, 2, 1])),
        ([16, 33, 1], [1, 7, 7], window(1).with_stride([1, 2, 2])),
        // One-dimensional and three-dimensional.
        ([3, 2, 1], [1, 1, 300], Window::new([1, 1, 11]).with_dilation([1, 1, 3])),
        ([2, 2, 1], [9, 8, 7], Window::new([3, 2, 3]).with_stride([2, 1, 3])),
    ] {
        check(ring, spec(channels, input, window), 1 << 11, Privacy::default(), 5);
    }
    let field = Field::new(137_438_822_401).unwrap();
    check(field, spec([5, 4, 1], [1, 12, 12], pads(window(3), 1)), 1 << 11, Privacy::default(), 6);
}

/// Products by single weights: an odd number of shifts, more filters than share a pass, tiles of two sizes, images of
/// a batch, and weights of one, two and three limbs.
#[test]
fn single_weights_of_any_length_multiply_exactly() {
    let ring = Ring::new(37).unwrap();
    for (channels, input, batch, bound) in [
        ([3, 11, 1], [1, 56, 56], 1, 1 << 11),
        ([5, 9, 1], [1, 70, 131], 2, (1 << 15) - 1),
        ([3, 10, 1], [1, 56, 56], 1, 1 << 15),
        ([2, 17, 1], [1, 56, 56], 1, 1 << 21),
        ([1, 3, 1], [1, 60, 60], 1, (1 << 30) - 1),
    ] {
        let spec = ConvSpec { batch, ..spec(channels, input, Window::new([1, 1, 1])) };
        let geometry = ConvGeometry::new(spec).unwrap();
        let layer = Layer::conv(&geometry, ring, bound as u64, Privacy::default()).unwrap();
        assert!(layer.is_scalar(), "{:?}", layer.layout());
        check_layer(&layer, 9, |x, w| naive(ring, &spec, x, w, geometry.output()));
    }
}

/// Moduli that a prime of the requests for their neighbours divides.
#[test]
fn a_modulus_may_be_a_prime_of_requests_or_a_multiple() {
    let window = Window::new([1, 3, 3]).with_pads([0, 1, 1], [0, 1, 1]);
    for n in [268_369_921, 3 * 268_369_921, 268_369_921 * 268_369_920] {
        let field = Field::new(n).unwrap();
        check(field, spec([5, 4, 1], [1, 12, 12], window), 100, Privacy::default(), 6);
        // Packed responses, and products by single weights.
        check(field, spec([16, 64, 1], [1, 7, 7], window), 100, Privacy::default(), 7);
        check(
            field,
            spec([3, 11, 1], [1, 56, 56], Window::new([1; 3])),
            100,
            Privacy::default(),
            8,
        );
    }
}

/// A session with everything: setup, two layers with one key, measured payload and rounds.
#[test]
fn fully_connected_over_a_stream_at_the_cost_stated() {
    let ring = Ring::new(37).unwrap();
    let geometry = LinearGeometry::new(2, 300, 70).unwrap();
    let layer = Layer::fully_connected(&geometry, ring, 2047, Privacy::default()).unwrap();
    let mut prg = Prg::new(7u128.into());
    let weights: Vec<i32> =
        (0..geometry.weight_len()).map(|_| (prg.next_u64() % 4095) as i32 - 2047).collect();
    let mut x = vec![0; geometry.input_len()];
    ring.sample_into(&mut prg, &mut x);
    let (share0, share1) = share_arithmetic(ring, &x, &mut prg);
    let mut expected = Vec::new();
    for x in x.chunks(300) {
        expected.extend(weights.chunks(300).map(|w| {
            x.iter()
                .zip(w)
                .fold(0, |sum, (&x, &w)| ring.add(sum, ring.mul(x, ring.from_signed(w.into()))))
        }));
    }
    let weights = Weights::prepare(&layer, weights).unwrap();
    let setup = Setup::new([&layer]);
    let (server, client) = run_pair(
        |mut session| {
            let mut prg = Prg::new(8u128.into());
            let stream = session.stream();
            let keys = ServerKeys::receive(stream, &setup).unwrap();
            let share = Shares::new(ring, share0.clone()).unwrap();
            (0..2)
                .map(|_| {
                    let (depth, before) = (stream.suspend_depth(), stream.traffic());
                    let out =
                        run_server(stream, &layer, &keys, &weights, &share, &mut prg).unwrap();
                    let traffic = stream.traffic();
                    let cost = Cost {
                        server_to_client: traffic.payload_sent - before.payload_sent,
                        client_to_server: traffic.payload_received - before.payload_received,
                        rounds: stream.restore_depth(depth),
                        ..Cost::ZERO
                    };
                    (out, cost)
                })
                .collect::<Vec<_>>()
        },
        |mut session| {
            let mut prg = Prg::new(9u128.into());
            let stream = session.stream();
            let keys = ClientKeys::send(stream, &setup, &mut prg).unwrap();
            let share = Shares::new(ring, share1.clone()).unwrap();
            [(); 2].map(|()| {
                let depth = stream.suspend_depth();
                let out = run_client(stream, &layer, &keys, &share, &mut prg).unwrap();
                assert_eq!(stream.restore_depth(depth), 2);
                out
            })
        },
    );
    for ((server, cost), client) in server.iter().zip(&client) {
        assert_eq!(reveal(ring, server.values(), client.values()), expected);
        assert_eq!(*cost, layer.cost());
    }
    assert_ne!(server[0].0.values(), server[1].0.values(), "masks are fresh");
}

/// All responses of a run are masked: the client's share is fresh and uniform, whatever the weights.
#[test]
fn an_all_zero_filter_looks_like_any_other() {
    let ring = Ring::new(37).unwrap();
    let geometry = ConvGeometry::new(spec([3, 4, 1], [1, 16, 16], Window::new([1, 3, 3]))).unwrap();
    let layer = Layer::conv(&geometry, ring, 100, Privacy::default()).unwrap();
    let mut prg = Prg::new(10u128.into());
    let share = vec![1; geometry.input_len()];
    let zeros = vec![0; geometry.weight_len()];
    let tens = vec![10; geometry.weight_len()];
    let runs = [zeros, tens].map(|values| {
        let weights = Weights::on_the_fly(&layer, values).unwrap();
        run(&layer, &weights, (&share, &share), Protection::FULL, 1, &mut prg)
    });
    let lengths = |run: &Run<Ring>| run.responses.iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(lengths(&runs[0]), lengths(&runs[1]));
    for (run, expected) in runs.iter().zip([0, 2 * 27 * 10]) {
        assert!(reveal(ring, &run.server, &run.client).iter().all(|&y| y == expected));
        let high = run.client.iter().filter(|&&y| ring.msb(y) == 1).count() as f64;
        let n = run.client.len() as f64;
        assert!((high - n / 2.0).abs() < 4.0 * n.sqrt(), "{high} of {n}");
    }
}

#[test]
fn wrong_weights_and_wrong_messages_are_refused() {
    let ring = Ring::new(37).unwrap();
    let geometry = ConvGeometry::new(spec([2, 2, 1], [1, 8, 8], Window::new([1, 3, 3]))).unwrap();
    let layer = Layer::conv(&geometry, ring, 100, Privacy::default()).unwrap();
    let mut weights = vec![100; geometry.weight_len()];
    weights[7] = -101;
    assert!(matches!(Weights::prepare(&layer, weights.clone()), Err(Error::InvalidInput { .. })));
    weights[7] = i32::MIN;
    assert!(Weights::prepare(&layer, weights.clone()).is_err());
    weights.pop();
    assert!(Weights::on_the_fly(&layer, weights).is_err());
    let mut prg = Prg::new(11u128.into());
    let len = layer.context().request_len();
    let share = vec![0; geometry.input_len()];
    let (client, messages) = ClientKeys::generate(&Setup::new([&layer]), &mut prg);
    let mut messages = messages.into_iter();
    let server = ServerKeys::parse(&Setup::new([&layer]), |_, _| Ok(messages.next().unwrap()));
    let server = server.unwrap();
    let mut intake =
        |share: &[u64], len| layer.intake(&server, share, &mut prg, || Ok(vec![0xff; len]));
    for len in [0, 15, 16, len - 1, len + 1] {
        assert!(matches!(intake(&share, len), Err(Error::PeerMisbehaved { .. })));
    }
    // Any bits of the right length are a request.
    assert!(intake(&share, len).is_ok());
    assert!(matches!(intake(&share[1..], len), Err(Error::Misuse { .. })));
    assert!(matches!(intake(&vec![u64::MAX; share.len()], len), Err(Error::Misuse { .. })));
    let wrong = layer.open(&client, |_| Ok(vec![0; 100]));
    assert!(matches!(wrong, Err(Error::PeerMisbehaved { .. })));
    let too_wide = Layer::conv(&geometry, ring, 1 << 31, Privacy::default());
    assert!(matches!(too_wide, Err(Error::InvalidInput { .. })));
}

/// A hostile request ends the session with the cause, not with a hang.
#[test]
fn garbage_over_a_stream_is_a_typed_error() {
    let ring = Ring::new(37).unwrap();
    let geometry = LinearGeometry::new(1, 10, 10).unwrap();
    let layer = Layer::fully_connected(&geometry, ring, 100, Privacy::default()).unwrap();
    let (error, ()) = run_pair(
        |mut session| ServerKeys::receive(session.stream(), &Setup::new([&layer])).unwrap_err(),
        |mut session| {
            let stream = session.stream();
            stream.send(&vec![0xff; layer.context().public_key_len()]).unwrap();
            assert!(stream.recv("nothing", 1).is_err());
        },
    );
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
}
