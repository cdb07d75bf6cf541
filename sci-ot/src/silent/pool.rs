//! A supply of random correlated OTs that refills itself: the same for both roles.

use super::ahead::Bell;
use super::lpn::Matrix;
use super::memory::Table;
use super::side::{BATCH, Side, Work, batch_trees};
use super::stock::Stock;
use super::{Growth, LAYER, Set};
use sci_core::channel::Stream;
use sci_core::hash::TreeHash;
use sci_core::prg::SecretBlocks;
use sci_core::session::{Phase, Recorder, Totals};
use sci_core::{Block, Prg, Result};
use std::sync::Arc;
use std::time::Instant;

/// Outputs that a pool may have ahead of need where flights are short: 2 MiB.
pub(super) const AHEAD: usize = 16 * BATCH;

/// The same where they are long: 16 MiB.
const AHEAD_AT_MOST: usize = 8 * AHEAD;

/// Pools that may each have as much: those of four lanes. More of them share what these may have.
const USUAL_POOLS: usize = 8;

/// Outputs that a pool may have ahead of need. An operation of comparisons goes through six flights and more, in which
/// cores have nothing else to do, and takes about one correlated OT for each byte that it sends: what cores can make in
/// a flight is [`crate::peer::Settings::flight`] for all pools together, and a pool may have as many, within 128 MiB
/// for all `pools`.
pub(crate) fn ahead(flight: u64, pools: usize) -> usize {
    let most = AHEAD_AT_MOST * USUAL_POOLS / pools.max(USUAL_POOLS);
    usize::try_from(flight).unwrap_or(usize::MAX).clamp(AHEAD.min(most), most)
}

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

/// The public terms of a direction of a lane, and what its pool tells whom.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) lane: u64,
    pub(crate) seeds: Seeds,
    pub(crate) growth: Growth,
    /// Outputs that the pool may have ahead of need.
    pub(crate) ahead: usize,
    pub(crate) meter: Meter,
    pub(crate) bell: Arc<Bell>,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Outputs at hand.
    pub(crate) at_hand: usize,
    /// Outputs that there is room for.
    pub(crate) room: usize,
}

/// What a worker does for a pool.
pub(crate) trait Producer: Send {
    /// How full the pool is, if the round has more and there is room for that.
    fn wants(&self) -> Option<Level>;

    /// Puts a batch more at hand, if it can be done without a message.
    fn produce(&mut self);
}

/// Random correlated OTs: keys K of the sender, K xor b Delta of the receiver, b its lowest bit.
pub(super) struct Pool<S> {
    side: S,
    terms: Terms,
    round: Option<Round>,
    rounds: u32,
    chain: u32,
    served: u64,
    work: Work,
    stock: Stock,
    /// How many of those at hand were asked for beforehand: while they last, workers rest.
    reserved: usize,
    /// How many of those to come are parts of the same extension.
    announced: usize,
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
    pub(super) fn new(side: S, terms: Terms) -> Self {
        Self {
            side,
            terms,
            round: None,
            rounds: 0,
            chain: 0,
            served: 0,
            work: Work::new(),
            stock: Stock::default(),
            reserved: 0,
            announced: 0,
        }
    }

    /// How many outputs are at hand.
    #[cfg(test)]
    pub(super) fn at_hand(&self) -> usize {
        self.stock.len()
    }

    /// The next `out.len()` correlated OTs. Both parties must take the same numbers in the same order, at
    /// the same points of the protocol.
    pub(super) fn take(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        let taken = if out.len() <= self.stock.len() {
            self.served += self.stock.take(out) as u64;
            Ok(())
        } else {
            self.take_more(stream, out)
        };
        self.reserved = self.reserved.saturating_sub(out.len());
        self.announced = self.announced.saturating_sub(out.len());
        if self.round.is_some() {
            self.terms.bell.ring();
        }
        taken
    }

    /// The next `n` are taken for one purpose, although in parts.
    pub(super) fn announce(&mut self, n: usize) {
        self.announced = n;
    }

    /// Whether messages come with taking `n` now. What workers have done meanwhile makes no difference.
    pub(super) fn refills(&self, n: usize) -> bool {
        let left = self.round.as_ref().map_or(0, |round| round.trees_left() << round.set.depth);
        n > self.stock.len() + left
    }

    /// How many have been taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.served
    }

    /// Sees to it that the next `n` are at hand, so that taking them needs neither a message nor work. Both parties
    /// must call it with the same number at the same point. What workers have done meanwhile makes no difference to
    /// what is sent: a round begins exactly if fewer than `n` outputs are left of the one before, made or not. Workers
    /// rest until these are taken: they would do work of later in the time of who asked for it beforehand.
    pub(super) fn stock_up(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.reserved = n;
        if n <= self.stock.len() {
            return Ok(());
        }
        self.counted(stream, |pool, stream| pool.fill(stream, n))
    }

    fn fill(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        while self.stock.len() < n {
            let missing = n - self.stock.len();
            let promised = self.served + self.stock.len() as u64;
            match &self.round {
                None if self.terms.growth.iknp_serves(promised, missing) => {
                    let rows = missing.next_multiple_of(128);
                    self.side.bootstrap(stream, self.stock.add(rows))?;
                }
                Some(round) if round.trees_left() > 0 => self.produce(),
                _ => self.next_round(stream)?,
            }
        }
        Ok(())
    }

    /// Beyond what is at hand.
    fn take_more(&mut self, stream: &mut Stream, out: &mut [Block]) -> Result<()> {
        self.counted(stream, |pool, stream| pool.make(stream, out))
    }

    /// Expands, outside the chain of messages of the layer, and counts it.
    fn counted(
        &mut self,
        stream: &mut Stream,
        expand: impl FnOnce(&mut Self, &mut Stream) -> Result<()>,
    ) -> Result<()> {
        let (start, before) = (Instant::now(), stream.traffic());
        let depth = stream.suspend_depth();
        let taken = expand(self, stream);
        self.chain = self.chain.max(stream.restore_depth(depth));
        let after = stream.traffic();
        let Meter { recorder, threads } = &self.terms.meter;
        let part = Totals {
            bytes_sent: after.payload_sent - before.payload_sent,
            bytes_received: after.payload_received - before.payload_received,
            rounds: self.chain,
            seconds: start.elapsed().as_secs_f64() / (*threads).max(1) as f64,
        };
        recorder.attribute(LAYER, "expansion", Phase::Offline, &part);
        taken
    }

    fn make(&mut self, stream: &mut Stream, mut out: &mut [Block]) -> Result<()> {
        loop {
            let at_hand = self.stock.take(out);
            self.served += at_hand as u64;
            out = &mut out[at_hand..];
            if out.is_empty() {
                return Ok(());
            }
            let more = out.len().max(self.announced);
            match &mut self.round {
                None if self.terms.growth.iknp_serves(self.served, more) => {
                    // Whole blocks of rows: a ragged end costs more than it saves.
                    let rows = out.len().next_multiple_of(128);
                    self.side.bootstrap(stream, self.stock.add(rows))?;
                }
                Some(round) if round.trees_left() > 0 => {
                    let depth = round.set.depth;
                    let whole = (out.len() >> depth).min(round.trees_left());
                    let (now, later) = out.split_at_mut(whole << depth);
                    round.encode(&self.side, &mut self.work, now);
                    self.served += now.len() as u64;
                    out = later;
                    if !out.is_empty() {
                        self.produce();
                    }
                }
                _ => self.next_round(stream)?,
            }
        }
    }

    fn next_round(&mut self, stream: &mut Stream) -> Result<()> {
        let set = self.terms.growth.set(self.rounds);
        let next = self.terms.growth.set(self.rounds + 1);
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
        let path = self.terms.lane << 32 | u64::from(self.rounds);
        let hash = TreeHash::new(Prg::with_stream(self.terms.seeds.trees, path).next_block());
        self.side.plant(stream, set, &hash, &base, &mut self.work)?;
        self.rounds += 1;
        self.round = Some(Round {
            set,
            hash,
            table,
            matrix: Matrix::new(self.terms.seeds.matrices, path),
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

impl<S: Side> Producer for Pool<S> {
    fn wants(&self) -> Option<Level> {
        if self.reserved > 0 {
            return None;
        }
        let at_hand = self.stock.len();
        let has_more = self.round.as_ref().is_some_and(|round| round.trees_left() > 0);
        let room = self.terms.ahead;
        (has_more && at_hand + BATCH <= room).then_some(Level { at_hand, room })
    }

    fn produce(&mut self) {
        let Some(round) = &mut self.round else { return };
        let trees = batch_trees(round.set).min(round.trees_left());
        if trees > 0 {
            let outputs = self.stock.add(trees << round.set.depth);
            round.encode(&self.side, &mut self.work, outputs);
        }
    }
}
