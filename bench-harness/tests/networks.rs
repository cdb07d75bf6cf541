//! Whole networks through the built binary, and what the formulas say of them.

use bench_harness::network::{Run, once};
use bench_harness::prediction::{predict, sample_of_convolutions};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sci-bench-party");

fn run(model: &str, backend: &'static str) -> Run {
    Run {
        name: model.into(),
        model: model.into(),
        backend,
        fixed: (37, 12),
        link: "loopback",
        threads: 1,
        ..Run::default()
    }
}

#[test]
fn a_network_runs_through_the_same_program() {
    let figures = once(PROGRAM, &run("breast-cancer", "ot")).unwrap();
    assert_eq!(figures.inputs, 10);
    assert!(figures.bytes > figures.product_bytes && figures.product_bytes > 0, "{figures:?}");
    assert!(figures.seconds > figures.products && figures.rounds > 0, "{figures:?}");
    assert!(figures.peak_rss.iter().all(|&bytes| bytes > 1 << 20), "{figures:?}");
}

#[test]
fn the_formulas_are_what_is_sent() {
    for (backend, domain) in [("ot", None), ("he", None), ("ot", Some("field"))] {
        let run = Run {
            input: Some("random".into()),
            ot: Some("iknp"),
            domain,
            ..run("logistic_regression", backend)
        };
        let (predicted, measured) = (predict(&run).unwrap(), once(PROGRAM, &run).unwrap());
        assert_eq!(predicted.payload, measured.bytes - measured.setup_bytes, "{run:?}");
        assert_eq!(predicted.keys > 0, backend == "he", "{run:?}");
        assert!(predicted.keys < measured.setup_bytes, "{run:?}");
        assert_eq!(predicted.products, measured.product_bytes, "{run:?}");
        // The client's request follows its share of the input without a wait.
        let saved = u32::from(backend == "he");
        assert_eq!(predicted.rounds, measured.rounds + saved, "{run:?}");
    }
}

/// A network of the sampled convolution alone sends for it what the whole network sends.
#[test]
fn a_convolution_alone_costs_what_it_costs_in_its_network() {
    let sample = sample_of_convolutions("lenet_small", 10).unwrap();
    let [(name, path)] = &sample[..] else { panic!("{sample:?}") };
    assert_eq!(name, "conv2");
    let alone = Run {
        input: Some("random".into()),
        ot: Some("iknp"),
        output: Some("logits"),
        ..run(path.to_str().unwrap(), "ot")
    };
    let measured = once(PROGRAM, &alone).unwrap();
    assert_eq!(measured.product_bytes, predict(&alone).unwrap().products);
    assert!(measured.product_bytes > 1 << 20, "{measured:?}");
}

#[test]
fn what_cannot_be_run_is_told() {
    let error = once(PROGRAM, &run("nothing", "ot")).unwrap_err();
    assert!(error.contains("nothing"), "{error}");
    assert!(predict(&run("nothing", "ot")).is_err());
    assert!(sample_of_convolutions("nothing", 1).is_err());
}
