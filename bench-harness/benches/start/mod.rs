//! A bench target is a name: the work is in the program of the parties, which is linked once.

use std::process::{Command, ExitCode};

/// Runs a table with the arguments of this process.
pub fn table(name: &str) -> ExitCode {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sci-bench-party"));
    match program.args(std::env::args_os().skip(1)).env("SCI_BENCH_TABLE", name).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
