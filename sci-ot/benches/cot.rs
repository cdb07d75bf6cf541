//! Correlated OTs per second of IKNP and of silent OT in every set: both parties on a thread each, the
//! client choosing live, pads not hashed. The pools are past their bootstrap and every measurement
//! spans a whole round of the set, so that trees, level sums and refills are in the figures.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sci_core::session::SessionOptions;
use sci_core::testing::patient;
use sci_core::{Bits, Party};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::silent::SETS;
use sci_ot::testing::run_peers_with;
use std::time::{Duration, Instant};

/// Instances of one extension.
const BATCH: usize = 1 << 18;

/// The time of `times` extensions after a warm-up of `skip` of them, for the slower party; at least
/// `round` are made.
fn extensions(settings: Settings, skip: u64, round: u64, times: u64) -> Duration {
    let runs = times.next_multiple_of(round);
    let options = SessionOptions { lanes: 1, ..patient() };
    let part = |peer: &mut sci_ot::Peer| {
        peer.map_chunks(&Plan::whole(BATCH), |lane, _| {
            let sends = lane.party() == Party::Server;
            let choices = Bits::sample(BATCH, &mut lane.prg);
            let mut start = Instant::now();
            for i in 0..skip + runs {
                if i == skip {
                    start = Instant::now();
                }
                if sends {
                    lane.send.extend_cot(&mut lane.stream, BATCH)?;
                } else {
                    lane.recv.extend_cot(&mut lane.stream, &choices)?;
                }
            }
            Ok(start.elapsed())
        })
    };
    let (server, client) = match run_peers_with(options, settings, part, part) {
        Ok(both) => both,
        Err(error) => panic!("{error}"),
    };
    let slower = server.value.into_iter().chain(client.value).max().unwrap_or_default();
    slower.mul_f64(times as f64 / runs as f64)
}

fn correlated_ot(c: &mut Criterion) {
    let mut group = c.benchmark_group("correlated OT");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    group.bench_function("iknp", |b| {
        b.iter_custom(|times| extensions(Settings::over(OtKind::Iknp), 1, 1, times));
    });
    let mut skip = 1;
    for (log_k, set) in (16..).zip(SETS) {
        let settings = Settings { silent_log_k: log_k, ..Settings::over(OtKind::Silent) };
        let round = set.usable(set).div_ceil(BATCH) as u64;
        group.bench_function(BenchmarkId::new("silent", format!("2^{log_k}")), |b| {
            b.iter_custom(|times| extensions(settings, skip, round, times));
        });
        skip += round;
    }
    group.finish();
}

criterion_group!(benches, correlated_ot);
criterion_main!(benches);
