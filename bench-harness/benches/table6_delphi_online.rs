//! See `bench_harness::tables::table6_delphi_online`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table6_delphi_online")
}
