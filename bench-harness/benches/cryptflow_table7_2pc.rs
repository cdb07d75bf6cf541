//! See `bench_harness::tables::cryptflow_table7_2pc`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("cryptflow_table7_2pc")
}
