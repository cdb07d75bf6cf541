//! Overlapping windows pooled along one axis after another: fewer bytes and no more rounds.

use athos::zoo::{self, Weights};
use athos::{CompileOptions, compile_graph};
use sci_core::{Domain, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_run::cost;
use sci_run::linear::Protocols;

/// Bytes and rounds of all pools of a network.
fn pools(name: &str, settings: Settings, skip: &[&str]) -> (u64, u32) {
    let domain = Ring::new(37).unwrap();
    let mut options = CompileOptions::new(domain.any(), 12);
    options.skip = skip.iter().map(|name| (*name).to_owned()).collect();
    let graph = zoo::find(name).unwrap().graph(Weights::Zero).unwrap();
    let program = compile_graph(graph, &options).unwrap();
    let layers = cost::layers(&program.public, domain, &Protocols::none(), settings).unwrap();
    let pools = layers.iter().filter(|layer| layer.op == "MaxPool").map(|layer| layer.cost);
    pools.fold((0, 0), |(bytes, rounds), x| (bytes + x.bytes(), rounds + x.rounds))
}

#[test]
fn the_pools_of_squeezenet_take_a_quarter_less() {
    for ot in [OtKind::Silent, OtKind::Iknp] {
        let settings = Settings::over(ot);
        let whole = pools("squeezenet1_1", settings, &["split-max-pool"]);
        let split = pools("squeezenet1_1", settings, &[]);
        eprintln!(
            "{ot:?}: {} bytes and {} rounds, split {} and {}",
            whole.0, whole.1, split.0, split.1
        );
        assert!(split.0 * 100 < whole.0 * 77, "{ot:?}: {split:?} instead of {whole:?}");
        assert!(split.1 <= whole.1, "{ot:?}: {split:?} instead of {whole:?}");
    }
}
