//! Garbled circuits: whole layers, both parties in one process over the in-memory link, one computing thread each;
//! rates are those of the wall clock of the pair. CPU time of both parties is printed by `examples/rates`.

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use garbled::{Garbling, Gates, functions};
use sci_core::{Block, Field, Prg, Result, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use std::time::{Duration, Instant};

const ELEMENTS: usize = 1 << 14;

/// Time of `iterations` runs in one session, the first before the clock starts.
fn session<D: functions::GarbledDomain>(
    (ot, gates): (OtKind, Gates),
    x: &Shares<D>,
    iterations: u64,
    layer: impl Fn(&mut Garbling<'_>, &Shares<D>) -> Result<Shares<D>> + Sync,
) -> Duration {
    let run = run_both(Settings::over(ot), |_, peer| {
        let mut gc = Garbling::with_gates(peer, gates)?;
        layer(&mut gc, x)?;
        let start = Instant::now();
        for _ in 0..iterations {
            layer(&mut gc, x)?;
        }
        Ok(start.elapsed())
    });
    run.unwrap_or_else(|e| panic!("{e}")).0.value
}

fn domain<D: functions::GarbledDomain>(c: &mut Criterion, name: &str, domain: D) {
    let mut values = vec![0; ELEMENTS];
    domain.sample_into(&mut Prg::new(Block([1, 2])), &mut values);
    let x = Shares::from_canonical(domain, values);
    let division = functions::division(domain, 49).unwrap_or_else(|e| panic!("{e}"));
    let circuits = [("relu", functions::relu(domain)), ("divide by 49", division)];
    for (layer, circuit) in circuits {
        let mut group = c.benchmark_group(format!("{layer}, {name}, {} AND gates", circuit.ands()));
        // One run a sample where runs are long.
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Elements((ELEMENTS * circuit.ands()) as u64));
        for (name, ot, gates) in [
            ("iknp", OtKind::Iknp, Gates::HalfGates),
            ("silent", OtKind::Silent, Gates::HalfGates),
            ("silent, three halves", OtKind::Silent, Gates::ThreeHalves),
        ] {
            group.bench_function(BenchmarkId::new(name, ELEMENTS), |b| {
                b.iter_custom(|iterations| {
                    session((ot, gates), &x, iterations, |gc, x| match layer {
                        "relu" => gc.relu(x),
                        _ => gc.divide(x, 49),
                    })
                });
            });
        }
        group.finish();
    }
}

fn layers(c: &mut Criterion) {
    domain(c, "Z_2^32", Ring::new(32).unwrap_or_else(|e| panic!("{e}")));
    domain(c, "32-bit Z_n", Field::new(4_293_918_721).unwrap_or_else(|e| panic!("{e}")));
}

criterion_group!(benches, layers);
criterion_main!(benches);
