//! See `bench_harness::tables::thread_scaling`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("thread_scaling")
}
