//! Rates of the local kernels, on one core: what an OT costs before the link does.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sci_core::hash::{self, CrHash, Row, Tweak};
use sci_core::prg::ColumnPrgs;
use sci_core::{Block, Prg, pack, transpose};
use std::hint::black_box;
use std::time::Duration;

/// Instances of a batch: its buffers stay within the second-level cache.
const BATCH: usize = 2048;

fn blocks(n: usize) -> Vec<Block> {
    let mut out = vec![Block::ZERO; n];
    Prg::new(Block::from(1)).fill_blocks(&mut out);
    out
}

fn rows(n: usize) -> Vec<Row> {
    blocks(2 * n).as_chunks::<2>().0.to_vec()
}

fn generators(c: &mut Criterion) {
    let mut group = c.benchmark_group("prg");
    let mut out = blocks(BATCH);
    let mut words = vec![0; 2 * BATCH];
    let mut prg = Prg::new(Block::from(2));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("blocks", |b| b.iter(|| prg.fill_blocks(black_box(&mut out))));
    group.bench_function("blocks as words", |b| b.iter(|| prg.fill_u64(black_box(&mut words))));
    group.bench_function("blocks by next_u64", |b| {
        b.iter(|| (0..2 * BATCH).fold(0, |sum, _| sum ^ prg.next_u64()));
    });
    let columns = ColumnPrgs::new(&blocks(128));
    for width in [1, 8, 32] {
        let mut matrix = blocks(128 * width);
        group.throughput(Throughput::Elements(matrix.len() as u64));
        group.bench_function(format!("128 columns of {width} blocks"), |b| {
            b.iter(|| columns.fill(3, 100, width, black_box(&mut matrix)));
        });
    }
    for per_seed in [1, 2, 4, 10, 100] {
        let seeds = blocks(256);
        let mut out = blocks(256 * per_seed);
        group.throughput(Throughput::Elements(out.len() as u64));
        group.bench_function(format!("{per_seed} blocks a seed"), |b| {
            b.iter(|| hash::expand(&seeds, per_seed, black_box(&mut out)));
        });
    }
    group.finish();
}

fn hashes(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    let first = Tweak::new(1, 2);
    let cr = CrHash::new(Block::from(3));
    let (x, mut out, mut pairs) = (blocks(BATCH), blocks(BATCH), vec![[Block::ZERO; 2]; BATCH]);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("128-bit, one a key", |b| b.iter(|| cr.hash(first, &x, &mut out)));
    group.throughput(Throughput::Elements(2 * BATCH as u64));
    group.bench_function("128-bit, two a key", |b| {
        b.iter(|| cr.hash_pairs(first, &x, Block::from(9), &mut pairs));
    });
    let keys = rows(BATCH);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("256-bit rows", |b| b.iter(|| hash::hash_rows(first, &keys, &mut out)));
    for m in [4, 16, 128] {
        let (keys, masks, mut out) = (rows(BATCH / m), rows(m), blocks(BATCH / m * m));
        group.throughput(Throughput::Elements(out.len() as u64));
        group.bench_function(format!("256-bit rows, {m} code words"), |b| {
            b.iter(|| hash::hash_codewords(first, &keys, &masks, &mut out));
        });
    }
    group.finish();
}

fn transposition(c: &mut Criterion) {
    let mut group = c.benchmark_group("transpose");
    for width in [1, 8, 32] {
        let (input, mut out) = (blocks(128 * width), blocks(128 * width));
        group.throughput(Throughput::Elements(out.len() as u64));
        group.bench_function(format!("128 x {} bits, rows", 128 * width), |b| {
            b.iter(|| transpose::transpose_128(&input, width, &mut out, 1, 0));
        });
        let mut wide = blocks(2 * 128 * width);
        group.bench_function(format!("128 x {} bits, half rows", 128 * width), |b| {
            b.iter(|| transpose::transpose_128(&input, width, &mut wide, 2, 1));
        });
    }
    let mut values = vec![0; BATCH];
    Prg::new(Block::from(4)).fill_u64(&mut values);
    for bits in [4, 32, 64] {
        let mut planes = vec![0; bits as usize * BATCH / 64];
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(format!("{bits} planes, values"), |b| {
            b.iter(|| transpose::bit_planes(&values, bits, &mut planes, BATCH / 64));
        });
        group.bench_function(format!("values from {bits} planes"), |b| {
            b.iter(|| transpose::from_bit_planes(&planes, bits, &mut values, BATCH / 64));
        });
    }
    group.finish();
}

fn packing(c: &mut Criterion) {
    let mut group = c.benchmark_group("pack");
    let mut values = vec![0; BATCH];
    Prg::new(Block::from(5)).fill_u64(&mut values);
    group.throughput(Throughput::Elements(BATCH as u64));
    for bits in [1, 4, 8, 15, 32, 37, 61] {
        let mut bytes = vec![0; pack::packed_len(BATCH, bits)];
        group.bench_function(format!("pack {bits} bits"), |b| {
            b.iter(|| pack::pack(&values, bits, black_box(&mut bytes)));
        });
        group.bench_function(format!("unpack {bits} bits"), |b| {
            b.iter(|| pack::unpack(black_box(&bytes), bits, &mut values));
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
}

criterion_group! {
    name = kernels;
    config = short();
    targets = generators, hashes, transposition, packing
}
criterion_main!(kernels);
