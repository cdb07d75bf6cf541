//! Three halves (Rosulek and Roy, "Three halves make a whole? Beating the half-gates lower bound for garbled
//! circuits", CRYPTO 2021): labels are cut in two, and three ciphertexts of half a label's length serve an AND gate.
//!
//! **Halves.** A label is x = (x_L, x_R), 64 bits each; the colour is the lowest bit of x_L. The four elements of
//! F_4 = {0, 1, w, w^2} act on pairs of halves by w (x_L, x_R) = (x_L + x_R, x_L); addition is XOR throughout.
//!
//! **What the evaluator computes.** A and B are the labels of colour 0, A_i = A + i Delta and B_j = B + j Delta those of
//! colours i and j. With the hashes f_i = H(A_i), g_j = H'(B_j), h_{i+j} = H''(A_i + B_j) it computes
//!
//! f_i + h_{i+j} + i G_0 + (i + j) G_2  and  g_j + h_{i+j} + j G_1 + (i + j) G_2
//!
//! as left and right half, and adds r_ij (A_i + w^2 B_j) + ((1 + i) B_{j,L}, (1 + j) A_{i,R}), where r_ij of F_4 says
//! what is to be added (the "dice" of the paper). The AND is 1 for one pair of colours (a, b) alone. The eight halves
//! are those of C + [i = a, j = b] Delta for one label C if
//!
//! r_00 = r,  r_01 = r + (a + b) w + a,  r_10 = r + b w + (a + b),  r_11 = r + a w + b
//!
//! and G_0, G_1, G_2 are as in [`Garbler`]: the sums of the r_ij, and of those times A, B and Delta, vanish.
//!
//! **Dice.** r is random and secret, so that every r_ij by itself is uniform, whatever a and b. The evaluator gets
//! its two bits as it gets the halves, from one further bit of each hash and five bits z of the table in place of C and
//! G: they fulfil the same three relations. With x w + y for r: z_L = x + f_0 + h_0, z_R = y + g_0 + h_0,
//! z_0 = f_0 + f_1 + a, z_1 = g_0 + g_1 + b, z_2 = h_0 + h_1 + a + b.
//!
//! **Hash.** H_k(x) = AES_k(s) + s for s = sigma(x), of which the low half and one bit of the high half are used; a
//! key for each of the three hashes of each gate of each instance. What hides behind the hash are sums of halves
//! of Delta. sigma(x_L, x_R) = (X x_L, X x_R) over GF(2^64): as X is outside {0, 1}, the sum of X x_L and any of
//! 0, x_L, x_R, x_L + x_R takes every value for some x, so that an adversary who asks the inverse of the cipher learns of
//! AES_k(s) no more than it does with the orthomorphism of half-gates (the paper asks for an X outside F_4).

use super::{EvaluateGate, GarbleGate, TILE, mask};
use sci_core::hash::{CrHash, Tweak};
use sci_core::prg::SecretBlocks;
use sci_core::{Block, Prg};

/// Bytes of the three halves.
const HALVES_BYTES: usize = 24;

/// Bytes of one gate in `m` instances: the halves, then five planes of bits.
pub(super) fn table_bytes(m: usize) -> usize {
    HALVES_BYTES * m + 5 * m.div_ceil(8)
}

/// X x in GF(2^64) by X^64 + X^4 + X^3 + X + 1.
fn double(x: u64) -> u64 {
    x << 1 ^ (mask(x >> 63 != 0) & 0b11011)
}

/// The linear map under the hash.
fn sigma(Block([left, right]): Block) -> Block {
    Block([double(left), double(right)])
}

/// Sigma of A, B and A + B, instance by instance: first all of one, then of the next.
fn enter([a, b]: [&[Block]; 2], room: &mut [Block]) {
    let (of_a, rest) = room.split_at_mut(a.len());
    let (of_b, of_sum) = rest.split_at_mut(a.len());
    for (((a, b), s), (t, u)) in a.iter().zip(b).zip(of_a).zip(of_b.iter_mut().zip(of_sum)) {
        (*s, *t) = (sigma(*a), sigma(*b));
        *u = *s ^ *t;
    }
}

/// Where halves and bits of a gate are.
fn split(table: &mut [u8], m: usize) -> (&mut [[u8; HALVES_BYTES]], &mut [u8]) {
    let (halves, bits) = table.split_at_mut(HALVES_BYTES * m);
    (halves.as_chunks_mut().0, bits)
}

/// The garbler: with v = A + w^2 B and r = x w + y,
///
/// G_0 = f_0 + f_1 + (a + b) v_L + a v_R + B_L + (y + a + 1) Delta_L + (x + y + a + b) Delta_R,
/// G_1 = g_0 + g_1 + a v_L + b v_R + A_R + (x + y + a + b) Delta_L + (x + b + 1) Delta_R,
/// G_2 = h_0 + h_1 + b v_L + (a + b) v_R + (x + b) Delta_L + (y + a) Delta_R,
///
/// and the zero label of the output is (f_0 + h_0, g_0 + h_0) + r v + (B_L, A_R) + [a = b = 0] Delta.
pub(super) struct Garbler {
    hash: CrHash,
    inputs: SecretBlocks,
    pairs: SecretBlocks,
    dice: Prg,
}

impl Garbler {
    pub(super) fn new(start: Block, dice: Block) -> Self {
        let (inputs, pairs) = (SecretBlocks::zeros(3 * TILE), SecretBlocks::zeros(6 * TILE));
        Self { hash: CrHash::new(start), inputs, pairs, dice: Prg::new(dice) }
    }
}

impl GarbleGate for Garbler {
    fn garble(
        &mut self,
        tweak: Tweak,
        delta: Block,
        [a, b]: [&[Block]; 2],
        out: &mut [Block],
        table: &mut [u8],
    ) {
        let m = out.len();
        let inputs = &mut self.inputs[..3 * m];
        enter([a, b], inputs);
        let pairs = &mut self.pairs.as_chunks_mut::<2>().0[..3 * m];
        self.hash.hash_pairs(tweak, inputs, sigma(delta), pairs);
        let (of_a, rest) = pairs.split_at(m);
        let (of_b, of_sum) = rest.split_at(m);
        let dice = [self.dice.next_u64(), self.dice.next_u64()];
        let (halves, bits) = split(table, m);
        let mut planes = [0u64; 5];
        let labels = a.iter().zip(b).zip(of_a.iter().zip(of_b).zip(of_sum));
        for (i, ((labels, ((f, g), h)), (out, table))) in
            labels.zip(out.iter_mut().zip(halves)).enumerate()
        {
            let zero = [labels.0.lsb(), labels.1.lsb()];
            // Hashes of the labels of colour 0, then of both.
            let first = |pair: &[Block; 2], colour: bool| {
                pair[0] ^ (pair[0] ^ pair[1]).and_mask(mask(colour))
            };
            let (f0, g0, h0) = (first(f, zero[0]), first(g, zero[1]), first(h, zero[0] ^ zero[1]));
            let (f, g, h) = (f[0] ^ f[1], g[0] ^ g[1], h[0] ^ h[1]);
            let [x, y] = dice.map(|plane| plane >> i & 1 == 1);
            let (one_a, one_b) = (!zero[0], !zero[1]);
            let Block(a) = *labels.0 ^ delta.and_mask(mask(zero[0]));
            let Block(b) = *labels.1 ^ delta.and_mask(mask(zero[1]));
            let Block(d) = delta;
            let v = [a[0] ^ b[1], a[1] ^ b[0] ^ b[1]];
            let [ma, mb, mx, my] = [one_a, one_b, x, y].map(mask);
            let g_0 = f.0[0] ^ (ma ^ mb) & v[0] ^ ma & v[1] ^ b[0];
            let g_1 = g.0[0] ^ ma & v[0] ^ mb & v[1] ^ a[1];
            let g_2 = h.0[0] ^ mb & v[0] ^ (ma ^ mb) & v[1];
            let all = mx ^ my ^ ma ^ mb;
            let g_0 = g_0 ^ !(my ^ ma) & d[0] ^ all & d[1];
            let g_1 = g_1 ^ all & d[0] ^ !(mx ^ mb) & d[1];
            let g_2 = g_2 ^ (mx ^ mb) & d[0] ^ (my ^ ma) & d[1];
            for (half, bytes) in [g_0, g_1, g_2].into_iter().zip(table.as_chunks_mut::<8>().0) {
                *bytes = half.to_le_bytes();
            }
            let neither = mask(zero[0] & zero[1]);
            *out = Block([
                f0.0[0] ^ h0.0[0] ^ mx & (v[0] ^ v[1]) ^ my & v[0] ^ b[0] ^ neither & d[0],
                g0.0[0] ^ h0.0[0] ^ mx & v[0] ^ my & v[1] ^ a[1] ^ neither & d[1],
            ]);
            let z = [
                u64::from(x) ^ f0.0[1] ^ h0.0[1],
                u64::from(y) ^ g0.0[1] ^ h0.0[1],
                u64::from(one_a) ^ f.0[1],
                u64::from(one_b) ^ g.0[1],
                u64::from(one_a ^ one_b) ^ h.0[1],
            ];
            planes.iter_mut().zip(z).for_each(|(plane, z)| *plane |= (z & 1) << i);
        }
        let bytes = m.div_ceil(8);
        for (plane, out) in planes.iter().zip(bits.chunks_exact_mut(bytes.max(1))) {
            out.copy_from_slice(&plane.to_le_bytes()[..bytes]);
        }
    }
}

/// The evaluator.
pub(super) struct Evaluator {
    hash: CrHash,
    hashes: SecretBlocks,
}

impl Evaluator {
    pub(super) fn new(start: Block) -> Self {
        Self { hash: CrHash::new(start), hashes: SecretBlocks::zeros(3 * TILE) }
    }
}

impl EvaluateGate for Evaluator {
    fn evaluate(&mut self, tweak: Tweak, [a, b]: [&[Block]; 2], out: &mut [Block], table: &[u8]) {
        let m = out.len();
        let hashes = &mut self.hashes[..3 * m];
        enter([a, b], hashes);
        self.hash.hash_in_place(tweak, hashes);
        let (of_a, rest) = hashes.split_at(m);
        let (of_b, of_sum) = rest.split_at(m);
        let (halves, bits) = table.split_at(HALVES_BYTES * m);
        let mut planes = [0u64; 5];
        let bytes = m.div_ceil(8);
        for (plane, bits) in planes.iter_mut().zip(bits.chunks_exact(bytes.max(1))) {
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(bits);
            *plane = u64::from_le_bytes(word);
        }
        let labels = a.iter().zip(b).zip(of_a.iter().zip(of_b).zip(of_sum));
        let tables = halves.as_chunks::<HALVES_BYTES>().0;
        for (at, (((a, b), ((f, g), h)), (out, table))) in
            labels.zip(out.iter_mut().zip(tables)).enumerate()
        {
            let [i, j] = [a.lsb(), b.lsb()].map(mask);
            let [z_left, z_right, z_0, z_1, z_2] = planes.map(|plane| plane >> at);
            let common = h.0[1] ^ (i ^ j) & z_2;
            let x = mask((z_left ^ f.0[1] ^ common ^ i & z_0) & 1 == 1);
            let y = mask((z_right ^ g.0[1] ^ common ^ j & z_1) & 1 == 1);
            let halves = table.as_chunks::<8>().0;
            let [g_0, g_1, g_2] = [0, 1, 2].map(|k| u64::from_le_bytes(halves[k]));
            let common = h.0[0] ^ (i ^ j) & g_2;
            let v = [a.0[0] ^ b.0[1], a.0[1] ^ b.0[0] ^ b.0[1]];
            *out = Block([
                f.0[0] ^ common ^ i & g_0 ^ x & (v[0] ^ v[1]) ^ y & v[0] ^ !i & b.0[0],
                g.0[0] ^ common ^ j & g_1 ^ x & v[0] ^ y & v[1] ^ !j & a.0[1],
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_is_that_of_a_field() {
        // X has no order that divides 3 (it is outside F_4), and its 64th power is the rest of the polynomial.
        assert_eq!((0..64).fold(1, |x, _| double(x)), 0b11011);
        assert_ne!(double(double(1)) ^ double(1) ^ 1, 0);
        // Linear.
        let mut prg = Prg::new(Block::from(3));
        for _ in 0..100 {
            let (x, y) = (prg.next_u64(), prg.next_u64());
            assert_eq!(double(x) ^ double(y), double(x ^ y));
        }
    }

    /// The dice and the table by the definition: a hash that is nothing leaves the linear part, which must hold of
    /// all four pairs of colours by itself.
    #[test]
    fn the_relations_of_the_dice_hold() {
        let omega = |[l, r]: [u64; 2]| [l ^ r, l];
        let add = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a ^ c, b ^ d];
        let times = |[x, y]: [bool; 2], v: [u64; 2]| {
            let w = omega(v);
            [mask(x) & w[0] ^ mask(y) & v[0], mask(x) & w[1] ^ mask(y) & v[1]]
        };
        let mut prg = Prg::new(Block::from(4));
        for case in 0..64u32 {
            let [a, b, x, y] = [0, 1, 2, 3].map(|k| case >> k & 1 == 1);
            let mut draw = || [prg.next_u64(), prg.next_u64()];
            let (la, lb, delta) = (draw(), draw(), draw());
            // What the evaluator adds for colours i, j beside hashes and G, less what it shall come to.
            let rest = |i: bool, j: bool| {
                let (ai, bj) =
                    (add(la, delta.map(|d| mask(i) & d)), add(lb, delta.map(|d| mask(j) & d)));
                let dice = match (i, j) {
                    (false, false) => [x, y],
                    (false, true) => [x ^ a ^ b, y ^ a],
                    (true, false) => [x ^ b, y ^ a ^ b],
                    (true, true) => [x ^ a, y ^ b],
                };
                let sum = add(ai, omega(omega(bj)));
                let single = [mask(!i) & bj[0], mask(!j) & ai[1]];
                let target = delta.map(|d| mask((i, j) == (a, b)) & d);
                add(add(times(dice, sum), single), target)
            };
            let [u00, u01, u10, u11] = [(false, false), (false, true), (true, false), (true, true)]
                .map(|(i, j)| rest(i, j));
            assert_eq!(add(add(u00, u01), add(u10, u11)), [0, 0], "{case}");
            assert_eq!(u00[0] ^ u01[0], u00[1] ^ u10[1], "{case}");
        }
    }

    /// Over many garblings of one gate the evaluator's dice are uniform, whichever colours are active.
    #[test]
    fn dice_are_uniform_whatever_the_labels() {
        let mut garbler = Garbler::new(Block::from(5), Block::from(6));
        let hash = CrHash::new(Block::from(5));
        let delta = Block([7 << 8 | 1, 9]);
        for colours in 0..4u64 {
            let (a, b) = ([Block([colours & 1, 11]); 64], [Block([colours >> 1, 12]); 64]);
            let mut counts = [0u32; 4];
            for call in 0..64 {
                let tweak = Tweak::new(colours, 1000 * call);
                let (mut out, mut table) = (vec![Block::ZERO; 64], vec![0; table_bytes(64)]);
                garbler.garble(tweak, delta, [&a, &b], &mut out, &mut table);
                // Of the zero labels, whose colours are i and j.
                let mut hashes = vec![Block::ZERO; 192];
                enter([&a, &b], &mut hashes);
                hash.hash_in_place(tweak, &mut hashes);
                let bits = &table[HALVES_BYTES * 64..];
                for at in 0..64 {
                    let z = |k: usize| u64::from(bits[8 * k + at / 8]) >> (at % 8) & 1;
                    let [f, g, h] = [0, 1, 2].map(|k| hashes[64 * k + at].0[1] & 1);
                    let (i, j) = (colours & 1, colours >> 1);
                    let x = z(0) ^ f ^ h ^ i & z(2) ^ (i ^ j) & z(4);
                    let y = z(1) ^ g ^ h ^ j & z(3) ^ (i ^ j) & z(4);
                    counts[(2 * x + y) as usize] += 1;
                }
            }
            // 4096 draws in 4 classes: chi-squared with 3 degrees of freedom exceeds 35 with probability below 10^-6.
            let squares: i64 = counts.iter().map(|&c| (i64::from(c) - 1024).pow(2)).sum();
            assert!(squares / 1024 < 35, "{counts:?}");
        }
    }
}
