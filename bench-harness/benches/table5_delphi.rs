//! See `bench_harness::tables::table5_delphi`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table5_delphi")
}
