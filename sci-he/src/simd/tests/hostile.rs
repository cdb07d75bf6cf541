//! Sessions over a stream, and what is refused.

use super::*;
use sci_core::testing::run_pair;
use sci_core::{Ring, Shares};

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
                    None => {
                        keys = Some(
                            ServerKeys::receive(stream, &setup).unwrap().with_threads(2).unwrap(),
                        )
                    }
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

/// Programs of a server that asks for kernels of many phases: refused with the limit, or planned.
#[test]
fn kernels_of_many_phases_are_planned_or_refused_at_once() {
    let plan = |k: usize, stride: usize| {
        let window = Window::new([1, k, k]).with_stride([1, stride, stride]);
        let geometry = ConvGeometry::new(spec([1, 1, 1], [1, k, k], window)).unwrap();
        Layer::conv(&geometry, Field::new(PRIME).unwrap(), 100, Privacy::default())
    };
    for (k, stride) in [(4096, 4096), (4096, 64), (4096, 1), (300, 1)] {
        let error = plan(k, stride).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    }
    assert!(plan(256, 256).unwrap().requests() > 1);
}
