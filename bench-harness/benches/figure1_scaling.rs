//! See `bench_harness::tables::figure1_scaling`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("figure1_scaling")
}
