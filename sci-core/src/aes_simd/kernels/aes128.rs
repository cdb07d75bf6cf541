//! AES-128: counter mode and tree hashing under one key, hashes and generators under many.

macro_rules! kernels {
    ($features:literal) => {
        use super::single_key::schedule_128;

        /// `N` registers of counters.
        #[inline]
        #[target_feature(enable = $features)]
        fn counter_run<const N: usize>(keys: &[V; 11], counter: &mut V, out: &mut [Block]) {
            let step = broadcast(Block([LANES as u64, 0]));
            let mut states = [*counter; N];
            for state in &mut states {
                *state = xor(*counter, keys[0]);
                *counter = add64(*counter, step);
            }
            for key in &keys[1..10] {
                for state in &mut states {
                    *state = enc(*state, *key);
                }
            }
            for (state, lanes) in states.into_iter().zip(out.as_chunks_mut().0) {
                store(enc_last(state, keys[10]), lanes);
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn counter_blocks(keys: &[Block; 11], high: u64, low: u64, out: &mut [Block]) {
            let mut round_keys = [broadcast(keys[0]); 11];
            for (to, from) in round_keys.iter_mut().zip(keys) {
                *to = broadcast(*from);
            }
            let mut counter = add64(broadcast(Block([low, high])), load(&OFFSETS));
            let mut chunks = out.chunks_exact_mut(8 * LANES);
            for chunk in &mut chunks {
                counter_run::<8>(&round_keys, &mut counter, chunk);
            }
            let mut rest = chunks.into_remainder();
            if rest.len() >= 4 * LANES {
                let (now, later) = rest.split_at_mut(4 * LANES);
                counter_run::<4>(&round_keys, &mut counter, now);
                rest = later;
            }
            if rest.len() >= 2 * LANES {
                let (now, later) = rest.split_at_mut(2 * LANES);
                counter_run::<2>(&round_keys, &mut counter, now);
                rest = later;
            }
            if !rest.is_empty() {
                let mut last = [Block::ZERO; 2 * LANES];
                counter_run::<2>(&round_keys, &mut counter, &mut last);
                rest.copy_from_slice(&last[..rest.len()]);
                last.zeroize();
            }
        }

        /// Swaps the words of a block; keeps just its high word.
        const SWAP: Block = Block([0x0f0e_0d0c_0b0a_0908, 0x0706_0504_0302_0100]);
        const HIGH: Block = Block([u64::from_ne_bytes([0x80; 8]), 0x0f0e_0d0c_0b0a_0908]);

        /// The children of `N` registers of nodes.
        #[inline]
        #[target_feature(enable = $features)]
        fn double_run<const N: usize>(
            keys: &[V; 11],
            parents: &[[Block; LANES]; N],
            children: &mut [[[Block; 2]; LANES]; N],
        ) {
            let mut sigma = [keys[0]; N];
            let mut states = sigma;
            for i in 0..N {
                let x = load(&parents[i]);
                sigma[i] = xor(shuffle(x, broadcast(SWAP)), shuffle(x, broadcast(HIGH)));
                states[i] = xor(sigma[i], keys[0]);
            }
            for key in &keys[1..10] {
                for state in &mut states {
                    *state = enc(*state, *key);
                }
            }
            for i in 0..N {
                let left = xor(enc_last(states[i], keys[10]), sigma[i]);
                store_pairs(left, xor(left, load(&parents[i])), &mut children[i]);
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn double(keys: &[Block; 11], parents: &[Block], children: &mut [[Block; 2]]) {
            const RUN: usize = 8;
            let mut round_keys = [broadcast(keys[0]); 11];
            for (to, from) in round_keys.iter_mut().zip(keys) {
                *to = broadcast(*from);
            }
            let (lanes, rest) = parents.as_chunks::<LANES>();
            let (out_lanes, out_rest) = children.as_chunks_mut::<LANES>();
            let (runs, single) = lanes.as_chunks::<RUN>();
            let (out_runs, out_single) = out_lanes.as_chunks_mut::<RUN>();
            for (parents, children) in runs.iter().zip(out_runs) {
                double_run(&round_keys, parents, children);
            }
            let out_single = out_single.as_chunks_mut::<1>().0;
            for (parents, children) in single.as_chunks::<1>().0.iter().zip(out_single) {
                double_run(&round_keys, parents, children);
            }
            if !rest.is_empty() {
                let mut last = [[Block::ZERO; LANES]];
                let mut pairs = [[[Block::ZERO; 2]; LANES]];
                last[0][..rest.len()].copy_from_slice(rest);
                double_run(&round_keys, &last, &mut pairs);
                out_rest.copy_from_slice(&pairs[0][..rest.len()]);
                last.zeroize();
                pairs.zeroize();
            }
        }

        /// AES-128 of `N` blocks under each key of `G` groups. The schedule of one group is a chain
        /// of dependent steps, which several groups side by side hide.
        #[inline]
        #[target_feature(enable = $features)]
        fn encrypt_128<const G: usize, const N: usize>(
            keys: [[V; 4]; G],
            mut states: [[[V; 4]; N]; G],
        ) -> [[[V; 4]; N]; G] {
            let mut sliced = keys;
            for g in 0..G {
                sliced[g] = transpose(keys[g]);
                for state in &mut states[g] {
                    *state = xor4(*state, keys[g]);
                }
            }
            for step in 0..9 {
                for g in 0..G {
                    sliced[g] = advance(sliced[g], sub_rot(sliced[g][3], step));
                    let round_key = transpose(sliced[g]);
                    for state in &mut states[g] {
                        for q in 0..4 {
                            state[q] = enc(state[q], round_key[q]);
                        }
                    }
                }
            }
            for g in 0..G {
                let round_key = transpose(advance(sliced[g], sub_rot(sliced[g][3], 9)));
                for state in &mut states[g] {
                    for q in 0..4 {
                        state[q] = enc_last(state[q], round_key[q]);
                    }
                }
            }
            states
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn hash_groups<const G: usize>(start: Block, first: Block, x: &mut [[Block; KEYS]; G]) {
            let mut keys = [[splat(0); 4]; G];
            let mut input = keys;
            for g in 0..G {
                keys[g] = xor4([broadcast(start); 4], counters(count(first, g * KEYS)));
                input[g] = load4(&x[g]);
            }
            let mut states = [[input[0]; 1]; G];
            for g in 0..G {
                states[g] = [input[g]];
            }
            let output = encrypt_128(keys, states);
            for g in 0..G {
                store4(xor4(output[g][0], input[g]), &mut x[g]);
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn hash_in_place(start: Block, first: Block, x: &mut [Block]) {
            let (groups, rest) = x.as_chunks_mut::<KEYS>();
            let (several, single) = groups.as_chunks_mut::<GROUPS>();
            let mut at = 0;
            for groups in several {
                hash_groups(start, count(first, at), groups);
                at += GROUPS * KEYS;
            }
            for group in single.as_chunks_mut::<1>().0 {
                hash_groups(start, count(first, at), group);
                at += KEYS;
            }
            if !rest.is_empty() {
                let mut last = [[Block::ZERO; KEYS]];
                last[0][..rest.len()].copy_from_slice(rest);
                hash_groups(start, count(first, at), &mut last);
                rest.copy_from_slice(&last[0][..rest.len()]);
                last.zeroize();
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn hash_pairs_groups<const G: usize>(
            start: Block,
            first: Block,
            x: &[[Block; KEYS]; G],
            delta: Block,
            out: &mut [[[Block; 2]; KEYS]; G],
        ) {
            let mut keys = [[splat(0); 4]; G];
            let mut input = [[keys[0]; 2]; G];
            for g in 0..G {
                keys[g] = xor4([broadcast(start); 4], counters(count(first, g * KEYS)));
                let x = load4(&x[g]);
                input[g] = [x, xor4(x, [broadcast(delta); 4])];
            }
            let output = encrypt_128(keys, input);
            for g in 0..G {
                let a = xor4(output[g][0], input[g][0]);
                let b = xor4(output[g][1], input[g][1]);
                for (q, pairs) in out[g].as_chunks_mut().0.iter_mut().enumerate() {
                    store_pairs(a[q], b[q], pairs);
                }
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn hash_pairs(
            start: Block,
            first: Block,
            x: &[Block],
            delta: Block,
            out: &mut [[Block; 2]],
        ) {
            let (groups, rest) = x.as_chunks::<KEYS>();
            let (out_groups, out_rest) = out.as_chunks_mut::<KEYS>();
            let (several, single) = groups.as_chunks::<GROUPS>();
            let (out_several, out_single) = out_groups.as_chunks_mut::<GROUPS>();
            let mut at = 0;
            for (groups, out) in several.iter().zip(out_several) {
                hash_pairs_groups(start, count(first, at), groups, delta, out);
                at += GROUPS * KEYS;
            }
            let out_single = out_single.as_chunks_mut::<1>().0;
            for (group, out) in single.as_chunks::<1>().0.iter().zip(out_single) {
                hash_pairs_groups(start, count(first, at), group, delta, out);
                at += KEYS;
            }
            if !rest.is_empty() {
                let (mut last, mut pairs) = ([[Block::ZERO; KEYS]], [[[Block::ZERO; 2]; KEYS]]);
                last[0][..rest.len()].copy_from_slice(rest);
                hash_pairs_groups(start, count(first, at), &last, delta, &mut pairs);
                out_rest.copy_from_slice(&pairs[0][..rest.len()]);
                last.zeroize();
                pairs.zeroize();
            }
        }

        /// Block `at` + k of every generator of a group, for k < `N`.
        #[inline]
        #[target_feature(enable = $features)]
        fn expand_columns<const N: usize>(round_keys: &[[V; 4]; 11], at: usize) -> [[V; 4]; N] {
            let mut columns = [round_keys[0]; N];
            for (k, column) in columns.iter_mut().enumerate() {
                *column = xor4(*column, [broadcast(Block([(at + k) as u64, 0])); 4]);
            }
            for round_key in &round_keys[1..10] {
                for column in &mut columns {
                    for q in 0..4 {
                        column[q] = enc(column[q], round_key[q]);
                    }
                }
            }
            for column in &mut columns {
                for q in 0..4 {
                    column[q] = enc_last(column[q], round_keys[10][q]);
                }
            }
            columns
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn expand_group(seeds: &[Block; KEYS], per_seed: usize, out: &mut [Block]) {
            let keys = load4(seeds);
            if per_seed <= 2 {
                let plain = [[splat(0); 4], [broadcast(Block([1, 0])); 4]];
                let [columns] = encrypt_128([keys], [plain]);
                for (k, column) in columns.into_iter().take(per_seed).enumerate() {
                    store_column(column, out, per_seed, k);
                }
                return;
            }
            let mut sliced = transpose(keys);
            let mut round_keys = [keys; 11];
            for (step, round_key) in round_keys[1..].iter_mut().enumerate() {
                sliced = advance(sliced, sub_rot(sliced[3], step));
                *round_key = transpose(sliced);
            }
            let whole = per_seed / LANES * LANES;
            for at in (0..whole).step_by(LANES) {
                store_columns(&expand_columns(&round_keys, at), out, per_seed, at);
            }
            for at in whole..per_seed {
                let [column] = expand_columns(&round_keys, at);
                store_column(column, out, per_seed, at);
            }
        }

        /// From this many blocks on, a seed is expanded alone: its own blocks fill the registers.
        const ALONE: usize = 16 * LANES;

        #[target_feature(enable = $features)]
        pub(super) fn expand(seeds: &[Block], per_seed: usize, out: &mut [Block]) {
            if per_seed == 0 {
                return;
            }
            if per_seed >= ALONE {
                for (&seed, out) in seeds.iter().zip(out.chunks_exact_mut(per_seed)) {
                    let mut keys = schedule_128(seed);
                    counter_blocks(&keys, 0, 0, out);
                    keys.zeroize();
                }
                return;
            }
            let (groups, rest) = seeds.as_chunks::<KEYS>();
            let mut outs = out.chunks_mut(KEYS * per_seed);
            for (group, out) in groups.iter().zip(&mut outs) {
                expand_group(group, per_seed, out);
            }
            if let Some(out) = outs.next() {
                let mut last = [Block::ZERO; KEYS];
                last[..rest.len()].copy_from_slice(rest);
                expand_group(&last, per_seed, out);
                last.zeroize();
            }
        }
    };
}

pub(in crate::aes_simd) use kernels;
