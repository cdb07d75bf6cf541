//! What operations look at that is no tensor: the differences whose signs decide a MaxPool or an ArgMax, and
//! the sums that an AvgPool divides.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{max, tree};
use crate::llil::{AxisGeometry, Instruction, Op};
use sci_core::Domain;

/// The smallest and the largest difference that a MaxPool or an ArgMax compares with zero, or sum that an
/// AvgPool divides, by the signed view, given the operand and its shape; none for another operation. A
/// narrow instruction goes on with what its own precision makes of each difference.
pub(crate) fn derived<D: Domain>(
    domain: D,
    instruction: &Instruction,
    shape: &[usize],
    x: &[u64],
) -> Option<(i64, i64)> {
    let mut seen: Option<(i64, i64)> = None;
    let mut see = |x: u64| {
        let x = domain.to_signed(x);
        let (low, high) = seen.unwrap_or((x, x));
        seen = Some((low.min(x), high.max(x)));
    };
    if let Op::AvgPool { geometry, .. } = &instruction.op {
        geometry.sums(domain, x).ok()?.into_iter().for_each(&mut see);
    }
    let mut join = |x: u64, y: u64| {
        see(domain.sub(x, y));
        max(domain, x, y, instruction.precision)
    };
    let mut items = Vec::new();
    match &instruction.op {
        Op::MaxPool { geometry } => {
            for plane in x.chunks(geometry.input_plane()) {
                for position in 0..geometry.positions() {
                    items.clear();
                    items.extend(geometry.members(position).filter_map(|i| plane.get(i).copied()));
                    tree(&mut items, &mut join);
                }
            }
        }
        Op::ArgMax { axis } => {
            let AxisGeometry { len, inner, .. } = AxisGeometry::new(shape, *axis).ok()?;
            for block in x.chunks((len * inner).max(1)) {
                for i in 0..inner {
                    items.clear();
                    items.extend(block.iter().skip(i).step_by(inner.max(1)).copied());
                    tree(&mut items, &mut join);
                }
            }
        }
        _ => {}
    }
    seen
}
