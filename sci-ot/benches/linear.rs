//! Products by correlated OT. Both parties in one process, one computing thread each.
//!
//! * 8 output channels of a 1x1 convolution over 56x56x64, l = 32 and 37, full-width and 13-bit weights;
//! * a depth-wise 3x3 convolution over 56x56x144 and one over 7x7x960, l = 37, 13-bit weights, as the one product that
//!   it is and as a product for each channel.
//!
//! `cargo bench -p sci-ot --bench linear`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
use sci_core::{Block, Domain, Party, Prg, Ring};
use sci_ot::OtKind;
use sci_ot::linear::{Direction, Matrix, Product, Way, convolution, matmul};
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use std::time::{Duration, Instant};

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("matrix product by COT");
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(2));
    for (bits, weight_bits) in [(32, 32), (32, 13), (37, 13)] {
        let ring = Ring::new(bits).unwrap_or_else(|e| panic!("{e}"));
        let product =
            Product { domain: ring, blocks: 1, rows: 8, inner: 64, columns: 3136, weight_bits };
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
                        matmul(peer, &product, matrix, product.way(peer.settings()))?;
                    }
                    Ok(start.elapsed())
                });
                run.unwrap_or_else(|e| panic!("{e}")).0.value
            });
        });
    }
    group.finish();
}

fn depth_wise(c: &mut Criterion) {
    let mut group = c.benchmark_group("depth-wise convolution by COT");
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(2));
    let ring = Ring::new(37).unwrap_or_else(|e| panic!("{e}"));
    for (channels, side) in [(144, 56), (960, 7)] {
        let window = Window::new([1, 3, 3]).with_pads([0, 1, 1], [0, 1, 1]);
        let input = [1, side, side];
        let (in_channels, out_channels, groups) = (channels, channels, channels);
        let spec = ConvSpec { batch: 1, in_channels, out_channels, groups, input, window };
        let whole = ConvGeometry::new(spec).unwrap_or_else(|e| panic!("{e}"));
        let one = ConvSpec { in_channels: 1, out_channels: 1, groups: 1, ..spec };
        let one = ConvGeometry::new(one).unwrap_or_else(|e| panic!("{e}"));
        group.throughput(Throughput::Elements(whole.macs()));
        for (name, geometry, times) in [("at once", whole, 1), ("one by one", one, channels)] {
            let weights = vec![1234; geometry.weight_len()];
            let inputs = vec![567; geometry.input_len()];
            group.bench_function(
                BenchmarkId::new(format!("{channels}x{side}x{side}"), name),
                |b| {
                    b.iter_custom(|iterations| {
                        let run = run_both(Settings::over(OtKind::Silent), |party, peer| {
                            let way = Way::One(Direction::WeightsChoose);
                            let start = Instant::now();
                            for _ in 0..iterations * times as u64 {
                                let tensor = match party {
                                    Party::Server => Matrix::Weights(&weights),
                                    Party::Client => Matrix::Inputs(&inputs),
                                };
                                convolution(peer, ring, &geometry, 13, tensor, way)?;
                            }
                            Ok(start.elapsed())
                        });
                        run.unwrap_or_else(|e| panic!("{e}")).0.value
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, products, depth_wise);
criterion_main!(benches);
