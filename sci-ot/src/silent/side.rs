//! The two roles in a round: how each gets its bootstrap, what travels, what it keeps of a tree.

mod receiver;
mod sender;

pub(super) use receiver::ReceiverSide;
pub(super) use sender::SenderSide;

use super::Set;
use super::tree::Scratch;
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::SecretBlocks;
use sci_core::{Block, Error, Result};
use std::ops::Range;

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

/// The IKNP extension that a side starts from, until it needs it no more.
struct Bootstrap<E>(Option<E>);

impl<E> Bootstrap<E> {
    fn extension(&mut self) -> Result<&mut E> {
        self.0.as_mut().ok_or_else(|| Error::misuse("the bootstrap of silent OT after its end"))
    }

    fn end(&mut self) {
        self.0 = None;
    }
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
