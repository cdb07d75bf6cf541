//! A network narrowed to what was observed: the same outputs where it was observed, the outputs that its
//! cleartext meaning has everywhere, and fewer bytes. So for averages that a truncation is merged into.

use athos::calibration::outside;
use athos::hlil::{Graph, Op as FloatOp, Tensor};
use athos::llil::{Op, Precision};
use athos::testing::Numbers;
use athos::zoo::{self, Weights};
use athos::{Calibration, CompileOptions, Limits, OutputForm, Program, cleartext, compile_graph};
use indicatif::ProgressBar;
use sci_core::geometry::{ConvGeometry, ConvSpec, PoolGeometry, PoolSpec, Window};
use sci_core::{AnyDomain, Cost, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::run_peers;
use sci_run::calibrate::{self, Merging};
use sci_run::cost;
use sci_run::linear::{Prepared, Protocols};
use sci_run::two_party::{Model, ask, serve_input};
use zeroize::Zeroizing;

const BITS: u32 = 37;

fn fail(e: athos::Error) -> sci_core::Error {
    sci_core::Error::misuse(e.to_string())
}

fn input(seed: u64, program: &Program, magnitude: usize) -> Vec<i64> {
    let mut numbers = Numbers::new(seed);
    let one = |_| numbers.within(0, 2 * magnitude) as i64 - magnitude as i64;
    (0..program.public.input().unwrap().len()).map(one).collect()
}

fn secure(program: &Program, input: &[i64], settings: Settings) -> Vec<i64> {
    let domain = Ring::new(BITS).unwrap();
    let protocols = &Protocols::none();
    let prepared = &Prepared::new(protocols, program, 0).unwrap();
    let model = Model { program, domain, protocols, prepared };
    let (_, client) = run_peers(
        settings,
        |peer| serve_input(peer, model, None, |_| {}).map_err(fail),
        |peer| ask(peer, &program.public, protocols, domain, None, input, |_| {}).map_err(fail),
    )
    .unwrap();
    client.value
}

/// Bytes of what is not a product.
fn bytes(program: &Program, settings: Settings) -> u64 {
    let domain = Ring::new(BITS).unwrap();
    let protocols = Protocols::none();
    let layers = cost::layers(&program.public, domain, &protocols, settings).unwrap();
    let others = layers.iter().filter(|layer| !matches!(layer.op, "Conv" | "Linear"));
    others.map(|layer| layer.cost.server_to_client + layer.cost.client_to_server).sum()
}

#[test]
fn a_narrowed_network_is_exact_and_cheaper() {
    let graph = zoo::find("lenet_small").unwrap().graph(Weights::Seeded(7)).unwrap();
    let mut options = CompileOptions::new(AnyDomain::ring(BITS).unwrap(), 12);
    options.output = OutputForm::Logits;
    let wide = compile_graph(graph, &options).unwrap();
    let mut narrow = Program { public: wide.public.clone(), weights: wide.weights.clone() };
    let mut observed = Calibration::new(&wide, 1);
    let sample = input(1, &wide, 1 << 12);
    observed.observe(&wide, &sample).unwrap();
    athos::narrow(&mut narrow, &observed, &Limits::default()).unwrap();

    for ot in [OtKind::Silent, OtKind::Iknp] {
        let settings = Settings::over(ot);
        let (before, after) = (bytes(&wide, settings), bytes(&narrow, settings));
        eprintln!("{ot:?}: {before} bytes of comparisons and truncations, narrowed {after}");
        assert!(after * 10 < before * 9, "{ot:?}: {before} to {after}");
    }

    let settings = Settings::default();
    let expected = cleartext::run(&wide, &sample).unwrap();
    assert_eq!(outside(&narrow, &sample).unwrap(), []);
    assert_eq!(secure(&narrow, &sample, settings), expected);
    // Far outside of what was observed both engines still compute the same function.
    let far = input(2, &wide, 1 << 26);
    assert!(!outside(&narrow, &far).unwrap().is_empty());
    let expected = cleartext::run(&narrow, &far).unwrap();
    assert!(expected != cleartext::run(&wide, &far).unwrap());
    assert_eq!(secure(&narrow, &far, settings), expected);
}

/// A square window.
fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad])
}

/// A convolution of three channels to others, perhaps ReLU, averages of windows.
fn averaging(side: usize, channels: usize, window: Window, relu: bool) -> Program {
    let mut graph = Graph::default();
    let count = 27 * channels;
    let weights = (0..count).map(|i| (i * 37 % 101) as f32 / 200.0 - 0.25).collect();
    let conv = ConvGeometry::new(ConvSpec {
        batch: 1,
        in_channels: 3,
        out_channels: channels,
        groups: 1,
        input: [1, side, side],
        window: square(3, 1, 1),
    });
    let pool = PoolGeometry::new(PoolSpec {
        batch: 1,
        channels,
        input: [1, side, side],
        window,
        count_include_pad: false,
    });
    let (conv, pool) = (conv.unwrap(), pool.unwrap());
    let filters = Tensor::new(vec![channels, 3, 3, 3], weights).unwrap();
    let x = graph.push("x", FloatOp::Input { shape: vec![1, 3, side, side] }, &[]).unwrap();
    let w = graph.push("w", FloatOp::Constant(filters), &[]).unwrap();
    let mut x = graph.push("conv", FloatOp::Conv { geometry: conv }, &[x, w]).unwrap();
    if relu {
        x = graph.push("relu", FloatOp::Relu, &[x]).unwrap();
    }
    let x = graph.push("mean", FloatOp::AvgPool { geometry: pool }, &[x]).unwrap();
    graph.set_output(x);
    let mut options = CompileOptions::new(AnyDomain::ring(BITS).unwrap(), 12);
    options.output = OutputForm::Logits;
    compile_graph(graph, &options).unwrap()
}

/// Narrowed to inputs as the command line does it.
fn calibrated(program: &Program, samples: &[Vec<i64>], margin: u32) -> Program {
    let mut narrow = Program { public: program.public.clone(), weights: program.weights.clone() };
    let quantised = |x: &Vec<i64>| Ok(Zeroizing::new(x.clone()));
    let (merging, bar) = (Merging::Cheaper, ProgressBar::hidden());
    calibrate::narrow(&mut narrow, samples, quantised, margin, merging, &bar).unwrap();
    narrow
}

/// What everything behind the convolution takes.
fn averages(program: &Program, settings: Settings) -> Cost {
    let domain = Ring::new(BITS).unwrap();
    let layers = cost::layers(&program.public, domain, &Protocols::none(), settings).unwrap();
    let behind = layers.iter().filter(|layer| matches!(layer.op, "Truncate" | "AvgPool"));
    behind.fold(Cost::ZERO, |sum, layer| sum + layer.cost)
}

fn merges(program: &Program) -> usize {
    let shifted = |op: &Op| matches!(op, Op::AvgPool { shift, .. } if *shift > 0);
    program.public.instructions.iter().filter(|x| shifted(&x.op)).count()
}

/// Narrowed to the same inputs without merging.
fn apart(program: &Program, samples: &[Vec<i64>], margin: u32) -> Program {
    let mut seen = Calibration::new(program, margin);
    samples.iter().for_each(|sample| seen.observe(program, sample).unwrap());
    let mut apart = Program { public: program.public.clone(), weights: program.weights.clone() };
    athos::narrow(&mut apart, &seen, &Limits::default()).unwrap();
    apart
}

#[test]
fn averages_shift_once_where_that_is_cheaper() {
    for window in [square(2, 2, 0), square(8, 8, 0)] {
        let wide = averaging(8, 4, window, false);
        let samples = [input(1, &wide, 1 << 12), input(2, &wide, 1 << 12)];
        let narrow = calibrated(&wide, &samples, 1);
        let text = &narrow.public;
        assert_eq!(merges(&narrow), 1, "{window:?}\n{text}");
        let bits = text.instructions.last().map(|x| x.precision);
        assert!(matches!(bits, Some(Precision::Bits(_))), "{text}");
        let apart = apart(&wide, &samples, 1);
        for ot in [OtKind::Silent, OtKind::Iknp] {
            let [before, after] = [&apart, &narrow].map(|p| averages(p, Settings::over(ot)));
            eprintln!("{ot:?}: {} bytes, {} rounds", before.bytes(), before.rounds);
            eprintln!("  merged {} bytes, {} rounds", after.bytes(), after.rounds);
            assert!(after.bytes() < before.bytes() && after.rounds < before.rounds);
        }
        for sample in &samples {
            assert_eq!(outside(&narrow, sample).unwrap(), []);
            let [before, after] = [&wide, &narrow].map(|p| cleartext::run(p, sample).unwrap());
            let grown = before.iter().zip(&after).map(|(before, after)| after - before);
            assert!(grown.clone().all(|unit| unit == 0 || unit == 1), "{text}");
            assert_eq!(secure(&narrow, sample, Settings::default()), after, "{text}");
        }
        let far = input(3, &wide, 1 << 30);
        let expected = cleartext::run(&narrow, &far).unwrap();
        assert_eq!(secure(&narrow, &far, Settings::default()), expected, "{text}");
    }
}

/// A truncation that the ReLU in front does with what it compares anyway.
#[test]
fn averages_of_what_a_relu_truncated_stay_as_they_are() {
    let cases = [(2, 2, 0), (8, 8, 0), (7, 1, 0), (3, 2, 1), (2, 1, 0), (3, 1, 1)];
    let cases = cases.map(|(kernel, stride, pad)| (8, square(kernel, stride, pad)));
    for (side, window) in cases.into_iter().chain([(35, square(7, 7, 0))]) {
        let wide = averaging(side, 4, window, true);
        let samples = [input(1, &wide, 1 << 12)];
        let narrow = calibrated(&wide, &samples, 1);
        assert_eq!(merges(&narrow), 0, "{}", narrow.public);
        let expected = cleartext::run(&narrow, &samples[0]).unwrap();
        assert_eq!(expected, cleartext::run(&wide, &samples[0]).unwrap());
        assert_eq!(secure(&narrow, &samples[0], Settings::default()), expected);
        let far = input(3, &wide, 1 << 30);
        let expected = cleartext::run(&narrow, &far).unwrap();
        assert_eq!(secure(&narrow, &far, Settings::default()), expected);
    }
}

/// By another number than a power of two.
#[test]
fn averages_divide_once_where_that_is_cheaper() {
    let wide = averaging(35, 64, square(7, 7, 0), false);
    let samples = [input(1, &wide, 1 << 12)];
    let narrow = calibrated(&wide, &samples, 1);
    assert_eq!(merges(&narrow), 1, "{}", narrow.public);
    assert_eq!(narrow.public.instructions.last().unwrap().precision, Precision::Full);
    let settings = Settings::over(OtKind::Silent);
    let [before, after] = [&apart(&wide, &samples, 1), &narrow].map(|p| averages(p, settings));
    eprintln!("{} bytes, {} rounds", before.bytes(), before.rounds);
    eprintln!("merged {} bytes, {} rounds", after.bytes(), after.rounds);
    assert!(4 * after.bytes() < before.bytes() && after.rounds <= before.rounds + 2);
    let expected = cleartext::run(&narrow, &samples[0]).unwrap();
    assert_eq!(secure(&narrow, &samples[0], settings), expected);
}

#[test]
fn averages_that_were_merged_are_decided_anew() {
    let wide = averaging(8, 4, square(8, 8, 0), false);
    let small = [input(1, &wide, 1 << 12)];
    let merged = calibrated(&wide, &small, 1);
    assert_eq!(merges(&merged), 1);
    let digest = |program: &Program| program.public.digest().unwrap();
    assert_eq!(digest(&calibrated(&merged, &small, 1)), digest(&merged));
    // Numbers 1024 times as large fit as they are, their untruncated sums do not.
    let large = [input(1, &wide, 1 << 22)];
    assert_eq!(merges(&calibrated(&merged, &large, 1)), 0);
    // Nor do the small ones with a margin of 20 bits.
    assert_eq!(merges(&calibrated(&merged, &small, 20)), 0);
}
