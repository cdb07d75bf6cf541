//! One image through the fixed-point engine and the float interpreter.
//!
//! One thread: what a core does. The network is ResNet-50 with random weights, 4.1 G multiplications.

use athos::zoo::{self, Weights};
use athos::{CompileOptions, cleartext, compile_graph, quantise};
use criterion::{Criterion, criterion_group, criterion_main};
use sci_core::AnyDomain;
use std::time::Duration;

fn resnet50(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let graph = zoo::find("resnet50").unwrap().graph(Weights::Seeded(1)).unwrap();
    let len: usize = graph.nodes()[0].shape.iter().product();
    let input: Vec<f32> = (0..len).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect();
    let mut group = c.benchmark_group("resnet50");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.bench_function("float", |b| {
        b.iter(|| pool.install(|| graph.evaluate(&input).unwrap()));
    });
    let domain = AnyDomain::ring(37).unwrap();
    let program = compile_graph(graph.clone(), &CompileOptions::new(domain, 12)).unwrap();
    let input = quantise(&input, 12, domain).unwrap();
    group.bench_function("fixed l=37 s=12", |b| {
        b.iter(|| pool.install(|| cleartext::run(&program, &input).unwrap()));
    });
}

criterion_group!(benches, resnet50);
criterion_main!(benches);
