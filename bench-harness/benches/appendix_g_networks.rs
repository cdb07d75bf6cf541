//! See `bench_harness::tables::appendix_g_networks`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("appendix_g_networks")
}
