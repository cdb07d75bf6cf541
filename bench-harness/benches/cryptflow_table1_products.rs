//! See `bench_harness::tables::cryptflow_table1_products`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("cryptflow_table1_products")
}
