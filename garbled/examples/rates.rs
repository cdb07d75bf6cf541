//! CPU time of both parties together, wall-clock time and payload of a ReLU layer as garbled circuits, and the rate of
//! garbling alone.
//!
//! `cargo run --release -p garbled --example rates -- [log2 n] [l] [iknp|silent] [runs] [half|three]`

use garbled::{Garbling, Gates, functions};
use sci_core::{Block, Domain, Prg, Result, Ring, Shares};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use std::time::Instant;

/// Clock ticks of 10 ms that /proc (Linux) counts for a process or thread.
fn cpu_seconds(path: &str) -> Option<f64> {
    let stat = std::fs::read_to_string(path).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |i: usize, default: u32| args.get(i).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (log_n, bits, runs) = (number(0, 17), number(1, 32), number(3, 1));
    let ot = if args.get(2).is_some_and(|a| a == "silent") { OtKind::Silent } else { OtKind::Iknp };
    let gates = match args.get(4).map(String::as_str) {
        Some("three") => Gates::ThreeHalves,
        _ => Gates::HalfGates,
    };
    let (n, ring) = (1usize << log_n, Ring::new(bits)?);
    let mut values = vec![0; n];
    ring.sample_into(&mut Prg::new(Block([7, 1])), &mut values);
    let x = Shares::from_canonical(ring, values);
    let before = cpu_seconds("/proc/self/stat");
    let start = Instant::now();
    let (server, _) = run_both(Settings::over(ot), |_, peer| {
        let mut gc = Garbling::with_gates(peer, gates)?;
        (0..runs).try_for_each(|_| gc.relu(&x).map(drop))
    })?;
    let (wall, after) = (start.elapsed().as_secs_f64(), cpu_seconds("/proc/self/stat"));
    let circuit = functions::relu(ring);
    let ands = (n * circuit.ands()) as f64 * f64::from(runs);
    eprintln!(
        "ReLU of 2^{log_n} elements over Z_{ring}, {gates:?}, {ot:?} OT, {runs} runs, {ands} AND gates"
    );
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after - before;
        eprintln!("CPU, both parties: {:.2} s a run", cpu / f64::from(runs));
        eprintln!("that is {:.1} M AND gates a second, OT and sockets included", ands / cpu / 1e6);
    }
    eprintln!("wall: {:.2} s a run", wall / f64::from(runs));
    let bytes = server.totals.bytes() as f64 / f64::from(runs) / n as f64;
    eprintln!("payload: {bytes:.1} bytes an element");
    Ok(())
}
