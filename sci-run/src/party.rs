//! What server and client do alike: limits, set-up, the number of inputs, one input.

use crate::cli::PartyOptions;
use crate::failure::{Failure, Result};
use athos::PublicProgram;
use athos::llil::Liveness;
use sci_core::session::{Phase, SessionOptions};
use sci_core::{Error, Session};
use sci_ot::Peer;
use sci_ot::peer::Settings;

/// What an element that is alive costs a party at most: its share, and three more words while it is
/// being worked on.
const BYTES_PER_ELEMENT: u64 = 32;

/// Elements that may be alive in this much memory.
pub fn live_elements(memory: u64) -> u64 {
    memory / BYTES_PER_ELEMENT
}

/// Checks a program against the memory that the user gives.
///
/// # Errors
/// Says how much it needs.
pub fn check_memory(program: &PublicProgram, memory: u64) -> Result<()> {
    let peak = Liveness::of(&program.instructions).peak_elements();
    let needed = peak.saturating_mul(BYTES_PER_ELEMENT);
    if needed <= memory {
        return Ok(());
    }
    let cause =
        format!("memory: the tensors of {} need {needed} bytes, got {memory}", program.name);
    Err(Failure::new("resource", cause).hint(format_args!("--memory {}M", (needed >> 20) + 1)))
}

/// Threads of a party: what the user says, or what the machine has.
pub fn threads(options: &PartyOptions) -> usize {
    options.threads.unwrap_or_else(cores)
}

/// Threads of each of two parties on this machine: what the user says, or half of what there is.
pub fn local_threads(options: &PartyOptions) -> usize {
    options.threads.unwrap_or_else(|| (cores() / 2).max(1))
}

/// Cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The session of a party with so many threads.
pub fn session_options(threads: usize, timeout: std::time::Duration) -> SessionOptions {
    SessionOptions { timeout, threads, ..SessionOptions::default() }
}

/// The client says how many inputs it has.
///
/// # Errors
/// Those of the link.
pub fn send_count(session: &mut Session, inputs: usize) -> Result<()> {
    let _span = session.span("inputs", "count", Phase::Setup);
    let count = u32::try_from(inputs).map_err(|_| Error::misuse("more than 2^32 inputs"))?;
    Ok(session.stream().send(&count.to_le_bytes())?)
}

/// The server hears how many inputs come.
///
/// # Errors
/// None or too many, and those of the link.
pub fn receive_count(session: &mut Session, max: u32) -> Result<u32> {
    let _span = session.span("inputs", "count", Phase::Setup);
    let frame = session.stream().recv("number of inputs", size_of::<u32>())?;
    let bytes = frame.first_chunk().copied().unwrap_or_default();
    let count = u32::from_le_bytes(bytes);
    if !(1..=max).contains(&count) {
        let error = Error::misbehaved("number of inputs", format_args!("1..={max}"), count);
        session.give_up(&error);
        return Err(error.into());
    }
    Ok(count)
}

/// Base OTs and what grows from them.
///
/// # Errors
/// Those of the peer and the link.
pub fn establish(session: Session, settings: Settings) -> Result<Peer> {
    let _span = session.recorder().span("oblivious transfer", "base", Phase::Setup);
    Ok(Peer::establish(session, settings)?)
}
