//! Half-gates (Zahur, Rosulek, Evans, "Two halves make a whole", EUROCRYPT 2015).
//!
//! With zero labels A, B, colours a = lsb A, b = lsb B and Delta (whose lowest bit is 1), the table is
//!
//! T_G = H(A) xor H(A xor Delta) xor b Delta,  T_E = H'(B) xor H'(B xor Delta) xor A,
//!
//! and the output label H(A) xor a T_G xor H'(B) xor b (T_E xor A). The evaluator computes the same from the
//! active labels and their colours.

use super::{EvaluateGate, GarbleGate, TILE, mask};
use sci_core::Block;
use sci_core::hash::{CrHash, Tweak};
use sci_core::prg::SecretBlocks;

/// Bytes of a garbled AND gate.
pub(super) const TABLE_BYTES: usize = 32;

/// The orthomorphism under the hash, which makes it circular correlation robust. It is linear.
fn sigma(x: Block) -> Block {
    Block([x.0[1], x.0[0] ^ x.0[1]])
}

/// The hash of a chain of gates, with room for the inputs and outputs of one gate in a tile.
pub(super) struct HalfGates {
    hash: CrHash,
    /// Sigma of both inputs, instance by instance: first all of one, then all of the other.
    inputs: SecretBlocks,
    pairs: SecretBlocks,
}

impl HalfGates {
    pub(super) fn new(start: Block) -> Self {
        let (inputs, pairs) = (SecretBlocks::zeros(2 * TILE), SecretBlocks::zeros(4 * TILE));
        Self { hash: CrHash::new(start), inputs, pairs }
    }
}

impl GarbleGate for HalfGates {
    fn garble(
        &mut self,
        tweak: Tweak,
        delta: Block,
        [a, b]: [&[Block]; 2],
        out: &mut [Block],
        table: &mut [u8],
    ) {
        let m = out.len();
        let inputs = &mut self.inputs[..2 * m];
        for (s, x) in inputs.iter_mut().zip(a.iter().chain(b)) {
            *s = sigma(*x);
        }
        let pairs = &mut self.pairs.as_chunks_mut::<2>().0[..2 * m];
        self.hash.hash_pairs(tweak, inputs, sigma(delta), pairs);
        let (of_a, of_b) = pairs.split_at(m);
        let labels = a.iter().zip(b).zip(of_a.iter().zip(of_b));
        let tables = table.as_chunks_mut::<TABLE_BYTES>().0;
        for (((a, b), (ha, hb)), (out, table)) in labels.zip(out.iter_mut().zip(tables)) {
            let generator = ha[0] ^ ha[1] ^ delta.and_mask(mask(b.lsb()));
            let evaluator = hb[0] ^ hb[1];
            *out = ha[0]
                ^ generator.and_mask(mask(a.lsb()))
                ^ hb[0]
                ^ evaluator.and_mask(mask(b.lsb()));
            let halves = table.as_chunks_mut::<16>().0;
            halves[0] = generator.to_bytes();
            halves[1] = (evaluator ^ *a).to_bytes();
        }
    }
}

impl EvaluateGate for HalfGates {
    fn evaluate(&mut self, tweak: Tweak, [a, b]: [&[Block]; 2], out: &mut [Block], table: &[u8]) {
        let m = out.len();
        let hashes = &mut self.inputs[..2 * m];
        for (s, x) in hashes.iter_mut().zip(a.iter().chain(b)) {
            *s = sigma(*x);
        }
        self.hash.hash_in_place(tweak, hashes);
        let (of_a, of_b) = hashes.split_at(m);
        let labels = a.iter().zip(b).zip(of_a.iter().zip(of_b));
        let tables = table.as_chunks::<TABLE_BYTES>().0;
        for (((a, b), (ha, hb)), (out, table)) in labels.zip(out.iter_mut().zip(tables)) {
            let halves = table.as_chunks::<16>().0;
            let (generator, evaluator) =
                (Block::from_bytes(halves[0]), Block::from_bytes(halves[1]));
            *out = *ha
                ^ generator.and_mask(mask(a.lsb()))
                ^ *hb
                ^ (evaluator ^ *a).and_mask(mask(b.lsb()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Prg;

    /// The hash by the definition, from the public function for one instance.
    fn hash(start: Block, tweak: u128, x: Block) -> Block {
        let x = x.to_u128();
        let (high, low) = (x >> 64, x & u128::from(u64::MAX));
        let mut block = [Block::from((high ^ low) << 64 | high)];
        CrHash::new(start).hash_in_place(Tweak(tweak), &mut block);
        block[0]
    }

    #[test]
    fn every_instance_follows_the_definition() {
        let mut prg = Prg::new(Block::from(1));
        let (start, delta) = (prg.next_block(), Block([prg.next_u64() | 1, prg.next_u64()]));
        for m in [1, 2, 7, 8, 9, 31, 32, 33, 63, 64] {
            let draw = |prg: &mut Prg| -> Vec<Block> { (0..m).map(|_| prg.next_block()).collect() };
            let (a, b) = (draw(&mut prg), draw(&mut prg));
            let (mut out, mut table) = (vec![Block::ZERO; m], vec![0; 32 * m]);
            let tweak = Tweak::new(3, 1000);
            HalfGates::new(start).garble(tweak, delta, [&a, &b], &mut out, &mut table);
            for (i, table) in table.as_chunks::<32>().0.iter().enumerate() {
                let of_a = |x| hash(start, tweak.0 + i as u128, x);
                let of_b = |x| hash(start, tweak.0 + (m + i) as u128, x);
                let bit = |x: Block| if x.lsb() { Block::ONES } else { Block::ZERO };
                let generator = of_a(a[i]) ^ of_a(a[i] ^ delta) ^ (delta & bit(b[i]));
                let evaluator = of_b(b[i]) ^ of_b(b[i] ^ delta) ^ a[i];
                let expected = of_a(a[i])
                    ^ (generator & bit(a[i]))
                    ^ of_b(b[i])
                    ^ ((evaluator ^ a[i]) & bit(b[i]));
                assert!(out[i] == expected, "{m} {i}");
                assert!(table[..16] == generator.to_bytes(), "{m} {i}");
                assert!(table[16..] == evaluator.to_bytes(), "{m} {i}");
            }
        }
    }
}
