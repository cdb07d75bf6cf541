//! See `bench_harness::tables::table3_avgpool`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table3_avgpool")
}
