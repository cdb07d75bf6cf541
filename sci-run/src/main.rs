//! The command `sci-run`; everything is in the library.

use std::process::{ExitCode, exit};

fn main() -> ExitCode {
    let orphaned = || exit(1);
    ExitCode::from(sci_run::run(std::env::args_os(), orphaned))
}
