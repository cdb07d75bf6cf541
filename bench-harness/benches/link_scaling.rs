//! See `bench_harness::tables::link_scaling`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("link_scaling")
}
