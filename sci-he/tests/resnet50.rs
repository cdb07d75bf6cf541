//! The convolutions and the fully connected layer of ResNet50 at l = 37 with 12-bit weights and 2^-40
//! for a whole run: what they cost, and every output position.
//!
//! All 54 shapes run with `SCI_HE_RESNET50=all`; by default the six layers that figures are published for.

use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, Window};
use sci_core::{Domain, Prg, Ring};
use sci_he::coefficient::{Layer, Weights};
use sci_he::params::Privacy;
use sci_he::session::{ClientKeys, ServerKeys, Setup};
use std::io::Write;

const BOUND: u64 = 1 << 11;

fn ring() -> Ring {
    Ring::new(37).unwrap()
}

fn conv([inputs, outputs, size, kernel, stride, pad]: [usize; 6]) -> Layer<Ring> {
    let window = Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad]);
    let spec = ConvSpec {
        batch: 1,
        in_channels: inputs,
        out_channels: outputs,
        groups: 1,
        input: [1, size, size],
        window,
    };
    let geometry = ConvGeometry::new(spec).unwrap();
    Layer::conv(&geometry, ring(), BOUND, Privacy::default()).unwrap()
}

fn fully_connected(classes: usize) -> Layer<Ring> {
    let geometry = LinearGeometry::new(1, 2048, classes).unwrap();
    Layer::fully_connected(&geometry, ring(), BOUND, Privacy::default()).unwrap()
}

/// The shapes with the number of times that they occur.
fn shapes() -> Vec<(usize, [usize; 6])> {
    let mut shapes = vec![(1, [3, 64, 224, 7, 2, 3])];
    let mut add = |shape: [usize; 6]| match shapes.iter_mut().find(|(_, known)| *known == shape) {
        Some((count, _)) => *count += 1,
        None => shapes.push((1, shape)),
    };
    let (mut channels, mut size) = (64, 56);
    for (width, blocks, stride) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            if block == 0 {
                add([channels, 4 * width, size, 1, stride, 0]);
            }
            add([channels, width, size, 1, 1, 0]);
            add([width, width, size, 3, stride, 1]);
            size /= stride;
            add([width, 4 * width, size, 1, 1, 0]);
            channels = 4 * width;
        }
    }
    shapes
}

#[test]
fn all_of_resnet50_stays_below_its_bytes_and_fills_its_responses() {
    let shapes = shapes();
    assert_eq!(shapes.iter().map(|(count, _)| count).sum::<usize>(), 53);
    let mut layers: Vec<_> = shapes.iter().map(|&(count, shape)| (count, conv(shape))).collect();
    layers.push((1, fully_connected(1001)));
    let (mut bytes, mut wanted, mut slots) = (0, 0, 0);
    for (count, layer) in &layers {
        let degree = layer.context().params().degree();
        bytes += *count as u64 * layer.cost().bytes();
        wanted += count * layer.output_len();
        slots += count * layer.layout().responses() * degree;
        assert!(layer.context().params().distance(1 << 24) <= (-40f64).exp2());
    }
    let keys = Setup::new(layers.iter().map(|(_, layer)| layer)).cost().bytes();
    let fill = wanted as f64 / slots as f64;
    let mut out = std::io::stderr();
    writeln!(out, "ResNet50: {bytes} bytes, keys {keys}, responses filled to {fill:.3}").unwrap();
    assert!(bytes + keys < 350_000_000, "{bytes} + {keys}");
    assert!(fill >= 0.6, "{fill}");
}

/// Both parties in one thread; every output position against the definition.
fn run(layer: &Layer<Ring>, seed: u128) {
    let (ring, mut prg) = (ring(), Prg::new(seed.into()));
    let setup = Setup::new([layer]);
    let (client, messages) = ClientKeys::generate(&setup, &mut prg);
    let mut messages = messages.into_iter();
    let server = ServerKeys::parse(&setup, |_, _| Ok(messages.next().unwrap())).unwrap();
    let weights: Vec<i32> = (0..layer.weight_len())
        .map(|_| match prg.next_u64() % 4 {
            0 => BOUND as i32,
            1 => -(BOUND as i32),
            _ => (prg.next_u64() % (2 * BOUND + 1)) as i32 - BOUND as i32,
        })
        .collect();
    let mut shares = [vec![0; layer.input_len()], vec![0; layer.input_len()]];
    shares.iter_mut().for_each(|share| ring.sample_into(&mut prg, share));
    let collect = |into: &mut Vec<Vec<u8>>, message| {
        into.push(message);
        Ok(())
    };
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    layer.requests(&client, &shares[1], &mut prg, |m| collect(&mut requests, m)).unwrap();
    let sent: usize = requests.iter().map(Vec::len).sum();
    let mut requests = requests.into_iter();
    let inbox =
        layer.intake(&server, &shares[0], &mut prg, || Ok(requests.next().unwrap())).unwrap();
    let held = Weights::on_the_fly(layer, weights.clone()).unwrap();
    let mut output =
        layer.respond(&server, &held, &inbox, &mut prg, |m| collect(&mut responses, m)).unwrap();
    let received: usize = responses.iter().map(Vec::len).sum();
    assert_eq!((sent + received) as u64, layer.cost().bytes());
    let mut responses = responses.into_iter();
    let opened = layer.open(&client, |_| Ok(responses.next().unwrap())).unwrap();
    ring.add_assign(&mut output, &opened);
    let [mut x, other] = shares;
    ring.add_assign(&mut x, &other);
    let geometry = layer.layout().geometry();
    let (patch, positions) = (geometry.patch_len(), geometry.positions());
    let weights: Vec<u64> = weights.iter().map(|&w| w as i64 as u64).collect();
    let mut column = vec![0; patch];
    for position in 0..positions {
        geometry.im2col(&x, 0, position..position + 1, 0, &mut column).unwrap();
        for (filter, kernel) in weights.chunks_exact(patch).enumerate() {
            let sum = column
                .iter()
                .zip(kernel)
                .fold(0u64, |sum, (x, w)| sum.wrapping_add(x.wrapping_mul(*w)));
            let at = filter * positions + position;
            assert_eq!(output[at], ring.reduce(sum), "filter {filter} at {position}");
        }
    }
}

#[test]
fn every_output_of_the_six_layers() {
    for (seed, shape) in [
        [3, 64, 230, 7, 2, 0],
        [64, 64, 56, 3, 1, 1],
        [64, 256, 56, 1, 1, 0],
        [256, 256, 14, 3, 1, 1],
        [2048, 512, 7, 1, 1, 0],
    ]
    .into_iter()
    .enumerate()
    {
        run(&conv(shape), 100 + seed as u128);
    }
    run(&fully_connected(1001), 106);
}

#[test]
fn every_output_of_all_shapes() {
    if std::env::var("SCI_HE_RESNET50").is_ok_and(|value| value == "all") {
        for (seed, (_, shape)) in shapes().into_iter().enumerate() {
            run(&conv(shape), 200 + seed as u128);
        }
        run(&fully_connected(1000), 300);
    } else {
        let mut out = std::io::stderr();
        writeln!(out, "skipped: SCI_HE_RESNET50=all runs all 54 shapes").unwrap();
    }
}
