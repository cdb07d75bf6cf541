//! See `bench_harness::tables::table4_relu_layers`.

fn main() -> std::process::ExitCode {
    bench_harness::main(
        env!("CARGO_BIN_EXE_sci-bench-party"),
        bench_harness::tables::table4_relu_layers::TABLE,
    )
}
