//! See `bench_harness::tables::accuracy_over_scale`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("accuracy_over_scale")
}
