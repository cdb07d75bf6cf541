//! See `bench_harness::tables::table7_networks`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table7_networks")
}
