//! Non-linear layers over Z_2^l: ReLU, truncation by 2^12, the two by one comparison and apart, division by 49, of
//! 2^14 and 2^17 elements, with `SCI_BENCH=paper` also of 2^20, and MaxPool by windows of 9 to 2^14, at l = 32 and 37,
//! over IKNP and over silent OT side by side. Both parties in one process over the in-memory link, one computing
//! thread each.
//!
//! `cargo bench -p truncation --bench layers`. Rates are those of the wall clock of the pair on however many
//! cores there are; each session runs the layer once before the clock starts, so that silent pools have
//! started, and their refills count. CPU time of both parties together is printed by `examples/layer_cost`.

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use millionaires::Precision;
use millionaires::maxpool::{Windows, maxpool};
use millionaires::relu::relu;
use sci_core::{Block, Domain, Prg, Result, Ring, Shares};
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use sci_ot::{OtKind, Peer};
use std::time::{Duration, Instant};
use truncation::divide::divide;
use truncation::relu::relu_truncate;
use truncation::truncate::{truncate, truncate_with};
use truncation::{Exactness, Sign};

type Layer = Box<dyn Fn(&mut Peer, &Shares<Ring>) -> Result<Shares<Ring>> + Sync>;

/// Base-2 logarithms of the sizes.
fn sizes() -> &'static [u32] {
    if std::env::var("SCI_BENCH").is_ok_and(|mode| mode == "paper") {
        &[14, 17, 20]
    } else {
        &[14, 17]
    }
}

/// Every layer with the base-2 logarithms of its sizes.
fn all() -> Result<Vec<(&'static str, &'static [u32], Layer)>> {
    let sizes = sizes();
    let members: Vec<usize> = (0..9 << 14).map(|i| i % (1 << 14)).collect();
    let windows = Windows::new(members.chunks(9))?;
    Ok(vec![
        ("relu", sizes, Box::new(|peer, x| relu(peer, x, Precision::Full))),
        (
            "relu and truncate, one comparison",
            sizes,
            Box::new(|peer, x| relu_truncate(peer, x, 12, Precision::Full)),
        ),
        (
            "relu and truncate, apart",
            sizes,
            Box::new(|peer, x| {
                let positive = relu(peer, x, Precision::Full)?;
                truncate(peer, &positive, 12, Sign::NonNegative)
            }),
        ),
        ("truncate, sign unknown", sizes, Box::new(|peer, x| truncate(peer, x, 12, Sign::Unknown))),
        (
            "truncate, sign known",
            sizes,
            Box::new(|peer, x| truncate(peer, x, 12, Sign::NonNegative)),
        ),
        (
            "truncate, one below allowed",
            sizes,
            Box::new(|peer, x| truncate_with(peer, x, 12, Sign::Unknown, Exactness::OneBitError)),
        ),
        (
            "divide by 49",
            sizes,
            Box::new(|peer, x| divide(peer, x, 49, Sign::Unknown, Precision::Full)),
        ),
        (
            "maxpool of 9",
            &sizes[..1],
            Box::new(move |peer, x| maxpool(peer, x, &windows, Precision::Full)),
        ),
    ])
}

/// Time of `iterations` runs of a layer in one session.
fn session(ot: OtKind, layer: &Layer, shares: &Shares<Ring>, iterations: u64) -> Duration {
    let run = run_both(Settings::over(ot), |_, peer| {
        layer(peer, shares)?;
        let start = Instant::now();
        for _ in 0..iterations {
            layer(peer, shares)?;
        }
        Ok(start.elapsed())
    });
    run.unwrap_or_else(|e| panic!("{e}")).0.value
}

fn layers(c: &mut Criterion) {
    let all = all().unwrap_or_else(|e| panic!("{e}"));
    for (name, sizes, layer) in &all {
        let mut group = c.benchmark_group(*name);
        // One run a sample where runs are long.
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        for bits in [32, 37] {
            let ring = Ring::new(bits).unwrap_or_else(|e| panic!("{e}"));
            for n in sizes.iter().map(|log_n| 1usize << log_n) {
                let mut values = vec![0; n];
                ring.sample_into(&mut Prg::new(Block([bits.into(), 1])), &mut values);
                let shares = Shares::from_canonical(ring, values);
                group.throughput(Throughput::Elements(n as u64));
                for ot in [OtKind::Iknp, OtKind::Silent] {
                    let id = BenchmarkId::new(format!("{}, l={bits}", ot.name()), n);
                    group.bench_function(id, |b| {
                        b.iter_custom(|iterations| session(ot, layer, &shares, iterations));
                    });
                }
            }
        }
        group.finish();
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
