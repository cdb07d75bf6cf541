//! F_MILL: who has the larger number.
//!
//! **Functionality.** On one lane the leader (the OT sender) holds integers a_i, the other party b_i,
//! all below 2^l. Both get XOR shares of 1{a_i > b_i} (and, if asked, of 1{a_i = b_i}), and learn
//! nothing else. `1{x < y}` is the same with both inputs complemented, so that either
//! party can lead.
//!
//! **Protocol** (CrypTFlow2, section 3.1, Algorithm 1). The inputs are cut into q = ceil(l/m)
//! digits of at most m bits, by the fewest bits sent: about equally wide as a rule. (The paper has digits of m
//! bits, but for the top one; equal ones have smaller tables in all.) For every digit of w bits the leader offers, in
//! one 1-of-2^w OT, masked 1{x_j > k} and 1{x_j = k} for all k; the other party chooses with its digit. A binary
//! tree then joins neighbours, gt <- gt_high xor (eq_high AND gt_low), eq <- eq_high AND eq_low; a
//! node without a partner is carried up. Both ANDs of a node share a factor, hence *pairs* of
//! triples; eq is never needed on the least significant branch.
//!
//! **Cost** with IKNP and KKOT, in bits: 2 lambda + 2^w times 2 for a leaf, times 1 for the
//! lowest (lambda + 4 for a leaf of one bit); lambda + 20 for a single AND, 2 lambda + 22 for a
//! pair; ceil(log2 q) singles and q - 1 - ceil(log2 q) pairs. Rounds: 2 + ceil(log2 q). At l = 32: 2770 bits for
//! m = 7 (the paper: 2930), 3844 for m = 4, 5 rounds. Over silent OT a leaf of width w takes w + 2 (2^w - 1) bits (the lowest w + 2^w - 1),
//! message 0 being implied ([`sci_ot::one_of_n::First`]), a single AND 4 and a pair 6: at l = 32 293 bits for m = 4, 223
//! for m = 3, 207 for m = 2, where Cheetah's leaves make 308, 244 and 238.

mod leaves;
mod shape;
mod tree;

use sci_core::{Bits, Cost, Error, Party, Result};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::triple::{self, Stock, Supply};
use sci_ot::{Lane, Role};
use shape::Shape;

/// What a comparison is to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// 1{a > b}.
    Greater,
    /// 1{a > b} and 1{a = b}.
    GreaterAndEqual,
    /// 1{a = b}.
    Equal,
}

/// One batch of comparisons of `bits`-bit integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Length of the inputs, 1..=64.
    pub bits: u32,
    /// What is wanted.
    pub relation: Relation,
    /// Whether the follower's input is that of the comparison before (which has the same length and relation
    /// and is no twin itself): both then share their leaf OTs, which carry the bits of both.
    pub twin: bool,
}

impl Comparison {
    /// A comparison with inputs of its own.
    pub fn new(bits: u32, relation: Relation) -> Self {
        Self { bits, relation, twin: false }
    }

    /// 1{a > b} and 1{a' > b}: two integers of the leader against one of the follower.
    pub fn twins(bits: u32) -> [Self; 2] {
        let first = Self::new(bits, Relation::Greater);
        [first, Self { twin: true, ..first }]
    }
}

/// XOR shares of the results; what was not asked for is empty.
#[derive(Debug, Default)]
pub struct Outcome {
    /// 1{a > b}.
    pub greater: Bits,
    /// 1{a = b}.
    pub equal: Bits,
}

/// What one instance takes, for a [`sci_ot::plan::Plan`].
pub fn load(jobs: &[Comparison], settings: Settings) -> Load {
    let Ok(shape) = Shape::new(jobs, settings, 1) else { return Load::held(64) };
    // Singles are two to a 1-of-16 OT: an even sample keeps the quotient exact.
    let rows = settings.ot.memory(&shape.groups(2)) / 2;
    let held = match settings.ot {
        // The rows and the frame that they travel in.
        OtKind::Iknp => 2 * rows,
        // Rows are held for a block at a time; what stays are messages, inputs, and the bits of leaves and triples.
        OtKind::Silent => {
            let triples = 16 * shape.need(1).random_cots(settings.ot);
            shape.message_bytes(64) / 64 + 8 * jobs.len() + triples / 16 + shape.ots(1) / 4
        }
    };
    Load { rows, held }
}

/// The cost of [`compare_lane`] for `n` instances when `leader` leads.
pub fn compare_cost(
    n: usize,
    jobs: &[Comparison],
    settings: Settings,
    spare: usize,
    leader: Party,
) -> Result<Cost> {
    let shape = Shape::new(jobs, settings, spare)?;
    if n == 0 || jobs.is_empty() {
        return Ok(Cost::ZERO);
    }
    let groups = shape.groups(n);
    let mut cost = settings.ot.groups_cost(&groups, leader.peer())
        + Cost::message(leader, 8 * shape.message_bytes(n) as u64)
        + shape.need(n).cost(settings.ot);
    cost = cost.in_rounds(2);
    for level in &shape.levels {
        cost += triple::and_cost(n, *level);
    }
    Ok(cost)
}

/// Compares batches of the same size in the same flights: `inputs[j]` are this party's values for
/// `jobs[j]`. Besides the outcomes it leaves triples for `spare` more ANDs of n bits, dealt in the
/// same flight.
///
/// # Errors
/// [`Error::InvalidInput`] for a radix outside 1..=8; [`Error::Misuse`] if inputs and jobs do not fit;
/// otherwise as the link and the peer behave.
pub fn compare_lane(
    lane: &mut Lane,
    jobs: &[Comparison],
    inputs: &[&[u64]],
    spare: usize,
) -> Result<(Vec<Outcome>, Supply)> {
    let shape = Shape::new(jobs, lane.settings(), spare)?;
    let n = inputs.first().map_or(0, |values| values.len());
    if inputs.len() != jobs.len() || inputs.iter().any(|values| values.len() != n) {
        return Err(Error::misuse("one batch of inputs for each comparison, all of a size"));
    }
    let mut stock = Stock::deal(lane, shape.need(n))?;
    let mut digits = match lane.role() {
        Role::Sender => leaves::lead(lane, &shape, inputs, n, &stock)?,
        Role::Receiver => leaves::follow(lane, &shape, inputs, n, &mut stock)?,
    };
    digits.sort_by_key(|(job, leaf, _)| (*job, leaf.shift));
    let mut trees: Vec<Vec<Outcome>> = jobs.iter().map(|_| Vec::new()).collect();
    for (job, _, outcome) in digits {
        trees[job].push(outcome);
    }
    let mut supply = Supply::from(stock);
    for _ in &shape.levels {
        tree::join_level(lane, jobs, &mut trees, &mut supply)?;
    }
    let outcomes = trees.into_iter().map(|mut nodes| nodes.pop().unwrap_or_default());
    Ok((outcomes.collect(), supply))
}

/// Ones where `bits` are significant: the complement that turns `<` into `>`.
pub fn complement(bits: u32, value: u64) -> u64 {
    !value & (u64::MAX >> (64 - bits))
}
