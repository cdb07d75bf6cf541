//! See `bench_harness::tables::table1_millionaires`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table1_millionaires")
}
