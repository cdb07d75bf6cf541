//! A network narrowed to what was observed: the same outputs where it was observed, the outputs that its
//! cleartext meaning has everywhere, and fewer bytes.

use athos::calibration::outside;
use athos::testing::Numbers;
use athos::zoo::{self, Weights};
use athos::{Calibration, CompileOptions, Limits, OutputForm, Program, cleartext, compile_graph};
use sci_core::{AnyDomain, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::run_peers;
use sci_run::cost;
use sci_run::linear::{Prepared, Protocols};
use sci_run::two_party::{Model, ask, serve_input};

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
        |peer| serve_input(peer, model, None).map_err(fail),
        |peer| {
            ask(peer, &program.public, protocols, domain, None, input, |_, _, _| {}).map_err(fail)
        },
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
