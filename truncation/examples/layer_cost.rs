//! CPU time of both parties together, wall-clock time and payload of one layer.
//!
//! `cargo run --release -p truncation --example layer_cost -- LAYER [log2 n] [l] [radix] [runs] [log2 k]
//! [threads] [MB/s] [RTT in ms]` with LAYER one of relu, relu-truncate (by one comparison), truncate,
//! truncate-positive, truncate-one-bit (which may be one below), cot (a random COT is an element; neither choice bits
//! nor pads), maxpool (windows of 9), avgpool (by 49), conv (56x56x64 by 1x1x64, n at least 2^12). With log2 k of 16
//! to 19 the OTs are silent ones of sets up to 2^k; their expansion is part of the CPU time and printed apart in
//! bytes. The first run starts the pools. Without a bandwidth the link is as fast as memory.

use millionaires::Precision;
use millionaires::maxpool::{Windows, maxpool};
use millionaires::relu::relu;
use sci_core::channel::memory;
use sci_core::channel::shaped::LinkShape;
use sci_core::session::SessionOptions;
use sci_core::testing::patient;
use sci_core::{Block, Domain, Party, Prg, Result, Ring, Shares};
use sci_ot::linear::{Matrix, Product, matmul};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::testing::run_peers_over;
use sci_ot::{OtKind, Peer, Role};
use std::time::Instant;
use truncation::divide::divide;
use truncation::relu::relu_truncate;
use truncation::truncate::{truncate, truncate_with};
use truncation::{Exactness, Sign};

/// User and system time of this process, from /proc (Linux), in clock ticks of 10 ms.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Clock of a core in MHz as the system has it, from /proc (Linux).
fn megahertz() -> Option<f64> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

/// COTs of one extension of the layer `cot`.
const PIECE: usize = 1 << 16;

struct Layer {
    name: String,
    ring: Ring,
    shares: Shares<Ring>,
    windows: Windows,
}

impl Layer {
    fn run(&self, party: Party, peer: &mut Peer) -> Result<()> {
        let x = &self.shares;
        let done = match self.name.as_str() {
            "cot" => return self.cots(peer),
            "relu" => relu(peer, x, Precision::Full),
            "relu-truncate" => relu_truncate(peer, x, 12, Precision::Full),
            "truncate" => truncate(peer, x, 12, Sign::Unknown),
            "truncate-positive" => truncate(peer, x, 12, Sign::NonNegative),
            "truncate-one-bit" => truncate_with(peer, x, 12, Sign::Unknown, Exactness::OneBitError),
            "maxpool" => maxpool(peer, x, &self.windows, Precision::Full),
            "avgpool" => divide(peer, x, 49, Sign::Unknown, Precision::Full),
            _ => {
                let product = Product {
                    domain: self.ring,
                    blocks: 1,
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
                matmul(peer, &product, matrix, product.way(peer.settings()))
            }
        };
        done.map(drop)
    }

    fn cots(&self, peer: &mut Peer) -> Result<()> {
        let plan = Plan::pieces(self.shares.len(), PIECE);
        let done = peer.map_chunks(&plan, |lane, range| match lane.role() {
            Role::Sender => lane.send.extend_random(&mut lane.stream, range.len()),
            Role::Receiver => {
                let choices = lane.recv.extend_random(&mut lane.stream, range.len(), &mut lane.prg);
                choices.map(drop)
            }
        });
        done.map(drop)
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
    let options = SessionOptions { threads: next(1) as usize, ..patient() };
    let link = match next(0) {
        0 => LinkShape::LOOPBACK,
        bandwidth => LinkShape::new(bandwidth.into(), next(0).into())?,
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
    let part = |peer: &mut Peer| {
        let party = peer.party();
        let timed = (0..runs).map(|_| {
            let start = Instant::now();
            layer.run(party, peer).map(|_| start.elapsed().as_secs_f64())
        });
        timed.collect::<Result<Vec<_>>>()
    };
    let (a, b) = memory::pair();
    let (mut server, _) =
        run_peers_over((link.apply(a)?, link.apply(b)?), options, settings, part, part)?;
    let elements = (n as u64 * u64::from(runs)) as f64;
    server.value.sort_by(f64::total_cmp);
    let least = server.value.first().copied().unwrap_or_default();
    let median = server.value.get(server.value.len() / 2).copied().unwrap_or_default();
    eprintln!(
        "{} of 2^{log_n} elements over Z_{ring}, radix {radix}, {:?} OT, {runs} runs, {} threads a party",
        layer.name, settings.ot, options.threads
    );
    if let (Some(before), Some(after)) = (before, cpu_seconds()) {
        let cpu = after - before;
        let runs = f64::from(runs);
        eprintln!(
            "CPU, both parties: {:.2} s a run, {:.2} us an element",
            cpu / runs,
            cpu * 1e6 / elements
        );
        if let Some(megahertz) = megahertz() {
            eprintln!(
                "cycles of both parties at {megahertz:.0} MHz: {:.0} an element",
                cpu * 1e6 * megahertz / elements
            );
        }
    }
    eprintln!("wall of a run: median {:.2} ms, least {:.2} ms", 1e3 * median, 1e3 * least);
    let bytes = server.totals.bytes() as f64;
    eprintln!(
        "payload: {:.1} MiB a run, {:.1} bytes an element; {} rounds",
        bytes / f64::from(runs) / f64::from(1 << 20),
        bytes / elements,
        server.totals.rounds / runs
    );
    Ok(())
}
