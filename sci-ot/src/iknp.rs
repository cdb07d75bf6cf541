//! Correlated OT by extension (Ishai, Kilian, Nissim, Petrank, CRYPTO 2003), with pads from the
//! re-keyed correlation-robust hash.
//!
//! **Functionality.** For each instance j the sender learns pads H_j(q_j) and H_j(q_j xor delta), the
//! receiver with choice c_j just the one of c_j. **Cost.** 128 bits per instance from receiver to
//! sender, one flight. **Assumption.** AES-CTR as a generator; H circular-free correlation robust with
//! one key per instance (Guo, Katz, Wang, Weng, Yu, eprint 2019/1168).

use crate::chosen::{CotReceiver, CotSender};
use crate::extension::{Code, ExtensionReceiver, ExtensionSender, SenderSeeds, wire_len};
use sci_core::channel::Stream;
use sci_core::hash::{CrHash, Tweak};
use sci_core::prg::ColumnPrgs;
use sci_core::{Bits, Block, Result};
use std::sync::Arc;

/// Payload bytes of `n` instances, from receiver to sender.
pub fn extension_bytes(n: usize) -> u64 {
    wire_len(n, Code::Repetition)
}

/// Counts instances over the life of a lane, so that no tweak serves twice.
#[derive(Default)]
pub(crate) struct Counter {
    lane: u64,
    base: u64,
    latest: u64,
}

impl Counter {
    pub(crate) fn new(lane: u64) -> Self {
        Self { lane, ..Self::default() }
    }

    /// Starts an extension of `n` instances.
    pub(crate) fn advance(&mut self, n: usize) {
        self.base += self.latest;
        self.latest = n as u64;
    }

    /// The tweak of instance `i` of the latest extension.
    pub(crate) fn tweak(&self, i: usize) -> Tweak {
        debug_assert!((i as u64) <= self.latest);
        Tweak((u128::from(self.lane) << 64) | u128::from(self.base + i as u64))
    }
}

/// The sender.
pub struct IknpSender {
    extension: ExtensionSender,
    hash: Arc<CrHash>,
    counter: Counter,
}

impl IknpSender {
    pub(crate) fn new(seeds: Arc<SenderSeeds>, hash: Arc<CrHash>, lane: u64) -> Self {
        let extension = ExtensionSender::new(Code::Repetition, seeds, lane);
        Self { extension, hash, counter: Counter::new(lane) }
    }
}

impl CotSender for IknpSender {
    fn extend_cot(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.counter.advance(n);
        self.extension.extend(stream, n)
    }

    fn cot_pads(&self, first: usize, out: &mut [[Block; 2]]) {
        let rows = &self.extension.blocks()[first..first + out.len()];
        let delta = self.extension.seeds().delta_block(0);
        self.hash.hash_pairs(self.counter.tweak(first), rows, delta, out);
    }
}

/// The receiver.
pub struct IknpReceiver {
    extension: ExtensionReceiver,
    hash: Arc<CrHash>,
    counter: Counter,
}

impl IknpReceiver {
    pub(crate) fn new(seeds: Arc<[ColumnPrgs; 2]>, hash: Arc<CrHash>, lane: u64) -> Self {
        let extension = ExtensionReceiver::new(Code::Repetition, seeds, lane);
        Self { extension, hash, counter: Counter::new(lane) }
    }
}

impl CotReceiver for IknpReceiver {
    fn extend_cot(&mut self, stream: &mut Stream, choices: &Bits) -> Result<()> {
        self.counter.advance(choices.len());
        self.extension.extend(stream, choices.len(), std::slice::from_ref(choices))
    }

    fn cot_pads(&self, first: usize, out: &mut [Block]) {
        let rows = &self.extension.blocks()[first..first + out.len()];
        self.hash.hash(self.counter.tweak(first), rows, out);
    }
}
