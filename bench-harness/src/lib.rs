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

pub mod accuracy;
pub mod job;
pub mod machine;
pub mod network;
pub mod pair;
pub mod paper;
pub mod party;
pub mod phases;
pub mod plot;
pub mod products;
pub mod result;
pub mod suite;
pub mod tables;

use std::process::ExitCode;
use suite::{Mode, Suite};

/// The environment variable that names the table to be run.
pub const TABLE_VARIABLE: &str = "SCI_BENCH_TABLE";

/// Runs the table of a bench target.
pub fn main(table: &str) -> ExitCode {
    let done = Mode::from_environment(std::env::args()).and_then(|mode| {
        let found = tables::ALL.iter().find(|one| one.name == table);
        let table = found.ok_or_else(|| format!("there is no table {table}"))?;
        Suite::new(*table, mode)?.run().map_err(|error| format!("{}: {error}", table.name))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
