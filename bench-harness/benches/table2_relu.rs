//! See `bench_harness::tables::table2_relu`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table2_relu")
}
