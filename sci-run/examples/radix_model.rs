//! How well the planner's model of CPU time agrees with measurement: ReLU of 2^17 elements for every
//! radix and both OT engines, both parties in one process, one computing thread each.
//!
//! `cargo run --release -p sci-run --example radix_model`

use millionaires::Precision;
use millionaires::relu::{MuxForm, relu, relu_cost};
use sci_core::{Block, Domain, Prg, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use sci_run::planner::Rates;
use std::sync::{Mutex, PoisonError};

/// User and system time of this process, from /proc (Linux), in clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn main() -> sci_core::Result<()> {
    let (n, runs) = (1usize << 17, 6u32);
    let ring = Ring::new(32)?;
    let mut values = vec![0; n];
    ring.sample_into(&mut Prg::new(Block([7, 1])), &mut values);
    let shares = Shares::from_canonical(ring, values);
    let rates = Rates::default();
    eprintln!("engine   k  m   measured us  model us   ratio     COTs   rows   pads  bytes");
    let silent =
        [16, 17, 18, 19].map(|k| Settings { silent_log_k: k, ..Settings::over(OtKind::Silent) });
    for base in [Settings::over(OtKind::Iknp)].into_iter().chain(silent) {
        for radix in 1..=8 {
            let settings = Settings { radix, ..base };
            let cost = relu_cost(n, ring, settings, Precision::Full, MuxForm::Correlated)?;
            let before = Mutex::new(0.0);
            run_both(settings, |party, peer| {
                // The first rounds have smaller sets and start the pools: not counted.
                for run in 0..runs + 2 {
                    if run == 2 && party == sci_core::Party::Server {
                        *before.lock().unwrap_or_else(PoisonError::into_inner) = cpu_seconds();
                    }
                    relu(peer, &shares, Precision::Full)?;
                }
                Ok(())
            })
            .map(drop)?;
            let measured = (cpu_seconds() - *before.lock().unwrap_or_else(PoisonError::into_inner))
                * 1e6
                / (n as f64 * f64::from(runs));
            let model = rates.cpu_seconds(&cost, settings) * 1e6 / n as f64;
            let each = |x: u64| x as f64 / n as f64;
            eprintln!(
                "{:6} {:3} {radix:2} {measured:12.2} {model:9.2} {:7.2} {:8.1} {:6.1} {:6.1} {:6.1}",
                settings.ot.name(),
                settings.silent_log_k,
                measured / model,
                each(cost.cots),
                each(cost.rows),
                each(cost.pads),
                each(cost.bytes()),
            );
        }
    }
    Ok(())
}
