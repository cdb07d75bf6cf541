//! Every vector path against the `aes` crate, over lengths around the group and register sizes.

use super::*;
use crate::Prg;

fn blocks(seed: u128, n: usize) -> Vec<Block> {
    let mut out = vec![Block::ZERO; n];
    Prg::new(seed.into()).fill_blocks(&mut out);
    out
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..70).chain([100, 127, 128, 129, 255, 300])
}

/// Near the end of the counter, so that it wraps within a batch.
const FIRST: Block = Block([u64::MAX - 40, 0x1234_5678_9abc_def0]);

#[test]
fn this_machine_runs_every_path_up_to_its_best() {
    assert_eq!(Level::all().last(), Some(&Level::best()));
}

#[test]
fn counter_mode() {
    let key = blocks(1, 1)[0];
    for n in lengths() {
        let mut expected = vec![Block::ZERO; n];
        Key128::at(Level::Portable, key).counter_blocks(FIRST.0[1], FIRST.0[0], &mut expected);
        for level in Level::all() {
            let mut out = vec![Block::ONES; n];
            Key128::at(level, key).counter_blocks(FIRST.0[1], FIRST.0[0], &mut out);
            assert!(out == expected, "{level:?}, {n} blocks");
        }
    }
}

#[test]
fn children_of_nodes() {
    let key = blocks(7, 1)[0];
    for n in lengths() {
        let x = blocks(n as u128, n);
        let mut expected = vec![[Block::ZERO; 2]; n];
        Key128::at(Level::Portable, key).double(&x, &mut expected);
        for level in Level::all() {
            let mut out = vec![[Block::ONES; 2]; n];
            Key128::at(level, key).double(&x, &mut out);
            assert!(out == expected, "{level:?}, {n} nodes");
        }
    }
}

#[test]
fn hashes_in_place() {
    let start = blocks(2, 1)[0];
    for n in lengths() {
        let x = blocks(n as u128, n);
        let mut expected = x.clone();
        hash_in_place(Level::Portable, start, FIRST, &mut expected);
        for level in Level::all() {
            let mut out = x.clone();
            hash_in_place(level, start, FIRST, &mut out);
            assert!(out == expected, "{level:?}, {n} blocks");
        }
    }
}

#[test]
fn hashes_of_pairs() {
    let [start, delta] = blocks(3, 2).try_into().unwrap();
    for n in lengths() {
        let x = blocks(n as u128, n);
        let mut expected = vec![[Block::ZERO; 2]; n];
        hash_pairs(Level::Portable, start, FIRST, &x, delta, &mut expected);
        for level in Level::all() {
            let mut out = vec![[Block::ONES; 2]; n];
            hash_pairs(level, start, FIRST, &x, delta, &mut out);
            assert!(out == expected, "{level:?}, {n} blocks");
        }
    }
}

#[test]
fn hashes_of_rows() {
    for n in lengths() {
        let raw = blocks(n as u128, 2 * n);
        let rows = raw.as_chunks::<2>().0;
        let mut expected = vec![Block::ZERO; n];
        hash_rows(Level::Portable, FIRST, rows, &mut expected);
        for level in Level::all() {
            let mut out = vec![Block::ONES; n];
            hash_rows(level, FIRST, rows, &mut out);
            assert!(out == expected, "{level:?}, {n} rows");
        }
    }
}

#[test]
fn hashes_of_codewords() {
    for n in lengths() {
        let raw = blocks(n as u128, 2 * n);
        let rows = raw.as_chunks::<2>().0;
        for m in [0, 1, 2, 3, 4, 5, 7, 8, 16, 19] {
            let raw = blocks(1000 + m as u128, 2 * m);
            let masks = raw.as_chunks::<2>().0;
            let mut expected = vec![Block::ZERO; n * m];
            hash_codewords(Level::Portable, FIRST, rows, masks, &mut expected);
            for level in Level::all() {
                let mut out = vec![Block::ONES; n * m];
                hash_codewords(level, FIRST, rows, masks, &mut out);
                assert!(out == expected, "{level:?}, {n} rows, {m} masks");
            }
        }
    }
}

#[test]
fn expansions() {
    for n in lengths() {
        let seeds = blocks(n as u128, n);
        for per_seed in (0..10).chain([15, 16, 17, 31, 63, 64, 65, 100]) {
            let mut expected = vec![Block::ZERO; n * per_seed];
            expand(Level::Portable, &seeds, per_seed, &mut expected);
            for level in Level::all() {
                let mut out = vec![Block::ONES; n * per_seed];
                expand(level, &seeds, per_seed, &mut out);
                assert!(out == expected, "{level:?}, {n} seeds, {per_seed} blocks");
            }
        }
    }
}

/// Random keys alone would not show a wrong round constant or rotation in all cases; a chain of
/// hashes through many keys does.
#[test]
fn a_chain_of_keys() {
    let mut states: Vec<(Level, Vec<Block>)> =
        Level::all().into_iter().map(|level| (level, blocks(4, 33))).collect();
    for round in 0..200u128 {
        for (level, state) in &mut states {
            let start = state[round as usize % 33];
            hash_in_place(*level, start, Block::from(round << 64), state);
        }
        assert!(states.iter().all(|(_, state)| *state == states[0].1), "round {round}");
    }
}
