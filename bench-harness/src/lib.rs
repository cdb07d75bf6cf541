//! Every table and figure of the papers, measured beside garbled circuits.
//!
//! A bench target of this crate is a table or figure. It starts both parties as processes of their own
//! ([`party`]), connected over TCP and shaped by [`sci_core::channel::shaped`], runs each [`job::Job`]
//! several times over several links, and holds payload and rounds equal to the formulas. What it writes:
//! `results/<name>.{json,csv,md,svg}` and a `results/README.md` of all.
//!
//! * `cargo bench -p bench-harness` runs sizes that finish on two cores within 20 minutes;
//! * `SCI_BENCH=paper` runs the papers' sizes and takes up where it was interrupted;
//! * `SCI_BENCH=quick`, or the argument `--quick`, runs the smallest of everything and writes
//!   below `target/` only.
//!
//! [`paper`] has the published figures, with where each comes from.

pub mod job;
pub mod machine;
pub mod network;
pub mod pair;
pub mod paper;
pub mod party;
pub mod plot;
pub mod result;
pub mod suite;
pub mod tables;

use std::process::ExitCode;
use suite::{Mode, Suite, Table};

/// What a bench target does.
pub fn main(party: &'static str, table: Table) -> ExitCode {
    let mode = match Mode::from_environment(std::env::args()) {
        Ok(mode) => mode,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match Suite::new(party, table, mode).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}: {error}", table.name);
            ExitCode::FAILURE
        }
    }
}
