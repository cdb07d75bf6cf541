//! Correlated GGM trees and the single-point COTs that they are (half-tree; Guo, Yang, Wang, Zhang, Xie,
//! Liu, Zhao, eprint 2022/1431, section 4).
//!
//! **Functionality.** With a secret Delta, LSB(Delta) = 1, the sender gets w in (F_2^128)^(2^h) and the receiver
//! v and alpha with v_j = w_j for j != alpha and v_alpha = w_alpha xor Delta; all LSB(w_j) = 0, so
//! that LSB(v) is the unit vector of alpha.
//!
//! **Protocol.** The children of the root are r and r xor Delta for a random r, those of any other node x are
//! H(x) and x xor H(x). Hence the nodes of every level have the XOR Delta, and the XORs of the
//! left and of the right ones, K_0 and K_1 = K_0 xor Delta, differ by it as well. A base COT with key q and choice c (the
//! receiver has q xor c Delta) carries K_c over with one block: the sender sends K_0 xor q, the
//! receiver adds its own. Its path goes to the other side, alpha_i = 1 xor c_i, at every level: so it knows
//! all siblings of the path and all leaves but one, which is the XOR of all others with Delta.
//! One block a level and tree travels, and nothing for the leaves. The lowest bit of all leaves is
//! cleared at the end, the one of v_alpha set.
//!
//! Several trees of one depth grow together, their nodes side by side, so that the cipher is
//! busy from the first level on. The receiver keeps zero for the unknown node of each level and
//! puts right what followed from it by masks over the whole level: no address and no branch depends
//! on alpha.

use sci_core::Block;
use sci_core::hash::TreeHash;
use sci_core::prg::{SecretBlocks, wipe};

/// All bits but the lowest.
const NOT_LSB: Block = Block([!1, u64::MAX]);

/// The inner levels of a few trees.
pub(super) struct Scratch {
    nodes: [SecretBlocks; 2],
}

impl Scratch {
    /// For trees of together `leaves` leaves.
    pub(super) fn new(leaves: usize) -> Self {
        let half = || SecretBlocks::zeros(leaves / 2);
        Self { nodes: [half(), half()] }
    }
}

/// Grows `trees` trees from their first level, which is in the scratch, into `leaves`; `level(i, nodes)`
/// sees and may change each level i from 2 on, the trees one after the other.
fn grow(
    hash: &TreeHash,
    trees: usize,
    depth: u32,
    scratch: &mut Scratch,
    leaves: &mut [Block],
    mut level: impl FnMut(u32, &mut [Block]),
) {
    let [nodes, next] = &mut scratch.nodes;
    for i in 2..depth {
        let children = &mut next[..trees << i];
        hash.double(&nodes[..trees << (i - 1)], children.as_chunks_mut().0);
        level(i, children);
        std::mem::swap(nodes, next);
    }
    hash.double(&nodes[..trees << (depth - 1)], leaves.as_chunks_mut().0);
    level(depth, leaves);
}

fn left_sum(nodes: &[Block]) -> Block {
    let mut sums = [Block::ZERO; 2];
    let (quads, rest) = nodes.as_chunks::<4>();
    for quad in quads {
        sums[0] ^= quad[0];
        sums[1] ^= quad[2];
    }
    for pair in rest.as_chunks::<2>().0 {
        sums[0] ^= pair[0];
    }
    sums[0] ^ sums[1]
}

/// The sender's leaves w of the trees with the given roots, and, if asked, K_0 of every level: tree by
/// tree, top level first. The depth is at least 2.
pub(super) fn expand(
    hash: &TreeHash,
    delta: Block,
    roots: &[Block],
    depth: u32,
    scratch: &mut Scratch,
    leaves: &mut [Block],
    mut sums: Option<&mut [Block]>,
) {
    for (pair, root) in scratch.nodes[0].as_chunks_mut::<2>().0.iter_mut().zip(roots) {
        *pair = [*root, *root ^ delta];
    }
    if let Some(sums) = &mut sums {
        for (tree, root) in sums.chunks_exact_mut(depth as usize).zip(roots) {
            tree[0] = *root;
        }
    }
    grow(hash, roots.len(), depth, scratch, leaves, |i, nodes| {
        if let Some(sums) = &mut sums {
            let trees = nodes.chunks_exact(1 << i);
            for (sums, nodes) in sums.chunks_exact_mut(depth as usize).zip(trees) {
                sums[i as usize - 1] = left_sum(nodes);
            }
        }
    });
    for leaf in leaves {
        leaf.0[0] &= !1;
    }
}

/// What the receiver knows of a few trees.
pub(super) struct Punctured<'a> {
    /// K_c of every level, tree by tree, top level first.
    pub(super) sums: &'a [Block],
    /// alpha of every tree.
    pub(super) points: &'a [u32],
    /// H(0).
    pub(super) hash_of_zero: Block,
}

/// The receiver's leaves v.
pub(super) fn expand_punctured(
    hash: &TreeHash,
    known: &Punctured<'_>,
    depth: u32,
    scratch: &mut Scratch,
    leaves: &mut [Block],
) {
    let garbage = known.hash_of_zero;
    let tree_sums = || known.sums.chunks_exact(depth as usize);
    let turn = |point: u32, i: u32| u64::from(point >> (depth - i) & 1);
    // The XOR of all nodes of a level, the unknown one counting as zero.
    let mut totals: Vec<Block> = tree_sums().map(|sums| sums[0]).collect();
    let first = scratch.nodes[0].as_chunks_mut::<2>().0.iter_mut();
    for ((pair, sums), point) in first.zip(tree_sums()).zip(known.points) {
        let goes_right = turn(*point, 1).wrapping_neg();
        *pair = [sums[0].and_mask(goes_right), sums[0].and_mask(!goes_right)];
    }
    grow(hash, known.points.len(), depth, scratch, leaves, |i, nodes| {
        let trees = nodes.chunks_exact_mut(1 << i).zip(tree_sums()).zip(&mut totals);
        for (((nodes, sums), total), point) in trees.zip(known.points) {
            // Both children of the unknown node have become H(0). The sibling is what the sum of
            // its side lacks, and the node on the path is zero again.
            let goes_right = turn(*point, i).wrapping_neg();
            let left = left_sum(nodes);
            let side = left ^ total.and_mask(!goes_right);
            let mut sibling = sums[i as usize - 1] ^ side;
            let mut path = garbage;
            *total ^= sibling ^ garbage;
            let mut keep = Block::ONES;
            if i == depth {
                keep = NOT_LSB;
                sibling = sibling & NOT_LSB;
                path = ((garbage ^ *total) & NOT_LSB) ^ Block([1, 0]);
            }
            let swap = (sibling ^ path).and_mask(goes_right);
            // The path to the right: the sibling is the left child.
            let change = [path ^ swap, sibling ^ swap];
            let parent = u64::from(*point) >> (depth - i + 1);
            for (place, pair) in (0u64..).zip(nodes.as_chunks_mut::<2>().0) {
                let here = u64::from(place == parent).wrapping_neg();
                pair[0] = (pair[0] & keep) ^ change[0].and_mask(here);
                pair[1] = (pair[1] & keep) ^ change[1].and_mask(here);
            }
        }
    });
    wipe(&mut totals);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Prg;

    /// H by its definition, one node at a time.
    fn hash_one(hash: &TreeHash, x: Block) -> Block {
        let mut pair = [[Block::ZERO; 2]];
        hash.double(&[x], &mut pair);
        pair[0][0]
    }

    /// A leaf by walking down from the root.
    fn leaf(hash: &TreeHash, delta: Block, root: Block, depth: u32, index: usize) -> Block {
        let mut node = if index >> (depth - 1) & 1 == 0 { root } else { root ^ delta };
        for i in (0..depth - 1).rev() {
            let left = hash_one(hash, node);
            node = if index >> i & 1 == 0 { left } else { left ^ node };
        }
        node
    }

    #[test]
    fn both_sides_agree_with_the_naive_tree() {
        let hash = TreeHash::new(Block::from(1));
        for depth in [2, 3, 5, 8] {
            let mut prg = Prg::new(Block::from(u128::from(depth)));
            let (trees, width) = (3usize, 1usize << depth);
            let delta = prg.next_block() & NOT_LSB ^ Block::from(1);
            let mut roots = vec![Block::ZERO; trees];
            prg.fill_blocks(&mut roots);
            let mut scratch = Scratch::new(trees * width);
            let mut w = vec![Block::ZERO; trees * width];
            let mut sums = vec![Block::ZERO; trees * depth as usize];
            expand(&hash, delta, &roots, depth, &mut scratch, &mut w, Some(&mut sums));
            for (t, root) in roots.iter().enumerate() {
                let mut total = Block::ZERO;
                for j in 0..width {
                    let raw = leaf(&hash, delta, *root, depth, j);
                    total ^= raw;
                    assert!(w[t * width + j] == raw & NOT_LSB, "tree {t}, leaf {j}");
                }
                assert!(total == delta);
            }
            // Every point, in every tree.
            for alpha in 0..width as u32 {
                let points: Vec<u32> =
                    (0..trees as u32).map(|t| (alpha + t) % width as u32).collect();
                let mut known = sums.clone();
                for (tree, point) in known.chunks_mut(depth as usize).zip(&points) {
                    for (i, sum) in tree.iter_mut().enumerate() {
                        // The other side than the path's: right if the path goes left.
                        if point >> (depth as usize - 1 - i) & 1 == 0 {
                            *sum ^= delta;
                        }
                    }
                }
                let hash_of_zero = hash_one(&hash, Block::ZERO);
                let known = Punctured { sums: &known, points: &points, hash_of_zero };
                let mut v = vec![Block::ZERO; trees * width];
                expand_punctured(&hash, &known, depth, &mut scratch, &mut v);
                for (t, point) in points.iter().enumerate() {
                    for j in 0..width {
                        let at = t * width + j;
                        let hit = j as u32 == *point;
                        assert_eq!(v[at].lsb(), hit);
                        assert!(v[at] == if hit { w[at] ^ delta } else { w[at] }, "{t} {j}");
                    }
                }
            }
        }
    }
}
