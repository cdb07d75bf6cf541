//! A supply of random correlated OTs that refills itself: the same for both roles.

use super::lpn::Matrix;
use super::memory::Table;
use super::side::{BATCH, Side, Work, batch_trees};
use super::{Growth, LAYER, Set};
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::SecretBlocks;
use sci_core::session::{Phase, Recorder, Totals};
use sci_core::{Block, Prg, Result};
use std::ops::Range;
use std::time::Instant;

/// The public seeds of a direction.
#[derive(Clone, Copy)]
pub(crate) struct Seeds {
    /// Of the keys of the tree hash.
    pub(crate) trees: Block,
    /// Of the matrices.
    pub(crate) matrices: Block,
}

/// Where expansion is counted.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) recorder: Recorder,
    /// Cores of this party, which its lanes share.
    pub(crate) threads: usize,
}

/// Random correlated OTs: keys K of the sender, K xor b Delta of the receiver, b its lowest bit.
pub(super) struct Pool<S> {
    side: S,
    lane: u64,
    seeds: Seeds,
    growth: Growth,
    meter: Meter,
    round: Option<Round>,
    rounds: u32,
    chain: u32,
    served: u64,
    work: Work,
    /// Outputs of a batch that is partly used: those in `unused` are left.
    ready: SecretBlocks,
    unused: Range<usize>,
}

/// The trees and the table of a round.
struct Round {
    set: Set,
    hash: TreeHash,
    table: Table,
    matrix: Matrix,
    next_tree: usize,
    /// Where the trees begin that are the base of the next round.
    reserve: usize,
}

impl Round {
    /// The next trees of the round, encoded, as many as `out` holds.
    fn encode<S: Side>(&mut self, side: &S, work: &mut Work, out: &mut [Block]) {
        let batch = batch_trees(self.set);
        for out in out.chunks_mut(batch << self.set.depth) {
            let trees = self.next_tree..self.next_tree + (out.len() >> self.set.depth);
            self.next_tree = trees.end;
            side.grow(self.set, &self.hash, trees, work, out);
            self.matrix.accumulate(&self.table, out);
        }
    }

    fn trees_left(&self) -> usize {
        self.reserve - self.next_tree
    }
}

impl<S: Side> Pool<S> {
    pub(super) fn new(side: S, lane: u64, seeds: Seeds, growth: Growth, meter: Meter) -> Self {
        Self {
            side,
            lane,
            seeds,
            growth,
            meter,
            round: None,
            rounds: 0,
            chain: 0,
            served: 0,
            work: Work::new(),
            ready: SecretBlocks::default(),
            unused: 0..0,
        }
    }

    pub(super) fn side(&self) -> &S {
        &self.side
    }

    /// The next `out.len()` correlated OTs. Both parties must take the same numbers in the same order, at
    /// the same points of the protocol.
    pub(super) fn take(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        if out.len() <= self.unused.len() {
            self.take_ready(out);
            return Ok(());
        }
        let (start, before) = (Instant::now(), stream.traffic());
        let depth = stream.suspend_depth();
        let taken = self.make(stream, out);
        self.chain = self.chain.max(stream.restore_depth(depth));
        let after = stream.traffic();
        let part = Totals {
            bytes_sent: after.payload_sent - before.payload_sent,
            bytes_received: after.payload_received - before.payload_received,
            rounds: self.chain,
            seconds: start.elapsed().as_secs_f64() / self.meter.threads.max(1) as f64,
        };
        self.meter.recorder.attribute(LAYER, "expansion", Phase::Offline, &part);
        taken
    }

    fn take_ready(&mut self, out: &mut [Block]) {
        let start = self.unused.start;
        out.copy_from_slice(&self.ready[start..start + out.len()]);
        self.unused.start += out.len();
        self.served += out.len() as u64;
    }

    fn make(&mut self, stream: &mut Stream, mut out: &mut [Block]) -> Result<()> {
        loop {
            let at_hand = self.unused.len().min(out.len());
            let (now, later) = out.split_at_mut(at_hand);
            self.take_ready(now);
            out = later;
            if out.is_empty() {
                return Ok(());
            }
            match &mut self.round {
                None if self.growth.iknp_serves(self.served, out.len()) => {
                    // Whole blocks of rows: a ragged end costs more than it saves.
                    let rows = out.len().next_multiple_of(128);
                    self.ready.grow(rows);
                    self.side.bootstrap(stream, &mut self.ready[..rows])?;
                    self.unused = 0..rows;
                }
                Some(round) if round.trees_left() > 0 => {
                    let depth = round.set.depth;
                    let whole = (out.len() >> depth).min(round.trees_left());
                    let (now, later) = out.split_at_mut(whole << depth);
                    round.encode(&self.side, &mut self.work, now);
                    self.served += now.len() as u64;
                    out = later;
                    let trees = batch_trees(round.set).min(round.trees_left());
                    if !out.is_empty() && trees > 0 {
                        self.unused = 0..trees << depth;
                        self.ready.grow(self.unused.end);
                        let ready = &mut self.ready[self.unused.clone()];
                        round.encode(&self.side, &mut self.work, ready);
                    }
                }
                _ => self.next_round(stream)?,
            }
        }
    }

    fn next_round(&mut self, stream: &mut Stream) -> Result<()> {
        let set = self.growth.set(self.rounds);
        let next = self.growth.set(self.rounds + 1);
        let mut table = Table::new(set.dimension());
        let mut base = SecretBlocks::zeros(set.tree_cots());
        match self.round.take() {
            None => {
                self.side.bootstrap(stream, &mut table)?;
                self.side.bootstrap(stream, &mut base)?;
                self.side.end_bootstrap();
            }
            Some(mut round) => {
                round.reserve = round.set.trees;
                self.harvest(&mut round, [&mut table, &mut base]);
            }
        }
        // One stream of each generator for every round of every lane.
        let path = self.lane << 32 | u64::from(self.rounds);
        let hash = TreeHash::new(Prg::with_stream(self.seeds.trees, path).next_block());
        self.side.plant(stream, set, &hash, &base, &mut self.work)?;
        self.rounds += 1;
        self.round = Some(Round {
            set,
            hash,
            table,
            matrix: Matrix::new(self.seeds.matrices, path),
            next_tree: 0,
            reserve: set.usable_trees(next),
        });
        Ok(())
    }

    /// The outputs of the last trees of a round, in order, into the given places.
    fn harvest(&mut self, round: &mut Round, places: [&mut [Block]; 2]) {
        let mut batch = SecretBlocks::zeros(BATCH);
        let mut unused = 0..0;
        for mut place in places {
            while !place.is_empty() {
                if unused.is_empty() {
                    let trees = batch_trees(round.set).min(round.trees_left());
                    unused = 0..trees << round.set.depth;
                    debug_assert!(!unused.is_empty(), "the reserve covers the base");
                    round.encode(&self.side, &mut self.work, &mut batch[unused.clone()]);
                }
                let n = unused.len().min(place.len());
                let (now, later) = place.split_at_mut(n);
                now.copy_from_slice(&batch[unused.start..unused.start + n]);
                unused.start += n;
                place = later;
            }
        }
    }
}
