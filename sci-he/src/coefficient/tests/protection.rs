//! What protects the weights, seen from the client, in packed responses.

use super::*;
use crate::cipher::Protection;

fn packed() -> (Layer<Ring>, Vec<u64>) {
    let ring = Ring::new(37).unwrap();
    let geometry = ConvGeometry::new(spec([64, 8, 1], [1, 7, 7], Window::new([1, 1, 1]))).unwrap();
    let layer = Layer::conv(&geometry, ring, 1 << 11, Privacy::default()).unwrap();
    assert!(layer.layout().levels() >= 2 && layer.packing.is_some());
    let share = vec![1; geometry.input_len()];
    (layer, share)
}

/// Two runs of the server on the same requests, with masks and everything else drawn anew.
fn twice(protection: Protection, weight: i32) -> [Vec<u8>; 2] {
    let (layer, share) = packed();
    let mut prg = Prg::new(31u128.into());
    let setup = Setup::new([&layer]);
    let (client, messages) = ClientKeys::generate(&setup, &mut prg);
    let mut messages = messages.into_iter();
    let server = ServerKeys::parse(&setup, |_, _| Ok(messages.next().unwrap())).unwrap();
    let mut requests = Vec::new();
    let push = |into: &mut Vec<Vec<u8>>, message| {
        into.push(message);
        Ok(())
    };
    layer.requests(&client, &share, &mut prg, |message| push(&mut requests, message)).unwrap();
    let mut requests = requests.into_iter();
    let next = || Ok(requests.next().unwrap());
    let inbox = layer.intake(&server, &share, &mut prg, next).unwrap();
    let weights = Weights::on_the_fly(&layer, vec![weight; layer.weight_len()]).unwrap();
    [(); 2].map(|()| {
        let mut all = Vec::new();
        layer
            .respond_with(protection, &server, &weights, &inbox, &mut prg, |message| {
                push(&mut all, message)
            })
            .unwrap();
        // c1 alone.
        let params = layer.context.params();
        all[0][..sci_core::pack::packed_len(params.degree(), params.c1_bits())].to_vec()
    })
}

/// Without the fresh zero the uniform half of a packed response is a function of requests and weights,
/// and for an all-zero filter it is zero.
#[test]
fn a_packed_response_has_fresh_zeros() {
    for weight in [0, 3] {
        let [first, second] = twice(Protection::FULL, weight);
        let equal = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        assert!(equal < first.len() / 128, "{equal} of {} bytes", first.len());
        let bare = Protection { fresh_zero: false, ..Protection::FULL };
        let [first, second] = twice(bare, weight);
        assert_eq!(first, second);
        assert_eq!(first.iter().all(|&byte| byte == 0), weight == 0);
    }
}

/// The client's view of the same outputs under flooding: the errors of what it decrypts are those of the
/// declared width, and without flooding they are far below.
#[test]
fn a_packed_response_is_flooded() {
    let (layer, share) = packed();
    let mut prg = Prg::new(32u128.into());
    let weights = Weights::on_the_fly(&layer, vec![5; layer.weight_len()]).unwrap();
    let spread = |protection, prg: &mut Prg| {
        let run = run(&layer, &weights, (&share, &share), protection, 1, prg);
        let params = layer.context.params();
        let t = params.domain().modulus() as f64;
        let q = f64::from(params.c1_bits()).exp2();
        let (positions, places) = layer.layout.wanted_of(0);
        let split = sci_core::pack::packed_len(params.degree(), params.c1_bits());
        let (c1, c0) = run.responses[0].split_at(split);
        let phases = run.keys.of(&layer).unwrap().phases(&layer.context, c1, c0, &positions);
        let errors = phases.unwrap().iter().zip(&places).fold(0.0, |sum, (&phase, &place)| {
            let phase = (phase & ((1 << params.c1_bits()) - 1)) as f64;
            let error = phase - run.client[place] as f64 * (q / t);
            sum + ((error - q * (error / q).round()) * t / q).powi(2)
        });
        (errors / places.len() as f64).sqrt()
    };
    let full = spread(Protection::FULL, &mut prg);
    let bare = spread(Protection { flooding: false, ..Protection::FULL }, &mut prg);
    let params = layer.context.params();
    let width = (params.flood().width() as f64).log2() + 37.0 - params.modulus_bits();
    let expected = width.exp2() * (f64::from(params.flood().folds) / 12.0).sqrt();
    let measured = (full * full - bare * bare).sqrt();
    assert!((measured / expected - 1.0).abs() < 0.15, "{measured} {expected} {bare}");
}
