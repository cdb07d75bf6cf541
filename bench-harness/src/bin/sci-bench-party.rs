//! A table if `SCI_BENCH_TABLE` names one, one party of a measurement if the first argument is `party`, one end of a
//! link under test if it is `link`, else `sci-run`: so networks run in processes of the same build.

use std::process::{ExitCode, exit};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Ok(table) = std::env::var(bench_harness::TABLE_VARIABLE) {
        return bench_harness::main(&table);
    }
    if arguments.get(1).is_some_and(|first| first == bench_harness::party::COMMAND) {
        return bench_harness::party::main(&arguments[2..]);
    }
    if arguments.get(1).is_some_and(|first| first == bench_harness::link_check::COMMAND) {
        return bench_harness::link_check::main(&arguments[2..]);
    }
    ExitCode::from(sci_run::run(arguments, || exit(1)))
}
