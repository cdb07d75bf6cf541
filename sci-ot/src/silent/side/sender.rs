//! The sender: it has Delta and the roots of all trees, and grows each once more for its sums.

use super::super::tree::expand;
use super::{Bootstrap, FRAME_TREES, Set, Side, Work, batch_trees};
use crate::extension::ExtensionSender;
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::{SecretBlocks, as_bytes};
use sci_core::{Block, Prg, Result};
use std::ops::Range;
use zeroize::Zeroize;

/// The sender.
pub(in crate::silent) struct SenderSide {
    delta: Block,
    bootstrap: Bootstrap<ExtensionSender>,
    prg: Prg,
    roots: SecretBlocks,
}

impl SenderSide {
    /// The lowest bit of `delta` must be set.
    pub(in crate::silent) fn new(extension: ExtensionSender, prg: Prg) -> Self {
        let delta = extension.seeds().delta_block(0);
        Self { delta, bootstrap: Bootstrap(Some(extension)), prg, roots: SecretBlocks::default() }
    }

    pub(in crate::silent) fn delta(&self) -> Block {
        self.delta
    }
}

impl Side for SenderSide {
    fn bootstrap(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        let extension = self.bootstrap.extension()?;
        extension.extend(stream, out.len())?;
        // The receiver has q xor c Delta: with its lowest bit as choice, the key is q or q xor Delta,
        // whichever has lowest bit 0.
        for (out, q) in out.iter_mut().zip(extension.blocks()) {
            *out = *q ^ self.delta.and_mask(u64::from(q.lsb()).wrapping_neg());
        }
        Ok(())
    }

    fn end_bootstrap(&mut self) {
        self.bootstrap.end();
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
