//! AES-256 of tweaks, under rows and under masked rows.

macro_rules! kernels {
    ($features:literal) => {
        /// AES-256 of a block under each key of `G` groups, whose own halves are the first two
        /// round keys.
        #[inline]
        #[target_feature(enable = $features)]
        fn encrypt_256<const G: usize>(
            mut rows: [Rows; G],
            mut states: [[V; 4]; G],
        ) -> [[V; 4]; G] {
            for g in 0..G {
                for q in 0..4 {
                    let whitened = xor(states[g][q], rows[g].keys[0][q]);
                    states[g][q] = enc(whitened, rows[g].keys[1][q]);
                }
            }
            let zero = splat(0);
            for step in 0..6 {
                for g in 0..G {
                    let [w, v] = &mut rows[g].sliced;
                    *w = advance(*w, sub_rot(v[3], step));
                    let round_key = transpose(*w);
                    for q in 0..4 {
                        states[g][q] = enc(states[g][q], round_key[q]);
                    }
                }
                for g in 0..G {
                    let [w, v] = &mut rows[g].sliced;
                    *v = advance(*v, enc_last(shuffle(w[3], broadcast(SUB_WORD)), zero));
                    let round_key = transpose(*v);
                    for q in 0..4 {
                        states[g][q] = enc(states[g][q], round_key[q]);
                    }
                }
            }
            for g in 0..G {
                let [w, v] = rows[g].sliced;
                let round_key = transpose(advance(w, sub_rot(v[3], 6)));
                for q in 0..4 {
                    states[g][q] = enc_last(states[g][q], round_key[q]);
                }
            }
            states
        }

        /// A group of rows, as keys and sliced, each half.
        #[derive(Clone, Copy)]
        struct Rows {
            keys: [[V; 4]; 2],
            sliced: [[V; 4]; 2],
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn load_group(rows: &[[Block; 2]; KEYS]) -> Rows {
            let mut keys = [[splat(0); 4]; 2];
            for (q, rows) in rows.as_chunks().0.iter().enumerate() {
                (keys[0][q], keys[1][q]) = load_rows(rows);
            }
            Rows { keys, sliced: [transpose(keys[0]), transpose(keys[1])] }
        }

        /// The rows with a mask added to all.
        #[inline]
        #[target_feature(enable = $features)]
        fn mask_group(mut rows: Rows, mask: &[Block; 2]) -> Rows {
            for half in 0..2 {
                let whole = broadcast(mask[half]);
                for q in 0..4 {
                    let word = (mask[half].0[q / 2] >> (32 * (q % 2))) as u32;
                    rows.sliced[half][q] = xor(rows.sliced[half][q], splat(word));
                    rows.keys[half][q] = xor(rows.keys[half][q], whole);
                }
            }
            rows
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn hash_codewords_group(
            first: Block,
            rows: &[[Block; 2]; KEYS],
            masks: &[[Block; 2]],
            out: &mut [Block],
        ) {
            let plain = counters(first);
            let rows = load_group(rows);
            let (full, rest) = masks.as_chunks::<LANES>();
            for (c, some) in full.iter().enumerate() {
                let mut columns = [plain; LANES];
                for (columns, some) in
                    columns.as_chunks_mut().0.iter_mut().zip(some.as_chunks::<GROUPS>().0)
                {
                    let mut masked = [rows; GROUPS];
                    for g in 0..GROUPS {
                        masked[g] = mask_group(rows, &some[g]);
                    }
                    *columns = encrypt_256(masked, [plain; GROUPS]);
                }
                store_columns(&columns, out, masks.len(), c * LANES);
            }
            for (mask, k) in rest.iter().zip(full.len() * LANES..) {
                let [column] = encrypt_256([mask_group(rows, mask)], [plain]);
                store_column(column, out, masks.len(), k);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn hash_rows_groups<const G: usize>(
            first: Block,
            rows: &[[[Block; 2]; KEYS]; G],
            out: &mut [[Block; KEYS]; G],
        ) {
            let mut groups = [load_group(&rows[0]); G];
            let mut plain = [counters(first); G];
            for g in 1..G {
                groups[g] = load_group(&rows[g]);
                plain[g] = counters(count(first, g * KEYS));
            }
            for (output, out) in encrypt_256(groups, plain).into_iter().zip(out) {
                store4(output, out);
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn hash_rows(first: Block, rows: &[[Block; 2]], out: &mut [Block]) {
            let (groups, rest) = rows.as_chunks::<KEYS>();
            let (out_groups, out_rest) = out.as_chunks_mut::<KEYS>();
            let (several, single) = groups.as_chunks::<GROUPS>();
            let (out_several, out_single) = out_groups.as_chunks_mut::<GROUPS>();
            let mut at = 0;
            for (groups, out) in several.iter().zip(out_several) {
                hash_rows_groups(count(first, at), groups, out);
                at += GROUPS * KEYS;
            }
            let out_single = out_single.as_chunks_mut::<1>().0;
            for (group, out) in single.as_chunks::<1>().0.iter().zip(out_single) {
                hash_rows_groups(count(first, at), group, out);
                at += KEYS;
            }
            if !rest.is_empty() {
                let (mut last, mut hashes) = ([[[Block::ZERO; 2]; KEYS]], [[Block::ZERO; KEYS]]);
                last[0][..rest.len()].copy_from_slice(rest);
                hash_rows_groups(count(first, at), &last, &mut hashes);
                out_rest.copy_from_slice(&hashes[0][..rest.len()]);
                last.zeroize();
                hashes.zeroize();
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn hash_codewords(
            first: Block,
            rows: &[[Block; 2]],
            masks: &[[Block; 2]],
            out: &mut [Block],
        ) {
            if masks.is_empty() {
                return;
            }
            let (groups, rest) = rows.as_chunks::<KEYS>();
            let mut outs = out.chunks_mut(KEYS * masks.len());
            for (g, (group, out)) in groups.iter().zip(&mut outs).enumerate() {
                hash_codewords_group(count(first, g * KEYS), group, masks, out);
            }
            if let Some(out) = outs.next() {
                let mut last = [[Block::ZERO; 2]; KEYS];
                last[..rest.len()].copy_from_slice(rest);
                hash_codewords_group(count(first, groups.len() * KEYS), &last, masks, out);
                last.zeroize();
            }
        }
    };
}

pub(in crate::aes_simd) use kernels;
