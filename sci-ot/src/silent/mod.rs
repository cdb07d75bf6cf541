//! Silent correlated OT in the shape of Ferret (Yang, Weng, Lan, Zhang, Wang, CCS 2020, eprint 2020/924):
//! a few correlated OTs grow into many by local work.
//!
//! **Functionality.** As [`crate::iknp`] and [`crate::kkot`], behind the same traits: correlated OT and
//! 1-of-N OT with the receiver's live choices. **Who learns what**: as there.
//!
//! **Protocol.** The sender has a secret Delta with LSB(Delta) = 1. A *round* of a [`Set`] (t, k, h) takes
//! k + t h correlated OTs, the *base*. From the last t h of them t single-point COTs on 2^h
//! places each come out (`tree.rs`: half-tree, one block a level and tree from sender to receiver);
//! side by side they are one COT vector on N = t 2^h places whose choice vector e is regular noise
//! of weight t. The first k are a vector on k places with uniform choices u, and a public sparse N x k matrix A
//! maps both sides' to N places (`lpn.rs`). The sum has choices e + A u, pseudorandom by
//! learning parity with (regular) noise: N correlated OTs with keys K (LSB 0) of the sender and K xor
//! b Delta of the receiver, b being the LSB of what it holds. The last trees of a round are the
//! base of the next, so that a lane bootstraps once, from IKNP, and then refills itself. There is no
//! consistency check: the adversary is semi-honest.
//!
//! Each lane has an instance for each direction, with its own generator streams, tree keys and
//! matrices, all derived from the session identifier, the lane and the round. Trees are grown and encoded
//! when their outputs are used or a little before (`ahead.rs`), some 2^13 outputs at a time; the sender grows each
//! tree once more, before, to send its level sums. What a lane and direction holds is the table of 16 k
//! bytes (twice while it refills), 16 t h bytes of sums or roots, the outputs in use and up to 2 MiB of them
//! ahead.
//!
//! **Ahead of need.** While lanes are at work, cores that no lane wants expand for those that wait for the
//! link, or for the one lane of a small layer. Only trees of a round that has begun are
//! expanded ahead: bytes, rounds and outputs are those without it. Who knows what is to come has it expanded
//! beforehand, as a phase of its own ([`crate::demand`]).
//!
//! **Choices.** The receiver sends c xor b for its live choices c, exactly one bit a COT, and the
//! sender adds Delta to its key where that is 1. The pads are those of IKNP: one AES key an instance,
//! unique in its session. 1-of-2^m OT takes m COTs and m bits (`prefix.rs`).
//!
//! **Which set, and when** ([`Growth`]): a public function of what a lane has consumed, so that both
//! parties agree without a message. Up to 2^16 COTs a lane and direction IKNP serves: random COTs of
//! 16 bytes each, less than the bootstrap would take. The first round has the smallest set, every
//! further one the next larger, up to the limit of the settings. Small sets are faster, because
//! their table is closer to the core; large ones take fewer bytes.
//!
//! | k | t | h | bytes of trees | usable COTs | bits a COT | estimate |
//! |---|---|---|---|---|---|---|
//! | 2^16 | 850 | 10 | 136,000 | 795,648 | 1.37 | 128.6 |
//! | 2^17 | 1170 | 11 | 205,920 | 2,250,752 | 0.73 | 132.5 |
//! | 2^18 | 1520 | 12 | 291,840 | 5,943,296 | 0.39 | 136.6 |
//! | 2^19 | 1900 | 13 | 395,200 | 15,007,744 | 0.21 | 140.7 |
//!
//! (usable when the next round is of the same set; the estimate is explained in SECURITY.md).
//!
//! Expansion counts apart, as phase `offline` of the layer [`LAYER`]: bytes exactly, seconds as this
//! lane's share of the cores; what was done ahead takes no lane's time. A refill is one flight from
//! sender to receiver, the bootstrap one more before it.
//!
//! **Memory**, the peak of each of two processes over TCP, four lanes (`cargo run --release -p truncation
//! --example memory`): with both directions of all lanes in the largest set and through its first refill 100
//! to 120 MiB a party, of which tables are 64, and 128 if all refills fell together. A ReLU over
//! 2^20 elements at l = 32 takes 60 to 75 MiB beyond that, input and output included.
//!
//! **Time** on a 2.6 GHz EPYC with AVX-512 and VAES, in cycles an output of one core: the encoder 18.5, 20.4,
//! 23.6 and 26.9 for k = 2^16 to 2^19, of which 2.7 are AES for the indices and all else is gathers, whose
//! table is 1 to 8 MiB beside a second-level cache of 1 MiB; trees 6.7 at the sender, grown twice, and 6.4
//! at the receiver. With refills, copies and wiping a COT takes 71, 71, 77 and 102 cycles of both
//! parties together (`cargo run --release -p truncation --example layer_cost -- cot 25 32 4 3 K` for K = 16 to 19,
//! whose rounds grow up to K): more than 25 million a second and core with every set. Gathers
//! are what bounds it. IKNP takes 47 cycles, mostly of AES and bit transposition, and 16 bytes.
//!
//! **Assumptions.** LPN with regular noise and the parameters above; circular correlation robustness of the tree
//! hash (AES under a fixed key as a random permutation); those of IKNP for the bootstrap and the
//! pads.

mod ahead;
mod engine;
mod lpn;
mod memory;
mod pool;
mod prefix;
mod side;
mod stock;
mod tree;

pub(crate) use ahead::{Ahead, Bell, SharedProducer};
pub use engine::{SilentOtReceiver, SilentOtSender};
pub(crate) use pool::{Meter, Seeds, Terms, ahead as outputs_ahead};

/// Under which name expansion is counted.
pub const LAYER: &str = "silent OT expansion";

/// COTs that IKNP serves before the first round: their bytes are about those of a bootstrap, so that
/// a lane never pays more than twice what the better choice would have cost.
pub const IKNP_SERVES: u64 = 1 << 16;

/// The parameters of a round: learning parity with N = t 2^h samples of dimension k and regular noise
/// of weight t.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// t, the number of trees: the weight of the noise.
    pub trees: usize,
    /// log2 k, the secret's dimension.
    pub log_k: u32,
    /// h, the depth of a tree.
    pub depth: u32,
}

/// The sets, smallest first.
pub const SETS: [Set; 4] = [
    Set { trees: 850, log_k: 16, depth: 10 },
    Set { trees: 1170, log_k: 17, depth: 11 },
    Set { trees: 1520, log_k: 18, depth: 12 },
    Set { trees: 1900, log_k: 19, depth: 13 },
];

impl Set {
    /// k.
    pub fn dimension(self) -> usize {
        1 << self.log_k
    }

    /// N, all outputs of a round.
    pub fn outputs(self) -> usize {
        self.trees << self.depth
    }

    /// The base COTs that the trees take.
    pub fn tree_cots(self) -> usize {
        self.trees * self.depth as usize
    }

    /// The COTs that a round starts from.
    pub fn base(self) -> usize {
        self.dimension() + self.tree_cots()
    }

    /// Bytes from sender to receiver in a round.
    pub fn bytes(self) -> usize {
        16 * self.tree_cots()
    }

    /// The trees whose outputs serve: the others are the base of a round of `next`.
    pub fn usable_trees(self, next: Self) -> usize {
        self.trees.saturating_sub(next.base().div_ceil(1 << self.depth))
    }

    /// The outputs that serve.
    pub fn usable(self, next: Self) -> usize {
        self.usable_trees(next) << self.depth
    }
}

/// The public policy of a session: which set each round of a lane has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// log2 k of the largest set to be used, 16..=19.
    pub largest: u32,
}

impl Growth {
    /// The set of a round, counted from 0.
    pub fn set(self, round: u32) -> Set {
        let limit = self.largest.clamp(16, 19) - 16;
        SETS[round.min(limit) as usize]
    }

    /// Whether IKNP serves `more` COTs beyond the `served` ones, while there was no round yet.
    fn iknp_serves(self, served: u64, more: usize) -> bool {
        served.saturating_add(more as u64) <= IKNP_SERVES
    }
}

#[cfg(test)]
mod tests;
