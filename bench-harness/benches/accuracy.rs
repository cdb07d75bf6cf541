//! See `bench_harness::tables::accuracy`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("accuracy")
}
