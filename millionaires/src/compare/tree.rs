//! The tree that joins digits, most significant right: one level of ANDs a round.

use super::{Comparison, Outcome, Relation};
use sci_core::{Bits, Result};
use sci_ot::Lane;
use sci_ot::triple::Supply;

/// Joins neighbours of all trees, one level, in one message each way.
pub(super) fn join_level(
    lane: &mut Lane,
    jobs: &[Comparison],
    trees: &mut [Vec<Outcome>],
    supply: &mut Supply,
) -> Result<()> {
    let mut singles = Vec::new();
    let mut pairs = Vec::new();
    for (job, nodes) in jobs.iter().zip(trees.iter()) {
        for (at, pair) in nodes.chunks_exact(2).enumerate() {
            let [low, high] = pair else { continue };
            match job.relation {
                Relation::Equal => singles.push([&high.equal, &low.equal]),
                Relation::Greater if at == 0 => singles.push([&high.equal, &low.greater]),
                _ => pairs.push([&high.equal, &low.greater, &low.equal]),
            }
        }
    }
    let (singles, pairs) = supply.and(lane, &singles, &pairs)?;
    let (mut singles, mut pairs) = (singles.into_iter(), pairs.into_iter());
    for (job, nodes) in jobs.iter().zip(trees.iter_mut()) {
        let mut joined = Vec::with_capacity(nodes.len().div_ceil(2));
        let mut level = std::mem::take(nodes).into_iter();
        while let Some(low) = level.next() {
            let Some(high) = level.next() else {
                joined.push(low);
                break;
            };
            let mut node = Outcome { greater: high.greater, equal: Bits::default() };
            match job.relation {
                Relation::Equal => node.equal = singles.next().unwrap_or_default(),
                Relation::Greater if joined.is_empty() => {
                    node.greater.xor_assign(&singles.next().unwrap_or_default());
                }
                _ => {
                    let [carry, equal] = pairs.next().unwrap_or_default();
                    node.greater.xor_assign(&carry);
                    node.equal = equal;
                }
            }
            joined.push(node);
        }
        *nodes = joined;
    }
    Ok(())
}
