//! CPU time of both parties together, wall-clock time and payload of one layer.
//!
//! `cargo run --release -p truncation --example layer_cost -- LAYER [log2 n] [l] [radix] [runs] [log2 k]`
//! with LAYER one of relu, truncate, truncate-positive, maxpool (windows of 9), avgpool (by 49), conv
//! (56x56x64 by 1x1x64, 2^n ignored). With a last argument of 16 to 19 the OTs are silent ones of sets up to
//! 2^k; their expansion is part of the CPU time and printed apart in bytes. The first run starts the pools.

use millionaires::Precision;
use millionaires::maxpool::{Windows, maxpool};
use millionaires::relu::relu;
use sci_core::{Block, Domain, Party, Prg, Result, Ring, Shares};
use sci_ot::linear::{Matrix, Product, matmul};
use sci_ot::peer::Settings;
use sci_ot::testing::run_both;
use sci_ot::{OtKind, Peer};
use std::time::Instant;
use truncation::Sign;
use truncation::divide::divide;
use truncation::truncate::truncate;

/// User and system time of this process, from /proc (Linux), in clock ticks of 10 ms.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

struct Layer {
    name: String,
    ring: Ring,
    shares: Shares<Ring>,
    windows: Windows,
}

impl Layer {
    fn run(&self, party: Party, peer: &mut Peer) -> Result<Shares<Ring>> {
        let x = &self.shares;
        match self.name.as_str() {
            "relu" => relu(peer, x, Precision::Full),
            "truncate" => truncate(peer, x, 12, Sign::Unknown),
            "truncate-positive" => truncate(peer, x, 12, Sign::NonNegative),
            "maxpool" => maxpool(peer, x, &self.windows, Precision::Full),
            "avgpool" => divide(peer, x, 49, Sign::Unknown, Precision::Full),
            _ => {
                let product = Product {
                    domain: self.ring,
                    rows: 64,
                    inner: 64,
                    columns: 56 * 56,
                    weight_bits: self.ring.bits(),
                };
                let weights: Vec<i64> =
                    x.values().iter().take(64 * 64).map(|&w| w as i64).collect();
                let inputs: Vec<u64> = x.values().iter().copied().cycle().take(64 * 3136).collect();
                let matrix = match party {
                    Party::Server => Matrix::Weights(&weights),
                    Party::Client => Matrix::Inputs(&inputs),
                };
                matmul(peer, &product, matrix, product.cheapest(peer.settings().ot))
            }
        }
    }
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "relu".to_owned());
    let mut args = args.map(|a| a.parse::<u32>().unwrap_or(0));
    let mut next = |default| args.next().unwrap_or(default);
    let (log_n, bits, radix, runs) = (next(20), next(32), next(Settings::DEFAULT_RADIX), next(3));
    let settings = match next(0) {
        0 => Settings { radix, ..Settings::over(OtKind::Iknp) },
        k => Settings { radix, silent_log_k: k, ..Settings::over(OtKind::Silent) },
    };
    let n = 1usize << log_n;
    let ring = Ring::new(bits)?;
    let mut values = vec![0; n];
    ring.sample_into(&mut Prg::new(Block([7, 1])), &mut values);
    let members: Vec<usize> = (0..9 * n).map(|i| i % n).collect();
    let layer = Layer {
        ring,
        shares: Shares::from_canonical(ring, values),
        windows: Windows::new(if name == "maxpool" { &members[..] } else { &[] }.chunks(9))?,
        name,
    };
    let before = cpu_seconds();
    let start = Instant::now();
    let (server, _) = run_both(settings, |party, peer| {
        (0..runs).try_for_each(|_| layer.run(party, peer).map(drop))
    })?;
    let elements = (n as u64 * u64::from(runs)) as f64;
    let wall = start.elapsed().as_secs_f64();
    eprintln!(
        "{} of 2^{log_n} elements over Z_{ring}, radix {radix}, {:?} OT, {runs} runs, one thread a party",
        layer.name, settings.ot
    );
    if let (Some(before), Some(after)) = (before, cpu_seconds()) {
        let cpu = after - before;
        let runs = f64::from(runs);
        eprintln!(
            "CPU, both parties: {:.2} s a run, {:.2} us an element",
            cpu / runs,
            cpu * 1e6 / elements
        );
    }
    eprintln!("wall: {:.2} s a run", wall / f64::from(runs));
    let bytes = server.totals.bytes() as f64;
    eprintln!(
        "payload: {:.1} MiB a run, {:.1} bytes an element; {} rounds",
        bytes / f64::from(runs) / f64::from(1 << 20),
        bytes / elements,
        server.totals.rounds / runs
    );
    Ok(())
}
