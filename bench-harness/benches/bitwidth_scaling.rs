//! See `bench_harness::tables::bitwidth_scaling`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("bitwidth_scaling")
}
