//! See `bench_harness::tables::table4_relu_layers`.

mod start;

fn main() -> std::process::ExitCode {
    start::table("table4_relu_layers")
}
