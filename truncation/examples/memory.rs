//! Peak memory of each party, measured: of the silent OT state alone, and of a ReLU beyond it.
//!
//! `cargo run --release -p truncation --example memory -- [log2 n] [l] [log2 k]`, by default 20, 32, 19. This
//! process is the server and starts itself again as the client, over TCP on the loopback
//! interface. Linux only: the figures are VmHWM and VmRSS of /proc/self/status, the peak set back between the
//! phases.
//!
//! * **Silent state**: all lanes take COTs in both directions, in small pieces, through every smaller LPN set
//!   and past a whole round of the largest, so that the peak has both tables of a refill on every lane.
//!   Counted from what the process had after the base OTs.
//! * **ReLU** of 2^n elements over Z_2^l, its input and output among it. Counted from what the
//!   process had with the silent state at rest; a refill that comes in the middle is part of it.

use millionaires::Precision;
use millionaires::relu::relu;
use sci_core::channel::{Link, tcp};
use sci_core::session::{PublicOffer, SessionOptions};
use sci_core::{Block, Domain, Error, Party, Prg, Result, Ring, Session, Shares};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::silent::{IKNP_SERVES, SETS};
use sci_ot::{OtKind, Peer};
use std::process::Command;
use std::time::Duration;

/// COTs of a direction that a lane takes at once.
const PIECE: usize = 1 << 16;
const CONNECT: Duration = Duration::from_secs(30);

/// A figure of this process, in KiB.
fn status(name: &str) -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| Error::resource(format!("/proc/self/status: {e}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.ok_or_else(|| Error::resource(format!("no {name} in /proc/self/status")))
}

/// Runs a phase; returns what the process had before and its peak within, in KiB.
fn peak_of(phase: impl FnOnce() -> Result<()>) -> Result<(u64, u64)> {
    std::fs::write("/proc/self/clear_refs", "5")
        .map_err(|e| Error::resource(format!("the peak cannot be set back: {e}")))?;
    let before = status("VmRSS")?;
    phase()?;
    Ok((before, status("VmHWM")?))
}

#[derive(Clone, Copy)]
struct Options {
    log_n: u32,
    bits: u32,
    log_k: u32,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut next = |name: &'static str, default| match args.next() {
            None => Ok(default),
            Some(text) => text.parse::<u32>().map_err(|_| Error::invalid(name, "a number", text)),
        };
        Ok(Self { log_n: next("log2 n", 20)?, bits: next("l", 32)?, log_k: next("log2 k", 19)? })
    }

    /// COTs until the first refill from the largest set to itself is over.
    fn cots(self) -> usize {
        let sets: Vec<_> = SETS.into_iter().filter(|set| set.log_k <= self.log_k).collect();
        let rounds = sets.iter().zip(sets[1..].iter().chain(sets.last()));
        IKNP_SERVES as usize + rounds.map(|(set, next)| set.usable(*next)).sum::<usize>() + PIECE
    }
}

/// Takes as many COTs in each direction of each lane.
fn fill(peer: &mut Peer, cots: usize) -> Result<()> {
    let lanes = peer.session().lanes();
    let plan = Plan::pieces(lanes * cots.div_ceil(PIECE), 1);
    peer.map_chunks(&plan, |lane, _| match lane.party() {
        Party::Server => {
            lane.send.extend_random(&mut lane.stream, PIECE)?;
            lane.recv.extend_random(&mut lane.stream, PIECE, &mut lane.prg).map(drop)
        }
        Party::Client => {
            lane.recv.extend_random(&mut lane.stream, PIECE, &mut lane.prg)?;
            lane.send.extend_random(&mut lane.stream, PIECE)
        }
    })?;
    Ok(())
}

fn party(link: Link, role: Party, options: Options) -> Result<String> {
    let session_options =
        SessionOptions { timeout: Duration::from_secs(120), ..Default::default() };
    let session = match role {
        Party::Server => Session::serve(link, session_options, &PublicOffer::default())?,
        Party::Client => Session::join(link, session_options, Vec::new(), 0, |_| Ok(()))?.0,
    };
    let settings = Settings { silent_log_k: options.log_k, ..Settings::over(OtKind::Silent) };
    let mut peer = Peer::establish(session, settings)?;
    let (start, silent) = peak_of(|| fill(&mut peer, options.cots()))?;
    let (rest, layer) = peak_of(|| {
        let ring = Ring::new(options.bits)?;
        let mut values = vec![0; 1 << options.log_n];
        ring.sample_into(&mut Prg::new(Block([7, role.index() as u64])), &mut values);
        relu(&mut peer, &Shares::from_canonical(ring, values), Precision::Full).map(drop)
    })?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let beyond = |peak: u64, before: u64| mib(peak.saturating_sub(before));
    Ok(format!(
        "{role}: silent state {:.0} MiB (peak {:.0}, before it {:.0}); ReLU {:.0} MiB beyond it \
         (peak {:.0}, before it {:.0})",
        beyond(silent, start),
        mib(silent),
        mib(start),
        beyond(layer, rest),
        mib(layer),
        mib(rest),
    ))
}

/// The server, and the client as another process of the same program.
fn both(options: Options) -> Result<()> {
    let listener = tcp::listen("127.0.0.1:0")?;
    let failed = |e: std::io::Error| Error::resource(format!("the client's process: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    let Options { log_n, bits, log_k } = options;
    let mut client = Command::new(program)
        .args([log_n, bits, log_k].map(|x| x.to_string()))
        .env(ADDRESS, listener.local_addr().to_string())
        .spawn()
        .map_err(failed)?;
    eprintln!(
        "ReLU of 2^{log_n} elements over Z_2^{bits}; silent OT up to k = 2^{log_k}, 4 lanes, one \
         computing thread a party"
    );
    let served = listener.accept(Some(CONNECT)).and_then(|l| party(l, Party::Server, options));
    let ended = client.wait().map_err(failed)?;
    eprintln!("{}", served?);
    if ended.success() { Ok(()) } else { Err(Error::resource(format!("the client: {ended}"))) }
}

/// Where the client finds the server.
const ADDRESS: &str = "SCI_EXAMPLE_ADDRESS";

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    match std::env::var(ADDRESS) {
        Ok(address) => {
            eprintln!("{}", party(tcp::connect(&address, CONNECT)?, Party::Client, options)?);
            Ok(())
        }
        Err(_) => both(options),
    }
}
