//! The two roles in a round: how each gets its bootstrap, what travels, what it keeps of a tree.

use super::Set;
use super::tree::{Punctured, Scratch, expand, expand_punctured};
use crate::extension::{ExtensionReceiver, ExtensionSender};
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::{SecretBlocks, as_bytes, as_bytes_mut};
use sci_core::{Bits, Block, Error, Prg, Result};
use std::ops::Range;
use zeroize::Zeroize;

/// Trees whose sums travel in one frame: the receiver works on one while the sender makes the next.
const FRAME_TREES: usize = 128;

/// A role.
pub(super) trait Side: Send {
    /// `out.len()` random correlated OTs by IKNP, normalised: the choice is the receiver's lowest bit.
    fn bootstrap(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()>;

    /// There will be no further bootstrap.
    fn end_bootstrap(&mut self);

    /// Starts the trees of a round from `base`, `set.tree_cots()` correlated OTs. One flight, from
    /// sender to receiver.
    fn plant(
        &mut self,
        stream: &mut Stream,
        set: Set,
        hash: &TreeHash,
        base: &[Block],
        work: &mut Work,
    ) -> Result<()>;

    /// The leaves of some trees of the round.
    fn grow(
        &self,
        set: Set,
        hash: &TreeHash,
        trees: Range<usize>,
        work: &mut Work,
        out: &mut [Block],
    );
}

fn ended() -> Error {
    Error::misuse("the bootstrap of silent OT after its end")
}

/// Outputs that are made at once: whole trees, which stay in the second cache level.
pub(super) const BATCH: usize = 1 << 13;

/// How many trees of a set are grown together.
pub(super) fn batch_trees(set: Set) -> usize {
    (BATCH >> set.depth).max(1)
}

/// Memory for a batch of trees.
pub(super) struct Work {
    scratch: Scratch,
    leaves: SecretBlocks,
}

impl Work {
    pub(super) fn new() -> Self {
        Self { scratch: Scratch::new(BATCH), leaves: SecretBlocks::zeros(BATCH) }
    }
}

/// The sender.
pub(super) struct SenderSide {
    delta: Block,
    extension: Option<ExtensionSender>,
    prg: Prg,
    roots: SecretBlocks,
}

impl SenderSide {
    /// The lowest bit of `delta` must be set.
    pub(super) fn new(extension: ExtensionSender, prg: Prg) -> Self {
        let delta = extension.seeds().delta_block(0);
        Self { delta, extension: Some(extension), prg, roots: SecretBlocks::default() }
    }

    pub(super) fn delta(&self) -> Block {
        self.delta
    }
}

impl Side for SenderSide {
    fn bootstrap(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        let extension = self.extension.as_mut().ok_or_else(ended)?;
        extension.extend(stream, out.len())?;
        // The receiver has q xor c Delta: with its lowest bit as choice, the key is q or q xor Delta,
        // whichever has lowest bit 0.
        for (out, q) in out.iter_mut().zip(extension.blocks()) {
            *out = *q ^ self.delta.and_mask(u64::from(q.lsb()).wrapping_neg());
        }
        Ok(())
    }

    fn end_bootstrap(&mut self) {
        self.extension = None;
    }

    fn plant(
        &mut self,
        stream: &mut Stream,
        set: Set,
        hash: &TreeHash,
        base: &[Block],
        work: &mut Work,
    ) -> Result<()> {
        let depth = set.depth as usize;
        self.roots = SecretBlocks::zeros(set.trees);
        self.prg.fill_blocks(&mut self.roots);
        for (roots, keys) in self.roots.chunks(FRAME_TREES).zip(base.chunks(FRAME_TREES * depth)) {
            let mut sums = vec![Block::ZERO; roots.len() * depth];
            let batch = batch_trees(set);
            for (roots, sums) in roots.chunks(batch).zip(sums.chunks_mut(batch * depth)) {
                let leaves = &mut work.leaves[..roots.len() << depth];
                let scratch = &mut work.scratch;
                expand(hash, self.delta, roots, set.depth, scratch, leaves, Some(sums));
            }
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum ^= *key;
            }
            stream.send(as_bytes(&sums))?;
        }
        Ok(())
    }

    fn grow(
        &self,
        set: Set,
        hash: &TreeHash,
        trees: Range<usize>,
        work: &mut Work,
        out: &mut [Block],
    ) {
        let roots = &self.roots[trees];
        expand(hash, self.delta, roots, set.depth, &mut work.scratch, out, None);
    }
}

impl Drop for SenderSide {
    fn drop(&mut self) {
        self.delta.zeroize();
    }
}

/// The receiver.
pub(super) struct ReceiverSide {
    extension: Option<ExtensionReceiver>,
    prg: Prg,
    /// The known sum of every level, tree by tree.
    sums: SecretBlocks,
    /// The noise: the place of every tree.
    points: Vec<u32>,
    hash_of_zero: Block,
}

impl ReceiverSide {
    pub(super) fn new(extension: ExtensionReceiver, prg: Prg) -> Self {
        Self {
            extension: Some(extension),
            prg,
            sums: SecretBlocks::default(),
            points: Vec::new(),
            hash_of_zero: Block::ZERO,
        }
    }
}

impl Side for ReceiverSide {
    fn bootstrap(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        let extension = self.extension.as_mut().ok_or_else(ended)?;
        let choices = Bits::sample(out.len(), &mut self.prg);
        extension.extend(stream, out.len(), std::slice::from_ref(&choices))?;
        out.copy_from_slice(&extension.blocks()[..out.len()]);
        Ok(())
    }

    fn end_bootstrap(&mut self) {
        self.extension = None;
    }

    fn plant(
        &mut self,
        stream: &mut Stream,
        set: Set,
        hash: &TreeHash,
        base: &[Block],
        _work: &mut Work,
    ) -> Result<()> {
        let depth = set.depth as usize;
        self.sums = SecretBlocks::zeros(set.tree_cots());
        for (sums, keys) in
            self.sums.chunks_mut(FRAME_TREES * depth).zip(base.chunks(FRAME_TREES * depth))
        {
            let frame = stream.recv("sums of OT trees", size_of_val(sums))?;
            as_bytes_mut(sums).copy_from_slice(&frame);
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum ^= *key;
            }
        }
        self.points.zeroize();
        self.points.extend(base.chunks_exact(depth).map(|choices| {
            choices.iter().fold(0, |point, choice| point << 1 | u32::from(!choice.lsb()))
        }));
        let mut pair = [[Block::ZERO; 2]];
        hash.double(&[Block::ZERO], &mut pair);
        self.hash_of_zero = pair[0][0];
        Ok(())
    }

    fn grow(
        &self,
        set: Set,
        hash: &TreeHash,
        trees: Range<usize>,
        work: &mut Work,
        out: &mut [Block],
    ) {
        let depth = set.depth as usize;
        let known = Punctured {
            sums: &self.sums[trees.start * depth..trees.end * depth],
            points: &self.points[trees],
            hash_of_zero: self.hash_of_zero,
        };
        expand_punctured(hash, &known, set.depth, &mut work.scratch, out);
    }
}

impl Drop for ReceiverSide {
    fn drop(&mut self) {
        self.points.zeroize();
    }
}
