//! The receiver: it has a place in every tree and the sums that give it all leaves but that one.

use super::super::tree::{Punctured, expand_punctured};
use super::{Bootstrap, FRAME_TREES, Set, Side, Work};
use crate::extension::ExtensionReceiver;
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::{SecretBlocks, as_bytes_mut};
use sci_core::{Bits, Block, Prg, Result};
use std::ops::Range;
use zeroize::Zeroize;

/// The receiver.
pub(in crate::silent) struct ReceiverSide {
    bootstrap: Bootstrap<ExtensionReceiver>,
    prg: Prg,
    /// The known sum of every level, tree by tree.
    sums: SecretBlocks,
    /// The noise: the place of every tree.
    points: Vec<u32>,
    hash_of_zero: Block,
}

impl ReceiverSide {
    pub(in crate::silent) fn new(extension: ExtensionReceiver, prg: Prg) -> Self {
        Self {
            bootstrap: Bootstrap(Some(extension)),
            prg,
            sums: SecretBlocks::default(),
            points: Vec::new(),
            hash_of_zero: Block::ZERO,
        }
    }
}

impl Side for ReceiverSide {
    fn bootstrap(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        let extension = self.bootstrap.extension()?;
        let choices = Bits::sample(out.len(), &mut self.prg);
        extension.extend(stream, out.len(), std::slice::from_ref(&choices))?;
        out.copy_from_slice(&extension.blocks()[..out.len()]);
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
