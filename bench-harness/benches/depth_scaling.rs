//! See `bench_harness::tables::depth_scaling`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("depth_scaling")
}
