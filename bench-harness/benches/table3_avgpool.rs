//! See `bench_harness::tables::table3_avgpool`.

fn main() -> std::process::ExitCode {
    bench_harness::main(
        env!("CARGO_BIN_EXE_sci-bench-party"),
        bench_harness::tables::table3_avgpool::TABLE,
    )
}
