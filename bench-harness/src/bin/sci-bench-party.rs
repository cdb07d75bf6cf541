//! One party of a measurement; with other arguments it is `sci-run`, so that networks run in processes of the same build.

use std::process::{ExitCode, exit};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == bench_harness::party::COMMAND) {
        return bench_harness::party::main(&arguments[2..]);
    }
    ExitCode::from(sci_run::run(arguments, || exit(1)))
}
