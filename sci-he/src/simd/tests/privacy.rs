//! Errors against the budget, and what protects the weights.

use super::super::evaluate::Evaluator;
use super::super::params::Growth;
use super::*;

fn spread(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
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
        layer.request(&keys.secret, &x, &Workers::default(), &mut prg, &mut keep).unwrap();
        let mut messages = messages.into_iter();
        let inbox = layer.intake(&x, &mut prg, || Ok(messages.next().unwrap())).unwrap();
        let mut double = x.clone();
        field.add_assign(&mut double, &x);

        // Two roundings of variance 1/6 in the mean, 1/4 at most.
        let plain = layer.encode(&double, 0);
        let fresh = spread(&keys.secret.errors(context, &inbox.ciphertexts()[0], &plain));
        assert!((fresh / (10.5f64 + 1.0 / 3.0).sqrt() - 1.0).abs() < 0.05, "{fresh}");

        let mut evaluator = Evaluator::new(context, circuit, &keys.server.rotations);
        let copies: Vec<_> = inbox
            .ciphertexts()
            .iter()
            .zip(circuit.used())
            .map(|(x, used)| evaluator.copies(x, &used).unwrap())
            .collect();
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
        let rotated =
            spread(&keys.secret.errors(context, copies[0][1].as_ref().unwrap(), &unknown(1)));
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
            let mut responder = Responder::new(context, &keys.server.public);
            responder.protection = NONE;
            let all: Vec<usize> = (0..context.n()).collect();
            let zeros = vec![0; context.n()];
            let message = responder.respond(sum.clone(), &all, &zeros, &mut prg);
            let plain = keys.secret.decrypt(context, &message, &all).unwrap();
            let errors = keys.secret.errors(context, &sum, &plain);
            let measured = spread(&errors);
            assert!(measured < bound, "2^{} of 2^{}", measured.log2(), bound.log2());
            // Aligned weights are not the rule, but the bound is not out of reach either.
            assert!(measured > bound / 8f64.exp2(), "2^{} of 2^{}", measured.log2(), bound.log2());
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
    layer.request(&keys.secret, &share, &Workers::default(), &mut prg, &mut keep).unwrap();
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
            .respond_with(
                &responder,
                &keys.server,
                &weights,
                &inbox,
                &Workers::default(),
                &mut prg,
                |message| {
                    len = message.len();
                    let bytes = &message[..sci_core::pack::packed_len(n, b1)];
                    sci_core::pack::unpack_u128(bytes, b1, &mut c1)
                },
            )
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
