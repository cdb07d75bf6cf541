//! Every table and figure of the papers, measured beside garbled circuits.
//!
//! A bench target of this crate is a table or figure. It starts both parties as processes of their own
//! ([`party`]), connected over TCP and shaped by [`sci_core::channel::shaped`], runs each [`job::Job`]
//! several times over several links, and holds payload and rounds equal to the formulas. What it writes:
//! `results/<name>.{json,csv,md,svg}` and a `results/README.md` of all.
//!
//! * `cargo bench -p bench-harness` runs sizes that finish on two cores within 20 minutes;
//! * `SCI_BENCH=paper` runs the papers' sizes; a whole network is run until its runs took forty seconds, or as many as
//!   `SCI_BENCH_PATIENCE` says (`inf`: five times in any case). Every run is kept in `results/runs/`, and what is there
//!   of the same commit and machine is not run again: so it takes up where it was interrupted;
//! * `SCI_BENCH=quick`, or the argument `--quick` or `--test`, runs the smallest of everything and writes
//!   below `target/` only;
//! * a filter runs the tables whose names contain it, `--list` names them.
//!
//! [`paper`] has the published figures, with where each comes from.

pub mod accuracy;
pub mod arguments;
pub mod job;
pub mod link_check;
pub mod machine;
pub mod network;
pub mod pair;
pub mod paper;
pub mod party;
pub mod phases;
pub mod plot;
pub mod prediction;
pub mod products;
pub mod result;
mod runs;
pub mod suite;
pub mod summary;
pub mod tables;

use arguments::Arguments;
use std::io::Write;
use std::process::ExitCode;
use suite::Suite;

/// The environment variable that names the table to be run.
pub const TABLE_VARIABLE: &str = "SCI_BENCH_TABLE";

/// Runs the table of a bench target.
pub fn main(table: &str) -> ExitCode {
    let variable = std::env::var("SCI_BENCH").ok();
    let arguments = Arguments::read(std::env::args().skip(1), variable.as_deref());
    let done = arguments.and_then(|arguments| {
        let found = tables::ALL.iter().find(|one| one.name == table);
        let table = found.ok_or_else(|| format!("there is no table {table}"))?;
        if !arguments.selects(table.name) {
            return Ok(());
        }
        if arguments.list {
            let mut out = std::io::stdout().lock();
            return writeln!(out, "{}: benchmark", table.name).map_err(|e| e.to_string());
        }
        let suite = Suite::new(*table, arguments.mode)?;
        suite.run().map_err(|error| format!("{}: {error}", table.name))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
