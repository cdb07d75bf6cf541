//! See `bench_harness::tables::appendix_h_avgpool`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("appendix_h_avgpool")
}
