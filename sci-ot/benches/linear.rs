//! Matrix product by correlated OT: 64 output channels of a 1x1 convolution over 56x56x64, l = 32 and
//! 37, full-width and 13-bit weights. Both parties in one process, one computing thread each.
//!
//! `cargo bench -p sci-ot --bench linear`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sci_core::{Block, Domain, Party, Prg, Ring};
use sci_ot::linear::{Matrix, Product, matmul};
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use std::time::{Duration, Instant};

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matrix product by COT");
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(2));
    for (bits, weight_bits) in [(32, 32), (32, 13), (37, 13)] {
        let ring = Ring::new(bits).unwrap_or_else(|e| panic!("{e}"));
        let product = Product { domain: ring, rows: 8, inner: 64, columns: 3136, weight_bits };
        let mut rng = Prg::new(Block([1, 2]));
        let weights: Vec<i64> = (0..product.rows * product.inner)
            .map(|_| (rng.next_u64() as i64) >> (64 - weight_bits))
            .collect();
        let mut inputs = vec![0; product.inner * product.columns];
        ring.sample_into(&mut rng, &mut inputs);
        let macs = (product.rows * product.inner * product.columns) as u64;
        group.throughput(Throughput::Elements(macs));
        group.bench_function(BenchmarkId::new(format!("l{bits}"), weight_bits), |b| {
            b.iter_custom(|iterations| {
                let run = run_both(Settings::default(), |party, peer| {
                    let start = Instant::now();
                    for _ in 0..iterations {
                        let matrix = match party {
                            Party::Server => Matrix::Weights(&weights),
                            Party::Client => Matrix::Inputs(&inputs),
                        };
                        matmul(peer, &product, matrix, product.cheapest(peer.settings().ot))?;
                    }
                    Ok(start.elapsed())
                });
                run.unwrap_or_else(|e| panic!("{e}")).0.value
            });
        });
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
