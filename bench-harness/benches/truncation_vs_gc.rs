//! See `bench_harness::tables::truncation_vs_gc`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("truncation_vs_gc")
}
